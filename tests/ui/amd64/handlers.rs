// One is missing, and one takes a parameter too many.
mod handlers {
    #![allow(non_snake_case)]

    pub unsafe extern "win64" fn NtYieldExecution(_: u32) -> i32 {
        0
    }
}

mod table {
    ntgate::service_table! { list = "tests/ui/two.lst", arch = "amd64", handlers = crate::handlers }
}

fn main() {}
