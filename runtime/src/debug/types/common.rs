//! Structures with the same fields in 32 and 64 bits, at offsets that each architecture's layout has for itself.

/// The structures of a layout module, with pointers of so many bytes. `$kind` is the type of `_KAPC`'s first two fields.
macro_rules! common {
    ($pointer:literal, $kind:expr, $($layout:ident)::+) => {{
        use $($layout)::+::{apc, exception_record, peb, teb};

        use $crate::debug::types::{Structure, Type, array, field, fields};

        let to = |name| Type::Pointer($pointer, name);
        let pointers = |all: &[(&'static str, u32)]| fields(&to("Void"), all);
        let (dword, kind) = (Type::Uint(4), $kind);
        let mut queued = pointers(&[
            ("NormalRoutine", apc::NORMAL_ROUTINE),
            ("NormalContext", apc::NORMAL_CONTEXT),
            ("SystemArgument1", apc::SYSTEM_ARGUMENT_1),
            ("SystemArgument2", apc::SYSTEM_ARGUMENT_2),
        ]);
        queued.extend([
            field("Type", apc::TYPE, kind.clone()),
            field("Size", apc::LENGTH, kind),
            field("Thread", apc::THREAD, to("_KTHREAD")),
            field("ApcListEntry", apc::LIST_ENTRY, Type::Structure("_LIST_ENTRY")),
            field("ApcMode", apc::MODE, Type::Char),
            field("Inserted", apc::INSERTED, Type::UChar),
        ]);
        let parameters = array(exception_record::MAX_PARAMETERS, Type::Uint($pointer));
        let record = vec![
            field("ExceptionCode", exception_record::CODE, Type::Int(4)),
            field("ExceptionFlags", exception_record::FLAGS, dword.clone()),
            field("ExceptionRecord", exception_record::RECORD, to("_EXCEPTION_RECORD")),
            field("ExceptionAddress", exception_record::ADDRESS, to("Void")),
            field("NumberParameters", exception_record::PARAMETER_COUNT, dword.clone()),
            field("ExceptionInformation", exception_record::PARAMETERS, parameters),
        ];
        let mut thread = pointers(&[("StackBase", teb::STACK_BASE), ("StackLimit", teb::STACK_LIMIT)]);
        thread.extend([
            field("Self", teb::SELF, to("_NT_TIB")),
            field("ProcessEnvironmentBlock", teb::PEB, to("_PEB")),
            field("GdiBatchCount", teb::GDI_BATCH_COUNT, dword),
        ]);
        vec![
            Structure::new("_KAPC", queued),
            Structure::new("_EXCEPTION_RECORD", record),
            Structure::new("_TEB", thread),
            Structure::new("_PEB", pointers(&[("KernelCallbackTable", peb::KERNEL_CALLBACK_TABLE)])),
        ]
    }};
}
pub(super) use common;
