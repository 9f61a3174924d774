//! Objects and DLLs that mingw-w64's assembler and linker make of our text.

use std::path::Path;
use std::process::Command;

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::read::Services;
use ntgate_gen::{Arch, Shape, read_list};
use ntgate_runtime::audit::Kind;
use ntgate_runtime::audit::report::{against, list};

use super::audited;

fn run(directory: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).current_dir(directory).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs mingw-w64"]
fn what_mingw_makes_of_our_text_is_audited_as_ours() {
    let read = read_list("x.lst", b"NtAcceptConnectPort 6\nNtClose 1\nNtYieldExecution 0\n").expect("it is right");
    let known = Services::of_list("x.lst", &read.list);
    let prefix = |arch| if arch == Arch::I386 { "i686-w64-mingw32-" } else { "x86_64-w64-mingw32-" };
    for shape in [Arch::I386, Arch::Amd64].into_iter().flat_map(Shape::of).copied() {
        let (arch, directory) = (shape.arch(), tempfile::tempdir().expect("a directory"));
        let text = emit(&read.list, &Options::new(arch, Format::Gas).shape(shape)).expect("it is text");
        std::fs::write(directory.path().join("x.s"), text).expect("it is written");
        run(directory.path(), &format!("{}as", prefix(arch)), &["x.s", "-o", "x.o"]);
        let mut files = vec![("x.o", Kind::Coff)];
        if !shape.is_kernel() {
            let arguments = ["-shared", "-nostdlib", "-Wl,--entry=0", "-Wl,--export-all-symbols", "-o", "x.dll", "x.o"];
            run(directory.path(), &format!("{}gcc", prefix(arch)), &arguments);
            files.push(("x.dll", Kind::Pe));
        }
        for (file, kind) in files {
            let mut audit = audited(&std::fs::read(directory.path().join(file)).expect("it was made"));
            assert_eq!((audit.kind, audit.services().count()), (kind, 3), "{shape} {file}");
            assert!(audit.services().all(|service| service.shape.as_deref() == Some(shape.name())), "{shape} {file}");
            if shape == Shape::ZwReactos {
                continue;
            }
            if arch == Arch::Amd64 {
                audit.fill_counts(&known);
            }
            assert!(list(&audit).is_ok(), "{shape} {file}");
            assert!(against(file, &audit, &known).expect("they are services").holds(), "{shape} {file}");
        }
    }
}
