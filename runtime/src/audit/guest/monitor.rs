//! The monitor: the few instructions of ring 0 between the host and the code under audit, and the tables that the
//! processor needs to run it.
//!
//! It boots into long mode, and from then on does one thing: it loads the registers that the host has put into its
//! [`mailbox`] and leaves by `IRETQ`. Every interrupt, exception and system call comes back to a slot of its own, where
//! the host looks at the processor before the first instruction. 32-bit code runs in compatibility mode, so that the far
//! jump of WoW64 into 64-bit code is one.

use iced_x86::IcedError;
use iced_x86::code_asm::{
    CodeAssembler, al, byte_ptr, cr0, cr3, cr4, ds, eax, ecx, edx, es, fs, fword_ptr, gs, ptr, r8, r9, r10, r11, r12,
    r13, r14, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi, rsp, ss,
};
use iced_x86::{Code, Instruction};

use super::space::TEB;

/// Where the monitor's physical memory is seen: the upper half, supervisor pages.
pub(super) const BASE: u64 = 0xFFFF_8000_0000_0000;

/// Physical memory of the monitor; what lies above is for the pages of the code under audit.
pub(super) const SIZE: u64 = 2 << 20;

/// Physical places.
pub(super) mod place {
    pub(crate) const PML4: u64 = 0x1000;
    pub(super) const LOW: u64 = 0x2000;
    pub(super) const HIGH: u64 = 0x3000;
    pub(super) const LARGE: u64 = 0x4000;
    pub(super) const GDT: u64 = 0x5000;
    pub(super) const TSS: u64 = 0x6000;
    pub(super) const IDT: u64 = 0x7000;
    pub(crate) const MAILBOX: u64 = 0x8000;
    pub(super) const BOOT: u64 = 0x9000;
    pub(super) const RESUME: u64 = 0xA000;
    pub(super) const SLOTS: u64 = 0xB000;
    pub(super) const STACK_END: u64 = 0xE000;
}

/// What the host tells the monitor.
pub(super) mod mailbox {
    /// An image of `FXRSTOR`.
    pub(crate) const FX: u64 = 0;
    /// Not 0: load it.
    pub(crate) const LOADS_FX: u64 = 0x200;
    /// R15 to R8, RDI, RSI, RBP, RBX, RDX, RCX, RAX; RIP, CS, RFLAGS, RSP, SS.
    pub(crate) const REGISTERS: u64 = 0x208;
}

/// Selectors. Those of ring 3 are where 64-bit Windows has them.
pub(super) mod selector {
    pub(crate) const KERNEL_32: u16 = 0x08;
    pub(crate) const KERNEL_64: u16 = 0x10;
    pub(crate) const KERNEL_DATA: u16 = 0x18;
    pub(crate) const USER_32: u16 = 0x23;
    pub(crate) const USER_DATA: u16 = 0x2B;
    pub(crate) const USER_64: u16 = 0x33;
    pub(super) const TSS: u16 = 0x40;
    pub(super) const TEB_32: u16 = 0x53;
}

/// Bytes of a slot: a jump.
const SLOT: u64 = 8;
/// The slots behind those of the 256 vectors.
const SYSENTER: u64 = 256;
const SYSCALL: u64 = 257;

/// By which slot the processor came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slot {
    Vector(u8),
    Sysenter,
    Syscall,
}

/// The slot at an address.
pub(super) fn slot_at(rip: u64) -> Option<Slot> {
    let offset = rip.checked_sub(BASE + place::SLOTS)?;
    match offset / SLOT {
        _ if offset % SLOT != 0 => None,
        vector @ 0..256 => Some(Slot::Vector(vector as u8)),
        SYSENTER => Some(Slot::Sysenter),
        SYSCALL => Some(Slot::Syscall),
        _ => None,
    }
}

/// Whether the processor is in the monitor.
pub(super) fn contains(rip: u64) -> bool {
    (BASE..BASE + SIZE).contains(&rip)
}

/// Vectors that programs of ring 3 may ask for: breakpoint, overflow, and NT's own (29h to 2Eh).
fn is_for_users(vector: u64) -> bool {
    matches!(vector, 3 | 4 | 0x29..=0x2E)
}

/// The monitor as it will stand in physical memory: address and bytes of each piece.
pub(super) struct Image {
    pub(super) pieces: Vec<(u64, Vec<u8>)>,
    /// Instructions from a slot to ring 3, without `FXRSTOR`.
    pub(super) instructions: u64,
}

/// The physical address of the boot code.
pub(super) const START: u32 = place::BOOT as u32;

pub(super) fn image() -> Result<Image, IcedError> {
    let (resume, instructions) = resume()?;
    let gdt: [u64; 12] = [
        0,
        0x00CF_9B00_0000_FFFF,
        0x0020_9B00_0000_0000,
        0x00CF_9300_0000_FFFF,
        0x00CF_FB00_0000_FFFF,
        0x00CF_F300_0000_FFFF,
        0x0020_FB00_0000_0000,
        0,
        0x0000_8900_0000_0067 | (BASE + place::TSS & 0xFF_FFFF) << 16 | (BASE + place::TSS >> 24 & 0xFF) << 56,
        BASE + place::TSS >> 32,
        0x0040_F300_0000_0FFF | (TEB & 0xFF_FFFF) << 16 | (TEB >> 24) << 56,
        0,
    ];
    // RSP0 and IST1 are the same: nothing nests here.
    let mut tss = vec![0; 0x68];
    tss[4..12].copy_from_slice(&(BASE + place::STACK_END).to_le_bytes());
    tss[0x24..0x2C].copy_from_slice(&(BASE + place::STACK_END).to_le_bytes());
    tss[0x66] = 0x68;
    let pieces = vec![
        // The lower half is the monitor's at boot alone; the host then takes that entry.
        (place::PML4, quads(&[place::LOW | 3])),
        (place::PML4 + 8 * 256, quads(&[place::HIGH | 3])),
        (place::LOW, quads(&[place::LARGE | 3])),
        (place::HIGH, quads(&[place::LARGE | 3])),
        // One page of 2 MiB.
        (place::LARGE, quads(&[0x83])),
        (place::GDT, quads(&gdt)),
        (place::TSS, tss),
        (place::IDT, (0..256).flat_map(gate).collect()),
        (place::BOOT, boot()?),
        (place::RESUME, resume),
        (place::SLOTS, slots()?),
    ];
    Ok(Image { pieces, instructions })
}

fn quads(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// An interrupt gate of 64 bits to a vector's slot, on the stack of IST1 (SDM vol. 3, figure 6-8).
fn gate(vector: u64) -> Vec<u8> {
    let (at, dpl) = (BASE + place::SLOTS + SLOT * vector, if is_for_users(vector) { 3 } else { 0 });
    let low = at & 0xFFFF
        | u64::from(selector::KERNEL_64) << 16
        | 1 << 32
        | (0x8E | dpl << 5) << 40
        | (at >> 16 & 0xFFFF) << 48;
    quads(&[low, at >> 32])
}

/// From flat 32-bit mode without paging to the upper half.
fn boot() -> Result<Vec<u8>, IcedError> {
    let [entry, pointer] = [place::BOOT + 0x100, place::BOOT + 0x200];
    let mut a = CodeAssembler::new(32)?;
    a.mov(eax, 0x620)?; // CR4: PAE, OSFXSR, OSXMMEXCPT
    a.mov(cr4, eax)?;
    a.mov(eax, place::PML4 as u32)?;
    a.mov(cr3, eax)?;
    a.mov(ecx, 0xC000_0080u32)?; // EFER: SCE, LME, NXE
    a.xor(edx, edx)?;
    a.mov(eax, 0x901)?;
    a.wrmsr()?;
    a.mov(eax, 0x8001_0033u32)?; // CR0: PG, WP, NE, ET, MP, PE
    a.mov(cr0, eax)?;
    a.lgdt(fword_ptr(pointer as u32))?;
    a.add_instruction(Instruction::with_far_branch(Code::Jmp_ptr1632, selector::KERNEL_64, entry as u32)?)?;
    let mut page = a.assemble(place::BOOT)?;
    page.resize(0x100, 0x90);

    let mut a = CodeAssembler::new(64)?;
    a.mov(rax, BASE + pointer)?;
    a.lgdt(fword_ptr(rax))?;
    a.mov(rax, BASE + pointer + 0x10)?;
    a.lidt(fword_ptr(rax))?;
    a.mov(eax, u32::from(selector::KERNEL_DATA))?;
    a.mov(ss, eax)?;
    a.mov(gs, eax)?;
    a.mov(eax, u32::from(selector::TSS))?;
    a.add_instruction(Instruction::with1(Code::Ltr_r32m16, iced_x86::Register::EAX)?)?;
    for (register, value) in [
        (0x174, u64::from(selector::KERNEL_64)),
        (0x175, BASE + place::STACK_END),
        (0x176, BASE + place::SLOTS + SLOT * SYSENTER),
        (0xC000_0081, u64::from(selector::USER_32 & !3) << 48 | u64::from(selector::KERNEL_64) << 32),
        (0xC000_0082, BASE + place::SLOTS + SLOT * SYSCALL),
        (0xC000_0084, 0x4700),
        (0xC000_0101, TEB),
    ] {
        write_msr(&mut a, register, value)?;
    }
    a.xor(eax, eax)?;
    a.out(0xF4u32, al)?;
    a.mov(rax, BASE + place::RESUME)?;
    a.jmp(rax)?;
    page.extend(a.assemble(entry)?);
    page.resize(0x200, 0x90);
    // The first `lgdt` is one of 32-bit code, which reads the lower half of the base: the same place in physical memory.
    for (limit, at) in [(0x5F_u16, place::GDT), (0xFFF, place::IDT)] {
        page.extend(limit.to_le_bytes());
        page.extend((BASE + at).to_le_bytes());
        page.resize(page.len().next_multiple_of(0x10), 0);
    }
    Ok(page)
}

fn write_msr(a: &mut CodeAssembler, register: u32, value: u64) -> Result<(), IcedError> {
    a.mov(ecx, register)?;
    a.mov(eax, value as u32)?;
    a.mov(edx, (value >> 32) as u32)?;
    a.wrmsr()
}

/// What the mailbox says, loaded. Translations are forgotten: the host may have changed them.
fn resume() -> Result<(Vec<u8>, u64), IcedError> {
    let mut a = CodeAssembler::new(64)?;
    let keeps = &mut a.create_label();
    a.mov(rax, cr3)?;
    a.mov(cr3, rax)?;
    a.mov(rsp, BASE + place::MAILBOX + mailbox::LOADS_FX)?;
    a.cmp(byte_ptr(rsp), 0)?;
    a.je(*keeps)?;
    a.fxrstor(ptr(rsp - (mailbox::LOADS_FX - mailbox::FX)))?;
    a.set_label(keeps)?;
    a.add(rsp, (mailbox::REGISTERS - mailbox::LOADS_FX) as i32)?;
    a.mov(eax, u32::from(selector::USER_DATA))?;
    a.mov(ds, eax)?;
    a.mov(es, eax)?;
    a.mov(eax, u32::from(selector::TEB_32))?;
    a.mov(fs, eax)?;
    write_msr(&mut a, 0xC000_0101, TEB)?;
    for register in [r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax] {
        a.pop(register)?;
    }
    a.iretq()?;
    // The jump of the slot comes before them, `FXRSTOR` is not always one of them.
    let instructions = a.instructions().len() as u64;
    Ok((a.assemble(BASE + place::RESUME)?, instructions))
}

fn slots() -> Result<Vec<u8>, IcedError> {
    let mut bytes = Vec::new();
    for slot in 0..=SYSCALL {
        let at = BASE + place::SLOTS + SLOT * slot;
        let mut a = CodeAssembler::new(64)?;
        a.jmp(BASE + place::RESUME)?;
        bytes.extend(a.assemble(at)?);
        bytes.resize((SLOT * (slot + 1)) as usize, 0x90);
    }
    Ok(bytes)
}
