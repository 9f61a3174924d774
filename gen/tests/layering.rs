//! The stages import each other in one direction only, as the crate's page draws it.

use std::fs;
use std::path::{Path, PathBuf};

/// Each stage, and what it may import of the others.
const STAGES: [(&str, &[&str]); 8] = [
    ("model", &[]),
    ("diag", &[]),
    ("syntax", &[]),
    ("check", &["model", "diag", "syntax"]),
    ("stub", &["model"]),
    ("table", &["model"]),
    ("emit", &["model", "stub", "table"]),
    ("build", &[]),
];

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("it is a directory") {
            sources(&entry.expect("it can be read").path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

#[test]
fn stages_import_in_one_direction() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (stage, allowed) in STAGES {
        let mut files = Vec::new();
        for path in [root.join(stage), root.join(format!("{stage}.rs"))] {
            if path.exists() {
                sources(&path, &mut files);
            }
        }
        files.retain(|file| !file.ends_with("tests.rs"));
        assert!(!files.is_empty(), "{stage} has no files");
        for file in files {
            let text = fs::read_to_string(&file).expect("it is text");
            // Inline tests come last in a file, and may use every stage.
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let lines: Vec<_> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            for path in lines.join("\n").split("crate::").skip(1) {
                let module = path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                let fits = module == stage || allowed.contains(&module);
                assert!(fits, "{} imports {module}", file.display());
            }
        }
    }
}
