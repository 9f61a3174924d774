// The user's own types do not fill what the list counts.
mod types {
    pub type HANDLE = [usize; 2];
    pub type NTSTATUS = i32;
}

mod nt {
    ntgate::stubs! { list = "tests/ui/typed.lst", shape = "syscall", types = crate::types }
}

fn main() {}
