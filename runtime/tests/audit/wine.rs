//! DLLs that other people made: Wine's, of Debian's packages.
//!
//! `NTGATE_WINE_DLLS` names a directory with `i386` and `amd64`, in each `ntdll.dll` and `win32u.dll`. `.ci/run` says where
//! they come from.

use std::path::PathBuf;

use ntgate_gen::Arch;
use ntgate_runtime::audit::contract::Contract;
use ntgate_runtime::audit::report::{against, list, services};
use ntgate_runtime::audit::{Audit, Class, Way};

use super::{audited, export};

fn dll(arch: Arch, name: &str) -> Audit {
    let directory = std::env::var_os("NTGATE_WINE_DLLS").expect("NTGATE_WINE_DLLS names the directory of Wine's DLLs");
    let path = PathBuf::from(directory).join(arch.name()).join(name);
    audited(&std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

const ARCHS: [Arch; 2] = [Arch::I386, Arch::Amd64];

#[test]
#[ignore = "needs Wine's DLLs"]
fn every_service_of_ntdll_is_one() {
    for arch in ARCHS {
        let audit = dll(arch, "ntdll.dll");
        assert!(audit.exports.len() > 1000);
        // Numbers come once, twins agree, what is taken off the stack is what Wine's own table says.
        assert_eq!(audit.findings, []);
        assert!(audit.services().count() > 230, "{arch}");
        let way = if arch == Arch::I386 { vec![Way::Wine] } else { vec![Way::Syscall, Way::Wine] };
        for service in audit.services() {
            assert_eq!(service.entries.iter().map(|entry| entry.way).collect::<Vec<_>>(), way, "{}", service.name);
            assert!(service.entries.iter().all(|entry| entry.register.is_some()), "{}", service.name);
            // Of amd64 it is that table which has the count.
            assert!(service.args.is_some(), "{} {:?}", service.name, service.notes);
        }
        // What has the name of one and is none: what is known of Wine 8.0.
        let others: Vec<&str> = audit
            .exports
            .iter()
            .filter(|export| export.name.starts_with("Nt") && export.name.as_bytes()[2].is_ascii_uppercase())
            .filter(|export| export.class != Class::Service)
            .map(|export| export.name.as_str())
            .collect();
        assert!(others.iter().all(|name| ["NtCurrentTeb", "NtGetTickCount"].contains(name)), "{others:?}");
        assert_eq!(export(&audit, "NtGetTickCount").class, Class::NoKernelEntry);
        assert_eq!(export(&audit, "NtQuerySystemTime").class, Class::Service);
    }
}

#[test]
#[ignore = "needs Wine's DLLs"]
fn the_two_widths_agree_and_their_lists_are_lists() {
    let [narrow, wide] = ARCHS.map(|arch| dll(arch, "ntdll.dll"));
    for audit in [&narrow, &wide] {
        let text = list(audit).expect("all of it is known");
        let read = ntgate_gen::read_list("w.lst", text.as_bytes()).expect("it is a list");
        assert!(read.list.services().count() > 220);
    }
    // Services of both take as many arguments, but for those of 64 bits by value, which are two dwords.
    let narrow_services = services("narrow", &narrow).expect("they are services");
    let wide_services = services("wide", &wide).expect("they are services");
    let (mut same, mut more) = (0, 0);
    for entry in wide_services.entries() {
        let Some(other) = narrow_services.by_name(entry.name()) else { continue };
        let counts = (entry.args(Arch::Amd64).expect("known"), other.args(Arch::I386).expect("known"));
        same += u32::from(counts.0 == counts.1);
        more += u32::from(counts.0 < counts.1);
        assert!(counts.0 <= counts.1, "{}: {counts:?}", entry.name());
    }
    assert!(same > 200 && more < 20, "{same} {more}");
    assert!(against("wide", &wide, &wide_services).expect("they are services").holds());
}

#[test]
#[ignore = "needs Wine's DLLs"]
fn win32u_has_the_second_table() {
    for arch in ARCHS {
        let audit = dll(arch, "win32u.dll");
        assert_eq!(audit.services().count(), 276);
        assert_eq!(audit.findings, []);
        let mut numbers: Vec<u32> = audit.services().filter_map(|service| service.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0x1000..0x1114).collect::<Vec<_>>());
        assert!(audit.services().all(|service| service.args.is_some()));
    }
}

#[test]
#[ignore = "needs Wine's DLLs"]
fn what_others_count_on_of_wine_holds() {
    let wide = dll(Arch::Amd64, "ntdll.dll");
    for contract in [Contract::Chromium, Contract::Proton] {
        let verdict = contract.check(&wide);
        assert!(verdict.holds() && verdict.checked > 230, "{verdict:?}");
    }
    let narrow = dll(Arch::I386, "ntdll.dll");
    assert!(Contract::Chromium.check(&narrow).holds());
}
