//! The cases. Those of ring 3 are what a real processor was seen to do; the rest is the manual (SDM vol. 2, vol. 3).

mod fast;
mod modes;
mod sse;
mod transfer;

use iced_x86::code_asm::*;

use crate::case::Mode::{Kernel, Kernel32, User, User32};
use crate::case::{self, ABSENT, Case, DATA, LANDING, NO_EXECUTE, OPEN, OPEN_IST, PRINT, READ_ONLY, RESERVED};
use crate::case::{RING_0_STACK, SUPERVISOR};
use crate::image::{BASE, DIRECTORY, IST, PML4, USER_STACK, sel};

/// An address that is not canonical.
const STRANGE: u64 = 0x0000_8000_0000_0000;
/// #UD, #NP, #SS, #GP, #PF.
const UD: u8 = 6;
const NP: u8 = 11;
const SS: u8 = 12;
const GP: u8 = 13;
const PF: u8 = 14;

type Written = Result<(), iced_x86::IcedError>;

pub(crate) fn all() -> Vec<Case> {
    let mut all = interrupts();
    all.extend(privileged());
    all.extend(pages());
    all.extend(transfer::returns());
    all.extend(transfer::far());
    all.extend(fast::fast());
    all.extend(fast::registers());
    all.extend(modes::segments());
    all.extend(modes::compatibility());
    all.extend(sse::sse());
    all.into_iter().enumerate().map(|(id, case)| case.numbered(id as u64)).collect()
}

fn interrupts() -> Vec<Case> {
    let int = |name, n: u8, error| Case::new(name, User, (GP, error), move |a| a.int(i32::from(n)));
    vec![
        int("int through a gate of DPL 0", 0x0D, 0x6A).not_in_qemu(),
        int("int through an empty gate", 0x30, 0x182).not_in_qemu(),
        int("int through the last gate of the table", 0xFF, 0x7FA).not_in_qemu(),
        int("int through a gate of type 0Ch", 0x31, 0x18A).not_in_qemu(),
        Case::new("int through a gate that is not present", User, (NP, 0x192), |a| a.int(0x32)).not_in_qemu(),
        int("int to a target that is not canonical", 0x33, 0).not_in_qemu(),
        int("int to a null selector", 0x34, 0),
        int("int to a data segment", 0x35, 0x18),
        int("int to 32-bit code", 0x36, 0x08),
        Case::new("int to code that is not present", User, (NP, 0x68), |a| a.int(0x37)),
        int("int to a selector beyond the table", 0x38, 0x7F8),
        Case::new("int through an open gate", User, (OPEN, 0), |a| a.int(i32::from(OPEN))).after(),
        Case::new("int through a gate with an IST", User, (OPEN_IST, 0), |a| a.int(i32::from(OPEN_IST)))
            .after()
            .frame(IST - 0x2000),
        Case::new("int3", User, (3, 0), |a| a.int3()).after(),
        Case::new("int1", User, (1, 0), |a| a.int1()).after().not_in_qemu(),
        Case::new("ud2", User, (UD, 0), |a| a.ud2()),
        Case::new("divide error", User, (0, 0), |a| a.div(rcx)),
        Case::new("int from ring 0 with an unaligned stack", Kernel, (OPEN, 0), |a| {
            a.sub(rsp, 3)?;
            a.int(i32::from(OPEN))
        })
        .after()
        .frame(RING_0_STACK - 16),
        Case::new("stack that is not canonical, with an IST", Kernel, (OPEN_IST, 0), |a| {
            a.mov(rsp, STRANGE)?;
            a.int(i32::from(OPEN_IST))
        })
        .after()
        .frame(IST - 0x2000),
        Case::new("stack that is not canonical: double fault", Kernel, (8, 0), |a| {
            a.mov(rsp, STRANGE)?;
            a.ud2()
        })
        .frame(IST),
        Case::new("stack that is not mapped: double fault", Kernel, (8, 0), |a| {
            a.mov(rsp, ABSENT + 0x1000)?;
            a.mov(rax, qword_ptr(ABSENT))
        })
        .frame(IST),
        Case::new("single step", User, (1, 0), |a| {
            a.pushfq()?;
            a.or(dword_ptr(rsp), 0x100)?;
            a.popfq()?;
            a.nop()
        })
        .after()
        .flags(0x300),
    ]
}

fn privileged() -> Vec<Case> {
    let gp = |name, write: fn(&mut CodeAssembler) -> Written| Case::new(name, User, (GP, 0), write);
    vec![
        gp("hlt", |a| a.hlt()),
        gp("cli", |a| a.cli()),
        gp("in", |a| a.in_(al, 0x60)),
        gp("rdmsr", |a| a.rdmsr()),
        gp("wrmsr", |a| a.wrmsr()),
        gp("lidt", |a| a.lidt(qword_ptr(DATA))),
        gp("ltr", |a| a.ltr(ax)),
        gp("mov cr0", |a| a.mov(cr0, rax)),
        gp("mov cr8", |a| a.mov(cr8, rax)),
        gp("sysexit", |a| a.sysexit()),
        gp("sysexitq", |a| a.sysexitq()),
        gp("sysretq", |a| a.sysretq()),
        gp("sysret", |a| a.sysret()),
        gp("swapgs", |a| a.swapgs()),
        Case::new("push cs", User, (UD, 0), |a| a.db(&[0x0E])),
        Case::new("jmp ptr16:32", User, (UD, 0), |a| a.db(&[0xEA])),
    ]
}

fn pages() -> Vec<Case> {
    let pf = |name, code, address: u64, write: fn(&mut CodeAssembler) -> Written| {
        Case::new(name, User, (PF, code), write).cr2(address)
    };
    let gp = |name, write: fn(&mut CodeAssembler) -> Written| Case::new(name, User, (GP, 0), write);
    let jump = |a: &mut CodeAssembler, to: u64| {
        a.mov(rax, to)?;
        a.jmp(rax)
    };
    vec![
        pf("read of linear 0", 4, 0, |a| a.mov(eax, dword_ptr(rax))),
        pf("write of linear 0", 6, 0, |a| a.mov(dword_ptr(rax), eax)),
        Case::new("fetch from linear 0", User, (PF, 0x14), |a| a.jmp(rax)).at(0, sel::USER_CODE, sel::USER_DATA),
        pf("write to a read-only page", 7, READ_ONLY, |a| a.mov(dword_ptr(READ_ONLY), eax)),
        pf("read of a supervisor's page", 5, SUPERVISOR, |a| a.mov(eax, dword_ptr(SUPERVISOR))),
        pf("read through a reserved bit", 0xD, RESERVED, |a| a.mov(eax, dword_ptr(RESERVED))).not_in_qemu(),
        pf("quadword over the end of mapped memory", 4, ABSENT, |a| a.mov(rax, qword_ptr(ABSENT - 4))),
        Case::new("fetch from a no-execute page", User, (PF, 0x15), |a| jump(a, NO_EXECUTE))
            .at(NO_EXECUTE, sel::USER_CODE, sel::USER_DATA)
            .cr2(NO_EXECUTE),
        Case::new("write to a read-only page with CR0.WP", Kernel, (PF, 3), |a| a.mov(dword_ptr(READ_ONLY), eax))
            .cr2(READ_ONLY),
        gp("read that is not canonical", |a| {
            a.mov(rax, STRANGE)?;
            a.mov(rax, qword_ptr(rax))
        }),
        Case::new("read that is not canonical, by RSP", User, (SS, 0), |a| {
            a.mov(rsp, STRANGE)?;
            a.pop(rax)
        })
        .not_in_qemu(),
        Case::new("read that is not canonical, by RBP", User, (SS, 0), |a| {
            a.mov(rbp, STRANGE)?;
            a.mov(rax, qword_ptr(rbp))
        })
        .not_in_qemu(),
        gp("jump that is not canonical", |a| {
            a.mov(rax, STRANGE)?;
            a.jmp(rax)
        })
        .not_in_qemu(),
        gp("call that is not canonical", |a| {
            a.mov(rax, STRANGE)?;
            a.call(rax)
        })
        .not_in_qemu(),
        gp("ret that is not canonical", |a| {
            a.mov(rax, STRANGE)?;
            a.push(rax)?;
            a.ret()
        })
        .not_in_qemu(),
        Case::done("the upper half is the same memory", User, |a| {
            a.mov(rax, 0x1234_5678_9ABC_DEF0u64)?;
            a.mov(qword_ptr(DATA), rax)?;
            a.mov(rcx, 0xFFFF_8000_0000_0000u64 + DATA)?;
            a.mov(rbx, qword_ptr(rcx))?;
            a.int(i32::from(PRINT))
        })
        .prints([0x1234_5678_9ABC_DEF0]),
    ]
}

/// `IRETQ` to this frame.
fn iretq(a: &mut CodeAssembler, frame: [u64; 5]) -> Written {
    for value in frame.into_iter().rev() {
        a.mov(rax, value)?;
        a.push(rax)?;
    }
    a.iretq()
}

fn wrmsr(a: &mut CodeAssembler, number: u32, value: u64) -> Written {
    a.mov(ecx, number)?;
    a.mov(eax, value as u32)?;
    a.mov(edx, (value >> 32) as u32)?;
    a.wrmsr()
}
