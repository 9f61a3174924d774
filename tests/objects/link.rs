//! What linkers make of objects and archives.

use ntgate_gen::emit::Format;
use ntgate_gen::stub::Stub;
use ntgate_gen::{Arch, Encoding, Shape, stub};

use crate::expected::{emitted, emitted_as, lists, shapes, stubs};
use crate::image::Image;
use crate::tools::Bench;

/// A linker and the format of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linker {
    /// GNU ld of mingw-w64.
    Mingw,
    /// LLVM's linker in the manner of Microsoft's.
    LldLink,
    /// GNU ld.
    Gnu,
    /// LLVM's linker for ELF.
    LdLld,
}

impl Linker {
    const ALL: [Self; 4] = [Self::Mingw, Self::LldLink, Self::Gnu, Self::LdLld];

    /// Whether it links objects of an architecture, as Debian has it.
    fn links(self, arch: Arch) -> bool {
        match self {
            Self::LldLink => true,
            Self::Mingw | Self::Gnu => arch != Arch::Arm64,
            // In ELF it takes what is behind the `@` of `_NtClose@4` for a version, and leaves it out.
            Self::LdLld => arch != Arch::I386,
        }
    }

    fn is_coff(self) -> bool {
        matches!(self, Self::Mingw | Self::LldLink)
    }

    /// Links `inputs` to `out`. `wanted` are symbols that must be in it, whatever refers to them.
    fn link(self, bench: &Bench, arch: Arch, inputs: &[&str], wanted: &[&str]) {
        let name = |names: [&'static str; 3]| names[arch as usize];
        let (program, mut args): (&str, Vec<String>) = match self {
            Self::Mingw => (
                name(["i686-w64-mingw32-ld", "x86_64-w64-mingw32-ld", ""]),
                vec!["--shared".into(), "-o".into(), "out".into()],
            ),
            Self::LldLink => {
                let machine = format!("/machine:{}", name(["x86", "x64", "arm64"]));
                let options = ["/dll", "/noentry", "/nodefaultlib", "/opt:noref", "/debug:symtab", "/out:out"];
                ("lld-link", options.into_iter().map(str::to_owned).chain([machine]).collect())
            }
            Self::Gnu | Self::LdLld => {
                let emulation = name(["elf_i386", "elf_x86_64", "aarch64linux"]);
                let program = if self == Self::Gnu { "ld" } else { "ld.lld" };
                // Stubs have no entry point.
                let options = ["-m", emulation, "-e", "0", "-o", "out"];
                (program, options.map(str::to_owned).to_vec())
            }
        };
        let want = if self == Self::LldLink { "/include:" } else { "--undefined=" };
        args.extend(wanted.iter().map(|symbol| format!("{want}{symbol}")));
        if self == Self::LldLink && inputs.contains(&"outside.o") {
            // GNU as does not say that its objects have no handlers.
            args.push("/safeseh:no".into());
        }
        args.extend(inputs.iter().map(|input| (*input).to_owned()));
        bench.run(program, &args.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// Assembles `outside.o`, which has what stubs refer to and do not have: whether anything is missing.
fn write_outside(bench: &Bench, linker: Linker, arch: Arch, stubs: &[Stub]) -> bool {
    let mut missing: Vec<&str> =
        stubs.iter().flat_map(|stub| &stub.relocations).map(|relocation| relocation.symbol.as_str()).collect();
    missing.sort_unstable();
    missing.dedup();
    let text: String = missing.iter().map(|name| format!(".globl {name}\n{name}: ret\n")).collect();
    // As every object of ELF should say.
    let note = if linker.is_coff() { "" } else { ".section .note.GNU-stack,\"\",%progbits\n" };
    bench.write("outside.s", format!(".text\n{text}{note}"));
    if !missing.is_empty() {
        let (program, option) = match (linker.is_coff(), arch) {
            (true, Arch::I386) => ("i686-w64-mingw32-as", "--32"),
            (true, _) => ("x86_64-w64-mingw32-as", "--64"),
            (false, Arch::I386) => ("as", "--32"),
            (false, _) => ("as", "--64"),
        };
        bench.run(program, &[option, "-o", "outside.o", "outside.s"]);
    }
    !missing.is_empty()
}

/// Every shape with every linker that has its architecture.
fn with_all(mut each: impl FnMut(Linker, Shape)) {
    for linker in Linker::ALL {
        for shape in shapes().filter(|shape| linker.links(shape.arch())) {
            each(linker, shape);
        }
    }
}

#[test]
#[ignore = "needs mingw-w64, binutils and lld"]
fn objects_link_to_the_bytes_that_are_proven() {
    let bench = Bench::new();
    for list in lists() {
        with_all(|linker, shape| {
            for encoding in Encoding::ALL {
                let stubs: Vec<_> = list.services().map(|service| stub::build(shape, service, encoding)).collect();
                let format = if linker.is_coff() { Format::Coff } else { Format::Elf };
                bench.write("stubs.o", emitted_as(&list, format, shape, encoding));
                let mut inputs = vec!["stubs.o"];
                if write_outside(&bench, linker, shape.arch(), &stubs) {
                    inputs.push("outside.o");
                }
                linker.link(&bench, shape.arch(), &inputs, &[]);
                Image::parse(&bench.read("out")).check(&stubs, &format!("{linker:?} {} {shape}", shape.arch()));
            }
        });
    }
}

#[test]
#[ignore = "needs mingw-w64, binutils and lld"]
fn archives_give_every_stub_that_is_asked_for() {
    let bench = Bench::new();
    for list in lists() {
        with_all(|linker, shape| {
            let stubs = stubs(&list, shape);
            let format = if linker.is_coff() { Format::Archive } else { Format::ElfArchive };
            bench.write("stubs.lib", emitted(&list, format, shape));
            let mut inputs = vec!["stubs.lib"];
            if write_outside(&bench, linker, shape.arch(), &stubs) {
                inputs.push("outside.o");
            }
            // The linker looks for each in the archive's index, by one of its names or the other.
            let name = |(index, stub): (usize, &'_ Stub)| stub.symbols[index % stub.symbols.len()].clone();
            let wanted: Vec<String> = stubs.iter().enumerate().map(name).collect();
            linker.link(&bench, shape.arch(), &inputs, &wanted.iter().map(String::as_str).collect::<Vec<_>>());
            Image::parse(&bench.read("out")).check(&stubs, &format!("{linker:?} {} {shape}", shape.arch()));
        });
    }
}

#[test]
#[ignore = "needs mingw-w64, binutils and lld"]
fn archives_give_nothing_that_is_not_asked_for() {
    let bench = Bench::new();
    let [list, _] = lists();
    with_all(|linker, shape| {
        if shape.is_kernel() {
            return;
        }
        let stubs = stubs(&list, shape);
        let format = if linker.is_coff() { Format::Archive } else { Format::ElfArchive };
        bench.write("stubs.lib", emitted(&list, format, shape));
        let (wanted, rest): (Vec<Stub>, Vec<Stub>) =
            stubs.into_iter().partition(|stub| ["NtClose", "NtWriteFile"].contains(&stub.service.as_str()));
        linker.link(&bench, shape.arch(), &["stubs.lib"], &[&wanted[0].symbols[0], &wanted[1].symbols[1]]);
        let bytes = bench.read("out");
        let image = Image::parse(&bytes);
        image.check(&wanted, &format!("{linker:?} {shape}"));
        for symbol in rest.iter().flat_map(|stub| &stub.symbols) {
            assert_eq!(image.address(symbol), None, "{linker:?} {shape}: {symbol}");
        }
    });
}

#[test]
#[ignore = "needs lld"]
fn a_linker_that_wants_registered_handlers_takes_our_objects() {
    let bench = Bench::new();
    let [list, _] = lists();
    bench.write("stubs.obj", emitted(&list, Format::Coff, Shape::SharedEdx));
    bench.write("stubs.lib", emitted(&list, Format::Archive, Shape::SharedEdx));
    for input in ["stubs.obj", "stubs.lib"] {
        let options =
            ["/machine:x86", "/dll", "/noentry", "/nodefaultlib", "/safeseh", "/include:_NtClose@4", "/out:out"];
        bench.run("lld-link", &[&options[..], &[input]].concat());
    }
}

#[test]
#[ignore = "needs binutils"]
fn the_stack_of_a_program_with_our_objects_is_not_executable() {
    let bench = Bench::new();
    let [list, _] = lists();
    for (shape, emulation) in [(Shape::SharedEdx, "elf_i386"), (Shape::Syscall, "elf_x86_64")] {
        bench.write("stubs.o", emitted(&list, Format::Elf, shape));
        bench.run("ld", &["-m", emulation, "-e", "0", "-o", "out", "stubs.o"]);
        let headers = bench.run("readelf", &["-lW", "out"]);
        let stack = headers.lines().find(|line| line.contains("GNU_STACK")).expect("ld writes it");
        assert!(stack.contains(" RW ") && !stack.contains("RWE"), "{stack}");
    }
}
