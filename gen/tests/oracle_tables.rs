//! Tables against tools that are not ours: gcc must compile them, and what stands in the object file must be what the
//! list says.
//!
//! `cargo test -p ntgate-gen --test oracle_tables -- --ignored`, on a machine with binutils and `gcc -m32`.

mod tools;

use ntgate_gen::Arch;
use ntgate_gen::emit::{Format, Options, emit};

use tools::{lists, run, write};

#[test]
#[ignore = "needs binutils and gcc"]
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
