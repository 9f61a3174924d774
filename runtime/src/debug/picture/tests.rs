//! Pages and drawings of calls.
