ntgate::stubs! {}
ntgate::service_table! { list = "tests/ui/two.lst" }
ntgate::service_numbers! { list = "tests/ui/two.lst" }
ntgate::for_each_service! { list = "tests/ui/two.lst" }

#[derive(ntgate::SystemServices)]
struct Ntdll;

fn main() {}
