//! One call of a service, from its stub and back.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::rc::Rc;

use iced_x86::code_asm::{CodeAssembler, rsp};
use ntgate_gen::{Arch, ServiceList, read_list};

use super::super::program::{self, Called};
use super::super::{BootError, Stop, Target};
use super::counts::{self, Counts, Parts, Phase};
use super::names::Names;
use super::{Trace, linear_ip};
use crate::host::{self, BoxError, BuildError, End, NtStatus, Places};
use crate::nt::{Entry, amd64, i386, lists::list_of};

/// The most instructions of a call: a service of the host's takes a few hundred.
const MOST: usize = 1_000_000;

/// Instructions within which the program comes to the call.
const APPROACH: u64 = 1_000_000;

/// What to call, and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The service: `NtClose`; `ZwClose` is the same.
    pub service: String,
    /// Its arguments.
    pub arguments: Vec<u64>,
    /// The system; without it, one that has the entry.
    pub profile: Option<String>,
    /// The architecture, if no system is named.
    pub arch: Option<Arch>,
    /// The way in; without it, the one that the system takes on its usual CPU.
    pub entry: Option<Entry>,
    /// The list of services, for systems that have none of their own here.
    pub list: Option<ServiceList>,
}

impl Options {
    /// A call of a service with these arguments.
    #[must_use]
    pub fn new(service: &str, arguments: &[u64]) -> Self {
        Self {
            service: service.to_owned(),
            arguments: arguments.to_vec(),
            profile: None,
            arch: None,
            entry: None,
            list: None,
        }
    }

    /// Under this system.
    #[must_use]
    pub fn profile(mut self, profile: &str) -> Self {
        self.profile = Some(profile.to_owned());
        self
    }

    /// By this way in.
    #[must_use]
    pub fn entry(mut self, entry: Entry) -> Self {
        self.entry = Some(entry);
        self
    }

    /// The system that is meant.
    fn system(&self) -> Result<&str, CallError> {
        if let Some(profile) = &self.profile {
            return Ok(profile);
        }
        let arch = self.arch.unwrap_or(if self.entry == Some(Entry::Syscall) { Arch::Amd64 } else { Arch::I386 });
        match (arch, self.entry) {
            (Arch::I386, _) => Ok("srv2003"),
            (Arch::Amd64, Some(Entry::Int2e)) => Ok("win10-x64"),
            (Arch::Amd64, _) => Ok("win7-x64"),
            (arch, _) => Err(CallError::Arch(arch)),
        }
    }
}

/// Why there is no call.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// There is no machine of this architecture.
    Arch(Arch),
    /// The system is of the other architecture.
    ArchOfProfile {
        /// The system.
        profile: String,
        /// The architecture that was asked for.
        arch: Arch,
    },
    /// The service takes another number of arguments.
    Arguments {
        /// The service.
        service: String,
        /// How many it takes.
        takes: usize,
        /// How many were given.
        given: usize,
    },
    /// An argument that does not fit into the system's width.
    Wide {
        /// Which one, from 1 on.
        number: usize,
        /// Its value.
        value: u64,
    },
    /// The system does not take this way on any CPU.
    Entry {
        /// The way.
        entry: Entry,
        /// The system.
        profile: String,
        /// The ways that it takes.
        takes: Vec<Entry>,
    },
    /// The system has no list, or lacks what a call needs.
    Unusable(String),
    /// There is no machine, or the system does not boot.
    Boot(BootError),
    /// The call did not come back.
    Lost {
        /// The service.
        service: String,
        /// How it ended.
        end: String,
    },
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arch(arch) => write!(f, "there is no machine for {arch}; i386 and amd64 are there"),
            Self::ArchOfProfile { profile, arch } => write!(f, "{profile} is no system of {arch}"),
            Self::Arguments { service, takes, given } => {
                let plural = if *takes == 1 { "argument" } else { "arguments" };
                write!(f, "{service} takes {takes} {plural}, not {given}")
            }
            Self::Wide { number, value } => {
                write!(f, "argument {number}, {value:x}, does not fit into 32 bits; --arch amd64 has 64")
            }
            Self::Entry { entry, profile, takes } => {
                let takes: Vec<&str> = takes.iter().map(|entry| entry.name()).collect();
                write!(f, "{profile} has no {entry}; its calls take {}", takes.join(" or "))
            }
            Self::Unusable(what) => f.write_str(what),
            Self::Boot(error) => error.fmt(f),
            Self::Lost { service, end } => write!(f, "{service} did not come back: {end}"),
        }
    }
}

impl Error for CallError {}

impl From<BootError> for CallError {
    fn from(error: BootError) -> Self {
        Self::Boot(error)
    }
}

/// A call that was made, and everything that happened in it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Call {
    /// The service: `NtClose`.
    pub service: String,
    /// Its number.
    pub number: u32,
    /// The system: `srv2003`.
    pub profile: &'static str,
    /// The CPU model.
    pub cpu: &'static str,
    /// 32 or 64.
    pub bits: u32,
    /// The way that the call took.
    pub entry: Entry,
    /// The arguments as they arrived at the service.
    pub arguments: Vec<u64>,
    /// What came back in EAX.
    pub status: u32,
    /// Address of the trap frame.
    pub frame: u64,
    /// Every instruction, from the stub's first to the one that returns to the caller.
    pub trace: Trace,
    /// Which step belongs to what.
    pub(super) parts: Parts,
    /// What the way cost.
    pub counts: Counts,
    /// The names of what it touched.
    pub names: Names,
    /// The same call by the other way in, if the system has it.
    pub other: Option<Box<Self>>,
}

impl Call {
    /// Which part of the call a step belongs to.
    #[must_use]
    pub fn phase(&self, step: usize) -> Phase {
        self.parts.phase(step)
    }

    /// Whether a step is there only for the guest's own log, which no other kernel writes.
    #[must_use]
    pub fn is_own(&self, step: usize) -> bool {
        self.parts.is_own(step)
    }
}

/// What the service's closure saw.
#[derive(Debug, Clone)]
struct Arrived {
    number: u32,
    entry: Entry,
    arguments: Vec<u64>,
    frame: u64,
    /// The stack pointer in the service's routine.
    stack: u64,
}

/// Calls a service.
///
/// # Errors
/// What is wrong with the options, or why the call did not come back.
pub fn call(options: &Options) -> Result<Call, CallError> {
    let mut call = call_under(options, options.system()?)?;
    let other = match call.entry {
        Entry::Int2e => Some(if call.bits == 32 { Entry::Sysenter } else { Entry::Syscall }),
        Entry::Sysenter | Entry::Syscall => Some(Entry::Int2e),
        Entry::Zw => None,
    };
    if let Some(entry) = other {
        let options = Options { entry: Some(entry), ..options.clone() };
        // A system that does not have it is no error here.
        call.other = call_under(&options, call.profile).ok().map(Box::new);
    }
    Ok(call)
}

/// Under one system, on the first of its CPUs on which the call takes the way that is asked for.
fn call_under(options: &Options, profile: &str) -> Result<Call, CallError> {
    let (usual, cpus) = host::cpus(profile).map_err(BootError::Build)?;
    let bits = if i386::Profile::by_name(profile).is_some() { 32 } else { 64 };
    let arch = if bits == 32 { Arch::I386 } else { Arch::Amd64 };
    if let Some(wanted) = options.arch.filter(|wanted| *wanted != arch) {
        return Err(CallError::ArchOfProfile { profile: profile.to_owned(), arch: wanted });
    }
    let call = Setting::new(options, profile, arch)?;
    let mut takes = Vec::new();
    // The usual one first: it has all that the system makes use of.
    let others = cpus.iter().copied().filter(|cpu| *cpu != usual);
    for cpu in std::iter::once(usual).chain(others) {
        let ways: &[bool] = if bits == 64 { &[false, true] } else { &[false] };
        for interrupt in ways {
            let made = call.make(cpu, *interrupt)?;
            if options.entry.is_none_or(|entry| entry == made.entry) {
                return Ok(made);
            }
            if !takes.contains(&made.entry) {
                takes.push(made.entry);
            }
        }
    }
    let entry = options.entry.unwrap_or(Entry::Zw);
    Err(CallError::Entry { entry, profile: profile.to_owned(), takes })
}

/// A call that has been checked against the list.
struct Setting<'a> {
    service: String,
    arguments: &'a [u64],
    profile: &'a str,
    list: ServiceList,
    from_kernel: bool,
    /// A service without arguments whose routine carries the code of a call from ring 0.
    carrier: String,
}

impl<'a> Setting<'a> {
    fn new(options: &'a Options, profile: &'a str, arch: Arch) -> Result<Self, CallError> {
        let list = match &options.list {
            Some(list) => list.clone(),
            None => own_list(profile)?,
        };
        let service = match options.service.strip_prefix("Zw") {
            Some(rest) => format!("Nt{rest}"),
            None => options.service.clone(),
        };
        let services = || list.tables().iter().flat_map(|table| table.services());
        let Some(found) = services().find(|known| known.name().nt() == service) else {
            let names = services().map(|known| known.name().nt());
            return Err(BootError::Build(BuildError::unknown_service(&service, names)).into());
        };
        let takes = usize::from(found.args(arch));
        if takes != options.arguments.len() {
            return Err(CallError::Arguments { service, takes, given: options.arguments.len() });
        }
        let wide = |value: &u64| arch == Arch::I386 && *value > u64::from(u32::MAX);
        if let Some(index) = options.arguments.iter().position(wide) {
            return Err(CallError::Wide { number: index + 1, value: options.arguments[index] });
        }
        let carries = |name: &str| name != service && ["NtYieldExecution", "NtFlushWriteBuffer"].contains(&name);
        let carrier = services().map(|known| known.name().nt()).find(|name| carries(name));
        let carrier = carrier.ok_or_else(|| CallError::Unusable(format!("{profile} has no service to call from")))?;
        Ok(Self {
            service,
            arguments: &options.arguments,
            profile,
            carrier: carrier.to_owned(),
            list,
            from_kernel: options.entry == Some(Entry::Zw),
        })
    }

    /// Boots, calls and notes; `interrupt`: SharedUserData asks the stubs for `int 2Eh`.
    fn make(&self, cpu: &str, interrupt: bool) -> Result<Call, CallError> {
        let arrived = Rc::new(RefCell::new(None));
        let mut target = Target::boot(self.builder(cpu, Rc::clone(&arrived)))?;
        if interrupt {
            ask_for_interrupt(&mut target);
        }
        self.approach(&mut target)?;
        let back = return_address(&mut target);
        let stack = target.machine().register64(4).unwrap_or_default();
        let mut service_step = None;
        let routine = target.symbols().address(&format!("nt!{}", self.service));
        let mut steps = 1;
        let (trace, stop) = Trace::record(&mut target, MOST, &mut |target| {
            let at = linear_ip(target.machine());
            if Some(at) == routine {
                service_step.get_or_insert(steps);
            }
            steps += 1;
            // The stub may call itself again only in a guest that has gone wrong: the stack tells whose return it is.
            at == back && target.machine().register64(4).is_some_and(|sp| sp > stack)
        });
        let end = match stop {
            Stop::Step => None,
            Stop::End(end) => Some(end.to_string()),
            _ => Some(format!("{MOST} instructions were not enough")),
        };
        let lost = |end: String| CallError::Lost { service: self.service.clone(), end };
        if let Some(end) = end {
            return Err(lost(end));
        }
        let arrived = arrived.borrow_mut().take();
        let arrived: Arrived = arrived.ok_or_else(|| lost("the service was not reached".to_owned()))?;
        Ok(self.finish(&target, trace, arrived, stack, service_step.unwrap_or_default()))
    }

    fn finish(&self, target: &Target, trace: Trace, arrived: Arrived, stack: u64, service_step: usize) -> Call {
        let bits = target.places().bits();
        let mut names = Names::new(target.places(), target.symbols());
        names.frame(arrived.frame, self.from_kernel);
        let (width, registers) = if bits == 32 { (4, 0) } else { (8, 4) };
        let count = (arrived.arguments.len() as u64).saturating_sub(registers);
        // Above the return address; on amd64 above the home area too.
        let above = width * (1 + registers);
        names.arguments("argument", stack + above, width, registers, count);
        names.arguments("copied argument", arrived.stack + above, width, registers, count);
        let parts = Parts::of(&trace, service_step, target.symbols());
        let counts = counts::of(&trace, &parts);
        Call {
            service: self.service.clone(),
            number: arrived.number,
            profile: target.places().profile(),
            cpu: target.machine().model().name,
            bits,
            entry: arrived.entry,
            arguments: arrived.arguments,
            status: target.machine().register64(0).unwrap_or_default() as u32,
            frame: arrived.frame,
            trace,
            parts,
            counts,
            names,
            other: None,
        }
    }

    fn builder(&self, cpu: &str, arrived: Rc<RefCell<Option<Arrived>>>) -> host::Builder<'static> {
        let called = if self.from_kernel {
            vec![Called::new(&self.carrier, &[])]
        } else {
            vec![Called::new(&self.service, self.arguments)]
        };
        let mut builder = host::Machine::builder()
            .profile(self.profile)
            .cpu(cpu)
            .list(&self.list)
            .service(&self.service, move |call| {
                let stack = call.machine().register64(4).unwrap_or_default();
                *arrived.borrow_mut() = Some(Arrived {
                    number: call.number(),
                    entry: call.entry(),
                    arguments: call.arguments().to_vec(),
                    frame: call.trap_frame(),
                    stack,
                });
                Ok(())
            })
            .program(program::calling(called));
        if self.from_kernel {
            let call = Called::new(&self.service, self.arguments);
            builder = builder.routine(&self.carrier, move |places| from_kernel(places, &call));
        }
        builder
    }

    /// Runs up to the stub's first instruction.
    fn approach(&self, target: &mut Target) -> Result<(), CallError> {
        let stub = if self.from_kernel {
            let name = format!("nt!Zw{}", self.service.strip_prefix("Nt").unwrap_or(&self.service));
            target.symbols().address(&name)
        } else {
            target.places().stub(&self.service).ok()
        };
        let stub =
            stub.ok_or_else(|| CallError::Unusable(format!("{} has no stub of {}", self.profile, self.service)))?;
        target.set_breakpoint(stub);
        match target.go(APPROACH, &|| false) {
            Stop::Breakpoint(_) => Ok(()),
            Stop::End(end) => Err(self.lost(&end)),
            _ => Err(CallError::Unusable("the program does not come to the call".to_owned())),
        }
    }

    fn lost(&self, end: &End) -> CallError {
        CallError::Lost { service: self.service.clone(), end: end.to_string() }
    }
}

/// Where the stub returns to.
fn return_address(target: &mut Target) -> u64 {
    let width = target.places().bits() as usize / 8;
    let stack = target.machine().register64(4).unwrap_or_default();
    let bytes = target.memory().read_linear64(stack, width).unwrap_or_default();
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// The list of a system.
fn own_list(profile: &str) -> Result<ServiceList, CallError> {
    let read = list_of(profile).and_then(|list| read_list(profile, list.as_bytes()).ok());
    read.map(|read| read.list).ok_or_else(|| CallError::Unusable(format!("{profile} has no list of its own; give one")))
}

/// SharedUserData.SystemCall asks for `int 2Eh`, as Windows 10 has it where a hypervisor wants to see system calls.
fn ask_for_interrupt(target: &mut Target) {
    let shared = target.symbols().address("nt!SharedUserData");
    if let Some(at) = shared.filter(|_| target.places().bits() == 64) {
        let at = at + u64::from(amd64::layout::shared::SYSTEM_CALL);
        // The page is there in every image.
        let _ = target.change().write_linear(at, &[1]);
    }
}

/// The routine of a service that calls another by the kernel's own stub.
fn from_kernel(places: &Places, call: &Called) -> Result<Vec<u8>, BoxError> {
    let name = format!("nt!Zw{}", call.service.strip_prefix("Nt").unwrap_or(&call.service));
    let stub = places.symbol(&name).ok_or("the kernel has no such stub")?;
    let mut a = CodeAssembler::new(places.bits())?;
    // The routine was called, so that RSP is not at a multiple of 16.
    if places.bits() == 64 {
        a.sub(rsp, 8)?;
    }
    program::call(&mut a, stub, &call.arguments)?;
    if places.bits() == 64 {
        a.add(rsp, 8)?;
    }
    a.ret()?;
    Ok(a.assemble(places.start())?)
}

/// The status in words.
pub(in super::super) fn status(status: u32) -> String {
    match NtStatus(status).name() {
        Some(name) => format!("{status:08x} {name}"),
        None => format!("{status:08x}"),
    }
}
