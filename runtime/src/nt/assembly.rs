//! The assembler for a kernel's code: iced's, with labels that carry NT's names.

use std::collections::BTreeMap;

use iced_x86::code_asm::{CodeAssembler, CodeLabel};
use iced_x86::{BlockEncoderOptions, IcedError};

/// Result of everything that emits instructions.
pub(crate) type Asm = Result<(), IcedError>;

/// A guest whose kernel is assembled.
pub(crate) trait Guest {
    /// Names of its routines.
    type Routine: Copy + Ord;
    /// What its profiles are.
    type Profile;
    /// What it knows about its ring-3 code.
    type User;

    /// Width of its code.
    const BITS: u32;

    /// Address of the kernel's first instruction.
    fn text(profile: &Self::Profile) -> u64;

    /// Address for the texts of the log.
    fn texts(profile: &Self::Profile) -> u64;
}

/// Assembler of the kernel image's code, with what the code needs to know.
pub(crate) struct KernelAsm<'a, G: Guest> {
    pub(crate) a: CodeAssembler,
    pub(crate) profile: &'a G::Profile,
    pub(crate) user: &'a G::User,
    labels: BTreeMap<G::Routine, CodeLabel>,
    known: &'a BTreeMap<G::Routine, u64>,
    texts: Vec<u8>,
}

/// What [`KernelAsm::finish`] gives.
#[derive(Debug, Clone)]
pub(crate) struct Assembled<R> {
    pub(crate) code: Vec<u8>,
    pub(crate) addresses: BTreeMap<R, u64>,
    pub(crate) texts: Vec<u8>,
}

impl<R: Ord> Assembled<R> {
    /// The address of a routine. Every routine that is asked for was assembled.
    pub(crate) fn address(&self, routine: R) -> u64 {
        self.addresses.get(&routine).copied().unwrap_or(0)
    }
}

impl<'a, G: Guest> KernelAsm<'a, G> {
    /// `known` holds the addresses of an earlier pass, for routines whose address is an operand.
    pub(crate) fn new(
        profile: &'a G::Profile,
        user: &'a G::User,
        known: &'a BTreeMap<G::Routine, u64>,
    ) -> Result<Self, IcedError> {
        let a = CodeAssembler::new(G::BITS)?;
        Ok(Self { a, profile, user, labels: BTreeMap::new(), known, texts: Vec::new() })
    }

    /// The label of a routine, for jumps and calls.
    pub(crate) fn at(&mut self, routine: G::Routine) -> CodeLabel {
        let a = &mut self.a;
        *self.labels.entry(routine).or_insert_with(|| a.create_label())
    }

    /// The routine starts here.
    pub(crate) fn begin(&mut self, routine: G::Routine) -> Asm {
        let a = &mut self.a;
        let label = self.labels.entry(routine).or_insert_with(|| a.create_label());
        self.a.set_label(label)
    }

    /// `call`.
    pub(crate) fn call(&mut self, routine: G::Routine) -> Asm {
        let label = self.at(routine);
        self.a.call(label)
    }

    /// `jmp`.
    pub(crate) fn jmp(&mut self, routine: G::Routine) -> Asm {
        let label = self.at(routine);
        self.a.jmp(label)
    }

    /// `je`, alias `jz`.
    pub(crate) fn je(&mut self, routine: G::Routine) -> Asm {
        let label = self.at(routine);
        self.a.je(label)
    }

    /// `jne`, alias `jnz`.
    pub(crate) fn jne(&mut self, routine: G::Routine) -> Asm {
        let label = self.at(routine);
        self.a.jne(label)
    }

    /// `jae`: unsigned not below.
    pub(crate) fn jae(&mut self, routine: G::Routine) -> Asm {
        let label = self.at(routine);
        self.a.jae(label)
    }

    /// The address of a routine. In the first pass any address of the same width does.
    pub(crate) fn routine(&self, routine: G::Routine) -> u64 {
        self.known.get(&routine).copied().unwrap_or(G::text(self.profile))
    }

    /// Puts a text into the kernel's data; gives its address and length.
    pub(crate) fn add_text(&mut self, text: &str) -> (u64, u32) {
        let address = G::texts(self.profile) + self.texts.len() as u64;
        self.texts.extend_from_slice(text.as_bytes());
        (address, text.len() as u32)
    }

    /// Encodes all at the kernel's address.
    pub(crate) fn finish(mut self) -> Result<Assembled<G::Routine>, IcedError> {
        let base = G::text(self.profile);
        let result = self.a.assemble_options(base, BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS)?;
        let mut addresses = BTreeMap::new();
        for (routine, label) in &self.labels {
            addresses.insert(*routine, result.label_ip(label)?);
        }
        Ok(Assembled { code: result.inner.code_buffer, addresses, texts: self.texts })
    }
}
