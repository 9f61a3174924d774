//! Every shape of real systems, in the bytes that they have there.

use ntgate_gen::Arch;

use super::dll::Dll;
use super::{audited, service, ways};

/// What is to be seen of a stub: number, bytes off the stack, ways, shape.
struct Seen {
    number: u32,
    ret: u32,
    ways: &'static [&'static str],
    shape: Option<&'static str>,
}

fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hex")).collect()
}

#[track_caller]
fn check(dll: &Dll, seen: &Seen) {
    let audit = audited(&dll.bytes());
    let stub = service(&audit, "NtX", seen.number);
    assert_eq!(stub.ret_bytes, Some(seen.ret));
    assert_eq!(ways(stub), seen.ways);
    assert_eq!(stub.shape.as_deref(), seen.shape);
    assert_eq!(audit.findings, []);
}

#[track_caller]
fn check_code(arch: Arch, code: &str, seen: &Seen) {
    let mut dll = Dll::new(arch);
    dll.add("NtX", &bytes(code));
    check(&dll, seen);
}

#[test]
fn stubs_of_32_bit_systems() {
    let shared = &["sysenter edx+8", "int2e edx"];
    for (code, ret, ways, shape) in [
        ("55 89E5 B898000000 8D5508 CD2E 5D C22400", 0x24, &["int2e edx"][..], Some("int2e-frame")),
        ("55 8BEC B898000000 8D5508 CD2E 5D C22400", 0x24, &["int2e edx"], Some("int2e-frame")),
        // A compiler's frame around the interrupt: no shape of any list.
        ("55 8BEC 53 B898000000 8D5508 CD2E 5B C9 C22400", 0x24, &["int2e edx"], None),
        ("B898000000 8D542404 CD2E C22400", 0x24, &["int2e edx"], Some("int2e")),
        ("B898000000 8D542404 CD2E C3", 0, &["int2e edx"], Some("int2e")),
        ("B898000000 BA0003FE7F FFD2 C22400", 0x24, shared, Some("shared-call-edx")),
        ("B898000000 B90003FE7F FFD1 C22400", 0x24, shared, Some("shared-call-ecx")),
        ("B898000000 BA0003FE7F FF12 C22400", 0x24, shared, Some("shared-edx")),
        ("B898000000 BA0003FE7F FF12 C20000", 0, shared, Some("shared-edx")),
        ("B898000000 B90003FE7F FF11 C22400", 0x24, shared, Some("shared-ecx")),
        ("B898000000 E803000000 C22400 8BD4 0F34 C3", 0x24, &["sysenter edx+8"], Some("sysenter")),
        ("B898000000 E801000000 C3 8BD4 0F34 C3", 0, &["sysenter edx+8"], Some("sysenter")),
    ] {
        check_code(Arch::I386, code, &Seen { number: 0x98, ret, ways, shape });
    }
}

#[test]
fn stubs_of_wow64() {
    for (code, ways, shape) in [
        ("B898000000 33C9 8D542404 64FF15C0000000 C22400", &["wow64 edx"][..], Some("wow64-fs")),
        ("B898000000 B905000000 8D542404 64FF15C0000000 C22400", &["wow64 edx"], Some("wow64-fs")),
        ("B898000000 33C9 8D542404 64FF15C0000000 83C404 C22400", &["wow64 edx"], Some("wow64-fs-pop")),
        ("B898000000 64FF15C0000000 C22400", &["wow64 esp+8"], Some("wow64-fs-turbo")),
        ("B898001B00 64FF15C0000000 C22400", &["wow64 esp+8"], Some("wow64-fs-turbo")),
    ] {
        check_code(Arch::I386, code, &Seen { number: 0x98, ret: 0x24, ways, shape });
    }
}

#[test]
fn wow64_that_leaves_the_return_address_is_told_from_one_that_takes_it() {
    for (code, leaves) in [
        ("B898000000 33C9 8D542404 64FF15C0000000 C22400", false),
        ("B898000000 33C9 8D542404 64FF15C0000000 83C404 C22400", true),
    ] {
        let mut dll = Dll::new(Arch::I386);
        dll.add("NtX", &bytes(code));
        let audit = audited(&dll.bytes());
        let when = &service(&audit, "NtX", 0x98).entries[0].when;
        assert!(when.iter().any(|when| when.contains(if leaves { "leaves" } else { "takes" })), "{when:?}");
    }
}

/// `mov eax,98h; mov edx,routine; call edx; ret 24h`, with the routine behind it.
fn called(routine: impl Fn(&mut Dll) -> Vec<u8>) -> Dll {
    let mut dll = Dll::new(Arch::I386);
    let routine = routine(&mut dll);
    let at = (dll.base as u32 + dll.next() + 16).to_le_bytes();
    let mut code = bytes("B898000000 BA");
    code.extend(at);
    code.extend(bytes("FFD2 C22400 90"));
    code.extend(routine);
    dll.add("NtX", &code);
    dll
}

#[test]
fn stubs_of_windows_10_call_a_routine_of_ntdll() {
    // Windows 10 1607 and later: jmp [Wow64Transition].
    let dll = called(|dll| {
        let variable = dll.data(&[0; 4]);
        dll.export("Wow64Transition", variable);
        [bytes("FF25"), (dll.base as u32 + variable).to_le_bytes().to_vec()].concat()
    });
    check(&dll, &Seen { number: 0x98, ret: 0x24, ways: &["wow64 esp+8"], shape: Some("wow64-call") });

    // win32u imports the variable; through it either way.
    for through in ["FF25", "8B15"] {
        let dll = called(|dll| {
            let field = dll.import("ntdll.dll", "Wow64Transition");
            let mut code = [bytes(through), (dll.base as u32 + field).to_le_bytes().to_vec()].concat();
            // mov edx,[field]; jmp [edx]
            code.extend(if through == "8B15" { bytes("FF22") } else { Vec::new() });
            code
        });
        check(&dll, &Seen { number: 0x98, ret: 0x24, ways: &["wow64 esp+8"], shape: Some("wow64-call") });
    }

    // The first ones ask the PEB, and have an interrupt too.
    let first = "648B1530000000 8B9254020000 F7C202000000 7403 CD2E C3 EA00000060 3300";
    let audit = audited(&called(|_| bytes(first)).bytes());
    let stub = service_or_wrapper(&audit);
    assert_eq!(ways(stub), ["wow64 esp+8", "int2e ?"]);
}

/// EDX is not what the interrupt takes: those systems have another handler behind it.
fn service_or_wrapper(audit: &ntgate_runtime::audit::Audit) -> &ntgate_runtime::audit::Export {
    let stub = super::export(audit, "NtX");
    assert_eq!(stub.number, Some(0x98));
    stub
}

#[test]
fn stubs_of_wine() {
    let dll = called(|dll| {
        let variable = dll.data(&[0; 4]);
        dll.export("__wine_syscall_dispatcher", variable);
        [bytes("FF25"), (dll.base as u32 + variable).to_le_bytes().to_vec()].concat()
    });
    let mut file = dll.bytes();
    file[0x40..0x50].copy_from_slice(b"Wine builtin DLL");
    let audit = audited(&file);
    let stub = service(&audit, "NtX", 0x98);
    assert_eq!(
        (ways(stub), stub.shape.as_deref(), stub.ret_bytes),
        (vec!["wine esp+8".to_owned()], Some("wine-call"), Some(0x24))
    );

    let code = "4C8BD1 B898000000 F604250803FE7F01 7503 0F05 C3 EB01 C3 FF14250010FE7F C3";
    let ways = &["syscall r10", "wine r10"];
    check_code(Arch::Amd64, code, &Seen { number: 0x98, ret: 0, ways, shape: Some("wine-syscall") });
}

#[test]
fn stubs_of_64_bit_systems() {
    for (code, ways, shape) in [
        ("4C8BD1 B898000000 0F05 C3", &["syscall r10"][..], Some("syscall")),
        ("B898000000 4989CA 0F05 C3", &["syscall r10"], Some("syscall-reactos")),
        (
            "48894C2408 4889542410 4C89442418 4C894C2420 4C8BD1 B898000000 0F05 C3",
            &["syscall r10"],
            Some("syscall-home"),
        ),
        (
            "4C8BD1 B898000000 F604250803FE7F01 7503 0F05 C3 CD2E C3",
            &["syscall r10", "int2e r10"],
            Some("syscall-or-int2e"),
        ),
        ("4C8BD1 B898000000 CD2E C3", &["int2e r10"], Some("int2e")),
    ] {
        check_code(Arch::Amd64, code, &Seen { number: 0x98, ret: 0, ways, shape });
    }
}

#[test]
fn a_stub_of_no_shape_is_a_service_all_the_same() {
    // mov r11d,98h; push r11; mov r10,rcx; pop rax; syscall; ret
    let code = "41BB98000000 4153 4989CA 58 0F05 C3";
    check_code(Arch::Amd64, code, &Seen { number: 0x98, ret: 0, ways: &["syscall r10"], shape: None });
    // xor eax,eax; mov al,98h; call over; int 2Eh by way of a jump back.
    let code = "31C0 B098 8D542404 EB03 CD2E C3 EBFB";
    check_code(Arch::I386, code, &Seen { number: 0x98, ret: 0, ways: &["int2e edx"], shape: None });
}

#[test]
fn what_amd64_stubs_take_off_the_stack_is_told() {
    // The defect of ReactOS's old generator: `ret 24h` behind `syscall`.
    let mut dll = Dll::new(Arch::Amd64);
    dll.add("NtX", &bytes("B898000000 4989CA 0F05 C22400"));
    let audit = audited(&dll.bytes());
    let stub = service(&audit, "NtX", 0x98);
    assert_eq!((stub.ret_bytes, stub.args), (Some(0x24), None));
    assert!(audit.findings[0].text.starts_with("it takes 36 bytes off the stack"), "{:?}", audit.findings);
}
