//! How a run ends, read from the last lines of the guest's log.

use std::fmt;

use super::NtStatus;
use crate::machine::Exit;

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The program ended: by NtTerminateProcess, or because a closure ended it.
    Exit(NtStatus),
    /// An exception in ring 3 that nobody took.
    Unhandled {
        /// Its code.
        code: NtStatus,
        /// The instruction.
        address: u64,
    },
    /// The kernel's end.
    BugCheck(BugCheck),
    /// The budget is used up. The only end after which the machine can go on.
    Budget,
    /// The machine stopped for a reason that is none of NT's: a triple fault, an instruction that it does not have.
    Stopped(Exit),
}

/// A bug check, as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BugCheck {
    /// Its code (Microsoft, "Bug Check Code Reference").
    pub code: u32,
    /// Its parameters.
    pub parameters: [u64; 4],
    /// The whole report: code, vector, error code and registers; parameters; trap frame; stack; a line each.
    pub report: String,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "the program ended with {status}"),
            Self::Unhandled { code, address } => write!(f, "unhandled {code} at {address:08X}h"),
            Self::BugCheck(BugCheck { code, parameters: [a, b, c, d], .. }) => {
                write!(f, "bug check {code:X}h ({a:X}h, {b:X}h, {c:X}h, {d:X}h)")
            }
            Self::Budget => f.write_str("the instruction budget is used up"),
            Self::Stopped(exit) => exit.fmt(f),
        }
    }
}

/// The end that the value at the exit port, and the log before it, tell of. What the program prints is in the log too, but the
/// kernel's lines come last.
pub(super) fn end_of(value: u32, console: &[u8]) -> Option<End> {
    let text = String::from_utf8_lossy(console);
    let behind = |word: &str| text.rfind(word).map(|at| &text[at..]);
    match value {
        0 => behind("exit ").and_then(|line| Some(End::Exit(NtStatus(number(line, 1)? as u32)))),
        1 => behind("bugcheck ").and_then(bug_check),
        2 => behind("unhandled ").and_then(|line| {
            Some(End::Unhandled { code: NtStatus(number(line, 1)? as u32), address: number(line, 3)? })
        }),
        _ => None,
    }
}

fn bug_check(report: &str) -> Option<End> {
    let line = report.lines().find(|line| line.starts_with("parameters "));
    let parameter = |index| line.and_then(|line| number(line, index)).unwrap_or_default();
    Some(End::BugCheck(BugCheck {
        code: number(report, 1)? as u32,
        parameters: [parameter(1), parameter(2), parameter(3), parameter(4)],
        report: report.to_owned(),
    }))
}

/// The hexadecimal number that is this word of a text.
fn number(text: &str, word: usize) -> Option<u64> {
    u64::from_str_radix(text.split_ascii_whitespace().nth(word)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_the_kernels_lines_and_not_the_programs() {
        for (value, log, end) in [
            (0, "exit 00000001\nexit 00000007\n", Some(End::Exit(NtStatus(7)))),
            (0, "no new line behind thisexit 00000000\n", Some(End::Exit(NtStatus::SUCCESS))),
            (0, "nothing", None),
            (0, "exit x", None),
            (
                2,
                "exit 00000001\nunhandled c0000005 at 00401003\n",
                Some(End::Unhandled { code: NtStatus::ACCESS_VIOLATION, address: 0x40_1003 }),
            ),
            (3, "exit 00000001\n", None),
        ] {
            assert_eq!(end_of(value, log.as_bytes()), end, "{log}");
        }
    }

    #[test]
    fn bug_checks_have_their_parameters() {
        let log =
            "bugcheck 00000001\nparameters 1\nbugcheck 00000050 0 2 80801000 0 0 8 2\nparameters a b c d\ntrap 0\n";
        let Some(End::BugCheck(found)) = end_of(1, log.as_bytes()) else { panic!("it is one") };
        assert_eq!((found.code, found.parameters), (0x50, [0xA, 0xB, 0xC, 0xD]));
        assert!(found.report.ends_with("trap 0\n"));
        assert_eq!(End::BugCheck(found).to_string(), "bug check 50h (Ah, Bh, Ch, Dh)");
    }
}
