//! The formats that services are read from: for each a directory of good files, and one of files with mistakes.
#![cfg(all(feature = "readers", feature = "render"))]

mod difference;
mod oracle;
mod random;
mod round_trip;

use std::fs;
use std::path::{Path, PathBuf};

use ntgate_gen::diff::write_lock;
use ntgate_gen::read::{InputFormat, Options, Reading, read};
use ntgate_gen::{Code, Diagnostics, Severity};

/// The formats with a reader of their own; that of lists has its tests in `diagnostics.rs`.
fn formats() -> impl Iterator<Item = InputFormat> {
    InputFormat::ALL.iter().copied().filter(|&format| format != InputFormat::List)
}

struct Case {
    format: InputFormat,
    /// The file's name without its extension.
    stem: String,
    file: String,
    bytes: Vec<u8>,
}

impl Case {
    /// The name of its snapshot.
    fn name(&self) -> String {
        format!("{}_{}", self.format, self.stem)
    }

    fn options(&self) -> Options {
        let mut options = Options::default();
        // To be in doubt it has to be found out.
        options.format = (self.stem != "doubtful").then_some(self.format);
        options.system = match &*self.stem {
            "unknown_system" => Some("2003 SP2".to_owned()),
            "ambiguous_system" => Some("WINDOWS XP SP1".to_owned()),
            _ => None,
        };
        options
    }

    fn read(&self) -> Result<Reading, Diagnostics> {
        read(&self.file, &self.bytes, &self.options())
    }

    /// Everything that is wrong with it, be it only that no list can be made of it.
    fn wrong(&self) -> Diagnostics {
        self.read().and_then(|reading| reading.to_list()).expect_err(&self.name())
    }
}

fn cases(kind: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for format in formats() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs").join(format.name()).join(kind);
        let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{format} has no {kind} files");
        let text = |part: Option<&std::ffi::OsStr>| part.expect("it has a name").to_string_lossy().into_owned();
        cases.extend(paths.iter().map(|path| Case {
            format,
            stem: text(path.file_stem()),
            file: text(path.file_name()),
            bytes: fs::read(path).expect("it can be read"),
        }));
    }
    cases
}

#[test]
fn bad_files_are_refused_and_shown() {
    for case in cases("bad") {
        let diagnostics = case.wrong();
        assert!(diagnostics.error_count() > 0, "{}", case.name());
        insta::assert_snapshot!(format!("bad_{}", case.name()), diagnostics.render(false));
    }
}

#[test]
fn good_files_are_read() {
    for case in cases("good") {
        let reading = case.read().unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(false)));
        let text = format!("{}{}", write_lock(reading.services()), reading.warnings().render(false));
        insta::assert_snapshot!(format!("good_{}", case.name()), text);
    }
}

#[test]
fn a_file_is_what_its_content_says() {
    for case in cases("good") {
        let mut options = case.options();
        options.format = None;
        let reading = read(&case.file, &case.bytes, &options).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        assert_eq!(reading.format(), case.format, "{}", case.name());
    }
}

/// The examples of docs/readers.md are what the headings above them say.
#[test]
fn the_examples_of_the_docs_are_read() {
    let page = include_str!("../../../docs/readers.md");
    let mut seen = Vec::new();
    for section in page.split("\n## ").skip(1) {
        let heading = section.lines().next().unwrap_or_default();
        for block in section.split("\n```").skip(1).step_by(2) {
            let (kind, text) = block.split_once('\n').expect("it has lines");
            if kind == "sh" {
                continue;
            }
            let mut options = Options::default();
            options.system = Some("Windows Server 2003/SP2".to_owned());
            let reading = read("docs", text.as_bytes(), &options).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
            let format = reading.format();
            assert!(heading.contains(&format!("`{format}`")), "{format} under {heading}");
            seen.push(format);
        }
    }
    seen.dedup();
    use InputFormat::{Csv, Json, Lock, NtZwCount, Spec, Svc, SyscallEntry};
    assert_eq!(seen, [Svc, Spec, SyscallEntry, NtZwCount, Csv, Json, Lock]);
}

#[test]
fn every_code_of_a_reader_has_a_file() {
    let own = Code::ALL.iter().filter(|code| match code.severity() {
        Severity::Error => code.text() > "E025",
        Severity::Warning => code.text() > "W002",
    });
    // Warnings are told with errors too.
    let seen: Vec<Code> = cases("bad")
        .iter()
        .flat_map(|case| match case.read() {
            Ok(reading) => [reading.warnings().clone(), case.wrong()].to_vec(),
            Err(diagnostics) => [diagnostics].to_vec(),
        })
        .flat_map(|diagnostics| diagnostics.iter().map(|item| item.code()).collect::<Vec<_>>())
        .collect();
    let missing: Vec<_> = own.filter(|code| !seen.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_first_line_is_for_editors_and_nothing_is_a_control() {
    for case in cases("bad") {
        let diagnostics = case.wrong();
        let text = diagnostics.render(false);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{}", case.name());
        let head = format!("{}:", case.file);
        let heads = text.lines().filter(|line| line.starts_with(&head) && !line.contains(": ... and ")).count();
        assert_eq!(heads, diagnostics.len().min(50), "{}", case.name());
    }
}

#[test]
fn the_version_chooses_the_rows() {
    let header = b"#if (NTDDI_VERSION >= NTDDI_VISTA)\nSVC_(New, 1)\n#else\nSVC_(Old, 1)\n#endif\n";
    for (define, value, name) in [
        ("NTDDI_VERSION", "0x06000000", "NtNew"),
        ("NTDDI_VERSION", "NTDDI_WS03SP2", "NtOld"),
        ("_WIN32_WINNT", "0x0601", "NtNew"),
    ] {
        let mut options = Options::default();
        options.defines = vec![(define.to_owned(), value.to_owned())];
        let reading = read("x.h", header, &options).expect("it is right");
        assert_eq!(reading.services().entries()[0].name(), name);
        assert!(reading.warnings().is_empty());
    }
    let spec = b"@ stdcall -version=0x600+ -syscall NtNew()\n@ stdcall -version=0x502 -syscall NtOld()\n";
    let mut options = Options::default();
    options.defines = vec![("_WIN32_WINNT".to_owned(), "0x600".to_owned())];
    let reading = read("x.spec", spec, &options).expect("it is right");
    assert!(reading.services().by_name("NtNew").is_some() && reading.services().entries().len() == 1);
    assert!(reading.warnings().is_empty());
}

#[test]
fn the_architecture_chooses_rows_and_sizes() {
    use ntgate_gen::Arch;
    let spec = b"@ stdcall -arch=win64 -syscall NtOnly64(int128)\n@ stdcall -syscall NtBoth(int64 int128 double)\n";
    for (arch, rows, wide) in [(Arch::I386, 1, 3), (Arch::Amd64, 2, 3), (Arch::Arm64, 2, 4)] {
        let mut options = Options::default();
        options.arch = Some(arch);
        let reading = read("x.spec", spec, &options).expect("it is right");
        let both = reading.services().by_name("NtBoth").expect("it is there");
        assert_eq!((reading.services().entries().len(), both.args(Arch::Amd64)), (rows, Some(wide)), "{arch}");
        assert_eq!(both.args(Arch::I386), Some(8));
    }
}

#[test]
fn a_base_is_for_files_without_one() {
    use ntgate_gen::Arch;
    let mut options = Options::default();
    options.base = Some(0x1000);
    for (text, number) in [
        (&b"SVC_(A, 1)\n"[..], 0x1000),
        (b"NtA 1\n", 0x1000),
        (b"#! table main base=0x0\nNtA 1\n", 0x1000),
        (b"#! table gui base=0x2000\nNtA 1\n", 0x2000),
        (b"NtA,0x5\n", 0),
        (b"System call,X\nNtA,0x5\n", 0x1005),
        (b"System call,X\nNtA,0x1005\n", 0x1005),
    ] {
        match read("x", text, &options) {
            Ok(reading) => {
                let list = reading.to_list_of_numbers().expect("it has numbers");
                let first = list.primary().services().first().expect("it has one");
                assert_eq!(first.number(), number, "{}", String::from_utf8_lossy(text));
                assert_eq!(reading.services().entries()[0].number(), Some(number));
                let _ = first.args(Arch::I386);
            }
            Err(_) => assert_eq!(number, 0, "{}", String::from_utf8_lossy(text)),
        }
    }
}
