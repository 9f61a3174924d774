//! A tiny program of ring 3 that writes "hello" by NtWriteFile, on every system: its stub takes the way into the kernel that the
//! system had, and a closure of this program is the service.
//!
//! ```text
//! $ cargo run --release --example hello_ntdll
//! nt4            int2e     NtWriteFile C8h   hello
//! win2000        int2e     NtWriteFile EDh   hello
//! winxp          sysenter  NtWriteFile 112h  hello
//! ...
//! ```

use std::error::Error;
use std::io::{self, Write};

use iced_x86::code_asm::{CodeAssembler, eax, edx, qword_ptr, r8, r9, rax, rcx, rdx, rsp};
use ntgate::ntgate_gen::read_list;
use ntgate::ntgate_runtime::host::{BoxError, Call, End, Machine, NtStatus, Places, profiles};

/// What the program writes.
const TEXT: &[u8] = b"hello";

/// The handle that it writes to. There is only this one.
const OUTPUT: u64 = 7;

/// Instructions that no system comes near.
const BUDGET: u64 = 10_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    for line in lines()? {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// A line for each system.
pub(crate) fn lines() -> Result<Vec<String>, Box<dyn Error>> {
    let list = read_list("sysfuncs.lst", ntgate::SYSFUNCS)?.list;
    let mut lines = Vec::new();
    for profile in profiles() {
        let (mut text, mut way) = (Vec::new(), String::new());
        let mut builder = Machine::builder()
            .profile(profile)
            .service("NtWriteFile", |call| {
                way = format!("{:<9} NtWriteFile {:<6}", call.entry(), format!("{:X}h", call.number()));
                write_file(call, &mut text)
            })
            .program(program);
        if profile.starts_with("reactos") {
            // The systems have lists of their own; ReactOS's is the one that comes with ntgate.
            builder = builder.list(&list);
        }
        let end = builder.build()?.run(BUDGET);
        if end != End::Exit(NtStatus::SUCCESS) {
            return Err(format!("{profile}: {end}").into());
        }
        lines.push(format!("{profile:<14} {way}{}", String::from_utf8_lossy(&text)));
    }
    Ok(lines)
}

/// NtWriteFile(FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock, Buffer, Length, ByteOffset, Key).
fn write_file(call: &mut Call<'_>, text: &mut Vec<u8>) -> Result<(), NtStatus> {
    if call.argument(0)? != OUTPUT {
        return Err(NtStatus::INVALID_HANDLE);
    }
    let length = call.argument_u32(6)?;
    let bytes = call.read_bytes(call.argument(5)?, length.into())?;
    call.write_io_status(call.argument(4)?, NtStatus::SUCCESS, length.into())?;
    text.extend(bytes);
    Ok(())
}

/// `NtTerminateProcess(NtCurrentProcess(), NtWriteFile(..))`.
fn program(places: &Places) -> Result<Vec<u8>, BoxError> {
    let mut a = CodeAssembler::new(places.bits())?;
    let mut text = a.create_label();
    let mut behind = a.create_label();
    a.jmp(behind)?;
    a.set_label(&mut text)?;
    a.db(TEXT)?;
    a.set_label(&mut behind)?;
    // The text stands behind the jump, which takes two bytes.
    let buffer = places.start() + 2;
    let arguments = [OUTPUT, 0, 0, 0, places.data(), buffer, TEXT.len() as u64, 0, 0];
    call(&mut a, places, "NtWriteFile", &arguments)?;
    if places.bits() == 32 {
        a.push(eax)?;
        a.push(-1)?;
        a.call(places.stub("NtTerminateProcess")?)?;
    } else {
        a.mov(edx, eax)?;
        a.mov(rcx, -1i64)?;
        a.call(places.stub("NtTerminateProcess")?)?;
    }
    Ok(a.assemble(places.start())?)
}

/// Calls a stub as the architecture's convention has it.
fn call(a: &mut CodeAssembler, places: &Places, service: &str, arguments: &[u64]) -> Result<(), BoxError> {
    let stub = places.stub(service)?;
    if places.bits() == 32 {
        for argument in arguments.iter().rev() {
            a.push(*argument as u32)?;
        }
        a.call(stub)?;
        return Ok(());
    }
    let room = i32::try_from(arguments.len().next_multiple_of(2).max(4) * 8)?;
    // RSP is at a multiple of 16 before every call.
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
    Ok(())
}
