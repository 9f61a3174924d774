//! The machine, the NT guest and the prover of ntgate.

pub mod machine;
pub mod nt;
