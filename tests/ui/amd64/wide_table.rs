// More arguments than the tables of amd64 have room for.
#![allow(deprecated)]

ntgate::service_table! { list = "tests/ui/wide.lst", arch = "amd64", handlers = handlers, packed }

fn main() {}
