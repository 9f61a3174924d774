//! `k`: who called whom, through trap frames into ring 3.

use iced_x86::FlowControl;

use super::arguments::Arguments;
use super::error::Error;
use super::register::Context;
use super::{Kd, say};
use crate::debug::{Guest, types};

/// The most frames.
const MOST: u64 = 0x40;

/// Bytes of the longest call.
const LONGEST_CALL: u64 = 7;

/// The most words that are looked through for the next return address.
const FARTHEST: u64 = 0x400;

/// Beginnings of the names of routines that run on a trap frame itself: what they called has returned, and what stands between
/// the stack pointer and the frame are arguments.
const ON_THE_FRAME: [&str; 14] = [
    "nt!KiSystemService",
    "nt!KiFastCallEntry",
    "nt!KiSystemCall",
    "nt!KiServiceExit",
    "nt!KiServiceInternal",
    "nt!KiTrap",
    "nt!KiUser",
    "nt!KiBBTUnexpectedRange",
    "nt!KiInvalidSystemService",
    "nt!Kei386EoiHelper",
    "reactos!KiSystemService",
    "reactos!KiSystemCallEntry",
    "reactos!KiSystemCall64",
    "reactos!KiZwSystemService",
];

/// `k`.
pub(super) fn k(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let most = arguments.optional(kd)?.unwrap_or(MOST);
    arguments.end()?;
    show(kd, &kd.context(), most, out);
    Ok(())
}

/// The calls that lead to where these registers are.
pub(super) fn show(kd: &Kd, context: &Context, most: u64, out: &mut String) {
    match kd.guest() {
        Guest::I386(_) => say!(out, "ChildESP RetAddr"),
        Guest::Amd64(_) => say!(out, "Child-SP          RetAddr           Call Site"),
    }
    let (mut now, mut returned) = (*context, false);
    for _ in 0..most {
        let (way, next) = caller(kd, &now, returned);
        let back = next.as_ref().map_or(0, |next| next.ip);
        let site = if returned { behind_call(kd, now.ip) } else { kd.describe(now.ip) };
        let note = match way {
            Way::Return => String::new(),
            Way::Frame(frame) => format!(" (TrapFrame @ {})", kd.address(frame)),
            Way::Registers => " (no frame)".to_owned(),
        };
        say!(out, "{} {} {site}{note}", kd.address(now.sp()), kd.address(back));
        match next {
            Some(next) => (now, returned) = (next, way == Way::Return),
            None => break,
        }
    }
}

/// A return address by the routine that the call is in: a call may be its last instruction.
fn behind_call(kd: &Kd, address: u64) -> String {
    match kd.symbol(address.wrapping_sub(1)) {
        Some((name, offset)) => format!("{name}+0x{:x}", offset + 1),
        None => kd.describe(address),
    }
}

/// How the caller was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By a return address on the stack, or not at all.
    Return,
    /// By a trap frame.
    Frame(u64),
    /// By the registers of the entry or of `sysret`.
    Registers,
}

/// The registers of the caller, as far as they are known, and how they were found.
fn caller(kd: &Kd, now: &Context, returned: bool) -> (Way, Option<Context>) {
    let frame = kd.trap_frame(now);
    if let Some(user) = kd.entering(now).filter(|_| frame.is_none()) {
        return (Way::Registers, Some(user));
    }
    let end = frame.or_else(|| stack_end(kd, now));
    // A call may be a routine's last instruction.
    let name = kd.symbol(now.ip.wrapping_sub(returned.into())).map_or("", |(name, _)| name);
    let on_frame = frame.is_some() && ON_THE_FRAME.iter().any(|beginning| name.starts_with(beginning));
    let found = return_address(kd, now.sp(), end).or_else(|| stub_return(kd, now, name));
    if let Some(found) = found.filter(|_| !on_frame) {
        let mut next = *now;
        let size = kd.guest().pointer();
        next.ip = kd.read_pointer(found).unwrap_or_default();
        next.general[4] = kd.narrow(found.wrapping_add(size));
        return (Way::Return, Some(next));
    }
    match frame {
        Some(frame) => (Way::Frame(frame), kd.frame_context(frame)),
        None => (Way::Return, None),
    }
}

/// Where the stack in use ends.
fn stack_end(kd: &Kd, now: &Context) -> Option<u64> {
    if now.cpl() == 0 {
        return kd.thread_pointer("InitialStack");
    }
    let offset = types::structure(kd.guest(), "_TEB")?.field("StackBase")?.offset;
    kd.read_pointer(kd.guest().teb() + u64::from(offset))
}

/// The place of the first word on the stack that stands behind a call: code here keeps no chain of frames.
fn return_address(kd: &Kd, sp: u64, end: Option<u64>) -> Option<u64> {
    let size = kd.guest().pointer();
    let places = (0..FARTHEST).map(|index| kd.narrow(sp.wrapping_add(index * size)));
    let places = places.take_while(|at| end.is_none_or(|end| *at < end));
    for at in places {
        let value = kd.read_pointer(at)?;
        if is_behind_call(kd, value) {
            return Some(at);
        }
    }
    None
}

/// In a stub of ring 3 the return address is what the stack pointer points to, whoever put it there.
fn stub_return(kd: &Kd, now: &Context, name: &str) -> Option<u64> {
    let in_stub = now.cpl() == 3 && (name.starts_with("ntdll!Zw") || name.starts_with("ntdll!Nt"));
    let back = kd.read_pointer(now.sp()).filter(|_| in_stub)?;
    kd.target().instruction(back).map(|_| now.sp())
}

fn is_behind_call(kd: &Kd, address: u64) -> bool {
    (2..=LONGEST_CALL).any(|length| {
        let instruction = kd.target().instruction(kd.narrow(address.wrapping_sub(length)));
        instruction.is_some_and(|instruction| {
            instruction.len() as u64 == length
                && matches!(instruction.flow_control(), FlowControl::Call | FlowControl::IndirectCall)
                && !super::run::is_entry(&instruction)
        })
    })
}
