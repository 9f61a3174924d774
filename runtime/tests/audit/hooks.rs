//! Stubs that something else has been put into the place of.

use ntgate_gen::Arch;
use ntgate_runtime::audit::{Audit, Basis, Class, Hook};

use super::dll::{Dll, stub_32, stub_64};
use super::{audited, export};

/// An address that is no image's.
const AWAY: u32 = 0x6A00_1230;

/// Stubs of NtA to NtE with the numbers 10h to 14h, the third of which begins with other bytes.
fn hooked(arch: Arch, patch: &dyn Fn(u32) -> Vec<u8>) -> Audit {
    let mut dll = Dll::new(arch);
    for (number, name) in (0x10..).zip(["NtA", "NtB", "NtC", "NtD", "NtE"]) {
        let mut code = match arch {
            Arch::I386 => stub_32(number, 8),
            _ => stub_64(number),
        };
        if name == "NtC" {
            let at = dll.next();
            let bytes = patch(dll.base as u32 + at);
            code.resize(code.len().max(bytes.len()), 0xCC);
            code[..bytes.len()].copy_from_slice(&bytes);
        }
        dll.add(name, &code);
    }
    audited(&dll.bytes())
}

#[track_caller]
fn hook(audit: &Audit) -> &Hook {
    let export = export(audit, "NtC");
    assert_eq!((&export.class, export.number), (&Class::Hooked, None), "{:?}", export.notes);
    assert!(!audit.is_clean());
    export.hook.as_ref().expect("it is told")
}

fn relative(at: u32) -> Vec<u8> {
    let mut code = vec![0xE9];
    code.extend(AWAY.wrapping_sub(at + 5).to_le_bytes());
    code
}

#[test]
fn a_jump_is_followed_and_the_number_found_by_the_neighbours() {
    let audit = hooked(Arch::I386, &relative);
    let hook = hook(&audit);
    assert_eq!((hook.to, hook.original), (Some(AWAY.into()), Some(0x12)));
    let around = Basis::Neighbours { below: ("NtB".to_owned(), 0x11), above: ("NtD".to_owned(), 0x13) };
    assert_eq!(hook.basis, [around]);
    // `mov edx,7FFE0300h; call [edx]; ret 8` is still there.
    assert_eq!(hook.rest_ret_bytes, Some(8));
    let text = hook.to_string();
    assert!(
        text.contains("goes to 6A001230h; the number was 12h: NtB before it has 11h and NtD behind it 13h"),
        "{text}"
    );
}

#[test]
fn every_style_of_32_bit_hooks_is_seen() {
    let with = |before: &[u8], after: &[u8]| [before, &AWAY.to_le_bytes(), after].concat();
    for patch in [
        // push address; ret
        with(&[0x68], &[0xC3]),
        // mov eax,address; jmp eax
        with(&[0xB8], &[0xFF, 0xE0]),
        // mov edi,edi; call at the hot-patch place is a jump too: here with the address in ECX.
        with(&[0xB9], &[0xFF, 0xE1]),
    ] {
        let audit = hooked(Arch::I386, &|_| patch.clone());
        assert_eq!((hook(&audit).to, hook(&audit).original), (Some(AWAY.into()), Some(0x12)), "{patch:02X?}");
    }
}

#[test]
fn every_style_of_64_bit_hooks_is_seen() {
    let away = u64::from(AWAY).to_le_bytes();
    for patch in [
        // jmp [rip+0]
        [&[0xFF, 0x25, 0, 0, 0, 0][..], &away].concat(),
        // mov rax,address; jmp rax
        [&[0x48, 0xB8][..], &away, &[0xFF, 0xE0]].concat(),
        // push address; ret
        [&[0x68][..], &AWAY.to_le_bytes(), &[0xC3]].concat(),
    ] {
        let audit = hooked(Arch::Amd64, &|_| patch.clone());
        assert_eq!((hook(&audit).to, hook(&audit).original), (Some(AWAY.into()), Some(0x12)), "{patch:02X?}");
    }
}

#[test]
fn bytes_of_the_number_that_are_left_are_a_reason() {
    // A jump of five bytes takes `mov r10,rcx`, the opcode and the lowest byte of the number.
    let audit = hooked(Arch::Amd64, &|_| {
        let mut code = vec![0xE9];
        code.extend(0x1000_0000_u32.to_le_bytes());
        code
    });
    let hook = hook(&audit);
    assert_eq!(hook.original, Some(0x12));
    assert!(hook.basis.contains(&Basis::Bytes), "{:?}", hook.basis);
    assert_eq!(hook.rest_ret_bytes, Some(0));
}

#[test]
fn a_breakpoint_in_the_place_of_a_stub_is_a_hook() {
    let audit = hooked(Arch::I386, &|_| vec![0xCC]);
    let hook = hook(&audit);
    assert_eq!((hook.to, hook.instruction.as_str(), hook.original), (None, "int 3", Some(0x12)));
}

#[test]
fn a_stub_that_no_longer_enters_the_kernel_is_hooked_where_its_number_is_missing() {
    let after = |before: &[u8]| [before, &AWAY.to_le_bytes()].concat();
    for (arch, patch) in [
        (Arch::I386, vec![0xC2, 8, 0]),
        // mov eax,1; ret 8
        (Arch::I386, vec![0xB8, 1, 0, 0, 0, 0xC2, 8, 0]),
        // ud2
        (Arch::I386, vec![0x0F, 0x0B]),
        // A jump to what lies before, which is int 3 here.
        (Arch::I386, vec![0xEB, 0xFE - 1]),
        (Arch::Amd64, vec![0xC3]),
        // xor eax,eax; ret
        (Arch::Amd64, vec![0x31, 0xC0, 0xC3]),
        // No `mov r10,rcx`.
        (Arch::Amd64, vec![0x90; 3]),
        // mov rax,address; push rax; ret
        (Arch::Amd64, [&after(&[0x48, 0xB8])[..], &[0, 0, 0, 0, 0x50, 0xC3]].concat()),
    ] {
        let audit = hooked(arch, &|_| patch.clone());
        assert_eq!(hook(&audit).original, Some(0x12), "{patch:02X?}");
    }
}

#[test]
fn who_goes_to_another_image_among_stubs_is_hooked_whatever_comes_before() {
    let mut dll = Dll::new(Arch::I386);
    dll.add("NtA", &stub_32(0x40, 4));
    let at = dll.next();
    dll.add("NtC", &[&[0x90; 7][..], &relative(dll.base as u32 + at + 7)].concat());
    dll.add("NtD", &stub_32(0x90, 4));
    let audit = audited(&dll.bytes());
    assert_eq!((hook(&audit).to, hook(&audit).original), (Some(AWAY.into()), None));
}

#[test]
fn a_routine_in_a_stubs_place_is_no_hook() {
    // RtlQuerySystemTime: mov rax,[7FFE0014h]; mov [rcx],rax; xor eax,eax; ret
    let clock = [0x48, 0x8B, 4, 0x25, 0x14, 0, 0xFE, 0x7F, 0x48, 0x89, 1, 0x31, 0xC0, 0xC3];
    let mut dll = Dll::new(Arch::Amd64);
    let routine = dll.add("RtlQuerySystemTime", &clock);
    dll.add("Filler", &[0xCC; 64]);
    dll.add("NtAddAtom", &stub_64(0x59));
    let at = dll.next();
    let mut jump = vec![0xE9];
    jump.extend(routine.wrapping_sub(at + 5).to_le_bytes());
    dll.add("NtQuerySystemTime", &jump);
    dll.add("NtClose", &stub_64(0x5B));
    dll.add("NtGetTickCount", &clock);
    dll.add("NtContinue", &stub_64(0x5D));
    let audit = audited(&dll.bytes());
    assert!(audit.is_clean());
    for name in ["NtQuerySystemTime", "NtGetTickCount"] {
        assert_eq!(export(&audit, name).class, Class::NoKernelEntry);
    }
}

#[test]
fn the_twin_knows_the_number() {
    let mut dll = Dll::new(Arch::I386);
    dll.add("NtA", &stub_32(0x40, 4));
    let at = dll.next();
    let mut code = stub_32(0, 4);
    code[..5].copy_from_slice(&relative(dll.base as u32 + at));
    dll.add("NtC", &code);
    dll.add("NtD", &stub_32(0x90, 4));
    dll.add("ZwC", &stub_32(0x77, 4));
    let audit = audited(&dll.bytes());
    let hook = hook(&audit);
    assert_eq!((hook.original, hook.basis.as_slice()), (Some(0x77), &[Basis::Twin { name: "ZwC".to_owned() }][..]));
}

#[test]
fn neighbours_with_a_gap_are_no_reason() {
    let mut dll = Dll::new(Arch::I386);
    dll.add("NtA", &stub_32(0x40, 4));
    let at = dll.next();
    dll.add("NtC", &relative(dll.base as u32 + at));
    dll.add("NtD", &stub_32(0x90, 4));
    assert_eq!(hook(&audited(&dll.bytes())).original, None);
}

#[test]
fn a_repaired_stub_with_a_wrong_number_is_found() {
    let mut dll = Dll::new(Arch::I386);
    for (name, number) in [("NtA", 0x10), ("NtB", 0x12), ("NtC", 0x12), ("ZwB", 0x11)] {
        dll.add(name, &stub_32(number, 4));
    }
    let audit = audited(&dll.bytes());
    let told: Vec<String> = audit.findings.iter().map(|finding| format!("{} {}", finding.name, finding.text)).collect();
    assert_eq!(told, ["NtC has the number 12h, as NtB has", "NtB has the number 12h, and ZwB the number 11h"]);
}

#[test]
fn a_repaired_stub_with_a_number_of_nobodys_is_found_by_its_neighbours() {
    let mut dll = Dll::new(Arch::Amd64);
    for (name, number) in [("NtA", 0x10), ("NtB", 0x40), ("NtC", 0x12), ("NtD", 0x13)] {
        dll.add(name, &stub_64(number));
    }
    let audit = audited(&dll.bytes());
    let told: Vec<String> = audit.findings.iter().map(|finding| format!("{} {}", finding.name, finding.text)).collect();
    assert_eq!(told, ["NtB has the number 40h, between NtA with 10h and NtC with 12h: 11h is to be expected"]);
}

#[test]
fn a_dll_without_stubs_has_nothing_to_hook() {
    let mut dll = Dll::new(Arch::I386);
    let at = dll.next();
    dll.add("NtC", &relative(dll.base as u32 + at));
    let audit = audited(&dll.bytes());
    assert_eq!(export(&audit, "NtC").class, Class::LeavesImage);
}
