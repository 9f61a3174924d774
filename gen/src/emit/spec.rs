//! `spec`: exports as winebuild and ReactOS's spec2def take them.
//!
//! Entries name the stubs as their implementations and have no flags, so that both tools take them: winebuild's
//! `-syscall` would make other stubs, and spec2def does not know it.

use super::comment::{above, shortened};
use super::lines::Lines;
use super::params::{Kind, kinds};
use crate::model::{Arch, Service, ServiceList};

/// The most arguments that both tools have room for.
const ARGS: usize = 30;

pub(super) fn write_spec(list: &ServiceList, arch: Arch, is_kernel: bool) -> String {
    let mut out = Lines::new("# Exports of system services. Made by ntgate; do not edit.\n");
    for table in list.tables() {
        out.line(&format!("# table {}, from {:#06x}", table.name(), table.base()));
        let mut next = table.base();
        for service in table.services() {
            for comment in above(service, &mut next) {
                // A backslash at the end of a line joins it with the next one.
                out.line(&format!("# {}", shortened(&comment).trim_end_matches(['\\', ' '])));
            }
            let args = args(service, arch);
            if !is_kernel {
                out.line(&format!("@ stdcall {}({args})", service.name()));
            }
            out.line(&format!("@ stdcall {}({args})", service.name().zw()));
        }
    }
    out.finish()
}

fn args(service: &Service, arch: Arch) -> String {
    let mut words: Vec<_> = kinds(service, arch).into_iter().map(word).collect();
    if words.len() > ARGS {
        // Only the bytes count: an int128 stands for four words on i386.
        let slots = usize::from(service.args(arch));
        words = vec!["int128"; slots / 4];
        words.extend(vec!["long"; slots % 4]);
    }
    words.join(" ")
}

/// Handles are `long` in Wine's own files.
const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Int { bits: 64, .. } => "int64",
        Kind::Int { .. } | Kind::Word | Kind::Handle => "long",
        Kind::Pointer { .. } => "ptr",
    }
}
