//! SSE, its state and its faults.

use super::*;

pub(super) fn sse() -> Vec<Case> {
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
