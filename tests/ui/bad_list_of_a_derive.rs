#[derive(ntgate::SystemServices)]
#[services(list = "tests/ui/bad.lst", shape = "syscall")]
struct Ntdll;

fn main() {}
