//! What the macros add to `cargo check` of a crate that uses them, with the list of ReactOS: a crate is checked with nothing
//! in it, and then with each macro alone. The dependencies are built before. The crate is a workspace of its own with the
//! profile that Cargo has for every crate, so that the macros run unoptimised, as they do for those who use them.
//!
//! `cargo bench --bench macros`; with `--quick` each check runs once.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const MANIFEST: &str = r#"[workspace]
[package]
name = "ntgate-check"
version = "0.0.0"
edition = "2024"
[lib]
path = "lib.rs"
[dependencies]
ntgate = { path = "ROOT", default-features = false }
"#;

/// Name, and what the crate consists of.
const CRATES: [(&str, &str); 8] = [
    ("nothing", ""),
    ("stubs!, amd64", r#"ntgate::stubs! { list = "ROOT/sysfuncs.lst", shape = "syscall" }"#),
    ("stubs!, bytes of i386", r#"ntgate::stubs! { list = "ROOT/sysfuncs.lst", shape = "shared-edx", bytes }"#),
    (
        "derive(SystemServices)",
        r#"#[derive(ntgate::SystemServices)] #[services(list = "ROOT/sysfuncs.lst", shape = "syscall")] pub struct Nt;"#,
    ),
    ("service_numbers!", r#"ntgate::service_numbers! { list = "ROOT/sysfuncs.lst", name = Service }"#),
    (
        "for_each_service!",
        r#"macro_rules! none { ($($group:tt)*) => {} }
        ntgate::for_each_service! { list = "ROOT/sysfuncs.lst", callback = none }"#,
    ),
    ("handlers alone", "HANDLERS"),
    ("service_table!", "HANDLERS TABLE"),
];

/// The crate that another one has a macro more than.
fn base(name: &str) -> &'static str {
    if name == "service_table!" { "handlers alone" } else { "nothing" }
}

const TABLE: &str =
    r#"ntgate::service_table! { list = "ROOT/sysfuncs.lst", arch = "amd64", handlers = crate::handlers }"#;

fn main() {
    let runs = if std::env::args().any(|argument| argument == "--quick") { 1 } else { 5 };
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("check");
    fs::create_dir_all(&directory).expect("it can be made");
    write(&directory, "Cargo.toml", MANIFEST);
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    fs::copy(lock, directory.join("Cargo.lock")).expect("it can be copied");
    let times = CRATES.map(|(name, source)| {
        let source = source.replace("HANDLERS", &handlers()).replace("TABLE", TABLE);
        write(&directory, "lib.rs", &source);
        check(&directory);
        let mut times: Vec<Duration> = (0..runs).map(|_| check(&directory)).collect();
        times.sort_unstable();
        (name, times[times.len() / 2])
    });
    let mut out = std::io::stdout();
    for (name, time) in times {
        let base = times.iter().find(|(other, _)| *other == base(name)).map_or(time, |&(_, time)| time);
        let more = time.saturating_sub(base).as_millis();
        writeln!(out, "{name:24}{:>6} ms{more:>8} ms more", time.as_millis()).expect("it can be written");
    }
}

/// All handlers of a table, of which there is one for each service.
fn handlers() -> String {
    let list = ntgate_gen::read_list("sysfuncs.lst", ntgate::SYSFUNCS).expect("the list is right").list;
    let handlers = list.services().map(|service| {
        let words = vec!["_: usize"; service.args(ntgate_gen::Arch::Amd64).into()].join(", ");
        format!("pub unsafe extern \"win64\" fn {}({words}) -> i32 {{ 0 }}\n", service.name())
    });
    format!("#[allow(non_snake_case)] pub mod handlers {{ {} }}\n", handlers.collect::<String>())
}

fn write(directory: &Path, name: &str, text: &str) {
    fs::write(directory.join(name), text.replace("ROOT", env!("CARGO_MANIFEST_DIR"))).expect("it can be written");
}

/// Checks the crate anew.
fn check(directory: &Path) -> Duration {
    let source: PathBuf = directory.join("lib.rs");
    let text = fs::read(&source).expect("it is there");
    fs::write(&source, text).expect("it can be written");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["check", "--quiet", "--offline"]).current_dir(directory);
    cargo.env("CARGO_TARGET_DIR", directory.join("target")).env_remove("RUSTFLAGS");
    let started = Instant::now();
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    started.elapsed()
}
