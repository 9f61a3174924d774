// The right number of parameters, of the wrong size.
mod handlers {
    #![allow(non_snake_case)]

    pub unsafe extern "win64" fn NtClose(_: [u64; 2]) -> i32 {
        0
    }

    pub unsafe extern "win64" fn NtYieldExecution() -> i32 {
        0
    }
}

mod table {
    ntgate::service_table! { list = "tests/ui/two.lst", arch = "amd64", handlers = crate::handlers }
}

fn main() {}
