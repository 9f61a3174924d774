//! The example of services in Rust, as its users run it: on every system the same, but for the way in and the number.

use std::process::Command;

use ntgate::ntgate_runtime::host::profiles;

#[test]
fn hello_is_the_same_on_every_system() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--locked", "--example", "hello_ntdll"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("it is text");
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), profiles());
    for row in &rows {
        let [profile, entry, service, number, hello] = row[..] else { panic!("{row:?}") };
        assert_eq!((service, hello), ("NtWriteFile", "hello"), "{profile}");
        let way = match profile {
            "nt4" | "win2000" => "int2e",
            _ if profile.ends_with("64") => "syscall",
            _ => "sysenter",
        };
        assert_eq!(entry, way, "{profile}");
        assert!(number.ends_with('h'), "{profile}: {number}");
    }
}
