//! Has the stubs made.

use ntgate_gen::build::Error;
use ntgate_gen::emit::Format;
use ntgate_gen::{Arch, Builder, Shape};

fn main() -> Result<(), Error> {
    // For this machine, linked to this program.
    ntgate_gen::build::link("services.lst")?;
    // For another, to be carried along.
    Builder::new("services.lst").arch(Arch::I386).shape(Shape::SharedEdx).emit(Format::Bin).run()?;
    Ok(())
}
