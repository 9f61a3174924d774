//! The registers that gdb is shown, in the order of its packets.

use std::fmt::Write;

use crate::machine::SegmentRegister::{Cs, Ds, Es, Fs, Gs, Ldtr, Ss, Tr};
use crate::machine::cpuid::feature;
use crate::machine::{Machine, SegmentRegister};

/// FTW after `FNINIT`: all registers are empty.
const TAGS_EMPTY: u64 = 0xFFFF;

/// A register.
#[derive(Debug, Clone)]
pub(super) struct Register {
    name: String,
    bits: u32,
    /// gdb's name of its type.
    kind: &'static str,
    place: Place,
}

/// Where a register is.
#[derive(Debug, Clone, Copy)]
enum Place {
    General(u8),
    InstructionPointer,
    Flags,
    Selector(SegmentRegister),
    Base(SegmentRegister),
    Limit(SegmentRegister),
    /// Of the floating-point unit, which is always as `FNINIT` leaves it, but for its control word.
    Constant(u64),
    FpuControl,
    Xmm(u8),
    Mxcsr,
    Control(u8),
    Debug(u8),
    Msr(u32),
    GdtBase,
    GdtLimit,
    IdtBase,
    IdtLimit,
    PrivilegeLevel,
}

/// A part of the target description.
#[derive(Debug, Clone)]
struct Feature {
    name: &'static str,
    /// Types of its registers, as XML.
    types: &'static str,
    registers: Vec<Register>,
}

/// All registers of a machine.
#[derive(Debug, Clone)]
pub(super) struct Registers {
    long: bool,
    features: Vec<Feature>,
}

/// `vec128` as gdb's own descriptions have it.
const VECTOR: &str = r#"<vector id="v4f" type="ieee_single" count="4"/>
<vector id="v2d" type="ieee_double" count="2"/>
<vector id="v16i8" type="int8" count="16"/>
<vector id="v8i16" type="int16" count="8"/>
<vector id="v4i32" type="int32" count="4"/>
<vector id="v2i64" type="int64" count="2"/>
<union id="vec128">
<field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/><field name="v16_int8" type="v16i8"/>
<field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/>
<field name="uint128" type="uint128"/>
</union>
<flags id="i386_mxcsr" size="4">
<field name="IE" start="0" end="0"/><field name="DE" start="1" end="1"/><field name="ZE" start="2" end="2"/>
<field name="OE" start="3" end="3"/><field name="UE" start="4" end="4"/><field name="PE" start="5" end="5"/>
<field name="DAZ" start="6" end="6"/><field name="IM" start="7" end="7"/><field name="DM" start="8" end="8"/>
<field name="ZM" start="9" end="9"/><field name="OM" start="10" end="10"/><field name="UM" start="11" end="11"/>
<field name="PM" start="12" end="12"/><field name="FZ" start="15" end="15"/>
</flags>"#;

/// `i386_eflags` as gdb's own descriptions have it.
const EFLAGS: &str = r#"<flags id="i386_eflags" size="4">
<field name="CF" start="0" end="0"/><field name="" start="1" end="1"/><field name="PF" start="2" end="2"/>
<field name="AF" start="4" end="4"/><field name="ZF" start="6" end="6"/><field name="SF" start="7" end="7"/>
<field name="TF" start="8" end="8"/><field name="IF" start="9" end="9"/><field name="DF" start="10" end="10"/>
<field name="OF" start="11" end="11"/><field name="NT" start="14" end="14"/><field name="RF" start="16" end="16"/>
<field name="VM" start="17" end="17"/><field name="AC" start="18" end="18"/><field name="VIF" start="19" end="19"/>
<field name="VIP" start="20" end="20"/><field name="ID" start="21" end="21"/>
</flags>"#;

/// The bits that this machine has of the registers that control it (SDM vol. 3, 2.2.1 and 2.5).
const CONTROLS: &str = r#"<flags id="cr0_flags" size="4">
<field name="PE" start="0" end="0"/><field name="MP" start="1" end="1"/><field name="EM" start="2" end="2"/>
<field name="TS" start="3" end="3"/><field name="ET" start="4" end="4"/><field name="NE" start="5" end="5"/>
<field name="WP" start="16" end="16"/><field name="AM" start="18" end="18"/><field name="NW" start="29" end="29"/>
<field name="CD" start="30" end="30"/><field name="PG" start="31" end="31"/>
</flags>
<flags id="cr4_flags" size="4">
<field name="TSD" start="2" end="2"/><field name="PSE" start="4" end="4"/><field name="PAE" start="5" end="5"/>
<field name="PGE" start="7" end="7"/><field name="OSFXSR" start="9" end="9"/><field name="OSXMMEXCPT" start="10" end="10"/>
</flags>
<flags id="efer_flags" size="8">
<field name="SCE" start="0" end="0"/><field name="LME" start="8" end="8"/><field name="LMA" start="10" end="10"/>
<field name="NXE" start="11" end="11"/>
</flags>"#;

/// The model-specific registers, with the types of those that are more than numbers.
const MSRS: [(&str, u32, &str); 9] = [
    ("sysenter_cs", 0x174, ""),
    ("sysenter_esp", 0x175, "data_ptr"),
    ("sysenter_eip", 0x176, "code_ptr"),
    ("efer", 0xC000_0080, "efer_flags"),
    ("star", 0xC000_0081, ""),
    ("lstar", 0xC000_0082, "code_ptr"),
    ("cstar", 0xC000_0083, "code_ptr"),
    ("fmask", 0xC000_0084, ""),
    ("kernel_gs_base", 0xC000_0102, "data_ptr"),
];

impl Register {
    fn new(name: &str, bits: u32, kind: &'static str, place: Place) -> Self {
        Self { name: name.to_owned(), bits, kind, place }
    }

    /// Bytes that it takes in a packet.
    pub(super) fn size(&self) -> usize {
        self.bits as usize / 8
    }

    /// Its value.
    fn value(&self, machine: &Machine) -> u128 {
        let segment = |register| machine.segment(register);
        let (gdt, idt) = machine.tables();
        u128::from(match self.place {
            Place::General(number) => machine.register64(number).unwrap_or_default(),
            Place::InstructionPointer => machine.rip(),
            Place::Flags => machine.flags().get().into(),
            Place::Selector(register) => segment(register).selector.0.into(),
            Place::Base(register) => segment(register).base,
            Place::Limit(register) => segment(register).limit.into(),
            Place::Constant(value) => value,
            Place::FpuControl => machine.fcw().into(),
            Place::Xmm(number) => return machine.xmm(number).unwrap_or_default(),
            Place::Mxcsr => machine.mxcsr().into(),
            Place::Control(number) => machine.control64(number).unwrap_or_default(),
            Place::Debug(number) => machine.debug_register(number).unwrap_or_default(),
            Place::Msr(number) => machine.msr(number).unwrap_or_default(),
            Place::GdtBase => gdt.base,
            Place::GdtLimit => gdt.limit.into(),
            Place::IdtBase => idt.base,
            Place::IdtLimit => idt.limit.into(),
            Place::PrivilegeLevel => machine.cpl().into(),
        })
    }

    /// Its bytes, as packets have them.
    pub(super) fn read(&self, machine: &Machine) -> Vec<u8> {
        let mut bytes = self.value(machine).to_le_bytes().to_vec();
        bytes.truncate(self.size());
        bytes
    }

    /// Whether it can be changed: an instruction or a `WRMSR` could, without side effects on what is cached of it.
    pub(super) fn is_writable(&self) -> bool {
        matches!(self.place, Place::General(_) | Place::InstructionPointer | Place::Flags | Place::Msr(_))
    }

    /// Changes it; `None`, and nothing changed, if that is not possible.
    pub(super) fn write(&self, machine: &mut Machine, bytes: &[u8]) -> Option<()> {
        let mut value = [0; 8];
        value.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let value = u64::from_le_bytes(value);
        match self.place {
            Place::General(number) => machine.set_register64(number, value),
            Place::InstructionPointer => {
                machine.set_rip(value);
                Some(())
            }
            Place::Flags => {
                machine.set_flags(value as u32);
                Some(())
            }
            Place::Msr(number) => machine.set_msr(number, value),
            _ => None,
        }
    }
}

impl Registers {
    /// Those that a machine has in the mode that it is in.
    pub(super) fn of(machine: &Machine) -> Self {
        let (long, _) = machine.long_mode();
        let mut features = vec![Feature { name: "org.gnu.gdb.i386.core", types: EFLAGS, registers: core(long) }];
        if machine.model().has(feature::SSE) {
            features.push(Feature { name: "org.gnu.gdb.i386.sse", types: VECTOR, registers: sse(long) });
        }
        features.push(Feature { name: "ntgate.system", types: CONTROLS, registers: system(machine, long) });
        Self { long, features }
    }

    /// All of them, in order: a register's place is its number.
    pub(super) fn all(&self) -> impl Iterator<Item = &Register> {
        self.features.iter().flat_map(|feature| &feature.registers)
    }

    /// What gdb asks for: the target description (GDB manual, appendix G).
    pub(super) fn description(&self) -> String {
        let architecture = if self.long { "i386:x86-64" } else { "i386" };
        let mut xml = format!(
            "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n\
             <architecture>{architecture}</architecture>\n<osabi>none</osabi>\n"
        );
        for feature in &self.features {
            // Nothing of it can fail: it is written to a string.
            let _ = writeln!(xml, "<feature name=\"{}\">\n{}", feature.name, feature.types);
            for Register { name, bits, kind, .. } in &feature.registers {
                let _ = writeln!(xml, "<reg name=\"{name}\" bitsize=\"{bits}\" type=\"{kind}\"/>");
            }
            xml.push_str("</feature>\n");
        }
        xml.push_str("</target>\n");
        xml
    }
}

/// What every x86 has, as `org.gnu.gdb.i386.core` wants it.
fn core(long: bool) -> Vec<Register> {
    // Numbers in instructions; gdb has another order for 64 bits.
    let general: &[(&str, u8)] = if long {
        &[("rax", 0), ("rbx", 3), ("rcx", 1), ("rdx", 2), ("rsi", 6), ("rdi", 7), ("rbp", 5), ("rsp", 4)]
    } else {
        &[("eax", 0), ("ecx", 1), ("edx", 2), ("ebx", 3), ("esp", 4), ("ebp", 5), ("esi", 6), ("edi", 7)]
    };
    let (bits, integer, ip) = if long { (64, "int64", "rip") } else { (32, "int32", "eip") };
    let mut registers = Vec::new();
    for (name, number) in general {
        let kind = if matches!(number, 4 | 5) { "data_ptr" } else { integer };
        registers.push(Register::new(name, bits, kind, Place::General(*number)));
    }
    if long {
        registers.extend((8..16).map(|n| Register::new(&format!("r{n}"), 64, integer, Place::General(n))));
    }
    registers.push(Register::new(ip, bits, "code_ptr", Place::InstructionPointer));
    registers.push(Register::new("eflags", 32, "i386_eflags", Place::Flags));
    for (name, register) in [("cs", Cs), ("ss", Ss), ("ds", Ds), ("es", Es), ("fs", Fs), ("gs", Gs)] {
        registers.push(Register::new(name, 32, "int32", Place::Selector(register)));
    }
    registers.extend((0..8).map(|n| Register::new(&format!("st{n}"), 80, "i387_ext", Place::Constant(0))));
    for (name, place) in [
        ("fctrl", Place::FpuControl),
        ("fstat", Place::Constant(0)),
        ("ftag", Place::Constant(TAGS_EMPTY)),
        ("fiseg", Place::Constant(0)),
        ("fioff", Place::Constant(0)),
        ("foseg", Place::Constant(0)),
        ("fooff", Place::Constant(0)),
        ("fop", Place::Constant(0)),
    ] {
        registers.push(Register::new(name, 32, "int", place));
    }
    registers
}

fn sse(long: bool) -> Vec<Register> {
    let count = if long { 16 } else { 8 };
    let mut registers: Vec<Register> =
        (0..count).map(|n| Register::new(&format!("xmm{n}"), 128, "vec128", Place::Xmm(n))).collect();
    registers.push(Register::new("mxcsr", 32, "i386_mxcsr", Place::Mxcsr));
    registers
}

/// What is under the system: segments behind their selectors, tables, controls, model-specific registers.
fn system(machine: &Machine, long: bool) -> Vec<Register> {
    let (bits, number, cr) = if long { (64, "uint64", 64) } else { (32, "uint32", 32) };
    let mut registers = vec![Register::new("cpl", 32, "uint32", Place::PrivilegeLevel)];
    for (name, register) in [("cs", Cs), ("ss", Ss), ("ds", Ds), ("es", Es), ("fs", Fs), ("gs", Gs)] {
        registers.push(Register::new(&format!("{name}_base"), bits, "data_ptr", Place::Base(register)));
        registers.push(Register::new(&format!("{name}_limit"), 32, "uint32", Place::Limit(register)));
    }
    for (name, register) in [("ldtr", Ldtr), ("tr", Tr)] {
        registers.push(Register::new(name, 32, "uint32", Place::Selector(register)));
        registers.push(Register::new(&format!("{name}_base"), bits, "data_ptr", Place::Base(register)));
        registers.push(Register::new(&format!("{name}_limit"), 32, "uint32", Place::Limit(register)));
    }
    for (name, base, limit) in [("gdtr", Place::GdtBase, Place::GdtLimit), ("idtr", Place::IdtBase, Place::IdtLimit)] {
        registers.push(Register::new(&format!("{name}_base"), bits, "data_ptr", base));
        registers.push(Register::new(&format!("{name}_limit"), 32, "uint32", limit));
    }
    registers.push(Register::new("cr0", 32, "cr0_flags", Place::Control(0)));
    registers.push(Register::new("cr2", cr, "data_ptr", Place::Control(2)));
    registers.push(Register::new("cr3", cr, number, Place::Control(3)));
    registers.push(Register::new("cr4", 32, "cr4_flags", Place::Control(4)));
    if long {
        registers.push(Register::new("cr8", 64, number, Place::Control(8)));
    }
    for n in [0, 1, 2, 3, 6, 7] {
        registers.push(Register::new(&format!("dr{n}"), bits, number, Place::Debug(n)));
    }
    for (name, index, kind) in MSRS {
        if machine.msr(index).is_some() {
            let bits = if kind == "efer_flags" { 64 } else { bits };
            let kind = if kind.is_empty() { number } else { kind };
            registers.push(Register::new(name, bits, kind, Place::Msr(index)));
        }
    }
    registers
}
