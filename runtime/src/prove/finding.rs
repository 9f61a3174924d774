//! What can be wrong with a call: each fact that is checked has a name.

use std::fmt;

use crate::nt::record::fact;

/// A fact of a call, or of the set that the call belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum What {
    /// How often a service routine ran.
    HandlerRuns,
    /// Which service's routine ran.
    Handler,
    /// The number that was dispatched.
    Number,
    /// One argument as the service routine saw it, counted from 0.
    Argument(u8),
    /// How many argument dwords the service routine saw.
    ArgumentCount,
    /// The address of the first argument as the kernel entry got it.
    ArgumentPointer,
    /// How many bytes of arguments the kernel copied.
    BytesCopied,
    /// The stack pointer before the arguments were pushed: the harness's own, a check of the harness.
    StackBefore,
    /// The stack pointer after the call.
    StackAfter,
    /// EAX after the call: the status that the service returned.
    Status,
    /// EBX after the call.
    Ebx,
    /// ESI after the call.
    Esi,
    /// EDI after the call.
    Edi,
    /// EBP after the call.
    Ebp,
    /// EFLAGS after the call: status flags, DF, IF, TF, NT, IOPL.
    Eflags,
    /// CS and SS after the call.
    CodeAndStackSegment,
    /// DS and ES after the call.
    DataSegments,
    /// FS and GS after the call.
    ThreadSegments,
    /// Which kernel entry was taken: 1 KiSystemService, 2 KiFastCallEntry.
    Entry,
    /// CS in the trap frame: from where the kernel was entered.
    SavedCs,
    /// EIP in the trap frame: where the kernel was to return to.
    SavedEip,
    /// ESP in the trap frame.
    SavedEsp,
    /// EFLAGS in the trap frame.
    SavedEflags,
    /// ECX after the call: tells the way out.
    ExitEcx,
    /// EDX after the call: tells the way out.
    ExitEdx,
    /// PreviousMode while the service routine ran.
    PreviousMode,
    /// PreviousPreviousMode in the trap frame.
    SavedPreviousMode,
    /// The address of the trap frame: where the kernel stack was.
    Frame,
    /// KTHREAD.TrapFrame while the service routine ran.
    ThreadFrame,
    /// The link of the trap frame to the one before.
    FrameLink,
    /// KTHREAD.TrapFrame after the call.
    ThreadFrameAfter,
    /// PreviousMode after the call.
    PreviousModeAfter,
    /// KPCR.ExceptionList after the call.
    ExceptionListAfter,
    /// TSS.Esp0 after the call.
    Esp0After,
    /// A fault in ring 3 during the call: its vector plus one.
    FaultVector,
    /// Its error code.
    FaultError,
    /// Its EIP.
    FaultEip,
    /// Its CR2.
    FaultCr2,
    /// What the guest found out about its CPU.
    Cpu,
    /// SharedUserData.SystemCall while the set ran.
    SharedEntry,
    /// SharedUserData.SystemCallReturn while the set ran.
    SharedReturn,
    /// Whether the guest ran the set at all.
    SetRuns,
    /// Which call was recorded: none if the machine stopped in it, another if it went astray.
    Record,
}

/// The facts of a record that a call is judged by; its number and its arguments are seen to apart.
pub(super) const JUDGED: [(usize, What); 37] = [
    (fact::HANDLER_RUNS, What::HandlerRuns),
    (fact::HANDLER, What::Handler),
    (fact::NUMBER, What::Number),
    (fact::ARG_POINTER, What::ArgumentPointer),
    (fact::ENTRY, What::Entry),
    (fact::FRAME_CS, What::SavedCs),
    (fact::FRAME_EIP, What::SavedEip),
    (fact::FRAME_ESP, What::SavedEsp),
    (fact::FRAME_EFLAGS, What::SavedEflags),
    (fact::PREVIOUS_MODE, What::PreviousMode),
    (fact::PREVIOUS_PREVIOUS_MODE, What::SavedPreviousMode),
    (fact::FRAME, What::Frame),
    (fact::COPIED, What::BytesCopied),
    (fact::TRAP_FRAME, What::ThreadFrame),
    (fact::FRAME_LINK, What::FrameLink),
    (fact::EAX, What::Status),
    (fact::ECX, What::ExitEcx),
    (fact::EDX, What::ExitEdx),
    (fact::EBX, What::Ebx),
    (fact::ESI, What::Esi),
    (fact::EDI, What::Edi),
    (fact::EBP, What::Ebp),
    (fact::ESP, What::StackAfter),
    (fact::ESP_BEFORE, What::StackBefore),
    (fact::EFLAGS, What::Eflags),
    (fact::CS_SS, What::CodeAndStackSegment),
    (fact::DS_ES, What::DataSegments),
    (fact::FS_GS, What::ThreadSegments),
    (fact::AFTER_TRAP_FRAME, What::ThreadFrameAfter),
    (fact::AFTER_PREVIOUS_MODE, What::PreviousModeAfter),
    (fact::AFTER_EXCEPTION_LIST, What::ExceptionListAfter),
    (fact::AFTER_ESP0, What::Esp0After),
    (fact::FAULT_VECTOR, What::FaultVector),
    (fact::FAULT_ERROR, What::FaultError),
    (fact::FAULT_EIP, What::FaultEip),
    (fact::FAULT_CR2, What::FaultCr2),
    (fact::ARGUMENT_COUNT, What::ArgumentCount),
];

impl What {
    /// The name that programs may match on.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HandlerRuns => "handler-runs",
            Self::Handler => "handler",
            Self::Number => "number",
            Self::Argument(_) => "argument",
            Self::ArgumentCount => "argument-count",
            Self::ArgumentPointer => "argument-pointer",
            Self::BytesCopied => "bytes-copied",
            Self::StackBefore => "stack-before",
            Self::StackAfter => "stack-after",
            Self::Status => "status",
            Self::Ebx => "ebx",
            Self::Esi => "esi",
            Self::Edi => "edi",
            Self::Ebp => "ebp",
            Self::Eflags => "eflags",
            Self::CodeAndStackSegment => "cs-ss",
            Self::DataSegments => "ds-es",
            Self::ThreadSegments => "fs-gs",
            Self::Entry => "entry",
            Self::SavedCs => "saved-cs",
            Self::SavedEip => "saved-eip",
            Self::SavedEsp => "saved-esp",
            Self::SavedEflags => "saved-eflags",
            Self::ExitEcx => "exit-ecx",
            Self::ExitEdx => "exit-edx",
            Self::PreviousMode => "previous-mode",
            Self::SavedPreviousMode => "saved-previous-mode",
            Self::Frame => "frame",
            Self::ThreadFrame => "thread-frame",
            Self::FrameLink => "frame-link",
            Self::ThreadFrameAfter => "thread-frame-after",
            Self::PreviousModeAfter => "previous-mode-after",
            Self::ExceptionListAfter => "exception-list-after",
            Self::Esp0After => "esp0-after",
            Self::FaultVector => "fault-vector",
            Self::FaultError => "fault-error",
            Self::FaultEip => "fault-eip",
            Self::FaultCr2 => "fault-cr2",
            Self::Cpu => "cpu",
            Self::SharedEntry => "shared-entry",
            Self::SharedReturn => "shared-return",
            Self::SetRuns => "set-runs",
            Self::Record => "record",
        }
    }

    /// The condition of a proof that it belongs to:
    ///
    /// 1. number and routine, 2. arguments, 3. stack pointer, 4. return value and preserved registers, 5. way in and
    ///    way out, 6. modes, kernel stack and frame chain.
    ///
    /// 0 is what has to hold before a call can be judged at all.
    #[must_use]
    pub const fn condition(self) -> u8 {
        match self {
            Self::Cpu | Self::SetRuns | Self::Record | Self::StackBefore => 0,
            Self::HandlerRuns | Self::Handler | Self::Number => 1,
            Self::Argument(_) | Self::ArgumentCount | Self::ArgumentPointer | Self::BytesCopied => 2,
            Self::StackAfter => 3,
            Self::Status
            | Self::Ebx
            | Self::Esi
            | Self::Edi
            | Self::Ebp
            | Self::Eflags
            | Self::CodeAndStackSegment
            | Self::DataSegments
            | Self::ThreadSegments => 4,
            Self::Entry
            | Self::SavedCs
            | Self::SavedEip
            | Self::SavedEsp
            | Self::SavedEflags
            | Self::ExitEcx
            | Self::ExitEdx
            | Self::SharedEntry
            | Self::SharedReturn
            | Self::FaultVector
            | Self::FaultError
            | Self::FaultEip
            | Self::FaultCr2 => 5,
            Self::PreviousMode
            | Self::SavedPreviousMode
            | Self::Frame
            | Self::ThreadFrame
            | Self::FrameLink
            | Self::ThreadFrameAfter
            | Self::PreviousModeAfter
            | Self::ExceptionListAfter
            | Self::Esp0After => 6,
        }
    }

    /// Whether the kernel is not what it was before the call: what comes after it in the same boot proves nothing.
    #[must_use]
    pub const fn is_lasting(self) -> bool {
        matches!(
            self,
            Self::ThreadFrameAfter
                | Self::PreviousModeAfter
                | Self::ExceptionListAfter
                | Self::Esp0After
                | Self::Record
        )
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Argument(index) => return write!(f, "argument {}", u32::from(*index) + 1),
            Self::HandlerRuns => "calls of a service routine",
            Self::Handler => "service that ran",
            Self::Number => "service number at dispatch",
            Self::ArgumentCount => "arguments seen by the routine",
            Self::ArgumentPointer => "argument pointer at kernel entry",
            Self::BytesCopied => "argument bytes copied",
            Self::StackBefore => "ESP before the arguments",
            Self::StackAfter => "ESP after the call",
            Self::Status => "EAX after the call",
            Self::Ebx => "EBX after the call",
            Self::Esi => "ESI after the call",
            Self::Edi => "EDI after the call",
            Self::Ebp => "EBP after the call",
            Self::Eflags => "EFLAGS after the call",
            Self::CodeAndStackSegment => "SS:CS after the call",
            Self::DataSegments => "ES:DS after the call",
            Self::ThreadSegments => "GS:FS after the call",
            Self::Entry => "kernel entry (1 gate or call, 2 SYSENTER)",
            Self::SavedCs => "CS in the trap frame",
            Self::SavedEip => "EIP in the trap frame",
            Self::SavedEsp => "ESP in the trap frame",
            Self::SavedEflags => "EFLAGS in the trap frame",
            Self::ExitEcx => "ECX after the call (way out)",
            Self::ExitEdx => "EDX after the call (way out)",
            Self::PreviousMode => "PreviousMode in the routine",
            Self::SavedPreviousMode => "PreviousPreviousMode",
            Self::Frame => "address of the trap frame",
            Self::ThreadFrame => "KTHREAD.TrapFrame in the routine",
            Self::FrameLink => "link to the previous trap frame",
            Self::ThreadFrameAfter => "KTHREAD.TrapFrame after the call",
            Self::PreviousModeAfter => "PreviousMode after the call",
            Self::ExceptionListAfter => "ExceptionList after the call",
            Self::Esp0After => "TSS.Esp0 after the call",
            Self::FaultVector => "fault in ring 3 (vector + 1)",
            Self::FaultError => "error code of the fault",
            Self::FaultEip => "EIP of the fault",
            Self::FaultCr2 => "CR2 of the fault",
            Self::Cpu => "CPU as the guest sees it",
            Self::SharedEntry => "SharedUserData.SystemCall",
            Self::SharedReturn => "SharedUserData.SystemCallReturn",
            Self::SetRuns => "set in the log",
            Self::Record => "call that was recorded",
        };
        f.write_str(text)
    }
}

/// One fact that is not as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which fact.
    pub what: What,
    /// What it has to be.
    pub expected: Value,
    /// What it is.
    pub seen: Value,
}

impl Finding {
    pub(super) fn dword(what: What, expected: u32, seen: u32) -> Self {
        Self { what, expected: Value::Dword(expected), seen: Value::Dword(seen) }
    }

    pub(super) fn text(what: What, expected: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { what, expected: Value::Text(expected.into()), seen: Value::Text(seen.into()) }
    }
}

/// The value of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// As the guest logged it.
    Dword(u32),
    /// Anything else.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dword(value) => write!(f, "{value:08x}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}
