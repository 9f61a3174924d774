//! Crates that use the macros, each its own workspace in `tests/consumers`: Cargo builds and runs them, and what rustc and
//! its assembler have made of the stubs is read back from the libraries and proven.

#[path = "consumers/cargo.rs"]
mod cargo;
#[path = "consumers/code.rs"]
mod code;

use std::fs;

use cargo::{Consumer, write};
use code::Library;
use ntgate_gen::{Arch, ServiceList, Shape, read_list};

const PROGRAM: &[u8] = include_bytes!("consumers/program/services.lst");
const KERNEL: &[u8] = include_bytes!("consumers/kernel/services.lst");
const SYSFUNCS: &[u8] = include_bytes!("../sysfuncs.lst");

fn list(bytes: &[u8]) -> ServiceList {
    read_list("services.lst", bytes).expect("the list is right").list
}

/// The module of the program that has a shape's stubs.
fn module(shape: Shape) -> String {
    shape.name().replace('-', "_")
}

/// Proves the functions of a module of a library.
#[track_caller]
fn functions_hold(library: &Library, module: &str, shape: Shape, bytes: &[u8]) {
    let name = |nt: &str| if shape.is_kernel() { nt.replacen("Nt", "Zw", 1) } else { nt.to_owned() };
    let report = library.prove(&list(bytes), shape, &|nt| library.function(module, &name(nt)));
    assert!(report.holds(), "{module}: {}", report.render(false));
    assert!(!report.runs.is_empty() && report.runs.iter().all(|run| run.proven == list(bytes).services().count()));
}

/// Proves the code behind symbols of i386.
#[track_caller]
fn symbols_hold(library: &Library, shape: Shape, bytes: &[u8]) {
    let list = list(bytes);
    let symbol = |nt: &str| {
        let service = list.services().find(|service| service.name().nt() == nt)?;
        let name = if shape.is_kernel() { service.name().zw() } else { nt.to_owned() };
        library.symbol(&format!("_{name}@{}", service.arg_bytes(Arch::I386)))
    };
    let report = library.prove(&list, shape, &symbol);
    assert!(report.holds(), "{}", report.render(false));
    assert!(!report.runs.is_empty() && report.runs.iter().all(|run| run.proven == list.services().count()));
}

#[test]
fn consumers_run() {
    for (name, says) in [
        ("kernel", "NtClose has number 0x0\n"),
        ("program", "80 bytes of i386 code\n"),
        ("tool", "NtAccessCheckByTypeResultListAndAuditAlarmByHandle\n"),
        ("renamed", "NtReadFile\n"),
    ] {
        let says = if name == "program" && cfg!(target_arch = "x86") { "71 bytes of amd64 code\n" } else { says };
        assert_eq!(Consumer::new(name).succeeds(&["run", "--quiet"]), says, "{name}");
    }
}

/// It denies warnings, missing documentation and what clippy has to say, and so do the macros.
#[test]
fn a_strict_crate_builds() {
    Consumer::new("strict").succeeds(&["build"]);
}

#[test]
#[ignore = "needs clippy"]
fn a_strict_crate_passes_clippy() {
    Consumer::new("strict").succeeds(&["clippy"]);
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn functions_of_amd64_are_proven_as_rustc_emits_them() {
    let library = Library::read(&Consumer::new("program").library(None));
    for &shape in Shape::of(Arch::Amd64).iter().filter(|shape| !shape.is_kernel()) {
        functions_hold(&library, &module(shape), shape, PROGRAM);
    }
    functions_hold(&library, "msvc", Shape::Syscall, PROGRAM);
    functions_hold(&library, "all", Shape::Syscall, SYSFUNCS);

    let kernel = Library::read(&Consumer::new("kernel").library(None));
    functions_hold(&kernel, "zw", Shape::ZwAmd64, KERNEL);
    functions_hold(&kernel, "reactos", Shape::ZwReactos, KERNEL);
}

/// 32-bit stubs that a 64-bit crate has in a `.code32` block.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn code_of_i386_is_proven_as_the_assembler_makes_it() {
    symbols_hold(&Library::read(&Consumer::new("program").library(None)), Shape::SharedEdx, SYSFUNCS);
    symbols_hold(&Library::read(&Consumer::new("kernel").library(None)), Shape::Zw, KERNEL);
}

#[test]
#[ignore = "needs rustup's targets i686-unknown-linux-gnu and i686-pc-windows-msvc"]
fn functions_of_i386_are_proven_as_rustc_emits_them() {
    for target in ["i686-unknown-linux-gnu", "i686-pc-windows-msvc"] {
        let program = Library::read(&Consumer::new("program").library(Some(target)));
        for &shape in Shape::of(Arch::I386).iter().filter(|shape| !shape.is_kernel()) {
            functions_hold(&program, &module(shape), shape, PROGRAM);
        }
        functions_hold(&program, "all32", Shape::SharedEdx, SYSFUNCS);
        // The names that C links to.
        symbols_hold(&program, Shape::SharedEdx, PROGRAM);

        let kernel = Library::read(&Consumer::new("kernel").library(Some(target)));
        functions_hold(&kernel, "i386", Shape::Zw, KERNEL);
        symbols_hold(&kernel, Shape::Zw, KERNEL);
    }
}

#[test]
#[ignore = "needs rustup's target x86_64-pc-windows-msvc"]
fn functions_of_amd64_are_proven_for_windows_too() {
    let target = "x86_64-pc-windows-msvc";
    let program = Library::read(&Consumer::new("program").library(Some(target)));
    for &shape in Shape::of(Arch::Amd64).iter().filter(|shape| !shape.is_kernel()) {
        functions_hold(&program, &module(shape), shape, PROGRAM);
    }
    let kernel = Library::read(&Consumer::new("kernel").library(Some(target)));
    functions_hold(&kernel, "zw", Shape::ZwAmd64, KERNEL);
}

/// The proof is one of the code: of another list it does not hold.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn functions_of_another_list_are_not_proven() {
    let library = Library::read(&Consumer::new("program").library(None));
    let text = String::from_utf8(PROGRAM.to_vec()).expect("it is text").replace("NtClose 1", "NtClose 1 @0x1");
    let report = library.prove(&list(text.as_bytes()), Shape::Syscall, &|nt| library.function("syscall", nt));
    // Numbers 1 and 2 in the place of 0 and 1.
    assert!(report.runs.iter().all(|run| (run.proven, run.total) == (4, 6)), "{}", report.render(false));
}

/// What the facade brings along is what the macros need at compile time, and nothing at run time.
#[test]
fn a_consumer_links_no_more_than_the_facade() {
    let tree = Consumer::new("kernel").succeeds(&["tree", "--edges", "normal,no-proc-macro", "--prefix", "none"]);
    let packages: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(packages, ["ntgate-consumer-kernel", "ntgate"]);
    let tree = Consumer::new("kernel").succeeds(&["tree", "--edges", "normal", "--prefix", "none"]);
    // Writers of objects and JSON, renderers, the command line. (`object` is there: a dependency of pest's builds with it.)
    for name in ["annotate-snippets", "serde", "serde_json", "clap", "csv", "ntgate-runtime"] {
        assert!(!tree.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}: {tree}");
    }
}

#[test]
fn a_changed_list_is_a_changed_crate() {
    let consumer = Consumer::copy_to("renamed", "renamed-changed");
    let path = consumer.file("services.lst");
    let list = fs::read_to_string(&path).expect("it is there");
    consumer.succeeds(&["run", "--quiet"]);

    write(&path, list.replace("NtYieldExecution 0", "NtYieldExecution 0\nNtOpenFile 6").as_bytes());
    let output = consumer.cargo(&["run", "--quiet"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    // NAMES[2] is another one.
    assert!(!output.status.success() && errors.contains("(\"ZwOpenFile\", 2)"), "{errors}");

    // Each macro of the crate tells of the mistake, where it names the list.
    write(&path, list.replace("NtYieldExecution 0", "NtYieldExecution").as_bytes());
    let output = consumer.cargo(&["build"]);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let place = "error: services.lst:3:17: error: `NtYieldExecution` has no argument count [E001]";
    assert!(!output.status.success());
    assert_eq!(errors.matches(place).count(), 4, "{errors}");
    assert!(errors.contains("3 | NtYieldExecution"), "{errors}");
}
