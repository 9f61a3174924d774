//! The structures of the guest's system.

use super::Guest;

/// The names of the structures that a system has.
#[must_use]
pub fn names(_: Guest) -> Vec<&'static str> {
    Vec::new()
}
