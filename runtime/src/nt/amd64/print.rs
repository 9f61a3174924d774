//! Text on the debug console.

use iced_x86::code_asm::{al, byte_ptr, dx, eax, ebx, ecx, edx, qword_ptr, r11, rax, rbx, rcx, rsi};

use super::assembly::{Asm, KernelAsm, Routine};
use super::data::kernel;
use super::layout::port;

/// Emits all of this file.
pub(crate) fn emit(k: &mut KernelAsm<'_>) -> Asm {
    print(k)?;
    print_hex(k)?;
    print_short_hex(k)?;
    print_qwords(k)
}

/// Writes RCX bytes at RSI to the debug console.
fn print(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgatePrint)?;
    k.a.mov(edx, port::DEBUG_CONSOLE)?;
    k.a.rep().outsb()?;
    k.a.ret()
}

/// Emits the printing of a text that is known now.
pub(crate) fn print_literal(k: &mut KernelAsm<'_>, text: &str) -> Asm {
    let (address, length) = k.add_text(text);
    k.a.mov(rsi, address)?;
    k.a.mov(ecx, length)?;
    k.call(Routine::NtgatePrint)
}

/// Emits the printing of the text whose address and length are in the structure at RBX.
pub(crate) fn print_text(k: &mut KernelAsm<'_>, field: u32) -> Asm {
    k.a.mov(rsi, qword_ptr(rbx + field))?;
    k.a.mov(rcx, qword_ptr(rbx + field + 8))?;
    k.call(Routine::NtgatePrint)
}

/// Writes EAX as eight digits. RBX, RSI and RDI stay.
fn print_hex(k: &mut KernelAsm<'_>) -> Asm {
    k.begin(Routine::NtgatePrintHex)?;
    k.a.push(rbx)?;
    k.a.mov(ebx, eax)?;
    k.a.mov(ecx, 8)?;
    print_digits(k)?;
    k.a.pop(rbx)?;
    k.a.ret()
}

/// Writes EAX without leading zeros. RBX, RSI and RDI stay.
fn print_short_hex(k: &mut KernelAsm<'_>) -> Asm {
    let find = &mut k.a.create_label();
    let found = &mut k.a.create_label();
    k.begin(Routine::NtgatePrintShortHex)?;
    k.a.push(rbx)?;
    k.a.mov(ebx, eax)?;
    k.a.mov(ecx, 8)?;
    k.a.set_label(find)?;
    k.a.test(ebx, 0xF000_0000u32)?;
    k.a.jne(*found)?;
    k.a.shl(ebx, 4)?;
    k.a.dec(ecx)?;
    k.a.cmp(ecx, 1)?;
    k.a.jne(*find)?;
    k.a.set_label(found)?;
    print_digits(k)?;
    k.a.pop(rbx)?;
    k.a.ret()
}

/// NtgatePrintQword writes RAX as sixteen digits. RBX, RSI and RDI stay. NtgatePrintQwords writes EBX qwords from RSI on, a space
/// before each, and the end of the line.
fn print_qwords(k: &mut KernelAsm<'_>) -> Asm {
    let next = &mut k.a.create_label();
    let done = &mut k.a.create_label();
    k.begin(Routine::NtgatePrintQword)?;
    k.a.push(rax)?;
    k.a.shr(rax, 32)?;
    k.call(Routine::NtgatePrintHex)?;
    k.a.pop(rax)?;
    k.jmp(Routine::NtgatePrintHex)?;

    k.begin(Routine::NtgatePrintQwords)?;
    k.a.cld()?;
    k.a.set_label(next)?;
    k.a.test(ebx, ebx)?;
    k.a.je(*done)?;
    k.a.mov(al, b' ' as u32)?;
    k.a.out(port::DEBUG_CONSOLE, al)?;
    k.a.mov(rax, qword_ptr(rsi))?;
    k.call(Routine::NtgatePrintQword)?;
    k.a.add(rsi, 8)?;
    k.a.dec(ebx)?;
    k.a.jmp(*next)?;
    k.a.set_label(done)?;
    k.a.mov(al, b'\n' as u32)?;
    k.a.out(port::DEBUG_CONSOLE, al)?;
    k.a.ret()
}

/// The upper ECX digits of EBX.
fn print_digits(k: &mut KernelAsm<'_>) -> Asm {
    let next = &mut k.a.create_label();
    k.lea_data(r11, kernel::HEX)?;
    k.a.mov(dx, port::DEBUG_CONSOLE)?;
    k.a.set_label(next)?;
    k.a.rol(ebx, 4)?;
    k.a.mov(eax, ebx)?;
    k.a.and(eax, 0xF)?;
    // The second of a byte's two digits.
    k.a.mov(al, byte_ptr(r11 + rax * 2 + 1))?;
    k.a.out(dx, al)?;
    k.a.dec(ecx)?;
    k.a.jne(*next)
}
