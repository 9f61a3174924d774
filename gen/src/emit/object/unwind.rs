//! Unwind information of amd64: what a debugger or an exception needs to find a stub's caller.
//!
//! A function that neither moves RSP nor changes a non-volatile register is a leaf, and Windows wants no entry of it:
//! the return address is at RSP, wherever in the function the processor is ("x64 exception handling", `.pdata`).
//!
//! - `syscall`, `syscall-reactos` and `syscall-or-int2e` change RAX, R10 and what the kernel changes. Leaves.
//! - `syscall-home` writes to the home area, which is the caller's, and does not move RSP. A leaf.
//! - `zw-reactos` loads two volatile registers and jumps. A leaf.
//! - `zw` builds a frame of 30h bytes on the stack, as an interrupt does, before it jumps to KiServiceInternal. It has
//!   an entry. Each of its pushes is an allocation, because none saves a register that a caller wants back, and so the
//!   stack is right at every instruction of the prologue. (`UWOP_PUSH_MACHFRAME` would be right behind the last push
//!   alone.) While the frame is built interrupts are off.
//!
//! On i386 there is no such table. On arm64 `svc` and `ret` touch neither SP nor LR: leaves, without an entry.

use iced_x86::{Code, Instruction, Register};

use crate::model::Arch;
use crate::stub::Stub;

/// `UNWIND_INFO`: version 1, no flags.
const VERSION: u8 = 1;
/// `UNWIND_CODE` operations, in the low four bits of the second byte.
const PUSH_NONVOL: u8 = 0;
const ALLOC_SMALL: u8 = 2;

/// A change of the stack in a prologue.
enum Change {
    /// A non-volatile register is saved; its number.
    Save(u8),
    /// So many bytes, a multiple of 8 and at most 128, that hold nothing of the caller's.
    Room(u8),
}

/// The `UNWIND_INFO` of a stub; `None` if it is a leaf function.
pub(super) fn info(stub: &Stub) -> Option<Vec<u8>> {
    if stub.arch != Arch::Amd64 {
        return None;
    }
    let mut codes: Vec<[u8; 2]> = Vec::new();
    for pair in stub.instructions.windows(2) {
        let Some(change) = change(&pair[0]) else { continue };
        // A code stands for what is true from the next instruction on. A stub has far less than 255 bytes.
        let offset = u8::try_from(pair[1].ip()).unwrap_or(u8::MAX);
        let operation = match change {
            Change::Save(number) => number << 4 | PUSH_NONVOL,
            Change::Room(bytes) => (bytes / 8).saturating_sub(1) << 4 | ALLOC_SMALL,
        };
        codes.push([offset, operation]);
    }
    let prologue = codes.last()?[0];
    // What was done last is undone first; the array has an even number of places.
    codes.reverse();
    let count = codes.len() as u8;
    if codes.len() % 2 == 1 {
        codes.push([0, 0]);
    }
    let mut bytes = vec![VERSION, prologue, count, 0];
    bytes.extend(codes.concat());
    Some(bytes)
}

fn change(instruction: &Instruction) -> Option<Change> {
    let bytes = match instruction.code() {
        Code::Push_r64 => match saved(instruction.op0_register()) {
            Some(number) => return Some(Change::Save(number)),
            None => 8,
        },
        Code::Pushfq | Code::Pushq_imm8 => 8,
        Code::Sub_rm64_imm8 if instruction.op0_register() == Register::RSP => instruction.immediate(1),
        _ => return None,
    };
    u8::try_from(bytes).ok().map(Change::Room)
}

/// The number of a register that a function must leave as it was; `None` of any other.
fn saved(register: Register) -> Option<u8> {
    Some(match register {
        Register::RBX => 3,
        Register::RBP => 5,
        Register::RSI => 6,
        Register::RDI => 7,
        Register::R12 => 12,
        Register::R13 => 13,
        Register::R14 => 14,
        Register::R15 => 15,
        _ => return None,
    })
}
