ntgate::stubs! { list = "tests/ui/small.lst", arch = "amd64", shape = "sysenter" }
ntgate::stubs! { list = "tests/ui/small.lst", shape = "int2f" }
ntgate::stubs! { list = "tests/ui/small.lst", shape = "zw" }
ntgate::stubs! { list = "tests/ui/small.lst", shape = "syscall", abi = "stdcall", code32 }
ntgate::stubs! { list = "tests/ui/small.lst", shape = "syscall", bytes, zw, export }
ntgate::stubs! { list = "tests/ui/small.lst", shape = "syscall", only(NtOne), except(NtNone) }
ntgate::service_table! { list = "tests/ui/small.lst", handlers = handlers, table = "win32" }
ntgate::service_table! { list = "tests/ui/small.lst", handlers = handlers, arch = "arm64" }

fn main() {}
