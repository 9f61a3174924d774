//! Audits as text and for programs.
