//! `docs/schema/gen.json` against an implementation of JSON Schema that is not ours, and our output against it.
//!
//! `cargo test -p ntgate-gen --test schema -- --ignored`, on a machine with Python's `jsonschema` (Debian:
//! `python3-jsonschema`). A crate for this would bring some forty others for one test.

#![cfg(feature = "json")]

mod tools;

use std::path::Path;
use std::process::Command;

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, Shape, read_list};

use tools::{lists, write};

/// Checks the schema itself, then each file; says what is wrong and ends with status 1.
const VALIDATE: &str = include_str!("../../docs/schema/validate.py");

fn validate(directory: &Path, files: &[String]) -> (bool, String) {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema/gen.json");
    let mut command = Command::new("python3");
    let output = command.args(["-c", VALIDATE]).arg(schema).args(files).current_dir(directory).output();
    let output = output.expect("python3 runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("Error"), "{errors}");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
#[ignore = "needs python3-jsonschema"]
fn what_is_written_fits_the_schema() {
    let directory = tempfile::tempdir().expect("a directory");
    let extensions = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs/good/extensions.lst");
    let extensions =
        read_list("extensions.lst", &std::fs::read(extensions).expect("it is there")).expect("it is right");
    let [default, stress] = lists();
    let mut files = Vec::new();
    for list in [&default, &stress, &extensions.list] {
        for shape in Arch::ALL.into_iter().flat_map(Shape::of).copied() {
            let name = format!("{}.json", files.len());
            let options = Options::new(shape.arch(), Format::Json).shape(shape);
            write(&directory, &name, &emit(list, &options).expect("it is data"));
            files.push(name);
        }
    }
    assert_eq!(validate(directory.path(), &files), (true, "\n".to_owned()));
}

#[test]
#[ignore = "needs python3-jsonschema"]
fn what_does_not_fit_the_schema_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let read = read_list("one.lst", b"NtClose 1\n").expect("it is right");
    let bytes = emit(&read.list, &Options::new(Arch::I386, Format::Json)).expect("it is data");
    let text = String::from_utf8(bytes).expect("it is text");
    for (from, to) in [
        (r#""version": 1"#, r#""version": 2"#),
        (r#""arch": "i386""#, r#""arch": "vax""#),
        (r#""number": 0"#, r#""number": "0""#),
        (r#""code": "b8"#, r#""code": "B8"#),
        (r#""table": "main","#, ""),
    ] {
        assert!(text.contains(from));
        write(&directory, "bad.json", text.replacen(from, to, 1).as_bytes());
        let (fits, told) = validate(directory.path(), &["bad.json".to_owned()]);
        assert!(!fits && told.len() > 1, "{to}");
    }
}
