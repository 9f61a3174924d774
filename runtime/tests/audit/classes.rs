//! What is no system call, and what is one under another name.

use ntgate_gen::Arch;
use ntgate_runtime::audit::Class;

use super::dll::{Dll, stub_32, stub_64};
use super::{audited, export, service, ways};

/// `jmp rel32` to a place.
fn jump(from: u32, to: u32) -> Vec<u8> {
    let mut code = vec![0xE9];
    code.extend(to.wrapping_sub(from + 5).to_le_bytes());
    code
}

#[test]
fn a_number_without_a_trap_is_no_service() {
    let mut dll = Dll::new(Arch::Amd64);
    dll.add("NtX", &[0xB8, 1, 0, 0, 0, 0xC3]);
    let audit = audited(&dll.bytes());
    assert_eq!((&export(&audit, "NtX").class, export(&audit, "NtX").number), (&Class::NoKernelEntry, None));
}

#[test]
fn a_read_of_the_systems_page_is_no_service_and_shifts_no_number() {
    let mut dll = Dll::new(Arch::I386);
    dll.add("NtA", &stub_32(5, 4));
    // mov edx,7FFE0000h; mov eax,[edx]; mul dword [edx+4]; ret
    dll.add("NtGetTickCount", &[0xBA, 0, 0, 0xFE, 0x7F, 0x8B, 2, 0xF7, 0x62, 4, 0xC3]);
    dll.add("NtB", &stub_32(6, 8));
    let audit = audited(&dll.bytes());
    let ticks = export(&audit, "NtGetTickCount");
    assert_eq!(ticks.class, Class::NoKernelEntry);
    assert_eq!(ticks.notes, ["reads SharedUserData+0h, which is not modelled, at +1025h"]);
    assert_eq!(service(&audit, "NtB", 6).args, Some(2));
}

#[test]
fn a_jump_into_another_routine_has_not_the_number_of_the_stub_behind_it() {
    let mut dll = Dll::new(Arch::Amd64);
    // RtlQuerySystemTime: mov rax,[7FFE0014h]; mov [rcx],rax; xor eax,eax; ret
    let routine =
        dll.add("RtlQuerySystemTime", &[0x48, 0x8B, 4, 0x25, 0x14, 0, 0xFE, 0x7F, 0x48, 0x89, 1, 0x31, 0xC0, 0xC3]);
    let at = dll.next();
    dll.add("NtQuerySystemTime", &jump(at, routine));
    dll.add("NtWaitForMultipleObjects", &stub_64(0x5B));
    let audit = audited(&dll.bytes());
    let time = export(&audit, "NtQuerySystemTime");
    assert_eq!((&time.class, time.number), (&Class::NoKernelEntry, None));
    assert!(time.notes[0].starts_with("reads SharedUserData+14h"), "{:?}", time.notes);
    service(&audit, "NtWaitForMultipleObjects", 0x5B);
}

#[test]
fn a_jump_to_a_stub_is_the_service() {
    let mut dll = Dll::new(Arch::I386);
    let stub = dll.add("NtA", &stub_32(5, 4));
    let at = dll.next();
    dll.add("Thunk", &jump(at, stub));
    let audit = audited(&dll.bytes());
    assert_eq!(ways(service(&audit, "Thunk", 5)), ways(service(&audit, "NtA", 5)));
    assert!(
        audit.findings.iter().any(|finding| finding.text == "has the number 5h, as NtA has"),
        "{:?}",
        audit.findings
    );
}

#[test]
fn names_of_one_place_are_twins_or_aliases() {
    let mut dll = Dll::new(Arch::I386);
    let stub = dll.add("NtA", &stub_32(5, 4));
    for name in ["ZwA", "A", "NtOld"] {
        dll.export(name, stub);
    }
    let audit = audited(&dll.bytes());
    assert_eq!(service(&audit, "NtA", 5).twin.as_deref(), Some("ZwA"));
    assert_eq!(export(&audit, "A").class, Class::Alias("NtA".to_owned()));
    assert_eq!(export(&audit, "NtOld").class, Class::Alias("NtA".to_owned()));
    assert_eq!((audit.exports.len(), audit.findings.len()), (3, 0));
}

#[test]
fn a_number_that_nobody_set_is_noticed() {
    for (arch, code) in [
        // mov eax,ecx; lea edx,[esp+4]; int 2Eh; ret
        (Arch::I386, &[0x89, 0xC8, 0x8D, 0x54, 0x24, 4, 0xCD, 0x2E, 0xC3][..]),
        // movzx eax,byte [esp+20h]; the same
        (Arch::I386, &[0x0F, 0xB6, 0x44, 0x24, 0x20, 0x8D, 0x54, 0x24, 4, 0xCD, 0x2E, 0xC3]),
        // mov r10,rcx; movd eax,xmm0; and eax,0FFFh; syscall; ret
        (Arch::Amd64, &[0x4C, 0x8B, 0xD1, 0x66, 0x0F, 0x7E, 0xC0, 0x25, 0xFF, 0xF, 0, 0, 0x0F, 5, 0xC3]),
    ] {
        let mut dll = Dll::new(arch);
        dll.add("NtX", code);
        let audit = audited(&dll.bytes());
        let x = export(&audit, "NtX");
        assert_eq!((&x.class, x.number), (&Class::Wrapper, None), "{code:02X?}");
        assert!(x.notes[0].contains("nobody has set"), "{:?}", x.notes);
    }
}

#[test]
fn a_function_that_calls_a_service_is_not_one() {
    let mut dll = Dll::new(Arch::I386);
    let stub = dll.add("NtClose", &stub_32(0x19, 4));
    let at = dll.next();
    // push [esp+4]; call NtClose; ret 4
    let mut code = vec![0xFF, 0x74, 0x24, 4, 0xE8];
    code.extend(stub.wrapping_sub(at + 9).to_le_bytes());
    code.extend([0xC2, 4, 0]);
    dll.add("CloseHandle", &code);
    let audit = audited(&dll.bytes());
    let close = export(&audit, "CloseHandle");
    assert_eq!((&close.class, close.number), (&Class::Wrapper, Some(0x19)));
    assert_eq!(
        close.notes,
        ["enters the kernel by sysenter with arguments of its own", "the number is that of NtClose"]
    );
}

#[test]
fn services_that_break_the_callers_state_are_told() {
    // mov ebx,5 before; pop of one word too few behind.
    let mut clobbers = vec![0xBB, 5, 0, 0, 0];
    clobbers.extend(stub_32(7, 4));
    // The status is thrown away: ...; call [edx]; xor eax,eax; ret 4
    let mut lies = stub_32(8, 4);
    lies.splice(12..12, [0x31, 0xC0]);
    // 3 bytes are no whole number of arguments.
    let mut odd = stub_32(9, 3);
    odd.truncate(15);
    let mut dll = Dll::new(Arch::I386);
    for (name, code) in [("NtA", &clobbers), ("NtB", &lies), ("NtC", &odd)] {
        dll.add(name, code);
    }
    let audit = audited(&dll.bytes());
    let told: Vec<(&str, &str)> =
        audit.findings.iter().map(|finding| (finding.name.as_str(), finding.text.as_str())).collect();
    assert_eq!(
        told,
        [
            ("NtA", "it does not keep ebx"),
            ("NtB", "it does not return what the kernel does"),
            ("NtC", "it takes 3 bytes off the stack: no whole number of arguments"),
        ]
    );
}

#[test]
fn exports_of_other_dlls_leave_the_image() {
    let mut dll = Dll::new(Arch::Amd64);
    dll.add("NtA", &stub_64(1));
    dll.forward("NtB", "ntdll.NtB");
    dll.forward("NtC", "ntdll.#7");
    let audit = audited(&dll.bytes());
    for (name, to) in [("NtB", "forwarded to ntdll.NtB"), ("NtC", "forwarded to ntdll.#7")] {
        assert_eq!(export(&audit, name).class, Class::LeavesImage);
        assert_eq!(export(&audit, name).notes, [to]);
    }
}

#[test]
fn calls_through_imports_leave_the_image() {
    let mut dll = Dll::new(Arch::I386);
    let field = dll.import("ntdll.dll", "RtlAllocateHeap");
    let code = [&[0xFF, 0x25][..], &(dll.base as u32 + field).to_le_bytes()].concat();
    dll.add("HeapAlloc", &code);
    let audit = audited(&dll.bytes());
    let export = export(&audit, "HeapAlloc");
    assert_eq!(
        (&export.class, export.notes.as_slice()),
        (&Class::LeavesImage, &["goes to ntdll.dll!RtlAllocateHeap".to_owned()][..])
    );
}

#[test]
fn memory_is_put_back_between_exports() {
    // Each adds one to a variable, and has it as its number.
    let mut dll = Dll::new(Arch::I386);
    let variable = dll.data(&[0x10, 0, 0, 0]);
    let address = (dll.base as u32 + variable).to_le_bytes();
    // inc dword [variable]; mov eax,[variable]; lea edx,[esp+4]; int 2Eh; ret
    let code = [&[0xFF, 5][..], &address, &[0xA1], &address, &[0x8D, 0x54, 0x24, 4, 0xCD, 0x2E, 0xC3]].concat();
    for name in ["NtA", "NtB", "NtC"] {
        dll.add(name, &code);
    }
    let audit = audited(&dll.bytes());
    for name in ["NtA", "NtB", "NtC"] {
        service(&audit, name, 0x11);
    }
}

#[test]
fn a_dll_is_moved_where_its_place_is_taken() {
    // At SharedUserData, without relocations: it cannot be loaded. Where it can be, it is.
    let mut dll = Dll::new(Arch::I386);
    dll.add("NtA", &stub_32(5, 4));
    dll.base = 0x7FFE_0000;
    let error = ntgate_runtime::audit::audit(&dll.bytes(), &ntgate_runtime::audit::Options::default());
    let error = error.expect_err("its place is taken").to_string();
    assert!(error.contains("0x7ffe0000") && error.contains("no relocations"), "{error}");
}
