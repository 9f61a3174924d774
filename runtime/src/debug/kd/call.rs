//! `call`: one call of a service from ring 3.

use super::arguments::Arguments;
use super::error::Error;
use super::system::ServiceTable;
use super::{Kd, stop};
use crate::debug::Guest;

/// Registers with the first arguments of a 64-bit routine: RCX, RDX, R8, R9.
const REGISTERS: [u8; 4] = [1, 2, 8, 9];

/// Number of the stack pointer.
const SP: u8 = 4;

/// `call SERVICE [ARGUMENT]...`: writes arguments and a return address by the calling convention, and goes to the stub.
pub(super) fn call(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    kd.runnable(arguments)?;
    let place = arguments.place();
    let name = arguments.name();
    if name.is_empty() {
        return Err(Error::at(place, "A service expected, as NtWriteFile"));
    }
    let name = name.strip_prefix("ntdll!").unwrap_or(name);
    let name = name.strip_prefix("Zw").map_or_else(|| name.to_owned(), |rest| format!("Nt{rest}"));
    let found = kd.target().places().stubs().find(|(known, _)| known.eq_ignore_ascii_case(&name));
    let Some((service, stub)) = found.map(|(known, stub)| (known.to_owned(), stub)) else {
        return Err(
            Error::at(place, format!("Couldn't resolve '{name}': ntdll has no such stub")).hint(near(kd, &name))
        );
    };
    let place = arguments.place();
    let mut values = Vec::new();
    while !arguments.is_empty() {
        values.push(arguments.expression(kd)?);
        arguments.take_prefix(",");
    }
    let count = argument_count(kd, &service).unwrap_or(values.len());
    if values.len() > count {
        let plural = if count == 1 { "" } else { "s" };
        return Err(Error::at(place, format!("{service} takes {count} argument{plural}")));
    }
    values.resize(count, 0);
    if kd.target().machine().cpl() != 3 {
        return Err(Error::of_target("call begins in ring 3, and the processor is in ring 0: gu leads out"));
    }
    begin(kd, arguments, stub, &values)?;
    kd.frame = None;
    stop::show(kd, out);
    Ok(())
}

fn near(kd: &Kd, name: &str) -> Option<String> {
    let near = crate::host::nearest(name, kd.target().places().stubs().map(|(name, _)| name));
    near.map(|near| format!("is it {near}?"))
}

/// How many arguments a service takes, as the guest's own table says.
fn argument_count(kd: &Kd, service: &str) -> Option<usize> {
    (0..2).find_map(|index| {
        let table = ServiceTable::of(kd, index)?;
        let bytes = table.argument_bytes(kd, table.find(kd, service)?)?;
        Some((bytes / kd.guest().pointer()) as usize)
    })
}

/// Goes to a routine of ring 3, as if the instruction that is next were the one behind its call.
fn begin(kd: &mut Kd, arguments: &Arguments<'_>, stub: u64, values: &[u64]) -> Result<(), Error> {
    let machine = kd.target().machine();
    let (back, old) = (machine.rip(), machine.register64(SP).unwrap_or_default());
    let mut stack = Vec::new();
    let sp = match kd.guest() {
        Guest::I386(_) => {
            stack.extend((back as u32).to_le_bytes());
            stack.extend(values.iter().flat_map(|value| (*value as u32).to_le_bytes()));
            kd.narrow(old.wrapping_sub(stack.len() as u64))
        }
        Guest::Amd64(_) => {
            stack.extend(back.to_le_bytes());
            // A home for the four in registers, then the others.
            stack.extend([0; 8 * REGISTERS.len()]);
            stack.extend(values.iter().skip(REGISTERS.len()).flat_map(|value| value.to_le_bytes()));
            // The return address is at 8 more than a multiple of 16.
            (old.wrapping_sub(stack.len() as u64 + 8) & !0xF).wrapping_add(8)
        }
    };
    if kd.read(sp, stack.len() as u64).is_none() {
        return Err(Error::memory(&kd.address(sp), arguments.command()));
    }
    let long = matches!(kd.guest(), Guest::Amd64(_));
    let machine = kd.target_mut().change();
    machine.write_linear(sp, &stack);
    machine.set_register64(SP, sp);
    if long {
        for (register, value) in REGISTERS.iter().zip(values) {
            machine.set_register64(*register, *value);
        }
    }
    machine.set_rip(stub);
    Ok(())
}
