//! `SYSCALL`, `SYSRET`, `SWAPGS`, and the registers that go with them.

use super::*;

pub(super) fn fast() -> Vec<Case> {
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

pub(super) fn registers() -> Vec<Case> {
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
