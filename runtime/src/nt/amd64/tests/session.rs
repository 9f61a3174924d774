//! Tools for the tests that run a program of ring 3: the program is written with an assembler that knows the addresses.

use std::collections::BTreeMap;

use iced_x86::code_asm::{
    AsmMemoryOperand, AsmRegister64, CodeAssembler, CodeLabel, eax, edx, qword_ptr, r8, r9, rax, rcx, rdx, rsp,
};
use iced_x86::{BlockEncoderOptions, IcedError};

use super::boots::Boot;
use super::*;

/// What ntdll calls, what ends a program, and what the tests call themselves.
pub(super) const SERVICES: &str = "NtCallbackReturn 3\nNtContinue 2\nNtQueueApcThread 5\nNtRaiseException 3\n\
    NtTerminateProcess 2\nNtTestAlert 0\nNtSetInformationProcess 4\nNtTest 2\nNtOther 1\n";

/// Qwords that a program can note.
pub(super) const NOTES: u32 = 0x60;

/// Where programs begin with their stack: room for the home areas and arguments of what they call.
const STACK_ROOM: u64 = 0x100;

/// A program in the making.
pub(super) struct Program {
    pub(super) a: CodeAssembler,
    pub(super) profile: Profile,
    symbols: BTreeMap<String, u64>,
    /// Code that is called from elsewhere; addresses of the pass before.
    labels: Vec<CodeLabel>,
    known: Vec<u64>,
}

impl Program {
    /// The address of a symbol.
    pub(super) fn at(&self, name: &str) -> u64 {
        self.symbols.get(name).copied().unwrap_or(self.profile.user_text)
    }

    /// Jumps to code anywhere, as a call. RAX is used up.
    pub(super) fn call_at(&mut self, target: u64) -> Result<(), IcedError> {
        self.a.mov(rax, target)?;
        self.a.call(rax)
    }

    /// Calls a function of ntdll with these arguments.
    pub(super) fn call(&mut self, name: &str, arguments: &[u64]) -> Result<(), IcedError> {
        for (index, argument) in arguments.iter().enumerate().skip(4) {
            self.a.mov(rax, *argument)?;
            self.a.mov(qword_ptr(rsp + (8 * index as u32)), rax)?;
        }
        for (register, argument) in [rcx, rdx, r8, r9].into_iter().zip(arguments) {
            self.a.mov(register, *argument)?;
        }
        let target = self.at(&format!("ntdll!{name}"));
        self.call_at(target)
    }

    /// The address of a note.
    pub(super) fn note_at(&self, index: u32) -> u64 {
        assert!(index < NOTES);
        self.profile.user_data + u64::from(8 * index)
    }

    /// A note as an operand.
    pub(super) fn note(&self, index: u32) -> AsmMemoryOperand {
        qword_ptr(self.note_at(index))
    }

    /// Notes a register.
    pub(super) fn keep(&mut self, index: u32, register: AsmRegister64) -> Result<(), IcedError> {
        let note = self.note(index);
        self.a.mov(note, register)
    }

    /// Marks a place, which [`place`](Self::place) gives the address of.
    pub(super) fn mark(&mut self, place: usize) -> Result<(), IcedError> {
        let mut label = self.labels[place];
        self.a.set_label(&mut label)?;
        self.labels[place] = label;
        Ok(())
    }

    /// The address of a place.
    pub(super) fn place(&self, place: usize) -> u64 {
        self.known.get(place).copied().unwrap_or(self.profile.user_text)
    }

    /// Has exceptions go to a place.
    pub(super) fn install(&mut self, place: usize) -> Result<(), IcedError> {
        let handler = self.place(place);
        self.call("RtlAddVectoredExceptionHandler", &[1, handler])
    }

    /// Shows the notes and ends.
    pub(super) fn end(&mut self) -> Result<(), IcedError> {
        let notes = self.note_at(0);
        self.a.mov(eax, crate::nt::request::DUMP)?;
        self.a.mov(rcx, notes)?;
        self.a.mov(edx, NOTES)?;
        self.a.int(0x2D)?;
        self.a.int3()?;
        self.call("NtTerminateProcess", &[u64::MAX, 0])
    }
}

/// The stack pointer of a program.
pub(super) fn stack(profile: &Profile) -> u64 {
    profile.user_stack - STACK_ROOM
}

/// Writes a program.
pub(super) type Code<'a> = Box<dyn Fn(&mut Program) -> Result<(), IcedError> + 'a>;

/// Writes code of ring 0: what it is given tells the address of a symbol.
pub(super) type Routine0<'a> = Box<dyn Fn(&mut CodeAssembler, &dyn Fn(&str) -> u64) -> Result<(), IcedError> + 'a>;

/// A session to be built.
pub(super) struct Case<'a> {
    pub(super) profile: &'a Profile,
    pub(super) list: &'a str,
    pub(super) program: Code<'a>,
    /// Places that are callbacks, in the order of their numbers.
    pub(super) callbacks: &'a [usize],
    pub(super) routines: Vec<(&'a str, Routine0<'a>)>,
    pub(super) session: Session,
    /// What the stubs that ask find at SharedUserData+308h.
    pub(super) system_call: SystemCall,
}

impl<'a> Case<'a> {
    pub(super) fn new(profile: &'a Profile, program: impl Fn(&mut Program) -> Result<(), IcedError> + 'a) -> Self {
        let (program, session) = (Box::new(program), Session::default());
        let system_call = SystemCall::Syscall;
        Self { profile, list: SERVICES, program, callbacks: &[], routines: Vec::new(), session, system_call }
    }

    /// A service with a routine of its own.
    pub(super) fn service(
        mut self,
        name: &'a str,
        emit: impl Fn(&mut CodeAssembler, &dyn Fn(&str) -> u64) -> Result<(), IcedError> + 'a,
    ) -> Self {
        self.routines.retain(|(service, _)| *service != name);
        self.routines.push((name, Box::new(emit)));
        self
    }

    /// The image, and the places' addresses, which the first of two passes finds.
    pub(super) fn build(&self) -> (Image, Vec<u64>) {
        const PLACES: usize = 16;
        let mut plan = plan(self.list, self.profile.shapes);
        // Of `syscall-or-int2e` the first set has the other way.
        plan.sets.sort_by_key(|set| set.system_call != self.system_call);
        let kernel = Kernel::new(self.profile).expect("the profile is right");
        let mut session = self.session.clone();
        for (index, (service, emit)) in self.routines.iter().enumerate() {
            let mut a = CodeAssembler::new(64).expect("64 bits are possible");
            let symbol = |name: &str| kernel.symbol(name).unwrap_or_else(|| panic!("no symbol {name}"));
            emit(&mut a, &symbol).expect("the instructions exist");
            let code = a.assemble(kernel.routine_address(index)).expect("it assembles");
            session.routines.push(ServiceRoutine { service: (*service).to_owned(), code });
        }
        let mut known = Vec::new();
        for _ in 0..2 {
            let image = kernel.session(&plan, &session).unwrap_or_else(|error| panic!("{error}"));
            let symbols = image.symbols.into_iter().map(|symbol| (symbol.name, symbol.address)).collect();
            let mut a = CodeAssembler::new(64).expect("64 bits are possible");
            let labels = (0..PLACES).map(|_| a.create_label()).collect();
            let profile = self.profile.clone();
            let mut program = Program { a, profile, symbols, labels, known: known.clone() };
            program.a.sub(rsp, STACK_ROOM as i32).expect("the instruction exists");
            (self.program)(&mut program).expect("the instructions exist");
            let options = BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS;
            let result = program.a.assemble_options(self.profile.user_text, options).expect("it assembles");
            known = program.labels.iter().map(|label| result.label_ip(label).unwrap_or(0)).collect();
            session.program = result.inner.code_buffer;
            session.callbacks = self.callbacks.iter().map(|place| known[*place]).collect();
        }
        (kernel.session(&plan, &session).expect("it was built before"), known)
    }

    /// Runs it to its end; gives the notes.
    pub(super) fn run(&self, boot: Boot) -> Vec<u64> {
        self.run_with_places(boot).0
    }

    /// The same, with the places.
    pub(super) fn run_with_places(&self, boot: Boot) -> (Vec<u64>, Vec<u64>) {
        let (image, places) = self.build();
        let (log, exit) = boot(&image);
        assert_eq!(exit, 0, "{}: {log}", self.profile.name);
        (notes(&log), places)
    }
}

/// Every profile with every way into the kernel that its stubs have.
pub(super) fn ways() -> impl Iterator<Item = (&'static Profile, SystemCall)> {
    let both = [SystemCall::Syscall, SystemCall::Interrupt];
    let pairs = Profile::ALL.into_iter().flat_map(move |profile| both.map(|way| (profile, way)));
    pairs.filter(|(profile, way)| *way == SystemCall::Syscall || profile.shapes[0] == Shape::SyscallOrInt2e)
}

/// What a program has noted.
pub(super) fn notes(log: &str) -> Vec<u64> {
    numbers(log, "d")
}

/// The numbers of the line that begins with this word.
pub(super) fn numbers(log: &str, word: &str) -> Vec<u64> {
    let line = log.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("no line {word} in {log}"));
    line.split(' ').map(|number| u64::from_str_radix(number, 16).expect("it is hexadecimal")).collect()
}
