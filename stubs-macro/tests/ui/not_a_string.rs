ntgate_stubs_macro::stubs! { list = sysfuncs, arch = "i386" }

fn main() {}
