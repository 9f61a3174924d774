//! Trap frames: where the current one is, and the registers that one keeps.

use super::Kd;
use super::register::Context;
use crate::debug::{Guest, types};
use crate::machine::SegmentRegister;
use crate::nt::amd64::layout as amd64;
use crate::nt::i386::layout as i386;

/// The fields of a trap frame with the general registers, by their numbers; on i386 ESP is not among them.
const GENERAL_32: [(u8, u32); 7] = [
    (0, i386::trap_frame::EAX),
    (1, i386::trap_frame::ECX),
    (2, i386::trap_frame::EDX),
    (3, i386::trap_frame::EBX),
    (5, i386::trap_frame::EBP),
    (6, i386::trap_frame::ESI),
    (7, i386::trap_frame::EDI),
];
const GENERAL_64: [(u8, u32); 12] = [
    (0, amd64::trap_frame::RAX),
    (1, amd64::trap_frame::RCX),
    (2, amd64::trap_frame::RDX),
    (3, amd64::trap_frame::RBX),
    (4, amd64::trap_frame::RSP),
    (5, amd64::trap_frame::RBP),
    (6, amd64::trap_frame::RSI),
    (7, amd64::trap_frame::RDI),
    (8, amd64::trap_frame::R8),
    (9, amd64::trap_frame::R9),
    (10, amd64::trap_frame::R10),
    (11, amd64::trap_frame::R11),
];

impl Kd {
    /// The registers that a trap frame keeps; `None` if no memory is there. What a frame does not keep is the processor's.
    pub(super) fn frame_context(&self, frame: u64) -> Option<Context> {
        match self.guest() {
            Guest::I386(_) => self.frame_context32(frame),
            Guest::Amd64(_) => self.frame_context64(frame),
        }
    }

    fn frame_context32(&self, frame: u64) -> Option<Context> {
        let field = |offset: u32| self.read_number(frame.wrapping_add(offset.into()), 4);
        let mut context = Context::of_machine(self.target().machine());
        for (number, offset) in GENERAL_32 {
            context.general[usize::from(number)] = field(offset)?;
        }
        context.ip = field(i386::trap_frame::EIP)?;
        context.flags = field(i386::trap_frame::EFLAGS)? as u32;
        use SegmentRegister::{Cs, Ds, Es, Fs, Gs, Ss};
        for (segment, offset) in [
            (Cs, i386::trap_frame::SEG_CS),
            (Ds, i386::trap_frame::SEG_DS),
            (Es, i386::trap_frame::SEG_ES),
            (Fs, i386::trap_frame::SEG_FS),
            (Gs, i386::trap_frame::SEG_GS),
        ] {
            context.segments[segment as usize] = field(offset)? as u16;
        }
        if context.cpl() == 0 {
            // The processor pushed no stack pointer: the interrupted code's stack ends where one would be.
            context.general[4] = frame.wrapping_add(i386::trap_frame::HARDWARE_ESP.into());
        } else {
            context.general[4] = field(i386::trap_frame::HARDWARE_ESP)?;
            context.segments[Ss as usize] = field(i386::trap_frame::HARDWARE_SEG_SS)? as u16;
        }
        Some(context)
    }

    fn frame_context64(&self, frame: u64) -> Option<Context> {
        let field = |offset: u32, size| self.read_number(frame.wrapping_add(offset.into()), size);
        let mut context = Context::of_machine(self.target().machine());
        for (number, offset) in GENERAL_64 {
            context.general[usize::from(number)] = field(offset, 8)?;
        }
        context.ip = field(amd64::trap_frame::RIP, 8)?;
        context.flags = field(amd64::trap_frame::EFLAGS, 4)? as u32;
        // The others are not stored.
        for (segment, offset) in
            [(SegmentRegister::Cs, amd64::trap_frame::SEG_CS), (SegmentRegister::Ss, amd64::trap_frame::SEG_SS)]
        {
            context.segments[segment as usize] = field(offset, 2)? as u16;
        }
        Some(context)
    }

    /// The running thread's `KTHREAD`.
    pub(super) fn thread(&self) -> Option<u64> {
        self.read_pointer(self.guest().current_thread())
    }

    /// A pointer in the running thread's `KTHREAD`, by the field's name.
    pub(super) fn thread_pointer(&self, name: &str) -> Option<u64> {
        let offset = types::structure(self.guest(), "_KTHREAD")?.field(name)?.offset;
        self.read_pointer(self.thread()?.wrapping_add(offset.into()))
    }

    /// The trap frame that is next above a stack pointer of ring 0: the one that the thread names, the one that the code's
    /// frame pointer leads to, or the one that the entry is filling.
    pub(super) fn trap_frame(&self, context: &Context) -> Option<u64> {
        if context.cpl() != 0 {
            return None;
        }
        let bias = match self.guest() {
            Guest::I386(_) => 0,
            Guest::Amd64(_) => u64::from(amd64::trap_frame::RBP_BIAS),
        };
        let pointed = context.general[5].wrapping_sub(bias);
        let named = self.thread_pointer("TrapFrame");
        let candidates = [named, Some(pointed), Some(self.guest().base_frame())];
        let mut found: Vec<u64> = candidates.into_iter().flatten().filter(|at| self.is_frame(*at, context)).collect();
        found.sort_unstable();
        found.first().copied()
    }

    /// Whether a trap frame can be at an address: on the stack in use, not yet released, with a code segment of NT.
    fn is_frame(&self, at: u64, context: &Context) -> bool {
        let Some(top) = self.thread_pointer("InitialStack") else { return false };
        let (sp, end) = (context.sp(), at.wrapping_add(self.guest().trap_frame_size()));
        // An entry has pushed no more than the frame's upper part yet.
        if sp >= end || end > top || top - sp > 0x1_0000 {
            return false;
        }
        let (offset, ip, selectors) = match self.guest() {
            Guest::I386(_) => {
                use i386::trap_frame::{EIP, SEG_CS};
                (SEG_CS, EIP, [i386::selector::R0_CODE, i386::selector::R3_CODE])
            }
            Guest::Amd64(_) => {
                use amd64::trap_frame::{RIP, SEG_CS};
                (SEG_CS, RIP, [amd64::selector::R0_CODE, amd64::selector::R3_CODE])
            }
        };
        // The instruction pointer is pushed last. The way out pops it, and what it has popped is still there.
        let (name, ip_at) = (self.symbol(context.ip).map_or("", |(name, _)| name), at.wrapping_add(ip.into()));
        if ip_at < sp && !name.starts_with("nt!KiServiceExit") {
            return false;
        }
        // ReactOS makes room for the frame and then fills it: what is there before is of an earlier call.
        if name == "reactos!KiSystemCallEntry64" && self.read_number(ip_at, 8) != Some(context.general[1]) {
            return false;
        }
        let selector = self.read_number(at.wrapping_add(offset.into()), 2);
        selector.is_some_and(|selector| selectors.contains(&(selector as u32)))
    }

    /// Where ring 3 was when the kernel has been entered by `sysenter` or `syscall`, and its frame has no instruction pointer
    /// yet: the two instructions push nothing, but the registers tell, and what the entry has saved of them by now. `sysret`
    /// has the same registers, and its frame is gone.
    pub(super) fn entering(&self, context: &Context) -> Option<Context> {
        let (name, _) = self.symbol(context.ip).filter(|_| context.cpl() == 0)?;
        let top = self.thread_pointer("InitialStack")?;
        let switched = (top.wrapping_sub(0x1_0000)..=top).contains(&context.sp());
        let mut user = *context;
        let (cs, ip, sp) = match (self.guest(), name) {
            (Guest::I386(profile), name) if name.starts_with("nt!KiFastCallEntry") => {
                let back = if name.starts_with("nt!KiFastCallEntryRtm") {
                    profile.shared_code_return().into()
                } else {
                    self.read_number(profile.system_call_return().into(), 4)?
                };
                // Pushed behind SS, before EDX moves on to the arguments.
                let tss = self.target().machine().segment(SegmentRegister::Tr).base;
                let stack = self.read_number(tss.wrapping_add(i386::tss::ESP0.into()), 4)?;
                let pushed = self.narrow(stack.wrapping_sub(8));
                let sp =
                    if switched && context.sp() <= pushed { self.read_number(pushed, 4)? } else { context.general[2] };
                (i386::selector::R3_CODE, back, sp)
            }
            // Ring 3's stack in ring 0: right behind `syscall`, or right before `sysret`.
            (Guest::Amd64(_), _) if context.sp() >> 63 == 0 => {
                (amd64::selector::R3_CODE, context.general[1], context.sp())
            }
            (Guest::Amd64(profile), "nt!KiSystemCall64" | "reactos!KiSystemCallEntry64") if switched => {
                let saved = profile.kpcr.wrapping_add(amd64::kpcr::USER_RSP.into());
                (amd64::selector::R3_CODE, context.general[1], self.read_number(saved, 8)?)
            }
            _ => return None,
        };
        user.segments[SegmentRegister::Cs as usize] = cs as u16;
        (user.ip, user.general[4]) = (ip, sp);
        Some(user)
    }
}
