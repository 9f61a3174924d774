//! The formulas of [`record`](crate::nt::amd64::record), as code.

use super::*;
use crate::nt::amd64::record::{self, MXCSR_BEFORE, SENTINEL, entry, exit, fact};

/// The way into the kernel that a set's stubs take.
pub(super) fn way_in(set: &StubSet) -> u32 {
    match (set.label.as_str(), set.system_call, set.tables) {
        ("zw", ..) => entry::BY_SERVICE_INTERNAL,
        ("zw-reactos", ..) => entry::BY_ZW_SYSTEM_SERVICE,
        ("syscall-or-int2e", SystemCall::Interrupt, _) => entry::BY_SYSTEM_SERVICE,
        (.., TableForm::Pointers) => entry::BY_SYSTEM_CALL_ENTRY,
        _ => entry::BY_SYSTEM_CALL,
    }
}

/// The values that a call of a correct stub leaves in the record, by fact; arguments last.
pub(super) fn expected(plan: &Plan, image: &Image, set: usize, call: usize, seen: &[u64]) -> Vec<(usize, u64)> {
    let (planned, layout, service) = (&plan.sets[set], &image.sets[set], &plan.services[call]);
    let kernel = planned.ring == Ring::Kernel;
    let by = way_in(planned);
    let (zw, ros_zw) = (by == entry::BY_SERVICE_INTERNAL, by == entry::BY_ZW_SYSTEM_SERVICE);
    let reactos = by == entry::BY_SYSTEM_CALL_ENTRY;
    let syscall = by == entry::BY_SYSTEM_CALL || reactos;
    let n = call as u32;
    let ored = |poison: u64| poison | u64::from(n);
    let number = u64::from(planned.stubs[call].number);
    let windows_user = by == entry::BY_SYSTEM_CALL || by == entry::BY_SYSTEM_SERVICE;
    let first = record::first_argument(set as u32, n);
    let stack = record::stack_arguments(service.args);
    let rip = seen[fact::FRAME_RIP];
    let mut facts = vec![
        (fact::CALL, (set as u64) << 16 | u64::from(n)),
        (fact::HANDLER_RUNS, 1),
        (fact::HANDLER, n.into()),
        (fact::NUMBER, if ros_zw { 0 } else { number }),
        (fact::ENTRY, by.into()),
        (
            fact::EXIT,
            match by {
                _ if kernel => exit::RET,
                entry::BY_SYSTEM_SERVICE => exit::IRET,
                _ => exit::SYSRET,
            }
            .into(),
        ),
        (
            fact::FRAME_CS_SS,
            if zw {
                0x10
            } else if ros_zw {
                0
            } else {
                0x002B_0033
            },
        ),
        (fact::PREVIOUS_MODE, (!kernel).into()),
        (fact::FRAME_PREVIOUS_MODE, kernel.into()),
        (fact::STACK_ARGUMENTS, stack.into()),
        (fact::RSP_ALIGNMENT, 8),
        (fact::KERNEL_MXCSR, if kernel { MXCSR_BEFORE } else { 0x1F80 }.into()),
        (fact::SYSTEM_CALL_NUMBER, if windows_user { number } else { 0 }),
        (fact::MXCSR, MXCSR_BEFORE.into()),
        (fact::CS_SS, if kernel { 0x0018_0010 } else { 0x002B_0033 }),
        (fact::DS_ES, 0x002B_002B),
        (fact::FS_GS, 0x002B_0053),
        (fact::XMM_KEPT, if kernel { 0xFFFF } else { 0xFFC0 }),
        (fact::XMM_ZERO, if kernel { 0 } else { 0x3F }),
        (fact::CALLBACKS, planned.callback.into()),
        (fact::AFTER_PREVIOUS_MODE, 1),
        (fact::FAULT_VECTOR, 0),
        (fact::FAULT_ERROR, 0),
        (fact::ARGUMENT_COUNT, (4 + stack).into()),
        (fact::FRAME, layout.frame),
        (fact::TRAP_FRAME, layout.frame),
        (fact::FRAME_LINK, if windows_user { 0 } else { layout.trap_frame }),
        (fact::FIRST_ARGUMENT, if windows_user { first } else { 0 }),
        (fact::FRAME_RSP, if ros_zw { 0 } else { layout.rsp_before - 8 }),
        (fact::RCX_AT_ENTRY, if syscall { rip } else { first }),
        (fact::RAX, record::status(n, set as u32).into()),
        (fact::RBX, ored(record::POISON_RBX)),
        (fact::RSI, ored(record::POISON_RSI)),
        (fact::RDI, ored(record::POISON_RDI)),
        (fact::RBP, ored(record::POISON_RBP)),
        (fact::R12, ored(record::POISON_R12)),
        (fact::R13, ored(record::POISON_R13)),
        (fact::R14, ored(record::POISON_R14)),
        (fact::R15, ored(record::POISON_R15)),
        (fact::RSP, layout.rsp_before),
        (fact::RSP_BEFORE, layout.rsp_before),
        (fact::GS_SELF, layout.gs_self),
        (fact::AFTER_TRAP_FRAME, layout.trap_frame),
        (fact::AFTER_RSP_BASE, layout.stack_top),
        (fact::AFTER_RSP0, layout.stack_top),
        (fact::CALLBACK_R10, if planned.callback { rip } else { 0 }),
    ];
    if !kernel {
        facts.extend([
            (fact::RFLAGS, seen[fact::FRAME_RFLAGS]),
            (fact::R10_AT_ENTRY, first),
            (fact::RCX, rip),
            (fact::R11, seen[fact::FRAME_RFLAGS]),
            (fact::RDX, 0),
            (fact::R8, seen[fact::FRAME_RSP]),
            (fact::R9, ored(record::POISON_RBP)),
            (fact::R10, if planned.callback { rip } else { 0 }),
        ]);
        let stub = &planned.stubs[call];
        let interrupt = by == entry::BY_SYSTEM_SERVICE;
        let code = if interrupt { iced_x86::Code::Int_imm8 } else { iced_x86::Code::Syscall };
        let way = stub.instructions.iter().find(|instruction| instruction.code() == code).expect("it is there");
        // Both instructions have two bytes.
        facts.push((fact::FRAME_RIP, layout.stub_addresses[call] + way.ip() + 2));
        let r11 = if interrupt { ored(record::POISON_R11) } else { seen[fact::FRAME_RFLAGS] };
        facts.push((fact::R11_AT_ENTRY, r11));
        if !reactos {
            facts.push((fact::RESERVED, if stack == 0 { 0 } else { 0x70 }));
        }
    }
    if zw {
        let linkage = image.symbols.iter().find(|symbol| symbol.name == "nt!KiServiceLinkage");
        facts.push((fact::FRAME_RIP, linkage.expect("it is there").address));
    }
    for slot in 0..4u64 {
        let home = if planned.label == "syscall-home" { first } else { SENTINEL };
        facts.push((fact::HOME + slot as usize, home + slot));
    }
    facts.extend((0..u64::from(4 + stack)).map(|k| (fact::ARGUMENTS + k as usize, first + k)));
    facts
}
