//! `ntgate boot`: exit statuses, messages, and a C program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn boot(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ntgate"));
    command.arg("boot").args(arguments).output().expect("the program has been built")
}

/// Writes a multiboot image that is loaded at 1 MiB by its header's address fields; returns its path.
fn image(name: &str, code: &[u8]) -> String {
    let (magic, flags, start) = (0x1BAD_B002u32, 0x1_0000u32, 0x10_0000u32);
    let checksum = 0u32.wrapping_sub(magic).wrapping_sub(flags);
    let header = [magic, flags, checksum, start, start, 0, 0, start + 32];
    let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend_from_slice(code);
    write(name, &bytes)
}

fn write(name: &str, bytes: &[u8]) -> String {
    let path = target(name);
    std::fs::write(&path, bytes).expect("the target folder is writable");
    path.to_str().expect("the target folder has a plain name").to_owned()
}

/// Boots the code; its status and what it printed.
fn outcome(name: &str, code: &[u8], more: &[&str]) -> (Option<i32>, Vec<u8>) {
    let image = image(name, code);
    let output = boot(&[&[image.as_str()], more].concat());
    (output.status.code(), output.stdout)
}

#[test]
fn the_exit_port_gives_the_status_that_it_gives_under_qemu() {
    // mov al, 'A'; out 0E9h, al; mov al, 3; out 0F4h, al
    let code = [0xB0, b'A', 0xE6, 0xE9, 0xB0, 3, 0xE6, 0xF4];
    assert_eq!(outcome("port.bin", &code, &[]), (Some(7), b"A".to_vec()));
}

#[test]
fn a_guest_that_does_not_exit_ends_with_a_status_of_its_own() {
    // out 0E9h, al; cli; hlt
    let halted = outcome("halt.bin", &[0xB0, b'H', 0xE6, 0xE9, 0xFA, 0xF4], &[]);
    assert_eq!(halted, (Some(4), b"H".to_vec()));
    // ud2 without an IDT
    assert_eq!(outcome("triple.bin", &[0x0F, 0x0B], &[]).0, Some(4));
    // jmp $
    assert_eq!(outcome("endless.bin", &[0xEB, 0xFE], &["--budget", "100000"]).0, Some(6));
    // fld1
    assert_eq!(outcome("float.bin", &[0xD9, 0xE8], &[]).0, Some(8));
}

#[test]
fn what_is_no_image_is_one_line_and_status_2() {
    let files = [
        write("empty.bin", &[]),
        write("text.bin", b"not an image\n"),
        write("elf.bin", b"\x7FELF\x01\x01\x01"),
        target("there-is-no-such-file").display().to_string(),
        env!("CARGO_TARGET_TMPDIR").to_owned(),
    ];
    for file in files {
        let output = boot(&[&file]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{file}: {text}");
        assert!(text.contains(&file) && output.stdout.is_empty(), "{file}: {text}");
    }
}

/// Builds the C program of the runtime's tests.
fn c_program(arguments: &[&str], output: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("runtime/tests/freestanding");
    let path = target(output);
    let mut gcc = Command::new("gcc");
    gcc.current_dir(folder).args(arguments).arg("-o").arg(&path);
    let status = gcc.status().expect("gcc is on PATH");
    assert!(status.success(), "{gcc:?}: install gcc-multilib");
    path
}

#[test]
#[ignore = "needs gcc -m32"]
fn a_c_program_prints_what_it_prints_natively() {
    let hosted = c_program(&["-O1", "-DHOSTED", "program.c"], "boot-hosted");
    let expected = Command::new(hosted).output().expect("the program has just been built").stdout;
    let flags = ["-m32", "-O2", "-ffreestanding", "-nostdlib", "-static", "-fno-pie", "-no-pie", "-mgeneral-regs-only"];
    let more = ["-fno-stack-protector", "-Wl,-T,link.ld,--build-id=none", "start.S", "program.c", "-lgcc"];
    let image = c_program(&[&flags[..], &more].concat(), "boot-program.elf");
    let output = boot(&[image.to_str().expect("the target folder has a plain name")]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&expected));
    assert_eq!(output.status.code(), Some(21 << 1 | 1));
}
