//! NT system-service stubs and tables from one list, and their proof.
