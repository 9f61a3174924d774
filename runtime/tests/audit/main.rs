//! Audits, from outside: what the generator makes is found again, every shape of real systems is seen for what it is, what is
//! hooked or damaged is told.
//!
//! Tests of DLLs that other people made need Wine's (`.ci/run` takes them from Debian's packages); their directory is
//! in `NTGATE_WINE_DLLS`.

mod classes;
mod contracts;
mod dll;
mod hooks;
mod hostile;
mod mapped;
mod mingw;
mod random;
mod round_trip;
mod schema;
mod shapes;
mod wine;

use ntgate_runtime::audit::{Audit, Class, Export, Options, audit};

/// Audits with the usual options.
#[track_caller]
fn audited(bytes: &[u8]) -> Audit {
    audit(bytes, &Options::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// An export that has to be there.
#[track_caller]
fn export<'a>(audit: &'a Audit, name: &str) -> &'a Export {
    audit.by_name(name).unwrap_or_else(|| panic!("there is no {name}"))
}

/// An export that has to be a service with this number.
#[track_caller]
fn service<'a>(audit: &'a Audit, name: &str, number: u32) -> &'a Export {
    let export = export(audit, name);
    assert_eq!((&export.class, export.number), (&Class::Service, Some(number)), "{name}: {:?}", export.notes);
    export
}

/// Its ways into the kernel, each with the register of the arguments.
fn ways(export: &Export) -> Vec<String> {
    let way = |entry: &ntgate_runtime::audit::Entry| format!("{} {}", entry.way.name(), entry.register.unwrap_or("?"));
    export.entries.iter().map(way).collect()
}
