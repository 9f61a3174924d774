//! A C program as gcc compiles it, on the bundled machine, under QEMU, and as an ordinary program: all print the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use ntgate_runtime::machine::cpuid::Model;
use ntgate_runtime::machine::{Exit, Machine};

/// What the program returns, and writes to the exit port.
const STATUS: u32 = 21;
const LEVELS: [&str; 5] = ["-O0", "-O1", "-O2", "-O3", "-Os"];

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/freestanding").join(name)
}

fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// What the program prints when it is built for this host.
fn hosted() -> Vec<u8> {
    let program = target("hosted");
    succeed(Command::new("gcc").args(["-O1", "-DHOSTED", "-o"]).arg(&program).arg(source("program.c")));
    let output = Command::new(&program).output().expect("the program has just been built");
    assert_eq!(output.status.code(), Some(STATUS as i32));
    output.stdout
}

fn freestanding(level: &str, processor: &str) -> PathBuf {
    let image = target(&format!("program{level}{processor}.elf"));
    let script = format!("-Wl,-T,{},--build-id=none", source("link.ld").display());
    let mut gcc = Command::new("gcc");
    gcc.args(["-m32", level, &format!("-march={processor}"), "-ffreestanding", "-nostdlib", "-fno-pie", "-no-pie"]);
    gcc.args(["-static", "-mgeneral-regs-only", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", &script]);
    gcc.arg("-o").arg(&image).arg(source("start.S")).arg(source("program.c")).arg("-lgcc");
    succeed(&mut gcc);
    image
}

fn bundled(image: &Path, model: &str) -> Vec<u8> {
    let model = Model::by_name(model).expect("the model is built in");
    let mut machine = Machine::new(model, 4 << 20);
    machine.load(&std::fs::read(image).expect("gcc has written it")).expect("it is a multiboot image");
    assert_eq!(machine.run(100_000_000), Exit::Port(STATUS), "{} at {:x}", image.display(), machine.eip());
    machine.take_console()
}

fn qemu(image: &Path) -> Vec<u8> {
    let log = image.with_extension("log");
    let console = format!("file:{}", log.display());
    let mut qemu = Command::new("qemu-system-i386");
    qemu.args(["-display", "none", "-no-reboot", "-debugcon", &console]);
    qemu.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel"]).arg(image);
    let status = qemu.status().unwrap_or_else(|error| panic!("{qemu:?}: {error}"));
    assert_eq!(status.code(), Some((STATUS << 1 | 1) as i32), "{qemu:?}");
    std::fs::read(log).expect("QEMU has written it")
}

#[test]
#[ignore = "needs gcc -m32"]
fn a_c_program_prints_on_the_machine_what_it_prints_natively() {
    let expected = hosted();
    assert_eq!(expected.iter().filter(|&&byte| byte == b'\n').count(), 9);
    // Not the 486 model: distributions build libgcc for i686, with CMOVcc.
    for (processor, model) in [("i486", "pentium2"), ("i686", "pentium2"), ("core2", "core2")] {
        for level in LEVELS {
            let seen = bundled(&freestanding(level, processor), model);
            assert_eq!(String::from_utf8_lossy(&seen), String::from_utf8_lossy(&expected), "{level} on {model}");
        }
    }
}

#[test]
#[ignore = "needs gcc -m32 and qemu-system-i386"]
fn a_c_program_prints_on_the_machine_what_it_prints_under_qemu() {
    for level in LEVELS {
        let image = freestanding(level, "pentium4");
        assert_eq!(
            String::from_utf8_lossy(&bundled(&image, "core2")),
            String::from_utf8_lossy(&qemu(&image)),
            "{level}"
        );
    }
}
