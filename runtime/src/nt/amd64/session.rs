//! A session: the guest runs a program in ring 3 instead of the harness, and is the whole system to it.
//!
//! As in the 32-bit guest: exceptions reach ntdll's dispatcher, APCs are delivered, the kernel calls back, threads become GUI
//! threads, and a few services do what their names say (`NtContinue`, `NtRaiseException`, `NtCallbackReturn`,
//! `NtQueueApcThread`, `NtTestAlert`, `NtSetInformationProcess` for the instrumentation callback, `NtTerminateProcess`). All
//! others return `STATUS_NOT_IMPLEMENTED`, unless the session brings a routine for them.
//!
//! ```text
//! ntgate 1 session win7-x64
//! cpu family 6 model f stepping b
//! ...                                                       what the program prints: int 2Dh, EAX = 1
//! exit 00000000                                             NtTerminateProcess; exit port 0
//! unhandled c0000005 at 0000000060000003                    or an exception that nobody took; exit port 2
//! bugcheck 0000007f ...                                     or the end of the kernel, four lines; exit port 1
//! ```

use super::assembly::Routine;
use super::block::Block;
use super::data::{head, kernel};
use super::image::Builder;
use super::layout::{PAGE, peb};
use super::memory::{Access, Region};
use super::ntdll::{Dispatchers, Stubs};
use super::{BuildError, Gui, Image, Kernel, Plan, Ring, Symbol, SystemCall, TableForm, gui, services};

/// Bytes between the routines that a session brings.
const ROUTINE_SIZE: u32 = 0x400;

/// Distance from the services' routines to the first of those. Two full tables' routines take less.
const ROUTINES: u64 = 0x4_0000;

/// Where the callback table is in the page of the PEB.
const CALLBACK_TABLE: u32 = 0x800;

/// Distance from ntdll's dispatchers to its data.
const NTDLL_DATA: u64 = 2 * PAGE as u64;

/// Most bytes of a program.
const MAX_PROGRAM: usize = 0x10_0000;

/// Code of ring 0 that is a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRoutine {
    /// The service: `NtWriteFile`. All that the plan has under this name get the routine.
    pub service: String,
    /// Its code, at [`Kernel::routine_address`]: called as the x64 convention has it, with the first four arguments in RCX,
    /// RDX, R8 and R9, the others above the home area, and RSP eight bytes off a multiple of 16; EAX is the status. At most 400h
    /// bytes.
    pub code: Vec<u8>,
}

/// What runs in ring 3, and what the kernel has for it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Session {
    /// The program: code at [`Profile::user_text`](super::Profile::user_text), which begins with its first instruction. It
    /// has a page of data at [`Profile::user_data`](super::Profile::user_data) and a stack.
    pub program: Vec<u8>,
    /// `PEB.KernelCallbackTable`: addresses in the program.
    pub callbacks: Vec<u64>,
    /// Services of its own.
    pub routines: Vec<ServiceRoutine>,
    /// What becomes of calls of win32k.
    pub gui: Gui,
    /// The clock interrupts and counts. A log that tells of it is not the same on every machine.
    pub clock: bool,
}

impl Kernel {
    /// The image of a session. Of the plan it takes the services, the tables and the stubs; the first set of ring 3 is what
    /// ntdll itself calls, and which of the ways into the kernel there is.
    ///
    /// # Errors
    ///
    /// When the plan contradicts itself or does not fit the profile, when it does not have a stub that ntdll calls, or when
    /// something of the session is too long.
    pub fn session(&self, plan: &Plan, session: &Session) -> Result<Image, BuildError> {
        self.build(plan, Some(session))
    }

    /// The address of the code of a session's routine, by its index.
    #[must_use]
    pub fn routine_address(&self, index: usize) -> u64 {
        self.profile.kernel_services + ROUTINES + index as u64 * u64::from(ROUTINE_SIZE)
    }

    /// The address of a routine of the kernel, by its symbol: `nt!KeUserModeCallback`.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<u64> {
        let found = self.code.addresses.iter().find(|(routine, _)| routine.symbol() == name);
        found.map(|(_, address)| *address)
    }
}

impl Builder<'_> {
    /// The routine of a service in a session, if it is not one that only says that there is none.
    pub(super) fn session_service(&self, session: &Session, name: &str) -> Option<u64> {
        let own = session.routines.iter().position(|routine| routine.service == name);
        own.map(|index| self.kernel.routine_address(index))
            .or_else(|| services::builtin(name).map(|routine| self.kernel.code.address(routine)))
    }

    /// Everything that a session has and a proof has not. Stubs and tables are there.
    pub(super) fn session(&mut self, plan: &Plan, session: &Session) -> Result<(), BuildError> {
        self.routines(session)?;
        let dispatchers = self.dispatchers(plan)?;
        self.header();
        self.program(session)?;
        let profile = &self.kernel.profile;
        let gui_stack = match session.gui {
            Gui::Available => {
                let size = profile.gui_stack_pages * PAGE;
                let base = profile.gui_stack - u64::from(size);
                self.regions.push(Region::new(base, Vec::new(), size, Access::KernelWrite));
                profile.gui_stack
            }
            Gui::NoMemory => gui::NO_MEMORY,
            _ => 0,
        };
        let set = plan.sets.iter().find(|set| set.ring == Ring::User);
        let reactos = set.is_some_and(|set| set.tables == TableForm::Pointers);
        let entry = if reactos { Routine::RosKiSystemCallEntry64 } else { Routine::KiSystemCall64 };
        let mut block = Block::from(std::mem::take(&mut self.data));
        for (variable, value) in [
            (kernel::LSTAR, self.kernel.code.address(entry)),
            (kernel::EXCEPTION_DISPATCHER, dispatchers.exception),
            (kernel::APC_DISPATCHER, dispatchers.apc),
            (kernel::CALLBACK_DISPATCHER, dispatchers.callback),
            (kernel::GUI_STACK, gui_stack),
        ] {
            block.qword(variable, value);
        }
        for (variable, value) in [
            (kernel::PROOF, 0),
            (kernel::CLOCK, session.clock.into()),
            (kernel::SYSTEM_CALL, set.map_or(SystemCall::Syscall, |set| set.system_call) as u32),
        ] {
            block.dword(variable, value);
        }
        self.data = block.finish();
        Ok(())
    }

    fn routines(&mut self, session: &Session) -> Result<(), BuildError> {
        let mut bytes = Vec::new();
        for (index, routine) in session.routines.iter().enumerate() {
            if routine.code.len() as u32 > ROUTINE_SIZE {
                return Err(BuildError::DoesNotFit { what: "routine of a service" });
            }
            bytes.resize(index * ROUTINE_SIZE as usize, super::stubs::GAP);
            bytes.extend_from_slice(&routine.code);
            self.symbols
                .push(Symbol { name: format!("nt!{}", routine.service), address: self.kernel.routine_address(index) });
        }
        if !bytes.is_empty() {
            self.regions.push(Region::new(self.kernel.routine_address(0), bytes, 0, Access::Kernel));
        }
        Ok(())
    }

    /// ntdll's dispatchers and its data.
    fn dispatchers(&mut self, plan: &Plan) -> Result<Dispatchers, BuildError> {
        let profile = &self.kernel.profile;
        let stub = |name: &'static str| {
            let set = plan.sets.iter().position(|set| set.ring == Ring::User);
            let service = plan.services.iter().position(|service| service.name == name);
            let address = set.zip(service).and_then(|(set, service)| self.sets.get(set)?.stub_addresses.get(service));
            address.copied().ok_or(BuildError::MissingService { name })
        };
        let stubs = Stubs {
            nt_continue: stub("NtContinue")?,
            raise_exception: stub("NtRaiseException")?,
            callback_return: stub("NtCallbackReturn")?,
        };
        let data = profile.ntdll_dispatchers + NTDLL_DATA;
        let dispatchers = Dispatchers::assemble(profile, data, stubs)?;
        self.regions.push(Region::new(profile.ntdll_dispatchers, dispatchers.code.clone(), PAGE, Access::User));
        self.regions.push(Region::new(data, Vec::new(), PAGE, Access::UserWrite));
        for (name, address) in [
            ("KiUserExceptionDispatcher", dispatchers.exception),
            ("KiUserApcDispatcher", dispatchers.apc),
            ("KiUserCallbackDispatcher", dispatchers.callback),
            ("RtlDispatchException", dispatchers.find_handler),
            ("RtlAddVectoredExceptionHandler", dispatchers.add_handler),
        ] {
            self.symbols.push(Symbol { name: format!("ntdll!{name}"), address });
        }
        Ok(dispatchers)
    }

    /// The log's first line, where a proof has its sets.
    fn header(&mut self) {
        let profile = &self.kernel.profile;
        let line = format!("ntgate 1 session {}\n", profile.name);
        let mut block = Block::new(head::SIZE);
        block.qword(head::TEXT, profile.user_tables + u64::from(head::SIZE));
        block.qword(head::TEXT + 8, line.len() as u64);
        let mut bytes = block.finish();
        bytes.extend_from_slice(line.as_bytes());
        self.regions.push(Region::new(profile.user_tables, bytes, 0, Access::UserRead));
    }

    /// The program in place of the harness, its data, and the PEB.
    fn program(&mut self, session: &Session) -> Result<(), BuildError> {
        let profile = &self.kernel.profile;
        if session.program.len() > MAX_PROGRAM {
            return Err(BuildError::DoesNotFit { what: "program" });
        }
        if session.callbacks.len() as u32 > (PAGE - CALLBACK_TABLE) / 8 {
            return Err(BuildError::DoesNotFit { what: "callback table" });
        }
        let harness = [profile.user_text, profile.user_data];
        self.regions.retain(|region| !harness.contains(&region.address));
        self.regions.push(Region::new(profile.user_text, session.program.clone(), PAGE, Access::User));
        self.regions.push(Region::new(profile.user_data, Vec::new(), PAGE, Access::UserWrite));
        let mut block = Block::new(PAGE);
        block.qword(peb::KERNEL_CALLBACK_TABLE, profile.peb + u64::from(CALLBACK_TABLE));
        for (index, callback) in session.callbacks.iter().enumerate() {
            block.qword(CALLBACK_TABLE + 8 * index as u32, *callback);
        }
        self.regions.push(Region::new(profile.peb, block.finish(), PAGE, Access::UserWrite));
        self.symbols.retain(|symbol| !symbol.name.starts_with("ntgate!"));
        self.symbols.push(Symbol { name: "program!Start".to_owned(), address: profile.user_text });
        self.symbols.push(Symbol { name: "Peb".to_owned(), address: profile.peb });
        Ok(())
    }
}
