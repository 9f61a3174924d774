//! Outputs against tools that are not ours: GNU as must make our bytes of our text, objdump must read our bytes as
//! our instructions, gcc must compile the tables.
//!
//! `cargo test -p ntgate-gen --test oracle -- --ignored`, on a machine with binutils and `gcc -m32`.

use std::path::Path;
use std::process::Command;

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::stub::{self, Stub};
use ntgate_gen::{Arch, Encoding, ServiceList, Shape, read_list};
use tempfile::TempDir;

/// Docs that an assembler could take for something else, and every argument count that there can be.
fn stress_list() -> ServiceList {
    let mut text = String::from(
        "NtDoc1 0 # 1 \"file.c\"\nNtDoc2 1 # /* open\nNtDoc3 2 # */ \\\nNtDoc4 3 # #if 0\nNtWide 63 @0xfff\n",
    );
    text.push_str("#! table win32k base=0x1000\n");
    for args in 0..=63 {
        text.push_str(&format!("NtGdi{args} {args} @{:#x}\n", 0x1000 + 40 * args));
    }
    read_list("stress.lst", text.as_bytes()).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).list
}

fn lists() -> [ServiceList; 2] {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sysfuncs.lst");
    let bytes = std::fs::read(path).expect("the list is there");
    let default = read_list("sysfuncs.lst", &bytes).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    [default.list, stress_list()]
}

fn options(format: Format, shape: Shape, encoding: Encoding) -> Options {
    Options::new(Arch::I386, format).shape(shape).encoding(encoding)
}

/// Runs a tool in a directory; what it prints.
fn run(directory: &TempDir, program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && errors.is_empty(), "{program} {args:?}: {errors}");
    String::from_utf8(output.stdout).expect("it prints text")
}

fn write(directory: &TempDir, name: &str, bytes: &[u8]) {
    std::fs::write(directory.path().join(name), bytes).expect("it can be written");
}

/// Assembles our text; the bytes of the code section.
fn assemble(directory: &TempDir, gas: &[u8]) -> Vec<u8> {
    write(directory, "x.s", gas);
    run(directory, "as", &["--32", "-o", "x.o", "x.s"]);
    run(directory, "objcopy", &["-O", "binary", "-j", ".text", "x.o", "x.bin"]);
    std::fs::read(directory.path().join("x.bin")).expect("objcopy made it")
}

#[test]
#[ignore = "needs GNU as and gcc"]
fn as_makes_our_bytes() {
    let directory = tempfile::tempdir().expect("a directory");
    for (index, list) in lists().iter().enumerate() {
        for shape in Shape::ALL {
            for encoding in Encoding::ALL {
                let what = format!("list {index}, {shape}, {encoding}");
                let gas = emit(list, &options(Format::Gas, shape, encoding)).expect("it is text");
                let assembled = assemble(&directory, &gas);
                assert_eq!(assembled, our_bytes(list, shape, encoding), "{what}");
                if !shape.is_kernel() {
                    let bin = emit(list, &options(Format::Bin, shape, encoding)).expect("it has no relocations");
                    assert_eq!(assembled, bin, "{what}");
                }
            }
        }
    }
}

/// The stubs at multiples of 16 bytes. The linker's fields hold what as leaves there for ELF: the distance is from the
/// end of the field, and so -4.
fn our_bytes(list: &ServiceList, shape: Shape, encoding: Encoding) -> Vec<u8> {
    let mut bytes = Vec::new();
    for service in list.services() {
        let mut code = stub::build(shape, service, encoding).encode().expect("a built stub encodes");
        for relocation in &code.relocations {
            code.bytes[relocation.offset..relocation.offset + 4].copy_from_slice(&(-4i32).to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(16), 0xcc);
        bytes.extend(code.bytes);
    }
    bytes
}

#[test]
#[ignore = "needs GNU as and gcc"]
fn as_makes_our_symbols_and_relocations() {
    let directory = tempfile::tempdir().expect("a directory");
    let [list, _] = lists();
    for shape in Shape::ALL {
        let gas = emit(&list, &options(Format::Gas, shape, shape.default_encoding())).expect("it is text");
        assemble(&directory, &gas);
        let symbols = run(&directory, "nm", &["x.o"]);
        let relocations = run(&directory, "objdump", &["-r", "x.o"]);
        let mut expected = 0;
        for (start, stub) in placed(&list, shape) {
            for symbol in &stub.symbols {
                assert!(symbols.contains(&format!("{start:08x} T {symbol}\n")), "{symbol} at {start:x}");
            }
            for relocation in stub.encode().expect("a built stub encodes").relocations {
                let row = format!("{:08x} R_386_PC32        {}\n", start + relocation.offset, relocation.symbol);
                assert!(relocations.contains(&row), "{row}");
                expected += 1;
            }
        }
        assert_eq!(relocations.matches("R_386").count(), expected, "{shape}");
    }
}

/// The stubs, each with its place in the code section.
fn placed(list: &ServiceList, shape: Shape) -> Vec<(usize, Stub)> {
    let mut next = 0;
    let place = |service| {
        let stub = stub::build(shape, service, shape.default_encoding());
        let start = usize::next_multiple_of(next, 16);
        next = start + stub.encode().expect("a built stub encodes").bytes.len();
        (start, stub)
    };
    list.services().map(place).collect()
}

#[test]
#[ignore = "needs GNU as and gcc"]
fn objdump_reads_our_instructions() {
    let directory = tempfile::tempdir().expect("a directory");
    let [list, _] = lists();
    for shape in Shape::ALL {
        for encoding in Encoding::ALL {
            for service in list.services().step_by(37) {
                let stub = stub::build(shape, service, encoding);
                let code = stub.encode().expect("a built stub encodes");
                write(&directory, "x.bin", &code.bytes);
                let listing = run(&directory, "objdump", &["-D", "-b", "binary", "-m", "i386", "x.bin"]);
                let theirs: Vec<_> = listing.lines().filter_map(listed).collect();
                let ours: Vec<_> = stub.text(stub::Syntax::Gas).iter().map(|line| normalize(line)).collect();
                assert_eq!(ours, theirs, "{} {shape} {encoding}", service.name());
            }
        }
    }
}

/// The instruction of a line such as `   5:\te8 01 00 00 00\tcall   0xb`.
fn listed(line: &str) -> Option<String> {
    let (address, rest) = line.split_once(":\t")?;
    address.trim().bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
    Some(normalize(rest.split_once('\t')?.1))
}

/// An instruction without what two right disassemblers may write in two ways: blanks, the base of numbers, the
/// suffix of `pushfl` and `calll`, labels, and where a call goes.
fn normalize(text: &str) -> String {
    let text = text.strip_prefix("1: ").unwrap_or(text);
    let mut words = text.split_whitespace();
    let mnemonic = words.next().unwrap_or_default();
    let mnemonic = match mnemonic {
        "pushfl" => "pushf",
        "calll" => "call",
        other => other,
    };
    let operands = words.collect::<String>();
    match mnemonic {
        "call" if !operands.starts_with('*') => "call".to_owned(),
        _ => {
            let operands: Vec<_> = operands.split(',').map(number).collect();
            format!("{mnemonic} {}", operands.join(",")).trim_end().to_owned()
        }
    }
}

/// `$0x24` as `$36`, `0x4(%esp)` as `4(%esp)`.
fn number(operand: &str) -> String {
    let (sign, rest) = operand.strip_prefix('$').map_or(("", operand), |rest| ("$", rest));
    let digits = rest.strip_prefix("0x").unwrap_or_default();
    let end = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
    match u32::from_str_radix(&digits[..end], 16) {
        Ok(value) => format!("{sign}{value}{}", &digits[end..]),
        Err(_) => operand.to_owned(),
    }
}

#[test]
#[ignore = "needs GNU as and gcc"]
fn gcc_compiles_the_tables() {
    for list in lists() {
        let directory = tempfile::tempdir().expect("a directory");
        let table = emit(&list, &Options::new(Arch::I386, Format::Table)).expect("there are tables for i386");
        write(&directory, "table.c", &table);
        let flags = ["-m32", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-pic"];
        run(&directory, "gcc", &[&flags[..], &["-c", "table.c", "-o", "table.o"]].concat());
        run(&directory, "objcopy", &["-O", "binary", "-j", ".data", "table.o", "data.bin"]);
        let data = std::fs::read(directory.path().join("data.bin")).expect("objcopy made it");
        let symbols = run(&directory, "nm", &["table.o"]);
        let relocations = run(&directory, "objdump", &["-r", "-j", ".data", "table.o"]);
        for table in list.tables() {
            let name = if table.base() == 0 { "Main" } else { "Win32k" };
            let at = |suffix: &str| symbol_address(&symbols, &format!("{name}{suffix}"));
            let count = at("NumberOfSysCalls");
            assert_eq!(data[count..count + 4], table.limit().to_le_bytes());
            let (ssdt, sspt) = (at("SSDT"), at("SSPT"));
            for (index, row) in table.rows().enumerate() {
                let bytes = row.map_or(0, |service| service.arg_bytes(Arch::I386));
                assert_eq!(u32::from(data[sspt + index]), bytes);
                if let Some(service) = row {
                    let row = format!("{:08x} R_386_32          {}\n", ssdt + 4 * index, service.name());
                    assert!(relocations.contains(&row), "{row}");
                }
            }
        }
    }
}

fn symbol_address(symbols: &str, symbol: &str) -> usize {
    let line = symbols.lines().find(|line| line.ends_with(&format!(" D {symbol}"))).expect("the symbol is there");
    usize::from_str_radix(&line[..8], 16).expect("nm prints an address")
}

#[test]
#[ignore = "needs GNU as and gcc"]
fn the_table_macros_and_prototypes_can_be_used() {
    let directory = tempfile::tempdir().expect("a directory");
    let [list, _] = lists();
    write(&directory, "table.c", &emit(&list, &Options::new(Arch::I386, Format::Table)).expect("there are tables"));
    let user = "\
#define NTAPI __attribute__((stdcall))
#define NTGATE_HAVE_PROTOTYPES
typedef void *HANDLE;
DECLARATIONS
#include \"table.c\"
_Static_assert(MIN_SYSCALL_NUMBER == 0 && MAX_SYSCALL_NUMBER == 297 && NUMBER_OF_SYSCALLS == 298, \"numbers\");
_Static_assert(sizeof MainSSDT == 4 * 298 && sizeof MainSSPT == 298, \"rows\");
";
    let prototypes: String =
        list.services().map(|service| format!("int NTAPI {}(HANDLE);\n", service.name())).collect();
    write(&directory, "user.c", user.replace("DECLARATIONS\n", &prototypes).as_bytes());
    run(&directory, "gcc", &["-m32", "-ffreestanding", "-Wall", "-Werror", "-c", "user.c", "-o", "user.o"]);
}
