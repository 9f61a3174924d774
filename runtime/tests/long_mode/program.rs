//! The C program of the 32-bit tests, compiled for x86-64 and wrapped in an image that enters long mode.

use std::path::{Path, PathBuf};
use std::process::Command;

use ntgate_runtime::machine::Exit;

/// What the program returns, and writes to the exit port.
const STATUS: u32 = 21;

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/freestanding").join(name)
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// What the program prints when it is built for this host.
fn hosted(directory: &Path) -> Vec<u8> {
    let program = directory.join("hosted");
    succeed(Command::new("gcc").args(["-O1", "-DHOSTED", "-o"]).arg(&program).arg(source("program.c")));
    let output = Command::new(&program).output().expect("the program has just been built");
    assert_eq!(output.status.code(), Some(STATUS as i32));
    output.stdout
}

/// An ELF file of 32 bits, as multiboot wants it, with 64-bit code in it.
fn freestanding(directory: &Path, level: &str, flags: &[&str]) -> Vec<u8> {
    let (wide, image) = (directory.join(format!("wide{level}")), directory.join(format!("image{level}")));
    let script = format!("-Wl,-T,{},--build-id=none", source("link.ld").display());
    let mut gcc = Command::new("gcc");
    gcc.args(flags).args(["-m64", level, "-ffreestanding", "-nostdlib", "-fno-pie", "-no-pie", "-static"]);
    gcc.args(["-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-mno-red-zone", &script]);
    gcc.arg("-o").arg(&wide).arg(source("start64.S")).arg(source("program.c")).arg("-lgcc");
    succeed(&mut gcc);
    succeed(Command::new("objcopy").args(["-O", "elf32-i386"]).arg(&wide).arg(&image));
    std::fs::read(image).expect("objcopy has written it")
}

#[test]
#[ignore = "needs gcc for x86-64 and qemu-system-x86_64"]
fn a_c_program_in_long_mode_prints_what_it_prints_elsewhere() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let expected = hosted(directory.path());
    let levels = ["-O0", "-O1", "-O2", "-O3", "-Os"];
    for (level, flags) in
        levels.into_iter().flat_map(|level| [(level, &[][..]), (level, &["-march=core2", "-mno-ssse3"])])
    {
        let image = freestanding(directory.path(), level, flags);
        let seen = super::bundled(&image, "core2duo", 100_000_000, &Exit::Port(STATUS));
        assert_eq!(seen, String::from_utf8_lossy(&expected), "{level}");
        assert_eq!(seen, super::qemu(&image, "core2duo", STATUS), "{level}");
    }
}
