//! What stands where in a guest: fields of its structures, rows of its tables, the arguments of a call.

use super::super::Symbols;
use crate::host::Places;
use crate::nt::{amd64, i386};

/// A field: its offset and its name.
type Field = (u32, &'static str);

/// How the bytes of a region are named.
#[derive(Debug, Clone)]
enum Form {
    Fields(Vec<Field>),
    /// Rows of so many bytes.
    Rows(u64),
    /// Rows that count from one, without brackets: arguments.
    Numbered(u64),
}

#[derive(Debug, Clone)]
struct Region {
    start: u64,
    length: u64,
    name: String,
    form: Form,
}

/// Names for the addresses that a call touches.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// The first that has an address names it.
    regions: Vec<Region>,
}

/// A region at a symbol: the symbol, its bytes, its name, what is in it.
type Known = (&'static str, u64, &'static str, Form);

impl Names {
    /// The structures of the system that has these places.
    #[must_use]
    pub fn new(places: &Places, symbols: &Symbols) -> Self {
        let known = match i386::Profile::by_name(places.profile()) {
            Some(profile) => regions_32(profile),
            None => amd64::Profile::by_name(places.profile()).map(regions_64).unwrap_or_default(),
        };
        let mut names = Self::default();
        for (symbol, length, name, form) in known {
            if let Some(start) = symbols.address(symbol) {
                names.regions.push(Region { start, length, name: name.to_owned(), form });
            }
        }
        names
    }

    /// Adds the trap frame of a call. One that came from ring 0 has no ESP and SS on i386: the frame ends before them.
    pub(super) fn frame(&mut self, start: u64, bits: u32, from_kernel: bool) {
        let (fields, mut length) = trap_frame(bits);
        if from_kernel && bits == 32 {
            length = i386::layout::trap_frame::HARDWARE_ESP.into();
        }
        let region = Region { start, length, name: "KTRAP_FRAME".to_owned(), form: Form::Fields(fields) };
        self.regions.push(region);
    }

    /// Adds arguments that begin at an address.
    pub(super) fn arguments(&mut self, name: &str, start: u64, width: u64, first: u64, count: u64) {
        // Rows count from the first that would be in memory if all were.
        let start = start.wrapping_sub(width * first);
        let length = width * (first + count);
        if count > 0 {
            self.regions.insert(0, Region { start, length, name: name.to_owned(), form: Form::Numbered(width) });
        }
    }

    /// The name of what is at an address: `KTRAP_FRAME.Eip`, `KiServiceTable[11Ch]`, `argument 3`.
    #[must_use]
    pub fn of(&self, address: u64) -> Option<String> {
        let inside = |region: &&Region| address.wrapping_sub(region.start) < region.length;
        self.regions.iter().filter(inside).find_map(|region| region.of(address.wrapping_sub(region.start)))
    }
}

impl Region {
    fn of(&self, offset: u64) -> Option<String> {
        let name = &self.name;
        match &self.form {
            Form::Rows(width) => Some(format!("{name}[{}]", hexadecimal(offset / width))),
            Form::Numbered(width) => Some(format!("{name} {}", offset / width + 1)),
            Form::Fields(fields) => {
                let (at, field) = fields.iter().rfind(|(at, _)| u64::from(*at) <= offset)?;
                let beyond = offset - u64::from(*at);
                // A field that is not in the list is told by its distance from the last that is.
                Some(if beyond == 0 { format!("{name}.{field}") } else { format!("{name}.{field}+{beyond:x}") })
            }
        }
    }
}

/// Digits as an assembler takes them.
fn hexadecimal(number: u64) -> String {
    if number < 10 { number.to_string() } else { format!("{number:X}h") }
}

/// The fields of a trap frame, and its size.
fn trap_frame(bits: u32) -> (Vec<Field>, u64) {
    if bits == 32 {
        (frame_32(), i386::layout::trap_frame::SIZE.into())
    } else {
        (frame_64(), amd64::layout::trap_frame::SIZE.into())
    }
}

fn frame_32() -> Vec<Field> {
    use i386::layout::trap_frame as at;

    vec![
        (at::DBG_EBP, "DbgEbp"),
        (at::DBG_EIP, "DbgEip"),
        (at::DBG_ARG_MARK, "DbgArgMark"),
        (at::DBG_ARG_POINTER, "DbgArgPointer"),
        (at::TEMP_SEG_CS, "TempSegCs"),
        (at::LOGGING, "Logging"),
        (at::TEMP_ESP, "TempEsp"),
        (at::DR0, "Dr0"),
        (at::DR6, "Dr6"),
        (at::DR7, "Dr7"),
        (at::SEG_GS, "SegGs"),
        (at::SEG_ES, "SegEs"),
        (at::SEG_DS, "SegDs"),
        (at::EDX, "Edx"),
        (at::ECX, "Ecx"),
        (at::EAX, "Eax"),
        (at::PREVIOUS_PREVIOUS_MODE, "PreviousPreviousMode"),
        (at::EXCEPTION_LIST, "ExceptionList"),
        (at::SEG_FS, "SegFs"),
        (at::EDI, "Edi"),
        (at::ESI, "Esi"),
        (at::EBX, "Ebx"),
        (at::EBP, "Ebp"),
        (at::ERR_CODE, "ErrCode"),
        (at::EIP, "Eip"),
        (at::SEG_CS, "SegCs"),
        (at::EFLAGS, "EFlags"),
        (at::HARDWARE_ESP, "HardwareEsp"),
        (at::HARDWARE_SEG_SS, "HardwareSegSs"),
        (at::V86_ES, "V86Es"),
    ]
}

fn frame_64() -> Vec<Field> {
    use amd64::layout::trap_frame as at;

    vec![
        (at::P1_HOME, "P1Home"),
        (at::P5, "P5"),
        (at::PREVIOUS_MODE, "PreviousMode"),
        (at::PREVIOUS_IRQL, "PreviousIrql"),
        (at::FAULT_INDICATOR, "FaultIndicator"),
        (at::EXCEPTION_ACTIVE, "ExceptionActive"),
        (at::MXCSR, "MxCsr"),
        (at::RAX, "Rax"),
        (at::RCX, "Rcx"),
        (at::RDX, "Rdx"),
        (at::R8, "R8"),
        (at::R9, "R9"),
        (at::R10, "R10"),
        (at::R11, "R11"),
        (at::GS_BASE, "GsBase"),
        (at::XMM0, "Xmm0"),
        (at::FAULT_ADDRESS, "FaultAddress"),
        (at::DR0, "Dr0"),
        (at::DR6, "Dr6"),
        (at::DR7, "Dr7"),
        (at::DEBUG_CONTROL, "DebugControl"),
        (at::SEG_DS, "SegDs"),
        (at::SEG_ES, "SegEs"),
        (at::SEG_FS, "SegFs"),
        (at::SEG_GS, "SegGs"),
        (at::TRAP_FRAME, "TrapFrame"),
        (at::RBX, "Rbx"),
        (at::RDI, "Rdi"),
        (at::RSI, "Rsi"),
        (at::RBP, "Rbp"),
        (at::ERROR_CODE, "ErrorCode"),
        (at::RIP, "Rip"),
        (at::SEG_CS, "SegCs"),
        (at::LOGGING, "Logging"),
        (at::EFLAGS, "EFlags"),
        (at::RSP, "Rsp"),
        (at::SEG_SS, "SegSs"),
    ]
}

/// In order, as a field is looked for from the end.
fn sorted(mut fields: Vec<Field>) -> Form {
    fields.sort_by_key(|(at, _)| *at);
    Form::Fields(fields)
}

/// What has one form in both guests: where SharedUserData is in the two address spaces.
fn shared(fields: &[Field]) -> [Known; 2] {
    let form = || Form::Fields([&[(0, "TickCountLow")], fields].concat());
    [("SharedUserData", 0x1000, "SharedUserData", form()), ("nt!SharedUserData", 0x1000, "SharedUserData", form())]
}

fn regions_32(profile: &i386::Profile) -> Vec<Known> {
    use i386::layout::{kpcr, service_table, shared as user, teb, tss};

    let thread = profile.thread;
    let thread_fields = vec![
        (0, "Header"),
        (thread.debug_active, "Header.DebugActive"),
        (thread.initial_stack, "InitialStack"),
        (thread.stack_limit, "StackLimit"),
        (thread.user_apc_pending, "ApcState.UserApcPending"),
        (thread.apc_disable, "CombinedApcDisable"),
        (thread.apc_state_index, "ApcStateIndex"),
        (thread.alerted, "Alerted"),
        (thread.teb, "Teb"),
        (thread.previous_mode, "PreviousMode"),
        (thread.trap_frame, "TrapFrame"),
        (thread.callback_stack, "CallbackStack"),
        (thread.service_table, "ServiceTable"),
    ];
    let pcr = vec![
        (kpcr::EXCEPTION_LIST, "NtTib.ExceptionList"),
        (kpcr::STACK_BASE, "NtTib.StackBase"),
        (kpcr::STACK_LIMIT, "NtTib.StackLimit"),
        (kpcr::TEB, "NtTib.Self"),
        (kpcr::SELF_PCR, "SelfPcr"),
        (kpcr::PRCB, "Prcb"),
        (kpcr::IRQL, "Irql"),
        (kpcr::IDT, "IDT"),
        (kpcr::GDT, "GDT"),
        (kpcr::TSS, "TSS"),
        (kpcr::PRCB_DATA, "PrcbData"),
        (kpcr::CURRENT_THREAD, "PrcbData.CurrentThread"),
        (profile.system_calls_counter, "PrcbData.KeSystemCalls"),
    ];
    let task = vec![(0, "Backlink"), (tss::ESP0, "Esp0"), (tss::SS0, "Ss0"), (tss::IO_MAP_BASE, "IoMapBase")];
    let tables = || {
        let row = [(service_table::BASE, "Base"), (service_table::LIMIT, "Limit"), (service_table::NUMBER, "Number")];
        Form::Fields(row.to_vec())
    };
    let size = service_table::SIZE.into();
    let block = vec![(0, "NtTib.ExceptionList"), (teb::SELF, "NtTib.Self"), (teb::GDI_BATCH_COUNT, "GdiBatchCount")];
    let system_call: &[Field] = if profile.has_shared_system_call() {
        &[(user::SYSTEM_CALL, "SystemCall"), (user::SYSTEM_CALL_RETURN, "SystemCallReturn")]
    } else {
        &[]
    };
    let rows = service_table::MAX_SERVICES as u64;
    let mut known = vec![
        ("nt!KiInitialThread", thread.size.into(), "KTHREAD", sorted(thread_fields)),
        ("nt!KiInitialPCR", 0x1000, "KPCR", sorted(pcr)),
        ("nt!KiTss", tss::HARDWARE_SIZE.into(), "TSS", Form::Fields(task)),
        ("nt!KeServiceDescriptorTable", size, "KeServiceDescriptorTable", tables()),
        ("nt!KeServiceDescriptorTableShadow", size, "KeServiceDescriptorTableShadow", tables()),
        ("nt!KiServiceTable", 4 * rows, "KiServiceTable", Form::Rows(4)),
        ("nt!KiArgumentTable", rows, "KiArgumentTable", Form::Rows(1)),
        ("nt!W32pServiceTable", 0x1000, "W32pServiceTable", Form::Rows(4)),
        ("Teb", 0x1000, "TEB", Form::Fields(block)),
    ];
    known.extend(shared(system_call));
    known
}

fn regions_64(profile: &'static amd64::Profile) -> Vec<Known> {
    use amd64::layout::{dispatcher_header, kpcr, service_table, shared as user, teb, tss};

    let thread = profile.thread;
    let mut thread_fields = vec![
        (0, "Header"),
        (dispatcher_header::DEBUG_ACTIVE, "Header.DebugActive"),
        (thread.initial_stack, "InitialStack"),
        (thread.stack_limit, "StackLimit"),
        (thread.flags, "ThreadFlags"),
        (thread.alerted, "Alerted"),
        (thread.apc_state, "ApcState"),
        (thread.process, "ApcState.Process"),
        (thread.user_apc_pending, "ApcState.UserApcPending"),
        (thread.combined_apc_disable, "CombinedApcDisable"),
        (thread.apc_state_index, "ApcStateIndex"),
        (thread.teb, "Teb"),
        (thread.system_call_number, "SystemCallNumber"),
        (thread.first_argument, "FirstArgument"),
        (thread.trap_frame, "TrapFrame"),
        (thread.previous_mode, "PreviousMode"),
        (thread.callback_stack, "CallbackStack"),
    ];
    thread_fields.extend(thread.service_table.map(|at| (at, "ServiceTable")));
    let pcr = vec![
        (kpcr::GDT, "GdtBase"),
        (kpcr::TSS, "TssBase"),
        (kpcr::USER_RSP, "UserRsp"),
        (kpcr::SELF, "Self"),
        (kpcr::CURRENT_PRCB, "CurrentPrcb"),
        (kpcr::USED_SELF, "Used_Self"),
        (kpcr::IDT, "IdtBase"),
        (kpcr::MXCSR, "Prcb.MxCsr"),
        (kpcr::CURRENT_THREAD, "Prcb.CurrentThread"),
        (kpcr::RSP_BASE, "Prcb.RspBase"),
        (profile.system_calls_counter, "Prcb.KeSystemCalls"),
    ];
    let task = vec![(0, "Reserved0"), (tss::RSP0, "Rsp0"), (tss::IST1, "Ist"), (tss::IO_MAP_BASE, "IoMapBase")];
    let tables = || {
        let row = [(service_table::BASE, "Base"), (service_table::LIMIT, "Limit"), (service_table::NUMBER, "Number")];
        Form::Fields(row.to_vec())
    };
    let size = service_table::SIZE.into();
    let process = vec![(0, "Header"), (thread.instrumentation_callback, "InstrumentationCallback")];
    let block = vec![(0, "NtTib.ExceptionList"), (teb::SELF, "NtTib.Self"), (teb::GDI_BATCH_COUNT, "GdiBatchCount")];
    let rows = service_table::MAX_SERVICES as u64;
    let mut known = vec![
        ("nt!KiInitialThread", 0x400, "KTHREAD", sorted(thread_fields)),
        ("nt!KiInitialProcess", 0x400, "KPROCESS", sorted(process)),
        ("nt!KiInitialPCR", kpcr::SIZE.into(), "KPCR", sorted(pcr)),
        ("nt!KiTss", tss::SIZE.into(), "TSS", Form::Fields(task)),
        ("nt!KeServiceDescriptorTable", size, "KeServiceDescriptorTable", tables()),
        ("nt!KeServiceDescriptorTableShadow", size, "KeServiceDescriptorTableShadow", tables()),
        ("reactos!KeServiceDescriptorTable", size, "KeServiceDescriptorTable", tables()),
        ("reactos!KeServiceDescriptorTableShadow", size, "KeServiceDescriptorTableShadow", tables()),
        ("nt!KiServiceTable", 4 * rows, "KiServiceTable", Form::Rows(4)),
        ("nt!KiArgumentTable", rows, "KiArgumentTable", Form::Rows(1)),
        ("reactos!MainSSDT", 8 * rows, "MainSSDT", Form::Rows(8)),
        ("Teb", teb::SIZE.into(), "TEB", Form::Fields(block)),
    ];
    known.extend(shared(&[(user::SYSTEM_CALL, "SystemCall")]));
    known
}
