//! Within a crate the rooms import each other in one direction only, as the crates' pages draw it; and the generator
//! knows no machine.

use std::fs;
use std::path::{Path, PathBuf};

/// A room, and what it may import of the others.
type Room = (&'static str, &'static [&'static str]);

const GEN: [Room; 12] = [
    ("model", &[]),
    ("diag", &[]),
    ("syntax", &[]),
    ("check", &["model", "diag", "syntax"]),
    ("stub", &["model"]),
    ("table", &["model"]),
    ("emit", &["model", "stub", "table"]),
    ("nci", &["model", "stub"]),
    ("build", &["model", "diag", "check", "stub", "emit"]),
    ("read", &["model", "diag", "syntax", "check"]),
    ("sarif", &[]),
    ("diff", &["model", "diag", "read", "sarif"]),
];

const RUNTIME: [Room; 8] = [
    ("machine", &[]),
    ("page", &[]),
    ("nt", &["machine"]),
    ("backend", &["machine"]),
    ("prove", &["machine", "nt", "backend", "page"]),
    ("host", &["machine", "nt"]),
    ("debug", &["machine", "nt", "host", "page"]),
    ("audit", &["machine"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("it is a directory") {
            sources(&entry.expect("it can be read").path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

/// The files of a room without its tests, each with its code: no comments, and no tests within, which come last.
fn code(source: &Path, room: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    for path in [source.join(room), source.join(format!("{room}.rs"))] {
        if path.exists() {
            sources(&path, &mut files);
        }
    }
    files.retain(|file| !file.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs"))));
    assert!(!files.is_empty(), "{room} has no files");
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).expect("it is text");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines: Vec<_> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        (file, lines.join("\n"))
    };
    files.into_iter().map(read).collect()
}

fn check(source: &str, rooms: &[Room]) {
    let source = root().join(source);
    for (room, allowed) in rooms {
        for (file, code) in code(&source, room) {
            for path in code.split("crate::").skip(1) {
                let module = path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                let fits = module == *room || allowed.contains(&module);
                assert!(fits, "{} imports {module}", file.display());
            }
        }
    }
}

#[test]
fn stages_of_the_generator_import_in_one_direction() {
    check("gen/src", &GEN);
}

#[test]
fn rooms_of_the_runtime_import_in_one_direction() {
    check("runtime/src", &RUNTIME);
}

#[test]
fn the_machine_knows_no_generator_and_the_generator_no_machine() {
    for (file, code) in code(&root().join("runtime/src"), "machine") {
        assert!(!code.contains("ntgate_gen"), "{}", file.display());
    }
    let manifest = fs::read_to_string(root().join("gen/Cargo.toml")).expect("it is text");
    assert!(!manifest.contains("ntgate-runtime"));
}
