//! Unwind information of amd64, as tools that are not ours read it.

use ntgate_gen::emit::Format;
use ntgate_gen::{Arch, Shape};
use object::{Object, ObjectSection};

use crate::expected::{emitted, lists, shapes};
use crate::image::Image;
use crate::tools::Bench;

#[test]
fn leaf_functions_have_no_entry() {
    let [list, _] = lists();
    for shape in shapes().filter(|&shape| shape != Shape::ZwAmd64) {
        let bytes = emitted(&list, Format::Coff, shape);
        let image = Image::parse(&bytes);
        assert!(image.file().section_by_name(".pdata").is_none(), "{} {shape}", shape.arch());
    }
}

#[test]
fn a_kernel_stub_that_moves_the_stack_has_an_entry() {
    let [list, _] = lists();
    let bytes = emitted(&list, Format::Coff, Shape::ZwAmd64);
    let image = Image::parse(&bytes);
    let section = image.file().section_by_name(".pdata").expect("it is there");
    assert_eq!(section.size(), 12 * list.services().count() as u64);
    // Begin, end, and what tells of the prologue.
    assert_eq!(section.relocations().count(), 3 * list.services().count());
    let info = image.file().section_by_name(".xdata").expect("it is there").data().expect("it has bytes").to_vec();
    // Version 1, 14h bytes of prologue, five codes: `push rax`, `push 10h`, `pushfq`, `push rax` are 8 bytes each,
    // `sub rsp,10h` is 10h.
    assert_eq!(info, [1, 0x14, 5, 0, 0x14, 2, 0xc, 2, 0xa, 2, 9, 2, 8, 0x12, 0, 0]);
}

#[test]
#[ignore = "needs llvm"]
fn llvm_reads_an_entry_for_each_stub() {
    let bench = Bench::new();
    let [list, _] = lists();
    bench.write("zw.obj", emitted(&list, Format::Coff, Shape::ZwAmd64));
    let text = bench.run("llvm-readobj", &["--unwind", "zw.obj"]);
    assert_eq!(text.matches("RuntimeFunction {").count(), list.services().count());
    let mut entries = text.split("RuntimeFunction {").skip(1);
    for service in list.services() {
        let entry = entries.next().expect("one for each");
        let zw = service.name().zw();
        assert!(entry.contains(&format!("StartAddress: {zw} (")), "{entry}");
        assert!(entry.contains(&format!("EndAddress: {zw} +0x1E (")), "{entry}");
        assert!(entry.contains("PrologSize: 20\n"), "{entry}");
        let codes: Vec<&str> = entry.lines().map(str::trim).filter(|line| line.contains("ALLOC_SMALL")).collect();
        assert_eq!(
            codes,
            [
                "0x14: ALLOC_SMALL size=8",
                "0x0C: ALLOC_SMALL size=8",
                "0x0A: ALLOC_SMALL size=8",
                "0x09: ALLOC_SMALL size=8",
                "0x08: ALLOC_SMALL size=16"
            ]
        );
    }
}

#[test]
#[ignore = "needs mingw-w64 and binutils"]
fn objdump_finds_the_entries_in_a_linked_image() {
    let bench = Bench::new();
    let [list, _] = lists();
    assert_eq!(Shape::ZwAmd64.arch(), Arch::Amd64);
    bench.write("zw.obj", emitted(&list, Format::Coff, Shape::ZwAmd64));
    bench.write("outside.s", ".globl KiServiceInternal, KiServiceLinkage\nKiServiceInternal: KiServiceLinkage: ret\n");
    bench.run("x86_64-w64-mingw32-as", &["-o", "outside.o", "outside.s"]);
    bench.run("x86_64-w64-mingw32-ld", &["-e", "ZwClose", "-o", "out.exe", "zw.obj", "outside.o"]);
    let bytes = bench.read("out.exe");
    let close = Image::parse(&bytes).address("ZwClose").expect("it is linked");
    let text = bench.run("x86_64-w64-mingw32-objdump", &["-p", "out.exe"]);
    let row = format!("{close:016x} {:016x} ", close + 0x1e);
    assert!(text.contains(&row), "{row}: {text}");
}
