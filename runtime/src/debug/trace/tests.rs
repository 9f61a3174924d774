//! Traces, against what is known of the calls.
