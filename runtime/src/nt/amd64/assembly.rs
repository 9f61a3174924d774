//! The routines of the 64-bit kernel, and what its code needs of the assembler.

use iced_x86::Register;
use iced_x86::code_asm::{AsmMemoryOperand, AsmRegister64, dword_ptr, ptr, qword_ptr};

use super::profile::Profile;
use super::record::{DWORDS, offset};
use super::user::UserCode;
use super::{assembler, data};

pub(crate) use super::assembler::Asm;

/// The 64-bit kernel, to the assembler.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amd64;

impl assembler::Guest for Amd64 {
    type Routine = Routine;
    type Profile = Profile;
    type User = UserCode;

    const BITS: u32 = 64;

    fn text(profile: &Profile) -> u64 {
        profile.kernel_text
    }

    fn texts(profile: &Profile) -> u64 {
        profile.kernel_data + u64::from(data::kernel::TEXTS)
    }
}

/// Assembler of the kernel image's code, with what the code needs to know.
pub(crate) type KernelAsm<'a> = assembler::KernelAsm<'a, Amd64>;

/// What [`KernelAsm::finish`] gives.
pub(crate) type Assembled = assembler::Assembled<Routine>;

/// Routines and labels of the kernel. The name of a variant is NT's name where NT has the routine; those of ReactOS's
/// kernel begin with `Ros`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Routine {
    KiSystemStartup,
    KiSystemStartupInNewCs,
    KiSystemCall64,
    KiSystemCall32,
    KiSystemService,
    KiSystemServiceUser,
    KiServiceInternal,
    KiServiceLinkage,
    KiSystemServiceStart,
    KiSystemServiceRepeat,
    KiSystemServiceGdiTebAccess,
    KiSystemServiceCopyStart,
    KiSystemServiceCopyEnd,
    KiSystemServiceExit,
    KiSystemServiceExitKernel,
    KiSystemServiceExitInterrupt,
    KiSystemServiceRange,
    KiInvalidSystemService,
    KiConvertToGuiThread,
    PsConvertToGuiThread,
    KeGdiFlushUserBatch,
    KiInitiateUserApc,
    KiSaveDebugRegisterState,
    KiRestoreDebugRegisterState,
    RosKiSystemCallEntry64,
    RosKiSystemCall64Again,
    RosKiSystemCallHandler,
    RosKiSystemCallHandlerCopy,
    RosKiSystemCallHandlerRange,
    RosKiSystemCallHandlerFailure,
    RosNtSyscallFailure,
    RosKiSystemServiceExit,
    RosKiConvertToGuiThread,
    RosKiZwSystemService,
    KiTrapEntry,
    KiTrapKernel,
    KiTrapKernelCopy,
    KiTrapExit,
    KiTrap(u8),
    KiUnexpectedInterrupt(u8),
    KiDebugServiceHandler,
    KiUserFault,
    KiUserException,
    KiUserPageFault,
    KiUserProtectionFault,
    KiFetchByte,
    KiRaiseException,
    KiDispatchException,
    KiUnhandledException,
    KiSetupForInstrumentationReturn,
    KiInitializeUserApc,
    KeTrapFrameToContext,
    KeContextToTrapFrame,
    KeTestAlertThread,
    KeUserModeCallback,
    KiCallUserMode,
    KiCopyFromUser,
    KiCopyToUser,
    KiCopyProbe,
    KiCopyBytes,
    KiCopyFault,
    KiDebugPrint,
    HalpInitializeClock,
    HalpClockInterrupt,
    KeUpdateSystemTime,
    NtCallbackReturn,
    NtContinue,
    NtQueueApcThread,
    NtRaiseException,
    NtSetInformationProcess,
    NtTerminateProcess,
    NtTestAlert,
    KeBugCheck,
    KeBugCheckPrint,
    KeBugCheckReport,
    NtgateStart,
    NtgateDump,
    NtgateQueueUserApc,
    NtgateTakeContext,
    NtgateCompleteFrame,
    NtgatePrintQword,
    NtgatePrintQwords,
    NtgateService,
    NtgateUnusedService,
    NtgateReport,
    NtgateWriteRecord,
    NtgateNextSet,
    NtgateNextSetLoop,
    NtgateSetUp,
    NtgateRunKernelSet,
    NtgateDirect,
    NtgateDirectReturn,
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
            named => {
                let name = format!("{named:?}");
                match name.strip_prefix("Ros") {
                    Some(name) => format!("reactos!{name}"),
                    None => format!("nt!{name}"),
                }
            }
        }
    }
}

/// An operand at an address near the code, addressed relative to RIP as all kernel variables are.
fn near(address: u64) -> AsmMemoryOperand {
    AsmMemoryOperand::from(Register::RIP) + address
}

impl KernelAsm<'_> {
    /// Address of a kernel variable.
    pub(crate) fn data(&self, offset: u32) -> u64 {
        self.profile.kernel_data + u64::from(offset)
    }

    /// A qword variable of the kernel as an operand.
    pub(crate) fn var(&self, offset: u32) -> AsmMemoryOperand {
        qword_ptr(near(self.data(offset)))
    }

    /// A dword variable of the kernel as an operand.
    pub(crate) fn var32(&self, offset: u32) -> AsmMemoryOperand {
        dword_ptr(near(self.data(offset)))
    }

    /// A fact of the current record as an operand of its size.
    pub(crate) fn fact(&self, fact: usize) -> AsmMemoryOperand {
        let at = near(self.data(data::kernel::RECORD + offset(fact)));
        if fact < DWORDS { dword_ptr(at) } else { qword_ptr(at) }
    }

    /// Loads the address of a kernel variable.
    pub(crate) fn lea_data(&mut self, register: AsmRegister64, offset: u32) -> Asm {
        let address = self.data(offset);
        self.a.lea(register, ptr(near(address)))
    }

    /// Loads the address of a routine.
    pub(crate) fn lea(&mut self, register: AsmRegister64, routine: Routine) -> Asm {
        let label = self.at(routine);
        self.a.lea(register, ptr(label))
    }
}
