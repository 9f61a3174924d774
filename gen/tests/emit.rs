//! What is emitted for the lists of `inputs/good`, byte for byte, and that lists are read back.

use std::path::Path;

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, Encoding, ServiceList, Shape, read_list};
use proptest::prelude::*;

fn read(path: &str) -> ServiceList {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let bytes = std::fs::read(&path).expect("the list is there");
    read_list("test.lst", &bytes).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).list
}

fn small() -> ServiceList {
    read("tests/inputs/good/small.lst")
}

fn extensions() -> ServiceList {
    read("tests/inputs/good/extensions.lst")
}

fn options(format: Format) -> Options {
    Options::new(Arch::I386, format)
}

fn text(list: &ServiceList, options: &Options) -> String {
    let bytes = emit(list, options).unwrap_or_else(|error| panic!("{options:?}: {error}"));
    String::from_utf8(bytes).expect("the format is text")
}

fn shapes() -> impl Iterator<Item = Shape> {
    Arch::ALL.into_iter().flat_map(Shape::of).copied()
}

fn shape_options(format: Format, shape: Shape) -> Options {
    Options::new(shape.arch(), format).shape(shape)
}

/// The name of a shape's snapshots. One of i386 goes without its architecture.
fn snapshot(shape: Shape) -> String {
    match shape.arch() {
        Arch::I386 => shape.to_string(),
        arch => format!("{arch}_{shape}"),
    }
}

#[test]
fn gas_of_every_shape_and_encoding() {
    for shape in shapes() {
        for encoding in Encoding::ALL {
            let options = shape_options(Format::Gas, shape).encoding(encoding);
            insta::assert_snapshot!(format!("gas_{}_{encoding}", snapshot(shape)), text(&small(), &options));
        }
    }
}

#[test]
fn bin_of_every_user_shape() {
    for shape in shapes().filter(|shape| !shape.is_kernel()) {
        let bytes = emit(&small(), &shape_options(Format::Bin, shape)).expect("it has no relocations");
        let rows = bytes.chunks(16).map(|row| row.iter().map(|byte| format!("{byte:02X} ")).collect::<String>());
        let rows: Vec<_> = rows.map(|row| row.trim_end().to_owned()).collect();
        insta::assert_snapshot!(format!("bin_{}", snapshot(shape)), rows.join("\n"));
    }
}

#[cfg(feature = "json")]
#[test]
fn json_has_code_and_relocations() {
    for shape in [Shape::SharedEdx, Shape::Zw, Shape::SyscallOrInt2e, Shape::ZwAmd64, Shape::ZwReactos, Shape::Svc] {
        let options = shape_options(Format::Json, shape);
        insta::assert_snapshot!(format!("json_{}", snapshot(shape)), text(&small(), &options));
    }
}

#[test]
fn lists_and_tables() {
    for (name, list) in [("small", small()), ("extensions", extensions())] {
        insta::assert_snapshot!(format!("list_{name}"), text(&list, &options(Format::List)));
        insta::assert_snapshot!(format!("table_{name}"), text(&list, &options(Format::Table)));
    }
}

#[test]
fn outputs_do_not_change_from_run_to_run() {
    for &format in Format::ALL {
        let options = options(format);
        assert_eq!(emit(&extensions(), &options), emit(&extensions(), &options), "{format}");
    }
}

#[test]
fn the_default_list_is_that_of_reactos() {
    let list = read("../sysfuncs.lst");
    let table = list.primary();
    assert_eq!((table.name(), table.base(), table.len(), table.limit()), ("main", 0, 298, 298));
    // Numbers and counts that programs have relied on since Windows Server 2003.
    for (name, number, args) in [
        ("NtAcceptConnectPort", 0, 6),
        ("NtAccessCheckByTypeResultListAndAuditAlarmByHandle", 7, 17),
        ("NtClose", 0x1b, 1),
        ("NtWriteFile", 0x11c, 9),
        ("NtYieldExecution", 0x120, 0),
    ] {
        let service = table.by_name(name).expect("it is in the list");
        assert_eq!((service.number(), service.args(Arch::I386)), (number, args), "{name}");
        assert_eq!(table.by_number(number), Some(service));
    }
    assert_eq!(table.by_number(298), None);
    assert_eq!(table.by_name("ZwClose"), None);
}

#[test]
fn lists_are_read_back() {
    for list in [small(), extensions(), read("../sysfuncs.lst")] {
        let text = text(&list, &options(Format::List));
        let again = read_list("again.lst", text.as_bytes()).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        assert_eq!(again.list, list);
    }
}

/// Text that looks like a list more often than chance would have it.
fn listish() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "Nt[A-C]{1,2}",
        "[0-9]{1,2}",
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just(" @0x".to_owned()),
        Just("#! table t base=0x".to_owned()),
        Just("1000".to_owned()),
        Just(" (".to_owned()),
        Just(")".to_owned()),
        Just("/".to_owned()),
        Just(" # ".to_owned()),
        "[A-Z]{1,3}",
        "\\PC",
    ];
    proptest::collection::vec(part, 0..60).prop_map(|parts| parts.concat())
}

/// A line that a list may have.
fn service_line(index: usize) -> impl Strategy<Value = String> {
    let counts = prop_oneof![
        (0..=19u8).prop_map(|n| n.to_string()),
        (0..=19u8, 0..=19u8).prop_map(|(a, b)| format!("{}/{b}", a + b))
    ];
    let at =
        prop_oneof![3 => Just(String::new()), 1 => (0..10usize).prop_map(move |gap| format!(" @{}", index * 16 + gap))];
    let doc = prop_oneof![Just(String::new()), "[ -~éß]{0,20}".prop_map(|text| format!(" # {text}"))];
    (counts, at, doc)
        .prop_map(move |(counts, at, doc)| format!("Nt{index} {counts}{at}{doc}\n").replacen("Nt", "NtS", 1))
}

fn service_lines() -> impl Strategy<Value = String> {
    (1..40usize)
        .prop_flat_map(|count| (0..count).map(service_line).collect::<Vec<_>>())
        .prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check_total(&bytes);
    }

    #[test]
    fn anything_like_a_list_is_read_without_a_panic(text in listish()) {
        check_total(text.as_bytes());
    }

    #[test]
    fn canonical_lists_are_read_back(text in service_lines()) {
        let list = read_list("any.lst", text.as_bytes()).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).list;
        let bytes = emit(&list, &options(Format::List)).expect("every list has a canonical form");
        prop_assert_eq!(read_list("again.lst", &bytes).expect("it is right").list, list);
    }
}

/// Whatever the bytes: an answer, and outputs if it is yes.
fn check_total(bytes: &[u8]) {
    match read_list("any.lst", bytes) {
        Err(diagnostics) => {
            assert!(diagnostics.error_count() > 0);
            assert!(diagnostics.iter().all(|item| !item.message().contains(char::is_control)));
            #[cfg(feature = "render")]
            assert!(!diagnostics.render(false).is_empty());
        }
        Ok(read) => {
            for &format in Format::ALL {
                emit(&read.list, &options(format)).expect("a checked list has every output");
            }
            let bytes = emit(&read.list, &options(Format::List)).expect("every list has a canonical form");
            assert_eq!(read_list("again.lst", &bytes).expect("it is right").list, read.list);
        }
    }
}
