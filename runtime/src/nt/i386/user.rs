//! What runs in ring 3: the part of ntdll that enters the kernel, and the harness.

use iced_x86::code_asm::{CodeAssembler, dword_ptr, eax, edx, esp};
use iced_x86::{BlockEncoderOptions, IcedError};

use super::data::{harness as block, request};
use super::harness;
use super::layout::vector;
use super::profile::Profile;

/// Code of ring 3 and the addresses in it that the kernel has to know.
#[derive(Debug, Clone)]
pub(crate) struct UserCode {
    /// From `KiFastSystemCall` to the end of `KiIntSystemCall`.
    pub(crate) ntdll: Vec<u8>,
    /// The harness.
    pub(crate) harness: Vec<u8>,
    /// First instruction of the harness.
    pub(crate) start: u32,
    /// Where the harness goes on after a call that faulted.
    pub(crate) recovery: u32,
    /// Target of calls that enter the kernel without a stub.
    pub(crate) direct: u32,
    /// Enters the kernel by `int 2Eh`.
    pub(crate) direct_int: u32,
    /// Enters the kernel by `sysenter`.
    pub(crate) direct_fast: u32,
    /// What stands at SharedUserData+300h on systems before Windows XP SP2, on a CPU with `sysenter`.
    pub(crate) shared_fast: [u32; 2],
    /// The same on a CPU without.
    pub(crate) shared_int: [u32; 2],
}

impl UserCode {
    /// Assembles everything for a profile.
    pub(crate) fn assemble(profile: &Profile) -> Result<Self, IcedError> {
        let mut a = CodeAssembler::new(32)?;
        let start = &mut a.create_label();
        let recovery = &mut a.create_label();
        let direct = &mut a.create_label();
        let direct_int = &mut a.create_label();
        let direct_fast = &mut a.create_label();

        a.set_label(start)?;
        a.mov(eax, request::NEXT_SET)?;
        debug_service(&mut a)?;
        harness::emit(&mut a, profile.user_data, recovery, &mut |a| {
            a.mov(eax, request::REPORT)?;
            debug_service(a)
        })?;
        a.jmp(*start)?;

        // A jump changes no register and no flag; the kernel has set where it goes.
        a.set_label(direct)?;
        a.jmp(dword_ptr(profile.user_data + block::DIRECT))?;
        a.set_label(direct_int)?;
        a.int(vector::SYSTEM_SERVICE)?;
        a.ret()?;
        a.set_label(direct_fast)?;
        // The kernel adds 8 to what it takes for the user's stack pointer.
        a.lea(edx, dword_ptr(edx - 8))?;
        a.sysenter()?;

        let result =
            a.assemble_options(u64::from(profile.user_text), BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS)?;
        Ok(Self {
            ntdll: ntdll(profile)?,
            start: result.label_ip(start)? as u32,
            recovery: result.label_ip(recovery)? as u32,
            direct: result.label_ip(direct)? as u32,
            direct_int: result.label_ip(direct_int)? as u32,
            direct_fast: result.label_ip(direct_fast)? as u32,
            harness: result.inner.code_buffer,
            shared_fast: dwords(&fast_system_call()?),
            shared_int: dwords(&int_system_call()?),
        })
    }
}

fn debug_service(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.int(vector::DEBUG_SERVICE)?;
    a.int3()
}

/// `mov edx,esp; sysenter`, and the `ret` at which the kernel lets the user go on.
fn fast_system_call() -> Result<Vec<u8>, IcedError> {
    // Microsoft's form of `mov edx,esp`; CodeAssembler would choose the other.
    let mut a = CodeAssembler::new(32)?;
    a.add_instruction(iced_x86::Instruction::with2(
        iced_x86::Code::Mov_r32_rm32,
        iced_x86::Register::EDX,
        iced_x86::Register::ESP,
    )?)?;
    a.sysenter()?;
    a.ret()?;
    a.assemble(0)
}

/// `lea edx,[esp+8]; int 2Eh; ret`.
fn int_system_call() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(32)?;
    a.lea(edx, dword_ptr(esp + 8))?;
    a.int(vector::SYSTEM_SERVICE)?;
    a.ret()?;
    a.assemble(0)
}

/// KiFastSystemCall, KiFastSystemCallRet, padding, KiIntSystemCall.
fn ntdll(profile: &Profile) -> Result<Vec<u8>, IcedError> {
    let mut bytes = fast_system_call()?;
    let room = (profile.int_system_call - profile.fast_system_call) as usize;
    bytes.extend_from_slice(&padding(room.saturating_sub(bytes.len())));
    bytes.extend_from_slice(&int_system_call()?);
    Ok(bytes)
}

/// `lea esp,[esp]` in its seven-byte and four-byte form, as Microsoft's linker fills; `nop` for what is left.
fn padding(mut length: usize) -> Vec<u8> {
    const LONG: [u8; 7] = [0x8D, 0xA4, 0x24, 0, 0, 0, 0];
    const SHORT: [u8; 4] = [0x8D, 0x64, 0x24, 0];
    const NOP: [u8; 1] = [0x90];
    let mut bytes = Vec::new();
    while length > 0 {
        let fill: &[u8] = match length {
            7.. => &LONG,
            4..=6 => &SHORT,
            _ => &NOP,
        };
        bytes.extend_from_slice(fill);
        length -= fill.len();
    }
    bytes
}

/// The first eight bytes as two dwords, missing ones zero.
fn dwords(bytes: &[u8]) -> [u32; 2] {
    let mut eight = [0u8; 8];
    for (to, from) in eight.iter_mut().zip(bytes) {
        *to = *from;
    }
    let [a, b, c, d, e, f, g, h] = eight;
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}
