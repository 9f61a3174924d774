//! Files and code that want to do harm: an error or a class, never a panic, and not much memory or time.

use ntgate_gen::Arch;
use ntgate_runtime::audit::{Class, Options, audit};

use super::dll::{DATA, Dll, EXPORTS, stub_32, stub_64};
use super::{audited, export, service};

fn small(arch: Arch) -> Vec<u8> {
    let mut dll = Dll::new(arch);
    dll.add("NtA", &if arch == Arch::I386 { stub_32(1, 4) } else { stub_64(1) });
    dll.forward("NtB", "ntdll.NtB");
    dll.bytes()
}

/// Offset of the optional header in these DLLs.
const OPTIONAL: usize = 0x98;

fn patched(arch: Arch, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = small(arch);
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}

#[test]
fn files_that_are_cut_off_are_told() {
    for arch in [Arch::I386, Arch::Amd64] {
        let file = small(arch);
        for length in (0..0x300).chain((0x300..file.len()).step_by(0x333)) {
            let error = audit(&file[..length], &Options::default()).expect_err("it is cut off").to_string();
            assert!(!error.is_empty() && !error.contains('\n'), "{length:x}: {error}");
        }
        let error = audit(&file[..0x2000], &Options::default()).expect_err("it is cut off").to_string();
        assert_eq!(error, "a PE image, but section .text ends at offset 0x8000, and the file at 0x2000: it is cut off");
    }
}

#[test]
fn sizes_beyond_all_measure_are_refused() {
    // SizeOfImage.
    let error =
        audit(&patched(Arch::I386, OPTIONAL + 56, &[0xFF; 4]), &Options::default()).expect_err("it is too large");
    assert!(error.to_string().contains("SizeOfImage is 0xffffffff"), "{error}");
    // A section of 4 GiB: what is beyond the image is not loaded.
    let sections = OPTIONAL + 96 + 128;
    let audit_ = audited(&patched(Arch::I386, sections + 40 + 8, &[0xFF; 4]));
    service(&audit_, "NtA", 1);
    // Its bytes in the file.
    let error = audit(&patched(Arch::I386, sections + 16, &[0xFF, 0xFF, 0xFF, 0x7F]), &Options::default());
    assert!(error.is_ok() || error.is_err_and(|error| error.to_string().contains("cut off")));
    // The number of sections.
    let error = audit(&patched(Arch::I386, 0x86, &[0xFF, 0xFF]), &Options::default()).expect_err("too many");
    assert!(error.to_string().contains("65535 sections"), "{error}");
}

#[test]
fn sections_may_lie_on_each_other() {
    // The data is where the code is: both are one page's content, the later one's bytes.
    let sections = OPTIONAL + 96 + 128;
    let file = patched(Arch::I386, sections + 40 + 12, &0x1000_u32.to_le_bytes());
    let audit = audited(&file);
    assert_ne!(export(&audit, "NtA").class, Class::Service, "zeroes are there");
}

#[test]
fn exports_may_be_anywhere() {
    let mut dll = Dll::new(Arch::I386);
    dll.add("NtA", &stub_32(1, 4));
    for (name, rva) in [("Far", 0xFFFF_FFFF), ("End", 0x2_0000), ("Data", DATA), ("Headers", 0), ("Middle", 0x7FFF)] {
        dll.export(name, rva);
    }
    let audit = audited(&dll.bytes());
    service(&audit, "NtA", 1);
    for name in ["Far", "End", "Data", "Middle"] {
        let class = &export(&audit, name).class;
        assert!(matches!(class, Class::NoKernelEntry | Class::LeavesImage | Class::Unsupported), "{name}: {class}");
    }
    // An address of 0 is that of no export.
    assert!(audit.by_name("Headers").is_none());
}

#[test]
fn forwarders_may_go_round() {
    let mut dll = Dll::new(Arch::Amd64);
    dll.forward("NtA", "test.NtB");
    dll.forward("NtB", "test.NtA");
    let audit = audited(&dll.bytes());
    assert!(audit.exports.iter().all(|export| export.class == Class::LeavesImage));
}

#[test]
fn an_export_directory_that_is_not_there_is_told() {
    for (at, what) in [(0xF0_0000_u32, "is not in it"), (EXPORTS + 0xFF0, "in its export directory")] {
        let file = patched(Arch::I386, OPTIONAL + 96, &at.to_le_bytes());
        let error = audit(&file, &Options::default()).expect_err("it is not there").to_string();
        assert!(error.contains(what), "{error}");
    }
    let error = audit(&patched(Arch::I386, OPTIONAL + 96, &[0; 4]), &Options::default()).expect_err("none");
    assert_eq!(error.to_string(), "a PE image without exports");
    // 4 billion of them.
    let file = patched(Arch::I386, EXPORTS as usize + 20, &[0xFF; 4]);
    assert!(audit(&file, &Options::default()).is_err());
}

#[test]
fn as_many_exports_as_there_are_numbers_are_called_one_by_one() {
    let of = |count: u32| {
        let mut dll = Dll::new(Arch::Amd64);
        let stub = dll.add("NtA", &stub_64(1));
        for index in 1..count {
            // In code, in padding, and twice at the same place.
            dll.export(&format!("F{index:05}"), if index % 2 == 0 { stub } else { 0x1000 + index % 0x6000 });
        }
        let mut options = Options::default();
        options.budget = 20;
        audit(&dll.bytes(), &options)
    };
    let audit = of(65_535).expect("it is an image");
    assert_eq!(audit.exports.len(), 65_535);
    service(&audit, "NtA", 1);
    let error = of(65_536).expect_err("ordinals have 16 bits").to_string();
    assert!(error.starts_with("a PE image, but in its export directory: "), "{error}");
}

#[test]
fn claims_that_would_take_memory_are_refused() {
    // The names of an export directory, 200,000 of them, all the same one.
    let mut dll = Dll::new(Arch::I386);
    dll.add("NtA", &stub_32(1, 4));
    let mut file = dll.bytes();
    let count = 200_000_u32;
    let (at, sections) = (file.len() as u32, OPTIONAL + 96 + 128);
    file.extend((0..count).flat_map(|_| (EXPORTS + 40 + 10).to_le_bytes()));
    file.resize(file.len() + 2 * count as usize, 0);
    file.resize(file.len().next_multiple_of(0x1000), 0);
    let end = file.len() as u32;
    let mut put = |at: usize, value: u32| file[at..at + 4].copy_from_slice(&value.to_le_bytes());
    put(OPTIONAL + 56, end);
    put(OPTIONAL + 100, end - EXPORTS);
    put(sections + 80 + 8, end - EXPORTS);
    put(sections + 80 + 16, end - EXPORTS);
    put(EXPORTS as usize + 24, count);
    put(EXPORTS as usize + 32, at);
    put(EXPORTS as usize + 36, at + 4 * count);
    let error = audit(&file, &Options::default()).expect_err("it claims too much").to_string();
    assert_eq!(error, "a PE image, but it exports more than 131072 names");
}

#[test]
fn code_that_does_not_end_ends() {
    for (name, arch, code) in [
        ("loop", Arch::I386, &[0xEB, 0xFE][..]),
        // push; jmp back: down the stack.
        ("stack", Arch::I386, &[0x50, 0xEB, 0xFD]),
        // call itself
        ("recursion", Arch::Amd64, &[0xE8, 0xFB, 0xFF, 0xFF, 0xFF]),
        // sub esp,7FFFFFFFh; push eax
        ("far stack", Arch::I386, &[0x81, 0xEC, 0xFF, 0xFF, 0xFF, 0x7F, 0x50, 0xC3]),
        // rep stosd over everything
        ("stos", Arch::I386, &[0xBF, 0, 0, 0xFB, 0x7F, 0xB9, 0xFF, 0xFF, 0xFF, 0xFF, 0xF3, 0xAB, 0xC3]),
        // int 2Eh for ever
        ("entries", Arch::I386, &[0xCD, 0x2E, 0xEB, 0xFC]),
        // mov esp,0; int 2Eh; ret
        ("no stack", Arch::I386, &[0xBC, 0, 0, 0, 0, 0xCD, 0x2E, 0xC3]),
        // popfd with everything set; int 2Eh
        ("flags", Arch::I386, &[0x6A, 0xFF, 0x9D, 0xCD, 0x2E, 0xC3]),
        ("hlt", Arch::Amd64, &[0xF4]),
        ("wrmsr", Arch::Amd64, &[0x0F, 0x30]),
        ("out", Arch::Amd64, &[0xE6, 0xF4]),
        ("port", Arch::I386, &[0xEC, 0xC3]),
        ("lgdt", Arch::Amd64, &[0x0F, 1, 0x10]),
        ("int 80h", Arch::I386, &[0xCD, 0x80]),
        ("int 8", Arch::I386, &[0xCD, 8]),
        ("sysret", Arch::Amd64, &[0x48, 0x0F, 7]),
        ("sysexit", Arch::Amd64, &[0x0F, 0x35]),
        // mov ss,ax; the window of no interrupts
        ("ss", Arch::I386, &[0x8E, 0xD0, 0xC3]),
        // jmp far 33h: into 64-bit code of its own
        ("heaven", Arch::I386, &[0xEA, 0x17, 0x10, 0x80, 0x7C, 0x33, 0, 0x0F, 5, 0xC3]),
        // into the monitor: mov rax,FFFF80000000B000h; jmp rax
        ("monitor", Arch::Amd64, &[0x48, 0xB8, 0, 0xB0, 0, 0, 0, 0x80, 0xFF, 0xFF, 0xFF, 0xE0]),
        // not canonical
        ("canonical", Arch::Amd64, &[0x48, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xFF, 0xE0]),
        ("tf", Arch::I386, &[0x68, 2, 1, 0, 0, 0x9D, 0x90, 0xCD, 0x2E, 0xC3]),
        ("invalid", Arch::Amd64, &[0x0F, 0x0B]),
        ("avx", Arch::Amd64, &[0xC5, 0xF8, 0x77]),
    ] {
        let mut dll = Dll::new(arch);
        dll.add("NtX", code);
        let good = if arch == Arch::I386 { stub_32(7, 4) } else { stub_64(7) };
        dll.add("NtY", &good);
        let audit = audited(&dll.bytes());
        let class = &export(&audit, "NtX").class;
        assert!(*class != Class::Service, "{name} is no service");
        // The next one finds everything as it was.
        service(&audit, "NtY", 7);
    }
}

#[test]
fn code_that_writes_itself_is_what_it_wrote() {
    // In a section that can be written and executed: mov byte [here+7],99h; mov eax,98h; lea edx,[esp+4]; int 2Eh; ret
    let mut dll = Dll::new(Arch::I386);
    let at = dll.base as u32 + dll.next();
    let mut code = vec![0xC6, 5];
    code.extend((at + 8).to_le_bytes());
    code.extend([0x99, 0xB8, 0x98, 0, 0, 0, 0x8D, 0x54, 0x24, 4, 0xCD, 0x2E, 0xC3]);
    dll.add("NtX", &code);
    let mut file = dll.bytes();
    let flags = OPTIONAL + 96 + 128 + 36;
    file[flags..flags + 4].copy_from_slice(&0xE000_0020_u32.to_le_bytes());
    let audit = audited(&file);
    service(&audit, "NtX", 0x99);
    // Where it may not, it is told.
    let audit = audited(&dll.bytes());
    assert!(export(&audit, "NtX").notes[0].contains("which can only be read"), "{:?}", export(&audit, "NtX").notes);
}

#[test]
fn stacks_at_the_end_of_the_address_space_are_seen() {
    // mov rsp,-n; mov eax,5; jmp [7FFE1000h]
    for below in [1_i8, 4, 8, 0x18] {
        let mut dll = Dll::new(Arch::Amd64);
        let mut code = vec![0x48, 0xC7, 0xC4, (-below).cast_unsigned(), 0xFF, 0xFF, 0xFF];
        code.extend([0xB8, 5, 0, 0, 0, 0xFF, 0x24, 0x25, 0, 0x10, 0xFE, 0x7F]);
        dll.add("NtA", &code);
        let audit = audited(&dll.bytes());
        let found = export(&audit, "NtA");
        assert_eq!(found.class, Class::Wrapper);
        assert_eq!(found.notes, ["enters the kernel by wine with arguments of its own"]);
    }
}
