//! What others count on.

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, Shape, read_list};
use ntgate_runtime::audit::Audit;
use ntgate_runtime::audit::contract::{Contract, Verdict};

use super::audited;
use super::dll::{Dll, stub_32, stub_64};

fn generated(shape: Shape) -> Audit {
    let read = read_list("x", b"NtA 0\nNtB 3\nNtC 9\n").expect("it is right");
    audited(&emit(&read.list, &Options::new(shape.arch(), Format::Coff).shape(shape)).expect("it is an object"))
}

fn broken(verdict: &Verdict) -> Vec<&str> {
    verdict.broken.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn the_sandbox_patches_the_stubs_that_windows_has() {
    for (shape, holds) in [
        (Shape::Int2eFrame, false),
        (Shape::Int2e, false),
        (Shape::SharedCallEdx, true),
        (Shape::SharedEdx, true),
        (Shape::SharedEcx, false),
        (Shape::Sysenter, true),
        (Shape::Syscall, true),
        (Shape::SyscallReactos, false),
        (Shape::SyscallHome, true),
        (Shape::SyscallOrInt2e, true),
    ] {
        let verdict = Contract::Chromium.check(&generated(shape));
        assert_eq!((verdict.holds(), verdict.checked), (holds, 3), "{shape}: {:?}", verdict.broken);
    }
}

#[test]
fn a_stub_without_room_for_the_patch_is_told() {
    let mut dll = Dll::new(Arch::Amd64);
    let stub = dll.add("NtA", &stub_64(1));
    dll.export("Inside", stub + 10);
    let verdict = Contract::Chromium.check(&audited(&dll.bytes()));
    assert_eq!(broken(&verdict), ["NtA"]);
    assert!(verdict.broken[0].1.contains("next export begins after 10"), "{:?}", verdict.broken);
}

#[test]
fn wines_handler_finds_a_ret_behind_every_syscall_of_wines_alone() {
    let wine = [
        0x4C, 0x8B, 0xD1, 0xB8, 5, 0, 0, 0, 0xF6, 4, 0x25, 8, 3, 0xFE, 0x7F, 1, 0x75, 3, 0x0F, 5, 0xC3, 0xEB, 1, 0xC3,
        0xFF, 0x14, 0x25, 0, 0x10, 0xFE, 0x7F, 0xC3,
    ];
    let mut dll = Dll::new(Arch::Amd64);
    dll.add("NtA", &wine);
    let verdict = Contract::Proton.check(&audited(&dll.bytes()));
    assert_eq!((verdict.holds(), verdict.checked), (true, 1), "{:?}", verdict.broken);
    dll.add("NtB", &stub_64(6));
    let verdict = Contract::Proton.check(&audited(&dll.bytes()));
    assert_eq!((broken(&verdict), verdict.checked), (vec!["NtB"], 2));
    assert!(Contract::Proton.check(&generated(Shape::SharedEdx)).notes[0].contains("amd64"));
}

#[test]
fn numbers_may_fall_or_have_holes() {
    let of = |numbers: [u32; 3], names: [&str; 3]| {
        let mut dll = Dll::new(Arch::I386);
        for (number, name) in numbers.into_iter().zip(names) {
            dll.add(name, &stub_32(number, 4));
        }
        Contract::Order.check(&audited(&dll.bytes()))
    };
    let good = of([0, 1, 2], ["NtA", "NtB", "NtC"]);
    assert!(good.holds());
    assert_eq!(good.notes, ["from 0h on numbers are in the order of names"]);
    let falls = of([0, 2, 1], ["NtA", "NtB", "NtC"]);
    assert_eq!(broken(&falls), ["NtC"]);
    assert_eq!(falls.notes, ["from 0h on numbers are not in the order of names: NtB is behind NtC"]);
    let hole = of([0, 1, 3], ["NtA", "NtB", "NtC"]);
    assert!(hole.holds());
    assert_eq!(hole.notes[0], "no export has 2h: who counts exports is wrong from there on");
}
