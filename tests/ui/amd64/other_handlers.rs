// One is not for the table to see, and one has the convention of another system.
mod handlers {
    #![allow(dead_code, non_snake_case)]

    unsafe extern "win64" fn NtClose(_: usize) -> i32 {
        0
    }

    pub unsafe extern "sysv64" fn NtYieldExecution() -> i32 {
        0
    }
}

mod table {
    ntgate::service_table! { list = "tests/ui/two.lst", arch = "amd64", handlers = crate::handlers }
}

fn main() {}
