//! The import library: what a reader finds, and what linkers make of a C program with it.

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, Shape, stub};
use object::read::archive::ArchiveFile;
use object::read::coff::{CoffFile, ImportFile, ImportName};
use object::{FileKind, Object, ObjectSymbol};

use crate::expected::lists;
use crate::tools::Bench;

#[test]
fn every_name_of_every_service_is_imported_from_ntdll() {
    for list in lists() {
        for arch in Arch::ALL {
            let bytes = emit(&list, &Options::new(arch, Format::Implib)).expect("it needs nothing");
            let archive = ArchiveFile::parse(&*bytes).expect("it is an archive");
            let mut imports = Vec::new();
            let mut frame = Vec::new();
            for member in archive.members() {
                let member = member.expect("it can be read");
                assert_eq!(member.name(), b"ntdll.dll");
                let data = member.data(&*bytes).expect("it is there");
                match FileKind::parse(data).expect("it has a kind") {
                    FileKind::CoffImport => {
                        let import = ImportFile::parse(data).expect("it is right");
                        assert_eq!(import.dll(), b"ntdll.dll");
                        let ImportName::Name(name) = import.import() else { panic!("it is by name") };
                        imports.push((text(import.symbol()), text(name)));
                    }
                    _ => {
                        let object = CoffFile::<_>::parse(data).expect("it is right");
                        let defined = object.symbols().filter(|symbol| symbol.is_global() && symbol.is_definition());
                        frame.extend(defined.map(|symbol| symbol.name().expect("it is text").to_owned()));
                    }
                }
            }
            let expected: Vec<_> = list
                .services()
                .flat_map(|service| {
                    let shape = Shape::default_for(arch);
                    let stub = stub::build(shape, service, shape.default_encoding());
                    stub.symbols.into_iter().zip([service.name().nt().to_owned(), service.name().zw()])
                })
                .collect();
            assert_eq!(imports, expected, "{arch}");
            assert_eq!(
                frame,
                ["__IMPORT_DESCRIPTOR_ntdll", "__NULL_IMPORT_DESCRIPTOR", "\u{7f}ntdll_NULL_THUNK_DATA"],
                "{arch}"
            );
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it is text")
}

/// Calls through the pointer and through the jump.
const PROGRAM: &str = "\
typedef void *HANDLE;
__declspec(dllimport) long __stdcall NtClose(HANDLE handle);
long __stdcall ZwYieldExecution(void);
int start(void) { return NtClose(0) + ZwYieldExecution(); }
";

/// The compiler's prefix, the name of `start`, and its linker's options of a machine.
const TARGETS: [(Arch, &str, &str, &str); 2] =
    [(Arch::I386, "i686-w64-mingw32", "_start", "x86"), (Arch::Amd64, "x86_64-w64-mingw32", "start", "x64")];

fn write_inputs(bench: &Bench, arch: Arch, prefix: &str) {
    let [list, _] = lists();
    bench.write("ntdll.lib", emit(&list, &Options::new(arch, Format::Implib)).expect("it needs nothing"));
    bench.write("program.c", PROGRAM);
    bench.run(&format!("{prefix}-gcc"), &["-c", "-O1", "-o", "program.o", "program.c"]);
}

/// The names that an image imports, by objdump's listing: `DLL Name: ntdll.dll`, then a row for each.
fn imported(bench: &Bench, prefix: &str) -> Vec<String> {
    let text = bench.run(&format!("{prefix}-objdump"), &["-p", "out.exe"]);
    let table = text.split("DLL Name: ").nth(1).expect("it imports something");
    assert_eq!(text.matches("DLL Name: ").count(), 1, "{text}");
    let mut lines = table.lines();
    let dll = lines.next().expect("the name").to_owned();
    let rows = lines.skip(1).take_while(|line| !line.is_empty());
    let mut names: Vec<_> = rows.map(|row| row.split_whitespace().last().expect("a name").to_owned()).collect();
    names.sort_unstable();
    names.insert(0, dll);
    names
}

#[test]
#[ignore = "needs mingw-w64"]
fn a_c_program_that_mingw_links_imports_ntclose_of_ntdll() {
    for (arch, prefix, entry, _) in TARGETS {
        let bench = Bench::new();
        write_inputs(&bench, arch, prefix);
        bench.run(&format!("{prefix}-ld"), &["-e", entry, "-o", "out.exe", "program.o", "ntdll.lib"]);
        assert_eq!(imported(&bench, prefix), ["ntdll.dll", "NtClose", "ZwYieldExecution"], "{arch}");
    }
}

#[test]
#[ignore = "needs mingw-w64 and lld"]
fn a_c_program_that_lld_links_imports_ntclose_of_ntdll() {
    for (arch, prefix, _, machine) in TARGETS {
        let bench = Bench::new();
        write_inputs(&bench, arch, prefix);
        let machine = format!("/machine:{machine}");
        let mut options = vec!["/entry:start", "/subsystem:console", "/nodefaultlib", &machine, "/out:out.exe"];
        if arch == Arch::I386 {
            // gcc does not say that its objects have no handlers.
            options.push("/safeseh:no");
        }
        bench.run("lld-link", &[&options[..], &["program.o", "ntdll.lib"]].concat());
        assert_eq!(imported(&bench, prefix), ["ntdll.dll", "NtClose", "ZwYieldExecution"], "{arch}");
    }
}
