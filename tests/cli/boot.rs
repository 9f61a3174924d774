//! `ntgate boot`: exit statuses, messages, the proof image and a C program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Sandbox;

#[test]
fn an_image_boots_and_its_status_is_that_of_qemu() {
    let sandbox = Sandbox::new();
    sandbox.write("small.lst", "NtNone 0\nNtThree 3\n");
    sandbox.run(&["image", "small.lst", "--arch", "i386", "-o", "proof.elf"]).status(0).no_stdout().no_stderr();
    // The guest writes 0 to its exit port.
    for cpu in ["486", "core2"] {
        let outcome = sandbox.run(&["boot", "proof.elf", "--cpu", cpu]).status(1).no_stderr();
        let log = outcome.stdout();
        assert!(log.starts_with("ntgate 1 profile srv2003 services 2 sets 7\ncpu cpuid "), "{log}");
        assert!(log.lines().last().is_some_and(|line| line.starts_with("done ")), "{log}");
    }
}

#[test]
fn an_image_that_enters_long_mode_boots_where_there_is_one() {
    let sandbox = Sandbox::new();
    sandbox.write("small.lst", "NtNone 0\nNtThree 3\n");
    sandbox.run(&["image", "small.lst", "--arch", "amd64", "-o", "proof.elf"]).status(0).no_stdout().no_stderr();
    for cpu in ["core2duo", "nehalem"] {
        let outcome = sandbox.run(&["boot", "proof.elf", "--cpu", cpu]).status(1).no_stderr();
        let log = outcome.stdout();
        assert!(log.starts_with("ntgate 1 profile win7-x64 services 2 sets 7\ncpu family 6 "), "{log}");
        assert!(log.lines().last().is_some_and(|line| line.starts_with("done ")), "{log}");
    }
    sandbox.run(&["image", "small.lst", "--profile", "win10-x64", "-o", "win10.elf"]).status(0).no_stdout().no_stderr();
    let outcome = sandbox.run(&["boot", "win10.elf"]).status(1).no_stderr();
    assert!(outcome.stdout().starts_with("ntgate 1 profile win10-x64 services 2 sets "), "{}", outcome.stdout());
    let arguments = ["image", "small.lst", "--profile", "win10-x64", "--arch", "i386", "-o", "no.elf"];
    assert_eq!(sandbox.run(&arguments).status(2).stderr(), "ntgate: error: win10-x64 is not a system of i386\n");
    assert!(!sandbox.path("no.elf").exists());
    // The guest writes 2 to its exit port.
    let outcome = sandbox.run(&["boot", "proof.elf", "--cpu", "core2"]).status(5).no_stderr();
    assert_eq!(outcome.stdout(), "no long mode\n");
}

/// A multiboot image whose header says where its bytes go: the code, at 100020h.
fn flat_image(code: &[u8]) -> Vec<u8> {
    let (magic, flags) = (0x1BAD_B002u32, 0x1_0000u32);
    let checksum = 0u32.wrapping_sub(magic).wrapping_sub(flags);
    let (start, entry) = (0x10_0000u32, 0x10_0020u32);
    let header = [magic, flags, checksum, start, start, 0, 0, entry];
    let mut image: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    image.extend_from_slice(code);
    image
}

#[test]
fn every_way_a_guest_can_end_has_a_status() {
    let sandbox = Sandbox::new();
    for (code, status, message) in [
        // mov al,3; out 0F4h,al
        (&[0xB0, 3, 0xE6, 0xF4][..], 7, ""),
        // cli; hlt
        (&[0xFA, 0xF4], 4, "halted"),
        // ud2 without an IDT
        (&[0x0F, 0x0B], 4, "triple fault"),
        // jmp $
        (&[0xEB, 0xFE], 6, "the instruction budget is used up after 100000 instructions; --budget gives it more"),
        // fld1
        (&[0xD9, 0xE8], 8, "fld1"),
    ] {
        sandbox.write_bytes("image", &flat_image(code));
        let outcome = sandbox.run(&["boot", "image", "--budget", "100000"]).status(status).no_stdout();
        assert_eq!(outcome.stderr().lines().count(), usize::from(!message.is_empty()), "{}", outcome.stderr());
        assert!(outcome.stderr().contains(message), "{}", outcome.stderr());
    }
    // What was printed before is not lost.
    for (code, status) in [
        // mov al,'x'; out 0E9h,al; jmp $
        (&[0xB0, b'x', 0xE6, 0xE9, 0xEB, 0xFE][..], 6),
        // mov al,'x'; out 0E9h,al; mov al,3; out 0F4h,al
        (&[0xB0, b'x', 0xE6, 0xE9, 0xB0, 3, 0xE6, 0xF4], 7),
    ] {
        sandbox.write_bytes("image", &flat_image(code));
        assert_eq!(sandbox.run(&["boot", "image", "--budget", "1000"]).status(status).stdout(), "x");
    }
}

#[test]
fn images_that_are_none_are_told() {
    let sandbox = Sandbox::new();
    sandbox.write("small.lst", "NtNone 0\nNtThree 3\n");
    sandbox.run(&["image", "small.lst", "--arch", "i386", "-o", "proof.elf"]).status(0);
    let elf = fs::read(sandbox.path("proof.elf")).expect("it is written");
    sandbox.write_bytes("cut.elf", &elf[..elf.len() / 2]);
    sandbox.write_bytes("head.elf", &elf[..40]);
    sandbox.write("text", "this is no image\n");
    sandbox.write("empty", "");
    fs::create_dir(sandbox.path("directory")).expect("it is made");
    // This program is an ELF file too, but not a multiboot one.
    fs::copy(env!("CARGO_BIN_EXE_ntgate"), sandbox.path("program")).expect("it is copied");
    for image in ["cut.elf", "head.elf", "text", "empty", "directory", "program", "missing"] {
        let outcome = sandbox.run(&["boot", image]).status(2).no_stdout();
        assert_eq!(outcome.stderr().lines().count(), 1, "{image}: {}", outcome.stderr());
        assert!(outcome.stderr().starts_with("ntgate: error: cannot "), "{image}: {}", outcome.stderr());
    }
    // Segments that do not fit.
    sandbox.write_bytes("large", &{
        let mut image = flat_image(&[0xFA, 0xF4]);
        for (at, value) in [(12, 0x4000_0000u32), (16, 0x4000_0000), (28, 0x4000_0020)] {
            image[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        image
    });
    let outcome = sandbox.run(&["boot", "large"]).status(2).no_stdout();
    assert!(outcome.stderr().starts_with("ntgate: error: cannot boot large: "), "{}", outcome.stderr());
}

/// Builds the C program of the runtime's tests.
fn c_program(sandbox: &Sandbox, arguments: &[&str], output: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("runtime/tests/freestanding");
    let path = sandbox.path(output);
    let mut gcc = Command::new("gcc");
    gcc.current_dir(folder).args(arguments).arg("-o").arg(&path);
    let status = gcc.status().expect("gcc is on PATH");
    assert!(status.success(), "{gcc:?}: install gcc-multilib");
    path
}

#[test]
#[ignore = "needs gcc -m32"]
fn a_c_program_prints_what_it_prints_natively() {
    let sandbox = Sandbox::new();
    let hosted = c_program(&sandbox, &["-O1", "-DHOSTED", "program.c"], "hosted");
    let expected = Command::new(hosted).output().expect("the program has just been built").stdout;
    let flags = ["-m32", "-O2", "-ffreestanding", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-mgeneral-regs-only"];
    let more = ["-fno-stack-protector", "-Wl,-T,link.ld,--build-id=none", "start.S", "program.c", "-lgcc"];
    c_program(&sandbox, &[&flags[..], &more].concat(), "program.elf");
    let outcome = sandbox.run(&["boot", "program.elf"]).status(21 << 1 | 1).no_stderr();
    assert_eq!(outcome.stdout(), String::from_utf8_lossy(&expected));
}

#[test]
#[ignore = "needs gcc for x86-64, objcopy and qemu-system-x86_64"]
fn a_c_program_that_enters_long_mode_prints_what_qemu_prints() {
    let sandbox = Sandbox::new();
    let flags = ["-m64", "-O2", "-ffreestanding", "-nostdlib", "-static", "-fno-pie", "-no-pie"];
    let more = ["-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-mno-red-zone"];
    let link = ["-Wl,-T,link.ld,--build-id=none", "start64.S", "program.c", "-lgcc"];
    let wide = c_program(&sandbox, &[&flags[..], &more, &link].concat(), "wide.elf");
    let mut objcopy = Command::new("objcopy");
    let status = objcopy.args(["-O", "elf32-i386"]).arg(wide).arg(sandbox.path("program.elf")).status();
    assert!(status.expect("objcopy is on PATH").success());
    // What the program gives to the exit port, as QEMU and ntgate make a status of it.
    let status = 21 << 1 | 1;
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-display", "none", "-no-reboot", "-debugcon", "stdio"]).stdin(std::process::Stdio::null());
    qemu.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel"]).arg(sandbox.path("program.elf"));
    let expected = qemu.output().expect("qemu-system-x86_64 is on PATH");
    assert_eq!(expected.status.code(), Some(status));
    let outcome = sandbox.run(&["boot", "program.elf"]).status(status).no_stderr();
    assert_eq!(outcome.stdout(), String::from_utf8_lossy(&expected.stdout));
    assert_eq!(outcome.stdout().lines().count(), 9);
}
