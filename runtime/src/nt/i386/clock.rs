//! The clock: the timer's interrupt, which counts time in SharedUserData (ReactOS `hal/halx86/generic/clock.c`,
//! `ntoskrnl/ke/time.c`).
//!
//! Only sessions that ask for it have one. A proof has none: when an interrupt comes is the machine's affair, and its log is
//! to be the same on every machine.

use iced_x86::code_asm::{al, byte_ptr, cl, dword_ptr, dx, eax, ebp, ecx, edx};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::descriptors::INTERRUPT;
use super::layout::{irql, kpcr, port, selector, shared, vector};
use shared::system_time;

/// The vector in frames of the clock's interrupt: as vector 30h is also the one of an interrupt that nobody expects.
pub(crate) const CLOCK: u32 = 0x100 | vector::CLOCK;

/// Ticks of the timer's input, 1.193182 MHz, in one of the clock: 10.0144 ms, as in a HAL for one processor.
const ROUND: u16 = 11_949;

/// Commands of the two controllers (Intel 8259A data sheet): ICW1, the base vector, who is wired to whom, 8086 mode; and which
/// inputs are shut.
const SET_UP: [(u32, u32); 10] = [
    (port::PIC1, 0x11),
    (port::PIC1_DATA, vector::CLOCK),
    (port::PIC1_DATA, 0x04),
    (port::PIC1_DATA, 0x01),
    (port::PIC2, 0x11),
    (port::PIC2_DATA, vector::CLOCK + 8),
    (port::PIC2_DATA, 0x02),
    (port::PIC2_DATA, 0x01),
    (port::PIC2_DATA, 0xFF),
    // The timer alone.
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

/// HalpInitializeClock: the gate, the controllers, the timer, if the session has a clock. Interrupts are off.
fn initialize(k: &mut KernelAsm<'_>) -> Asm {
    let none = &mut k.a.create_label();
    let handler = k.address(Routine::HalpClockInterrupt);
    let gate = k.profile.idt + 8 * vector::CLOCK;
    k.begin(Routine::HalpInitializeClock)?;
    k.a.cmp(k.var(kernel::CLOCK), 0)?;
    k.a.je(*none)?;
    k.a.mov(dword_ptr(gate), selector::R0_CODE << 16 | handler & 0xFFFF)?;
    k.a.mov(dword_ptr(gate + 4), handler & 0xFFFF_0000 | INTERRUPT)?;
    // Mode 2, both bytes of the count.
    let [low, high] = ROUND.to_le_bytes();
    let timer = [(port::TIMER_CONTROL, 0x34), (port::TIMER, low.into()), (port::TIMER, high.into())];
    for (port, value) in timer.into_iter().chain(SET_UP) {
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
    k.a.push(ebp)?;
    k.a.mov(ebp, CLOCK)?;
    k.jmp(Routine::KiTrapEntry)
}

/// KeUpdateSystemTime: EBP = frame, of either ring.
fn update(k: &mut KernelAsm<'_>) -> Asm {
    let page = k.profile.shared_kernel;
    k.begin(Routine::KeUpdateSystemTime)?;
    k.a.movzx(eax, byte_ptr(kpcr::IRQL).fs())?;
    k.a.push(eax)?;
    k.a.mov(byte_ptr(kpcr::IRQL).fs(), irql::CLOCK)?;
    for (field, step) in [(shared::INTERRUPT_TIME, shared::TICK), (shared::SYSTEM_TIME, shared::TICK)] {
        add_time(k, page + field, step)?;
    }
    if k.profile.counts_ticks_at_320() {
        add_time(k, page + shared::TICK_COUNT, 1)?;
    } else {
        k.a.inc(dword_ptr(page + shared::TICK_COUNT_LOW))?;
    }
    k.a.mov(al, END_OF_INTERRUPT)?;
    k.a.out(port::PIC1, al)?;
    k.a.pop(ecx)?;
    k.a.mov(byte_ptr(kpcr::IRQL).fs(), cl)?;
    k.jmp(Routine::Kei386EoiHelper)
}

/// Adds to a `KSYSTEM_TIME`, in the order of stores that its readers count on.
fn add_time(k: &mut KernelAsm<'_>, time: u32, step: u32) -> Asm {
    k.a.mov(eax, dword_ptr(time + system_time::LOW))?;
    k.a.mov(edx, dword_ptr(time + system_time::HIGH_1))?;
    k.a.add(eax, step)?;
    k.a.adc(edx, 0)?;
    k.a.mov(dword_ptr(time + system_time::HIGH_2), edx)?;
    k.a.mov(dword_ptr(time + system_time::LOW), eax)?;
    k.a.mov(dword_ptr(time + system_time::HIGH_1), edx)
}
