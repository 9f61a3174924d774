//! Tools for the tests that run a program of ring 3: the program is written with an assembler that knows the addresses.

use std::collections::BTreeMap;

use iced_x86::IcedError;
use iced_x86::code_asm::{CodeAssembler, CodeLabel, dword_ptr, eax, ecx, edx};

use super::boots::Boot;
use super::*;

/// What ntdll calls, what ends a program, and what the tests call themselves.
pub(super) const SERVICES: &str = "NtCallbackReturn 3\nNtContinue 2\nNtQueueApcThread 5\nNtRaiseException 3\n\
    NtTerminateProcess 2\nNtTestAlert 0\nNtTest 2\nNtOther 1\n";

/// Dwords that a program can note.
pub(super) const NOTES: u32 = 0x40;

/// A program in the making.
pub(super) struct Program {
    pub(super) a: CodeAssembler,
    pub(super) profile: Profile,
    symbols: BTreeMap<String, u32>,
    /// Code that is called from elsewhere; addresses of the pass before.
    labels: Vec<CodeLabel>,
    known: Vec<u32>,
}

impl Program {
    /// The address of a symbol.
    pub(super) fn at(&self, name: &str) -> u32 {
        self.symbols.get(name).copied().unwrap_or(self.profile.user_text)
    }

    /// Calls a stub with these arguments.
    pub(super) fn call(&mut self, name: &str, arguments: &[u32]) -> Result<(), IcedError> {
        for argument in arguments.iter().rev() {
            self.a.push(*argument)?;
        }
        let stub = self.at(&format!("ntdll!{name}"));
        self.a.call(u64::from(stub))
    }

    /// The address of a note.
    pub(super) fn note(&self, index: u32) -> u32 {
        assert!(index < NOTES);
        self.profile.user_data + 4 * index
    }

    /// Notes EAX.
    pub(super) fn keep(&mut self, index: u32) -> Result<(), IcedError> {
        let note = self.note(index);
        self.a.mov(dword_ptr(note), eax)
    }

    /// Marks a place, which [`place`](Self::place) gives the address of.
    pub(super) fn mark(&mut self, place: usize) -> Result<(), IcedError> {
        let mut label = self.labels[place];
        self.a.set_label(&mut label)?;
        self.labels[place] = label;
        Ok(())
    }

    /// The address of a place.
    pub(super) fn place(&self, place: usize) -> u32 {
        self.known.get(place).copied().unwrap_or(self.profile.user_text)
    }

    /// Shows the notes and ends.
    pub(super) fn end(&mut self) -> Result<(), IcedError> {
        let notes = self.note(0);
        self.a.mov(eax, crate::nt::request::DUMP)?;
        self.a.mov(ecx, notes)?;
        self.a.mov(edx, NOTES)?;
        self.a.int(0x2D)?;
        self.a.int3()?;
        self.call("NtTerminateProcess", &[u32::MAX, 0])
    }
}

/// Writes a program.
pub(super) type Code<'a> = Box<dyn Fn(&mut Program) -> Result<(), IcedError> + 'a>;

/// Writes code of ring 0: what it is given tells the address of a symbol.
pub(super) type Routine0<'a> = Box<dyn Fn(&mut CodeAssembler, &dyn Fn(&str) -> u32) -> Result<(), IcedError> + 'a>;

/// A session to be built.
pub(super) struct Case<'a> {
    pub(super) profile: &'a Profile,
    pub(super) list: &'a str,
    pub(super) program: Code<'a>,
    /// Places that are callbacks, in the order of their numbers.
    pub(super) callbacks: &'a [usize],
    pub(super) routines: Vec<(&'a str, Routine0<'a>)>,
    pub(super) session: Session,
}

impl<'a> Case<'a> {
    pub(super) fn new(profile: &'a Profile, program: impl Fn(&mut Program) -> Result<(), IcedError> + 'a) -> Self {
        let (program, session) = (Box::new(program), Session::default());
        Self { profile, list: SERVICES, program, callbacks: &[], routines: Vec::new(), session }
    }

    /// A service with a routine of its own.
    pub(super) fn service(
        mut self,
        name: &'a str,
        emit: impl Fn(&mut CodeAssembler, &dyn Fn(&str) -> u32) -> Result<(), IcedError> + 'a,
    ) -> Self {
        self.routines.retain(|(service, _)| *service != name);
        self.routines.push((name, Box::new(emit)));
        self
    }

    /// The image, and the places' addresses, which the first of two passes finds.
    pub(super) fn build(&self) -> (Image, Vec<u32>) {
        const PLACES: usize = 16;
        let shape = self.profile.shapes[0];
        let plan = plan(self.list, &[shape, Shape::Zw]);
        let kernel = Kernel::new(self.profile).expect("the profile is right");
        let mut session = self.session.clone();
        for (index, (service, emit)) in self.routines.iter().enumerate() {
            let mut a = CodeAssembler::new(32).expect("32 bits are possible");
            let symbol = |name: &str| kernel.symbol(name).unwrap_or_else(|| panic!("no symbol {name}"));
            emit(&mut a, &symbol).expect("the instructions exist");
            let code = a.assemble(kernel.routine_address(index).into()).expect("it assembles");
            session.routines.push(ServiceRoutine { service: (*service).to_owned(), code });
        }
        let mut known = Vec::new();
        for _ in 0..2 {
            let image = kernel.session(&plan, &session).unwrap_or_else(|error| panic!("{error}"));
            let symbols = image.symbols.into_iter().map(|symbol| (symbol.name, symbol.address)).collect();
            let mut a = CodeAssembler::new(32).expect("32 bits are possible");
            let labels = (0..PLACES).map(|_| a.create_label()).collect();
            let profile = self.profile.clone();
            let mut program = Program { a, profile, symbols, labels, known: known.clone() };
            (self.program)(&mut program).expect("the instructions exist");
            let options = iced_x86::BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
            let result = program.a.assemble_options(self.profile.user_text.into(), options).expect("it assembles");
            known = program.labels.iter().map(|label| result.label_ip(label).unwrap_or(0) as u32).collect();
            session.program = result.inner.code_buffer;
            session.callbacks = self.callbacks.iter().map(|place| known[*place]).collect();
        }
        (kernel.session(&plan, &session).expect("it was built before"), known)
    }

    /// Runs it to its end; gives the notes.
    pub(super) fn run(&self, boot: Boot, cpu: &str) -> Vec<u32> {
        let (image, _) = self.build();
        let (log, exit) = boot(&image, cpu);
        assert_eq!(exit, 0, "{} {cpu}: {log}", self.profile.name);
        notes(&log)
    }
}

/// What a program has noted.
pub(super) fn notes(log: &str) -> Vec<u32> {
    dwords(log, "d")
}

/// The dwords of the line that begins with this word.
pub(super) fn dwords(log: &str, word: &str) -> Vec<u32> {
    let line = log.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no line {word} in {log}"));
    line.split(' ').map(|dword| u32::from_str_radix(dword, 16).expect("it is hexadecimal")).collect()
}

/// The CPU on which a profile enters by SYSENTER if it ever does.
pub(super) const CPU: &str = "pentium2";
