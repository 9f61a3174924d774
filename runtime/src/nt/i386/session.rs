//! A session: the guest runs a program in ring 3 instead of the harness, and is the whole system to it.
//!
//! What a proof leaves out is there: exceptions reach ntdll's dispatcher, APCs are delivered, the kernel calls back, threads
//! become GUI threads, and a few services do what their names say (`NtContinue`, `NtRaiseException`, `NtCallbackReturn`,
//! `NtQueueApcThread`, `NtTestAlert`, `NtTerminateProcess`). All others return `STATUS_NOT_IMPLEMENTED`, unless the session
//! brings a routine for them.
//!
//! ```text
//! ntgate 1 session srv2003
//! cpu cpuid 1 family 6 model 5 stepping 2 sep 1 sysenter 1
//! ...                                                       what the program prints: int 2Dh, EAX = 1
//! exit 00000000                                             NtTerminateProcess; exit port 0
//! unhandled c0000005 at 00401003                            or an exception that nobody took; exit port 2
//! bugcheck 0000007f ...                                     or the end of the kernel, four lines; exit port 1
//! ```

use super::block::Block;
use super::data::{kernel, set};
use super::image::Builder;
use super::layout::{PAGE, peb, service_table};
use super::memory::{Access, Region};
use super::ntdll::{Dispatchers, Stubs};
use super::profile::SystemCallWay;
use super::{BuildError, Image, Kernel, Plan, Ring, Symbol, SystemCallForm, gui, services};

/// Bytes between the routines that a session brings.
const ROUTINE_SIZE: u32 = 0x400;

/// Distance from the services' routines to the first of those. A table's routines take less.
const ROUTINES: u32 = 0x2_0000;

/// Where the callback table is in the page of the PEB.
const CALLBACK_TABLE: u32 = 0x800;

/// Bytes between `KiIntSystemCall` and the dispatchers.
const DISPATCHERS: u32 = 0x20;

/// What happens when a thread asks for a win32k service for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Gui {
    /// There is no win32k: it stays what it is.
    #[default]
    None,
    /// It would become a GUI thread, but there is no memory for its larger stack.
    NoMemory,
    /// It becomes a GUI thread, for which the plan's second table is.
    Available,
}

/// Code of ring 0 that is a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRoutine {
    /// The service: `NtWriteFile`. All that the plan has under this name get the routine.
    pub service: String,
    /// Its code, at [`Kernel::routine_address`]: called with the arguments above the return address, it pops them, and keeps
    /// EBX, ESI, EDI, EBP. EAX is the status. At most 400h bytes.
    pub code: Vec<u8>,
}

/// What runs in ring 3, and what the kernel has for it.
///
/// ```
/// # fn example() -> Option<()> {
/// use ntgate_gen::{Arch, Shape, read_list, stub};
/// use ntgate_runtime::machine::{Exit, Machine, cpuid::Model};
/// use ntgate_runtime::nt::{Kernel, Plan, PlannedService, Profile, Ring, Session, StubSet, SystemCallForm};
///
/// let list = b"NtCallbackReturn 3\nNtContinue 2\nNtRaiseException 3\nNtTerminateProcess 2\n";
/// let read = read_list("a few", list).ok()?;
/// let services = read.list.primary().services();
/// let profile = Profile::by_name("winxp")?;
/// let shape = *profile.shapes.first()?;
///
/// let mut plan = Plan::default();
/// for (index, service) in services.iter().enumerate() {
///     let args_bytes = service.arg_bytes(Arch::I386);
///     plan.services.push(PlannedService { name: service.name().nt().to_owned(), args_bytes });
///     plan.ssdt.push(index);
///     plan.sspt.push(args_bytes as u8);
/// }
/// plan.sets.push(StubSet {
///     label: shape.name().to_owned(),
///     form: SystemCallForm::Code,
///     ring: Ring::User,
///     needs_sysenter: false,
///     stubs: services.iter().map(|service| stub::build(shape, service, shape.default_encoding())).collect(),
///     past_end: None,
///     refusals: false,
/// });
///
/// // push 7; push -1; mov edx,esp; mov eax,3; int 2Eh
/// let mut session = Session::default();
/// session.program = vec![0x6A, 7, 0x6A, 0xFF, 0x8B, 0xD4, 0xB8, 3, 0, 0, 0, 0xCD, 0x2E];
/// let image = Kernel::new(profile).ok()?.session(&plan, &session).ok()?;
///
/// let mut machine = Machine::new(Model::by_name("pentium2")?, 8 << 20);
/// machine.load(&image.elf).ok()?;
/// assert_eq!(machine.run(1_000_000), Exit::Port(0));
/// assert!(machine.console().ends_with(b"exit 00000007\n"));
/// # Some(())
/// # }
/// # example().unwrap();
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Session {
    /// The program: code at [`Profile::user_text`](super::Profile::user_text), which begins with its first instruction. It
    /// has a page of data at [`Profile::user_data`](super::Profile::user_data) and a stack.
    pub program: Vec<u8>,
    /// `PEB.KernelCallbackTable`: addresses in the program.
    pub callbacks: Vec<u32>,
    /// Services of its own.
    pub routines: Vec<ServiceRoutine>,
    /// What becomes of calls of win32k.
    pub gui: Gui,
    /// What calls of win32k return when the thread cannot become a GUI thread, by number: the byte table behind
    /// `W32pServiceTable`. 0 and below are the result, sign-extended; above, and for numbers without a byte, it is
    /// `STATUS_INVALID_SYSTEM_SERVICE`. At most 1000h bytes.
    pub win32k_results: Vec<u8>,
    /// The clock interrupts and counts. A log that tells of it is not the same on every machine.
    pub clock: bool,
}

impl Kernel {
    /// The image of a session. Of the plan it takes the services, the tables and the stubs; the first set of ring 3 is what
    /// ntdll itself calls.
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
    pub fn routine_address(&self, index: usize) -> u32 {
        self.profile.kernel_services + ROUTINES + index as u32 * ROUTINE_SIZE
    }

    /// The address of a routine of the kernel, by its symbol: `nt!KeUserModeCallback`.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<u32> {
        let found = self.code().addresses.iter().find(|(routine, _)| routine.symbol() == name);
        found.map(|(_, address)| *address as u32)
    }
}

impl Builder<'_> {
    /// The routine of a service in a session, if it is not one that only says that there is none.
    pub(super) fn session_service(&self, session: &Session, name: &str) -> Option<u32> {
        let own = session.routines.iter().position(|routine| routine.service == name);
        own.map(|index| self.kernel.routine_address(index))
            .or_else(|| services::builtin(name).map(|routine| self.kernel.address(routine)))
    }

    /// Everything that a session has and a proof has not. Stubs and tables are there.
    pub(super) fn session(&mut self, plan: &Plan, session: &Session) -> Result<(), BuildError> {
        self.routines(session)?;
        let dispatchers = self.dispatchers(plan)?;
        let header = self.session_set();
        self.program(session)?;
        let profile = &self.kernel.profile;
        let gui_stack = match session.gui {
            Gui::None => 0,
            Gui::NoMemory => gui::NO_MEMORY,
            Gui::Available => {
                let size = profile.gui_stack_pages * PAGE;
                let stack = Region::new(profile.gui_stack - size, Vec::new(), size, Access::KernelWrite);
                self.regions.push(stack);
                profile.gui_stack
            }
        };
        let mut block = Block::from(std::mem::take(&mut self.data));
        for (variable, value) in [
            (kernel::PROOF, 0),
            (kernel::START, profile.user_text),
            (kernel::EXCEPTION_DISPATCHER, dispatchers.exception),
            (kernel::APC_DISPATCHER, dispatchers.apc),
            (kernel::CALLBACK_DISPATCHER, dispatchers.callback),
            (kernel::GUI_STACK, gui_stack),
            (kernel::CLOCK, session.clock.into()),
            (kernel::HEADER_TEXT, header.0),
            (kernel::HEADER_TEXT + 4, header.1),
            (kernel::SETS, profile.user_tables),
            (kernel::SETS_END, profile.user_tables),
        ] {
            block.dword(variable, value);
        }
        self.data = block.finish();
        self.win32k_results(&session.win32k_results)
    }

    /// The byte table behind the win32k services.
    fn win32k_results(&mut self, results: &[u8]) -> Result<(), BuildError> {
        if results.len() > service_table::MAX_SERVICES {
            return Err(BuildError::DoesNotFit { what: "results of win32k" });
        }
        let table = kernel::DESCRIPTOR_TABLE_SHADOW + service_table::TEST;
        let mut block = Block::from(std::mem::take(&mut self.data));
        let base = block.read(table + service_table::BASE) - self.kernel.profile.kernel_data;
        let limit = block.read(table + service_table::LIMIT);
        block.put(base + 4 * limit, results);
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

    /// Puts the dispatchers behind KiIntSystemCall.
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
        let address = profile.int_system_call + DISPATCHERS;
        let dispatchers = Dispatchers::assemble(address, stubs, profile.callback_return)?;
        let mut bytes = std::mem::take(&mut self.ntdll.bytes);
        bytes.resize((u64::from(address) - self.ntdll.address) as usize, super::stubs::GAP);
        bytes.extend_from_slice(&dispatchers.code);
        self.ntdll = Region::new(self.ntdll.address, bytes, 0, Access::User);
        for (name, address) in [
            ("KiUserExceptionDispatcher", dispatchers.exception),
            ("KiUserApcDispatcher", dispatchers.apc),
            ("KiUserCallbackDispatcher", dispatchers.callback),
            ("RtlDispatchException", dispatchers.find_handler),
        ] {
            self.symbols.push(Symbol { name: format!("ntdll!{name}"), address });
        }
        Ok(dispatchers)
    }

    /// The one set, of which only the form counts, and behind it the log's first line: its address and length.
    fn session_set(&mut self) -> (u32, u32) {
        let profile = &self.kernel.profile;
        let form = match profile.way {
            SystemCallWay::SharedCode => SystemCallForm::Code,
            SystemCallWay::SharedPointer => SystemCallForm::Pointer,
            SystemCallWay::Interrupt | SystemCallWay::Sysenter => SystemCallForm::Unused,
        };
        let mut block = Block::new(set::SIZE);
        block.dword(set::FORM, form as u32);
        let mut bytes = block.finish();
        let line = format!("ntgate 1 session {}\n", profile.name);
        bytes.extend_from_slice(line.as_bytes());
        self.regions.push(Region::new(profile.user_tables, bytes, 0, Access::User));
        (profile.user_tables + set::SIZE, line.len() as u32)
    }

    /// The program in place of the harness, its data, and the PEB.
    fn program(&mut self, session: &Session) -> Result<(), BuildError> {
        let profile = &self.kernel.profile;
        let most = profile.user_data.saturating_sub(profile.user_text);
        if session.program.len() as u64 > u64::from(most) {
            return Err(BuildError::DoesNotFit { what: "program" });
        }
        if session.callbacks.len() as u32 * 4 > PAGE - CALLBACK_TABLE {
            return Err(BuildError::DoesNotFit { what: "callback table" });
        }
        let harness = [u64::from(profile.user_text), u64::from(profile.user_data)];
        self.regions.retain(|region| !harness.contains(&region.address));
        self.regions.push(Region::new(profile.user_text, session.program.clone(), PAGE, Access::User));
        self.regions.push(Region::new(profile.user_data, Vec::new(), PAGE, Access::UserWrite));
        let mut block = Block::new(PAGE);
        block.dword(peb::KERNEL_CALLBACK_TABLE, profile.peb + CALLBACK_TABLE);
        for (index, callback) in session.callbacks.iter().enumerate() {
            block.dword(CALLBACK_TABLE + 4 * index as u32, *callback);
        }
        self.regions.push(Region::new(profile.peb, block.finish(), PAGE, Access::UserWrite));
        self.symbols.retain(|symbol| !symbol.name.starts_with("ntgate!"));
        self.symbols.push(Symbol { name: "program!Start".to_owned(), address: profile.user_text });
        self.symbols.push(Symbol { name: "Peb".to_owned(), address: profile.peb });
        Ok(())
    }
}
