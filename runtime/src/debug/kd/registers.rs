//! `r`, `rdmsr`, `wrmsr`.

use super::arguments::Arguments;
use super::error::Error;
use super::register::{self, Context, NAMES_64, Register};
use super::{Kd, disassemble, number, say};
use crate::debug::Guest;
use crate::machine::flags;

/// `r`: all registers, or those that are named; `r NAME=VALUE` changes one.
pub(super) fn r(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    if arguments.is_empty() {
        block(kd, out);
        return Ok(());
    }
    let mut line = Vec::new();
    while !arguments.is_empty() {
        let place = arguments.place();
        let name = arguments.name().trim_start_matches('@').to_ascii_lowercase();
        let found = register::find(&name, kd.guest());
        let register = found.ok_or_else(|| Error::at(place, format!("Bad register '{name}'")))?;
        if arguments.take_prefix("=") {
            let value = arguments.expression(kd)?;
            set(kd, register, value, &name, place)?;
        } else {
            let value = kd.register(register).unwrap_or_default();
            line.push(format!("{name}={}", digits(register, value, kd.guest())));
        }
        arguments.take_prefix(",");
    }
    if !line.is_empty() {
        say!(out, "{}", line.join(" "));
    }
    Ok(())
}

/// A register's value as wide as it is, without the mark between halves.
fn digits(register: Register, value: u64, guest: Guest) -> String {
    let pointer = guest.pointer() as usize;
    let bytes = match register {
        Register::General { size, .. } => usize::from(size),
        Register::Ip | Register::Control(_) | Register::Debug(_) | Register::Table { limit: false, .. } => pointer,
        Register::Flags => 4,
        Register::Flag(_) => return value.to_string(),
        Register::Segment(_) | Register::Table { .. } => 2,
    };
    format!("{value:0width$x}", width = 2 * bytes)
}

fn set(kd: &mut Kd, register: Register, value: u64, name: &str, place: usize) -> Result<(), Error> {
    if kd.frame.is_some() {
        return Err(Error::at(
            place,
            "The registers are those of a trap frame; .trap alone goes back to the processor's",
        ));
    }
    let value = kd.narrow(value);
    match register {
        Register::General { number, size, shift } => {
            let machine = kd.target_mut().change();
            let old = machine.register64(number).unwrap_or_default();
            let mask = u64::MAX >> (64 - 8 * u32::from(size)) << shift;
            // As an instruction does: four bytes clear those above.
            let kept = if size == 4 { 0 } else { old & !mask };
            machine.set_register64(number, kept | value << shift & mask);
        }
        Register::Ip => {
            kd.target_mut().change().set_rip(value);
            kd.code = None;
        }
        Register::Flags => kd.target_mut().change().set_flags(value as u32),
        Register::Flag(flag) => {
            let old = kd.target().machine().flags().get();
            kd.target_mut().change().set_flags(if value == 0 { old & !flag } else { old | flag });
        }
        _ => return Err(Error::at(place, format!("'{name}' can be read only"))),
    }
    Ok(())
}

/// All registers, and the instruction that is next.
pub(super) fn block(kd: &Kd, out: &mut String) {
    let context = kd.context();
    match kd.guest() {
        Guest::I386(_) => block32(&context, out),
        Guest::Amd64(_) => block64(&context, out),
    }
    let at = kd.current_address();
    say!(out, "{}:", kd.describe(at));
    let (line, _) = disassemble::line(kd, at);
    let outlook = disassemble::decode(kd, at).filter(|_| kd.frame.is_none());
    let outlook = outlook.map(|instruction| disassemble::outlook(kd, &instruction)).unwrap_or_default();
    say!(out, "{line}{outlook}");
}

fn block32(context: &Context, out: &mut String) {
    let [eax, ecx, edx, ebx, esp, ebp, esi, edi] = std::array::from_fn(|number| context.general[number] as u32);
    say!(out, "eax={eax:08x} ebx={ebx:08x} ecx={ecx:08x} edx={edx:08x} esi={esi:08x} edi={edi:08x}");
    say!(out, "eip={:08x} esp={esp:08x} ebp={ebp:08x} {}", context.ip as u32, flag_names(context.flags, 9));
    segments(context, out);
}

fn block64(context: &Context, out: &mut String) {
    let general = |number: usize| format!("{:>3}={:016x}", NAMES_64[number], context.general[number]);
    let rip = format!("rip={:016x}", context.ip);
    let [ax, cx, dx, bx, sp, bp, si, di] = std::array::from_fn(general);
    for line in [[ax, bx, cx], [dx, si, di], [rip, sp, bp]] {
        say!(out, "{}", line.join(" "));
    }
    for first in [8, 11] {
        say!(out, "{} {} {}", general(first), general(first + 1), general(first + 2));
    }
    say!(out, "{} {}", general(14), general(15));
    say!(out, "{}", flag_names(context.flags, 9));
    segments(context, out);
}

fn segments(context: &Context, out: &mut String) {
    let [es, cs, ss, ds, fs, gs] = context.segments;
    let flags = context.flags;
    say!(
        out,
        "cs={cs:04x}  ss={ss:04x}  ds={ds:04x}  es={es:04x}  fs={fs:04x}  gs={gs:04x}             efl={flags:08x}"
    );
}

/// `iopl=0         nv up ei pl nz na po nc`.
fn flag_names(value: u32, gap: usize) -> String {
    let name = |flag, set, clear| if value & flag != 0 { set } else { clear };
    format!(
        "iopl={}{:gap$}{} {} {} {} {} {} {} {}",
        value >> 12 & 3,
        "",
        name(flags::OF, "ov", "nv"),
        name(flags::DF, "dn", "up"),
        name(flags::IF, "ei", "di"),
        name(flags::SF, "ng", "pl"),
        name(flags::ZF, "zr", "nz"),
        name(flags::AF, "ac", "na"),
        name(flags::PF, "pe", "po"),
        name(flags::CF, "cy", "nc"),
    )
}

/// `rdmsr`.
pub(super) fn rdmsr(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let register = arguments.expression(kd)?;
    arguments.end()?;
    let value = u32::try_from(register).ok().and_then(|register| kd.target().machine().msr(register));
    match value {
        Some(value) => say!(out, "msr[{register:x}] = {}", number(value, 8)),
        None => return Err(no_msr(register)),
    }
    Ok(())
}

/// `wrmsr`.
pub(super) fn wrmsr(kd: &mut Kd, arguments: &mut Arguments<'_>, _: &mut String) -> Result<(), Error> {
    let register = arguments.expression(kd)?;
    let value = arguments.expression(kd)?;
    arguments.end()?;
    let number = u32::try_from(register).map_err(|_| no_msr(register))?;
    if kd.target().machine().msr(number).is_none() {
        return Err(no_msr(register));
    }
    let written = kd.target_mut().change().set_msr(number, value);
    written.ok_or_else(|| Error::of_target(format!("msr[{register:x}] cannot hold {value:x}")))
}

fn no_msr(register: u64) -> Error {
    Error::of_target(format!("no such msr: this processor has no {register:x}"))
}
