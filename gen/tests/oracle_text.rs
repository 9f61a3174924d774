//! The text formats against tools that are not ours: what they make of our text must be our bytes, our symbols and our
//! counts.
//!
//! `cargo test -p ntgate-gen --test oracle_text -- --ignored`, on a machine with binutils, llvm, nasm, gcc, mingw-w64 and
//! wine64-tools.

mod tools;

use std::collections::HashMap;
use std::path::Path;

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, Encoding, ServiceList, Shape, stub};
use tempfile::TempDir;

use tools::{find, lists, run, typed, write};

fn x86_shapes() -> impl Iterator<Item = Shape> {
    [Arch::I386, Arch::Amd64].into_iter().flat_map(Shape::of).copied()
}

fn options(format: Format, shape: Shape, encoding: Option<Encoding>) -> Options {
    let options = Options::new(shape.arch(), format).shape(shape);
    match encoding {
        Some(encoding) => options.encoding(encoding),
        None => options,
    }
}

/// The encodings that can be asked for, and what comes of asking for none: every one of these tools writes GNU's.
const ENCODINGS: [(Option<Encoding>, Encoding); 3] =
    [(None, Encoding::Gnu), (Some(Encoding::Gnu), Encoding::Gnu), (Some(Encoding::Msvc), Encoding::Msvc)];

/// The stubs at multiples of 16 bytes, `open` in the fields of the linker.
fn our_bytes(list: &ServiceList, shape: Shape, encoding: Encoding, open: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for service in list.services() {
        let mut code = stub::build(shape, service, encoding).encode().expect("a built stub encodes");
        for relocation in &code.relocations {
            code.bytes[relocation.offset..relocation.offset + 4].copy_from_slice(&open.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(16), 0xcc);
        bytes.extend(code.bytes);
    }
    bytes
}

fn text_section(directory: &TempDir, object: &str) -> Vec<u8> {
    run(directory, "objcopy", &["-O", "binary", "-j", ".text", object, "x.bin"]);
    std::fs::read(directory.path().join("x.bin")).expect("objcopy made it")
}

/// The symbols that stand in the object, each with its place.
fn symbols(directory: &TempDir, object: &str) -> HashMap<String, usize> {
    let listing = run(directory, "nm", &[object]);
    let words = listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let defined = words.filter(|words| words.len() == 3 && words[1] == "T");
    defined.map(|words| (words[2].to_owned(), usize::from_str_radix(words[0], 16).expect("an address"))).collect()
}

/// A row of objdump's: the place of a field, the kind of the relocation, the symbol.
fn relocation(row: &str) -> Option<(usize, (&str, &str))> {
    let mut words = row.split_whitespace();
    let place = usize::from_str_radix(words.next()?, 16).ok()?;
    Some((place, (words.next()?, words.next()?)))
}

/// That every symbol is where our stub is, and every reference where our relocation is.
fn check_symbols(directory: &TempDir, object: &str, list: &ServiceList, shape: Shape) {
    let found = symbols(directory, object);
    let listing = run(directory, "objdump", &["-r", object]);
    let rows: HashMap<usize, (&str, &str)> = listing.lines().filter_map(relocation).collect();
    let mut references = 0;
    let mut place = 0;
    for service in list.services() {
        let stub = stub::build(shape, service, Encoding::Gnu);
        for symbol in &stub.symbols {
            assert_eq!(found.get(symbol), Some(&place), "{symbol}");
        }
        let code = stub.encode().expect("it encodes");
        for relocation in &code.relocations {
            let (kind, symbol) = rows[&(place + relocation.offset)];
            assert!(matches!(kind, "DISP32" | "IMAGE_REL_AMD64_REL32" | "R_386_PC32" | "R_X86_64_PC32"), "{kind}");
            assert_eq!(symbol.trim_end_matches("-0x0000000000000004"), relocation.symbol);
            references += 1;
        }
        place = (place + code.bytes.len()).next_multiple_of(16);
    }
    assert_eq!(rows.len(), references);
    assert_eq!(found.len(), list.services().count() * if shape.is_kernel() { 1 } else { 2 });
}

#[test]
#[ignore = "needs llvm-ml and binutils"]
fn llvm_ml_makes_our_bytes() {
    let directory = tempfile::tempdir().expect("a directory");
    let llvm_ml = find("llvm-ml");
    for list in lists() {
        for shape in x86_shapes() {
            let machine = if shape.arch() == Arch::I386 { "-m32" } else { "-m64" };
            for (asked, made) in ENCODINGS {
                write(&directory, "x.asm", &emit(&list, &options(Format::Masm, shape, asked)).expect("it is text"));
                run(&directory, &llvm_ml, &[machine, "/c", "/Fox.obj", "x.asm"]);
                // PE leaves the fields 0.
                assert!(text_section(&directory, "x.obj") == our_bytes(&list, shape, made, 0), "{shape} {asked:?}");
            }
            check_symbols(&directory, "x.obj", &list, shape);
        }
    }
}

#[test]
#[ignore = "needs nasm and binutils"]
fn nasm_makes_our_bytes() {
    let directory = tempfile::tempdir().expect("a directory");
    for list in lists() {
        for shape in x86_shapes() {
            // ELF of i386 has the addend in the field, the others have it elsewhere or none.
            let formats: [(_, i32); 2] = match shape.arch() {
                Arch::I386 => [("win32", 0), ("elf32", -4)],
                _ => [("win64", 0), ("elf64", 0)],
            };
            for (format, open) in formats {
                for (asked, made) in ENCODINGS {
                    write(&directory, "x.asm", &emit(&list, &options(Format::Nasm, shape, asked)).expect("it is text"));
                    run(&directory, "nasm", &["-Werror", "-f", format, "-o", "x.o", "x.asm"]);
                    let ours = our_bytes(&list, shape, made, open);
                    assert!(text_section(&directory, "x.o") == ours, "{shape} {format} {asked:?}");
                }
                check_symbols(&directory, "x.o", &list, shape);
            }
        }
    }
}

/// The bytes of each section `.text.…` of an ELF object, by the name of its section.
fn function_sections(directory: &TempDir, object: &str) -> Vec<(String, Vec<u8>)> {
    let bytes = std::fs::read(directory.path().join(object)).expect("it is there");
    let listing = run(directory, "objdump", &["-w", "-h", object]);
    let words = listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows = words.filter(|words| words.get(1).is_some_and(|name| name.starts_with(".text.")));
    rows.map(|words| {
        let number = |word: &str| usize::from_str_radix(word, 16).expect("a number");
        let (size, place) = (number(words[2]), number(words[5]));
        (words[1].to_owned(), bytes[place..place + size].to_vec())
    })
    .collect()
}

/// Whether rustc has the core library of a target.
fn has_target(target: &str) -> bool {
    let directory = tempfile::tempdir().expect("a directory");
    let path = run(&directory, "rustc", &["--print", "target-libdir", "--target", target]);
    Path::new(path.trim()).is_dir()
}

#[test]
#[ignore = "needs rustc and binutils"]
fn rustc_makes_our_bytes() {
    let directory = tempfile::tempdir().expect("a directory");
    let [default, stress] = lists();
    for shape in x86_shapes() {
        let (target, open): (_, i32) = match shape.arch() {
            Arch::I386 => ("i686-unknown-linux-gnu", -4),
            _ => ("x86_64-unknown-linux-gnu", 0),
        };
        // Of i386 only where somebody has installed it: `rustup target add i686-unknown-linux-gnu`. `.ci/run` demands it.
        if !has_target(target) {
            let is_needed = shape.arch() == Arch::Amd64 || std::env::var_os("NTGATE_NEED_I386").is_some();
            assert!(!is_needed, "{target} is not there");
            continue;
        }
        for (list, (asked, made)) in [&default, &stress, &typed()].into_iter().zip(ENCODINGS) {
            write(&directory, "nt.rs", &emit(list, &options(Format::Rust, shape, asked)).expect("it is text"));
            write(&directory, "lib.rs", b"#![no_std]\n#![deny(warnings)]\npub mod nt { include!(\"nt.rs\"); }\n");
            let flags = ["--edition=2024", "--crate-type=lib", "--emit=obj", "-o", "x.o", "--target", target];
            run(&directory, "rustc", &[&flags[..], &["-Cpanic=abort", "-Ccodegen-units=1", "lib.rs"]].concat());
            let sections = function_sections(&directory, "x.o");
            assert_eq!(sections.len(), list.services().count(), "{shape}");
            for service in list.services() {
                let mut code = stub::build(shape, service, made).encode().expect("a built stub encodes");
                for relocation in &code.relocations {
                    code.bytes[relocation.offset..relocation.offset + 4].copy_from_slice(&open.to_le_bytes());
                }
                let name = if shape.is_kernel() { service.name().zw() } else { service.name().nt().to_owned() };
                // Mangled: the length before the name, and a hash or nothing after it.
                let mangled = format!("{}{name}", name.len());
                let found = sections.iter().find(|(section, _)| {
                    section.rfind(&mangled).is_some_and(|at| {
                        let before = section[..at].chars().next_back();
                        let after = &section[at + mangled.len()..];
                        !before.is_some_and(|c| c.is_ascii_digit()) && (after.is_empty() || after.starts_with("17h"))
                    })
                });
                let (_, bytes) = found.unwrap_or_else(|| panic!("{name} is not there"));
                assert_eq!(*bytes, code.bytes, "{name} {shape} {asked:?}");
            }
        }
    }
}

/// `@ stdcall` lines as a definition file of winebuild's own: names with their argument bytes on i386.
#[test]
#[ignore = "needs winebuild"]
fn winebuild_counts_as_we_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let winebuild = find("winebuild");
    for list in lists().into_iter().chain([typed()]) {
        for (arch, machine) in [(Arch::I386, "-m32"), (Arch::Amd64, "-m64")] {
            write(&directory, "x.spec", &emit(&list, &Options::new(arch, Format::Spec)).expect("it is text"));
            let def = run(&directory, &winebuild, &[machine, "--def", "-E", "x.spec", "-F", "x.dll"]);
            let exports: Vec<_> = def.lines().filter_map(|line| line.split_whitespace().next()).collect();
            for service in list.services() {
                for name in [service.name().nt().to_owned(), service.name().zw()] {
                    let expected = match arch {
                        Arch::I386 => format!("{name}@{}", service.arg_bytes(arch)),
                        _ => name,
                    };
                    assert!(exports.contains(&expected.as_str()), "{expected}");
                }
            }
        }
    }
}

#[test]
#[ignore = "needs mingw-w64 and llvm"]
fn dlltools_make_import_libraries() {
    let directory = tempfile::tempdir().expect("a directory");
    for list in lists() {
        for (arch, dlltool, machine) in [
            (Arch::I386, "i686-w64-mingw32-dlltool", "i386"),
            (Arch::Amd64, "x86_64-w64-mingw32-dlltool", "i386:x86-64"),
        ] {
            write(&directory, "x.def", &emit(&list, &Options::new(arch, Format::Def)).expect("it is text"));
            let before = if arch == Arch::I386 { "_" } else { "" };
            let bytes = |service: &ntgate_gen::Service| match arch {
                Arch::I386 => format!("@{}", service.arg_bytes(arch)),
                _ => String::new(),
            };
            for tool in [dlltool.to_owned(), find("llvm-dlltool")] {
                let llvm = tool.contains("llvm");
                let machine = if llvm && arch == Arch::Amd64 { "i386:x86-64" } else { machine };
                run(&directory, &tool, &["-m", machine, "-k", "-d", "x.def", "-l", "x.a"]);
                let names = run(&directory, "nm", &["x.a"]);
                for service in list.services() {
                    for name in [service.name().nt().to_owned(), service.name().zw()] {
                        let symbol = format!(" I __imp_{before}{name}{}\n", bytes(service));
                        assert!(names.contains(&symbol), "{tool}:{symbol}");
                    }
                }
            }
        }
    }
}
