// All at once, each with what was probably meant.
ntgate::stubs! {
    list = "tests/ui/small.lst",
    list = "tests/ui/bad.lst",
    shap = "syscall",
    arch = "amd46",
    encoding = sysfuncs,
    visibilty = pub(crate),
    only(NtOne, ZwNone, NtGdiNin),
    handlers = handlers,
}

fn main() {}
