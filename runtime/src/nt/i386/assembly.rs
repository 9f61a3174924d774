//! The routines of the 32-bit kernel, and what its code needs of the assembler.

use iced_x86::code_asm::{AsmMemoryOperand, dword_ptr};

use super::assembler;
use super::data;
use super::profile::Profile;
use super::user::UserCode;

pub(crate) use super::assembler::Asm;

/// The 32-bit kernel, to the assembler.
#[derive(Debug, Clone, Copy)]
pub(crate) struct I386;

impl assembler::Guest for I386 {
    type Routine = Routine;
    type Profile = Profile;
    type User = UserCode;

    const BITS: u32 = 32;

    fn text(profile: &Profile) -> u64 {
        profile.kernel_text.into()
    }

    fn texts(profile: &Profile) -> u64 {
        (profile.kernel_data + data::kernel::TEXTS).into()
    }
}

/// Assembler of the kernel image's code, with what the code needs to know.
pub(crate) type KernelAsm<'a> = assembler::KernelAsm<'a, I386>;

/// What [`KernelAsm::finish`] gives.
pub(crate) type Assembled = assembler::Assembled<Routine>;

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
    KiServiceExit2,
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
    KiSetLowWaitHighThread,
    KiRaiseAssertion,
    KiRaiseSecurityCheckFailure,
    KiDebugService,
    KiGetTickCountHandler,
    KiCallbackReturnHandler,
    KiSetLowWaitHighThreadHandler,
    KiDebugServiceHandler,
    KiDebugPrint,
    KiUserFault,
    KiUserException,
    KiUserPageFault,
    KiUserProtectionFault,
    KiUserSelectorFault,
    KiSystemServiceCheck,
    KiSystemServiceChecked,
    KeBugCheckAtExit,
    KeBugCheckWithFrame,
    KiFetchByte,
    KiRaiseException,
    KiDispatchException,
    KiUnhandledException,
    KiCopyFromUser,
    KiCopyToUser,
    KiCopyProbe,
    KiCopyBytes,
    KiCopyFault,
    KeTrapFrameToContext,
    KeContextToTrapFrame,
    KiSaveDebugRegisters,
    KiRestoreDebugRegisters,
    KiInitializeUserApc,
    KeTestAlertThread,
    KeGdiFlushUserBatch,
    KeUserModeCallback,
    KiCallUserMode,
    NtCallbackReturn,
    NtContinue,
    NtQueueApcThread,
    NtRaiseException,
    NtTerminateProcess,
    NtTestAlert,
    HalpInitializeClock,
    HalpClockInterrupt,
    KeUpdateSystemTime,
    KeBugCheck,
    KeBugCheckPrint,
    KeBugCheckReport,
    NtgateEntry,
    NtgateService,
    NtgateUnusedService,
    NtgateReport,
    NtgateNextSet,
    NtgateNextSetLoop,
    NtgateSetUp,
    NtgateSharedCall,
    NtgateRunKernelSet,
    NtgateWriteRecord,
    NtgateDirect,
    NtgatePrint,
    NtgatePrintHex,
    NtgatePrintShortHex,
    NtgatePrintDwords,
    NtgateDump,
    NtgateQueueUserApc,
    NtgateDone,
}

impl Routine {
    /// The symbol, as a debugger shows it.
    pub(crate) fn symbol(self) -> String {
        match self {
            Routine::KiTrap(vector) => format!("nt!KiTrap{vector:02X}"),
            Routine::KiUnexpectedInterrupt(index) => format!("nt!KiUnexpectedInterrupt{index}"),
            Routine::HalpInitializeClock | Routine::HalpClockInterrupt => format!("hal!{self:?}"),
            named => format!("nt!{named:?}"),
        }
    }
}

impl KernelAsm<'_> {
    /// The address of a routine as an immediate.
    pub(crate) fn address(&self, routine: Routine) -> u32 {
        self.routine(routine) as u32
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
        let (address, length) = self.add_text(text);
        (address as u32, length)
    }
}
