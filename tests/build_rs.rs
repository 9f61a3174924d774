//! A crate that has its stubs made by `build.rs` and linked: Cargo builds it, and what it has linked is what is proven.
//!
//! The crate is `tests/consumers/build_rs`. It is built in a copy, beside this workspace's lock file, so that it gets the
//! dependencies that are here already.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, Shape, read_list, stub};
use object::{Object, ObjectSection, ObjectSymbol};

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
}

/// Only what has changed, so that Cargo has nothing to do again.
fn write(path: &Path, bytes: &[u8]) {
    ntgate_gen::build::write_if_changed(path, bytes).expect("it can be written");
}

fn copy(from: &Path, to: &Path) {
    write(to, &fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())));
}

/// The bytes behind every stub's symbols in the program are those that `Stub::encode` gives for the list.
fn check_program(program: &Path, list: &Path, linked: &[&str]) {
    let list = read_list("services.lst", &fs::read(list).expect("it is there")).expect("it is right").list;
    let arch: Arch = std::env::consts::ARCH.parse().expect("stubs are made for it");
    let shape = Shape::default_for(arch);
    let bytes = fs::read(program).expect("cargo made it");
    let file = object::File::parse(&*bytes).expect("it is a program");
    let address = |name: &str| {
        let mut symbols = file.symbols().filter(|symbol| symbol.is_definition());
        symbols.find(|symbol| symbol.name() == Ok(name)).map(|symbol| symbol.address())
    };
    for service in list.services() {
        let stub = stub::build(shape, service, shape.default_encoding());
        let code = stub.encode().expect("a built stub encodes").bytes;
        for symbol in &stub.symbols {
            let Some(address) = address(symbol) else {
                assert!(!linked.contains(&service.name().nt()), "{symbol} is not in the program");
                continue;
            };
            assert!(linked.contains(&service.name().nt()), "{symbol} is in the program, and nobody asked for it");
            let mut sections = file.sections();
            let found = sections.find_map(|section| section.data_range(address, code.len() as u64).ok().flatten());
            assert_eq!(found, Some(&*code), "{symbol}");
        }
    }
    // What was carried along is in it too.
    let bin = emit(&list, &Options::new(Arch::I386, Format::Bin).shape(Shape::SharedEdx)).expect("it can be");
    assert!(bytes.windows(bin.len()).any(|window| window == bin), "the stubs of i386 are not in the program");
}

/// One test, because there is one copy.
#[test]
fn what_a_build_script_links_is_what_is_proven() {
    let consumer = Consumer::new();
    let linked = ["NtClose", "NtWriteFile", "NtYieldExecution"];
    consumer.builds();
    check_program(&consumer.program(), &consumer.list(), &linked);
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
    check_program(&consumer.program(), &consumer.list(), &linked);

    // A mistake is Cargo's error, with its place.
    write(&consumer.list(), list.replace("NtAccessCheck 8", "NtAccessCheck").as_bytes());
    let output = consumer.build();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    let place = "ntgate-consumer@0.0.0: services.lst:3:14: error: `NtAccessCheck` has no argument count [E001]; write ";
    assert!(errors.contains(place), "{errors}");
}
