//! Segments in 64-bit code, and compatibility mode.

use super::*;

pub(super) fn segments() -> Vec<Case> {
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

pub(super) fn compatibility() -> Vec<Case> {
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
