//! Object forms of a small list, byte for byte: a new version of a library must not change them unseen. What they mean is
//! tested by tools that are not ours, in the root package's `tests/objects`.

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, Shape, read_list};

/// Rows of 16 bytes with their offsets and what is text in them; rows like the one before are left out, as hexdump does.
fn dump(bytes: &[u8]) -> String {
    let mut rows: Vec<String> = Vec::new();
    let mut before: &[u8] = &[];
    for (index, row) in bytes.chunks(16).enumerate() {
        if row == before {
            if rows.last().is_none_or(|last| last != "*") {
                rows.push("*".to_owned());
            }
            continue;
        }
        before = row;
        let hex: String = row.iter().map(|byte| format!("{byte:02X} ")).collect();
        let text: String =
            row.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '.' }).collect();
        rows.push(format!("{:04X}  {hex:<48} {text}", 16 * index));
    }
    rows.push(format!("{:04X}", bytes.len()));
    rows.join("\n")
}

#[test]
fn object_forms_byte_for_byte() {
    let list = read_list("small.lst", include_bytes!("inputs/good/small.lst")).expect("it is right").list;
    for (arch, shape, formats) in [
        (
            Arch::I386,
            Shape::SharedEdx,
            &[Format::Coff, Format::Elf, Format::Archive, Format::ElfArchive, Format::Implib, Format::Pe][..],
        ),
        (Arch::I386, Shape::Zw, &[Format::Coff, Format::Elf]),
        (Arch::Amd64, Shape::Syscall, &[Format::Coff, Format::Implib, Format::Pe]),
        (Arch::Amd64, Shape::ZwAmd64, &[Format::Coff, Format::Elf]),
        (Arch::Amd64, Shape::ZwReactos, &[Format::Coff]),
        (Arch::Arm64, Shape::Svc, &[Format::Coff, Format::Elf, Format::Pe]),
    ] {
        for &format in formats {
            let bytes = emit(&list, &Options::new(arch, format).shape(shape)).expect("it can be");
            insta::assert_snapshot!(format!("{format}_{arch}_{shape}"), dump(&bytes));
        }
    }
}
