//! Random changes of images and objects: an audit or an error, never a panic.

use ntgate_gen::emit::{Format, Options as EmitOptions, emit};
use ntgate_gen::{Arch, read_list};
use ntgate_runtime::audit::{Options, audit};
use proptest::prelude::*;

fn file(arch: Arch, form: Format) -> Vec<u8> {
    let read = read_list("x", b"NtA 0\nNtB 3\nNtC 9\n").expect("it is right");
    emit(&read.list, &EmitOptions::new(arch, form)).expect("it is a file")
}

fn try_out(bytes: &[u8]) {
    for mapped in [false, true] {
        let mut options = Options::default();
        options.mapped = mapped;
        options.budget = 50;
        if let Ok(audit) = audit(bytes, &options) {
            let file = ntgate_runtime::audit::report::Audited::new("x", audit);
            let json = ntgate_runtime::audit::report::json(std::slice::from_ref(&file));
            assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
            let _ = ntgate_runtime::audit::report::list(&file.audit);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn changed_files_are_audited_or_refused(
        which in 0..8usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        near in any::<bool>(),
    ) {
        let arch = if which % 2 == 0 { Arch::I386 } else { Arch::Amd64 };
        let form = [Format::Pe, Format::Coff, Format::Elf, Format::Archive][which / 2];
        let mut bytes = file(arch, form);
        for (at, value) in changes {
            // Headers are where it hurts most.
            let room = if near { bytes.len().min(0x400) } else { bytes.len() };
            let at = at.index(room);
            bytes[at] = value;
        }
        try_out(&bytes);
    }

    #[test]
    fn random_code_is_run_or_refused(code in proptest::collection::vec(any::<u8>(), 1..40), wide in any::<bool>()) {
        let arch = if wide { Arch::Amd64 } else { Arch::I386 };
        let mut dll = super::dll::Dll::new(arch);
        dll.add("NtX", &code);
        try_out(&dll.bytes());
    }
}
