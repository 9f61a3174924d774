//! One case: code that runs in a mode of its own until an exception or `INT 20H` ends it, and the line that comes of it.

use iced_x86::IcedError;
use iced_x86::code_asm::*;
use iced_x86::{Decoder, DecoderOptions};

use crate::image::{self, Image, KERNEL, KERNEL_STACK, USER_STACK, sel};

/// Where the code of the first case is; each has 256 bytes.
const CASES: u64 = 0x12_4000;
/// What each case starts with: RIP, CS, RFLAGS, RSP, SS.
const STARTS: u64 = 0x13_8000;
/// The number of the case that runs.
const CURRENT: u64 = 0x12_1000;
/// Where each vector's handler is, 16 bytes each.
const HANDLERS: u64 = 0x11_2000;
/// Where `SYSCALL` goes.
pub(crate) const SERVICE: u64 = 0x11_C000;
/// Where `SYSENTER` goes.
pub(crate) const FAST: u64 = 0x11_D000;
/// Ends a case.
pub(crate) const DONE: u8 = 0x20;
/// Prints RBX and goes on.
pub(crate) const PRINT: u8 = 0x21;
/// A gate that ring 3 may use.
pub(crate) const OPEN: u8 = 0x2E;
/// The same with IST3.
pub(crate) const OPEN_IST: u8 = 0x2F;
/// `INT PRINT; INT DONE`, for ring 3 and as 32-bit code too.
pub(crate) const LANDING: u64 = 0x15_8000;
/// Pages below 2 MiB that are mapped otherwise.
pub(crate) const NO_EXECUTE: u64 = 0x15_0000;
pub(crate) const READ_ONLY: u64 = 0x15_1000;
pub(crate) const SUPERVISOR: u64 = 0x15_2000;
pub(crate) const ABSENT: u64 = 0x15_A000;
pub(crate) const RESERVED: u64 = 0x15_4000;
/// Where the stack of a case in ring 0 begins.
pub(crate) const RING_0_STACK: u64 = KERNEL_STACK - 0x1000;
/// Memory to play with.
pub(crate) const DATA: u64 = 0x15_6000;

/// Flags that a line shows: TF, IF, DF, IOPL, NT, AC, ID.
const SHOWN: u64 = 0x24_7700;
/// Shown too, but not under QEMU, which does not set it.
const RF: u64 = 0x1_0000;
pub(crate) const STAR: u64 = 0x0023_0010_0000_0000;
pub(crate) const FMASK: u64 = 0x4700;

/// How a case starts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    User,
    /// Ring 3, compatibility mode.
    User32,
    Kernel,
    /// Ring 0, compatibility mode.
    Kernel32,
}

impl Mode {
    fn bits(self) -> u32 {
        if matches!(self, Self::User | Self::Kernel) { 64 } else { 32 }
    }

    fn selectors(self) -> (u16, u16) {
        match self {
            Self::User => (sel::USER_CODE, sel::USER_DATA),
            Self::User32 => (sel::USER_32, sel::USER_DATA),
            Self::Kernel => (sel::KERNEL_CODE, sel::KERNEL_DATA),
            Self::Kernel32 => (sel::KERNEL_32, sel::KERNEL_DATA),
        }
    }

    fn is_user(self) -> bool {
        matches!(self, Self::User | Self::User32)
    }
}

/// The saved RIP.
#[derive(Clone, Copy)]
enum At {
    /// The case's last instruction.
    Last,
    /// Behind it.
    End,
    Address(u64),
}

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) in_qemu: bool,
    mode: Mode,
    id: u64,
    code: Vec<u8>,
    vector: u8,
    error: u32,
    at: At,
    selectors: (u16, u16),
    flags: u64,
    address: u64,
    frame: u64,
    prints: Vec<u64>,
}

impl Case {
    /// A case that ends in this exception, at its last instruction.
    pub(crate) fn new(
        name: &'static str,
        mode: Mode,
        (vector, error): (u8, u32),
        write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    ) -> Self {
        let mut a = CodeAssembler::new(mode.bits()).expect("a bitness that there is");
        write(&mut a).unwrap_or_else(|error| panic!("{name}: {error}"));
        // Nothing in a case depends on where it is.
        let code = a.assemble(CASES).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self {
            name,
            in_qemu: true,
            mode,
            id: 0,
            code,
            vector,
            error,
            at: At::Last,
            selectors: mode.selectors(),
            flags: 0x200,
            address: 0,
            frame: if mode.is_user() { KERNEL_STACK } else { RING_0_STACK },
            prints: Vec::new(),
        }
    }

    /// A case that ends as it should, with [`DONE`].
    pub(crate) fn done(
        name: &'static str,
        mode: Mode,
        write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
    ) -> Self {
        let all = |a: &mut CodeAssembler| {
            write(a)?;
            a.int(u32::from(DONE) as i32)
        };
        Self { at: At::End, ..Self::new(name, mode, (DONE, 0), all) }
    }

    /// It is a trap: the saved RIP is behind the last instruction.
    pub(crate) fn after(self) -> Self {
        Self { at: At::End, ..self }
    }

    /// It ends elsewhere.
    pub(crate) fn at(self, address: u64, code: u16, stack: u16) -> Self {
        Self { at: At::Address(address), selectors: (code, stack), ..self }
    }

    /// It ends with these selectors.
    pub(crate) fn selectors(self, code: u16, stack: u16) -> Self {
        Self { selectors: (code, stack), ..self }
    }

    pub(crate) fn flags(self, flags: u64) -> Self {
        Self { flags, ..self }
    }

    /// The address of the page fault.
    pub(crate) fn cr2(self, address: u64) -> Self {
        Self { address, ..self }
    }

    /// The frame ends at this address. Shown of the vectors whose frame has no error code that a line does not show anyway.
    pub(crate) fn frame(self, end: u64) -> Self {
        Self { frame: end, ..self }
    }

    /// What it prints before its end.
    pub(crate) fn prints(self, prints: impl IntoIterator<Item = u64>) -> Self {
        Self { prints: prints.into_iter().collect(), ..self }
    }

    /// QEMU 7.2 does otherwise.
    pub(crate) fn not_in_qemu(self) -> Self {
        Self { in_qemu: false, ..self }
    }

    pub(crate) fn numbered(self, id: u64) -> Self {
        Self { id, ..self }
    }

    fn address(&self) -> u64 {
        CASES + 0x100 * self.id
    }

    /// Whether the exception is a fault, whose frame has RF set.
    fn is_fault(&self) -> bool {
        matches!(self.vector, 0 | 6 | 7 | 11..=14)
    }

    /// Its lines. `exact`: with RF.
    pub(crate) fn expected(&self, exact: bool) -> String {
        let last = || {
            let mut decoder = Decoder::new(self.mode.bits(), &self.code, DecoderOptions::NONE);
            decoder.iter().last().map_or(0, |instruction| instruction.ip())
        };
        let offset = match self.at {
            At::Last => last(),
            At::End => self.code.len() as u64,
            At::Address(address) => address.wrapping_sub(self.address()),
        };
        let prints: String = self.prints.iter().map(|value| format!("{value:016x}\n")).collect();
        let Self { id, vector, error, selectors: (code, stack), flags, address, .. } = self;
        let offset = offset & 0xFFFF;
        let flags = flags | if exact && self.is_fault() { RF } else { 0 };
        let line = format!("{id:02x} {vector:02x} {error:04x} {code:04x} {stack:04x} {offset:04x} {flags:06x}");
        match *vector {
            14 => format!("{prints}{line} {address:016x}"),
            8 | OPEN | OPEN_IST => format!("{prints}{line} {:016x}", self.frame),
            _ => format!("{prints}{line}"),
        }
    }
}

/// An image that runs the cases one after the other. `exact`: it shows RF.
pub(crate) fn image(cases: &[Case], exact: bool) -> Result<Vec<u8>, IcedError> {
    let mut image = Image::new()?;
    let all = image::PRESENT | image::WRITABLE | image::USER;
    image.map(NO_EXECUTE, all | image::NO_EXECUTE);
    image.map(READ_ONLY, image::PRESENT | image::USER);
    image.map(SUPERVISOR, image::PRESENT | image::WRITABLE);
    image.map(ABSENT, 0);
    image.map(RESERVED, all | 1 << 50);
    image.put(LANDING, &[0xCD, PRINT, 0xCD, DONE]);
    for (i, case) in cases.iter().enumerate() {
        let (code, segment) = case.mode.selectors();
        let stack = if case.mode.is_user() { USER_STACK } else { RING_0_STACK };
        let start = [case.address(), u64::from(code), 0x202, stack, u64::from(segment), case.id];
        for (k, value) in start.into_iter().enumerate() {
            image.put64(STARTS + 48 * i as u64 + 8 * k as u64, value);
        }
        image.put(case.address(), &case.code);
    }
    let (code, common, next) = driver(cases.len() as i32, SHOWN | if exact { RF } else { 0 })?;
    image.put(KERNEL, &code);
    for vector in (0..=0x21).chain([OPEN, OPEN_IST]) {
        let dpl = if matches!(vector, 3 | 4 | DONE | PRINT | OPEN | OPEN_IST) { 3 } else { 0 };
        let ist = match vector {
            8 => 1,
            OPEN_IST => 3,
            _ => 0,
        };
        image.gate(vector, HANDLERS + 16 * u64::from(vector), dpl, ist);
        let handler = handler(vector, common, next)?;
        image.put(HANDLERS + 16 * u64::from(vector), &handler);
    }
    // A call gate's type, one that is not present, and targets that are no good.
    image.raw_gate(0x31, 0x0011_EC00_0010_2000, 0);
    image.raw_gate(0x32, 0x0011_6E00_0010_2000, 0);
    image.raw_gate(0x33, 0x0011_EE00_0010_2000, 0x0000_8000);
    image.raw_gate(0x34, 0x0011_EE00_0000_2000, 0);
    image.raw_gate(0x35, 0x0011_EE00_0018_2000, 0);
    image.raw_gate(0x36, 0x0011_EE00_0008_2000, 0);
    image.raw_gate(0x37, 0x0011_EE00_0068_2000, 0);
    image.raw_gate(0x38, 0x0011_EE00_07F8_2000, 0);
    let service = service()?;
    image.put(SERVICE, &service);
    let fast = fast()?;
    image.put(FAST, &fast);
    Ok(image.bytes().to_vec())
}

/// An entry of the IDT: the vector and an error code on the stack, then the common part.
fn handler(vector: u8, common: u64, print: u64) -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(64)?;
    if !matches!(vector, 8 | 10..=14 | 17) {
        a.push(0)?;
    }
    a.push(i32::from(vector))?;
    a.jmp(if vector == PRINT { print } else { common })?;
    a.assemble(HANDLERS + 16 * u64::from(vector))
}

/// `SYSCALL`'s handler: prints CS and SS, R11, and how far RCX is from the stack pointer; goes back.
fn service() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(64)?;
    a.mov(ebx, cs)?;
    a.shl(rbx, 16)?;
    a.mov(bx, ss)?;
    a.int(i32::from(PRINT))?;
    a.mov(rbx, r11)?;
    a.and(rbx, SHOWN as i32)?;
    a.int(i32::from(PRINT))?;
    a.pushfq()?;
    a.pop(rbx)?;
    a.and(rbx, SHOWN as i32)?;
    a.int(i32::from(PRINT))?;
    a.sysretq()?;
    a.assemble(SERVICE)
}

/// `SYSENTER`'s: prints the selectors, goes back as RCX and RDX say, to compatibility mode if RAX is 0.
fn fast() -> Result<Vec<u8>, IcedError> {
    let mut a = CodeAssembler::new(64)?;
    let mut narrow = a.create_label();
    a.mov(ebx, cs)?;
    a.shl(rbx, 16)?;
    a.mov(bx, ss)?;
    a.int(i32::from(PRINT))?;
    a.test(rax, rax)?;
    a.je(narrow)?;
    a.sysexitq()?;
    a.set_label(&mut narrow)?;
    a.sysexit()?;
    a.assemble(FAST)
}

fn write_msr(a: &mut CodeAssembler, number: u32, value: u64) -> Result<(), IcedError> {
    a.mov(ecx, number)?;
    a.mov(eax, value as u32)?;
    a.mov(edx, (value >> 32) as u32)?;
    a.wrmsr()
}

/// Prints `digits` hexadecimal digits of RAX and a blank; changes RAX, RDX, RCX.
fn print_hex(a: &mut CodeAssembler, digits: u32) -> Result<(), IcedError> {
    let (mut again, mut figure) = (a.create_label(), a.create_label());
    a.mov(ecx, digits)?;
    if digits < 16 {
        a.shl(rax, 64 - 4 * digits)?;
    }
    a.set_label(&mut again)?;
    a.rol(rax, 4)?;
    a.mov(edx, eax)?;
    a.and(edx, 15)?;
    a.add(edx, i32::from(b'0'))?;
    a.cmp(edx, i32::from(b'9'))?;
    a.jbe(figure)?;
    a.add(edx, i32::from(b'a' - b'0' - 10))?;
    a.set_label(&mut figure)?;
    a.xchg(rax, rdx)?;
    a.out(0xE9, al)?;
    a.xchg(rax, rdx)?;
    a.dec(ecx)?;
    a.jne(again)?;
    Ok(())
}

fn print_char(a: &mut CodeAssembler, char: u8) -> Result<(), IcedError> {
    a.mov(al, i32::from(char))?;
    a.out(0xE9, al)
}

/// The part that starts cases and prints their ends. Gives the addresses of the common handler and of the printing one.
fn driver(count: i32, shown: u64) -> Result<(Vec<u8>, u64, u64), IcedError> {
    let mut a = CodeAssembler::new(64)?;
    let (mut next, mut common, mut print) = (a.create_label(), a.create_label(), a.create_label());
    let (mut quit, mut address, mut end_of_line) = (a.create_label(), a.create_label(), a.create_label());
    a.set_label(&mut next)?;
    a.mov(rsp, KERNEL_STACK)?;
    a.mov(eax, u32::from(sel::USER_DATA))?;
    a.mov(ds, eax)?;
    a.mov(es, eax)?;
    a.xor(eax, eax)?;
    a.mov(fs, eax)?;
    a.mov(gs, eax)?;
    write_msr(&mut a, 0xC000_0080, 0x901)?;
    write_msr(&mut a, 0xC000_0081, STAR)?;
    write_msr(&mut a, 0xC000_0082, SERVICE)?;
    write_msr(&mut a, 0xC000_0084, FMASK)?;
    write_msr(&mut a, 0xC000_0102, 0xFFFF_8000_0000_1000)?;
    write_msr(&mut a, 0x174, u64::from(sel::KERNEL_CODE))?;
    write_msr(&mut a, 0x175, KERNEL_STACK)?;
    write_msr(&mut a, 0x176, FAST)?;
    a.mov(rbx, qword_ptr(CURRENT))?;
    a.cmp(rbx, count)?;
    a.jae(quit)?;
    a.imul_3(rbx, rbx, 48)?;
    a.add(rbx, STARTS as i32)?;
    for k in [4, 3, 2, 1, 0] {
        a.push(qword_ptr(rbx + 8 * k))?;
    }
    for register in [rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15] {
        a.mov(register, 0u64)?;
    }
    a.iretq()?;
    a.set_label(&mut common)?;
    // Vector, error code, RIP, CS, RFLAGS, RSP, SS.
    a.mov(rsi, rsp)?;
    a.mov(rbp, qword_ptr(CURRENT))?;
    a.imul_3(rbp, rbp, 48)?;
    a.add(rbp, STARTS as i32)?;
    a.mov(rax, qword_ptr(rbp + 40))?;
    print_hex(&mut a, 2)?;
    for (at, digits) in [(0, 2), (8, 4), (24, 4), (48, 4)] {
        print_char(&mut a, b' ')?;
        a.mov(rax, qword_ptr(rsi + at))?;
        print_hex(&mut a, digits)?;
    }
    print_char(&mut a, b' ')?;
    a.mov(rax, qword_ptr(rsi + 16))?;
    a.sub(rax, qword_ptr(rbp))?;
    print_hex(&mut a, 4)?;
    print_char(&mut a, b' ')?;
    a.mov(rax, qword_ptr(rsi + 32))?;
    a.and(rax, shown as i32)?;
    print_hex(&mut a, 6)?;
    // The address of a page fault; of some others the end of the frame.
    a.mov(rbx, cr2)?;
    a.mov(rax, qword_ptr(rsi))?;
    a.cmp(rax, 14)?;
    a.je(address)?;
    a.lea(rbx, qword_ptr(rsi + 56))?;
    for vector in [8, i32::from(OPEN), i32::from(OPEN_IST)] {
        a.cmp(rax, vector)?;
        a.je(address)?;
    }
    a.jmp(end_of_line)?;
    a.set_label(&mut address)?;
    print_char(&mut a, b' ')?;
    a.mov(rax, rbx)?;
    print_hex(&mut a, 16)?;
    a.set_label(&mut end_of_line)?;
    print_char(&mut a, b'\n')?;
    a.inc(qword_ptr(CURRENT))?;
    a.jmp(next)?;
    a.set_label(&mut print)?;
    a.push(rax)?;
    a.push(rcx)?;
    a.push(rdx)?;
    a.mov(rax, rbx)?;
    print_hex(&mut a, 16)?;
    print_char(&mut a, b'\n')?;
    a.pop(rdx)?;
    a.pop(rcx)?;
    a.pop(rax)?;
    a.add(rsp, 16)?;
    a.iretq()?;
    a.set_label(&mut quit)?;
    a.xor(eax, eax)?;
    a.out(0xF4, eax)?;
    a.hlt()?;
    let assembled = a.assemble_options(KERNEL, iced_x86::BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS)?;
    let (common, print) = (assembled.label_ip(&common)?, assembled.label_ip(&print)?);
    Ok((assembled.inner.code_buffer, common, print))
}
