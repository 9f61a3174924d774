//! What an export finds in memory besides its image and its stack: fields of SharedUserData, TEB and PEB that stubs of real
//! systems read, each with the values that those systems have there. Every other byte of those pages is not known: who
//! reads it is told of, and gets nothing.

use ntgate_gen::Arch;
use ntgate_gen::stub::{Encoding, system_calls};

use super::guest::{PEB, ROUTINES, SHARED, SHARED_NEXT, TEB, USER_64, VARIABLES, WINE_DISPATCHER, WOW64};

/// KiFastSystemCall and KiFastSystemCallRet behind it; KiIntSystemCall.
pub(super) const FAST_CALL: u64 = ROUTINES;
pub(super) const FAST_CALL_RET: u64 = ROUTINES + 4;
pub(super) const INT_CALL: u64 = ROUTINES + 0x10;
/// What `fs:[C0h]` and Wow64Transition lead to: the far jump into 64-bit code.
pub(super) const WOW64_TRANSITION: u64 = ROUTINES + 0x40;
/// ntdll's Wow64Transition as other DLLs import it: a variable that holds the address of that. Who calls through the import
/// as if it were a function finds the jump there.
pub(super) const WOW64_VARIABLE: u64 = VARIABLES;

/// What can be one way or another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Question {
    /// SharedUserData+300h: the fast routine, or that of processors without `SYSENTER`.
    SystemCall,
    /// SharedUserData+308h: 0, or 1, "use int 2Eh".
    SystemCallFlag,
    /// Whether WoW64 takes the return address off the stack, or leaves it as that of Windows 7 does.
    Wow64Return,
    /// PEB+254h of the first Windows 10: the far jump, or "use int 2Eh".
    PebFlag,
}

impl Question {
    /// How many answers there are.
    pub(super) const ANSWERS: u8 = 2;

    /// What an answer means.
    pub(super) const fn says(self, answer: u8) -> &'static str {
        match (self, answer) {
            (Self::SystemCall, 0) => "SharedUserData+300h: the fast call",
            (Self::SystemCall, _) => "SharedUserData+300h: the interrupt",
            (Self::SystemCallFlag, 0) => "SharedUserData+308h is 0",
            (Self::SystemCallFlag, _) => "SharedUserData+308h is 1",
            (Self::Wow64Return, 0) => "WoW64 takes the return address off the stack",
            (Self::Wow64Return, _) => "WoW64 leaves the return address on the stack",
            (Self::PebFlag, 0) => "PEB+254h is 0",
            (Self::PebFlag, _) => "PEB+254h is 2",
        }
    }
}

/// A field.
struct Field {
    address: u64,
    /// What it is called.
    name: &'static str,
    arch: Option<Arch>,
    /// Its bytes, by the answer.
    question: Option<Question>,
    bytes: fn(Arch, u8) -> Vec<u8>,
    is_code: bool,
}

const fn constant(address: u64, name: &'static str, arch: Option<Arch>, bytes: fn(Arch, u8) -> Vec<u8>) -> Field {
    Field { address, name, arch, question: None, bytes, is_code: false }
}

fn dword(value: u64) -> Vec<u8> {
    (value as u32).to_le_bytes().to_vec()
}

fn quad(value: u64) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

/// The fields, by name of structure and offset in ReactOS's headers and Wine's `server_protocol` of shared data.
const FIELDS: [Field; 14] = [
    constant(WOW64_VARIABLE, "ntdll's Wow64Transition", Some(Arch::I386), |_, _| dword(WOW64_TRANSITION)),
    Field { is_code: true, ..constant(WOW64_VARIABLE, "ntdll's Wow64Transition", Some(Arch::I386), |_, _| far_jump()) },
    Field {
        address: SHARED + 0x300,
        name: "SharedUserData+300h (SystemCall)",
        arch: Some(Arch::I386),
        question: Some(Question::SystemCall),
        bytes: |_, answer| dword([FAST_CALL, INT_CALL][usize::from(answer & 1)]),
        is_code: false,
    },
    // The code of Windows XP to SP1 is there instead of the pointer.
    Field {
        address: SHARED + 0x300,
        name: "SharedUserData+300h (code)",
        arch: Some(Arch::I386),
        question: Some(Question::SystemCall),
        bytes: |_, answer| routine(usize::from(answer & 1)),
        is_code: true,
    },
    constant(SHARED + 0x304, "SharedUserData+304h (SystemCallReturn)", Some(Arch::I386), |_, _| dword(FAST_CALL_RET)),
    Field {
        address: SHARED + 0x308,
        name: "SharedUserData+308h (SystemCall)",
        arch: None,
        question: Some(Question::SystemCallFlag),
        bytes: |_, answer| dword(answer.into()),
        is_code: false,
    },
    constant(SHARED_NEXT, "7FFE1000h (Wine's dispatcher)", Some(Arch::Amd64), |_, _| quad(WINE_DISPATCHER)),
    constant(TEB + 0x18, "TEB+18h (Self)", Some(Arch::I386), |_, _| dword(TEB)),
    constant(TEB + 0x30, "TEB+30h (ProcessEnvironmentBlock)", Some(Arch::I386), |_, _| dword(PEB)),
    constant(TEB + 0xC0, "TEB+C0h (WOW32Reserved)", Some(Arch::I386), |_, _| dword(WOW64_TRANSITION)),
    constant(TEB + 0x30, "TEB+30h (Self)", Some(Arch::Amd64), |_, _| quad(TEB)),
    constant(TEB + 0x60, "TEB+60h (ProcessEnvironmentBlock)", Some(Arch::Amd64), |_, _| quad(PEB)),
    Field {
        address: PEB + 0x254,
        name: "PEB+254h",
        arch: Some(Arch::I386),
        question: Some(Question::PebFlag),
        bytes: |_, answer| dword(2 * u64::from(answer)),
        is_code: false,
    },
    constant(PEB + 0x2, "PEB+2h (BeingDebugged)", None, |_, _| vec![0]),
];

/// What an access to one of those pages meets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// A field that is known: where it begins, its bytes.
    Field { address: u64, bytes: Vec<u8> },
    /// A place that is not.
    Unknown(String),
}

/// Whether an address is in a page of fields.
pub(super) fn has(address: u64) -> bool {
    (VARIABLES..SHARED_NEXT + 0x1000).contains(&address)
}

/// What `size` bytes at an address are; `answer` tells what is asked for on the way. `is_fetch`: they are executed.
pub(super) fn look(
    arch: Arch,
    address: u64,
    size: u64,
    is_fetch: bool,
    mut answer: impl FnMut(Question) -> u8,
) -> Found {
    for field in FIELDS.iter().filter(|field| field.arch.is_none_or(|of| of == arch) && field.is_code == is_fetch) {
        // Answers have one length each but for code, which is read from its first byte on.
        let Some(inside) = address.checked_sub(field.address).filter(|inside| *inside < 8) else { continue };
        let longest = (0..Question::ANSWERS).map(|answer| (field.bytes)(arch, answer).len()).max().unwrap_or(0);
        if inside + size > longest as u64 {
            continue;
        }
        let given = field.question.map_or(0, &mut answer);
        return Found::Field { address: field.address, bytes: (field.bytes)(arch, given) };
    }
    Found::Unknown(place(address))
}

/// What an address in those pages is called.
fn place(address: u64) -> String {
    let near = FIELDS.iter().find(|field| field.address == address && !field.is_code);
    if let Some(field) = near {
        return field.name.to_owned();
    }
    let (name, base) = match address {
        SHARED.. => ("SharedUserData", SHARED),
        PEB.. => ("PEB", PEB),
        TEB.. => ("TEB", TEB),
        _ => ("ntdll's variables", VARIABLES),
    };
    format!("{name}+{:X}h", address - base)
}

/// The bytes of KiFastSystemCall (0) or KiIntSystemCall (1).
fn routine(index: usize) -> Vec<u8> {
    let routines = system_calls(Arch::I386, Encoding::Msvc);
    routines.get(index).and_then(|routine| routine.code.encode().ok()).map_or_else(Vec::new, |code| code.bytes)
}

/// `jmp far 33h:WOW64`
fn far_jump() -> Vec<u8> {
    let mut jump = vec![0xEA];
    jump.extend((WOW64 as u32).to_le_bytes());
    jump.extend(USER_64.to_le_bytes());
    jump
}

/// The page of routines, from [`ROUTINES`] on.
pub(super) fn routines() -> Vec<u8> {
    // `CC` between them: who gets there has lost the way.
    let mut page = vec![0xCC; 0x100];
    let mut put = |address: u64, bytes: &[u8]| {
        let at = (address - ROUTINES) as usize;
        page[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(FAST_CALL, &routine(0));
    put(INT_CALL, &routine(1));
    put(WOW64_TRANSITION, &far_jump());
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routines_are_where_they_are_said_to_be() {
        let page = routines();
        let at = |address: u64| &page[(address - ROUTINES) as usize..];
        assert!(at(FAST_CALL).starts_with(&[0x8B, 0xD4, 0x0F, 0x34, 0xC3]));
        assert_eq!(at(FAST_CALL_RET)[0], 0xC3);
        assert!(at(INT_CALL).starts_with(&[0x8D, 0x54, 0x24, 8, 0xCD, 0x2E, 0xC3]));
        assert!(at(WOW64_TRANSITION).starts_with(&[0xEA, 0, 0x30, 0xFD, 0x7F, 0x33, 0]));
    }

    #[test]
    fn what_is_not_known_is_named() {
        let look = |arch, address, size, is_fetch| look(arch, address, size, is_fetch, |_| 1);
        let pointer = Found::Field { address: SHARED + 0x300, bytes: dword(INT_CALL) };
        assert_eq!(look(Arch::I386, SHARED + 0x300, 4, false), pointer);
        assert_eq!(look(Arch::I386, SHARED + 0x302, 2, false), pointer);
        assert_eq!(
            look(Arch::Amd64, SHARED + 0x300, 8, false),
            Found::Unknown("SharedUserData+300h (SystemCall)".into())
        );
        // More than the field has.
        assert_eq!(look(Arch::I386, SHARED + 0x302, 4, false), Found::Unknown("SharedUserData+302h".into()));
        assert_eq!(look(Arch::I386, SHARED + 0x320, 4, false), Found::Unknown("SharedUserData+320h".into()));
        assert_eq!(look(Arch::Amd64, TEB + 0x68, 4, false), Found::Unknown("TEB+68h".into()));
        let code = Found::Field { address: SHARED + 0x300, bytes: routine(1) };
        assert_eq!(look(Arch::I386, SHARED + 0x304, 1, true), code);
        assert_eq!(
            look(Arch::Amd64, SHARED + 0x300, 1, true),
            Found::Unknown("SharedUserData+300h (SystemCall)".into())
        );
    }

    #[test]
    fn a_question_is_asked_only_for_what_is_read() {
        let mut asked = Vec::new();
        for (address, fetch) in
            [(SHARED + 0x300, false), (SHARED + 0x304, false), (SHARED + 0x308, false), (PEB + 2, false)]
        {
            look(Arch::I386, address, 1, fetch, |question| {
                asked.push(question);
                0
            });
        }
        assert_eq!(asked, [Question::SystemCall, Question::SystemCallFlag]);
    }
}
