//! Far transfers and returns in long mode.

use super::*;

pub(super) fn returns() -> Vec<Case> {
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

pub(super) fn far() -> Vec<Case> {
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
