//! The list of this crate's program, written down in each format here and read back: it is the same.

use ntgate_gen::diff::{Diff, write_lock};
use ntgate_gen::emit::{Format, emit};
use ntgate_gen::read::{InputFormat, Options, Reading, Services, read};
use ntgate_gen::{Arch, Service, ServiceList, read_list};

const SYSFUNCS: &[u8] = include_bytes!("../../../sysfuncs.lst");

fn sysfuncs() -> ServiceList {
    read_list("sysfuncs.lst", SYSFUNCS).expect("it is right").list
}

fn rows(line: impl Fn(&Service) -> String) -> String {
    sysfuncs().services().map(|service| line(service) + "\n").collect()
}

fn args(service: &Service) -> u32 {
    u32::from(service.args(Arch::I386))
}

fn read_as(format: InputFormat, bytes: &[u8]) -> Reading {
    let reading = read("it", bytes, &Options::default()).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    assert_eq!(reading.format(), format);
    assert!(reading.warnings().is_empty(), "{}", reading.warnings());
    reading
}

fn difference(reading: &Reading) -> Diff {
    Diff::new(&Services::of_list("sysfuncs.lst", &sysfuncs()), reading.services())
}

#[test]
fn formats_with_counts_are_the_list() {
    let entry = |service: &Service, bytes| {
        format!("    SYSCALL_ENTRY( {:#06x}, {}, {} ) \\", service.number(), service.name(), bytes)
    };
    let header = format!(
        "#define ALL_SYSCALLS32 \\\n{}\n#define ALL_SYSCALLS64 \\\n{}\n",
        rows(|service| entry(service, 4 * args(service))),
        rows(|service| entry(service, 8 * args(service)))
    );
    let list = sysfuncs();
    let lock = write_lock(&Services::of_list("sysfuncs.lst", &list));
    let json = emit(&list, &ntgate_gen::emit::Options::new(Arch::I386, Format::Json)).expect("it can be");
    for (format, text) in [
        (InputFormat::List, SYSFUNCS.to_vec()),
        (InputFormat::Svc, rows(|service| format!("    SVC_({}, {})", service.name().stem(), args(service))).into()),
        (InputFormat::SyscallEntry, header.into()),
        (
            InputFormat::Spec,
            rows(|service| {
                let arguments = vec!["long"; args(service) as usize].join(" ");
                format!("@ stdcall -syscall={:#x} {}({arguments})", service.number(), service.name())
            })
            .into(),
        ),
        (
            InputFormat::NtZwCount,
            rows(|service| format!("{} {} {}", service.name(), service.name().zw(), args(service))).into(),
        ),
        (
            InputFormat::NtZwBytes,
            rows(|service| format!("{} {} {}", service.name(), service.name().zw(), 4 * args(service))).into(),
        ),
        (InputFormat::Json, json),
        (InputFormat::Lock, lock.into()),
    ] {
        let reading = read_as(format, &text);
        let diff = difference(&reading);
        assert!(diff.is_same(), "{format}: {}", diff.to_text());
        assert!(diff.notes().is_empty(), "{format}: {}", diff.to_text());
        let again = reading.to_list().expect("it has numbers and counts");
        assert!(
            again
                .services()
                .zip(list.services())
                .all(|(a, b)| (a.name(), a.number(), args(a)) == (b.name(), b.number(), args(b)))
        );
    }
}

#[test]
fn tables_of_numbers_are_the_list_without_its_counts() {
    let csv =
        format!("System call,ReactOS\r\n{}", rows(|service| format!("{},{:#06x}\r", service.name(), service.number())));
    let members: Vec<_> =
        sysfuncs().services().map(|service| format!("\"{}\": {}", service.name(), service.number())).collect();
    let by_system = format!("{{\"ReactOS\": {{\"0.4\": {{{}}}}}}}", members.join(",\r\n"));
    let members: Vec<_> = sysfuncs()
        .services()
        .map(|service| format!("\"{}\": {{\"ReactOS\": {{\"0.4\": {}}}}}", service.name(), service.number()))
        .collect();
    let by_service = format!("{{{}}}", members.join(","));
    let tsv = rows(|service| format!("{}\t{}", service.name(), service.number()));
    let units: Vec<u8> = tsv.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16 = [&[0xff, 0xfe], units.as_slice()].concat();
    for (format, text) in [
        (InputFormat::Csv, csv.into_bytes()),
        (InputFormat::Json, by_system.into_bytes()),
        (InputFormat::Json, by_service.into_bytes()),
        (InputFormat::Tsv, tsv.into_bytes()),
        (InputFormat::Tsv, utf16),
    ] {
        let mut reading = read_as(format, &text);
        let diff = difference(&reading);
        assert!(
            diff.is_same() && diff.notes() == ["it has no argument counts: they are not compared"],
            "{}",
            diff.to_text()
        );
        assert!(reading.to_list().is_err() && reading.to_list_of_numbers().is_ok());
        reading.fill_counts(&Services::of_list("sysfuncs.lst", &sysfuncs()));
        assert!(difference(&reading).notes().is_empty());
        assert_eq!(reading.to_list().expect("it has all").services().count(), 298);
    }
}

/// Of what this crate writes as JSON nothing is lost but counts of the other architecture, and those only where there is no
/// signature.
#[test]
fn json_keeps_tables_docs_and_signatures() {
    let text = "\
NtClose 1 (HANDLE Handle)  # Closes a \"handle\".
NtSeek 4/3 @0x7 (HANDLE, _In_ LONGLONG Offset, _Out_writes_(n, m) const WCHAR **Text)
NtYield 0 (VOID)
#! table graphics base=0x2000
NtDraw 2  # \u{fc}ber
#! table win32k base=0x1000
NtUserCall 3
";
    let list = read_list("test.lst", text.as_bytes()).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).list;
    for arch in [Arch::I386, Arch::Amd64] {
        let json = emit(&list, &ntgate_gen::emit::Options::new(arch, Format::Json)).expect("it can be");
        let again = read_as(InputFormat::Json, &json).to_list().expect("it has numbers and counts");
        let bases = |list: &ServiceList| {
            let mut bases: Vec<_> = list.tables().iter().map(|t| (t.base(), t.name().to_owned())).collect();
            bases.sort();
            bases
        };
        assert_eq!(bases(&again), bases(&list));
        for service in list.services() {
            let found = again.services().find(|found| found.name() == service.name()).expect("it is there");
            assert_eq!((found.doc(), found.signature()), (service.doc(), service.signature()));
            assert_eq!((found.number(), found.args(arch)), (service.number(), service.args(arch)));
            if arch == Arch::I386 {
                assert_eq!(found, service);
            }
        }
    }
}
