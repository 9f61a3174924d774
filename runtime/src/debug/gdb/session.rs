//! What gdb asks for, and what the target answers.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::net::TcpStream;
use std::num::NonZeroUsize;

use gdbstub::arch::{Arch, RegId};
use gdbstub::common::Signal;
use gdbstub::conn::ConnectionExt;
use gdbstub::stub::run_blocking::{BlockingEventLoop, Event, WaitForStopReasonError};
use gdbstub::stub::{BaseStopReason, SingleThreadStopReason};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::reverse_exec::ReverseStepOps;
use gdbstub::target::ext::base::reverse_exec::{ReplayLogPosition, ReverseCont, ReverseContOps, ReverseStep};
use gdbstub::target::ext::base::single_register_access::{SingleRegisterAccess, SingleRegisterAccessOps};
use gdbstub::target::ext::base::singlethread::{
    SingleThreadBase, SingleThreadResume, SingleThreadResumeOps, SingleThreadSingleStep, SingleThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::BreakpointsOps;
use gdbstub::target::ext::exec_file::ExecFileOps;
use gdbstub::target::ext::host_io::HostIoOps;
use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps};
use gdbstub::target::ext::target_description_xml_override::{
    TargetDescriptionXmlOverride, TargetDescriptionXmlOverrideOps,
};
use gdbstub::target::{Target as GdbTarget, TargetError, TargetResult};

use super::breakpoints::kind;
use super::connection::Line;
use super::files;
use super::monitor;
use super::registers::{Register, Registers};
use crate::debug::{Kd, Stop, Target, Watchpoint};

/// `EFAULT`: there is no memory.
const NO_MEMORY: u8 = 14;
/// `EINVAL`: there is no such register.
const NO_REGISTER: u8 = 22;
/// `EPERM`: it cannot be changed.
const READ_ONLY: u8 = 1;

/// Both architectures: addresses have 64 bits, and which registers there are stands in the description.
#[derive(Debug)]
pub(super) struct X86;

impl Arch for X86 {
    type Usize = u64;
    type Registers = Block;
    type BreakpointKind = usize;
    type RegId = Number;
}

/// A register's place in the description.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number(usize);

impl RegId for Number {
    fn from_raw_id(id: usize) -> Option<(Self, Option<NonZeroUsize>)> {
        Some((Self(id), None))
    }
}

/// All registers, as packets have them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Block {
    bytes: Vec<u8>,
    pc: u64,
}

impl gdbstub::arch::Registers for Block {
    type ProgramCounter = u64;

    fn pc(&self) -> u64 {
        self.pc
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        self.bytes.iter().for_each(|byte| write_byte(Some(*byte)));
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.bytes = bytes.to_vec();
        Ok(())
    }
}

/// What the target is to do when it goes on.
#[derive(Debug, Clone, Copy)]
enum Resume {
    Step,
    Go,
    StepBack,
    GoBack,
}

/// One client's session.
pub(super) struct Session<'k> {
    pub(super) kd: &'k mut Kd,
    /// The line once more, to notice while a monitor command runs that nobody waits for it.
    line: TcpStream,
    registers: Registers,
    /// The file that gdb can read.
    pub(super) symbols: &'k [u8],
    resume: Resume,
    pub(super) software: BTreeSet<u64>,
    pub(super) hardware: BTreeSet<u64>,
    pub(super) watchpoints: BTreeSet<Watchpoint>,
    /// Bytes of the guest's console that gdb has been shown.
    told: usize,
}

impl<'k> Session<'k> {
    pub(super) fn new(kd: &'k mut Kd, line: TcpStream, symbols: &'k [u8]) -> Self {
        let registers = Registers::of(kd.target().machine());
        let told = kd.target().console().len();
        Self {
            kd,
            line,
            registers,
            symbols,
            resume: Resume::Step,
            software: BTreeSet::new(),
            hardware: BTreeSet::new(),
            watchpoints: BTreeSet::new(),
            told,
        }
    }

    pub(super) fn target(&mut self) -> &mut Target {
        self.kd.target_mut()
    }

    /// Lets the target do what was asked for.
    fn run(&mut self, interrupted: &dyn Fn() -> bool) -> Stop {
        let resume = self.resume;
        // A monitor command may have taken away one of its own at the same place.
        let target = self.kd.target_mut();
        for address in self.software.union(&self.hardware) {
            target.set_breakpoint(*address);
        }
        for watchpoint in &self.watchpoints {
            target.set_watchpoint(*watchpoint);
        }
        match resume {
            Resume::Step => target.step(),
            Resume::Go => target.go(u64::MAX, interrupted),
            Resume::StepBack => target.step_back(),
            Resume::GoBack => target.go_back(interrupted),
        }
    }

    /// What the guest has printed since the last stop, and how the program ended.
    fn news(&mut self, stop: &Stop) -> Vec<u8> {
        let told = self.told;
        let console = self.target().console();
        let mut news = console.get(told..).unwrap_or_default().to_vec();
        self.told = console.len();
        if let Stop::End(end) = stop {
            news.extend_from_slice(format!("ntgate: {end}; from here it can only go back\n").as_bytes());
        }
        news
    }

    /// The reason of a stop as gdb has it; `None` if gdb itself is the reason.
    fn reason(&self, stop: &Stop) -> Option<SingleThreadStopReason<u64>> {
        let log = |pos| BaseStopReason::ReplayLog { tid: None, pos };
        Some(match stop {
            Stop::Step => BaseStopReason::DoneStep,
            Stop::Breakpoint(address) if self.software.contains(address) => BaseStopReason::SwBreak(()),
            Stop::Breakpoint(address) if self.hardware.contains(address) => BaseStopReason::HwBreak(()),
            Stop::Watchpoint(point) if self.watchpoints.contains(point) => {
                BaseStopReason::Watch { tid: (), kind: kind(point.on), addr: point.address }
            }
            // Set by a monitor command.
            Stop::Breakpoint(_) | Stop::Watchpoint(_) => BaseStopReason::Signal(Signal::SIGTRAP),
            Stop::Beginning => log(ReplayLogPosition::Begin),
            Stop::End(_) => log(ReplayLogPosition::End),
            Stop::Interrupted | Stop::Budget => return None,
        })
    }
}

impl GdbTarget for Session<'_> {
    type Arch = X86;
    type Error = Infallible;

    fn base_ops(&mut self) -> BaseOps<'_, X86, Infallible> {
        BaseOps::SingleThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }

    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }

    fn support_target_description_xml_override(&mut self) -> Option<TargetDescriptionXmlOverrideOps<'_, Self>> {
        Some(self)
    }

    fn support_exec_file(&mut self) -> Option<ExecFileOps<'_, Self>> {
        Some(self)
    }

    fn support_host_io(&mut self) -> Option<HostIoOps<'_, Self>> {
        Some(self)
    }

    fn use_fork_stop_reason(&self) -> bool {
        false
    }

    fn use_vfork_stop_reason(&self) -> bool {
        false
    }

    fn use_vforkdone_stop_reason(&self) -> bool {
        false
    }
}

impl SingleThreadBase for Session<'_> {
    fn read_registers(&mut self, block: &mut Block) -> TargetResult<(), Self> {
        let machine = self.kd.target().machine();
        block.bytes = self.registers.all().flat_map(|register| register.read(machine)).collect();
        block.pc = machine.rip();
        Ok(())
    }

    fn write_registers(&mut self, block: &Block) -> TargetResult<(), Self> {
        let mut rest = &block.bytes[..];
        for register in self.registers.all() {
            let Some((bytes, behind)) = rest.split_at_checked(register.size()) else { break };
            rest = behind;
            change(self.kd.target_mut(), register, bytes)?;
        }
        Ok(())
    }

    fn read_addrs(&mut self, start: u64, data: &mut [u8]) -> TargetResult<usize, Self> {
        // The end of a larger piece is asked for by its distance from `start`, which has to be an address.
        start.checked_add(data.len() as u64).ok_or(TargetError::Errno(NO_MEMORY))?;
        let machine = self.kd.target().machine();
        // As much as there is.
        let read = |length| machine.read_linear64(start, length).map(|bytes| (length, bytes));
        let page = data.len().min((0x1000 - start % 0x1000) as usize);
        let (length, bytes) = read(data.len()).or_else(|| read(page)).ok_or(TargetError::Errno(NO_MEMORY))?;
        data.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Ok(length)
    }

    fn write_addrs(&mut self, start: u64, data: &[u8]) -> TargetResult<(), Self> {
        let there = self.kd.target().machine().read_linear64(start, data.len());
        match there {
            None => Err(TargetError::Errno(NO_MEMORY)),
            Some(bytes) if bytes == data => Ok(()),
            Some(_) => self.target().change().write_linear(start, data).ok_or(TargetError::Errno(NO_MEMORY)),
        }
    }

    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, (), Self>> {
        Some(self)
    }

    fn support_resume(&mut self) -> Option<SingleThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl SingleRegisterAccess<()> for Session<'_> {
    fn read_register(&mut self, (): (), Number(number): Number, buf: &mut [u8]) -> TargetResult<usize, Self> {
        let register = self.registers.all().nth(number).ok_or(TargetError::Errno(NO_REGISTER))?;
        let bytes = register.read(self.kd.target().machine());
        buf.get_mut(..bytes.len()).ok_or(TargetError::NonFatal)?.copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn write_register(&mut self, (): (), Number(number): Number, bytes: &[u8]) -> TargetResult<(), Self> {
        let register = self.registers.all().nth(number).ok_or(TargetError::Errno(NO_REGISTER))?;
        change(self.kd.target_mut(), register, bytes)
    }
}

/// Changes a register if it is another value. What cannot be changed costs no history.
fn change(target: &mut Target, register: &Register, bytes: &[u8]) -> Result<(), TargetError<Infallible>> {
    if register.read(target.machine()) == bytes {
        return Ok(());
    }
    if bytes.len() != register.size() || !register.is_writable() {
        return Err(TargetError::Errno(READ_ONLY));
    }
    register.write(target.change(), bytes).ok_or(TargetError::Errno(READ_ONLY))
}

impl SingleThreadResume for Session<'_> {
    fn resume(&mut self, _: Option<Signal>) -> Result<(), Infallible> {
        self.resume = Resume::Go;
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<SingleThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_reverse_cont(&mut self) -> Option<ReverseContOps<'_, (), Self>> {
        Some(self)
    }

    fn support_reverse_step(&mut self) -> Option<ReverseStepOps<'_, (), Self>> {
        Some(self)
    }
}

impl SingleThreadSingleStep for Session<'_> {
    fn step(&mut self, _: Option<Signal>) -> Result<(), Infallible> {
        self.resume = Resume::Step;
        Ok(())
    }
}

impl ReverseCont<()> for Session<'_> {
    fn reverse_cont(&mut self) -> Result<(), Infallible> {
        self.resume = Resume::GoBack;
        Ok(())
    }
}

impl ReverseStep<()> for Session<'_> {
    fn reverse_step(&mut self, (): ()) -> Result<(), Infallible> {
        self.resume = Resume::StepBack;
        Ok(())
    }
}

impl TargetDescriptionXmlOverride for Session<'_> {
    fn target_description_xml(
        &self,
        annex: &[u8],
        offset: u64,
        length: usize,
        buf: &mut [u8],
    ) -> TargetResult<usize, Self> {
        if annex != b"target.xml" {
            return Err(TargetError::Errno(2));
        }
        Ok(files::piece(self.registers.description().as_bytes(), offset, length, buf))
    }
}

impl MonitorCmd for Session<'_> {
    fn handle_monitor_cmd(&mut self, command: &[u8], mut out: ConsoleOutput<'_>) -> Result<(), Infallible> {
        let text = monitor::execute(self.kd, &self.line, &String::from_utf8_lossy(command));
        out.write_raw(text.as_bytes());
        Ok(())
    }
}

/// How a session runs its target.
pub(super) struct Loop<'k>(std::marker::PhantomData<&'k ()>);

impl<'k> BlockingEventLoop for Loop<'k> {
    type Target = Session<'k>;
    type Connection = Line;
    type StopReason = SingleThreadStopReason<u64>;

    fn wait_for_stop_reason(
        session: &mut Session<'k>,
        line: &mut Line,
    ) -> Result<Event<Self::StopReason>, WaitForStopReasonError<Infallible, io::Error>> {
        use gdbstub::conn::Connection;

        // The acknowledgement of what was asked for.
        line.flush().map_err(WaitForStopReasonError::Connection)?;
        let stop = session.run(&|| line.is_ready());
        line.tell(&session.news(&stop));
        match session.reason(&stop) {
            Some(reason) => Ok(Event::TargetStopped(reason)),
            None => line.read().map(Event::IncomingData).map_err(WaitForStopReasonError::Connection),
        }
    }

    fn on_interrupt(_: &mut Session<'k>) -> Result<Option<Self::StopReason>, Infallible> {
        Ok(Some(BaseStopReason::Signal(Signal::SIGINT)))
    }
}
