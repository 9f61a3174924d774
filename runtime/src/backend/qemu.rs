//! Boots under QEMU, with the debug console in a file and the exit port that the guest expects.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{BackendError, Boot, End, Image};

const PROGRAM_32: &str = "qemu-system-i386";
const PROGRAM_64: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";

/// A boot that takes longer than this hangs. Proofs take well under a second, also on a machine with other things to do.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How often a running boot is looked at.
const POLL: Duration = Duration::from_millis(2);

/// The program and its `-cpu` argument that give a CPU model of the bundled machine: the same CPUID signature and the
/// same of what the guests look for.
///
/// There is none for `486`: QEMU's has CPUID, as only the last 486 processors had.
fn like(cpu: &str) -> Option<(&'static str, &'static str)> {
    match cpu {
        "pentium" => Some((PROGRAM_32, "pentium")),
        // QEMU has no model of its own for it: model 1, whose SEP bit must not be believed.
        "pentium-pro" => Some((PROGRAM_32, "pentium2,model=1,stepping=9")),
        "pentium2" => Some((PROGRAM_32, "pentium2")),
        "core2" => Some((PROGRAM_32, "core2duo")),
        "core2duo" => Some((PROGRAM_64, "core2duo")),
        "nehalem" => Some((PROGRAM_64, "Nehalem,+rdtscp")),
        _ => None,
    }
}

/// Whether QEMU has the like of a CPU model of the bundled machine.
#[must_use]
pub fn has(cpu: &str) -> bool {
    like(cpu).is_some()
}

/// Boots an image.
///
/// # Errors
///
/// If QEMU is not on the `PATH`, has no such CPU model, fails before the guest runs, or does not end.
pub fn boot(image: &Image<'_>) -> Result<Boot, BackendError> {
    let no_such_cpu = || BackendError::NoSuchCpu { cpu: image.cpu.to_owned() };
    let (program, cpu) = like(image.cpu).ok_or_else(no_such_cpu)?;
    let io_error = |error| BackendError::Io { program, error };
    let directory = Directory::new().map_err(io_error)?;
    let kernel = directory.0.join("image.elf");
    let console = directory.0.join("console");
    fs::write(&kernel, image.elf).map_err(io_error)?;
    let child = command(program, &kernel, &console, cpu).spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => BackendError::Missing { program, package: PACKAGE },
        _ => BackendError::Io { program, error },
    })?;
    let (status, stderr) = wait(child, TIMEOUT).map_err(io_error)?;
    let console = fs::read(&console).unwrap_or_default();
    let Some(status) = status else {
        // Not a matter of one call: to boot again behind it would wait as long for each of the others.
        let message = format!("no exit within {} seconds", TIMEOUT.as_secs());
        return Err(BackendError::Failed { program, message });
    };
    if console.is_empty() && !stderr.is_empty() {
        return Err(BackendError::Failed { program, message: stderr });
    }
    Ok(Boot { console, end: end_of(status) })
}

/// `isa-debug-exit` ends QEMU with the status `value << 1 | 1`; even ones are QEMU's own.
fn end_of(status: ExitStatus) -> End {
    match status.code() {
        Some(code) if code & 1 == 1 => End::Exit(code.unsigned_abs() >> 1),
        Some(_) => End::Stopped("QEMU ended without a write to the exit port (a triple fault does that)".to_owned()),
        None => End::Stopped(format!("QEMU was ended: {status}")),
    }
}

fn command(program: &str, kernel: &Path, console: &Path, cpu: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("-kernel").arg(kernel);
    // A comma in an option's value is written twice.
    let console = console.to_string_lossy().replace(',', ",,");
    command.args(["-debugcon", &format!("file:{console}"), "-cpu", cpu]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
    command.args(["-machine", "pc,accel=tcg", "-m", "64", "-display", "none", "-no-reboot"]);
    command.args(["-net", "none", "-serial", "none", "-monitor", "none", "-nodefaults"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Waits for QEMU; `None` if it had to be killed. With what it said on standard error.
fn wait(mut child: Child, timeout: Duration) -> io::Result<(Option<ExitStatus>, String)> {
    let stderr = child.stderr.take();
    // Read beside the wait: a full pipe would stop QEMU.
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut stderr) = stderr {
            // What can't be read is not said; the status tells what matters.
            let _ = io::Read::read_to_end(&mut stderr, &mut text);
        }
        String::from_utf8_lossy(&text).trim().to_owned()
    });
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if start.elapsed() > timeout {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(POLL);
    };
    Ok((status, reader.join().unwrap_or_default()))
}

/// A directory that goes when it is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("ntgate-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                // Left behind by an earlier process of this id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Nothing can be done about a temporary directory that stays.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::cpuid::{LONG_MODELS, MODELS};

    #[test]
    fn every_model_but_the_486_has_its_like() {
        for model in MODELS.iter().chain(&LONG_MODELS) {
            assert_eq!(has(model.name), model.name != "486", "{}", model.name);
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_hangs_is_ended() {
        let run = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stderr(Stdio::piped()).spawn().expect("there is a shell")
        };
        let (status, _) = wait(run("exec sleep 60"), Duration::from_millis(20)).expect("it is ours to end");
        assert_eq!(status, None);
        let (status, said) = wait(run("echo no >&2; exit 7"), TIMEOUT).expect("it ends");
        assert_eq!((status.map(end_of), said.as_str()), (Some(End::Exit(3)), "no"));
    }

    #[test]
    fn directories_are_apart_and_go_away() {
        let (a, b) = (Directory::new().expect("it is made"), Directory::new().expect("it is made"));
        assert_ne!(a.0, b.0);
        let path = a.0.clone();
        drop(a);
        assert!(!path.exists() && b.0.exists());
    }
}
