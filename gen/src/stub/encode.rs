//! Stubs as bytes.

use std::fmt;

use iced_x86::{Encoder, Instruction, OpKind};

use super::{RelocationKind, Stub, a64};
use crate::model::Arch;

/// The bytes of a stub, and what the linker fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// The bytes. Fields that a relocation fills are 0.
    pub bytes: Vec<u8>,
    /// The relocations, by rising offset.
    pub relocations: Vec<CodeRelocation>,
}

/// A field that the linker fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeRelocation {
    /// Where the field starts, in bytes of the code.
    pub offset: usize,
    /// The symbol, decorated.
    pub symbol: String,
    /// How the field is filled.
    pub kind: RelocationKind,
}

/// Tells the address of a symbol, if it has one.
pub type Resolve<'a> = dyn Fn(&str) -> Option<u64> + 'a;

/// Why a stub cannot be encoded. A stub that [`build`](super::build) made and nobody changed always can.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The instruction with this index does not exist on the architecture.
    Instruction {
        /// Its index.
        index: usize,
        /// What the encoder says.
        message: String,
    },
    /// The instruction with this index refers to an address at which the stub has no instruction.
    BranchTarget {
        /// Its index.
        index: usize,
    },
    /// The number is over the 16 bits that `svc` has room for.
    Number {
        /// The number.
        number: u32,
    },
    /// A symbol has no address.
    UnknownSymbol {
        /// The symbol.
        symbol: String,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instruction { index, message } => {
                write!(f, "instruction {index} cannot be encoded: {message}")
            }
            Self::BranchTarget { index } => {
                write!(f, "instruction {index} branches out of the stub")
            }
            Self::Number { number } => write!(f, "the number {number:#x} does not fit into the 16 bits of svc"),
            Self::UnknownSymbol { symbol } => write!(f, "the symbol {symbol} has no address"),
        }
    }
}

impl std::error::Error for EncodeError {}

impl Stub {
    /// The bytes at address 0, with relocations left open.
    ///
    /// # Errors
    ///
    /// Only for a stub that was changed: see [`EncodeError`].
    pub fn encode(&self) -> Result<Code, EncodeError> {
        self.assemble(0, None)
    }

    /// The bytes at an address, with every symbol resolved.
    ///
    /// # Errors
    ///
    /// For a symbol that `resolve` does not know; else only for a stub that was changed: see [`EncodeError`].
    pub fn encode_at(&self, address: u64, resolve: &Resolve<'_>) -> Result<Vec<u8>, EncodeError> {
        self.assemble(address, Some(resolve)).map(|code| code.bytes)
    }

    fn assemble(&self, address: u64, resolve: Option<&Resolve<'_>>) -> Result<Code, EncodeError> {
        if self.arch == Arch::Arm64 {
            return Ok(Code { bytes: a64::encode(self.number)?, relocations: Vec::new() });
        }
        // Where nothing is as far away as its place says, places need not be known beforehand.
        let is_plain = !self.instructions.iter().any(has_distance);
        let addresses = if is_plain { Vec::new() } else { self.addresses(address)? };
        let mut encoder = self.encoder();
        let mut relocations = Vec::new();
        let mut ip = address;
        for (index, instruction) in self.instructions.iter().enumerate() {
            let mut instruction = *instruction;
            let relocation = self.relocations.iter().find(|relocation| relocation.instruction == index);
            if has_distance(&instruction) {
                let target = match (relocation, resolve) {
                    (Some(relocation), Some(resolve)) => resolve(&relocation.symbol)
                        .ok_or_else(|| EncodeError::UnknownSymbol { symbol: relocation.symbol.clone() })?,
                    // The next instruction: its distance is the 0 that the field shall hold.
                    (Some(_), None) => addresses[index + 1],
                    (None, _) => self.moved(&addresses, index, target(&instruction))?,
                };
                retarget(&mut instruction, target);
            }
            let length = encode(&mut encoder, &instruction, index, ip)?;
            if let Some(relocation) = relocation {
                let constants = encoder.get_constant_offsets();
                let field = match instruction.is_ip_rel_memory_operand() {
                    true => constants.displacement_offset(),
                    false => constants.immediate_offset(),
                };
                let offset = usize::try_from(ip - address).unwrap_or(usize::MAX).saturating_add(field);
                relocations.push(CodeRelocation { offset, symbol: relocation.symbol.clone(), kind: relocation.kind });
            }
            ip = ip.wrapping_add(length);
        }
        Ok(Code { bytes: encoder.take_buffer(), relocations })
    }

    /// The address of each instruction if the first is at `address`, and the one after the last.
    fn addresses(&self, address: u64) -> Result<Vec<u64>, EncodeError> {
        let mut encoder = self.encoder();
        let mut addresses = vec![address];
        let mut next = address;
        for (index, instruction) in self.instructions.iter().enumerate() {
            // No length depends on a distance; at the instruction's own address every target is near.
            let mut instruction = *instruction;
            if has_distance(&instruction) {
                retarget(&mut instruction, next);
            }
            next = next.wrapping_add(encode(&mut encoder, &instruction, index, next)?);
            addresses.push(next);
        }
        Ok(addresses)
    }

    /// Where the instruction is now that was at `target` when the stub was made.
    fn moved(&self, addresses: &[u64], index: usize, target: u64) -> Result<u64, EncodeError> {
        let at = self.instructions.iter().position(|instruction| instruction.ip() == target);
        at.map(|at| addresses[at]).ok_or(EncodeError::BranchTarget { index })
    }

    fn encoder(&self) -> Encoder {
        Encoder::new(match self.arch {
            Arch::I386 => 32,
            Arch::Amd64 | Arch::Arm64 => 64,
        })
    }
}

fn encode(encoder: &mut Encoder, instruction: &Instruction, index: usize, ip: u64) -> Result<u64, EncodeError> {
    let length = encoder.encode(instruction, ip);
    let length = length.map_err(|error| EncodeError::Instruction { index, message: error.to_string() })?;
    Ok(length as u64)
}

/// Whether the instruction holds the distance from its end to an address: branches, and memory relative to RIP.
pub(super) fn has_distance(instruction: &Instruction) -> bool {
    is_near_branch(instruction) || instruction.is_ip_rel_memory_operand()
}

pub(super) fn is_near_branch(instruction: &Instruction) -> bool {
    matches!(instruction.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64)
}

fn target(instruction: &Instruction) -> u64 {
    if is_near_branch(instruction) { instruction.near_branch_target() } else { instruction.ip_rel_memory_address() }
}

pub(super) fn retarget(instruction: &mut Instruction, target: u64) {
    match instruction.op0_kind() {
        // Addresses of 32-bit code wrap at 4 GiB.
        OpKind::NearBranch32 => instruction.set_near_branch32(target as u32),
        OpKind::NearBranch64 => instruction.set_near_branch64(target),
        _ if instruction.is_ip_rel_memory_operand() => instruction.set_memory_displacement64(target),
        _ => {}
    }
}
