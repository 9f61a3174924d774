//! What runs in ring 3: the harness, calls without a stub, and the instrumentation callback.

use iced_x86::code_asm::{CodeAssembler, CodeLabel, dword_ptr, eax, ecx, qword_ptr, r10, rcx, rsp};
use iced_x86::{BlockEncoderOptions, IcedError};

use super::data::{harness as block, request};
use super::harness;
use super::layout::{teb, vector};
use super::profile::Profile;
use super::record::fact;

/// Code of ring 3 and the addresses in it that the kernel has to know.
#[derive(Debug, Clone)]
pub(crate) struct UserCode {
    /// The harness.
    pub(crate) harness: Vec<u8>,
    /// First instruction of the harness.
    pub(crate) start: u64,
    /// Where the harness goes on after a call that faulted.
    pub(crate) recovery: u64,
    /// Target of calls that enter the kernel without a stub.
    pub(crate) direct: u64,
    /// Enters the kernel by `syscall`.
    pub(crate) direct_syscall: u64,
    /// Enters the kernel by `int 2Eh`.
    pub(crate) direct_int: u64,
    /// The instruction behind that `syscall`.
    pub(crate) direct_syscall_return: u64,
    /// The instruction behind that `int 2Eh`.
    pub(crate) direct_int_return: u64,
    /// The instrumentation callback.
    pub(crate) callback: u64,
}

impl UserCode {
    /// Assembles everything for a profile.
    pub(crate) fn assemble(profile: &Profile) -> Result<Self, IcedError> {
        let mut a = CodeAssembler::new(64)?;
        let base = profile.user_data;
        let at = |offset: u32| (base + u64::from(offset)).into();
        let [start, recovery, direct, direct_syscall, direct_int, callback] = &mut [(); 6].map(|()| a.create_label());
        let [syscall_return, int_return] = &mut [(); 2].map(|()| a.create_label());

        a.set_label(start)?;
        a.mov(eax, request::NEXT_SET)?;
        debug_service(&mut a)?;
        harness::emit(&mut a, &at, teb::SELF, recovery, &mut |a| {
            a.mov(eax, request::REPORT)?;
            debug_service(a)
        })?;
        a.jmp(*start)?;

        // A jump changes no register and no flag; the kernel has set where it goes.
        a.set_label(direct)?;
        a.jmp(qword_ptr(base + u64::from(block::DIRECT)))?;
        direct_call(&mut a, profile, direct_syscall, syscall_return, |a| a.syscall())?;
        direct_call(&mut a, profile, direct_int, int_return, |a| a.int(vector::SYSTEM_SERVICE))?;

        // No flag may change, and the stack may be no stack. RCX is the callback's to use; it gets what SYSRET leaves
        // without a callback.
        let counter = base + u64::from(block::save(fact::CALLBACKS));
        a.set_label(callback)?;
        a.mov(qword_ptr(base + u64::from(block::save(fact::CALLBACK_R10))), r10)?;
        a.mov(ecx, dword_ptr(counter))?;
        a.lea(ecx, rcx + 1)?;
        a.mov(dword_ptr(counter), ecx)?;
        a.mov(rcx, r10)?;
        a.jmp(r10)?;

        let result = a.assemble_options(profile.user_text, BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS)?;
        Ok(Self {
            start: result.label_ip(start)?,
            recovery: result.label_ip(recovery)?,
            direct: result.label_ip(direct)?,
            direct_syscall: result.label_ip(direct_syscall)?,
            direct_int: result.label_ip(direct_int)?,
            direct_syscall_return: result.label_ip(syscall_return)?,
            direct_int_return: result.label_ip(int_return)?,
            callback: result.label_ip(callback)?,
            harness: result.inner.code_buffer,
        })
    }
}

fn debug_service(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.int(vector::DEBUG_SERVICE)?;
    a.int3()
}

/// What a stub does, with another RSP while the kernel is in charge.
fn direct_call(
    a: &mut CodeAssembler,
    profile: &Profile,
    label: &mut CodeLabel,
    behind: &mut CodeLabel,
    enter: impl Fn(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<(), IcedError> {
    let at = |offset: u32| qword_ptr(profile.user_data + u64::from(offset));
    a.set_label(label)?;
    a.mov(r10, rcx)?;
    a.mov(at(block::SAVED_RSP), rsp)?;
    a.mov(rsp, at(block::POINTER))?;
    enter(a)?;
    a.set_label(behind)?;
    a.mov(rsp, at(block::SAVED_RSP))?;
    a.ret()
}
