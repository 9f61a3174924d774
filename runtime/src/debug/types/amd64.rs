//! Structures of 64-bit systems.

use super::common::common;
use super::{Structure, Type, array, debug_registers, field, fields};
use crate::nt::amd64::Profile;
use crate::nt::amd64::layout::{
    callout_frame, dispatcher_header, exception_frame, kpcr, machine_frame, service_table, trap_frame, tss,
    user_context, user_exception,
};

const BYTE: Type = Type::UChar;
const WORD: Type = Type::Uint(2);
const DWORD: Type = Type::Uint(4);
const QWORD: Type = Type::Uint(8);
const VOID: Type = Type::Pointer(8, "Void");

fn structure(name: &'static str) -> Type {
    Type::Structure(name)
}

/// A pointer to this.
fn to(name: &'static str) -> Type {
    Type::Pointer(8, name)
}

pub(super) fn structures(profile: &Profile) -> Vec<Structure> {
    let mut all = common!(8, BYTE, crate::nt::amd64::layout);
    all.extend([
        trap(),
        Structure::new("_M128A", vec![field("Low", 0, QWORD), field("High", 8, Type::Int(8))]),
        task_state(),
        control_region(profile),
        kprcb(profile),
        Structure::new("_DISPATCHER_HEADER", vec![field("DebugActive", dispatcher_header::DEBUG_ACTIVE, BYTE)]),
        thread(profile),
        descriptor(),
        context(),
        machine(),
        user(),
        callout(),
        exception(),
    ]);
    all
}

/// XMM registers one behind the other.
fn xmm(first: u32, names: &[&'static str]) -> Vec<super::Field> {
    (0..).zip(names).map(|(index, name)| field(name, first + 16 * index, structure("_M128A"))).collect()
}

const XMM: [&str; 16] = [
    "Xmm0", "Xmm1", "Xmm2", "Xmm3", "Xmm4", "Xmm5", "Xmm6", "Xmm7", "Xmm8", "Xmm9", "Xmm10", "Xmm11", "Xmm12", "Xmm13",
    "Xmm14", "Xmm15",
];

fn trap() -> Structure {
    let mut all = fields(
        &QWORD,
        &[
            ("P1Home", trap_frame::P1_HOME),
            ("P2Home", trap_frame::P1_HOME + 0x08),
            ("P3Home", trap_frame::P1_HOME + 0x10),
            ("P4Home", trap_frame::P1_HOME + 0x18),
            ("P5", trap_frame::P5),
            ("Rax", trap_frame::RAX),
            ("Rcx", trap_frame::RCX),
            ("Rdx", trap_frame::RDX),
            ("R8", trap_frame::R8),
            ("R9", trap_frame::R9),
            ("R10", trap_frame::R10),
            ("R11", trap_frame::R11),
            ("GsBase", trap_frame::GS_BASE),
            ("FaultAddress", trap_frame::FAULT_ADDRESS),
            ("Dr6", trap_frame::DR6),
            ("Dr7", trap_frame::DR7),
            ("DebugControl", trap_frame::DEBUG_CONTROL),
            ("TrapFrame", trap_frame::TRAP_FRAME),
            ("Rbx", trap_frame::RBX),
            ("Rdi", trap_frame::RDI),
            ("Rsi", trap_frame::RSI),
            ("Rbp", trap_frame::RBP),
            ("ErrorCode", trap_frame::ERROR_CODE),
            ("Rip", trap_frame::RIP),
            ("Rsp", trap_frame::RSP),
        ],
    );
    all.extend(debug_registers(trap_frame::DR0, &QWORD));
    all.extend(xmm(trap_frame::XMM0, &XMM[..6]));
    let bytes = [
        ("PreviousIrql", trap_frame::PREVIOUS_IRQL),
        ("FaultIndicator", trap_frame::FAULT_INDICATOR),
        ("ExceptionActive", trap_frame::EXCEPTION_ACTIVE),
        ("Logging", trap_frame::LOGGING),
    ];
    all.extend(fields(&BYTE, &bytes));
    all.push(field("PreviousMode", trap_frame::PREVIOUS_MODE, Type::Char));
    all.extend(fields(&DWORD, &[("MxCsr", trap_frame::MXCSR), ("EFlags", trap_frame::EFLAGS)]));
    let selectors = [
        ("SegDs", trap_frame::SEG_DS),
        ("SegEs", trap_frame::SEG_ES),
        ("SegFs", trap_frame::SEG_FS),
        ("SegGs", trap_frame::SEG_GS),
        ("SegCs", trap_frame::SEG_CS),
        ("SegSs", trap_frame::SEG_SS),
    ];
    all.extend(fields(&WORD, &selectors));
    Structure::new("_KTRAP_FRAME", all)
}

fn task_state() -> Structure {
    let mut all = vec![field("Rsp0", tss::RSP0, QWORD), field("IoMapBase", tss::IO_MAP_BASE, WORD)];
    all.push(field("Ist", tss::IST1, array(7, QWORD)));
    Structure::new("_KTSS64", all)
}

fn control_region(profile: &Profile) -> Structure {
    let all = vec![
        field("GdtBase", kpcr::GDT, VOID),
        field("TssBase", kpcr::TSS, to("_KTSS64")),
        field("UserRsp", kpcr::USER_RSP, QWORD),
        field("Self", kpcr::SELF, to("_KPCR")),
        field("CurrentPrcb", kpcr::CURRENT_PRCB, to("_KPRCB")),
        field("Used_Self", kpcr::USED_SELF, to("_TEB")),
        field("IdtBase", kpcr::IDT, VOID),
        field("MajorVersion", kpcr::MAJOR_VERSION, WORD),
        field("MinorVersion", kpcr::MINOR_VERSION, WORD),
        field("Prcb", kpcr::PRCB, structure("_KPRCB")),
        field("KeSystemCalls", profile.system_calls_counter, DWORD),
    ];
    Structure::new("_KPCR", all)
}

fn kprcb(profile: &Profile) -> Structure {
    let all = vec![
        field("MxCsr", kpcr::MXCSR - kpcr::PRCB, DWORD),
        field("CurrentThread", kpcr::CURRENT_THREAD - kpcr::PRCB, to("_KTHREAD")),
        field("RspBase", kpcr::RSP_BASE - kpcr::PRCB, QWORD),
        field("KeSystemCalls", profile.system_calls_counter - kpcr::PRCB, DWORD),
    ];
    Structure::new("_KPRCB", all)
}

fn thread(profile: &Profile) -> Structure {
    let thread = profile.thread;
    let mut all = vec![
        field("Header", 0, structure("_DISPATCHER_HEADER")),
        field("InitialStack", thread.initial_stack, VOID),
        field("StackLimit", thread.stack_limit, VOID),
        field("ThreadFlags", thread.flags, DWORD),
        field("Alerted", thread.alerted, array(2, BYTE)),
        field("ApcListHead", thread.apc_state, array(2, structure("_LIST_ENTRY"))),
        field("Process", thread.process, VOID),
        field("UserApcPending", thread.user_apc_pending, BYTE),
        field("CombinedApcDisable", thread.combined_apc_disable, DWORD),
        field("ApcStateIndex", thread.apc_state_index, BYTE),
        field("Teb", thread.teb, to("_TEB")),
        field("SystemCallNumber", thread.system_call_number, DWORD),
        field("FirstArgument", thread.first_argument, VOID),
        field("TrapFrame", thread.trap_frame, to("_KTRAP_FRAME")),
        field("PreviousMode", thread.previous_mode, Type::Char),
        field("CallbackStack", thread.callback_stack, VOID),
    ];
    let table = thread.service_table;
    all.extend(table.map(|offset| field("ServiceTable", offset, to("_KSERVICE_TABLE_DESCRIPTOR"))));
    Structure::new("_KTHREAD", all)
}

fn descriptor() -> Structure {
    let all = vec![
        field("Base", service_table::BASE, Type::Pointer(8, "Int4B")),
        field("Limit", service_table::LIMIT, DWORD),
        field("Number", service_table::NUMBER, Type::Pointer(8, "UChar")),
    ];
    Structure::new("_KSERVICE_TABLE_DESCRIPTOR", all)
}

fn context() -> Structure {
    let mut all = fields(
        &QWORD,
        &[
            ("P1Home", user_context::P1_HOME),
            ("P2Home", user_context::P1_HOME + 0x08),
            ("P3Home", user_context::P1_HOME + 0x10),
            ("P4Home", user_context::P1_HOME + 0x18),
            ("Dr6", user_context::DR6),
            ("Dr7", user_context::DR7),
            ("Rax", user_context::RAX),
            ("Rcx", user_context::RCX),
            ("Rdx", user_context::RDX),
            ("Rbx", user_context::RBX),
            ("Rsp", user_context::RSP),
            ("Rbp", user_context::RBP),
            ("Rsi", user_context::RSI),
            ("Rdi", user_context::RDI),
            ("R8", user_context::R8),
            ("R9", user_context::R8 + 0x08),
            ("R10", user_context::R8 + 0x10),
            ("R11", user_context::R8 + 0x18),
            ("R12", user_context::R12),
            ("R13", user_context::R12 + 0x08),
            ("R14", user_context::R12 + 0x10),
            ("R15", user_context::R12 + 0x18),
            ("Rip", user_context::RIP),
        ],
    );
    all.extend(debug_registers(user_context::DR0, &QWORD));
    let dwords = [
        ("ContextFlags", user_context::FLAGS),
        ("MxCsr", user_context::MXCSR),
        ("EFlags", user_context::EFLAGS),
        ("FltSave.MxCsr", user_context::FLT_MXCSR),
        ("FltSave.MxCsr_Mask", user_context::FLT_MXCSR_MASK),
    ];
    all.extend(fields(&DWORD, &dwords));
    let selectors = [
        ("SegCs", user_context::SEG_CS),
        ("SegDs", user_context::SEG_DS),
        ("SegEs", user_context::SEG_ES),
        ("SegFs", user_context::SEG_FS),
        ("SegGs", user_context::SEG_GS),
        ("SegSs", user_context::SEG_SS),
    ];
    all.extend(fields(&WORD, &selectors));
    all.extend(xmm(user_context::XMM0, &XMM));
    Structure::new("_CONTEXT", all)
}

fn machine() -> Structure {
    let all = vec![
        field("Rip", machine_frame::RIP, QWORD),
        field("SegCs", machine_frame::SEG_CS, WORD),
        field("EFlags", machine_frame::EFLAGS, DWORD),
        field("Rsp", machine_frame::RSP, QWORD),
        field("SegSs", machine_frame::SEG_SS, WORD),
    ];
    Structure::new("_MACHINE_FRAME", all)
}

/// What KiUserExceptionDispatcher finds behind the `CONTEXT`.
fn user() -> Structure {
    let all = vec![
        field("ExceptionRecord", user_exception::RECORD, structure("_EXCEPTION_RECORD")),
        field("MachineFrame", user_exception::MACHINE_FRAME, structure("_MACHINE_FRAME")),
    ];
    Structure::new("_KUSER_EXCEPTION_STACK", all)
}

fn callout() -> Structure {
    let all = vec![
        field("Buffer", callout_frame::BUFFER, VOID),
        field("Length", callout_frame::LENGTH, DWORD),
        field("ApiNumber", callout_frame::API_NUMBER, DWORD),
        field("MachineFrame", callout_frame::MACHINE_FRAME, structure("_MACHINE_FRAME")),
    ];
    Structure::new("_UCALLOUT_FRAME", all)
}

fn exception() -> Structure {
    let mut all = fields(
        &QWORD,
        &[
            ("InitialStack", exception_frame::INITIAL_STACK),
            ("TrapFrame", exception_frame::TRAP_FRAME),
            ("CallbackStack", exception_frame::CALLBACK_STACK),
            ("OutputBuffer", exception_frame::OUTPUT_BUFFER),
            ("OutputLength", exception_frame::OUTPUT_LENGTH),
            ("Rbp", exception_frame::RBP),
            ("Rbx", exception_frame::RBX),
            ("Rdi", exception_frame::RDI),
            ("Rsi", exception_frame::RSI),
            ("R12", exception_frame::R12),
            ("R13", exception_frame::R12 + 0x08),
            ("R14", exception_frame::R12 + 0x10),
            ("R15", exception_frame::R12 + 0x18),
            ("Return", exception_frame::RETURN),
        ],
    );
    all.extend(xmm(exception_frame::XMM6, &XMM[6..]));
    Structure::new("_KEXCEPTION_FRAME", all)
}
