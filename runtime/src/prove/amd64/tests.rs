//! Expected values of 64-bit calls, in numbers, and boots of plans that are broken on purpose.

use iced_x86::{Decoder, DecoderOptions, Mnemonic};
use ntgate_gen::{ServiceList, read_list};

use super::*;
use crate::nt::amd64::profile::WIN7_X64;
use crate::nt::amd64::record::{KERNEL_POINTER, UNMAPPED_POINTER, fact};
use crate::prove::group::Group;
use crate::prove::run::{self, Ground, Wrong};
use crate::prove::{Options, prove};

/// Services of no, of nine and of three arguments; numbers 0 to 2.
fn list() -> ServiceList {
    read_list("t", b"NtNone 0\nNtNine 9\nNtThree 3\n").expect("the list is right").list
}

fn cpu() -> Cpu {
    Cpu::by_name("core2duo").expect("there is such a model")
}

fn group<'a>(services: &'a Services<'a>, shapes: &[Shape]) -> Group<'a, Amd64> {
    Group::new(Amd64::new(&WIN7_X64).expect("it assembles"), services, shapes).expect("it fits")
}

/// What the facts of a call of the only set have to be.
fn facts_of(shape: Shape, set: usize, call: u32) -> Vec<u64> {
    let list = list();
    let services = Services::new(list.primary(), None);
    let (group, cpu) = (group(&services, &[shape]), cpu());
    let expected = Amd64::expected(&group.view(set, &cpu), call).expect("there is such a call");
    expected.facts.iter().map(|want| want.value).collect()
}

/// What is wrong with a boot after `change`.
fn wrong_with(shapes: &[Shape], change: impl Fn(&mut Plan)) -> Vec<Wrong> {
    let list = list();
    let services = Services::new(list.primary(), None);
    let group = group(&services, shapes);
    let mut changed = group.plan.clone();
    change(&mut changed);
    let ground = Ground { guest: &group.guest, reference: &group.plan };
    run::run(ground, &changed, &cpu(), false, None).expect("it boots")
}

fn whats(wrong: &Wrong) -> Vec<&'static str> {
    wrong.findings.iter().map(|finding| finding.what.name()).collect()
}

#[test]
fn nothing_is_wrong_with_a_right_plan() {
    assert_eq!(wrong_with(Shape::of(Arch::Amd64), |_| {}), []);
}

/// What the manuals and Windows 7's published layout say of a call of nine arguments: its kernel stack ends at
/// FFFFF880`02008000h, the frame of 190h bytes is at its end, ntdll's stubs are 16 bytes apart from 77831340h.
#[test]
fn expected_values_are_those_of_the_system() {
    let frame = WIN7_X64.initial_stack - 0x190;
    let rsp = WIN7_X64.user_stack - 8 * 24;
    let seen = facts_of(Shape::Syscall, 0, 1);
    for (index, value) in [
        (fact::NUMBER, 1),
        (fact::HANDLER, 1),
        (fact::ENTRY, 1),
        (fact::EXIT, 1),
        // `mov r10,rcx; mov eax,1; syscall` is 3 + 5 + 2 bytes.
        (fact::FRAME_RIP, 0x7783_1350 + 10),
        (fact::RCX_AT_ENTRY, 0x7783_1350 + 10),
        (fact::RCX, 0x7783_1350 + 10),
        (fact::FRAME_RSP, rsp - 8),
        (fact::R8, rsp - 8),
        (fact::RSP, rsp),
        (fact::FRAME, frame),
        // CF, PF, AF, ZF, SF and IF are set before the call.
        (fact::FRAME_RFLAGS, 0x2D7),
        (fact::R11, 0x2D7),
        (fact::RDX, 0),
        (fact::R10, 0),
        (fact::FRAME_CS_SS, 0x002B_0033),
        (fact::STACK_ARGUMENTS, 5),
        (fact::RESERVED, 0x70),
        (fact::RSP_ALIGNMENT, 8),
        (fact::KERNEL_MXCSR, 0x1F80),
        (fact::MXCSR, 0x7F80),
        (fact::XMM_ZERO, 0x3F),
        (fact::XMM_KEPT, 0xFFC0),
        (fact::RAX, 0x2000_0100),
        (fact::PREVIOUS_MODE, 1),
        (fact::HOME, 0x5E5E_5E5E_5E5E_5E00),
        (fact::R10_AT_ENTRY, 0xA640_0000_0000_0100),
    ] {
        assert_eq!(seen[index], value, "fact {index}");
    }
    // The register arguments are stored at home: the last one is the fourth.
    assert_eq!(facts_of(Shape::SyscallHome, 0, 1)[fact::HOME + 3], 0xA640_0000_0000_0103);
    // Without stack arguments there is no room for them.
    assert_eq!(facts_of(Shape::Syscall, 0, 2)[fact::RESERVED], 0);
}

#[test]
fn each_way_in_leaves_its_own_facts() {
    // TEST of bit 0 that is clear leaves ZF and PF; of one that is set, neither.
    let (by_syscall, by_int) = (facts_of(Shape::SyscallOrInt2e, 0, 1), facts_of(Shape::SyscallOrInt2e, 1, 1));
    assert_eq!((by_syscall[fact::FRAME_RFLAGS], by_int[fact::FRAME_RFLAGS]), (0x246, 0x202));
    assert_eq!((by_int[fact::ENTRY], by_int[fact::EXIT]), (2, 2));
    // The gate changes no register.
    assert_eq!(by_int[fact::R11_AT_ENTRY], 0x1100_0011_1100_0001);
    assert_eq!(by_int[fact::RCX_AT_ENTRY], by_int[fact::R10_AT_ENTRY]);

    let zw = facts_of(Shape::ZwAmd64, 0, 1);
    assert_eq!((zw[fact::ENTRY], zw[fact::EXIT], zw[fact::FRAME_CS_SS], zw[fact::CS_SS]), (3, 3, 0x10, 0x0018_0010));
    assert_eq!((zw[fact::PREVIOUS_MODE], zw[fact::FRAME_PREVIOUS_MODE]), (0, 1));
    assert_eq!(zw[fact::FRAME_LINK], WIN7_X64.base_frame());

    // Nine arguments are 48h bytes, and the stack is aligned to 16 behind them.
    let reactos = facts_of(Shape::ZwReactos, 0, 1);
    assert_eq!((reactos[fact::ENTRY], reactos[fact::R10_AT_ENTRY], reactos[fact::RESERVED]), (5, 0x48, 0x50));
    assert_eq!(facts_of(Shape::SyscallReactos, 0, 1)[fact::ENTRY], 4);
}

#[test]
fn bad_calls_are_refused_as_nt_refuses_them() {
    for shape in [Shape::Syscall, Shape::SyscallReactos] {
        let facts = facts_of(shape, 0, PAST_END);
        assert_eq!((facts[fact::NUMBER], facts[fact::RAX]), (3, 0xC000_001C));
        for call in [KERNEL_POINTER, UNMAPPED_POINTER] {
            let facts = facts_of(shape, 0, call);
            assert_eq!(
                (facts[fact::RAX], facts[fact::HANDLER], facts[fact::FAULT_VECTOR]),
                (0xC000_0005, 0xFFFF_FFFF, 0)
            );
        }
    }
    // The kernel may pass pointers to its own memory: the service with most arguments runs.
    let facts = facts_of(Shape::ZwAmd64, 0, KERNEL_POINTER);
    assert_eq!((facts[fact::HANDLER], facts[fact::STACK_ARGUMENTS], facts[fact::RAX]), (1, 5, 0x2000_0100));
}

/// ReactOS's generator wrote `movl $N,%eax; movq %rcx,%r10; syscall; ret $4*n` for amd64 (`sdk/tools/nci/ncitool.c`,
/// `UserModeStub_amd64`), here as GNU as encodes it: the stub takes its caller's stack away.
#[test]
fn the_stub_of_reactoss_old_generator_is_broken() {
    let wrong = wrong_with(&[Shape::SyscallReactos], |plan| {
        for (stub, args) in plan.sets[0].stubs.iter_mut().zip([0u8, 9, 3]) {
            let number = stub.number as u8;
            let code = [0xB8, number, 0, 0, 0, 0x49, 0x89, 0xCA, 0x0F, 0x05, 0xC2, 4 * args, 0];
            stub.instructions = Decoder::new(64, &code, DecoderOptions::NONE).iter().collect();
            assert_eq!(stub.instructions.last().map(|at| at.mnemonic()), Some(Mnemonic::Ret));
        }
    });
    // `ret 0` does no harm; every other one leaves RSP too high, and nothing else wrong.
    assert_eq!(wrong.iter().map(|wrong| wrong.call).collect::<Vec<_>>(), [Some(1), Some(2)]);
    for (wrong, taken) in wrong.iter().zip([36, 12]) {
        assert_eq!(whats(wrong), ["stack-after"]);
        let rsp = WIN7_X64.user_stack - 8 * 24;
        assert_eq!(wrong.findings[0].expected.to_string(), format!("{rsp:016x}"));
        assert_eq!(wrong.findings[0].seen.to_string(), format!("{:016x}", rsp + taken));
    }
}

#[test]
fn a_stub_that_leaves_the_argument_in_rcx_passes_the_return_address() {
    let wrong = wrong_with(&[Shape::Syscall], |plan| {
        let stub = &mut plan.sets[0].stubs[1];
        *stub = Mutation::NoMoveToR10.of_stub(stub).expect("it can be broken so");
    });
    let [wrong] = &wrong[..] else { panic!("one call is wrong: {wrong:?}") };
    let whats = whats(wrong);
    assert!(whats.contains(&"r10-at-entry") && whats.contains(&"argument"), "{whats:?}");
}

#[test]
fn a_kernel_stub_that_stops_the_machine_does_not_hide_the_next_ones() {
    let wrong = wrong_with(&[Shape::ZwAmd64, Shape::Syscall], |plan| {
        for stub in [0, 2] {
            let stub = &mut plan.sets[0].stubs[stub];
            *stub = Mutation::NoPushCs.of_stub(stub).expect("it can be broken so");
        }
    });
    assert_eq!(wrong.iter().map(|wrong| (wrong.set, wrong.call)).collect::<Vec<_>>(), [(0, Some(0)), (0, Some(2))]);
    for wrong in &wrong {
        assert_eq!(whats(wrong), ["record"]);
        assert!(wrong.findings[0].seen.to_string().starts_with("bug check "), "{wrong:?}");
    }
}

#[test]
fn a_table_that_is_too_long_is_found_by_the_call_past_its_end() {
    let wrong = wrong_with(&[Shape::Syscall], |plan| plan.tables[0].push(Row::new(0, 0)));
    let [wrong] = &wrong[..] else { panic!("one call is wrong: {wrong:?}") };
    assert_eq!(wrong.call, Some(PAST_END));
    assert!(whats(wrong).contains(&"handler") && whats(wrong).contains(&"status"));
}

#[test]
fn an_instrumentation_callback_that_nobody_asked_for_is_found() {
    let wrong = wrong_with(&[Shape::Syscall], |plan| plan.sets[0].callback = true);
    // Three services, and three calls that have to fail.
    assert_eq!(wrong.len(), 6);
    for wrong in &wrong {
        assert_eq!(whats(wrong), ["callbacks", "exit-r10", "callback-r10"]);
    }
}

#[test]
fn mutants_of_a_small_list_are_all_rejected() {
    let options = Options { archs: vec![Arch::Amd64], mutate: true, ..Options::default() };
    let report = prove(&list(), "t", &options, &|_, _| {}).expect("it boots");
    let mutants = report.mutants.as_ref().expect("there are mutants");
    assert_eq!(mutants.survivors, []);
    assert_eq!(mutants.total, mutants.rejected);
    let total = |mutation| mutants.kinds.iter().find(|kind| kind.mutation == mutation).map_or(0, |kind| kind.total);
    // In all shapes but the one that has no number and needs no table.
    assert_eq!([total(Mutation::NumberPlus), total(Mutation::OffsetMinus), total(Mutation::OtherTable)], [15; 3]);
    // `ret` without arguments is what it was.
    assert_eq!((total(Mutation::ReturnSlot), total(Mutation::ReturnDwords)), (12, 8));
    // Four packed sets; one service has stack arguments to leave out.
    assert_eq!((total(Mutation::PackedCountPlus), total(Mutation::PackedCountMinus)), (12, 4));
    // Of three arguments and of none, none is on the stack, one more or less.
    assert_eq!((total(Mutation::ArgumentBytesPlus), total(Mutation::ArgumentBytesMinus)), (1, 1));
    assert!(report.holds());
}

/// The numbers of win32k's services choose the second table; the first of them makes the thread a GUI thread.
#[test]
fn services_of_win32k_are_proven_too() {
    let list =
        read_list("t", b"NtA 9\n#! table win32k base=0x1000\nNtGdiA 2\nNtGdiB 11\n").expect("the list is right").list;
    let options = Options { mutate: true, ..Options::default() };
    let report = prove(&list, "t", &options, &|_, _| {}).expect("it boots");
    assert!(report.holds(), "{}", report.render(false));
    assert!(report.runs.iter().all(|run| (run.proven, run.total) == (3, 3)));
    // With the other table's bit a number of win32k's is one of the kernel's.
    let mutants = report.mutants.expect("there are mutants");
    let kinds = mutants.kinds.iter().filter(|kind| kind.mutation == Mutation::OtherTable);
    assert_eq!(kinds.map(|kind| (kind.arch, kind.total)).collect::<Vec<_>>(), [(Arch::I386, 21), (Arch::Amd64, 15)]);
}
