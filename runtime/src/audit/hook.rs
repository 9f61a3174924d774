//! Behind what has been patched: where the first foreign jump goes, and what the service's number must have been.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};
use ntgate_gen::Arch;

use super::class::Class;
use super::export::{Export, is_service_name, twin_name};
use super::guest::Guest;
use super::image::Image;
use super::run::{Call, Run, Stop, call, is_poison};

/// A stub whose place has been taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hook {
    /// The place in the image of the instruction that leaves it, or of the first one that is not a stub's.
    pub at: u32,
    /// That instruction.
    pub instruction: String,
    /// Where it goes; `None` if it ends in the image.
    pub to: Option<u64>,
    /// The number that the stub must have had, and why.
    pub original: Option<u32>,
    /// Why.
    pub basis: Vec<Basis>,
    /// What is left of the stub still enters the kernel and takes this many bytes off the stack.
    pub rest_ret_bytes: Option<u32>,
}

/// Why a number must have been a stub's.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Basis {
    /// The other of the Nt and Zw names has a stub of its own, with this number.
    Twin {
        /// Its name.
        name: String,
    },
    /// The stubs before and behind it have numbers between which there is room for the stubs between them, and no more.
    Neighbours {
        /// The one before, and its number.
        below: (String, u32),
        /// The one behind, and its number.
        above: (String, u32),
    },
    /// Bytes of the number are still there.
    Bytes,
}

impl std::fmt::Display for Basis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Twin { name } => write!(f, "{name} has it"),
            Self::Neighbours { below, above } => {
                write!(f, "{} before it has {:X}h and {} behind it {:X}h", below.0, below.1, above.0, above.1)
            }
            Self::Bytes => f.write_str("its upper bytes are still there"),
        }
    }
}

/// The most stubs in a row whose numbers are found by those around them.
const MOST_IN_A_ROW: usize = 8;

/// An export with the name of a service, and its number if it is one.
struct Place {
    rva: u32,
    name: String,
    number: Option<u32>,
}

/// A stub that has its number, beside one that has lost it.
#[derive(Clone, Copy)]
struct Beside<'a> {
    rva: u32,
    name: &'a str,
    number: u32,
}

impl Place {
    fn beside(&self) -> Option<Beside<'_>> {
        Some(Beside { rva: self.rva, name: &self.name, number: self.number? })
    }
}

/// Finds hooked stubs among what does not behave like a service and has the name of one, and what they were.
///
/// Only among stubs: a DLL that has no services of its own has nothing to hook.
pub(super) fn find(guest: &mut Guest, image: &Image<'_>, exports: &mut [Export], stops: &[(u32, Run)]) {
    let mut stubs: Vec<Place> = exports
        .iter()
        .filter(|export| is_service_name(&export.name) && !matches!(export.class, Class::Alias(_)))
        .filter_map(|export| {
            let number = if export.class == Class::Service { export.number } else { None };
            Some(Place { rva: export.rva?, name: export.name.clone(), number })
        })
        .collect();
    stubs.sort_by_key(|stub| stub.rva);
    for index in 0..exports.len() {
        let export = &exports[index];
        let Some(rva) = export.rva.filter(|&rva| is_out_of_place(export, rva, &stubs)) else { continue };
        let Some((_, run)) = stops.iter().find(|(place, _)| *place == rva) else { continue };
        let (number, basis) = original(exports, index, &stubs);
        // Who goes where nobody sent it was not sent there by a hook.
        let leaves = matches!(run.stop, Stop::Foreign(to) if !is_poison(to, image.arch));
        if !leaves && (is_jump_to_own(image, rva, exports) || !is_another(image, rva, export, run, number)) {
            continue;
        }
        let Some(mut hook) = jump(image, rva, run) else { continue };
        (hook.original, hook.basis) = (number, basis);
        let length = neighbour_length(exports, &stubs, rva);
        rest(guest, image, rva, length, &mut hook);
        let export = &mut exports[index];
        export.class = Class::Hooked;
        export.number = None;
        export.notes.insert(0, hook.to_string());
        export.hook = Some(hook);
    }
}

/// Whether something has the name and the place of a service's stub, and is none.
fn is_out_of_place(export: &Export, rva: u32, stubs: &[Place]) -> bool {
    let is_gone =
        matches!(export.class, Class::LeavesImage | Class::Unsupported | Class::NoKernelEntry | Class::Wrapper);
    let is_among_stubs = || neighbours(stubs, rva).is_some_and(|(below, above)| above.rva - below.rva < 0x1000);
    is_gone && is_service_name(&export.name) && is_among_stubs()
}

/// Whether what is in a stub's place is none, though it stays in the image: it begins as hooks do, or the row of numbers, or the
/// twin, says which one it has lost.
fn is_another(image: &Image<'_>, rva: u32, export: &Export, run: &Run, number: Option<u32>) -> bool {
    // What was not seen to its end proves nothing: NtGetTickCount reads the clock, where some systems have it among the stubs.
    let is_seen = export.class != Class::Unsupported && !matches!(run.stop, Stop::Unmodelled(_));
    is_seen && number.is_some() || begins_with_jump(image, rva)
}

/// Whether some code is nothing but a jump to another export: the DLL's own doing, as NtQuerySystemTime of Windows 10, which is
/// RtlQuerySystemTime in a stub's place.
fn is_jump_to_own(image: &Image<'_>, rva: u32, exports: &[Export]) -> bool {
    let first = decode(image, rva).into_iter().next();
    let jump = first.filter(|first| first.flow_control() == FlowControl::UnconditionalBranch);
    let target = jump.and_then(|jump| image.rva(jump.near_branch_target()));
    target.is_some_and(|target| exports.iter().any(|export| export.rva == Some(target)))
}

/// Whether some code begins as no stub does, and as hooks do: with a jump, or with a call or push of an address.
fn begins_with_jump(image: &Image<'_>, rva: u32) -> bool {
    let code = image.code_bytes(rva, 32);
    // `mov eax,address; jmp eax` is two instructions; `push; mov [esp+4],…; ret` three.
    let mut start =
        decode(image, rva).into_iter().take_while(|instruction| instruction.flow_control() != FlowControl::Return);
    let is_jump = |instruction: Instruction| match instruction.flow_control() {
        FlowControl::UnconditionalBranch => true,
        // `syscall` is one of the calls, too.
        FlowControl::Call => instruction.is_call_near(),
        _ => false,
    };
    let leads_away = |instruction: Instruction| {
        let target = image.rva(instruction.near_branch_target());
        is_jump(instruction) && target.is_none_or(|target| target.abs_diff(rva) > 0x40)
            || instruction.flow_control() == FlowControl::IndirectBranch
    };
    start.any(leads_away) || matches!(code.first(), Some(0x68 | 0xCC))
}

/// The stubs with a number next to a place: the one before, and the one behind.
fn neighbours(stubs: &[Place], rva: u32) -> Option<(Beside<'_>, Beside<'_>)> {
    let at = stubs.partition_point(|stub| stub.rva < rva);
    let below = stubs[..at].iter().rev().find_map(Place::beside)?;
    let above = stubs[at..].iter().filter(|stub| stub.rva > rva).find_map(Place::beside)?;
    Some((below, above))
}

/// The instruction that leaves the image, and where it goes.
fn jump(image: &Image<'_>, rva: u32, run: &Run) -> Option<Hook> {
    let at = run.trace.last().copied().unwrap_or(rva);
    let (at, to) = match &run.stop {
        Stop::Foreign(address) => (at, Some(*address)),
        _ => (rva, None),
    };
    let instruction = decode(image, at).first().copied()?;
    Some(Hook { at, instruction: instruction.to_string(), to, original: None, basis: Vec::new(), rest_ret_bytes: None })
}

/// The first instructions at a place.
fn decode(image: &Image<'_>, rva: u32) -> Vec<Instruction> {
    let code = image.code_bytes(rva, 60);
    let bits = if image.arch == Arch::I386 { 32 } else { 64 };
    Decoder::with_ip(bits, &code, image.base + u64::from(rva), DecoderOptions::NONE).iter().take(4).collect()
}

/// What the number must have been.
fn original(exports: &[Export], index: usize, stubs: &[Place]) -> (Option<u32>, Vec<Basis>) {
    let (mut number, mut basis) = (None, Vec::new());
    let export = &exports[index];
    if let Some(twin) = twin_name(&export.name)
        && let Some(other) = exports.iter().find(|other| other.name == twin && other.class == Class::Service)
    {
        number = other.number;
        basis.push(Basis::Twin { name: twin });
    }
    let Some(rva) = export.rva else { return (number, basis) };
    if let Some((below, above)) = neighbours(stubs, rva) {
        let from = stubs.partition_point(|stub| stub.rva <= below.rva);
        let to = stubs.partition_point(|stub| stub.rva < above.rva);
        let mut places: Vec<u32> = stubs[from..to].iter().map(|stub| stub.rva).collect();
        places.dedup();
        let fits =
            above.number.checked_sub(below.number) == Some(places.len() as u32 + 1) && places.len() <= MOST_IN_A_ROW;
        if let (true, Some(step)) = (fits, places.iter().position(|place| *place == rva)) {
            let found = below.number + step as u32 + 1;
            if number.is_none_or(|number| number == found) {
                number = Some(found);
                let [below, above] = [below, above].map(|stub| (stub.name.to_owned(), stub.number));
                basis.push(Basis::Neighbours { below, above });
            }
        }
    }
    (number, basis)
}

/// How long the stub of a neighbour is, and where its number stands.
fn neighbour_length(exports: &[Export], stubs: &[Place], rva: u32) -> Option<(usize, usize)> {
    let (below, _) = neighbours(stubs, rva)?;
    let export = exports.iter().find(|export| export.rva == Some(below.rva) && export.class == Class::Service)?;
    let number = export.number?.to_le_bytes();
    let at = export.bytes.windows(5).position(|bytes| bytes[0] == 0xB8 && bytes[1..] == number)?;
    Some((at + 1, at + 5))
}

/// Executes what is left of the stub, behind its number; and compares what is left of that.
fn rest(guest: &mut Guest, image: &Image<'_>, rva: u32, number_at: Option<(usize, usize)>, hook: &mut Hook) {
    let Some((start, end)) = number_at else { return };
    let wanted = Call { rva: rva + end as u32, is_kernel: false, seed: 0, answers: &[], budget: 64 };
    let run = call(guest, image, wanted);
    if let [one] = run.crossings.as_slice()
        && run.stop == Stop::Returned
        && (one.register.is_some() || image.arch != Arch::I386)
    {
        hook.rest_ret_bytes = u32::try_from(run.popped).ok();
    }
    let code = image.code_bytes(rva, end as u32);
    let taken = super::shape::length(image.arch, &code);
    if let Some(left) = code.get(start.max(taken)..end).filter(|left| !left.is_empty() && taken > start)
        && let Some(number) = hook.original
        && number.to_le_bytes().ends_with(left)
    {
        hook.basis.push(Basis::Bytes);
    }
}

impl std::fmt::Display for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.to {
            Some(to) => write!(f, "`{}` at +{:X}h goes to {to:X}h", self.instruction, self.at)?,
            None => write!(f, "`{}` at +{:X}h is no stub's", self.instruction, self.at)?,
        }
        if let Some(number) = self.original {
            let why = self.basis.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            write!(f, "; the number was {number:X}h: {why}")?;
        }
        if let Some(bytes) = self.rest_ret_bytes {
            write!(f, "; the rest of the stub is whole, and takes {bytes} bytes off the stack")?;
        }
        Ok(())
    }
}
