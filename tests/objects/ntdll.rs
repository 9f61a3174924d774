//! The image `pe`: headers, exports and code.

use std::collections::HashMap;

use ntgate_gen::emit::{Format, Options, emit};
use ntgate_gen::{Arch, Shape};
use object::pe::{IMAGE_DIRECTORY_ENTRY_BASERELOC, ImageNtHeaders32, ImageNtHeaders64};
use object::read::pe::{ExportTarget, ImageNtHeaders, PeFile};
use object::{LittleEndian, Object, ObjectSection};

use crate::expected::{emitted, lists, shapes, stubs};
use crate::tools::Bench;

/// What an image exports.
struct Exports<'a> {
    /// As they stand in the table of names.
    names: Vec<&'a str>,
    /// The address of each.
    places: HashMap<&'a str, u64>,
    /// The address and the bytes of each section.
    sections: Vec<(u64, &'a [u8])>,
}

impl<'a> Exports<'a> {
    fn read(arch: Arch, bytes: &'a [u8]) -> Self {
        if arch == Arch::I386 {
            Self::read_as::<ImageNtHeaders32>(bytes)
        } else {
            Self::read_as::<ImageNtHeaders64>(bytes)
        }
    }

    fn read_as<H: ImageNtHeaders>(bytes: &'a [u8]) -> Self {
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).expect("it is text");
        let file = PeFile::<H>::parse(bytes).expect("the library reads it");
        let table = file.export_table().expect("it can be read").expect("it is there");
        let pointers = table.name_iter().map(|(pointer, _)| pointer);
        let names: Vec<_> =
            pointers.map(|pointer| text(table.name_from_pointer(pointer).expect("it is there"))).collect();
        let mut places = HashMap::new();
        for export in table.exports().expect("they can be read") {
            let ExportTarget::Address(place) = export.target else { panic!("nothing is forwarded") };
            let address = file.relative_address_base() + u64::from(place);
            places.insert(text(export.name.expect("it has a name")), address);
        }
        assert_eq!(names.len(), places.len());
        // One block of relocations: a header, and two that do nothing.
        let relocations = file.data_directory(IMAGE_DIRECTORY_ENTRY_BASERELOC).expect("it may be moved");
        assert_eq!(relocations.size.get(LittleEndian), 12);
        let sections =
            file.sections().map(|section| (section.address(), section.data().expect("it is there"))).collect();
        Self { names, places, sections }
    }

    /// The first bytes of an export.
    fn code(&self, name: &str, length: usize) -> &'a [u8] {
        let address = self.places[name];
        let within = |(start, bytes): &(u64, &'a [u8])| {
            let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(offset..offset + length)
        };
        self.sections.iter().find_map(within).unwrap_or_else(|| panic!("{name} is nowhere"))
    }
}

#[test]
fn exports_are_the_services_and_what_they_call() {
    for list in lists() {
        for shape in shapes().filter(|shape| !shape.is_kernel()) {
            let bytes = emitted(&list, Format::Pe, shape);
            let exports = Exports::read(shape.arch(), &bytes);
            assert!(exports.names.windows(2).all(|pair| pair[0] < pair[1]), "a loader searches by halves");
            let mut expected: Vec<String> =
                list.services().flat_map(|service| [service.name().nt().to_owned(), service.name().zw()]).collect();
            if shape.arch() == Arch::I386 {
                expected.extend(["KiFastSystemCall", "KiFastSystemCallRet", "KiIntSystemCall"].map(str::to_owned));
            }
            expected.sort_unstable();
            assert_eq!(exports.names, expected, "{shape}");
            for (service, stub) in list.services().zip(stubs(&list, shape)) {
                let code = stub.encode().expect("a built stub encodes").bytes;
                for name in [service.name().nt().to_owned(), service.name().zw()] {
                    assert_eq!(exports.code(&name, code.len()), code, "{shape}: {name}");
                }
            }
        }
    }
}

#[test]
fn the_routines_of_the_shared_page_are_those_of_windows() {
    let [list, _] = lists();
    let bytes = emitted(&list, Format::Pe, Shape::SharedEdx);
    let exports = Exports::read(Arch::I386, &bytes);
    // mov edx,esp; sysenter; ret
    assert_eq!(exports.code("KiFastSystemCall", 5), [0x8b, 0xd4, 0x0f, 0x34, 0xc3]);
    // The kernel returns to the `ret`.
    assert_eq!(exports.code("KiFastSystemCallRet", 1), [0xc3]);
    // lea edx,[esp+8]; int 2Eh; ret
    assert_eq!(exports.code("KiIntSystemCall", 7), [0x8d, 0x54, 0x24, 0x08, 0xcd, 0x2e, 0xc3]);
}

#[test]
fn the_routines_of_the_shared_page_are_those_that_are_proven() {
    let [list, _] = lists();
    let guest = ntgate_runtime::prove::image(&list, Arch::I386, &[]).expect("it is built");
    for routine in ntgate_gen::stub::system_calls(Arch::I386, ntgate_gen::Encoding::Msvc) {
        let code = routine.code.encode().expect("it encodes").bytes;
        let found = guest.windows(code.len()).any(|window| window == code);
        assert!(found, "{} is not in the guest", routine.code.service);
    }
}

#[test]
fn a_kernel_shape_is_refused_with_what_to_ask_for() {
    let [list, _] = lists();
    for shape in shapes().filter(|shape| shape.is_kernel()) {
        let error = emit(&list, &Options::new(shape.arch(), Format::Pe).shape(shape)).expect_err("it is user mode");
        assert!(error.is_options());
        let text = error.to_string();
        let user = Shape::default_for(shape.arch()).name();
        assert!(text.contains(&format!("the shape {shape}")) && text.contains(user), "{text}");
        // Where no stub is in the file the shape does not matter.
        assert!(emit(&list, &Options::new(shape.arch(), Format::Implib).shape(shape)).is_ok());
    }
}

/// The checksum of an image: the sum of its 16-bit words with end-around carry, the field left out, and its length.
fn checksum(bytes: &[u8]) -> (u32, u32) {
    let headers = u32::from_le_bytes(bytes[0x3c..0x40].try_into().expect("four bytes")) as usize;
    let field = headers + 88;
    let stored = u32::from_le_bytes(bytes[field..field + 4].try_into().expect("four bytes"));
    let words = bytes.chunks(2).enumerate().filter(|(index, _)| !(field..field + 4).contains(&(2 * index)));
    let sum: u64 = words.map(|(_, word)| u64::from(word[0]) | u64::from(word.get(1).copied().unwrap_or(0)) << 8).sum();
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (stored, sum as u32 + bytes.len() as u32)
}

#[test]
fn the_checksum_is_right() {
    for list in lists() {
        for shape in shapes().filter(|shape| !shape.is_kernel()) {
            let (stored, summed) = checksum(&emitted(&list, Format::Pe, shape));
            assert_eq!(stored, summed, "{shape}");
        }
    }
}

#[test]
#[ignore = "needs mingw-w64"]
fn the_checksum_is_what_ld_writes() {
    let bench = Bench::new();
    bench.write("x.s", ".globl start\nstart: ret\n");
    bench.run("x86_64-w64-mingw32-as", &["-o", "x.o", "x.s"]);
    bench.run("x86_64-w64-mingw32-ld", &["-e", "start", "-o", "x.exe", "x.o"]);
    let (stored, summed) = checksum(&bench.read("x.exe"));
    assert_eq!(stored, summed);
    assert_ne!(stored, 0);
}

#[test]
#[ignore = "needs binutils"]
fn objdump_reads_headers_and_exports() {
    let bench = Bench::new();
    let [list, _] = lists();
    for (shape, format) in [(Shape::SharedEdx, "pei-i386"), (Shape::Syscall, "pei-x86-64")] {
        bench.write("ntdll.dll", emitted(&list, Format::Pe, shape));
        let text = bench.run("objdump", &["-p", "ntdll.dll"]);
        assert!(text.contains(&format!("file format {format}")), "{text}");
        assert!(text.contains("ntdll.dll\nOrdinal Base \t\t\t1\n"), "{text}");
        assert!(text.contains("\tDLL\n") && text.contains("DYNAMIC_BASE") && !text.contains("corrupt"), "{text}");
        for service in list.services() {
            let nt = format!(" {}\n", service.name());
            let zw = format!(" {}\n", service.name().zw());
            assert!(text.contains(&nt) && text.contains(&zw), "{nt}");
        }
        assert!(text.contains("reloc    0 offset    0 [1000] ABSOLUTE"), "{text}");
        let code = bench.run("objdump", &["-d", "ntdll.dll"]);
        assert!(code.contains(if shape == Shape::Syscall { "syscall" } else { "sysenter" }), "{code}");
    }
}

#[test]
#[ignore = "needs winedump (wine64-tools)"]
fn winedump_reads_headers_and_exports() {
    // Debian's name of it.
    let program =
        if std::process::Command::new("winedump").arg("-h").output().is_ok() { "winedump" } else { "winedump-stable" };
    let bench = Bench::new();
    let [list, _] = lists();
    for shape in [Shape::SharedEdx, Shape::Syscall] {
        bench.write("ntdll.dll", emitted(&list, Format::Pe, shape));
        let text = bench.run(program, &["-j", "export", "ntdll.dll"]);
        let routines = if shape.arch() == Arch::I386 { 3 } else { 0 };
        let count = 2 * list.services().count() + routines;
        assert!(text.contains(&format!("# of Names:      {count}\n")), "{text}");
        for service in list.services() {
            assert!(text.lines().any(|line| line.ends_with(&format!(" {}", service.name()))), "{}", service.name());
        }
    }
}
