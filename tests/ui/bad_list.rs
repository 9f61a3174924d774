// Every mistake of the list is an error of its own.
ntgate::stubs! { list = "tests/ui/bad.lst", arch = "i386" }

fn main() {}
