//! Whatever a file has in it, it is read or refused: nothing panics, and what is refused says where.

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
