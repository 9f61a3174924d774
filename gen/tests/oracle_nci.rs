//! `nci` against assemblers: what they make of its text must be what they made of the old tool's text, which stands here
//! as bytes put together by hand (Intel SDM volume 2; the manuals of the other processors).
//!
//! `cargo test -p ntgate-gen --test oracle_nci -- --ignored`, on a machine with binutils and llvm.

mod tools;

use ntgate_gen::nci::{Outputs, Target, generate};
use ntgate_gen::{Arch, Service, ServiceList, read_list};
use tempfile::TempDir;

use tools::{lists, run, write};

/// Counts from 0 to 19, and 300 services, so that numbers are of more than one byte.
fn gui() -> ServiceList {
    let lines: String = (0..300).map(|index| format!("NtGdi{index} {}\n", index % 20)).collect();
    read_list("w32ksvc.db", lines.as_bytes()).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).list
}

fn outputs(target: Target) -> (ServiceList, ServiceList, Outputs) {
    let ([main, _], gui) = (lists(), gui());
    let outputs = generate(target, &main, &gui).unwrap_or_else(|error| panic!("{error}"));
    (main, gui, outputs)
}

fn text_section(directory: &TempDir, copier: &str) -> Vec<u8> {
    run(directory, copier, &["-O", "binary", "-j", ".text", "x.o", "x.bin"]);
    std::fs::read(directory.path().join("x.bin")).expect("objcopy made it")
}

fn number(bytes: &[u8], number: u32) -> Vec<u8> {
    [bytes, &number.to_le_bytes()].concat()
}

/// `movl $N,%eax; movl $0x7ffe0300,%ecx; call *(%ecx); ret $S`
fn user_i386(service: &Service, base: u32) -> Vec<u8> {
    let bytes = u16::try_from(service.arg_bytes(Arch::I386)).expect("it fits").to_le_bytes();
    [&number(&[0xb8], service.number() + base)[..], b"\xb9\x00\x03\xfe\x7f\xff\x11\xc2", &bytes].concat()
}

/// `movl $N,%eax; leal 4(%esp),%edx; pushfl; pushl $8; call _KiSystemService; ret $S`
fn kernel_i386(service: &Service) -> Vec<u8> {
    let bytes = u16::try_from(service.arg_bytes(Arch::I386)).expect("it fits").to_le_bytes();
    let rest = b"\x8d\x54\x24\x04\x9c\x6a\x08\xe8\xfc\xff\xff\xff\xc2";
    [&number(&[0xb8], service.number())[..], rest, &bytes].concat()
}

fn symbols(directory: &TempDir) -> Vec<(String, usize)> {
    let listing = run(directory, "nm", &["-n", "x.o"]);
    let words = listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let defined = words.filter(|words| words.len() == 3 && words[1] == "T");
    defined.map(|words| (words[2].to_owned(), usize::from_str_radix(words[0], 16).expect("an address"))).collect()
}

/// A service, and the name and code of one body of it.
type Body<'a> = (&'a Service, (String, Vec<u8>));

#[test]
#[ignore = "needs binutils"]
fn i386_assembles_to_the_bytes_of_the_old_text() {
    let directory = tempfile::tempdir().expect("a directory");
    let (main, gui, outputs) = outputs(Target::I386);
    let twice = |service: &Service| {
        [(service.name().nt().to_owned(), user_i386(service, 0)), (service.name().zw(), user_i386(service, 0))]
    };
    let files: [(&str, Vec<Body>); 3] = [
        (&outputs.napi_s, main.services().flat_map(|service| twice(service).map(|row| (service, row))).collect()),
        (
            &outputs.zw_s,
            main.services().map(|service| (service, (service.name().zw(), kernel_i386(service)))).collect(),
        ),
        (
            &outputs.win32k_s,
            gui.services()
                .map(|service| (service, (service.name().nt().to_owned(), user_i386(service, 0x1000))))
                .collect(),
        ),
    ];
    for (text, expected) in files {
        write(&directory, "x.S", text.as_bytes());
        run(&directory, "as", &["--32", "-o", "x.o", "x.S"]);
        let mut code = Vec::new();
        let mut places = Vec::new();
        for (service, (name, bytes)) in expected {
            places.push((format!("_{name}@{}", service.arg_bytes(Arch::I386)), code.len()));
            code.extend(bytes);
        }
        // as fills the section up to a multiple of four bytes, if at all.
        let assembled = text_section(&directory, "objcopy");
        assert!(assembled.starts_with(&code) && assembled.len() < code.len() + 4);
        assert_eq!(symbols(&directory), places);
        // A C preprocessor, which the old build has before the assembler, leaves it alone.
        run(&directory, "gcc", &["-m32", "-c", "-o", "x.o", "x.S"]);
        assert!(text_section(&directory, "objcopy").starts_with(&code));
    }
}

#[test]
#[ignore = "needs binutils"]
fn amd64_ends_in_a_plain_return() {
    let directory = tempfile::tempdir().expect("a directory");
    let (main, gui, outputs) = outputs(Target::Amd64);
    let user = |service: &Service, base| {
        [number(&[0xb8], service.number() + base), b"\x49\x89\xca\x0f\x05\xc3".to_vec()].concat()
    };
    let kernel = |service: &Service| [number(&[0xb8], service.number()), b"\xe8\0\0\0\0\xc3".to_vec()].concat();
    for (text, expected) in [
        (
            &outputs.napi_s,
            main.services().flat_map(|service| [user(service, 0), user(service, 0)].concat()).collect::<Vec<_>>(),
        ),
        (&outputs.zw_s, main.services().flat_map(kernel).collect()),
        (&outputs.win32k_s, gui.services().flat_map(|service| user(service, 0x1000)).collect()),
    ] {
        write(&directory, "x.S", text.as_bytes());
        run(&directory, "as", &["--64", "-o", "x.o", "x.S"]);
        assert!(text_section(&directory, "objcopy").starts_with(&expected));
    }
}

/// Words of a processor of four-byte instructions.
fn words(words: &[u32], big: bool) -> Vec<u8> {
    words.iter().flat_map(|word| if big { word.to_be_bytes() } else { word.to_le_bytes() }).collect()
}

#[test]
#[ignore = "needs llvm"]
fn the_other_architectures_assemble_to_what_the_manuals_say() {
    type Stub = fn(u32) -> Vec<u8>;
    let powerpc: Stub = |n| {
        let code = [
            0x9421_fff0,
            0x7c08_02a6,
            0x9001_0000,
            0x3800_0000 | n,
            0x4400_0002,
            0x8001_0000,
            0x7c08_03a6,
            0x3821_0010,
            0x4e80_0020,
        ];
        words(&code, true)
    };
    // The assembler fills the delay slot with a nop of its own before the one that is written.
    let mips: Stub = |n| words(&[0x2402_0000 | n, 0x3c08_7ffe, 0x3508_0300, 0x8d08_0000, 0x0100_0008, 0, 0], true);
    let mips_kernel: Stub = |n| words(&[0x2402_0000 | n, 0x0800_0000, 0, 0], true);
    let arm: Stub = |n| words(&[0xef00_0000 | n, 0xe12f_ff1e], false);
    let arm_kernel: Stub = |n| words(&[0xe1a0_c00e, 0xef00_0000 | n, 0xe12f_ff1c], false);
    for (target, triple, user, kernel) in [
        (Target::Powerpc, "powerpc", powerpc, powerpc),
        (Target::Mips, "mips", mips, mips_kernel),
        (Target::Arm, "armv5", arm, arm_kernel),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let (main, gui, outputs) = outputs(target);
        for (text, expected) in [
            (&outputs.napi_s, main.services().flat_map(|service| user(service.number()).repeat(2)).collect::<Vec<_>>()),
            (&outputs.zw_s, main.services().flat_map(|service| kernel(service.number())).collect()),
            (&outputs.win32k_s, gui.services().flat_map(|service| user(service.number() + 0x1000)).collect()),
        ] {
            write(&directory, "x.S", text.as_bytes());
            let triple = format!("-triple={triple}");
            run(&directory, "llvm-mc", &[&triple, "-filetype=obj", "-o", "x.o", "x.S"]);
            assert!(text_section(&directory, "llvm-objcopy") == expected, "{target}");
        }
    }
}

#[test]
#[ignore = "needs gcc and winebuild"]
fn the_tables_compile_and_the_exports_count() {
    let directory = tempfile::tempdir().expect("a directory");
    let (main, _, outputs) = outputs(Target::I386);
    let declare = |list: &ServiceList| {
        list.services().map(|service| format!("void {}(void);\n", service.name())).collect::<String>()
    };
    for (text, list, name) in [(&outputs.napi_h, &main, "Main"), (&outputs.ssdt_h, &gui(), "Win32k")] {
        write(&directory, "table.h", text.as_bytes());
        let count = list.services().count();
        let source = format!(
            "typedef unsigned long ULONG, ULONG_PTR; typedef unsigned char UCHAR;\n{}#include \"table.h\"\n\
             _Static_assert(sizeof {name}SSDT == 4 * {count} && sizeof {name}SSPT == {count}, \"rows\");\n\
             _Static_assert(NUMBER_OF_SYSCALLS == {count} && MAX_SYSCALL_NUMBER == {count} - 1, \"numbers\");\n",
            declare(list)
        );
        write(&directory, "x.c", source.as_bytes());
        run(&directory, "gcc", &["-m32", "-fno-pic", "-Wall", "-Werror", "-c", "x.c", "-o", "x.o"]);
        run(&directory, "objcopy", &["-O", "binary", "-j", ".data", "x.o", "x.bin"]);
        let data = std::fs::read(directory.path().join("x.bin")).expect("objcopy made it");
        let bytes: Vec<u8> = list.services().map(|service| service.args(Arch::I386) * 4).collect();
        assert!(data.windows(count).any(|part| part == bytes), "{name}SSPT");
    }
    write(&directory, "nt.spec", outputs.nt_pspec.as_bytes());
    let def = run(&directory, &tools::find("winebuild"), &["-m32", "--def", "-E", "nt.spec", "-F", "nt.dll"]);
    for service in main.services() {
        for name in [service.name().nt().to_owned(), service.name().zw()] {
            assert!(def.contains(&format!("  {name}@{} ", service.arg_bytes(Arch::I386))), "{name}");
        }
    }
}
