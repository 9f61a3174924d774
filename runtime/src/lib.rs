//! The machine, the NT guest and the prover of ntgate.

pub mod backend;
pub mod machine;
pub mod nt;
pub mod prove;
