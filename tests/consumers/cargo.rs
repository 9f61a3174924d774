//! A consumer's crate, built by Cargo in a copy of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ntgate_gen::build::write_if_changed;

/// The copy of a consumer. Its place is always the same, and all consumers have one target directory, so that dependencies
/// are compiled once.
pub(crate) struct Consumer {
    name: &'static str,
    directory: PathBuf,
}

impl Consumer {
    /// Copies the crate of this name, with this workspace's lock file: it gets the dependencies that are here already.
    pub(crate) fn new(name: &'static str) -> Self {
        Self::copy_to(name, name)
    }

    /// A copy in another place, for a test that changes it.
    pub(crate) fn copy_to(name: &'static str, place: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let directory = target().join(place);
        copy_directory(&root.join("tests/consumers").join(name), &directory, root);
        write(&directory.join("Cargo.lock"), &fs::read(root.join("Cargo.lock")).expect("it is there"));
        Self { name, directory }
    }

    /// A file of the copy.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Runs a command of Cargo's in the copy.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Output {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(arguments).arg("--offline").current_dir(&self.directory);
        cargo.env("CARGO_TARGET_DIR", target().join("target")).env("CARGO_TERM_COLOR", "never");
        // Of the Cargo that runs this test; they are not this crate's.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTDOCFLAGS"] {
            cargo.env_remove(name);
        }
        cargo.output().expect("cargo runs")
    }

    /// As [`cargo`](Self::cargo), where it has to succeed: what it said.
    #[track_caller]
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.cargo(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {errors}", self.name);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Builds the library, and gives the bytes of its file.
    #[track_caller]
    pub(crate) fn library(&self, target_name: Option<&str>) -> Vec<u8> {
        let mut arguments = vec!["build", "--lib"];
        arguments.extend(target_name.iter().flat_map(|target| ["--target", target]));
        self.succeeds(&arguments);
        let name = format!("libntgate_consumer_{}.rlib", self.name);
        let path = target().join("target").join(target_name.unwrap_or_default()).join("debug").join(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("consumers")
}

/// Only what has changed, so that Cargo has nothing to do again.
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    write_if_changed(path, bytes).expect("it can be written");
}

/// What is named from the copy's old place is named by the path of this workspace.
fn copy_directory(from: &Path, to: &Path, root: &Path) {
    fs::create_dir_all(to).expect("it can be made");
    for entry in fs::read_dir(from).expect("it is a directory") {
        let path = entry.expect("it can be read").path();
        let name = path.file_name().expect("it has a name");
        if name == "target" || name == "Cargo.lock" {
            continue;
        }
        if path.is_dir() {
            copy_directory(&path, &to.join(name), root);
        } else {
            let text = fs::read_to_string(&path).expect("it is text");
            let text = text.replace("\"../../..", &format!("\"{}", root.display()));
            write(&to.join(name), text.as_bytes());
        }
    }
}
