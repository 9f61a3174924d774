//! Boots on the bundled machine.

use super::{BackendError, Boot, End, Image};
use crate::machine::cpuid::Model;
use crate::machine::{Exit, Machine};

/// Memory of a machine that runs a proof: the guest's last page is below this.
pub const MEMORY: usize = 8 << 20;

/// Boots an image.
///
/// # Errors
///
/// If there is no such CPU model, or the image cannot be loaded.
pub fn boot(image: &Image<'_>) -> Result<Boot, BackendError> {
    let model = Model::by_name(image.cpu).ok_or_else(|| BackendError::NoSuchCpu { cpu: image.cpu.to_owned() })?;
    let mut machine = Machine::new(model, MEMORY);
    machine.load(image.elf).map_err(BackendError::Load)?;
    let end = match machine.run(image.budget) {
        Exit::Port(value) => End::Exit(value),
        other => End::Stopped(other.to_string()),
    };
    Ok(Boot { console: machine.take_console(), end })
}
