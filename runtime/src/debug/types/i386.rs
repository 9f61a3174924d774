//! Structures of 32-bit systems.

use super::common::common;
use super::{Field, Structure, Type, array, debug_registers, field, fields};
use crate::nt::i386::Profile;
use crate::nt::i386::layout::{
    apc_frame, callback_frame, callout, kpcr, registration, service_table, teb, trap_frame, tss, user_context,
};

const DWORD: Type = Type::Uint(4);
const VOID: Type = Type::Pointer(4, "Void");

fn structure(name: &'static str) -> Type {
    Type::Structure(name)
}

/// A pointer to this.
fn to(name: &'static str) -> Type {
    Type::Pointer(4, name)
}

pub(super) fn structures(profile: &Profile) -> Vec<Structure> {
    let mut all = common!(4, Type::Int(2), crate::nt::i386::layout);
    // In 64 bits the chain of handlers is not in the TEB.
    let head = field("ExceptionList", teb::EXCEPTION_LIST, to("_EXCEPTION_REGISTRATION_RECORD"));
    if let Some(teb) = all.iter_mut().find(|structure| structure.name == "_TEB") {
        teb.fields.insert(0, head);
    }
    all.extend([
        trap(),
        task_state(),
        control_region(profile),
        kprcb(),
        thread(profile),
        descriptor(),
        context(),
        Structure::new(
            "_EXCEPTION_REGISTRATION_RECORD",
            vec![
                field("Next", registration::NEXT, to("_EXCEPTION_REGISTRATION_RECORD")),
                field("Handler", registration::HANDLER, VOID),
            ],
        ),
        apc_stack(),
        callback_stack(),
        callout_frame(),
    ]);
    all
}

fn trap() -> Structure {
    let mut all = fields(
        &DWORD,
        &[
            ("DbgEbp", trap_frame::DBG_EBP),
            ("DbgEip", trap_frame::DBG_EIP),
            ("DbgArgMark", trap_frame::DBG_ARG_MARK),
            ("DbgArgPointer", trap_frame::DBG_ARG_POINTER),
            ("TempEsp", trap_frame::TEMP_ESP),
            ("Dr6", trap_frame::DR6),
            ("Dr7", trap_frame::DR7),
            ("SegGs", trap_frame::SEG_GS),
            ("SegEs", trap_frame::SEG_ES),
            ("SegDs", trap_frame::SEG_DS),
            ("Edx", trap_frame::EDX),
            ("Ecx", trap_frame::ECX),
            ("Eax", trap_frame::EAX),
            ("PreviousPreviousMode", trap_frame::PREVIOUS_PREVIOUS_MODE),
            ("SegFs", trap_frame::SEG_FS),
            ("Edi", trap_frame::EDI),
            ("Esi", trap_frame::ESI),
            ("Ebx", trap_frame::EBX),
            ("Ebp", trap_frame::EBP),
            ("ErrCode", trap_frame::ERR_CODE),
            ("Eip", trap_frame::EIP),
            ("SegCs", trap_frame::SEG_CS),
            ("EFlags", trap_frame::EFLAGS),
            ("HardwareEsp", trap_frame::HARDWARE_ESP),
            ("HardwareSegSs", trap_frame::HARDWARE_SEG_SS),
            ("V86Es", trap_frame::V86_ES),
            ("V86Ds", trap_frame::V86_ES + 4),
            ("V86Fs", trap_frame::V86_ES + 8),
            ("V86Gs", trap_frame::V86_ES + 12),
        ],
    );
    all.extend(debug_registers(trap_frame::DR0, &DWORD));
    all.push(field("TempSegCs", trap_frame::TEMP_SEG_CS, Type::Uint(2)));
    all.push(field("Logging", trap_frame::LOGGING, Type::UChar));
    all.push(field("ExceptionList", trap_frame::EXCEPTION_LIST, to("_EXCEPTION_REGISTRATION_RECORD")));
    Structure::new("_KTRAP_FRAME", all)
}

fn task_state() -> Structure {
    let mut all = fields(
        &DWORD,
        &[
            ("Esp0", tss::ESP0),
            ("CR3", tss::CR3),
            ("Eip", tss::EIP),
            ("EFlags", tss::EFLAGS),
            ("Eax", tss::EAX),
            ("Ecx", tss::ECX),
            ("Edx", tss::EDX),
            ("Ebx", tss::EBX),
            ("Esp", tss::ESP),
            ("Ebp", tss::EBP),
            ("Esi", tss::ESI),
            ("Edi", tss::EDI),
        ],
    );
    let selectors = [
        ("Ss0", tss::SS0),
        ("Es", tss::ES),
        ("Cs", tss::CS),
        ("Ss", tss::SS),
        ("Ds", tss::DS),
        ("Fs", tss::FS),
        ("Gs", tss::GS),
        ("IoMapBase", tss::IO_MAP_BASE),
    ];
    all.extend(fields(&Type::Uint(2), &selectors));
    Structure::new("_KTSS", all)
}

fn control_region(profile: &Profile) -> Structure {
    let all = vec![
        field("ExceptionList", kpcr::EXCEPTION_LIST, to("_EXCEPTION_REGISTRATION_RECORD")),
        field("StackBase", kpcr::STACK_BASE, VOID),
        field("StackLimit", kpcr::STACK_LIMIT, VOID),
        field("Self", kpcr::TEB, to("_TEB")),
        field("SelfPcr", kpcr::SELF_PCR, to("_KPCR")),
        field("Prcb", kpcr::PRCB, to("_KPRCB")),
        field("Irql", kpcr::IRQL, Type::UChar),
        field("IDT", kpcr::IDT, VOID),
        field("GDT", kpcr::GDT, VOID),
        field("TSS", kpcr::TSS, to("_KTSS")),
        field("MajorVersion", kpcr::MAJOR_VERSION, Type::Uint(2)),
        field("MinorVersion", kpcr::MINOR_VERSION, Type::Uint(2)),
        field("SetMember", kpcr::SET_MEMBER, DWORD),
        field("PrcbData", kpcr::PRCB_DATA, structure("_KPRCB")),
        field("KeSystemCalls", profile.system_calls_counter, DWORD),
    ];
    Structure::new("_KPCR", all)
}

fn kprcb() -> Structure {
    let mut all = vec![field("CurrentThread", kpcr::CURRENT_THREAD - kpcr::PRCB_DATA, to("_KTHREAD"))];
    all.extend(debug_registers(kpcr::PRCB_KERNEL_DR0, &DWORD));
    Structure::new("_KPRCB", all)
}

fn thread(profile: &Profile) -> Structure {
    let thread = profile.thread;
    let queues = Type::Structure("_LIST_ENTRY");
    let all = vec![
        field("DebugActive", thread.debug_active, Type::UChar),
        field("InitialStack", thread.initial_stack, VOID),
        field("StackLimit", thread.stack_limit, VOID),
        field("ApcListHead", thread.apc_state, array(2, queues)),
        field("UserApcPending", thread.user_apc_pending, Type::UChar),
        field("CombinedApcDisable", thread.apc_disable, DWORD),
        field("ApcStateIndex", thread.apc_state_index, Type::UChar),
        field("Alerted", thread.alerted, array(2, Type::UChar)),
        field("Teb", thread.teb, to("_TEB")),
        field("PreviousMode", thread.previous_mode, Type::Char),
        field("TrapFrame", thread.trap_frame, to("_KTRAP_FRAME")),
        field("CallbackStack", thread.callback_stack, VOID),
        field("ServiceTable", thread.service_table, to("_KSERVICE_TABLE_DESCRIPTOR")),
    ];
    Structure::new("_KTHREAD", all)
}

fn descriptor() -> Structure {
    let all = vec![
        field("Base", service_table::BASE, Type::Pointer(4, "Uint4B")),
        field("Count", service_table::COUNT, Type::Pointer(4, "Uint4B")),
        field("Limit", service_table::LIMIT, DWORD),
        field("Number", service_table::NUMBER, Type::Pointer(4, "UChar")),
    ];
    Structure::new("_KSERVICE_TABLE_DESCRIPTOR", all)
}

fn context() -> Structure {
    let mut all = fields(
        &DWORD,
        &[
            ("ContextFlags", user_context::FLAGS),
            ("Dr6", user_context::DR6),
            ("Dr7", user_context::DR7),
            ("SegGs", user_context::SEG_GS),
            ("SegFs", user_context::SEG_FS),
            ("SegEs", user_context::SEG_ES),
            ("SegDs", user_context::SEG_DS),
            ("Edi", user_context::EDI),
            ("Esi", user_context::ESI),
            ("Ebx", user_context::EBX),
            ("Edx", user_context::EDX),
            ("Ecx", user_context::ECX),
            ("Eax", user_context::EAX),
            ("Ebp", user_context::EBP),
            ("Eip", user_context::EIP),
            ("SegCs", user_context::SEG_CS),
            ("EFlags", user_context::EFLAGS),
            ("Esp", user_context::ESP),
            ("SegSs", user_context::SEG_SS),
        ],
    );
    all.extend(debug_registers(user_context::DR0, &DWORD));
    Structure::new("_CONTEXT", all)
}

/// What KiUserApcDispatcher finds on its stack; the system has no name for it that debuggers know.
fn apc_stack() -> Structure {
    let mut all = pointers(&[
        ("NormalRoutine", apc_frame::NORMAL_ROUTINE),
        ("NormalContext", apc_frame::NORMAL_CONTEXT),
        ("SystemArgument1", apc_frame::SYSTEM_ARGUMENT_1),
        ("SystemArgument2", apc_frame::SYSTEM_ARGUMENT_2),
    ]);
    all.push(field("Context", apc_frame::CONTEXT, structure("_CONTEXT")));
    all.push(field("Registration", apc_frame::REGISTRATION, structure("_EXCEPTION_REGISTRATION_RECORD")));
    Structure::new("_UAPC_FRAME", all)
}

fn callback_stack() -> Structure {
    let all = vec![
        field("ReturnAddress", callback_frame::RETURN, DWORD),
        field("ApiNumber", callback_frame::INDEX, DWORD),
        field("Buffer", callback_frame::ARGUMENT, VOID),
        field("Length", callback_frame::LENGTH, DWORD),
        field("Registration", callback_frame::REGISTRATION, structure("_EXCEPTION_REGISTRATION_RECORD")),
    ];
    Structure::new("_UCALLOUT_FRAME", all)
}

fn callout_frame() -> Structure {
    let mut all = fields(
        &DWORD,
        &[
            ("InitialStack", callout::INITIAL_STACK),
            ("TrapFrame", callout::TRAP_FRAME),
            ("CallbackStack", callout::CALLBACK_STACK),
            ("Edi", callout::EDI),
            ("Esi", callout::EDI + 4),
            ("Ebx", callout::EDI + 8),
            ("Ebp", callout::EDI + 12),
            ("ReturnAddress", callout::EDI + 16),
        ],
    );
    all.extend(pointers(&[("Result", callout::RESULT), ("ResultLength", callout::RESULT_LENGTH)]));
    Structure::new("_KCALLOUT_FRAME", all)
}

fn pointers(all: &[(&'static str, u32)]) -> Vec<Field> {
    fields(&VOID, all)
}
