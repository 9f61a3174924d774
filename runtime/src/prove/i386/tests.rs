//! Expected values of 32-bit calls, in numbers.

use super::*;
use crate::nt::layout::status;
use crate::nt::profile::SRV2003;
use crate::nt::record::{KERNEL_POINTER, UNMAPPED_POINTER, fact};
use crate::prove::group::Group;
use ntgate_gen::ServiceList;

/// Two services, of no and of nine arguments; numbers 1 and 2.
fn list() -> ServiceList {
    ntgate_gen::read_list("t", b"NtNone 0 @1\nNtNine 9\n").expect("the list is right").list
}

/// What the facts of a call through a shape have to be, on a CPU with or without SYSENTER.
fn facts_of(shape: Shape, sysenter: bool, call: u32) -> Vec<u64> {
    let list = list();
    let services = Services::new(list.primary(), None);
    let group = Group::new(I386::new(&SRV2003).expect("it assembles"), &services, &[shape]).expect("it fits");
    let cpu = cpu(sysenter);
    let expected = I386::expected(&group.view(0, &cpu), call).expect("there is such a call");
    assert!(expected.facts.iter().all(|want| want.open == 0), "nothing is left open");
    expected.facts.iter().map(|want| want.value).collect()
}

fn cpu(sysenter: bool) -> Cpu {
    Cpu::by_name(if sysenter { "pentium2" } else { "pentium" }).expect("there is such a model")
}

#[test]
fn every_cpu_reaches_the_entry_that_its_shape_has() {
    for (shape, sysenter, entry) in [
        (Shape::Int2e, true, Some(Entry::Int2e)),
        (Shape::SharedEdx, true, Some(Entry::Sysenter)),
        (Shape::SharedEdx, false, Some(Entry::Int2e)),
        (Shape::SharedCallEdx, true, Some(Entry::Sysenter)),
        (Shape::Sysenter, false, None),
        (Shape::Zw, true, Some(Entry::Zw)),
        (Shape::Syscall, true, None),
    ] {
        assert_eq!(entry_of(shape, sysenter), entry, "{shape}, SYSENTER {sysenter}");
    }
}

#[test]
fn a_system_of_int_2eh_leaves_sysenter_alone() {
    let list = list();
    let services = Services::new(list.primary(), None);
    for (profile, sysenter) in [(&crate::nt::profile::NT4, false), (&crate::nt::profile::WIN8, true)] {
        let group = Group::new(I386::new(profile).expect("it assembles"), &services, &[Shape::Zw]).expect("it fits");
        assert!(group.guest.cpu_line(&cpu(true)).ends_with(&format!(" sysenter {}", u32::from(sysenter))));
        // Neither has a system call in the page that all processes share.
        let back = if sysenter { profile.fast_system_call_ret() } else { 0 };
        assert_eq!(group.view(0, &cpu(true)).shared(), [0, back]);
    }
}

#[test]
fn a_sparse_table_keeps_its_gaps() {
    let text = b"NtA 1\nNtB 2 @3\n#! table win32k base=0x1000\nNtGdiA 0\nNtGdiB 3 @0x1002\n";
    let list = ntgate_gen::read_list("t", text).expect("the list is right").list;
    let services = Services::new(&list.tables()[0], list.tables().get(1));
    let plan = plan(&services, &[Shape::Zw]);
    assert_eq!(plan.ssdt, [0, NO_SERVICE, NO_SERVICE, 1]);
    assert_eq!(plan.sspt, [4, 0, 0, 8]);
    assert_eq!((plan.shadow_ssdt, plan.shadow_sspt), (vec![2, NO_SERVICE, 3], vec![0, 0, 12]));
    let set = &plan.sets[0];
    assert_eq!(set.past_end.as_ref().map(|stub| (stub.number, stub.args)), Some((4, 0)));
    assert_eq!((set.ring, set.stubs.len()), (Ring::Kernel, 4));
}

#[test]
fn a_full_table_has_no_number_past_the_end() {
    let list = ntgate_gen::read_list("t", b"NtA 0 @4095\n").expect("the list is right").list;
    assert!(plan(&Services::new(list.primary(), None), &[Shape::Int2e]).sets[0].past_end.is_none());
}

#[test]
fn the_page_holds_code_for_the_shape_that_calls_it() {
    let list = list();
    let services = Services::new(list.primary(), None);
    let guest = I386::new(&SRV2003).expect("it assembles");
    let group = Group::new(guest, &services, &[Shape::SharedCallEdx]).expect("it fits");
    // `mov edx,esp; sysenter` and the first dword of `lea edx,[esp+8]`
    assert_eq!(group.view(0, &cpu(true)).shared(), [0x340F_D48B, 0x7FFE_0304]);
    assert_eq!(group.view(0, &cpu(false)).shared(), [0x0824_548D, 0x7FFE_0304]);
}

/// What the manuals and NT's published layout say about a call of nine arguments, in numbers: the stack ends at
/// 130000h, 16 bytes of sentinels and 36 of arguments are on it.
#[test]
fn expected_values_are_those_of_the_system() {
    let arguments = 0x0013_0000 - 0x10 - 0x24;
    for (shape, sysenter, facts) in [
        (
            Shape::SharedEdx,
            true,
            // SYSENTER: the frame's EIP is SystemCallReturn, two return addresses are below the arguments.
            vec![
                (fact::NUMBER, 2),
                (fact::ENTRY, 2),
                (fact::ARG_POINTER, arguments),
                (fact::FRAME_EIP, 0x7C95_ED54),
                (fact::FRAME_ESP, arguments - 8),
                (fact::FRAME_EFLAGS, 0x2D7),
                (fact::FRAME_CS, 0x1B),
                (fact::ECX, arguments - 8),
                (fact::EDX, 0x7C95_ED54),
                (fact::ESP, 0x0012_FFF0),
            ],
        ),
        (
            Shape::SharedEdx,
            false,
            // KiIntSystemCall: the frame's EIP is behind CD 2E.
            vec![(fact::ENTRY, 1), (fact::ARG_POINTER, arguments), (fact::FRAME_EIP, 0x7C95_ED66)],
        ),
        (Shape::SharedCallEdx, false, vec![(fact::FRAME_EIP, 0x7FFE_0306), (fact::FRAME_ESP, arguments - 8)]),
        (Shape::SharedCallEdx, true, vec![(fact::FRAME_EIP, 0x7FFE_0304)]),
        // `mov eax`, `lea edx`, `int 2Eh`: 5 + 4 + 2 bytes; the set's second stub.
        (Shape::Int2e, true, vec![(fact::FRAME_EIP, 0x7C98_001B), (fact::FRAME_ESP, arguments - 4)]),
        (Shape::Int2eFrame, false, vec![(fact::FRAME_ESP, arguments - 8), (fact::ECX, 1), (fact::EDX, 0xFFFF_FFFF)]),
        (
            Shape::Zw,
            true,
            // The kernel harness's stack is within the frame's own; CS 8, no stack in the frame, mode 0 in the routine.
            vec![
                (fact::FRAME_CS, 8),
                (fact::FRAME_ESP, 0),
                (fact::PREVIOUS_MODE, 0),
                (fact::ECX, 8),
                (fact::CS_SS, 0x0010_0008),
            ],
        ),
    ] {
        let seen = facts_of(shape, sysenter, 1);
        for (index, value) in facts {
            assert_eq!(seen[index], value, "{shape}, SYSENTER {sysenter}, fact {index}");
        }
        for (index, value) in [
            (fact::HANDLER, 1),
            (fact::EAX, 0x2000_0100),
            (fact::EBX, 0xB000_0001),
            (fact::COPIED, 36),
            (fact::AFTER_PREVIOUS_MODE, 1),
            (fact::FAULT_VECTOR, 0),
        ] {
            assert_eq!(seen[index], value, "{shape}, SYSENTER {sysenter}, fact {index}");
        }
    }
    let base_frame = 0xF7A0_4000 - 0x210 - 0x8C;
    let seen = facts_of(Shape::SharedEdx, true, 1);
    assert_eq!(seen[fact::FRAME], base_frame);
    assert_eq!(seen[fact::AFTER_ESP0], base_frame + 0x7C);
}

#[test]
fn bad_calls_are_refused_as_nt_refuses_them() {
    let expected = |call| facts_of(Shape::SharedEdx, false, call);
    assert_eq!(expected(PAST_END)[fact::NUMBER], 3);
    assert_eq!(expected(PAST_END)[fact::EAX], u64::from(status::INVALID_SYSTEM_SERVICE));
    for call in [KERNEL_POINTER, UNMAPPED_POINTER] {
        assert_eq!(expected(call)[fact::EAX], u64::from(status::ACCESS_VIOLATION));
        assert_eq!(expected(call)[fact::HANDLER], 0xFFFF_FFFF);
        assert_eq!(expected(call)[fact::FAULT_VECTOR], 0);
    }
    // SYSEXIT gives the bad pointer back as ESP; the `ret` there faults in ring 3.
    for (call, error) in [(KERNEL_POINTER, 5), (UNMAPPED_POINTER, 4)] {
        let facts = facts_of(Shape::SharedEdx, true, call);
        assert_eq!((facts[fact::FAULT_VECTOR], facts[fact::FAULT_ERROR]), (0xF, error));
        assert_eq!(facts[fact::FAULT_EIP], 0x7C95_ED54);
        assert_eq!(facts[fact::FAULT_CR2], facts[fact::ARG_POINTER] - 8);
    }
    // The kernel may pass pointers to its own memory.
    let facts = facts_of(Shape::Zw, true, KERNEL_POINTER);
    assert_eq!((facts[fact::HANDLER], facts[fact::COPIED], facts[fact::EAX]), (1, 36, 0x2000_0100));
}
