//! The builder for `build.rs`: files, and what Cargo is told. `tests/build_rs.rs` of the root package runs it in Cargo.

use std::fs;
use std::path::Path;

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, Builder, Encoding, Shape, read_list};

const LIST: &[u8] = b"NtAcceptConnectPort 6\nNtClose 1\n";

/// Runs a builder; what Cargo is told, with the directory called `DIR`.
fn told(builder: &Builder, directory: &Path) -> (Result<ntgate_gen::build::Built, ntgate_gen::build::Error>, String) {
    let mut out = Vec::new();
    let built = builder.run_to(&mut out);
    let text = String::from_utf8(out).expect("it is text");
    (built, text.replace(&*directory.to_string_lossy(), "DIR"))
}

#[test]
fn outputs_are_what_emit_gives_and_written_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("two.lst");
    fs::write(&list, LIST).expect("it is written");
    let out = directory.path().join("new/out");
    let builder = Builder::new(&list)
        .arch(Arch::I386)
        .shape(Shape::Sysenter)
        .encoding(Encoding::Gnu)
        .emit(Format::Gas)
        .emit_to(Format::Bin, "stubs.raw")
        .out_dir(&out);
    let (built, text) = told(&builder, directory.path());
    assert_eq!(text, "cargo::rerun-if-changed=DIR/two.lst\n");
    let outputs = built.expect("all is well").outputs;
    let read = read_list("two.lst", LIST).expect("it is right").list;
    for (output, (name, format)) in outputs.iter().zip([("two.s", Format::Gas), ("stubs.raw", Format::Bin)]) {
        assert!(output.changed);
        assert_eq!(output.path, out.join(name));
        let options = Options::new(Arch::I386, format).shape(Shape::Sysenter).encoding(Encoding::Gnu);
        assert_eq!(fs::read(&output.path).expect("it is there"), emit(&read, &options).expect("it can be"));
    }
    let (again, _) = told(&builder, directory.path());
    assert!(again.expect("all is well").outputs.iter().all(|output| !output.changed));
}

#[test]
fn a_shape_brings_its_architecture() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("two.lst");
    fs::write(&list, LIST).expect("it is written");
    let builder = Builder::new(&list).shape(Shape::Svc).emit(Format::Bin).out_dir(directory.path());
    let outputs = builder.run_to(&mut Vec::new()).expect("all is well").outputs;
    assert_eq!(fs::read(&outputs[0].path).expect("it is there")[..4], 0xd400_0001u32.to_le_bytes());
}

#[test]
fn mistakes_are_cargo_errors_with_their_places() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("bad.lst");
    fs::write(&list, "NtA 1\nNtB\nNtA 2\n").expect("it is written");
    let builder = Builder::new(&list).arch(Arch::I386).emit(Format::Gas).out_dir(directory.path().join("out"));
    let (built, text) = told(&builder, directory.path());
    let error = built.expect_err("there are two");
    assert_eq!(error.diagnostics().expect("of the list").error_count(), 2);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[1].starts_with("cargo::error=DIR/bad.lst:2:4: error: `NtB` has no argument count [E001]; write "),
        "{text}"
    );
    assert!(lines[2].starts_with("cargo::error=DIR/bad.lst:3:1: error: "), "{text}");
    // Nothing is written, and no directory made.
    assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 1);
}

#[test]
fn warnings_are_cargo_warnings() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("odd.lst");
    fs::write(&list, "NtA 010\n").expect("it is written");
    let builder = Builder::new(&list).arch(Arch::I386).emit(Format::Gas).out_dir(directory.path());
    let (built, text) = told(&builder, directory.path());
    assert!(built.is_ok());
    assert!(text.contains("\ncargo::warning=DIR/odd.lst:1:5: warning: "), "{text}");
}

#[test]
fn what_cannot_be_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("two.lst");
    fs::write(&list, LIST).expect("it is written");
    let base = || Builder::new(&list).arch(Arch::I386).out_dir(directory.path());
    let missing = Builder::new(directory.path().join("none.lst")).arch(Arch::I386).emit(Format::Gas);
    for (builder, message, is_io) in [
        (missing, "cannot read DIR/none.lst: ", true),
        (
            base().shape(Shape::Syscall).emit(Format::Gas),
            "DIR/two.lst: the shape syscall is for amd64, not i386",
            false,
        ),
        (base().shape(Shape::Zw).emit(Format::Bin), "DIR/two.lst: the format bin cannot hold the shape zw: ", false),
        (base().emit_to(Format::Gas, "no/such/out.s"), "cannot write DIR/no/such/out.s: ", true),
        (base().emit(Format::Gas).out_dir(&list), "cannot make DIR/two.lst: ", true),
    ] {
        let (built, text) = told(&builder, directory.path());
        assert_eq!(built.expect_err(message).is_io(), is_io, "{message}");
        assert!(text.contains(&format!("\ncargo::error={message}")), "{text}");
    }
    assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 1);
}

#[test]
fn what_only_cargo_knows_must_be_said_elsewhere() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("two.lst");
    fs::write(&list, LIST).expect("it is written");
    // Tests are not build scripts: Cargo sets neither of these for them.
    let (built, text) = told(&Builder::new(&list).out_dir(directory.path()).emit(Format::Gas), directory.path());
    assert!(built.is_err());
    assert!(text.contains("CARGO_CFG_TARGET_ARCH is not set: call this in a build script, or say"), "{text}");
    let (built, text) = told(&Builder::new(&list).arch(Arch::I386).emit(Format::Gas), directory.path());
    assert!(built.is_err());
    assert!(text.contains("OUT_DIR is not set: call this in a build script, or say"), "{text}");
}

#[test]
fn no_output_takes_the_place_of_another_or_of_the_list() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("two.lst");
    fs::write(&list, LIST).expect("it is written");
    fs::create_dir(directory.path().join("sub")).expect("it is made");
    let base = || Builder::new(&list).arch(Arch::I386).out_dir(directory.path()).emit(Format::Gas);
    for (builder, message) in [
        (
            base().emit(Format::Masm).emit(Format::Nasm),
            "DIR/two.asm is another output too; give the output another name",
        ),
        (base().emit_to(Format::Bin, "sub/../two.s"), "DIR/sub/../two.s is another output too"),
        (base().emit(Format::List), "DIR/two.lst is the list itself; give the output another name"),
        (base().emit_to(Format::Bin, "sub/../two.lst"), "DIR/sub/../two.lst is the list itself"),
    ] {
        let (built, text) = told(&builder, directory.path());
        assert!(!built.expect_err(message).is_io());
        assert!(text.contains(&format!("\ncargo::error={message}")), "{text}");
        assert_eq!(fs::read(&list).expect("it is there"), LIST);
        assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 2, "{message}");
    }
    let builder = base().emit(Format::Masm).emit_to(Format::Nasm, "two.nasm");
    assert_eq!(builder.run_to(&mut Vec::new()).expect("all is well").outputs.len(), 3);
}

#[test]
fn of_many_outputs_all_are_written_or_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let list = directory.path().join("two.lst");
    fs::write(&list, LIST).expect("it is written");
    let builder = Builder::new(&list).arch(Arch::I386).out_dir(directory.path());
    let builder = builder.emit(Format::Gas).emit_to(Format::Bin, "no/such/out.bin");
    assert!(builder.run_to(&mut Vec::new()).expect_err("the second cannot be written").is_io());
    assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 1);
}
