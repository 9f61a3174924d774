//! What a call's record has to be: every fact from the list, the image's addresses and the CPU.
//!
//! With `E` the stack pointer before the arguments, `n` arguments and the call's return address below them, a stub
//! starts with ESP = E - 4n - 4, and the first argument is at E - 4n, whatever the shape.

use iced_x86::Mnemonic;
use ntgate_gen::{Shape, Stub};

use super::{I386, entry_of};
use crate::nt::Entry;
use crate::nt::layout::{kpcr, mode, selector, shared, status, trap_frame, vector};
use crate::nt::record::{self, KERNEL_POINTER, NO_HANDLER, PAST_END, fact};
use crate::nt::{Refusal, SetLayout, SystemCallForm};
use crate::prove::guest::SetView;
use crate::prove::verdict::{Expected, Want};

/// The facts of a record, and its first argument.
struct Facts {
    facts: [u32; fact::ARGUMENTS],
    first_argument: u32,
}

impl From<Facts> for Expected {
    fn from(facts: Facts) -> Self {
        let wants = facts.facts.iter().map(|&value| Want::of(value.into()));
        Self { facts: wants.collect(), first_argument: facts.first_argument.into() }
    }
}

/// Where and how a call enters the kernel.
struct WayIn {
    entry: Entry,
    number: u32,
    arg_pointer: u32,
    /// EIP in the frame.
    eip: u32,
    /// ESP in the frame.
    esp: u32,
    /// Arguments that the harness pushed.
    pushed: u32,
}

impl<'a> SetView<'a, I386> {
    /// Whether the system uses SYSENTER on this CPU.
    fn sysenter(&self) -> bool {
        self.guest.uses_sysenter(self.cpu)
    }

    fn layout(&self) -> Option<&'a SetLayout> {
        self.image.sets.get(self.index)
    }

    fn shape(&self) -> Option<Shape> {
        self.set()?.shape()
    }

    /// What stands at SharedUserData+300h and what KiFastCallEntry will push, as the guest prints them.
    pub(super) fn shared(&self) -> [u32; 2] {
        let profile = &self.guest.profile;
        match (self.form(), self.sysenter()) {
            // Nothing of the system call is there; a kernel that uses SYSENTER knows by itself where to go back.
            (SystemCallForm::Unused, fast) if !profile.has_shared_system_call() => {
                [0, if fast { profile.fast_system_call_ret() } else { 0 }]
            }
            (SystemCallForm::Code, true) => [CODE_FAST, profile.shared_code_return()],
            (SystemCallForm::Code, false) => [CODE_INT, profile.shared_code_return()],
            (_, true) => [profile.fast_system_call, profile.fast_system_call_ret()],
            (_, false) => [profile.int_system_call, 0],
        }
    }

    fn form(&self) -> SystemCallForm {
        self.plan.sets.get(self.index).map_or(SystemCallForm::Unused, |set| set.form)
    }

    /// What the record of a call has to be; `None` if the set has no such call.
    pub(super) fn expected(&self, call: u32) -> Option<Expected> {
        self.facts(call).map(Expected::from)
    }

    fn facts(&self, call: u32) -> Option<Facts> {
        let layout = self.layout()?;
        if call < PAST_END {
            let service = self.plan.services.get(call as usize)?;
            let stub = self.set()?.stubs.get(call as usize)?;
            let address = *layout.stub_addresses.get(call as usize)?;
            let way_in = self.through_stub(stub, address, service.args_bytes / 4)?;
            let arguments = service.args_bytes / 4;
            return Some(self.served(call, &way_in, call, arguments));
        }
        if call == PAST_END {
            let stub = self.set()?.past_end?;
            let way_in = self.through_stub(stub, layout.past_end_address?, 0)?;
            return Some(self.refused(call, &way_in, status::INVALID_SYSTEM_SERVICE));
        }
        let refusal = layout.refusals.iter().find(|refusal| refusal.call == call)?;
        self.bad_pointer(refusal)
    }

    fn through_stub(&self, stub: &Stub, address: u32, arguments: u32) -> Option<WayIn> {
        let profile = &self.guest.profile;
        let entry = entry_of(stub.shape, self.sysenter())?;
        let arg_pointer = self.layout()?.esp_before - 4 * arguments;
        let at_stub = arg_pointer - 4;
        let behind = address + offset_behind_entry(stub);
        let [_, fast_return] = self.shared();
        // Behind the INT of KiIntSystemCall, which is `lea edx,[esp+8]; int 2Eh; ret`, four and two bytes.
        let int_return = match self.form() {
            SystemCallForm::Code => profile.shared_user + shared::SYSTEM_CALL + 6,
            _ => profile.int_system_call + 6,
        };
        let (eip, esp) = match (entry, stub.shape) {
            (Entry::Sysenter, _) => (fast_return, at_stub - 4),
            (Entry::Int2e, Shape::Int2e) => (behind, at_stub),
            // The frame's EBP lies between.
            (Entry::Int2e, Shape::Int2eFrame) => (behind, at_stub - 4),
            (Entry::Int2e, _) => (int_return, at_stub - 4),
            (Entry::Zw | Entry::Syscall, _) => (behind, 0),
        };
        Some(WayIn { entry, number: stub.number, arg_pointer, eip, esp, pushed: arguments })
    }

    /// A call of the harness without a stub.
    fn bad_pointer(&self, refusal: &Refusal) -> Option<Facts> {
        let symbol = |name: &str| self.image.symbols.iter().find(|symbol| symbol.name == name).map(|s| s.address);
        let entry = entry_of(self.shape()?, self.sysenter())?;
        let (eip, esp) = match entry {
            Entry::Sysenter => (self.shared()[1], refusal.pointer.wrapping_sub(8)),
            Entry::Int2e => (symbol("ntgate!DirectInt")? + INT_LENGTH, self.layout()?.esp_before - 4),
            // `pushfd; push 8; call KiSystemService`
            Entry::Zw | Entry::Syscall => (symbol("nt!NtgateDirect")? + 8, 0),
        };
        let way_in = WayIn { entry, number: refusal.number, arg_pointer: refusal.pointer, eip, esp, pushed: 0 };
        if entry == Entry::Zw {
            // The kernel may pass pointers to its own memory.
            let handler = *self.plan.ssdt.get(refusal.number as usize)?;
            let arguments = u32::from(refusal.args_bytes) / 4;
            return Some(self.served(refusal.call, &way_in, u32::try_from(handler).ok()?, arguments));
        }
        let mut expected = self.refused(refusal.call, &way_in, status::ACCESS_VIOLATION);
        if entry == Entry::Sysenter {
            // The pointer was the stack pointer, and SYSEXIT gives it back: the `ret` behind faults.
            let present = if refusal.call == KERNEL_POINTER { PAGE_FAULT_PRESENT } else { 0 };
            let facts = &mut expected.facts;
            facts[fact::FAULT_VECTOR] = vector::PAGE_FAULT + 1;
            facts[fact::FAULT_ERROR] = PAGE_FAULT_USER | present;
            facts[fact::FAULT_EIP] = eip;
            facts[fact::FAULT_CR2] = esp;
            facts[fact::ESP] = esp;
        }
        Some(expected)
    }

    /// The record of a call that a service routine served.
    fn served(&self, call: u32, way_in: &WayIn, handler: u32, arguments: u32) -> Facts {
        let set = self.number();
        let mut expected = self.refused(call, way_in, record::status(handler, set));
        let kernel = way_in.entry == Entry::Zw;
        let layout = self.layout();
        let frame = if kernel {
            let esp = layout.map_or(0, |layout| layout.esp_before) - 4 * way_in.pushed;
            // Return address, EFLAGS, CS, EIP: the last is the frame's EIP field.
            esp - 0x10 - trap_frame::EIP
        } else {
            self.guest.profile.base_frame()
        };
        let facts = &mut expected.facts;
        facts[fact::HANDLER_RUNS] = 1;
        facts[fact::HANDLER] = handler;
        facts[fact::PREVIOUS_MODE] = if kernel { mode::KERNEL } else { mode::USER };
        facts[fact::PREVIOUS_PREVIOUS_MODE] = mode::USER;
        facts[fact::FRAME] = frame;
        facts[fact::COPIED] = 4 * arguments;
        facts[fact::TRAP_FRAME] = frame;
        facts[fact::FRAME_LINK] = layout.map_or(0, |layout| layout.trap_frame);
        facts[fact::ARGUMENT_COUNT] = arguments;
        expected
    }

    /// The record of a call that no service routine served.
    fn refused(&self, call: u32, way_in: &WayIn, status: u32) -> Facts {
        let layout = self.layout();
        let kernel = way_in.entry == Entry::Zw;
        let set = self.number();
        let mut facts = [0; fact::ARGUMENTS];
        let (code, stack, thread) = if kernel {
            (selector::R0_CODE, selector::R0_DATA, selector::R0_PCR)
        } else {
            (selector::R3_CODE, selector::R3_DATA, selector::R3_TEB)
        };
        let exception_list = layout.map_or(kpcr::EXCEPTION_CHAIN_END, |layout| layout.exception_list);
        let esp_before = layout.map_or(0, |layout| layout.esp_before);
        let (ecx, edx) = match (kernel, self.sysenter()) {
            // `pop edx; pop ecx; popfd; jmp edx`
            (true, _) => (selector::R0_CODE, way_in.eip),
            (false, true) => (way_in.esp, way_in.eip),
            // IRETD needs neither; the kernel restored these two last.
            (false, false) => (mode::USER, exception_list),
        };
        for (index, value) in [
            (fact::CALL, set << 16 | call),
            (fact::HANDLER, NO_HANDLER),
            (fact::NUMBER, way_in.number),
            (fact::ARG_POINTER, way_in.arg_pointer),
            (fact::ENTRY, entry_mark(way_in.entry)),
            (fact::FRAME_CS, code),
            (fact::FRAME_EIP, way_in.eip),
            (fact::FRAME_ESP, way_in.esp),
            (fact::FRAME_EFLAGS, record::EFLAGS_BEFORE),
            (fact::EAX, status),
            (fact::ECX, ecx),
            (fact::EDX, edx),
            (fact::EBX, record::POISON_EBX | call),
            (fact::ESI, record::POISON_ESI | call),
            (fact::EDI, record::POISON_EDI | call),
            (fact::EBP, record::POISON_EBP | call),
            (fact::ESP, esp_before),
            (fact::ESP_BEFORE, esp_before),
            (fact::EFLAGS, record::EFLAGS_BEFORE),
            (fact::CS_SS, code | stack << 16),
            (fact::DS_ES, selector::R3_DATA | selector::R3_DATA << 16),
            (fact::FS_GS, thread),
            (fact::AFTER_TRAP_FRAME, layout.map_or(0, |layout| layout.trap_frame)),
            (fact::AFTER_PREVIOUS_MODE, mode::USER),
            (fact::AFTER_EXCEPTION_LIST, exception_list),
            (fact::AFTER_ESP0, layout.map_or(0, |layout| layout.esp0)),
        ] {
            facts[index] = value;
        }
        Facts { facts, first_argument: record::first_argument(set, call) }
    }
}

/// `mov edx,esp; sysenter` as the dword at SharedUserData+300h, in Microsoft's encoding.
const CODE_FAST: u32 = u32::from_le_bytes([0x8B, 0xD4, 0x0F, 0x34]);
/// `lea edx,[esp+8]`, likewise.
const CODE_INT: u32 = u32::from_le_bytes([0x8D, 0x54, 0x24, 0x08]);
/// `int 2Eh`.
const INT_LENGTH: u32 = 2;
/// Bits of a page fault's error code (Intel SDM volume 3, 4.7).
const PAGE_FAULT_PRESENT: u32 = 1;
const PAGE_FAULT_USER: u32 = 4;

fn entry_mark(entry: Entry) -> u32 {
    match entry {
        Entry::Int2e | Entry::Zw | Entry::Syscall => trap_frame::BY_SYSTEM_SERVICE,
        Entry::Sysenter => trap_frame::BY_FAST_CALL_ENTRY,
    }
}

/// Offset of the instruction behind the one that enters the kernel (`int`, or the call of KiSystemService).
fn offset_behind_entry(stub: &Stub) -> u32 {
    let relocated = |index: usize| stub.relocations.iter().any(|relocation| relocation.instruction == index);
    let mut instructions = stub.instructions.iter().enumerate();
    let enters = instructions.find(|(index, at)| at.mnemonic() == Mnemonic::Int || relocated(*index));
    let behind = enters.and_then(|(index, _)| stub.instructions.get(index + 1));
    behind.and_then(|at| u32::try_from(at.ip()).ok()).unwrap_or(0)
}
