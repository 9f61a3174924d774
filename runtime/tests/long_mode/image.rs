//! A multiboot image that switches itself to long mode: tables at fixed addresses, all below 2 MiB.

use iced_x86::IcedError;
use iced_x86::code_asm::{CodeAssembler, al, ax, cr0, cr3, cr4, ds, eax, ecx, es, rax, rsp, ss};

const START: u32 = 0x10_0000;
const ENTRY: u32 = START + 0x20;
const GDT: u64 = 0x10_1000;
/// The operands of `LGDT` and `LIDT`.
const GDTR: u64 = 0x10_1F00;
const IDTR: u64 = 0x10_1F10;
const IDT: u64 = 0x10_2000;
pub(crate) const TSS: u64 = 0x10_3000;
pub(crate) const PML4: u64 = 0x10_4000;
const POINTERS: u64 = 0x10_5000;
pub(crate) const DIRECTORY: u64 = 0x10_6000;
/// Maps the first 2 MiB, page by page.
pub(crate) const TABLE: u64 = 0x10_7000;
const LONG: u64 = 0x11_0000;
/// What runs once the processor is in 64-bit mode, at CPL 0 with all tables loaded.
pub(crate) const KERNEL: u64 = 0x11_1000;
pub(crate) const KERNEL_STACK: u64 = 0x18_0000;
/// IST1 to IST7 end here and every 4 KiB below.
pub(crate) const IST: u64 = 0x17_8000;
pub(crate) const USER_STACK: u64 = 0x16_0000;
/// The end of what is loaded.
const END: u64 = 0x18_0000;

/// Selectors, those of 64-bit Windows where it has them.
pub(crate) mod sel {
    /// 32-bit code of ring 0.
    pub(crate) const KERNEL_32: u16 = 0x08;
    pub(crate) const KERNEL_CODE: u16 = 0x10;
    pub(crate) const KERNEL_DATA: u16 = 0x18;
    pub(crate) const USER_32: u16 = 0x23;
    pub(crate) const USER_DATA: u16 = 0x2B;
    pub(crate) const USER_CODE: u16 = 0x33;
    pub(crate) const TSS: u16 = 0x40;
    /// Data of ring 3 that is not present.
    pub(crate) const ABSENT: u16 = 0x53;
    /// Code with both L and D set.
    pub(crate) const MIXED: u16 = 0x5B;
    /// A segment with a base.
    pub(crate) const BASED: u16 = 0x63;
    /// A TSS whose base is not canonical, and an LDT.
    pub(crate) const BAD_TSS: u16 = 0x70;
    pub(crate) const LDT: u16 = 0x80;
    /// Offset of the table's last byte.
    pub(crate) const LIMIT: u16 = 0x8F;
}

/// The base of [`sel::BASED`].
pub(crate) const BASE: u64 = 0x12_3000;

/// Page bits.
pub(crate) const PRESENT: u64 = 1;
pub(crate) const WRITABLE: u64 = 2;
pub(crate) const USER: u64 = 4;
pub(crate) const NO_EXECUTE: u64 = 1 << 63;

/// An image in the making.
pub(crate) struct Image {
    bytes: Vec<u8>,
}

impl Image {
    pub(crate) fn new() -> Result<Self, IcedError> {
        let mut image = Self { bytes: vec![0; (END - u64::from(START)) as usize] };
        let (magic, flags) = (0x1BAD_B002u32, 0x1_0000u32);
        let checksum = 0u32.wrapping_sub(magic).wrapping_sub(flags);
        let header = [magic, flags, checksum, START, START, 0, 0, ENTRY];
        image.put(u64::from(START), &header.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>());
        image.tables();
        let enter = enter_long_mode()?;
        image.put(u64::from(ENTRY), &enter);
        let long = load_registers()?;
        image.put(LONG, &long);
        Ok(image)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn put(&mut self, address: u64, bytes: &[u8]) {
        let at = (address - u64::from(START)) as usize;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn put64(&mut self, address: u64, value: u64) {
        self.put(address, &value.to_le_bytes());
    }

    /// An interrupt gate.
    pub(crate) fn gate(&mut self, vector: u8, target: u64, dpl: u64, ist: u64) {
        let at = IDT + 16 * u64::from(vector);
        let low = target & 0xFFFF | u64::from(sel::KERNEL_CODE) << 16 | ist << 32 | (0x8E | dpl << 5) << 40;
        self.put64(at, low | (target >> 16 & 0xFFFF) << 48);
        self.put64(at + 8, target >> 32);
    }

    /// The 16 bytes of a gate.
    pub(crate) fn raw_gate(&mut self, vector: u8, low: u64, high: u64) {
        let at = IDT + 16 * u64::from(vector);
        self.put64(at, low);
        self.put64(at + 8, high);
    }

    /// Changes how a page below 2 MiB is mapped.
    pub(crate) fn map(&mut self, page: u64, bits: u64) {
        self.put64(TABLE + page / 0x1000 * 8, page | bits);
    }

    fn tables(&mut self) {
        let descriptors = [
            0,
            0x00CF_9B00_0000_FFFF,
            0x0020_9B00_0000_0000,
            0x00CF_9300_0000_FFFF,
            0x00CF_FB00_0000_FFFF,
            0x00CF_F300_0000_FFFF,
            0x0020_FB00_0000_0000,
            0,
            0x0000_8900_0000_0067 | (TSS & 0xFF_FFFF) << 16,
            0,
            0x00CF_7300_0000_FFFF,
            0x0060_FB00_0000_0000,
            0x00CF_F300_0000_FFFF | (BASE & 0xFF_FFFF) << 16,
            0x0020_1B00_0000_0000,
            0x0000_8900_0000_0067,
            0x0123_4567,
            0x0000_8200_0000_0FFF,
            0,
        ];
        for (i, descriptor) in descriptors.into_iter().enumerate() {
            self.put64(GDT + 8 * i as u64, descriptor);
        }
        self.put(GDTR, &sel::LIMIT.to_le_bytes());
        self.put64(GDTR + 2, GDT);
        self.put(IDTR, &0xFFFu16.to_le_bytes());
        self.put64(IDTR + 2, IDT);
        self.put64(TSS + 4, KERNEL_STACK);
        for i in 0..7 {
            self.put64(TSS + 0x24 + 8 * i, IST - 0x1000 * i);
        }
        self.put(TSS + 0x66, &0x68u16.to_le_bytes());
        let all = PRESENT | WRITABLE | USER;
        // The upper half begins with the same pages as the lower one.
        self.put64(PML4, POINTERS | all);
        self.put64(PML4 + 8 * 256, POINTERS | all);
        self.put64(POINTERS, DIRECTORY | all);
        self.put64(DIRECTORY, TABLE | all);
        for page in 1..0x200 {
            self.map(page * 0x1000, all);
        }
    }
}

/// From the multiboot entry to 64-bit code.
fn enter_long_mode() -> Result<Vec<u8>, IcedError> {
    use iced_x86::code_asm::dword_ptr;
    let mut a = CodeAssembler::new(32)?;
    a.cli()?;
    // QEMU's interrupt controllers, which would send the timer's interrupt to vector 8.
    a.mov(al, 0xFF)?;
    a.out(0x21, al)?;
    a.out(0xA1, al)?;
    a.lgdt(dword_ptr(GDTR as u32))?;
    a.mov(eax, cr4)?;
    // PAE, OSFXSR, OSXMMEXCPT.
    a.or(eax, 0x620)?;
    a.mov(cr4, eax)?;
    a.mov(eax, PML4 as u32)?;
    a.mov(cr3, eax)?;
    a.mov(ecx, 0xC000_0080u32)?;
    a.rdmsr()?;
    // SCE, LME, NXE.
    a.or(eax, 0x901)?;
    a.wrmsr()?;
    a.mov(eax, cr0)?;
    // PG, WP.
    a.or(eax, 0x8001_0000u32 as i32)?;
    a.mov(cr0, eax)?;
    let mut code = a.assemble(u64::from(ENTRY))?;
    code.push(0xEA);
    code.extend((LONG as u32).to_le_bytes());
    code.extend(sel::KERNEL_CODE.to_le_bytes());
    Ok(code)
}

/// The first 64-bit code: stack, data segments, IDT and task register.
fn load_registers() -> Result<Vec<u8>, IcedError> {
    use iced_x86::code_asm::qword_ptr;
    let mut a = CodeAssembler::new(64)?;
    a.mov(eax, u32::from(sel::KERNEL_DATA))?;
    a.mov(ss, eax)?;
    a.mov(eax, u32::from(sel::USER_DATA))?;
    a.mov(ds, eax)?;
    a.mov(es, eax)?;
    a.mov(rsp, KERNEL_STACK)?;
    a.lidt(qword_ptr(IDTR))?;
    a.mov(eax, u32::from(sel::TSS))?;
    a.ltr(ax)?;
    a.mov(rax, KERNEL)?;
    a.jmp(rax)?;
    a.assemble(LONG)
}
