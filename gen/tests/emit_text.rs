//! What the text formats besides `gas` are for the lists of `inputs/good`, byte for byte.

use std::path::Path;

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, Encoding, ServiceList, Shape, read_list};

fn read(name: &str) -> ServiceList {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs/good").join(name);
    let bytes = std::fs::read(&path).expect("the list is there");
    read_list(name, &bytes).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).list
}

fn text(list: &ServiceList, options: &Options) -> String {
    let bytes = emit(list, options).unwrap_or_else(|error| panic!("{options:?}: {error}"));
    String::from_utf8(bytes).expect("the format is text")
}

/// Shapes that between them have every kind of instruction, reference and label.
const SHAPES: [Shape; 8] = [
    Shape::SharedEdx,
    Shape::Int2eFrame,
    Shape::Sysenter,
    Shape::Zw,
    Shape::SyscallHome,
    Shape::SyscallOrInt2e,
    Shape::ZwAmd64,
    Shape::ZwReactos,
];

#[test]
fn assemblers_and_rust() {
    let list = read("small.lst");
    for format in [Format::Masm, Format::Nasm, Format::Rust] {
        for shape in SHAPES {
            let options = Options::new(shape.arch(), format).shape(shape);
            insta::assert_snapshot!(format!("{format}_{}_{shape}", shape.arch()), text(&list, &options));
        }
        let exact = Options::new(Arch::I386, format).shape(Shape::Sysenter).encoding(Encoding::Msvc);
        insta::assert_snapshot!(format!("{format}_i386_sysenter_msvc"), text(&list, &exact));
    }
    insta::assert_snapshot!("rust_arm64_svc", text(&list, &Options::new(Arch::Arm64, Format::Rust)));
}

/// Counts that differ between architectures, holes, a second table, signatures and docs.
#[test]
fn everything_a_list_says_flows_into_every_format() {
    let list = read("extensions.lst");
    for format in [Format::Rust, Format::C, Format::Def, Format::Spec, Format::Syzlang] {
        for arch in [Arch::I386, Arch::Amd64] {
            insta::assert_snapshot!(format!("{format}_{arch}_extensions"), text(&list, &Options::new(arch, format)));
        }
    }
    insta::assert_snapshot!("c_arm64_extensions", text(&list, &Options::new(Arch::Arm64, Format::C)));
    insta::assert_snapshot!("csv_extensions", text(&list, &Options::new(Arch::I386, Format::Csv)));
    #[cfg(feature = "json")]
    insta::assert_snapshot!("json_extensions", text(&list, &Options::new(Arch::I386, Format::Json)));
}

#[test]
fn signatures_flow_into_every_format_that_has_types() {
    let list = read("typed.lst");
    for format in [Format::Rust, Format::Spec, Format::Syzlang] {
        for arch in [Arch::I386, Arch::Amd64] {
            insta::assert_snapshot!(format!("{format}_{arch}_typed"), text(&list, &Options::new(arch, format)));
        }
    }
    let header = text(&list, &Options::new(Arch::I386, Format::C));
    let typed: Vec<_> =
        header.lines().filter(|line| line.contains(" NTAPI Nt") && !line.contains("(unsigned")).collect();
    insta::assert_snapshot!("c_typed", typed.join("\n"));
}

#[test]
fn kernel_stubs_are_exports_of_the_kernel() {
    let list = read("small.lst");
    for format in [Format::Def, Format::Spec] {
        let options = Options::new(Arch::I386, format).shape(Shape::Zw);
        insta::assert_snapshot!(format!("{format}_zw"), text(&list, &options));
    }
}

#[test]
fn shape_and_encoding_do_not_hurt_where_they_mean_nothing() {
    let list = read("extensions.lst");
    for format in [Format::C, Format::Csv, Format::Syzlang, Format::List, Format::Table] {
        let plain = Options::new(Arch::I386, format);
        let options = plain.clone().shape(Shape::SharedEdx).encoding(Encoding::Gnu);
        assert_eq!(text(&list, &options), text(&list, &plain), "{format}");
    }
}

#[test]
fn arm64_has_no_masm_and_no_nasm() {
    for format in [Format::Masm, Format::Nasm] {
        let error = emit(&read("small.lst"), &Options::new(Arch::Arm64, format)).expect_err("they are for x86");
        assert!(error.is_options());
        assert_eq!(error.to_string(), format!("the format {format} is for i386 and amd64, not arm64; gas can"));
    }
}

#[test]
fn the_default_list_is_described_for_syzkaller_as_far_as_it_takes_arguments() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sysfuncs.lst");
    let list = read_list("sysfuncs.lst", &std::fs::read(path).expect("it is there")).expect("it is right").list;
    let text = text(&list, &Options::new(Arch::Amd64, Format::Syzlang));
    let calls = text.lines().filter(|line| line.starts_with("Nt")).count();
    let few = list.services().filter(|service| service.args(Arch::Amd64) <= 9).count();
    assert_eq!(calls, few);
    assert_eq!(text.matches("over the 9 of a call").count(), 298 - few);
}
