//! Tests of the check stage; see `gen/tests/inputs/bad` for one file a diagnostic.
