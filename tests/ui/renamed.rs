// Where the facade has another name, the attribute has to say so.
mod nt {
    pub use ntgate::*;
}

#[derive(nt::SystemServices)]
#[services(list = "tests/ui/two.lst", shape = "syscall", crate = ntgat)]
struct Ntdll;

fn main() {}
