//! What a crate sees that uses a macro wrongly: one file of `ui` each, and beside it what the compiler says.
//!
//! The words around ours are the compiler's. When a new one changes them: `TRYBUILD=overwrite cargo test --test ui`, and read
//! the difference.

use std::fs;
use std::path::Path;

/// The lists, put where the crate is built that trybuild makes: paths of lists start there.
fn copy_lists() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target directory");
    let to = target.join("tests/trybuild").join(env!("CARGO_PKG_NAME")).join("tests/ui");
    fs::create_dir_all(&to).expect("it can be made");
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui")).expect("it is there") {
        let path = entry.expect("it can be read").path();
        if let (Some("lst"), Some(name)) = (path.extension().and_then(|end| end.to_str()), path.file_name()) {
            fs::copy(&path, to.join(name)).expect("it can be copied");
        }
    }
}

#[test]
fn mistakes_are_compile_errors() {
    copy_lists();
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
    // What only a target has that can run it.
    if cfg!(target_arch = "x86_64") {
        cases.compile_fail("tests/ui/amd64/*.rs");
    }
}
