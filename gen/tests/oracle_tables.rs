//! Tables against tools that are not ours: gcc must compile them, and what stands in the object file must be what the
//! list says.
//!
//! `cargo test -p ntgate-gen --test oracle_tables -- --ignored`, on a machine with binutils and `gcc -m32`.

mod tools;

use std::collections::HashMap;
use std::process::Command;

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, Service, ServiceList, ServiceTable, read_list, table};
use tempfile::TempDir;

use tools::{lists, run, write};

/// The default list, and one with two tables and holes that every architecture can hold.
fn table_lists(arch: Arch) -> [ServiceList; 2] {
    let [default, stress] = lists();
    let amd64 = || {
        let mut text = String::from("NtA 63/19\nNtB 4 @0x20\n#! table win32k base=0x1000\n");
        text.extend((0..=31).map(|args| format!("NtGdi{args} {}/{} @{}\n", args, args.min(19), 0x1000 + 3 * args)));
        read_list("amd64.lst", text.as_bytes()).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).list
    };
    [default, if arch == Arch::I386 { stress } else { amd64() }]
}

#[test]
#[ignore = "needs binutils and gcc"]
fn gcc_compiles_the_tables() {
    for (arch, machine) in [(Arch::I386, "-m32"), (Arch::Amd64, "-m64")] {
        for list in table_lists(arch) {
            let directory = tempfile::tempdir().expect("a directory");
            let table = emit(&list, &Options::new(arch, Format::Table)).expect("there are tables");
            write(&directory, "table.c", &table);
            let flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-pic"];
            run(&directory, "gcc", &[&[machine], &flags[..], &["-c", "table.c", "-o", "table.o"]].concat());
            run(&directory, "objcopy", &["-O", "binary", "-j", ".data", "table.o", "data.bin"]);
            for table in list.tables() {
                check_table(&directory, arch, table);
            }
            if list.tables().len() > 1 {
                check_descriptors(&directory, arch, &list);
            }
        }
    }
}

/// What is in the object file of a table, and what the linker is to put there.
fn check_table(directory: &TempDir, arch: Arch, table: &ServiceTable) {
    let data = std::fs::read(directory.path().join("data.bin")).expect("objcopy made it");
    let (symbols, relocations) = (symbols(directory), relocations(directory));
    let at = |suffix: &str| symbols[&format!("{}{suffix}", c_name(table))];
    let count = at("NumberOfSysCalls");
    assert_eq!(data[count..count + 4], table.limit().to_le_bytes());
    let (ssdt, sspt) = (at("SSDT"), at("SSPT"));
    for (index, row) in table.rows().enumerate() {
        let bytes = row.map_or(0, |service| service.arg_bytes(arch));
        assert_eq!(u32::from(data[sspt + index]), bytes);
        if let Some(service) = row {
            let at = ssdt + index * arch.word_bytes() as usize;
            assert_eq!(relocations[&at], service.name().nt(), "{at:x}");
        }
    }
}

fn check_descriptors(directory: &TempDir, arch: Arch, list: &ServiceList) {
    let (symbols, relocations) = (symbols(directory), relocations(directory));
    let word = arch.word_bytes() as usize;
    for table in list.tables() {
        let (index, row) = table::locate(table.base());
        assert_eq!(row, 0);
        // Base, Count, Limit, Number, each as wide as a pointer with what fills it up.
        let at = symbols["NtgateTables"] + 4 * word * index as usize;
        let data = std::fs::read(directory.path().join("data.bin")).expect("objcopy made it");
        assert_eq!(data[at + 2 * word..at + 2 * word + 4], table.limit().to_le_bytes());
        for (offset, suffix) in [(0, "SSDT"), (3 * word, "SSPT")] {
            let name = format!("{}{suffix}", c_name(table));
            assert_eq!(relocations[&(at + offset)], name);
        }
    }
}

/// `packed_table` by the linker and by the C routine, each against our own packing, in a program that is run.
#[test]
#[ignore = "needs binutils and gcc"]
fn the_linker_and_the_c_routine_pack_as_we_do() {
    for list in table_lists(Arch::Amd64) {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, format) in [("table.c", Format::Table), ("packed.ld", Format::PackedTable)] {
            write(&directory, name, &emit(&list, &Options::new(Arch::Amd64, format)).expect("there are tables"));
        }
        write(&directory, "main.c", packing_program(&list).as_bytes());
        // In an output section of its own, beside those of the linker's own script. The names of the C tables are others.
        let script = "SECTIONS { .ssdt : { INCLUDE packed.ld } } INSERT AFTER .rodata;";
        write(&directory, "script.ld", script.as_bytes());
        let flags =
            ["-m64", "-O1", "-no-pie", "-fno-pic", "-Wall", "-Werror", "-Wl,-T,script.ld", "-o", "main", "main.c"];
        run(&directory, "gcc", &flags);
        let program = directory.path().join("main");
        let printed = run(&directory, program.to_str().expect("the path is text"), &[]);
        check_packing(&list, &printed);
    }
}

/// Routines at far and near places, and a main that prints for each row: its table's address, its routine's address,
/// the linker's entry, the C routine's table's address and its entry.
fn packing_program(list: &ServiceList) -> String {
    let mut text = String::from("#include <stdio.h>\n#define NTGATE_HAVE_PROTOTYPES\n#define NTAPI\n");
    for service in list.services() {
        text.push_str(&format!("int {}(void) {{ return {}; }}\n", service.name(), service.number()));
    }
    for table in list.tables() {
        let name = c_name(table);
        text.push_str(&format!("#define {name}SSDT C{name}SSDT\n#define {name}SSPT C{name}SSPT\n"));
        text.push_str(&format!("#define {name}NumberOfSysCalls C{name}NumberOfSysCalls\n"));
    }
    // The linker's tables need the routine too, which is static in C.
    text.push_str("#include \"table.c\"\n__asm__(\".globl NtgateNoService\");\n");
    let mut main = String::new();
    for table in list.tables() {
        let name = c_name(table);
        text.push_str(&format!("#undef {name}SSDT\n#undef {name}SSPT\n#undef {name}NumberOfSysCalls\n"));
        text.push_str(&format!("extern int {name}SSDT[]; extern unsigned char {name}SSPT[];\n"));
        text.push_str(&format!(
            "extern unsigned int {name}NumberOfSysCalls; static int {name}Packed[{}];\n",
            table.limit()
        ));
        main.push_str(&format!(
            "  if (NtgatePackTable({name}Packed, C{name}SSDT, C{name}SSPT, C{name}NumberOfSysCalls) != {}) return 1;\n  \
             for (unsigned row = 0; row < {name}NumberOfSysCalls; row++)\n    \
             printf(\"%llx %llx %x %llx %x %x\\n\", (unsigned long long){name}SSDT, (unsigned long long)C{name}SSDT[row],\n           \
             (unsigned){name}SSDT[row], (unsigned long long){name}Packed, (unsigned){name}Packed[row], {name}SSPT[row]);\n",
            table.limit(),
        ));
    }
    text.push_str(&format!("int main(void)\n{{\n{main}  return 0;\n}}\n"));
    text
}

fn check_packing(list: &ServiceList, printed: &str) {
    let mut lines = printed.lines();
    for table in list.tables() {
        let rows: Vec<Vec<u64>> = lines
            .by_ref()
            .take(table.limit() as usize)
            .map(|line| line.split(' ').map(|word| u64::from_str_radix(word, 16).expect("a number")).collect())
            .collect();
        assert_eq!(rows.len(), table.limit() as usize);
        let hole = table.rows().position(|row| row.is_none()).map_or(0, |index| rows[index][1]);
        let address = |row: Option<&Service>| row.map_or(hole, |row| rows[(row.number() - table.base()) as usize][1]);
        let linked = table::pack(table, rows[0][0], &address).expect("all of it is near");
        let packed = table::pack(table, rows[0][3], &address).expect("all of it is near");
        for (index, row) in table.rows().enumerate() {
            assert_eq!(rows[index][2], u64::from(linked[index]), "linker, row {index}");
            assert_eq!(rows[index][4], u64::from(packed[index]), "C, row {index}");
            assert_eq!(rows[index][5], row.map_or(0, |row| u64::from(row.arg_bytes(Arch::Amd64))));
        }
    }
    assert_eq!(lines.next(), None);
}

#[test]
#[ignore = "needs binutils and gcc"]
fn the_linker_refuses_what_is_too_far() {
    let directory = tempfile::tempdir().expect("a directory");
    let read = read_list("far.lst", b"NtNear 0\nNtFar 0\nNtBelow 0\n").expect("the list is right");
    let packed = emit(&read.list, &Options::new(Arch::Amd64, Format::PackedTable)).expect("there are tables");
    write(&directory, "packed.ld", &packed);
    // The linker wants something to link.
    write(&directory, "x.s", b"");
    run(&directory, "as", &["--64", "-o", "x.o", "x.s"]);
    let link = |far: u64, below: u64| {
        let script = format!(
            "NtNear = 0x40001000; NtFar = {far:#x}; NtBelow = {below:#x}; ENTRY(NtNear)
            SECTIONS {{ .rdata 0x40000000 : {{ INCLUDE packed.ld }} }}"
        );
        write(&directory, "script.ld", script.as_bytes());
        let output = Command::new("ld").args(["-T", "script.ld", "-o", "x", "x.o"]).current_dir(&directory).output();
        String::from_utf8_lossy(&output.expect("ld runs").stderr).into_owned()
    };
    // The table stands at 40000004h, behind its count.
    assert_eq!(link(0x4800_0003, 0x3800_0004), "");
    run(&directory, "objcopy", &["-O", "binary", "-j", ".rdata", "x", "x.bin"]);
    let entries = std::fs::read(directory.path().join("x.bin")).expect("objcopy made it");
    assert_eq!(entries[8..16], *b"\xf0\xff\xff\x7f\0\0\0\x80");
    assert!(link(0x4800_0004, 0x3800_0004).contains("NtFar is 128 MiB or more from MainSSDT"));
    assert!(link(0x4800_0003, 0x3800_0003).contains("NtBelow is 128 MiB or more from MainSSDT"));
}

fn c_name(table: &ServiceTable) -> &'static str {
    if table.base() == 0 { "Main" } else { "Win32k" }
}

/// The symbols of the table's object file.
fn symbols(directory: &TempDir) -> HashMap<String, usize> {
    let listing = run(directory, "nm", &["table.o"]);
    let words = listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let defined = words.filter(|words| words.len() == 3);
    defined.map(|words| (words[2].to_owned(), usize::from_str_radix(words[0], 16).expect("an address"))).collect()
}

/// The relocations of its data: what each place refers to. Of two symbols of one address either may be named.
fn relocations(directory: &TempDir) -> HashMap<usize, String> {
    let listing = run(directory, "objdump", &["-r", "-j", ".data", "table.o"]);
    let words = listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows = words.filter(|words| words.len() == 3 && words[1].starts_with("R_"));
    rows.map(|words| (usize::from_str_radix(words[0], 16).expect("an offset"), words[2].to_owned())).collect()
}

#[test]
#[ignore = "needs binutils and gcc"]
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
