//! The assembler for the kernel's code: iced's, with labels that carry NT's names.

use std::collections::BTreeMap;

use iced_x86::code_asm::{AsmMemoryOperand, CodeAssembler, CodeLabel, dword_ptr};
use iced_x86::{BlockEncoderOptions, IcedError};

use super::data;
use super::profile::Profile;
use super::user::UserCode;

/// Result of everything that emits instructions.
pub(crate) type Asm = Result<(), IcedError>;

/// Routines and labels of the kernel. The name of a variant is NT's name where NT has the routine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Routine {
    KiSystemStartup,
    KiSystemStartupInNewCs,
    KiGetCpuVendor,
    KiGetCpuVendorDone,
    KiGetFeatureBits,
    KiLoadFastSyscallMachineSpecificRegisters,
    KiSystemService,
    KiFastCallEntry,
    KiFastCallEntryWithSingleStep,
    KiFastCallEntryRtm,
    KiFastCallEntryRtmWithSingleStep,
    KiFastCallEntryCommon,
    KiFastCallEntryBadStack,
    KiSystemServiceStart,
    KiSystemServiceRepeat,
    KiSystemServiceCopyArguments,
    KiSystemServiceAccessViolation,
    KiSystemServiceReturn,
    KiBBTUnexpectedRange,
    KiInvalidSystemService,
    PsConvertToGuiThread,
    KiServiceExit,
    KiServiceExitNoApc,
    KiServiceExitEdited,
    KiSystemCallExit,
    KiSystemCallExitKernel,
    KiDeliverApc,
    Kei386EoiHelper,
    KiTrapEntry,
    KiTrapKernel,
    KiTrapKernelPageFault,
    KiTrapTask,
    KiTrap(u8),
    KiUnexpectedInterrupt(u8),
    KiGetTickCount,
    KiCallbackReturn,
    KiRaiseAssertion,
    KiDebugService,
    KiGetTickCountHandler,
    KiCallbackReturnHandler,
    KiDebugServiceHandler,
    KiUserFault,
    KeBugCheck,
    KeBugCheckPrint,
    NtgateEntry,
    NtgateService,
    NtgateUnusedService,
    NtgateReport,
    NtgateNextSet,
    NtgateNextSetLoop,
    NtgateSetUp,
    NtgateRunKernelSet,
    NtgateWriteRecord,
    NtgateDirect,
    NtgatePrint,
    NtgatePrintHex,
    NtgatePrintShortHex,
    NtgateDone,
}

impl Routine {
    /// The symbol, as a debugger shows it.
    pub(crate) fn symbol(self) -> String {
        match self {
            Routine::KiTrap(vector) => format!("nt!KiTrap{vector:02X}"),
            Routine::KiUnexpectedInterrupt(index) => format!("nt!KiUnexpectedInterrupt{index}"),
            named => format!("nt!{named:?}"),
        }
    }
}

/// Assembler of the kernel image's code, with what the code needs to know.
pub(crate) struct KernelAsm<'a> {
    pub(crate) a: CodeAssembler,
    pub(crate) profile: &'a Profile,
    pub(crate) user: &'a UserCode,
    labels: BTreeMap<Routine, CodeLabel>,
    known: &'a BTreeMap<Routine, u32>,
    texts: Vec<u8>,
}

/// What [`KernelAsm::finish`] gives.
#[derive(Debug, Clone)]
pub(crate) struct Assembled {
    pub(crate) code: Vec<u8>,
    pub(crate) addresses: BTreeMap<Routine, u32>,
    pub(crate) texts: Vec<u8>,
}

impl<'a> KernelAsm<'a> {
    /// `known` holds the addresses of an earlier pass, for routines whose address is an operand.
    pub(crate) fn new(
        profile: &'a Profile,
        user: &'a UserCode,
        known: &'a BTreeMap<Routine, u32>,
    ) -> Result<Self, IcedError> {
        let a = CodeAssembler::new(32)?;
        Ok(Self { a, profile, user, labels: BTreeMap::new(), known, texts: Vec::new() })
    }

    /// The label of a routine, for jumps and calls.
    pub(crate) fn at(&mut self, routine: Routine) -> CodeLabel {
        let a = &mut self.a;
        *self.labels.entry(routine).or_insert_with(|| a.create_label())
    }

    /// The routine starts here.
    pub(crate) fn begin(&mut self, routine: Routine) -> Asm {
        let a = &mut self.a;
        let label = self.labels.entry(routine).or_insert_with(|| a.create_label());
        self.a.set_label(label)
    }

    /// `call`.
    pub(crate) fn call(&mut self, routine: Routine) -> Asm {
        let label = self.at(routine);
        self.a.call(label)
    }

    /// `jmp`.
    pub(crate) fn jmp(&mut self, routine: Routine) -> Asm {
        let label = self.at(routine);
        self.a.jmp(label)
    }

    /// `je`, alias `jz`.
    pub(crate) fn je(&mut self, routine: Routine) -> Asm {
        let label = self.at(routine);
        self.a.je(label)
    }

    /// `jne`, alias `jnz`.
    pub(crate) fn jne(&mut self, routine: Routine) -> Asm {
        let label = self.at(routine);
        self.a.jne(label)
    }

    /// `jae`: unsigned not below.
    pub(crate) fn jae(&mut self, routine: Routine) -> Asm {
        let label = self.at(routine);
        self.a.jae(label)
    }

    /// The address of a routine as an immediate. In the first pass any address of the same width does.
    pub(crate) fn address(&self, routine: Routine) -> u32 {
        self.known.get(&routine).copied().unwrap_or(self.profile.kernel_text)
    }

    /// Address of a kernel variable.
    pub(crate) fn data(&self, offset: u32) -> u32 {
        self.profile.kernel_data + offset
    }

    /// A kernel variable as an operand.
    pub(crate) fn var(&self, offset: u32) -> AsmMemoryOperand {
        dword_ptr(self.data(offset))
    }

    /// A fact of the current record as an operand.
    pub(crate) fn fact(&self, fact: usize) -> AsmMemoryOperand {
        self.var(data::kernel::RECORD + 4 * fact as u32)
    }

    /// Puts a text into the kernel's data; gives its address and length.
    pub(crate) fn text(&mut self, text: &str) -> (u32, u32) {
        let address = self.data(data::kernel::TEXTS) + self.texts.len() as u32;
        self.texts.extend_from_slice(text.as_bytes());
        (address, text.len() as u32)
    }

    /// Encodes all at the kernel's address.
    pub(crate) fn finish(mut self) -> Result<Assembled, IcedError> {
        let base = u64::from(self.profile.kernel_text);
        let result = self.a.assemble_options(base, BlockEncoderOptions::RETURN_NEW_INSTRUCTION_OFFSETS)?;
        let mut addresses = BTreeMap::new();
        for (routine, label) in &self.labels {
            addresses.insert(*routine, result.label_ip(label)? as u32);
        }
        Ok(Assembled { code: result.inner.code_buffer, addresses, texts: self.texts })
    }
}
