//! What ReactOS's generator of 2005 to 2012 made (`sdk/tools/nci/ncitool.c`), from the same two lists and under the same
//! names: for whoever has a build that calls it.
//!
//! The text is ours; what it assembles to on i386 is, byte for byte, what the old tool's text assembles to. Where the
//! old text was wrong ([`Outputs::note`]) this is right instead. The files need no header of ReactOS's.

mod error;
mod other;
mod tables;
mod target;
mod x86;

pub use error::Error;
pub use target::Target;

use crate::model::{ServiceList, ServiceTable};

/// The number of win32k's first service.
const WIN32K_BASE: u32 = 0x1000;

/// The files, in the order of the old command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// `napi.h`: `MainSSDT`, `MainSSPT`, `MainNumberOfSysCalls`.
    pub napi_h: String,
    /// `ssdt.h`: the same of win32k, `Win32kSSDT` and so on.
    pub ssdt_h: String,
    /// `napi.S`: user stubs Nt and Zw.
    pub napi_s: String,
    /// `zw.S`: kernel stubs Zw.
    pub zw_s: String,
    /// `win32k.S`: user stubs Nt of win32k.
    pub win32k_s: String,
    /// `nt.pspec`: exports Nt and Zw.
    pub nt_pspec: String,
    /// What is other than the old tool's, where that was wrong.
    pub note: Option<&'static str>,
}

/// Makes all files for a target from the lists of the kernel and of win32k.
///
/// # Errors
///
/// If a list has what the old formats have no place for, or a service is in both.
pub fn generate(target: Target, sysfuncs: &ServiceList, w32ksvc: &ServiceList) -> Result<Outputs, Error> {
    let main = only_table("sysfuncs.lst", sysfuncs, 0, "Main")?;
    let win32k = only_table("w32ksvc.db", w32ksvc, WIN32K_BASE, "Win32k")?;
    if let Some(twice) = win32k.services().iter().find(|service| main.by_name(service.name().nt()).is_some()) {
        return Err(Error::twice(twice));
    }
    Ok(Outputs {
        napi_h: tables::write_tables(target, &main)?,
        ssdt_h: tables::write_tables(target, &win32k)?,
        napi_s: write_stubs(target, &main, &[Stubs::Nt, Stubs::Zw]),
        zw_s: write_stubs(target, &main, &[Stubs::Kernel]),
        win32k_s: write_stubs(target, &win32k, &[Stubs::Nt]),
        nt_pspec: tables::write_pspec(target, &main),
        note: target.note(),
    })
}

/// The one table of a list, at its base: the old tool knew no directive, and so win32k's list has the base 0 or its own.
fn only_table(file: &'static str, list: &ServiceList, base: u32, name: &'static str) -> Result<ServiceTable, Error> {
    let [table] = list.tables() else {
        return Err(Error::tables(file, &list.tables()[1]));
    };
    if table.base() != 0 && table.base() != base {
        return Err(Error::base(file, table.base(), base));
    }
    let mut places = (table.base()..).zip(table.services());
    if let Some((next, service)) = places.find(|(next, service)| service.number() != *next) {
        return Err(Error::hole(file, service, next));
    }
    Ok(table.moved(name, base))
}

/// Which stubs of a service a file has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stubs {
    Nt,
    Zw,
    Kernel,
}

/// A body for each name, one after another without a gap, as the old tool had it.
fn write_stubs(target: Target, table: &ServiceTable, kinds: &[Stubs]) -> String {
    let mut text = "/* Stubs of system services. Made by ntgate nci; do not edit. */\n\n\t.text\n".to_owned();
    for service in table.services() {
        for &kind in kinds {
            let name = if kind == Stubs::Nt { service.name().nt().to_owned() } else { service.name().zw() };
            let symbol = target.symbol(&name, service);
            let lines = match target {
                Target::I386 => x86::i386(service, kind),
                Target::Amd64 => x86::amd64(service, kind),
                Target::Powerpc => other::powerpc(service.number()),
                Target::Mips => other::mips(service.number(), kind),
                Target::Arm => other::arm(service.number(), kind),
            };
            text.push_str(&format!("\n\t.globl {symbol}\n{symbol}:\n"));
            for line in lines {
                text.push_str(&format!("\t{line}\n"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests;
