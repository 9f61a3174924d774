//! What every form must hold: lists, shapes, stubs.

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::stub::{self, Stub};
use ntgate_gen::{Arch, Encoding, ServiceList, Shape, read_list};

/// Two tables, holes, names of every length that a header treats differently, every count of arguments.
fn stress_list() -> ServiceList {
    let mut text = String::from("NtA 0\nNtShort 1\nNtFifteenChars1 2\nNtSixteenChars12 3\nNtWide 63/19 @0xfff\n");
    text.push_str("#! table win32k base=0x1000\n");
    for args in 0..=19 {
        text.push_str(&format!("NtGdi{}{args} {args} @{:#x}\n", "Long".repeat(args), 0x1000 + 40 * args));
    }
    read_list("stress.lst", text.as_bytes()).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).list
}

/// The default list, and one that looks for trouble.
pub(crate) fn lists() -> [ServiceList; 2] {
    let default = read_list("sysfuncs.lst", ntgate::SYSFUNCS).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    [default.list, stress_list()]
}

/// Every shape of every architecture.
pub(crate) fn shapes() -> impl Iterator<Item = Shape> {
    Arch::ALL.into_iter().flat_map(Shape::of).copied()
}

/// The stubs of a list, in the encoding of the shape's system.
pub(crate) fn stubs(list: &ServiceList, shape: Shape) -> Vec<Stub> {
    list.services().map(|service| stub::build(shape, service, shape.default_encoding())).collect()
}

/// An output, in the encoding of the shape's system.
pub(crate) fn emitted(list: &ServiceList, format: Format, shape: Shape) -> Vec<u8> {
    let options = Options::new(shape.arch(), format).shape(shape);
    emit(list, &options).unwrap_or_else(|error| panic!("{format} {shape}: {error}"))
}

/// An output in both encodings.
pub(crate) fn emitted_as(list: &ServiceList, format: Format, shape: Shape, encoding: Encoding) -> Vec<u8> {
    let options = Options::new(shape.arch(), format).shape(shape).encoding(encoding);
    emit(list, &options).unwrap_or_else(|error| panic!("{format} {shape}: {error}"))
}
