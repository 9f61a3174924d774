//! Stubs against tools that are not ours: GNU as must make our bytes of our text, for arm64 llvm-mc must, and objdump
//! must read our bytes as our instructions. Tables are in `oracle_tables.rs`.
//!
//! `cargo test -p ntgate-gen --test oracle -- --ignored`, on a machine with binutils and llvm.

mod tools;

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::stub::{self, Code, CodeRelocation, Stub};
use ntgate_gen::{Arch, Encoding, ServiceList, Shape};
use tempfile::TempDir;

use tools::{lists, run, write};

fn shapes() -> impl Iterator<Item = Shape> {
    Arch::ALL.into_iter().flat_map(Shape::of).copied()
}

fn options(format: Format, shape: Shape, encoding: Encoding) -> Options {
    Options::new(shape.arch(), format).shape(shape).encoding(encoding)
}

/// Assembles our text; the bytes of the code section.
fn assemble(directory: &TempDir, arch: Arch, gas: &[u8]) -> Vec<u8> {
    write(directory, "x.s", gas);
    let (assembler, copier) = match arch {
        Arch::I386 => (["as", "--32"].as_slice(), "objcopy"),
        Arch::Amd64 => (["as", "--64"].as_slice(), "objcopy"),
        Arch::Arm64 => (["llvm-mc", "-triple=aarch64", "-filetype=obj"].as_slice(), "llvm-objcopy"),
    };
    run(directory, assembler[0], &[&assembler[1..], &["-o", "x.o", "x.s"]].concat());
    run(directory, copier, &["-O", "binary", "-j", ".text", "x.o", "x.bin"]);
    std::fs::read(directory.path().join("x.bin")).expect("objcopy made it")
}

#[test]
#[ignore = "needs binutils and llvm"]
fn as_makes_our_bytes() {
    let directory = tempfile::tempdir().expect("a directory");
    for (index, list) in lists().iter().enumerate() {
        for shape in shapes() {
            for encoding in Encoding::ALL {
                let what = format!("list {index}, {shape}, {encoding}");
                let gas = emit(list, &options(Format::Gas, shape, encoding)).expect("it is text");
                let assembled = assemble(&directory, shape.arch(), &gas);
                assert!(assembled == our_bytes(list, shape, encoding), "{what}");
                if !shape.is_kernel() {
                    let bin = emit(list, &options(Format::Bin, shape, encoding)).expect("it has no relocations");
                    assert!(assembled == bin, "{what}");
                }
            }
        }
    }
}

/// The stubs at multiples of 16 bytes. The linker's fields hold what as leaves there for ELF: on i386 the distance from
/// the end of the field, which is -4; on amd64 it is in the relocation.
fn our_bytes(list: &ServiceList, shape: Shape, encoding: Encoding) -> Vec<u8> {
    let mut bytes = Vec::new();
    for service in list.services() {
        let mut code = stub::build(shape, service, encoding).encode().expect("a built stub encodes");
        for relocation in code.relocations.iter().filter(|_| shape.arch() == Arch::I386) {
            code.bytes[relocation.offset..relocation.offset + 4].copy_from_slice(&(-4i32).to_le_bytes());
        }
        let filler = if shape.arch() == Arch::Arm64 { 0 } else { 0xcc };
        bytes.resize(bytes.len().next_multiple_of(16), filler);
        bytes.extend(code.bytes);
    }
    bytes
}

#[test]
#[ignore = "needs binutils and llvm"]
fn as_makes_our_symbols_and_relocations() {
    let directory = tempfile::tempdir().expect("a directory");
    let [list, _] = lists();
    for shape in shapes().filter(|shape| shape.arch() != Arch::Arm64) {
        let gas = emit(&list, &options(Format::Gas, shape, shape.default_encoding())).expect("it is text");
        assemble(&directory, shape.arch(), &gas);
        let digits = 2 * shape.arch().word_bytes() as usize;
        let symbols = run(&directory, "nm", &["x.o"]);
        let relocations = run(&directory, "objdump", &["-r", "x.o"]);
        let mut expected = 0;
        for (start, stub) in placed(&list, shape) {
            for symbol in &stub.symbols {
                let row = format!("{start:0digits$x} T {symbol}\n");
                assert!(symbols.contains(&row), "{symbol} at {start:x}");
            }
            let code = stub.encode().expect("a built stub encodes");
            for relocation in &code.relocations {
                let offset = start + relocation.offset;
                let row = relocations.lines().find(|row| row.starts_with(&format!("{offset:0digits$x} ")));
                let words: Vec<_> = row.unwrap_or_default().split_whitespace().collect();
                assert_eq!(words[1..], relocation_words(shape, &code, relocation), "{offset:x}");
                expected += 1;
            }
        }
        assert_eq!(relocations.matches(" R_").count(), expected, "{shape}");
    }
}

/// The type and the value of a relocation in objdump's words. On amd64 as lets the linker send a jump through a table;
/// where there is none this is the distance to the symbol, too.
fn relocation_words(shape: Shape, code: &Code, relocation: &CodeRelocation) -> [String; 2] {
    let is_jump = code.bytes[relocation.offset - 1] == 0xe9;
    match shape.arch() {
        Arch::I386 => ["R_386_PC32".to_owned(), relocation.symbol.clone()],
        _ => {
            let kind = if is_jump { "R_X86_64_PLT32" } else { "R_X86_64_PC32" };
            [kind.to_owned(), format!("{}-0x0000000000000004", relocation.symbol)]
        }
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
#[ignore = "needs binutils and llvm"]
fn objdump_reads_our_instructions() {
    let directory = tempfile::tempdir().expect("a directory");
    let [list, _] = lists();
    for shape in shapes().filter(|shape| shape.arch() != Arch::Arm64) {
        let machine = if shape.arch() == Arch::I386 { "i386" } else { "i386:x86-64" };
        for encoding in Encoding::ALL {
            for service in list.services().step_by(37) {
                let stub = stub::build(shape, service, encoding);
                let code = stub.encode().expect("a built stub encodes");
                write(&directory, "x.bin", &code.bytes);
                let options = ["-D", "--insn-width=16", "-b", "binary", "-m", machine, "x.bin"];
                let listing = run(&directory, "objdump", &options);
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
/// suffix of `pushfl` and `calll`, labels, and where a branch goes or `lea` points.
fn normalize(text: &str) -> String {
    let text = text.strip_prefix("1: ").unwrap_or(text);
    let text = text.split_once(" # ").map_or(text, |(code, _)| code);
    let mut words = text.split_whitespace();
    let mnemonic = words.next().unwrap_or_default();
    let mnemonic = match mnemonic {
        "pushfl" | "pushfq" => "pushf",
        "calll" => "call",
        other => other,
    };
    let operands = words.collect::<String>();
    match mnemonic {
        "call" | "jmp" | "jne" if !operands.starts_with('*') => mnemonic.to_owned(),
        "lea" if operands.contains("(%rip)") => {
            format!("lea {}", &operands[operands.find("(%rip)").unwrap_or_default()..])
        }
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
