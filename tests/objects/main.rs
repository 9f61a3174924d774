//! Object forms: what a reader that is not ours finds in them, and what linkers that are not ours make of them.
//!
//! In every linked file the bytes behind each symbol must be those of `Stub::encode_at`, which are the bytes that the
//! prover calls. Those tests need programs: `cargo test -p ntgate --test objects -- --ignored`.

mod expected;
mod image;
mod import;
mod link;
mod ntdll;
mod read;
mod tools;
mod unwind;
