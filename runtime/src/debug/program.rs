//! Programs of ring 3 that call services, one after the other.

use iced_x86::code_asm::{CodeAssembler, eax, edx, qword_ptr, r8, r9, rax, rcx, rdx, rsp};

use ntgate_gen::ServiceList;

use crate::host::{self, BoxError, Call, NtStatus, Places};

/// The handle that the [usual program](usual) may close.
const HANDLE: u64 = 4;

/// A service and the arguments that it is called with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Its name: `NtClose`.
    pub service: String,
    /// As many as it takes. On i386 the low halves count.
    pub arguments: Vec<u64>,
}

impl Called {
    /// A call.
    #[must_use]
    pub fn new(service: &str, arguments: &[u64]) -> Self {
        Self { service: service.to_owned(), arguments: arguments.to_vec() }
    }
}

/// What [`Builder::program`](host::Builder::program) takes: a program that makes these calls and ends by NtTerminateProcess
/// with the status of the last one.
///
/// # Errors
/// That of the program: a service that the list does not have.
pub fn calling(calls: Vec<Called>) -> impl FnOnce(&Places) -> Result<Vec<u8>, BoxError> {
    move |places| {
        let mut a = CodeAssembler::new(places.bits())?;
        for call in &calls {
            let stub = places.stub(&call.service)?;
            self::call(&mut a, stub, &call.arguments)?;
        }
        let terminate = places.stub("NtTerminateProcess")?;
        if places.bits() == 32 {
            a.push(eax)?;
            a.push(-1)?;
        } else {
            a.mov(edx, eax)?;
            a.mov(rcx, -1i64)?;
        }
        a.call(terminate)?;
        Ok(a.assemble(places.start())?)
    }
}

/// A call of a stub in the code's own way: RSP is at a multiple of 16.
pub(super) fn call(a: &mut CodeAssembler, stub: u64, arguments: &[u64]) -> Result<(), BoxError> {
    if a.bitness() == 32 { call32(a, stub, arguments) } else { call64(a, stub, arguments) }
}

/// The stub pops the arguments.
fn call32(a: &mut CodeAssembler, stub: u64, arguments: &[u64]) -> Result<(), BoxError> {
    for argument in arguments.iter().rev() {
        a.push(*argument as u32)?;
    }
    Ok(a.call(stub)?)
}

/// With a home for the first four arguments, and RSP at a multiple of 16, as it is when the program begins.
fn call64(a: &mut CodeAssembler, stub: u64, arguments: &[u64]) -> Result<(), BoxError> {
    let room = i32::try_from(arguments.len().max(4).next_multiple_of(2) * 8)?;
    a.sub(rsp, room)?;
    for (index, argument) in (0i32..).zip(arguments) {
        match index {
            0 => a.mov(rcx, *argument)?,
            1 => a.mov(rdx, *argument)?,
            2 => a.mov(r8, *argument)?,
            3 => a.mov(r9, *argument)?,
            _ => {
                a.mov(rax, *argument)?;
                a.mov(qword_ptr(rsp + 8 * index), rax)?;
            }
        }
    }
    a.call(stub)?;
    Ok(a.add(rsp, room)?)
}

/// A system, its usual one if none is named, with the program that a debugger finds when nothing else was asked for: it yields,
/// closes handle 4 and then one that is not open, writes, and ends. Every call comes back with what a real system would say to
/// it. A list may be given instead of the system's own; the program leaves out what it does not have.
#[must_use]
pub fn usual(profile: Option<&str>, list: Option<&ServiceList>) -> host::Builder<'static> {
    let has = |name: &str| list.is_none_or(|list| list.primary().by_name(name).is_some());
    let mut calls = vec![
        Called::new("NtYieldExecution", &[]),
        Called::new("NtClose", &[HANDLE]),
        Called::new("NtClose", &[0xBAD0]),
        Called::new("NtWriteFile", &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ];
    calls.retain(|call| has(&call.service));
    let mut builder = host::Machine::builder().program(calling(calls));
    for (name, serve) in SERVED {
        if has(name) {
            builder = builder.service(name, serve);
        }
    }
    if let Some(profile) = profile {
        builder = builder.profile(profile);
    }
    if let Some(list) = list {
        builder = builder.list(list);
    }
    builder
}

/// A service of the host.
type Serve = fn(&mut Call<'_>) -> Result<(), NtStatus>;

/// What the usual program calls.
const SERVED: [(&str, Serve); 3] = [
    ("NtYieldExecution", |_| Err(NtStatus(NO_YIELD_PERFORMED))),
    ("NtClose", |call| if call.argument(0)? == HANDLE { Ok(()) } else { Err(NtStatus::INVALID_HANDLE) }),
    ("NtWriteFile", |_| Ok(())),
];

/// `STATUS_NO_YIELD_PERFORMED`: nobody else wanted to run.
const NO_YIELD_PERFORMED: u32 = 0x4000_0024;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::debug::{Stop, Target};
    use crate::host::End;

    #[test]
    fn the_usual_program_makes_its_calls_and_ends() {
        for profile in ["nt4", "srv2003", "win8", "win7-x64", "win10-x64"] {
            let mut target = Target::boot(usual(Some(profile), None)).expect("it boots");
            let terminate = target.symbols().address("ntdll!NtTerminateProcess").expect("there is one");
            let mut seen = Vec::new();
            for name in ["NtYieldExecution", "NtClose", "NtWriteFile"] {
                let stub = target.symbols().address(&format!("ntdll!{name}")).expect("there is one");
                target.set_breakpoint(stub);
            }
            target.set_breakpoint(terminate);
            while let Stop::Breakpoint(at) = target.go(1_000_000, &|| false) {
                seen.push(target.symbols().describe(at));
            }
            let names = ["NtYieldExecution", "NtClose", "NtClose", "NtWriteFile", "NtTerminateProcess"];
            assert_eq!(seen, names.map(|name| format!("ntdll!{name}")), "{profile}");
            assert_eq!(target.end(), Some(&End::Exit(NtStatus::SUCCESS)), "{profile}");
        }
    }

    #[test]
    fn it_makes_do_with_a_short_list() {
        let names = ["NtClose 1", "NtContinue 2", "NtRaiseException 3", "NtCallbackReturn 3", "NtTerminateProcess 2"];
        let read = ntgate_gen::read_list("short.lst", names.join("\n").as_bytes()).expect("it is right");
        let mut target = Target::boot(usual(None, Some(&read.list))).expect("it boots");
        assert_eq!(target.go(1_000_000, &|| false), Stop::End(End::Exit(NtStatus::INVALID_HANDLE)));
    }

    #[test]
    fn every_argument_arrives() {
        for profile in ["win2000", "srv2003", "win7-x64"] {
            let seen = Rc::new(RefCell::new(Vec::new()));
            let inner = Rc::clone(&seen);
            let numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9];
            let builder = host::Machine::builder()
                .profile(profile)
                .service("NtWriteFile", move |call| {
                    for index in 0..9 {
                        inner.borrow_mut().push(call.argument(index)?);
                    }
                    Err(NtStatus(0x1234))
                })
                .program(calling(vec![Called::new("NtWriteFile", &numbers)]));
            let end = builder.build().expect("the names are right").run(1_000_000);
            assert_eq!(end, End::Exit(NtStatus(0x1234)), "{profile}");
            assert_eq!(*seen.borrow(), numbers, "{profile}");
        }
    }

    #[test]
    fn a_service_that_the_list_does_not_have_is_an_error() {
        let builder = host::Machine::builder().program(calling(vec![Called::new("NtCloze", &[])]));
        let error = builder.build().expect_err("there is none").to_string();
        assert!(error.contains("NtCloze") && error.contains("NtClose"), "{error}");
    }
}
