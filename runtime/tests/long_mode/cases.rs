//! The cases. Those of ring 3 are what a real processor was seen to do; the rest is the manual (SDM vol. 2, vol. 3).

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
    all.extend(returns());
    all.extend(far());
    all.extend(fast());
    all.extend(registers());
    all.extend(segments());
    all.extend(compatibility());
    all.extend(sse());
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

fn returns() -> Vec<Case> {
    let user = |name, error, frame: [u64; 5]| Case::new(name, User, (GP, error), move |a| iretq(a, frame));
    let frame = |code: u16, stack: u16| [LANDING, u64::from(code), 0x202, USER_STACK, u64::from(stack)];
    let (code, stack) = (sel::USER_CODE, sel::USER_DATA);
    let lands = |name, mode, frame: [u64; 5]| {
        let case = Case::new(name, mode, (case::DONE, 0), move |a| {
            a.mov(rbx, 5u64)?;
            iretq(a, frame)
        });
        case.at(LANDING + 4, frame[1] as u16, frame[4] as u16).prints([5])
    };
    let with = |frame: [u64; 5], at: usize, value: u64| {
        let mut changed = frame;
        changed[at] = value;
        changed
    };
    vec![
        user("iretq to ring 0", 0x10, frame(sel::KERNEL_CODE, stack)),
        user("iretq to a null CS", 0, frame(3, stack)),
        user("iretq to data", 0x28, frame(sel::USER_DATA, stack)),
        user("iretq beyond the table", 0x7F8, frame(0x7FB, stack)),
        user("iretq to L and D", 0x58, frame(sel::MIXED, stack)).not_in_qemu(),
        user("iretq with SS of ring 0", 0x28, frame(code, 0x28)),
        user("iretq with a null SS", 0, frame(code, 3)),
        user("iretq to an RIP that is not canonical", 0, with(frame(code, stack), 0, STRANGE)).not_in_qemu(),
        Case::new("iretq with SS not present", User, (SS, 0x50), move |a| iretq(a, frame(code, sel::ABSENT)))
            .not_in_qemu(),
        Case::new("iretq with NT", User, (GP, 0), move |a| {
            a.push(0x4202)?;
            a.popfq()?;
            iretq(a, frame(code, stack))
        })
        .flags(0x4200),
        lands("iretq in ring 3", User, frame(code, stack)),
        lands("iretq to ring 3", Kernel, frame(code, stack)),
        lands("iretq to compatibility mode", Kernel, frame(sel::USER_32, stack)),
        lands("iretq flags of ring 3", User, with(frame(code, stack), 2, 0x21_30D7)).flags(0x20_0200),
        lands("iretq flags of ring 0", Kernel, with(frame(code, stack), 2, 0x21_30D7)).flags(0x20_3000),
        lands("iretq to ring 0 with a null SS", Kernel, frame(sel::KERNEL_CODE, 0)),
        Case::new("iretq to ring 3 with a null SS", Kernel, (GP, 0), move |a| iretq(a, frame(code, 3))),
        Case::new("iretq to ring 3 with a null SS of ring 0", Kernel, (GP, 0), move |a| iretq(a, frame(code, 0))),
        Case::new("iretq to compatibility mode in ring 0 with a null SS", Kernel, (GP, 0), move |a| {
            iretq(a, frame(sel::KERNEL_32, 0))
        })
        .not_in_qemu(),
        Case::done("popfq of ring 3", User, |a| {
            a.push(0x3F_7CD7)?;
            a.popfq()
        })
        .flags(0x24_4600),
    ]
}

fn far() -> Vec<Case> {
    fn pointer(a: &mut CodeAssembler, offset: u64, selector: u16) -> Written {
        a.mov(rax, offset)?;
        a.mov(qword_ptr(DATA), rax)?;
        a.mov(word_ptr(DATA + 8), i32::from(selector))
    }
    fn jump(a: &mut CodeAssembler, offset: u64, selector: u16) -> Written {
        pointer(a, offset, selector)?;
        // JMP m16:64.
        a.db(&[0x48, 0xFF, 0x2C, 0x25])?;
        a.db(&(DATA as u32).to_le_bytes())
    }
    let gp = |name, error, selector| Case::new(name, User, (GP, error), move |a| jump(a, LANDING, selector));
    vec![
        gp("far jump to a null selector", 0, 3),
        gp("far jump to ring 0", 0x10, sel::KERNEL_CODE),
        gp("far jump to a TSS", 0x40, sel::TSS),
        gp("far jump to L and D", 0x58, sel::MIXED).not_in_qemu(),
        Case::new("far jump to 64-bit code", User, (case::DONE, 0), |a| jump(a, LANDING, sel::USER_CODE))
            .at(LANDING + 4, sel::USER_CODE, sel::USER_DATA)
            .prints([0]),
        Case::new("far jump to compatibility mode", User, (case::DONE, 0), |a| jump(a, LANDING, sel::USER_32))
            .at(LANDING + 4, sel::USER_32, sel::USER_DATA)
            .prints([0]),
        Case::new("far return to ring 3", Kernel, (case::DONE, 0), |a| {
            for value in [u64::from(sel::USER_DATA), USER_STACK, u64::from(sel::USER_CODE), LANDING] {
                a.mov(rax, value)?;
                a.push(rax)?;
            }
            a.db(&[0x48, 0xCB])
        })
        .at(LANDING + 4, sel::USER_CODE, sel::USER_DATA)
        .prints([0]),
        Case::new("far return to an RIP that is not canonical", Kernel, (GP, 0), |a| {
            for value in [u64::from(sel::KERNEL_CODE), STRANGE] {
                a.mov(rax, value)?;
                a.push(rax)?;
            }
            a.db(&[0x48, 0xCB])
        })
        .not_in_qemu(),
        Case::done("far call and return", Kernel, |a| {
            let (mut function, mut over) = (a.create_label(), a.create_label());
            a.lea(rax, qword_ptr(function))?;
            a.mov(qword_ptr(DATA), rax)?;
            a.mov(word_ptr(DATA + 8), i32::from(sel::KERNEL_CODE))?;
            a.mov(rbp, rsp)?;
            a.db(&[0x48, 0xFF, 0x1C, 0x25])?;
            a.db(&(DATA as u32).to_le_bytes())?;
            a.jmp(over)?;
            a.set_label(&mut function)?;
            a.mov(rbx, rbp)?;
            a.sub(rbx, rsp)?;
            a.int(i32::from(PRINT))?;
            a.db(&[0x48, 0xCB])?;
            a.set_label(&mut over)?;
            a.sub(rbp, rsp)?;
            a.mov(rbx, rbp)?;
            a.int(i32::from(PRINT))
        })
        .prints([16, 0]),
    ]
}

fn wrmsr(a: &mut CodeAssembler, number: u32, value: u64) -> Written {
    a.mov(ecx, number)?;
    a.mov(eax, value as u32)?;
    a.mov(edx, (value >> 32) as u32)?;
    a.wrmsr()
}

fn fast() -> Vec<Case> {
    let kernel = u64::from(sel::KERNEL_CODE) << 16 | u64::from(sel::KERNEL_DATA);
    vec![
        Case::done("syscall and sysretq", User, |a| a.syscall()).prints([kernel, 0x200, 0]),
        Case::done("syscall keeps what FMASK keeps", User, |a| {
            a.push(0x24_0602)?;
            a.popfq()?;
            a.syscall()
        })
        .prints([kernel, 0x24_0600, 0x24_0000])
        .flags(0x24_0600),
        Case::done("syscall leaves RSP, R10, RDX", User, |a| {
            a.mov(rdx, 7u64)?;
            a.mov(r10, 8u64)?;
            a.syscall()?;
            a.mov(rbx, rsp)?;
            a.int(i32::from(PRINT))?;
            a.lea(rbx, qword_ptr(rdx + r10))?;
            a.int(i32::from(PRINT))
        })
        .prints([kernel, 0x200, 0, USER_STACK, 15]),
        Case::new("syscall without SCE", Kernel, (UD, 0), |a| {
            wrmsr(a, 0xC000_0080, 0x900)?;
            a.syscall()
        })
        .flags(0x200),
        Case::new("sysretq without SCE", Kernel, (UD, 0), |a| {
            wrmsr(a, 0xC000_0080, 0x900)?;
            a.sysretq()
        }),
        Case::new("syscall in compatibility mode", User32, (UD, 0), |a| a.db(&[0x0F, 0x05])).not_in_qemu(),
        Case::new("sysret in compatibility mode", User32, (UD, 0), |a| a.db(&[0x0F, 0x07])).not_in_qemu(),
        Case::new("swapgs in compatibility mode", User32, (UD, 0), |a| a.db(&[0x0F, 0x01, 0xF8])),
        Case::new("sysretq to an RIP that is not canonical", Kernel, (GP, 0), |a| {
            a.mov(rcx, STRANGE)?;
            a.sysretq()
        })
        .not_in_qemu(),
        Case::new("sysretq loads flags, not RF nor VM", Kernel, (case::DONE, 0), |a| {
            a.mov(rcx, LANDING)?;
            a.mov(r11, 0x27_7ED7u64 & !0x4_0000)?;
            a.sysretq()
        })
        .at(LANDING + 4, sel::USER_CODE, sel::USER_DATA)
        .flags(0x20_7600)
        .prints([0]),
        Case::new("sysret to compatibility mode", Kernel, (case::DONE, 0), |a| {
            a.mov(rcx, 0xDEAD_0000_0000_0000 | LANDING)?;
            a.mov(r11d, 0x202u32)?;
            a.sysret()
        })
        .at(LANDING + 4, sel::USER_32, sel::USER_DATA)
        .prints([0]),
        Case::new("sysretq with TF traps at once", Kernel, (1, 0), |a| {
            a.mov(rcx, LANDING)?;
            a.mov(r11d, 0x302u32)?;
            a.sysretq()
        })
        .at(LANDING, sel::USER_CODE, sel::USER_DATA)
        .flags(0x300),
        Case::done("sysenter and sysexitq", User, |a| {
            let mut back = a.create_label();
            a.mov(eax, 1u32)?;
            a.mov(rcx, rsp)?;
            a.lea(rdx, qword_ptr(back))?;
            a.sysenter()?;
            a.set_label(&mut back)?;
            a.nop()
        })
        .prints([kernel])
        .selectors(0x33, 0x3B)
        .flags(0),
        Case::new("sysenter and sysexit to compatibility mode", User, (case::DONE, 0), |a| {
            a.mov(ecx, esp)?;
            a.mov(edx, LANDING as u32)?;
            a.sysenter()
        })
        .prints([kernel, kernel])
        .at(LANDING + 4, 0x23, 0x2B)
        .flags(0),
        Case::new("sysexitq to an RIP that is not canonical", Kernel, (GP, 0), |a| {
            a.mov(rdx, STRANGE)?;
            a.sysexitq()
        })
        .not_in_qemu(),
        Case::new("sysenter without its MSR", Kernel, (GP, 0), |a| {
            wrmsr(a, 0x174, 0)?;
            a.sysenter()
        }),
        Case::new("sysenter with a null selector", Kernel, (GP, 0), |a| {
            wrmsr(a, 0x174, 3)?;
            a.sysenter()
        })
        .not_in_qemu(),
        Case::done("swapgs", Kernel, |a| {
            wrmsr(a, 0xC000_0102, 0xFFFF_8000_0000_0000 | DATA)?;
            wrmsr(a, 0xC000_0101, DATA + 8)?;
            a.mov(qword_ptr(DATA), 0x11)?;
            a.mov(qword_ptr(DATA + 8), 0x22)?;
            a.mov(rbx, qword_ptr(0).gs())?;
            a.int(i32::from(PRINT))?;
            a.swapgs()?;
            a.mov(rbx, qword_ptr(0).gs())?;
            a.int(i32::from(PRINT))?;
            a.swapgs()?;
            a.mov(ecx, 0xC000_0102u32)?;
            a.rdmsr()?;
            a.shl(rdx, 32)?;
            a.lea(rbx, qword_ptr(rax + rdx))?;
            a.int(i32::from(PRINT))
        })
        .prints([0x22, 0x11, 0xFFFF_8000_0000_0000 | DATA]),
    ]
}

fn registers() -> Vec<Case> {
    let gp = |name, number: u32, value: u64| Case::new(name, Kernel, (GP, 0), move |a| wrmsr(a, number, value));
    let cr = |name, write: fn(&mut CodeAssembler) -> Written| Case::new(name, Kernel, (GP, 0), write);
    vec![
        gp("LSTAR that is not canonical", 0xC000_0082, STRANGE).not_in_qemu(),
        gp("CSTAR that is not canonical", 0xC000_0083, STRANGE).not_in_qemu(),
        gp("FS base that is not canonical", 0xC000_0100, STRANGE).not_in_qemu(),
        gp("GS base that is not canonical", 0xC000_0101, STRANGE).not_in_qemu(),
        gp("kernel GS base that is not canonical", 0xC000_0102, STRANGE).not_in_qemu(),
        gp("SYSENTER_EIP that is not canonical", 0x176, STRANGE).not_in_qemu(),
        gp("FMASK with a reserved bit", 0xC000_0084, 1 << 32).not_in_qemu(),
        gp("EFER with a reserved bit", 0xC000_0080, 0xB01).not_in_qemu(),
        gp("EFER.LME cleared while paging", 0xC000_0080, 0x801).not_in_qemu(),
        gp("an MSR that is not there", 0xC000_1234, 0).not_in_qemu(),
        Case::done("EFER shows LMA", Kernel, |a| {
            a.mov(ecx, 0xC000_0080u32)?;
            a.rdmsr()?;
            a.mov(ebx, eax)?;
            a.int(i32::from(PRINT))
        })
        .prints([0xD01]),
        cr("CR4.PAE cleared in long mode", |a| {
            a.mov(rax, cr4)?;
            a.and(eax, !0x20)?;
            a.mov(cr4, rax)
        })
        .not_in_qemu(),
        cr("CR0.PG cleared in 64-bit mode", |a| {
            a.mov(rax, cr0)?;
            a.btr(eax, 31)?;
            a.mov(cr0, rax)
        })
        .not_in_qemu(),
        cr("CR0 with a bit above 31", |a| {
            a.mov(rax, cr0)?;
            a.bts(rax, 32)?;
            a.mov(cr0, rax)
        })
        .not_in_qemu(),
        cr("CR3 beyond physical addresses", |a| {
            a.mov(rax, cr3)?;
            a.bts(rax, 50)?;
            a.mov(cr3, rax)
        })
        .not_in_qemu(),
        cr("CR8 above 15", |a| {
            a.mov(eax, 16u32)?;
            a.mov(cr8, rax)
        })
        .not_in_qemu(),
        Case::done("CR8", Kernel, |a| {
            a.mov(eax, 13u32)?;
            a.mov(cr8, rax)?;
            a.mov(rbx, cr8)?;
            a.int(i32::from(PRINT))?;
            a.xor(eax, eax)?;
            a.mov(cr8, rax)
        })
        .prints([13]),
        Case::done("rdtscp", Kernel, |a| {
            wrmsr(a, 0xC000_0103, 42)?;
            a.rdtscp()?;
            a.mov(ebx, ecx)?;
            a.int(i32::from(PRINT))
        })
        .prints([42]),
        Case::done("cpuid", User, |a| {
            for leaf in [0u32, 1, 0x8000_0000, 0x8000_0001, 0x8000_0008] {
                a.mov(eax, leaf)?;
                a.cpuid()?;
                a.mov(ebx, eax)?;
                a.int(i32::from(PRINT))?;
            }
            a.mov(eax, 0x8000_0001u32)?;
            a.cpuid()?;
            a.mov(ebx, edx)?;
            a.int(i32::from(PRINT))?;
            a.mov(eax, 1u32)?;
            a.cpuid()?;
            // What the machine has, and nothing that QEMU's processor has not.
            a.mov(ebx, edx)?;
            a.and(ebx, 0x0708_A978)?;
            a.int(i32::from(PRINT))
        })
        .prints([11, 0x1_06A3, 0x8000_0008, 0x1_06A3, 0x3028, 0x2810_0800, 0x0708_A978]),
        Case::done("sgdt stores ten bytes", User, |a| {
            a.sgdt(qword_ptr(DATA))?;
            a.mov(rbx, qword_ptr(DATA + 2))?;
            a.int(i32::from(PRINT))?;
            a.movzx(ebx, word_ptr(DATA))?;
            a.int(i32::from(PRINT))
        })
        .prints([0x10_1000, u64::from(sel::LIMIT)]),
        Case::new("lgdt that is not canonical", Kernel, (GP, 0), |a| {
            a.mov(rax, STRANGE)?;
            a.mov(qword_ptr(DATA + 2), rax)?;
            a.lgdt(qword_ptr(DATA))
        })
        .not_in_qemu(),
    ]
}

fn segments() -> Vec<Case> {
    let load = |name, mode, fault, selector: u16, ss_too: bool| {
        Case::new(name, mode, fault, move |a| {
            a.mov(eax, u32::from(selector))?;
            if ss_too { a.mov(ss, eax) } else { a.mov(ds, eax) }
        })
    };
    vec![
        load("DS of the kernel", User, (GP, 0x18), 0x18, false),
        load("DS beyond the table", User, (GP, 0x7F8), 0x7F8, false),
        load("null SS in ring 3", User, (GP, 0), 0, true),
        load("SS of RPL 0", User, (GP, 0x28), 0x28, true),
        load("null SS in ring 0", Kernel, (GP, 0), 3, true).not_in_qemu(),
        Case::done("null SS in ring 0 of RPL 0", Kernel, |a| {
            a.mov(ss, ecx)?;
            a.push(rax)?;
            a.pop(rax)
        })
        .selectors(sel::KERNEL_CODE, 0),
        Case::done("access with a null DS", User, |a| {
            a.mov(ds, ecx)?;
            a.mov(rax, qword_ptr(DATA))
        }),
        Case::done("DS has no base", User, |a| {
            a.mov(dword_ptr(DATA), 0x77)?;
            a.mov(eax, u32::from(sel::BASED))?;
            a.mov(ds, eax)?;
            a.mov(ebx, dword_ptr(DATA))?;
            a.int(i32::from(PRINT))
        })
        .prints([0x77]),
        Case::done("FS has one, of its descriptor and then of its MSR", Kernel, |a| {
            a.mov(dword_ptr(BASE + 0x10), 0x55)?;
            a.mov(dword_ptr(DATA + 0x10), 0x66)?;
            a.mov(eax, u32::from(sel::BASED))?;
            a.mov(fs, eax)?;
            a.mov(ebx, dword_ptr(0x10).fs())?;
            a.int(i32::from(PRINT))?;
            wrmsr(a, 0xC000_0100, DATA)?;
            a.mov(ebx, dword_ptr(0x10).fs())?;
            a.int(i32::from(PRINT))?;
            a.mov(ebx, fs)?;
            a.int(i32::from(PRINT))?;
            // Loaded again, the descriptor counts.
            a.mov(eax, u32::from(sel::BASED))?;
            a.mov(fs, eax)?;
            a.mov(ebx, dword_ptr(0x10).fs())?;
            a.int(i32::from(PRINT))
        })
        .prints([0x55, 0x66, u64::from(sel::BASED), 0x55]),
        Case::new("ltr of a busy TSS", Kernel, (GP, u32::from(sel::TSS)), |a| {
            a.mov(eax, u32::from(sel::TSS))?;
            a.ltr(ax)
        }),
        Case::new("ltr of a base that is not canonical", Kernel, (GP, u32::from(sel::BAD_TSS)), |a| {
            a.mov(eax, u32::from(sel::BAD_TSS))?;
            a.ltr(ax)
        })
        .not_in_qemu(),
        Case::done("lldt takes 16 bytes", Kernel, |a| {
            a.mov(eax, u32::from(sel::LDT))?;
            a.lldt(ax)?;
            a.sldt(ebx)?;
            a.int(i32::from(PRINT))
        })
        .prints([u64::from(sel::LDT)]),
    ]
}

fn compatibility() -> Vec<Case> {
    vec![
        Case::new("int from compatibility mode", User32, (OPEN, 0), |a| a.int(i32::from(OPEN))).after(),
        Case::new("read of linear 0 from compatibility mode", User32, (PF, 4), |a| a.mov(eax, dword_ptr(eax))),
        Case::new("access through a null DS", User32, (GP, 0), |a| {
            a.mov(ds, ecx)?;
            a.mov(eax, dword_ptr(DATA))
        })
        .not_in_qemu(),
        Case::new("null SS", User32, (GP, 0), |a| a.mov(ss, ecx)),
        Case::new("iretd with NT", User32, (GP, 0), |a| {
            a.push(0x4202)?;
            a.popfd()?;
            a.iretd()
        })
        .flags(0x4200),
        Case::done("addresses have 32 bits", User32, |a| {
            a.mov(dword_ptr(DATA), 0x99)?;
            a.mov(eax, 0xFFFF_FFFFu32)?;
            a.mov(ebx, dword_ptr(eax + (DATA as i32 + 1)))?;
            a.int(i32::from(PRINT))
        })
        .prints([0x99]),
        Case::new("far jump to 64-bit code", User32, (case::DONE, 0), |a| {
            a.db(&[0xEA])?;
            a.db(&(LANDING as u32).to_le_bytes())?;
            a.db(&sel::USER_CODE.to_le_bytes())
        })
        .at(LANDING + 4, sel::USER_CODE, sel::USER_DATA)
        .prints([0]),
        Case::new("int from ring 0 of compatibility mode", Kernel32, (OPEN, 0), |a| a.int(i32::from(OPEN))).after(),
        Case::done("PAE paging, without long mode", Kernel32, |a| {
            let paging = |a: &mut CodeAssembler, on: bool| -> Written {
                a.mov(eax, cr0)?;
                if on {
                    a.bts(eax, 31)?;
                } else {
                    a.btr(eax, 31)?;
                }
                a.mov(cr0, eax)
            };
            // Four directory pointers: the last GiB begins with the same memory as the first.
            for (i, entry) in [DIRECTORY as i32 + 1, 0, 0, 0, 0, 0, DIRECTORY as i32 + 1, 0].into_iter().enumerate() {
                a.mov(dword_ptr(DATA + 0x800 + 4 * i as u64), entry)?;
            }
            a.mov(dword_ptr(DATA), 0x1357)?;
            paging(a, false)?;
            wrmsr(a, 0xC000_0080, 0x801)?;
            a.mov(eax, DATA as u32 + 0x800)?;
            a.mov(cr3, eax)?;
            paging(a, true)?;
            a.mov(ebx, dword_ptr(0xC000_0000 + DATA))?;
            paging(a, false)?;
            wrmsr(a, 0xC000_0080, 0x901)?;
            a.mov(eax, PML4 as u32)?;
            a.mov(cr3, eax)?;
            paging(a, true)?;
            a.int(i32::from(PRINT))
        })
        .prints([0x1357]),
        Case::new("CR0.PG cleared leaves long mode", Kernel32, (case::DONE, 0), |a| {
            // EFER without LMA, then back; paging is the identity here, so both work.
            a.mov(eax, cr0)?;
            a.btr(eax, 31)?;
            a.mov(cr0, eax)?;
            a.mov(ecx, 0xC000_0080u32)?;
            a.rdmsr()?;
            a.mov(esi, eax)?;
            a.mov(eax, cr0)?;
            a.bts(eax, 31)?;
            a.mov(cr0, eax)?;
            a.mov(ebx, esi)?;
            a.int(i32::from(PRINT))?;
            a.int(i32::from(case::DONE))
        })
        .after()
        .prints([0x901]),
    ]
}

fn sse() -> Vec<Case> {
    let both = |a: &mut CodeAssembler| -> Written {
        a.movq(rbx, xmm0)?;
        a.int(i32::from(PRINT))?;
        a.psrldq(xmm0, 8)?;
        a.movq(rbx, xmm0)?;
        a.int(i32::from(PRINT))
    };
    let fill = |a: &mut CodeAssembler| -> Written {
        a.mov(rax, 0x0807_0605_0403_0201u64)?;
        a.movq(xmm0, rax)?;
        a.mov(rax, 0x1817_1615_1413_1211u64)?;
        a.movq(xmm1, rax)
    };
    vec![
        Case::new("movaps of an unaligned operand", User, (GP, 0), |a| a.movaps(xmm0, xmmword_ptr(DATA + 8)))
            .not_in_qemu(),
        Case::new("paddd of an unaligned operand", User, (GP, 0), |a| a.paddd(xmm0, xmmword_ptr(DATA + 8)))
            .not_in_qemu(),
        Case::new("fxsave to an unaligned area", User, (GP, 0), |a| a.fxsave(ptr(DATA + 8))),
        Case::new("ldmxcsr with a reserved bit", User, (GP, 0), |a| {
            a.mov(dword_ptr(DATA), 0x1_1F80)?;
            a.ldmxcsr(dword_ptr(DATA))
        })
        .not_in_qemu(),
        Case::new("movups over the end of mapped memory", User, (PF, 6), |a| a.movups(xmmword_ptr(ABSENT - 8), xmm0))
            .cr2(ABSENT),
        Case::new("SSE with CR0.TS", Kernel, (7, 0), |a| {
            a.mov(rax, cr0)?;
            a.or(eax, 8)?;
            a.mov(cr0, rax)?;
            a.xorps(xmm0, xmm0)
        }),
        Case::done("clts", Kernel, |a| {
            a.clts()?;
            a.xorps(xmm0, xmm0)
        }),
        Case::new("SSE without CR4.OSFXSR", Kernel, (UD, 0), |a| {
            a.mov(rax, cr4)?;
            a.btr(eax, 9)?;
            a.mov(cr4, rax)?;
            a.xorps(xmm0, xmm0)
        }),
        Case::done("CR4.OSFXSR again", Kernel, |a| {
            a.mov(rax, cr4)?;
            a.bts(eax, 9)?;
            a.mov(cr4, rax)?;
            a.xorps(xmm0, xmm0)
        }),
        Case::done("fxsave and fxrstor", User, move |a| {
            fill(a)?;
            a.punpcklqdq(xmm0, xmm1)?;
            a.movaps(xmm15, xmm0)?;
            a.fxsave64(ptr(DATA))?;
            a.pxor(xmm0, xmm0)?;
            a.pxor(xmm15, xmm15)?;
            a.fxrstor64(ptr(DATA))?;
            a.pand(xmm0, xmm15)?;
            both(a)?;
            // FCW; MXCSR and its mask; XMM15.
            a.movzx(ebx, word_ptr(DATA))?;
            a.int(i32::from(PRINT))?;
            a.mov(rbx, qword_ptr(DATA + 24))?;
            a.int(i32::from(PRINT))?;
            a.mov(rbx, qword_ptr(DATA + 160 + 240))?;
            a.int(i32::from(PRINT))
        })
        .prints([
            0x0807_0605_0403_0201,
            0x1817_1615_1413_1211,
            0x37F,
            0xFFFF_0000_1F80,
            0x0807_0605_0403_0201,
        ]),
        Case::done("ldmxcsr and stmxcsr", User, |a| {
            a.mov(dword_ptr(DATA), 0x9FC0)?;
            a.ldmxcsr(dword_ptr(DATA))?;
            a.stmxcsr(dword_ptr(DATA + 8))?;
            a.mov(ebx, dword_ptr(DATA + 8))?;
            a.int(i32::from(PRINT))?;
            a.mov(dword_ptr(DATA), 0x1F80)?;
            a.ldmxcsr(dword_ptr(DATA))
        })
        .prints([0x9FC0]),
        Case::done("punpcklbw", User, move |a| {
            fill(a)?;
            a.punpcklbw(xmm0, xmm1)?;
            both(a)
        })
        .prints([0x1404_1303_1202_1101, 0x1808_1707_1606_1505]),
        Case::done("pshufd, shufps, pshuflw, pshufhw", User, move |a| {
            fill(a)?;
            a.pshufd(xmm0, xmm0, 0b01_00_11_10)?;
            a.shufps(xmm0, xmm1, 0b00_01_10_11)?;
            a.pshuflw(xmm0, xmm0, 0b00_01_10_11)?;
            a.pshufhw(xmm0, xmm0, 0b00_01_10_11)?;
            both(a)
        })
        .prints([0x0605_0807_0201_0403, 0x1615_1817_1211_1413]),
        Case::done("paddd, psubw, pcmpeqb, pmovmskb", User, move |a| {
            fill(a)?;
            a.paddd(xmm0, xmm1)?;
            a.psubw(xmm0, xmm1)?;
            a.movq(rbx, xmm0)?;
            a.int(i32::from(PRINT))?;
            a.pcmpeqb(xmm0, xmm1)?;
            a.pmovmskb(ebx, xmm0)?;
            a.int(i32::from(PRINT))
        })
        .prints([0x0807_0605_0403_0201, 0xFF00]),
        Case::done("shifts", User, move |a| {
            fill(a)?;
            a.psllw(xmm0, 4)?;
            a.psrld(xmm1, 8)?;
            a.pxor(xmm0, xmm1)?;
            a.psrlq(xmm0, 1)?;
            a.pslldq(xmm0, 3)?;
            both(a)
        })
        .prints([shifted() << 24, shifted() >> 40]),
        Case::done("movlps, movhps, movhlps, movlhps", User, move |a| {
            fill(a)?;
            a.movq(qword_ptr(DATA), xmm1)?;
            a.movhps(xmm0, qword_ptr(DATA))?;
            a.movlhps(xmm1, xmm0)?;
            a.movhlps(xmm1, xmm0)?;
            a.movups(xmmword_ptr(DATA + 3), xmm1)?;
            a.movdqu(xmm0, xmmword_ptr(DATA + 3))?;
            both(a)
        })
        .prints([0x1817_1615_1413_1211, 0x0807_0605_0403_0201]),
        Case::done("movss and movsd", User, move |a| {
            fill(a)?;
            a.punpcklqdq(xmm0, xmm0)?;
            a.movss(xmm0, xmm1)?;
            a.movss(dword_ptr(DATA), xmm0)?;
            a.movsd_2(xmm1, xmm0)?;
            a.movaps(xmm0, xmm1)?;
            both(a)?;
            a.movss(xmm0, dword_ptr(DATA))?;
            both(a)
        })
        .prints([0x0807_0605_1413_1211, 0, 0x1413_1211, 0]),
        Case::done("fences, prefetch, clflush, fpu control", User, |a| {
            a.mfence()?;
            a.lfence()?;
            a.sfence()?;
            a.prefetcht0(byte_ptr(ABSENT))?;
            a.clflush(byte_ptr(DATA))?;
            a.fninit()?;
            a.mov(word_ptr(DATA), 0x27F)?;
            a.fldcw(word_ptr(DATA))?;
            a.fnstcw(word_ptr(DATA + 2))?;
            a.mov(ebx, dword_ptr(DATA))?;
            a.int(i32::from(PRINT))?;
            a.fninit()
        })
        .prints([0x027F_027F]),
    ]
}

/// What the shifts make of the two operands.
fn shifted() -> u64 {
    let words = 0x0807_0605_0403_0201u64;
    let left = (0..4).fold(0, |all, i| all | (words >> (16 * i) << 4 & 0xFFFF) << (16 * i));
    let dwords = 0x1817_1615_1413_1211u64;
    let right = (0..2).fold(0, |all, i| all | ((dwords >> (32 * i) & 0xFFFF_FFFF) >> 8) << (32 * i));
    (left ^ right) >> 1
}
