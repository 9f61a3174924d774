//! `docs/schema/audit.json` against an implementation of JSON Schema that is not ours, and our output against it.

use std::path::Path;
use std::process::Command;

use ntgate_gen::Arch;
use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::read::Services;
use ntgate_gen::read_list;
use ntgate_runtime::audit::contract::Contract;
use ntgate_runtime::audit::report::{Audited, against, json};

use super::audited;
use super::dll::{Dll, stub_32};

const VALIDATE: &str = "\
import json, sys
from jsonschema import Draft202012Validator as Validator
schema = json.load(open(sys.argv[1]))
Validator.check_schema(schema)
errors = list(Validator(schema).iter_errors(json.load(open(sys.argv[2]))))
print(*(error.message for error in errors[:3]), sep='\\n')
sys.exit(bool(errors))
";

fn validate(text: &str) -> (bool, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("audit.json");
    std::fs::write(&file, text).expect("it is written");
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema/audit.json");
    let output = Command::new("python3").args(["-c", VALIDATE]).arg(schema).arg(file).output().expect("python3 runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("Error"), "{errors}");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Everything that can be in it: hooks, aliases, forwarders, contracts, differences, an archive.
fn document() -> String {
    let mut dll = Dll::new(Arch::I386);
    let stub = dll.add("NtA", &stub_32(1, 4));
    dll.export("Old", stub);
    dll.add("NtB", &[0xE9, 0, 0, 0, 0x10]);
    dll.add("NtC", &stub_32(3, 8));
    dll.add("NtD", &[0xC3]);
    dll.forward("NtE", "ntdll.NtE");
    let read = read_list("x.lst", b"NtA 1\nNtB 2\nNtC 2\n").expect("it is right");
    let mut file = Audited::new("x.dll", audited(&dll.bytes()));
    file.contracts = Contract::ALL.map(|contract| contract.check(&file.audit)).to_vec();
    file.against = against("x.dll", &file.audit, &Services::of_list("x.lst", &read.list)).ok();
    assert!(file.against.is_some());
    let archive = emit(&read.list, &Options::new(Arch::Amd64, Format::Archive)).expect("it is an archive");
    json(&[file, Audited::new("x.a", audited(&archive))])
}

#[test]
#[ignore = "needs python3-jsonschema"]
fn what_is_written_fits_the_schema() {
    assert_eq!(validate(&document()), (true, "\n".to_owned()));
}

#[test]
#[ignore = "needs python3-jsonschema"]
fn what_does_not_fit_the_schema_is_told() {
    let text = document();
    for (from, to) in [
        (r#""version": 1"#, r#""version": 2"#),
        (r#""arch": "i386""#, r#""arch": "vax""#),
        (r#""class": "service""#, r#""class": "stub""#),
        (r#""way": "sysenter""#, r#""way": "door""#),
        (r#""number": 1,"#, r#""number": "1","#),
        (r#""bytes": "b8"#, r#""bytes": "B8"#),
    ] {
        assert!(text.contains(from), "{from}");
        let (fits, told) = validate(&text.replacen(from, to, 1));
        assert!(!fits && told.len() > 1, "{to}");
    }
}
