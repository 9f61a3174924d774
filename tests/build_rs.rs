//! A crate that has its stubs made by `build.rs` and linked: Cargo builds it, and what it has linked is proven on the
//! bundled machine, as are the library that it was linked with and the stubs that it carries along.
//!
//! The crate is `tests/consumers/build_rs`. It is built in a copy, beside this workspace's lock file, so that it gets the
//! dependencies that are here already.
#![cfg(target_os = "linux")]

#[path = "consumers/code.rs"]
mod code;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use code::{Code, Library};
use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, ServiceList, Shape, read_list, stub};

/// The copy. Its place is always the same, and so the dependencies are compiled once.
struct Consumer {
    directory: PathBuf,
}

impl Consumer {
    fn new() -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/consumers/build_rs");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build_rs");
        fs::create_dir_all(directory.join("src")).expect("it is made");
        for file in ["build.rs", "src/main.rs", "services.lst"] {
            copy(&source.join(file), &directory.join(file));
        }
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock"), &directory.join("Cargo.lock"));
        let manifest = fs::read_to_string(source.join("Cargo.toml")).expect("it is there");
        let gen_path = format!("{:?}", Path::new(env!("CARGO_MANIFEST_DIR")).join("gen"));
        assert!(manifest.contains("\"../../../gen\""));
        write(&directory.join("Cargo.toml"), manifest.replace("\"../../../gen\"", &gen_path).as_bytes());
        Self { directory }
    }

    fn build(&self) -> Output {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--offline", "-v"]).current_dir(&self.directory);
        cargo.env("CARGO_TARGET_DIR", self.directory.join("target")).env("CARGO_TERM_COLOR", "never");
        // Of the Cargo that runs this test; they are not this program's.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTDOCFLAGS"] {
            cargo.env_remove(name);
        }
        cargo.output().expect("cargo runs")
    }

    #[track_caller]
    fn builds(&self) -> String {
        let output = self.build();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        errors
    }

    fn program(&self) -> PathBuf {
        self.directory.join("target/debug/ntgate-consumer")
    }

    fn list(&self) -> PathBuf {
        self.directory.join("services.lst")
    }

    /// The library of the stubs, which the build script has left where Cargo told it to.
    fn library(&self) -> Vec<u8> {
        let scripts = fs::read_dir(self.directory.join("target/debug/build")).expect("cargo made it");
        let paths = scripts.map(|script| script.expect("it is there").path().join("out/libservices_stubs.a"));
        let written = |path: &PathBuf| fs::metadata(path).and_then(|file| file.modified()).ok();
        let newest = paths.filter(|path| path.exists()).max_by_key(written).expect("the script made it");
        fs::read(newest).expect("it can be read")
    }
}

/// Only what has changed, so that Cargo has nothing to do again.
fn write(path: &Path, bytes: &[u8]) {
    ntgate_gen::build::write_if_changed(path, bytes).expect("it can be written");
}

fn copy(from: &Path, to: &Path) {
    write(to, &fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())));
}

/// What the program has of the stubs is proven, and it has those that it refers to and no other.
fn check_program(consumer: &Consumer, linked: &[&str]) {
    let text = fs::read(consumer.list()).expect("it is there");
    let list = read_list("services.lst", &text).expect("it is right").list;
    let arch: Arch = std::env::consts::ARCH.parse().expect("stubs are made for it");
    let shape = Shape::default_for(arch);
    let bytes = fs::read(consumer.program()).expect("cargo made it");
    let program = Library::read_file(&bytes);
    for service in list.services() {
        for symbol in stub::build(shape, service, shape.default_encoding()).symbols {
            let wanted = linked.contains(&service.name().nt());
            assert_eq!(program.symbol(&symbol).is_some(), wanted, "{symbol}");
        }
    }
    // Both names of each stub that was linked, with the numbers that they have in the whole list.
    let part = list.services().filter(|service| linked.contains(&service.name().nt()));
    let part: String =
        part.map(|service| format!("{} {} @{}\n", service.name(), service.args(arch), service.number())).collect();
    let part = read_list("services.lst", part.as_bytes()).expect("it is right").list;
    holds(&program, &part, shape, &|service| program.symbol(service));
    holds(&program, &part, shape, &|service| program.symbol(&service.replacen("Nt", "Zw", 1)));
    // The library that it was linked with has all of them.
    let library = Library::read(&consumer.library());
    holds(&library, &list, shape, &|service| library.symbol(service));

    // What was carried along is in it too.
    let bin = emit(&list, &Options::new(Arch::I386, Format::Bin).shape(Shape::SharedEdx)).expect("it can be");
    let at = bytes.windows(bin.len()).position(|window| window == bin).expect("the stubs of i386 are in the program");
    let codes = bytes[at..at + bin.len()].chunks(16).map(|code| {
        let end = code.iter().rposition(|&byte| byte != 0xcc).map_or(0, |last| last + 1);
        Code { bytes: code[..end].to_vec(), relocations: Vec::new() }
    });
    let codes: Vec<_> = list.services().map(|service| service.name().nt().to_owned()).zip(codes).collect();
    let find = |service: &str| codes.iter().find(|(name, _)| name == service).map(|(_, code)| code);
    holds(&library, &list, Shape::SharedEdx, &find);
}

/// Proves code of every service of a list, on the list's own terms.
#[track_caller]
fn holds<'a>(library: &'a Library, list: &ServiceList, shape: Shape, find: &dyn Fn(&str) -> Option<&'a Code>) {
    let report = library.prove(list, shape, find);
    assert!(report.holds(), "{shape}: {}", report.render(false));
    assert!(!report.runs.is_empty() && report.runs.iter().all(|run| run.proven == list.services().count()), "{shape}");
}

/// One test, because there is one copy.
#[test]
fn what_a_build_script_links_is_proven() {
    let consumer = Consumer::new();
    let linked = ["NtClose", "NtWriteFile", "NtYieldExecution"];
    consumer.builds();
    check_program(&consumer, &linked);
    let output = Command::new(consumer.program()).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text.lines().count(), 5, "{text}");

    // Nothing changed, nothing is done.
    let again = consumer.builds();
    assert!(again.contains("Fresh ntgate-consumer") && !again.contains("Running"), "{again}");

    // A changed list is a changed program.
    let list = fs::read_to_string(consumer.list()).expect("it is there");
    let changed = list.replace("NtClose 1\n", "NtClose 1 @0x55\n");
    assert_ne!(changed, list);
    write(&consumer.list(), changed.as_bytes());
    consumer.builds();
    check_program(&consumer, &linked);

    // A mistake is Cargo's error, with its place.
    write(&consumer.list(), list.replace("NtAccessCheck 8", "NtAccessCheck").as_bytes());
    let output = consumer.build();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    let place = "ntgate-consumer@0.0.0: services.lst:3:14: error: `NtAccessCheck` has no argument count [E001]; write ";
    assert!(errors.contains(place), "{errors}");
}
