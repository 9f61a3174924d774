//! Whatever a file has in it, it is read or refused: nothing panics, and what is refused says where.

use ntgate_gen::diff::{Diff, write_lock};
use ntgate_gen::read::{InputFormat, Options, read};
use proptest::prelude::*;

/// Pieces that the grammars know, in any order, and others that they do not.
fn pieces() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "SVC_(",
        "SVC2_(",
        "Close",
        "NtClose",
        "ZwClose",
        ",",
        ")",
        "(",
        " 1",
        "0x",
        "0x1000",
        "64",
        "010",
        "-1",
        "#if ",
        "#ifdef A",
        "#else",
        "#elif ",
        "#endif",
        "#define ",
        "defined(",
        "NTDDI_VERSION",
        ">=",
        "&&",
        "!",
        "/*",
        "*/",
        "//",
        "@ stdcall ",
        "@ stub ",
        "12 ",
        "-syscall",
        "=",
        "-arch=",
        "win64",
        "!i386",
        "-version=",
        "0x600+",
        "int64 ",
        "int128",
        "SYSCALL_ENTRY(",
        "#define ALL_SYSCALLS64 ",
        "\\",
        "System call",
        "Windows XP (SP1)",
        "\"",
        "{",
        "}",
        "[",
        "]",
        ":",
        "\"Windows XP\":",
        "\"SP1\":",
        "\"NtA\":",
        "\"services\":",
        "\n",
        "\r\n",
        "\t",
        " ",
        "# ntgate lock 1\n",
        "\0",
        "é",
        "\u{feff}",
        "99999999999999999999",
    ]);
    let piece = prop_oneof![9 => known.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn holds(bytes: &[u8], format: Option<InputFormat>) {
    let mut options = Options::default();
    options.format = format;
    match read("x", bytes, &options) {
        Ok(reading) => {
            let numbers: Vec<_> = reading.services().entries().iter().filter_map(|entry| entry.number()).collect();
            assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]) && numbers.iter().all(|&number| number < 0x4000));
            assert!(!reading.services().entries().is_empty());
            if let Err(diagnostics) = reading.to_list() {
                assert!(diagnostics.error_count() > 0);
            }
        }
        Err(diagnostics) => {
            assert!(diagnostics.error_count() > 0);
            assert!(!diagnostics.render(false).contains(|c: char| c.is_control() && c != '\n'));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn text_of_pieces_is_read_or_refused(text in pieces()) {
        holds(text.as_bytes(), None);
        for &format in InputFormat::ALL {
            holds(text.as_bytes(), Some(format));
        }
    }

    #[test]
    fn bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for &format in InputFormat::ALL {
            holds(&bytes, Some(format));
        }
        let utf16 = [&[0xff, 0xfe], bytes.as_slice()].concat();
        holds(&utf16, None);
    }
}

/// Rows of a lock file: numbers that rise, with counts or without.
fn lock() -> impl Strategy<Value = String> {
    let count =
        prop_oneof![Just("-".to_owned()), (0u8..=63).prop_map(|count| count.to_string()), Just("7/3".to_owned())];
    let row = (0u32..0x4000, count);
    prop::collection::vec(row, 1..40).prop_map(|mut rows| {
        rows.sort();
        rows.dedup_by_key(|row| row.0);
        let rows: String = rows.iter().map(|(number, count)| format!("{number:#06x} NtS{number} {count}\n")).collect();
        format!("# ntgate lock 1\n{rows}")
    })
}

proptest! {
    #[test]
    fn what_is_written_to_a_lock_is_read_back(text in lock()) {
        let services = |text: &str| read("x", text.as_bytes(), &Options::default()).expect("it is right").services().clone();
        let first = services(&text);
        let written = write_lock(&first);
        let rows = |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
        prop_assert_eq!(rows(&written), rows(&text));
        prop_assert!(Diff::new(&first, &services(&written)).is_same());
    }

    #[test]
    fn a_difference_seen_from_the_other_side_is_the_same(old in lock(), new in lock()) {
        let services = |text: &str| read("x", text.as_bytes(), &Options::default()).expect("it is right").services().clone();
        let (old, new) = (services(&old), services(&new));
        let (there, back) = (Diff::new(&old, &new), Diff::new(&new, &old));
        prop_assert!(Diff::new(&old, &old).is_same());
        prop_assert_eq!(there.added().len(), back.removed().len());
        prop_assert_eq!(there.removed().len(), back.added().len());
        prop_assert_eq!(there.counts().len(), back.counts().len());
        prop_assert_eq!(there.common() + there.added().len(), new.entries().len());
        prop_assert_eq!(there.is_same(), back.is_same());
    }
}

#[test]
fn depth_and_length_are_borne() {
    let n = 50_000;
    for (format, text) in [
        (InputFormat::Json, "{\"a\":".repeat(n)),
        (InputFormat::Json, format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n))),
        (InputFormat::Json, "[".repeat(n)),
        (InputFormat::Json, format!("{{\"NtA\": {}}}", "9".repeat(n))),
        (InputFormat::Svc, format!("#if {}\n", "(".repeat(n))),
        (InputFormat::Svc, format!("#if {}1\n", "!".repeat(n))),
        (InputFormat::Svc, format!("SVC_({}, 1)\n", "a".repeat(n))),
        (InputFormat::Svc, "SVC_(".repeat(n)),
        (InputFormat::Svc, "SVC_(A, 1) ".repeat(n)),
        (InputFormat::Svc, "#if 1\n".repeat(n)),
        (InputFormat::Svc, "\\\n".repeat(n)),
        (InputFormat::Svc, "/".repeat(n)),
        (InputFormat::Spec, format!("@ stdcall NtA({})\n", "long ".repeat(n))),
        (InputFormat::Spec, format!("@ stdcall {} NtA()\n", "-arch=!arm ".repeat(n))),
        (InputFormat::Spec, format!("@ stdcall -syscall={} NtA()\n", "9".repeat(n))),
        (InputFormat::SyscallEntry, "SYSCALL_ENTRY( 0, NtA, 4 ) ".repeat(n)),
        (InputFormat::SyscallEntry, format!("SYSCALL_ENTRY({})", ",".repeat(n))),
        (InputFormat::Csv, format!("System call{}\nNtA{}\n", ",X".repeat(n / 100), ",1".repeat(n))),
        (InputFormat::Csv, "\"".repeat(n)),
        (InputFormat::Tsv, "NtA\t1\n".repeat(n)),
        (InputFormat::NtZwCount, "NtA ".repeat(n)),
        (InputFormat::Lock, format!("# ntgate lock {}\n", "1".repeat(n))),
    ] {
        holds(text.as_bytes(), Some(format));
    }
}
