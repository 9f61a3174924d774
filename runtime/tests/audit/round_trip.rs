//! What the generator makes of a list, in every shape and form, gives the list back.

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::read::Services;
use ntgate_gen::{Arch, Encoding, ServiceList, Shape, read_list};
use ntgate_runtime::audit::report::{against, list};
use ntgate_runtime::audit::{Class, Kind};

use super::{audited, export};

const FORMS: [(Format, Kind); 5] = [
    (Format::Coff, Kind::Coff),
    (Format::Elf, Kind::Elf),
    (Format::Archive, Kind::Archive),
    (Format::ElfArchive, Kind::Archive),
    (Format::Pe, Kind::Pe),
];

/// All services of the built-in list, or the first few.
fn services(count: usize) -> ServiceList {
    let text = include_str!("../../../sysfuncs.lst");
    let lines = text.lines().filter(|line| line.starts_with("Nt")).take(count);
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    read_list("sysfuncs.lst", text.as_bytes()).expect("the list is right").list
}

fn forms(shape: Shape) -> impl Iterator<Item = (Format, Kind)> {
    // An image is for user mode.
    FORMS.into_iter().filter(move |(form, _)| *form != Format::Pe || !shape.is_kernel())
}

#[test]
fn the_whole_list_comes_back() {
    for arch in [Arch::I386, Arch::Amd64] {
        comes_back(&services(usize::MAX), Shape::default_for(arch), Format::Pe, Kind::Pe);
    }
}

#[test]
fn lists_come_back_from_every_form_of_every_shape() {
    for shape in [Arch::I386, Arch::Amd64].into_iter().flat_map(Shape::of).copied() {
        for (form, kind) in forms(shape).filter(|_| shape != Shape::ZwReactos) {
            comes_back(&services(20), shape, form, kind);
        }
    }
}

fn comes_back(services: &ServiceList, shape: Shape, form: Format, kind: Kind) {
    let (arch, what) = (shape.arch(), format!("{} {shape} {form}", shape.arch()));
    let wanted = emit(services, &Options::new(arch, Format::List)).expect("it is a list");
    let wanted = String::from_utf8(wanted).expect("it is text");
    let known = Services::of_list("sysfuncs.lst", services);
    let bytes = emit(services, &Options::new(arch, form).shape(shape)).expect("it is a form");
    let mut audit = audited(&bytes);
    assert_eq!((audit.arch, audit.kind), (arch, kind));
    assert_eq!(audit.findings, [], "{what}");
    assert_eq!(audit.services().count(), services.services().count(), "{what}");
    for service in audit.services() {
        assert_eq!(service.shape.as_deref(), Some(shape.name()), "{what} {}", service.name);
        let at = service.file_offset.expect("the file has it") as usize;
        let in_file = &bytes[at..at + service.bytes.len()];
        // Relocations are not in the file.
        assert!(shape.is_kernel() || in_file == service.bytes, "{what} {}: {in_file:02x?}", service.name);
    }
    if arch == Arch::Amd64 {
        audit.fill_counts(&known);
    }
    assert_eq!(list(&audit).expect("all of it is known"), wanted, "{what}");
    assert!(against("x", &audit, &known).expect("they are services").holds(), "{what}");
}

#[test]
fn both_encodings_have_the_shape() {
    let read = read_list("one.lst", b"NtA 0\nNtB 3\n").expect("it is right");
    for arch in [Arch::I386, Arch::Amd64] {
        for &shape in Shape::of(arch) {
            for encoding in Encoding::ALL {
                let options = Options::new(arch, Format::Coff).shape(shape).encoding(encoding);
                let audit = audited(&emit(&read.list, &options).expect("it is an object"));
                for service in &audit.exports {
                    assert_eq!(service.shape.as_deref(), Some(shape.name()), "{encoding} {:?}", service.notes);
                    let code = ntgate_gen::stub::build(
                        shape,
                        read.list
                            .services()
                            .find(|known| known.name().stem() == &service.name[2..])
                            .expect("it is in it"),
                        encoding,
                    );
                    let length = code.encode().expect("it encodes").bytes.len();
                    assert_eq!(service.bytes.len(), length, "{shape} {encoding}");
                }
            }
        }
    }
}

#[test]
fn kernel_stubs_of_reactos_have_a_routine_in_the_place_of_the_number() {
    let read = read_list("two.lst", b"NtA 0\nNtB 6\n").expect("it is right");
    for form in [Format::Coff, Format::Elf] {
        let bytes =
            emit(&read.list, &Options::new(Arch::Amd64, form).shape(Shape::ZwReactos)).expect("it is an object");
        let audit = audited(&bytes);
        for (name, args) in [("ZwA", 0), ("ZwB", 6)] {
            let stub = export(&audit, name);
            assert_eq!((&stub.class, stub.number, stub.args), (&Class::Service, None, Some(args)));
            assert_eq!(super::ways(stub), ["zw rcx"]);
            assert!(stub.notes[0].contains(&format!("Nt{}", &name[2..])), "{:?}", stub.notes);
        }
        assert!(list(&audit).is_err(), "a list has numbers");
    }
}

#[test]
fn counts_that_stubs_do_not_tell_are_asked_for() {
    let read = read_list("two.lst", b"NtA 0\nNtB 6\n").expect("it is right");
    let bytes = emit(&read.list, &Options::new(Arch::Amd64, Format::Coff)).expect("it is an object");
    let mut audit = audited(&bytes);
    let error = list(&audit).expect_err("a list has counts").to_string();
    assert!(error.contains("argument count of NtA") && error.contains("--counts FILE"), "{error}");
    audit.fill_counts(&Services::of_list("two.lst", &read.list));
    assert!(list(&audit).expect("now it has").ends_with("NtA 0\nNtB 6\n"));
}

#[test]
fn a_list_with_holes_and_a_second_table_comes_back() {
    let text = b"NtA 2 @0x5\nNtB 0\n#! table win32k base=0x1000\nNtUserX 3\nNtUserY 15 @0x1010\n";
    let read = read_list("holes.lst", text).expect("it is right");
    let wanted = emit(&read.list, &Options::new(Arch::I386, Format::List)).expect("it is a list");
    let bytes = emit(&read.list, &Options::new(Arch::I386, Format::Archive)).expect("it is an archive");
    assert_eq!(list(&audited(&bytes)).expect("all of it is known").as_bytes(), wanted);
}

#[test]
fn import_libraries_lead_elsewhere() {
    let read = read_list("one.lst", b"NtA 0\n").expect("it is right");
    let bytes = emit(&read.list, &Options::new(Arch::I386, Format::Implib)).expect("it is a library");
    let audit = audited(&bytes);
    let export = export(&audit, "NtA");
    assert_eq!(export.class, Class::LeavesImage);
    assert!(export.notes[0].starts_with("forwarded to ntdll.dll.NtA"), "{:?}", export.notes);
}
