//! Images as they lie in memory.

use ntgate_gen::emit::{Format, Options as EmitOptions, emit};
use ntgate_gen::{Arch, read_list};
use ntgate_runtime::audit::{AuditError, Class, Kind, Options, audit};

use super::dll::{Dll, stub_32};
use super::{export, service};

fn mapped() -> Options {
    let mut options = Options::default();
    options.mapped = true;
    options
}

/// The image of a file as a loader puts it into memory.
fn load(file: &[u8]) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
    let pe = word(0x3C) as usize;
    let (sections, optional) =
        (usize::from(file[pe + 6]), usize::from(file[pe + 20]) | usize::from(file[pe + 21]) << 8);
    let mut memory = vec![0; word(pe + 24 + 56) as usize];
    let headers = word(pe + 24 + 60) as usize;
    memory[..headers].copy_from_slice(&file[..headers]);
    for index in 0..sections {
        let header = pe + 24 + optional + 40 * index;
        let (size, rva) = (word(header + 8) as usize, word(header + 12) as usize);
        let (raw, at) = (word(header + 16) as usize, word(header + 20) as usize);
        let taken = size.min(raw);
        memory[rva..rva + taken].copy_from_slice(&file[at..at + taken]);
    }
    memory
}

#[test]
fn a_dump_says_the_same_as_the_file() {
    for arch in [Arch::I386, Arch::Amd64] {
        let read = read_list("x", b"NtA 0\nNtB 3\nNtC 9\n").expect("it is right");
        let file = emit(&read.list, &EmitOptions::new(arch, Format::Pe)).expect("it is an image");
        let memory = load(&file);
        assert_ne!(memory, file);
        let of_file = super::audited(&file);
        let of_memory = audit(&memory, &mapped()).expect("it is an image");
        assert_eq!(of_memory.kind, Kind::Mapped);
        for (a, b) in of_file.exports.iter().zip(&of_memory.exports) {
            assert_eq!(
                (&a.name, &a.class, a.number, a.args, &a.shape),
                (&b.name, &b.class, b.number, b.args, &b.shape)
            );
            assert_eq!(b.file_offset, b.rva.map(u64::from));
        }
        assert_eq!(of_file.exports.len(), of_memory.exports.len());
    }
}

#[test]
fn a_dump_that_ends_early_has_what_it_has() {
    let mut dll = Dll::new(Arch::I386);
    dll.add("NtA", &stub_32(1, 4));
    let far = dll.data(&[0xB8]);
    dll.export("Cut", far);
    let memory = dll.bytes();
    let audit = audit(&memory, &mapped()).expect("it is an image");
    service(&audit, "NtA", 1);
    assert_eq!(export(&audit, "Cut").class, Class::NoKernelEntry);
    // The exports are cut off.
    assert!(ntgate_runtime::audit::audit(&memory[..0x9000], &mapped()).is_err());
}

#[test]
fn what_is_no_image_is_no_dump() {
    let error = audit(b"\x7fELF", &mapped()).expect_err("it is none").to_string();
    assert!(error.starts_with("a file that begins with [7F, 45, 4C, 46]: only PE images lie in memory"), "{error}");
    let read = read_list("x", b"NtA 0\n").expect("it is right");
    let object = emit(&read.list, &EmitOptions::new(Arch::I386, Format::Coff)).expect("it is an object");
    let error = audit(&object, &mapped()).expect_err("it is none").to_string();
    assert!(error.starts_with("a COFF object: only PE images lie in memory"), "{error}");
}

#[test]
fn who_takes_one_form_for_the_other_is_told_so() {
    let read = read_list("x", b"NtA 0\nNtB 3\n").expect("it is right");
    for arch in [Arch::I386, Arch::Amd64] {
        let file = emit(&read.list, &EmitOptions::new(arch, Format::Pe)).expect("it is an image");
        let error = |bytes: &[u8], options: &Options| audit(bytes, options).expect_err("it is the other form");
        assert_eq!(error(&file, &mapped()), AuditError::OtherForm { kind: Kind::Pe });
        assert_eq!(error(&load(&file), &Options::default()), AuditError::OtherForm { kind: Kind::Mapped });
        let text = error(&load(&file), &Options::default()).to_string();
        assert!(text.ends_with("it is audited with --mapped"), "{text}");
    }
}
