//! The clock: the timer's interrupt, which counts time in SharedUserData (ReactOS `hal/halx86/generic/clock.c`,
//! `ntoskrnl/ke/time.c`).
//!
//! Only sessions that ask for it have one. A proof has none: when an interrupt comes is the machine's affair, and its log is
//! to be the same on every machine.

use iced_x86::code_asm::{al, cr8, dword_ptr, dx, eax, ebp, edx, qword_ptr, rax, rcx, rdx, rsi, word_ptr};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::layout::{port, shared};
use shared::system_time;

/// First vector of the controllers.
const BASE: u32 = 0x30;

/// The vector in frames of the clock's interrupt: as vector 30h is also the one of an interrupt that nobody expects.
pub(crate) const VECTOR: u32 = 0x100 | BASE;

/// Interrupt level of the clock (`CLOCK_LEVEL`).
const LEVEL: u32 = 13;

/// Ticks of the timer's input, 1.193182 MHz, in one of the clock: 15.625 ms.
const ROUND: u16 = 18_643;

/// Commands of the timer (mode 2, both bytes of the count) and of the two controllers (Intel 8259A data sheet): ICW1, the base
/// vector, who is wired to whom, 8086 mode; and which inputs are shut: all but the timer's.
const SET_UP: [(u32, u32); 13] = [
    (port::TIMER_CONTROL, 0x34),
    (port::TIMER, ROUND as u32 & 0xFF),
    (port::TIMER, ROUND as u32 >> 8),
    (port::PIC1, 0x11),
    (port::PIC1_DATA, BASE),
    (port::PIC1_DATA, 0x04),
    (port::PIC1_DATA, 0x01),
    (port::PIC2, 0x11),
    (port::PIC2_DATA, BASE + 8),
    (port::PIC2_DATA, 0x02),
    (port::PIC2_DATA, 0x01),
    (port::PIC2_DATA, 0xFF),
    (port::PIC1_DATA, 0xFE),
];

/// End of interrupt of input 0.
const END_OF_INTERRUPT: u32 = 0x60;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    initialize(k)?;
    interrupt(k)?;
    update(k)
}

/// HalpInitializeClock: the gate, the timer, the controllers, if the session has a clock. Interrupts are off.
fn initialize(k: &mut KernelAsm<'_>) -> Asm {
    let none = &mut k.a.create_label();
    let gate = k.profile.idt + u64::from(16 * BASE);
    k.begin(Routine::HalpInitializeClock)?;
    k.a.cmp(k.var32(kernel::CLOCK), 0)?;
    k.a.je(*none)?;
    k.lea(rax, Routine::HalpClockInterrupt)?;
    k.a.mov(rcx, gate)?;
    // What the gate has besides the offset is there.
    k.a.mov(word_ptr(rcx), iced_x86::code_asm::ax)?;
    k.a.shr(rax, 16)?;
    k.a.mov(word_ptr(rcx + 6), iced_x86::code_asm::ax)?;
    k.a.shr(rax, 16)?;
    k.a.mov(dword_ptr(rcx + 8), eax)?;
    for (port, value) in SET_UP {
        k.a.mov(dx, port)?;
        k.a.mov(al, value)?;
        k.a.out(dx, al)?;
    }
    k.a.set_label(none)?;
    k.a.ret()
}

/// HalpClockInterrupt: as any vector's routine.
fn interrupt(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::HalpClockInterrupt)?;
    k.a.push(0)?;
    k.a.push(iced_x86::code_asm::rbp)?;
    k.a.mov(ebp, VECTOR)?;
    k.jmp(Routine::KiTrapEntry)
}

/// KeUpdateSystemTime: RBP into the frame, of either ring.
fn update(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::KeUpdateSystemTime)?;
    k.a.mov(rsi, cr8)?;
    k.a.mov(eax, LEVEL)?;
    k.a.mov(cr8, rax)?;
    k.a.mov(rcx, k.profile.shared_kernel)?;
    for (time, step) in [
        (shared::INTERRUPT_TIME, shared::CLOCK_TICK),
        (shared::SYSTEM_TIME, shared::CLOCK_TICK),
        (shared::TICK_COUNT, 1),
    ] {
        add_time(k, time, step)?;
    }
    k.a.mov(al, END_OF_INTERRUPT)?;
    k.a.out(port::PIC1, al)?;
    k.a.mov(cr8, rsi)?;
    k.jmp(Routine::KiTrapExit)
}

/// Adds to a `KSYSTEM_TIME` of the page at RCX, in the order of stores that its readers count on: the second high half, then the
/// eight bytes of the others at once.
fn add_time(k: &mut KernelAsm<'_>, time: u32, step: u32) -> Asm {
    k.a.mov(rax, qword_ptr(rcx + (time + system_time::LOW)))?;
    k.a.add(rax, step as i32)?;
    k.a.mov(rdx, rax)?;
    k.a.shr(rdx, 32)?;
    k.a.mov(dword_ptr(rcx + (time + system_time::HIGH_2)), edx)?;
    k.a.mov(qword_ptr(rcx + (time + system_time::LOW)), rax)
}
