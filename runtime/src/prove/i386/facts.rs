//! The facts that a 32-bit call is judged by.

use crate::nt::record::{MAX_ARGUMENTS, fact};
use crate::prove::finding::What;
use crate::prove::log::{Form, SetFact};

/// What the guest's log looks like.
pub(super) const FORM: Form = Form {
    dwords: usize::MAX,
    argument_count: fact::ARGUMENT_COUNT,
    arguments: fact::ARGUMENTS,
    max_arguments: MAX_ARGUMENTS,
    facts: &FACTS,
    set_facts: [
        SetFact { word: "entry", digits: 8, what: What::new(5, "shared-entry", "SharedUserData.SystemCall") },
        SetFact { word: "return", digits: 8, what: What::new(5, "shared-return", "SharedUserData.SystemCallReturn") },
    ],
    bug_check: [8; 8],
};

/// Every fact of a record but the call that it is about.
const FACTS: [(usize, What); 37] = [
    (fact::HANDLER_RUNS, What::new(1, "handler-runs", "calls of a service routine")),
    (fact::HANDLER, What::HANDLER),
    (fact::NUMBER, What::new(1, "number", "service number at dispatch")),
    (fact::ARG_POINTER, What::new(2, "argument-pointer", "argument pointer at kernel entry")),
    (fact::ENTRY, What::new(5, "entry", "kernel entry (1 gate or call, 2 SYSENTER)")),
    (fact::FRAME_CS, What::new(5, "saved-cs", "CS in the trap frame")),
    (fact::FRAME_EIP, What::new(5, "saved-eip", "EIP in the trap frame")),
    (fact::FRAME_ESP, What::new(5, "saved-esp", "ESP in the trap frame")),
    (fact::FRAME_EFLAGS, What::new(5, "saved-eflags", "EFLAGS in the trap frame")),
    (fact::PREVIOUS_MODE, What::new(6, "previous-mode", "PreviousMode in the routine")),
    (fact::PREVIOUS_PREVIOUS_MODE, What::new(6, "saved-previous-mode", "PreviousPreviousMode")),
    (fact::FRAME, What::new(6, "frame", "address of the trap frame")),
    (fact::COPIED, What::new(2, "bytes-copied", "argument bytes copied")),
    (fact::TRAP_FRAME, What::new(6, "thread-frame", "KTHREAD.TrapFrame in the routine")),
    (fact::FRAME_LINK, What::new(6, "frame-link", "link to the previous trap frame")),
    (fact::EAX, What::new(4, "status", "EAX after the call")),
    (fact::ECX, What::new(5, "exit-ecx", "ECX after the call (way out)")),
    (fact::EDX, What::new(5, "exit-edx", "EDX after the call (way out)")),
    (fact::EBX, What::new(4, "ebx", "EBX after the call")),
    (fact::ESI, What::new(4, "esi", "ESI after the call")),
    (fact::EDI, What::new(4, "edi", "EDI after the call")),
    (fact::EBP, What::new(4, "ebp", "EBP after the call")),
    (fact::ESP, What::new(3, "stack-after", "ESP after the call")),
    (fact::ESP_BEFORE, What::new(0, "stack-before", "ESP before the arguments")),
    (fact::EFLAGS, What::new(4, "eflags", "EFLAGS after the call")),
    (fact::CS_SS, What::new(4, "cs-ss", "SS:CS after the call")),
    (fact::DS_ES, What::new(4, "ds-es", "ES:DS after the call")),
    (fact::FS_GS, What::new(4, "fs-gs", "GS:FS after the call")),
    (fact::AFTER_TRAP_FRAME, What::new(6, "thread-frame-after", "KTHREAD.TrapFrame after the call").lasting()),
    (fact::AFTER_PREVIOUS_MODE, What::new(6, "previous-mode-after", "PreviousMode after the call").lasting()),
    (fact::AFTER_EXCEPTION_LIST, What::new(6, "exception-list-after", "ExceptionList after the call").lasting()),
    (fact::AFTER_ESP0, What::new(6, "esp0-after", "TSS.Esp0 after the call").lasting()),
    (fact::FAULT_VECTOR, What::new(5, "fault-vector", "fault in ring 3 (vector + 1)")),
    (fact::FAULT_ERROR, What::new(5, "fault-error", "error code of the fault")),
    (fact::FAULT_EIP, What::new(5, "fault-eip", "EIP of the fault")),
    (fact::FAULT_CR2, What::new(5, "fault-cr2", "CR2 of the fault")),
    (fact::ARGUMENT_COUNT, What::new(2, "argument-count", "arguments seen by the routine")),
];
