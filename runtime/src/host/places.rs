//! What code needs to know of the guest that it becomes part of.

use std::collections::BTreeMap;

use super::BuildError;

/// The addresses that a program of ring 3, or the code of a service in ring 0, needs.
#[derive(Debug, Clone)]
pub struct Places {
    pub(super) profile: &'static str,
    pub(super) bits: u32,
    pub(super) start: u64,
    pub(super) data: u64,
    pub(super) stubs: BTreeMap<String, u64>,
    pub(super) symbols: BTreeMap<String, u64>,
}

impl Places {
    /// The profile.
    #[must_use]
    pub fn profile(&self) -> &'static str {
        self.profile
    }

    /// 32 or 64: what [`iced_x86::code_asm::CodeAssembler::new`] takes.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Where the code will stand; a program begins there.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// A page that the program may write to, zeroed.
    #[must_use]
    pub fn data(&self) -> u64 {
        self.data
    }

    /// ntdll's stub of a service, by its name: `NtWriteFile`. On i386 it takes its arguments on the stack and pops them, on
    /// amd64 it is called as every function there.
    ///
    /// # Errors
    ///
    /// [`BuildError::UnknownService`] when the list does not have it.
    pub fn stub(&self, name: &str) -> Result<u64, BuildError> {
        let found = self.stubs.get(name).copied();
        found.ok_or_else(|| BuildError::unknown_service(name, self.stubs.keys().map(String::as_str)))
    }

    /// The stub of every service, by its name.
    pub fn stubs(&self) -> impl Iterator<Item = (&str, u64)> {
        self.stubs.iter().map(|(name, address)| (name.as_str(), *address))
    }

    /// Every symbol, by its name.
    pub fn symbols(&self) -> impl Iterator<Item = (&str, u64)> {
        self.symbols.iter().map(|(name, address)| (name.as_str(), *address))
    }

    /// Any other address, by its symbol: `ntdll!KiFastSystemCallRet`, `nt!ZwWriteFile`, `Peb`.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<u64> {
        self.symbols.get(name).copied()
    }
}
