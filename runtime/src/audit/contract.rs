//! What others count on.
