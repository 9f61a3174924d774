//! A session with WinDbg's commands on a [`Target`].
//!
//! The commands are one table, [`help::COMMANDS`]: what each is called, what it takes, what is told of it, and the function that
//! does it. `.help`, completion and docs/kd.md are made of it.

mod arguments;
mod breakpoints;
mod call;
mod disassemble;
mod dt;
mod edit;
mod error;
mod expression;
mod frame;
mod help;
mod memory;
mod paging;
mod register;
mod registers;
mod run;
mod script;
mod stack;
mod stop;
mod symbols;
mod system;
mod tables;
#[cfg(test)]
mod tests;
mod wt;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arguments::Arguments;
use breakpoints::Breakpoint;
use error::Error;
use register::{Context, Register};

use super::{Guest, Target};
use crate::host::nearest;

/// Adds a line to what a command prints.
macro_rules! say {
    ($out:expr) => { $out.push('\n') };
    ($out:expr, $($format:tt)+) => {{
        $out.push_str(&format!($($format)+));
        $out.push('\n');
    }};
}
use say;

/// How a line of commands ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All of them were done, as far as the target could.
    Continue,
    /// One of them could not be understood; the others were done.
    Refused,
    /// `q`: the session is over.
    Quit,
}

/// A session: a target, and what commands remember from one to the next.
///
/// ```
/// use ntgate_runtime::debug::{Kd, Outcome, Target, program};
///
/// let target = Target::boot(program::usual(Some("srv2003"), None)).expect("the system boots");
/// let mut kd = Kd::new(target);
/// let mut text = String::new();
/// assert_eq!(kd.execute("u 7c95ed50 l3", &mut text), Outcome::Continue);
/// assert_eq!(
///     text,
///     "\
/// ntdll!KiFastSystemCall:
/// 7c95ed50 8bd4            mov     edx,esp
/// 7c95ed52 0f34            sysenter
/// ntdll!KiFastSystemCallRet:
/// 7c95ed54 c3              ret
/// "
/// );
/// text.clear();
/// assert_eq!(kd.execute("dd 1+", &mut text), Outcome::Refused);
/// assert_eq!(text, "         ^ Numeric expression missing in 'dd 1+'\n");
/// assert_eq!(kd.execute("q", &mut text), Outcome::Quit);
/// ```
#[derive(Debug)]
pub struct Kd {
    target: Target,
    guest: Guest,
    interrupt: Arc<AtomicBool>,
    breakpoints: Vec<Breakpoint>,
    /// Where `u` without an address goes on.
    code: Option<u64>,
    /// Where `d` without an address goes on, and in which form.
    data: (Option<u64>, &'static str),
    /// The trap frame that `.trap` has chosen, and its registers.
    frame: Option<(u64, Context)>,
    /// Bytes of the guest's console that have been shown.
    told: usize,
    quit: bool,
}

impl Kd {
    /// What a line of commands stands behind.
    pub const PROMPT: &'static str = "kd> ";

    /// A session on this target.
    #[must_use]
    pub fn new(target: Target) -> Self {
        let guest = target.guest();
        let told = target.console().len();
        Self {
            target,
            guest,
            interrupt: Arc::default(),
            breakpoints: Vec::new(),
            code: None,
            data: (None, "db"),
            frame: None,
            told,
            quit: false,
        }
    }

    /// The target.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The same, to be run or changed by others.
    pub fn target_mut(&mut self) -> &mut Target {
        &mut self.target
    }

    /// A flag that ends a command which runs the target, when it is set; the next such command clears it.
    #[must_use]
    pub fn interrupt(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.interrupt)
    }

    /// Does a line of commands, and adds to `out` what they print.
    pub fn execute(&mut self, line: &str, out: &mut String) -> Outcome {
        let mut outcome = Outcome::Continue;
        for (start, end) in script::split(line) {
            let line = line.get(..end).unwrap_or_default();
            if let Err(error) = self.command(line, start, out) {
                complain(line, start, &error, out);
                // What the target has not is no mistake in the command's text.
                if error.at.is_some() {
                    outcome = Outcome::Refused;
                }
            }
            if std::mem::take(&mut self.quit) {
                return Outcome::Quit;
            }
        }
        outcome
    }

    /// The commands of a line or script, one after the other, as [`Kd::execute`] would do them.
    pub fn commands(script: &str) -> impl Iterator<Item = &str> {
        script::split(script).into_iter().filter_map(|(start, end)| script.get(start..end))
    }

    /// What a user may mean who has typed a line up to a byte: where the word in question begins, and the words.
    #[must_use]
    pub fn complete(&self, line: &str, at: usize) -> (usize, Vec<String>) {
        script::complete(self, line, at)
    }

    /// The page of the manual that describes all commands, in Markdown.
    #[must_use]
    pub fn manual() -> String {
        help::manual()
    }

    /// What a session begins with: which system it is.
    #[must_use]
    pub fn greeting(&self) -> String {
        let (major, minor, build) = self.guest.version();
        let (places, cpu) = (self.target.places(), self.target.machine().model().name);
        let name = places.profile();
        format!(
            "{name}: version {major}.{minor}, build {build}, {} bits, on {cpu}; .help lists the commands\n",
            places.bits()
        )
    }

    /// The instruction that is next, as a command that has run the target shows it.
    pub fn where_now(&mut self, out: &mut String) {
        stop::show(self, out);
    }

    fn command(&mut self, line: &str, start: usize, out: &mut String) -> Result<(), Error> {
        let Some((name, behind)) = script::name(line, start) else { return Ok(()) };
        let command = help::find(&name).ok_or_else(|| unknown(&name, start))?;
        (command.run)(self, &mut Arguments::new(line, start, behind), out)
    }

    /// The system.
    fn guest(&self) -> Guest {
        self.guest
    }

    /// The registers that commands look at.
    fn context(&self) -> Context {
        self.frame.map_or_else(|| Context::of_machine(self.target.machine()), |(_, context)| context)
    }

    fn register(&self, register: Register) -> Option<u64> {
        self.context().get(register).or_else(|| register::of_processor(self.target.machine(), register))
    }

    /// The address `.`: that of the instruction that is next.
    fn current_address(&self) -> u64 {
        self.context().ip
    }

    /// A value as wide as the guest's addresses are.
    fn narrow(&self, value: u64) -> u64 {
        if self.guest.pointer() == 4 { value & 0xFFFF_FFFF } else { value }
    }

    /// An address in digits.
    fn address(&self, address: u64) -> String {
        number(address, self.guest.pointer())
    }

    /// Bytes at an address; `None` if a page of them is not mapped.
    fn read(&self, address: u64, size: u64) -> Option<Vec<u8>> {
        self.target.machine().read_linear64(self.narrow(address), size as usize)
    }

    /// A number of up to eight bytes at an address.
    fn read_number(&self, address: u64, size: u64) -> Option<u64> {
        let bytes = self.read(address, size)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn read_pointer(&self, address: u64) -> Option<u64> {
        self.read_number(address, self.guest.pointer())
    }

    /// The symbol that an address belongs to, by the name that a debugger shows, and the distance from it.
    fn symbol(&self, address: u64) -> Option<(&str, u64)> {
        symbols::nearest(&self.target, address)
    }

    /// `nt!KiSystemService+0x12`, or digits where there is no symbol.
    fn describe(&self, address: u64) -> String {
        match self.symbol(address) {
            Some((name, 0)) => name.to_owned(),
            Some((name, offset)) => format!("{name}+0x{offset:x}"),
            None => self.address(address),
        }
    }

    /// `nt!KiSystemService+0x12 (80801012)`, or digits alone.
    fn describe_with_address(&self, address: u64) -> String {
        let digits = self.address(address);
        if self.symbol(address).is_some() { format!("{} ({digits})", self.describe(address)) } else { digits }
    }

    /// The address of a symbol, whatever letters are capitals.
    fn symbol_address(&self, name: &str) -> Option<u64> {
        let symbols = self.target.symbols();
        let name = name.strip_prefix('!').unwrap_or(name);
        let same = |known: &str| {
            let end = known.split_once('!').map_or(known, |(_, end)| end);
            known.eq_ignore_ascii_case(name) || end.eq_ignore_ascii_case(name)
        };
        symbols.address(name).or_else(|| symbols.iter().find(|(known, _)| same(known)).map(|(_, address)| address))
    }

    fn unknown_symbol(&self, name: &str, at: usize) -> Error {
        let all = self.target.symbols().iter().map(|(name, _)| name);
        let bare = |known: &'_ str| known.split_once('!').map_or(known, |(_, end)| end).to_owned();
        let known: Vec<String> =
            all.map(|known| if name.contains('!') { known.to_owned() } else { bare(known) }).collect();
        let near = nearest(name, known.iter().map(String::as_str));
        Error::at(at, format!("Couldn't resolve '{name}'")).hint(near.map(|near| format!("is it {near}?")))
    }

    /// Asks the target to stop where it is, or not.
    fn clear_interrupt(&self) {
        self.interrupt.store(false, Ordering::Relaxed);
    }
}

/// A number as wide as so many bytes: those of eight are written in halves.
fn number(value: u64, size: u64) -> String {
    if size == 8 {
        return format!("{:08x}`{:08x}", value >> 32, value & 0xFFFF_FFFF);
    }
    format!("{:0width$x}", value & (u64::MAX >> (64 - 8 * size)), width = 2 * size as usize)
}

/// There is no such command.
fn unknown(name: &str, at: usize) -> Error {
    let near = nearest(name, help::names());
    let hint = near.map_or_else(|| ".help lists the commands".to_owned(), |near| format!("is it {near}?"));
    Error::at(at, "Unknown command").hint(hint)
}

/// Tells of an error with a caret under its place, if the prompt and the line are what was shown last.
fn complain(line: &str, start: usize, error: &Error, out: &mut String) {
    let command = line.get(start..).unwrap_or_default().trim();
    let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
    match error.at {
        Some(at) => {
            let column = Kd::PROMPT.len() + line.get(..at).unwrap_or(line).chars().count();
            // Not as a width of the format: that has an end.
            say!(out, "{}^ {} in '{command}'{hint}", " ".repeat(column), error.message);
        }
        None => say!(out, "{}{hint}", error.message),
    }
}
