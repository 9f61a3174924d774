//! The machine's events in words.

use super::Names;
use crate::machine::segment::{Descriptor, Selector};
use crate::machine::{Check, Event, Gate, MemoryAccess, Rule, What, msr as number};

/// What happened, as a line of a trace. `names` has the names of addresses, `bits` the width of the system.
#[must_use]
pub fn event(event: &Event, names: &Names, bits: u32) -> String {
    match event {
        Event::Memory(access) => memory(access, names, bits),
        Event::Check(check) => self::check(check),
        Event::ReadMsr { number, value } => format!("read  MSR {number:X}h {} = {value:x}", msr(*number)),
        Event::WriteMsr { number, value } => format!("write MSR {number:X}h {} = {value:x}", msr(*number)),
        Event::Exception(fault) => format!("exception {fault}"),
        Event::Interrupt { vector } => format!("interrupt {vector:02X}h"),
    }
}

/// The name of a model-specific register.
#[must_use]
pub fn msr(register: u32) -> &'static str {
    match register {
        number::TSC => "IA32_TIME_STAMP_COUNTER",
        number::SYSENTER_CS => "IA32_SYSENTER_CS",
        number::SYSENTER_ESP => "IA32_SYSENTER_ESP",
        number::SYSENTER_EIP => "IA32_SYSENTER_EIP",
        number::EFER => "IA32_EFER",
        number::STAR => "IA32_STAR",
        number::LSTAR => "IA32_LSTAR",
        number::CSTAR => "IA32_CSTAR",
        number::FMASK => "IA32_FMASK",
        number::FS_BASE => "IA32_FS_BASE",
        number::GS_BASE => "IA32_GS_BASE",
        number::KERNEL_GS_BASE => "IA32_KERNEL_GS_BASE",
        number::TSC_AUX => "IA32_TSC_AUX",
        _ => "",
    }
}

/// An address in the system's width.
pub(in super::super) fn address(address: u64, bits: u32) -> String {
    if bits == 32 { format!("{address:08x}") } else { format!("{address:016x}") }
}

fn memory(access: &MemoryAccess, names: &Names, bits: u32) -> String {
    let place = address(access.address, bits);
    let digits = usize::from(access.size) * 2;
    let value = format!("{:0digits$x}", access.value);
    let verb = match (access.write, access.what) {
        (_, What::Push) => "push ",
        (true, _) => "write",
        (false, _) => "read ",
    };
    let what = match access.what {
        What::Gate { vector } => Some(format!("IDT[{vector:02X}h]{}", gate(access))),
        What::Descriptor { selector } => Some(descriptor(selector, access)),
        What::Tss { offset } => {
            let field = names.of(access.address).unwrap_or_else(|| format!("TSS+{offset:x}"));
            // Of 32 bits, pointer and selector are read in one.
            Some(if access.size == 8 && bits == 32 { format!("{field} and Ss0") } else { field })
        }
        _ => names.of(access.address),
    };
    match what {
        Some(what) => format!("{verb} {place} = {value}  {what}"),
        None => format!("{verb} {place} = {value}"),
    }
}

/// What a gate's eight lower bytes say.
fn gate(access: &MemoryAccess) -> String {
    if access.size != 8 {
        return ", upper half".to_owned();
    }
    let gate = Gate(access.value);
    let kind = match gate.kind() {
        5 => "task gate",
        6 | 14 => "interrupt gate",
        7 | 15 => "trap gate",
        _ => "no gate",
    };
    let present = if gate.present() { "" } else { ", not present" };
    format!(": {kind} to {:04x}:{:08x}, DPL {}{present}", gate.selector().0, gate.offset(), gate.dpl())
}

/// What a descriptor says.
fn descriptor(selector: u16, access: &MemoryAccess) -> String {
    let table = if Selector(selector).is_local() { "LDT" } else { "GDT" };
    let entry = format!("{table}[{selector:04x}]");
    if access.write {
        return format!("{entry}: type");
    }
    let descriptor = Descriptor(access.value);
    let kind = match (descriptor.is_system(), descriptor.is_code()) {
        (true, _) => "system",
        (false, true) => "code",
        (false, false) => "data",
    };
    let present = if descriptor.present() { "" } else { ", not present" };
    let (base, limit, dpl) = (descriptor.base(), descriptor.limit(), descriptor.dpl());
    format!("{entry}: {kind}, base {base:08x}, limit {limit:08x}, DPL {dpl}{present}")
}

fn check(check: &Check) -> String {
    let verdict = if check.holds { "check" } else { "FAILS" };
    format!("{verdict} {}", rule(check))
}

/// A check's rule with its operands.
pub(super) fn rule(check: &Check) -> String {
    let (left, right) = (check.left, check.right);
    match check.rule {
        Rule::IdtLimit => format!("end of gate {left:X}h <= limit {right:X}h of the IDT"),
        Rule::TableLimit => format!("end of descriptor {left:X}h <= limit {right:X}h of the table"),
        Rule::TssLimit => format!("end of field {left:X}h <= limit {right:X}h of the TSS"),
        Rule::GateType => format!("type {left:X}h is that of a gate"),
        Rule::GateDpl => format!("CPL {left} <= DPL {right} of the gate"),
        Rule::NotNull => format!("selector {left:04x} is not null"),
        Rule::GatePresent => format!("gate {left:02X}h is present"),
        Rule::Present => format!("{left:04x} is present"),
        Rule::CodeType => format!("type {left:X}h is that of code"),
        Rule::CodeDpl => format!("DPL {left} of the handler <= CPL {right}"),
        Rule::CodeLimit => format!("EIP {left:08x} <= limit {right:08x} of the code"),
        Rule::Code64 => format!("{left:04x} is 64-bit code"),
        Rule::Canonical => format!("{left:016x} is canonical"),
        Rule::StackType => format!("type {left:X}h is that of a writable stack"),
        Rule::StackRpl => format!("RPL {left} of the stack = {right}"),
        Rule::StackDpl => format!("DPL {left} of the stack = {right}"),
        Rule::StackRoom => format!("{left} bytes fit below {right:08x}"),
        Rule::DataType => format!("type {left:X}h can be read"),
        Rule::DataDpl => format!("max(CPL, RPL) {left} <= DPL {right}"),
        Rule::ReturnRpl => format!("CPL {left} <= RPL {right} of the return"),
        Rule::ReturnDpl => format!("DPL {left} of the code = RPL {right}"),
        Rule::DirectDpl => format!("CPL {left} = DPL {right} of the code"),
        Rule::SysenterCs => format!("IA32_SYSENTER_CS {left:04x} is not null"),
        Rule::Cpl0 => format!("CPL {left} = 0"),
        Rule::Operand => format!("operand at {left:08x} is within a usable segment, limit {right:08x}"),
        Rule::Iopl => format!("CPL {left} <= IOPL {right}"),
        Rule::IoMap => format!("port {left:X}h is allowed by the TSS"),
        Rule::SyscallEnable => format!("EFER {left:X}h has SCE"),
    }
}
