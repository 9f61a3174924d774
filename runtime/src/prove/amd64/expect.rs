//! What a call's record has to be: every fact from the list, the image's addresses and the way in.
//!
//! What each fact means is said in [`record`](crate::nt::amd64::record).

use iced_x86::Code;
use ntgate_gen::{Shape, Stub};

use super::Amd64;
use crate::machine::flags;
use crate::nt::amd64::layout::{COPY_AREA, INITIAL_MXCSR, REACTOS_COPY_AREA, mode, selector, status};
use crate::nt::amd64::record::{
    self, MXCSR_BEFORE, NO_HANDLER, PAST_END, RFLAGS_BEFORE, SENTINEL, entry, exit, fact, stack_arguments,
};
use crate::nt::amd64::{Refusal, SetLayout, StubSet, SystemCall, TableForm};
use crate::prove::guest::SetView;
use crate::prove::verdict::{Expected, Want};

/// Where and how a call enters the kernel, and what it finds there.
struct WayIn {
    /// As the guest numbers them: [`entry`].
    by: u32,
    number: u32,
    /// RIP in the frame.
    rip: u64,
    /// RSP in the frame.
    rsp: u64,
    /// RFLAGS in the frame.
    rflags: Want,
    /// R10 at the kernel's first instruction.
    r10: u64,
    /// R11 there, if the CPU does not load it.
    r11: u64,
    /// The stub stores the register arguments in the caller's home area.
    stores_home: bool,
}

impl WayIn {
    fn is_kernel(&self) -> bool {
        matches!(self.by, entry::BY_SERVICE_INTERNAL | entry::BY_ZW_SYSTEM_SERVICE)
    }

    fn is_syscall(&self) -> bool {
        matches!(self.by, entry::BY_SYSTEM_CALL | entry::BY_SYSTEM_CALL_ENTRY)
    }

    /// What KiSystemServiceUser does, and ReactOS does not.
    fn is_service_user(&self) -> bool {
        matches!(self.by, entry::BY_SYSTEM_CALL | entry::BY_SYSTEM_SERVICE)
    }
}

/// A service as its call finds it.
struct Served {
    handler: u32,
    args: u32,
}

/// Flags that the kernel's stubs and routines leave as they happen to be.
const STATUS: u64 = flags::ARITHMETIC as u64;
/// Bit 1 of RFLAGS is always set.
const ALWAYS: u64 = flags::ALWAYS as u64;
/// `syscall` and `int 2Eh` are two bytes long.
const WAY_IN_LENGTH: u64 = 2;

impl<'a> SetView<'a, Amd64> {
    fn layout(&self) -> Option<&'a SetLayout> {
        self.image.sets.get(self.index)
    }

    fn planned(&self) -> Option<&'a StubSet> {
        self.plan.sets.get(self.index)
    }

    /// MSR C0000082h, and the dword at SharedUserData+308h.
    pub(super) fn lstar_and_shared(&self) -> [u64; 2] {
        let Some(planned) = self.planned() else { return [0; 2] };
        let routine = match planned.tables {
            TableForm::Packed => self.guest.addresses.system_call,
            TableForm::Pointers => self.guest.addresses.reactos_system_call,
        };
        [routine, planned.system_call as u64]
    }

    /// What the record of a call has to be; `None` if the set has no such call.
    pub(super) fn expected(&self, call: u32) -> Option<Expected> {
        let (layout, planned) = (self.layout()?, self.planned()?);
        if call < PAST_END {
            let service = self.plan.services.get(call as usize)?;
            let way_in =
                self.through_stub(planned.stubs.get(call as usize)?, *layout.stub_addresses.get(call as usize)?, call)?;
            let status = record::status(call, self.number());
            return Some(self.facts(call, &way_in, Some(&Served { handler: call, args: service.args }), status));
        }
        if call == PAST_END {
            let way_in = self.through_stub(planned.past_end.as_ref()?, layout.past_end_address?, call)?;
            return Some(self.facts(call, &way_in, None, status::INVALID_SYSTEM_SERVICE));
        }
        let refusal = layout.refusals.iter().find(|refusal| refusal.call == call)?;
        let way_in = self.without_stub(refusal)?;
        if !way_in.is_kernel() {
            return Some(self.facts(call, &way_in, None, status::ACCESS_VIOLATION));
        }
        // The kernel may pass pointers to its own memory.
        let handler = self.plan.tables.first()?.get(refusal.number as usize)?.service;
        let served = Served { handler: u32::try_from(handler).ok()?, args: 4 + refusal.stack_arguments };
        Some(self.facts(call, &way_in, Some(&served), record::status(served.handler, self.number())))
    }

    /// Which entry the set's calls come to.
    fn way(&self) -> Option<u32> {
        let planned = self.planned()?;
        Some(match (self.set()?.shape()?, planned.system_call, planned.tables) {
            (Shape::ZwAmd64, ..) => entry::BY_SERVICE_INTERNAL,
            (Shape::ZwReactos, ..) => entry::BY_ZW_SYSTEM_SERVICE,
            (Shape::SyscallOrInt2e, SystemCall::Interrupt, _) => entry::BY_SYSTEM_SERVICE,
            (.., TableForm::Pointers) => entry::BY_SYSTEM_CALL_ENTRY,
            _ => entry::BY_SYSTEM_CALL,
        })
    }

    fn through_stub(&self, stub: &Stub, address: u64, call: u32) -> Option<WayIn> {
        let by = self.way()?;
        let first = record::first_argument(self.number(), call);
        let at_stub = self.layout()?.rsp_before - 8;
        let poison = |poison: u64| poison | u64::from(call);
        let (rip, rsp, r10, number) = match by {
            entry::BY_SERVICE_INTERNAL => {
                (self.guest.addresses.linkage, at_stub, poison(record::POISON_R10), stub.number)
            }
            entry::BY_ZW_SYSTEM_SERVICE => {
                // Its argument bytes are all that the stub says of the service.
                let args = self.plan.services.get(call as usize)?.args;
                (0, 0, u64::from(8 * args), 0)
            }
            _ => (address + offset_behind_entry(stub, by), at_stub, first, stub.number),
        };
        let stores_home = stub.shape == Shape::SyscallHome;
        let r11 = poison(record::POISON_R11);
        let rflags = rflags(by, stub.shape, at_stub);
        Some(WayIn { by, number, rip, rsp, rflags, r10, r11, stores_home })
    }

    /// A call of the harness without a stub.
    fn without_stub(&self, refusal: &Refusal) -> Option<WayIn> {
        let by = self.way()?;
        let addresses = &self.guest.addresses;
        let linkage = addresses.linkage;
        let poison = |poison: u64| poison | u64::from(refusal.call);
        let first = record::first_argument(self.number(), refusal.call);
        let (rip, r10, r11) = match by {
            // The code of the harness has the address of KiServiceLinkage in R11.
            entry::BY_SERVICE_INTERNAL => (linkage, poison(record::POISON_R10), linkage),
            entry::BY_SYSTEM_SERVICE => (addresses.direct_int_return, first, poison(record::POISON_R11)),
            _ => (addresses.direct_syscall_return, first, 0),
        };
        let rflags = rflags(by, Shape::Syscall, self.layout()?.rsp_before - 8);
        Some(WayIn { by, number: refusal.number, rip, rsp: refusal.pointer, rflags, r10, r11, stores_home: false })
    }

    /// The record of a call: that of a service routine, or of a call that none served.
    fn facts(&self, call: u32, way_in: &WayIn, served: Option<&Served>, status: u32) -> Expected {
        let first_argument = record::first_argument(self.number(), call);
        let mut facts = vec![Want::of(0); fact::ARGUMENTS];
        let mut set = |values: &[(usize, Want)]| {
            for &(index, want) in values {
                facts[index] = want;
            }
        };
        set(&[(fact::CALL, dword(self.number() << 16 | call)), (fact::RAX, dword(status))]);
        set(&entry_facts(way_in, first_argument));
        set(&self.harness_facts(call, way_in));
        set(&if way_in.is_kernel() { kernel_exit() } else { user_exit(way_in, call) });
        let home = if way_in.stores_home { first_argument } else { SENTINEL };
        set(&std::array::from_fn::<_, 4, _>(|slot| (fact::HOME + slot, Want::of(home + slot as u64))));
        if let Some(layout) = self.layout() {
            // A frame that was made is in the record whether a routine ran or not.
            set(&[(fact::FRAME, Want::of(layout.frame))]);
            match served {
                Some(served) => set(&routine_facts(way_in, served, layout, first_argument)),
                None => set(&[(fact::HANDLER, dword(NO_HANDLER))]),
            }
        }
        Expected { facts, first_argument }
    }

    /// What the harness sees whatever the way, and what the kernel is afterwards.
    fn harness_facts(&self, call: u32, way_in: &WayIn) -> Vec<(usize, Want)> {
        let (code, data) = if way_in.is_kernel() {
            (selector::R0_CODE, selector::R0_DATA)
        } else {
            (selector::R3_CODE, selector::R3_DATA)
        };
        let user_data = selector::R3_DATA | selector::R3_DATA << 16;
        let poison = |poison: u64| Want::of(poison | u64::from(call));
        let mut facts = vec![
            (fact::MXCSR, dword(MXCSR_BEFORE)),
            (fact::CS_SS, dword(code | data << 16)),
            (fact::DS_ES, dword(user_data)),
            (fact::FS_GS, dword(selector::R3_CMTEB | selector::R3_DATA << 16)),
            (fact::RBX, poison(record::POISON_RBX)),
            (fact::RSI, poison(record::POISON_RSI)),
            (fact::RDI, poison(record::POISON_RDI)),
            (fact::RBP, poison(record::POISON_RBP)),
            (fact::R12, poison(record::POISON_R12)),
            (fact::R13, poison(record::POISON_R13)),
            (fact::R14, poison(record::POISON_R14)),
            (fact::R15, poison(record::POISON_R15)),
            (fact::AFTER_PREVIOUS_MODE, dword(mode::USER)),
        ];
        if let Some(layout) = self.layout() {
            facts.extend([
                (fact::RSP, Want::of(layout.rsp_before)),
                (fact::RSP_BEFORE, Want::of(layout.rsp_before)),
                (fact::GS_SELF, Want::of(layout.gs_self)),
                (fact::AFTER_TRAP_FRAME, Want::of(layout.trap_frame)),
                (fact::AFTER_RSP_BASE, Want::of(layout.stack_top)),
                (fact::AFTER_RSP0, Want::of(layout.stack_top)),
            ]);
        }
        facts
    }
}

const fn dword(value: u32) -> Want {
    Want::of(value as u64)
}

/// The frame, and the registers at the kernel's first instruction.
fn entry_facts(way_in: &WayIn, first_argument: u64) -> Vec<(usize, Want)> {
    let segments = match way_in.by {
        entry::BY_SERVICE_INTERNAL => selector::R0_CODE,
        // This entry makes no frame of an interrupt.
        entry::BY_ZW_SYSTEM_SERVICE => 0,
        _ => selector::R3_CODE | selector::R3_DATA << 16,
    };
    let (rcx, r11) = if way_in.is_syscall() {
        // SYSCALL saves RIP and RFLAGS there.
        (way_in.rip, way_in.rflags.like(fact::FRAME_RFLAGS))
    } else {
        (first_argument, Want::of(way_in.r11))
    };
    vec![
        (fact::NUMBER, dword(way_in.number)),
        (fact::ENTRY, dword(way_in.by)),
        (fact::FRAME_CS_SS, dword(segments)),
        (fact::FRAME_RFLAGS, way_in.rflags),
        (fact::FRAME_RIP, Want::of(way_in.rip)),
        (fact::FRAME_RSP, Want::of(way_in.rsp)),
        (fact::R10_AT_ENTRY, Want::of(way_in.r10)),
        (fact::RCX_AT_ENTRY, Want::of(rcx)),
        (fact::R11_AT_ENTRY, r11),
    ]
}

/// What ring 3 finds in the volatile registers: what SYSRET needs, and nothing of the kernel's.
fn user_exit(way_in: &WayIn, call: u32) -> Vec<(usize, Want)> {
    let exit = if way_in.is_syscall() { exit::SYSRET } else { exit::IRET };
    vec![
        (fact::EXIT, dword(exit)),
        (fact::RFLAGS, way_in.rflags.like(fact::FRAME_RFLAGS)),
        (fact::RCX, Want::of(way_in.rip)),
        (fact::R11, way_in.rflags.like(fact::FRAME_RFLAGS)),
        (fact::R8, Want::of(way_in.rsp)),
        (fact::R9, Want::of(record::POISON_RBP | u64::from(call))),
        (fact::XMM_KEPT, dword(0xFFC0)),
        (fact::XMM_ZERO, dword(0x003F)),
    ]
}

/// A caller in ring 0 is promised nothing about its volatile registers.
fn kernel_exit() -> Vec<(usize, Want)> {
    let volatile = [fact::RCX, fact::RDX, fact::R8, fact::R9, fact::R10, fact::R11];
    let mut facts: Vec<(usize, Want)> = volatile.into_iter().map(|index| (index, Want::ANY)).collect();
    facts.extend([
        (fact::EXIT, dword(exit::RET)),
        (fact::RFLAGS, Want::with_open(u64::from(flags::IF) | ALWAYS, STATUS)),
        (fact::XMM_KEPT, dword(0xFFFF)),
    ]);
    facts
}

/// What a service routine sees.
fn routine_facts(way_in: &WayIn, served: &Served, layout: &SetLayout, first_argument: u64) -> Vec<(usize, Want)> {
    let kernel = way_in.is_kernel();
    let on_stack = stack_arguments(served.args);
    let reserved = match way_in.by {
        entry::BY_SYSTEM_CALL_ENTRY => REACTOS_COPY_AREA,
        // As many bytes as the stub says, and the stack aligned behind them.
        entry::BY_ZW_SYSTEM_SERVICE => {
            let stack = (layout.frame - u64::from(8 * served.args)) & !0xF;
            u32::try_from(layout.frame - stack).unwrap_or(u32::MAX)
        }
        _ if on_stack == 0 => 0,
        _ => COPY_AREA,
    };
    let user = mode::USER;
    let mut facts = vec![
        (fact::HANDLER_RUNS, dword(1)),
        (fact::HANDLER, dword(served.handler)),
        (fact::PREVIOUS_MODE, dword(if kernel { mode::KERNEL } else { user })),
        (fact::FRAME_PREVIOUS_MODE, dword(if kernel { user } else { 0 })),
        (fact::RESERVED, dword(reserved)),
        (fact::STACK_ARGUMENTS, dword(on_stack)),
        // The return address is below the aligned stack.
        (fact::RSP_ALIGNMENT, dword(8)),
        (fact::KERNEL_MXCSR, dword(if kernel { MXCSR_BEFORE } else { INITIAL_MXCSR })),
        (fact::ARGUMENT_COUNT, dword(4 + on_stack)),
        (fact::TRAP_FRAME, Want::of(layout.frame)),
    ];
    if way_in.is_service_user() {
        facts.extend([
            (fact::SYSTEM_CALL_NUMBER, dword(way_in.number)),
            (fact::FIRST_ARGUMENT, Want::of(first_argument)),
        ]);
    } else {
        facts.push((fact::FRAME_LINK, Want::of(layout.trap_frame)));
    }
    facts
}

/// RFLAGS in the frame: what the harness sets before the call, changed by what the stub does with RSP at its start.
fn rflags(by: u32, shape: Shape, rsp: u64) -> Want {
    let before = u64::from(RFLAGS_BEFORE) | ALWAYS;
    // AF is undefined behind TEST.
    let tested = |status: u32| Want::with_open(before & !STATUS | u64::from(status), flags::AF.into());
    match (by, shape) {
        (entry::BY_ZW_SYSTEM_SERVICE, _) => Want::of(0),
        // CLI, and `sub rsp,10h` before PUSHFQ.
        (entry::BY_SERVICE_INTERNAL, _) => Want::of(ALWAYS | u64::from(flags_of_subtraction(rsp, STACK_SEGMENT_BYTES))),
        // TEST of a bit that is set: not zero, and one bit is odd parity.
        (entry::BY_SYSTEM_SERVICE, Shape::SyscallOrInt2e) => tested(0),
        // Of one that is not: zero, and even parity.
        (_, Shape::SyscallOrInt2e) => tested(flags::ZF | flags::PF),
        _ => Want::of(before),
    }
}

/// What a kernel stub of Windows takes from RSP before it pushes: room for SS and for what an interrupt aligns by.
const STACK_SEGMENT_BYTES: u64 = 0x10;

/// The status flags of `a - b` (Intel SDM volume 1, 3.4.3.1). Stack pointers do not overflow.
fn flags_of_subtraction(a: u64, b: u64) -> u32 {
    let result = a.wrapping_sub(b);
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    flag(a < b, flags::CF)
        | flag((result as u8).count_ones().is_multiple_of(2), flags::PF)
        | flag((a ^ b ^ result) & 0x10 != 0, flags::AF)
        | flag(result == 0, flags::ZF)
        | flag(result >> 63 != 0, flags::SF)
}

/// Offset of the instruction behind the stub's `syscall`, or its `int`.
fn offset_behind_entry(stub: &Stub, by: u32) -> u64 {
    let code = if by == entry::BY_SYSTEM_SERVICE { Code::Int_imm8 } else { Code::Syscall };
    let enters = stub.instructions.iter().find(|instruction| instruction.code() == code);
    enters.map_or(0, |instruction| instruction.ip() + WAY_IN_LENGTH)
}
