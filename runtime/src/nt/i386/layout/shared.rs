//! `KUSER_SHARED_DATA`, offsets up to 340h (ReactOS `sdk/include/ndk/ketypes.h`; Microsoft, `ntddk.h`). The structure is the
//! same in 32 and 64 bits.

/// Ticks since the start, low half, before Server 2003; later it stays zero.
pub const TICK_COUNT_LOW: u32 = 0x000;
/// What a tick is worth in milliseconds, times 2^24.
pub const TICK_COUNT_MULTIPLIER: u32 = 0x004;
/// Time since the start in units of 100 ns, a `KSYSTEM_TIME`.
pub const INTERRUPT_TIME: u32 = 0x008;
/// Time since 1601 in units of 100 ns, a `KSYSTEM_TIME`.
pub const SYSTEM_TIME: u32 = 0x014;
/// What local time lacks, a `KSYSTEM_TIME`.
pub const TIME_ZONE_BIAS: u32 = 0x020;
/// First machine type of images that run, two bytes.
pub const IMAGE_NUMBER_LOW: u32 = 0x02C;
/// Last machine type of images that run, two bytes.
pub const IMAGE_NUMBER_HIGH: u32 = 0x02E;
/// Windows directory, 260 UTF-16 units.
pub const NT_SYSTEM_ROOT: u32 = 0x030;
/// Depth to which handles' stacks are traced.
pub const MAX_STACK_TRACE_DEPTH: u32 = 0x238;
/// Length of keys.
pub const CRYPTO_EXPONENT: u32 = 0x23C;
/// 0 unknown, 1 standard time, 2 daylight-saving time.
pub const TIME_ZONE_ID: u32 = 0x240;
/// Bytes of the smallest large page.
pub const LARGE_PAGE_MINIMUM: u32 = 0x244;
/// Seven dwords without a use; Windows 10 has its build number in the last.
pub const RESERVED_2: u32 = 0x248;
/// Since Windows 10: the build number.
pub const NT_BUILD_NUMBER: u32 = 0x260;
/// 1 workstation, 2 domain controller, 3 server.
pub const NT_PRODUCT_TYPE: u32 = 0x264;
/// One byte: [`NT_PRODUCT_TYPE`] is valid.
pub const PRODUCT_TYPE_IS_VALID: u32 = 0x268;
/// Since Windows 8: 0 x86, 9 x64; two bytes.
pub const NATIVE_PROCESSOR_ARCHITECTURE: u32 = 0x26A;
/// Major version of the system.
pub const NT_MAJOR_VERSION: u32 = 0x26C;
/// Minor version of the system.
pub const NT_MINOR_VERSION: u32 = 0x270;
/// 64 bytes, each whether the processor can do something: [`processor_feature`].
pub const PROCESSOR_FEATURES: u32 = 0x274;
/// The highest address of ring 3 on NT 4; later reserved.
pub const RESERVED_1: u32 = 0x2B4;
/// The lowest address of the kernel: 80000000h.
pub const RESERVED_3: u32 = 0x2B8;
/// By how much the clock was wrong.
pub const TIME_SLIP: u32 = 0x2BC;
/// 0 none, 1 NEC PC-98.
pub const ALTERNATIVE_ARCHITECTURE: u32 = 0x2C0;
/// When the trial ends, eight bytes.
pub const SYSTEM_EXPIRATION_DATE: u32 = 0x2C8;
/// Which suites are installed.
pub const SUITE_MASK: u32 = 0x2D0;
/// One byte: bit 0 a debugger is allowed, bit 1 one is there.
pub const KD_DEBUGGER_ENABLED: u32 = 0x2D4;
/// One byte, what may not be executed: 2 only the system's own programs.
pub const NX_SUPPORT_POLICY: u32 = 0x2D5;
/// The session at the console.
pub const ACTIVE_CONSOLE_ID: u32 = 0x2D8;
/// How often a volume was dismounted.
pub const DISMOUNT_COUNT: u32 = 0x2DC;
/// What .NET needs to know about 64 bits.
pub const COM_PLUS_PACKAGE: u32 = 0x2E0;
/// Tick of the last input.
pub const LAST_RIT_EVENT_TICK_COUNT: u32 = 0x2E4;
/// Pages of memory.
pub const NUMBER_OF_PHYSICAL_PAGES: u32 = 0x2E8;
/// One byte.
pub const SAFE_BOOT_MODE: u32 = 0x2EC;
/// Who traces what; since Vista flags.
pub const TRACE_LOGGING: u32 = 0x2F0;
/// A `ret` instruction.
pub const TEST_RET_INSTRUCTION: u32 = 0x2F8;
/// Address of the routine that enters the kernel; before Windows XP SP2 its code starts here. Windows 8 has the frequency of
/// the performance counter here, the guest zero.
pub const SYSTEM_CALL: u32 = 0x300;
/// Where KiFastCallEntry's caller goes on; before Windows XP SP2 the `ret` after `sysenter`.
pub const SYSTEM_CALL_RETURN: u32 = 0x304;
/// Three quadwords behind these two pointers.
pub const SYSTEM_CALL_PAD: u32 = 0x308;
/// Ticks since the start, a `KSYSTEM_TIME`, since Server 2003.
pub const TICK_COUNT: u32 = 0x320;
/// What pointers are encoded with.
pub const COOKIE: u32 = 0x330;
/// Ten dwords of the 32-bit subsystem; since Vista other fields.
pub const WOW64_SHARED_INFORMATION: u32 = 0x334;
/// End of what is described here.
pub const END: u32 = 0x340;

/// Value of [`TEST_RET_INSTRUCTION`].
pub const RET: u32 = 0xC3;
/// Value of [`IMAGE_NUMBER_LOW`] and [`IMAGE_NUMBER_HIGH`]: i386 (`IMAGE_FILE_MACHINE_I386`).
pub const IMAGE_I386: u32 = 0x14C;
/// A tick, in units of 100 ns: 10.0144 ms.
pub const TICK: u32 = 100_144;
/// Value of [`TICK_COUNT_MULTIPLIER`] for such ticks: 10.0144 times 2^24.
pub const MULTIPLIER: u32 = 0x0A03_AFB7;

/// `KSYSTEM_TIME`: a reader takes [`HIGH_1`](system_time::HIGH_1) and the low part, and again if
/// [`HIGH_2`](system_time::HIGH_2) is not equal.
pub mod system_time {
    /// Low half.
    pub const LOW: u32 = 0x0;
    /// High half, written last.
    pub const HIGH_1: u32 = 0x4;
    /// High half, written first.
    pub const HIGH_2: u32 = 0x8;
}

/// Indices of `ProcessorFeatures` (`PF_*` of `winnt.h`) that this guest decides by CPUID.
pub mod processor_feature {
    /// CMPXCHG8B.
    pub const COMPARE_EXCHANGE_DOUBLE: u32 = 2;
    /// MMX.
    pub const MMX: u32 = 3;
    /// SSE.
    pub const XMMI: u32 = 6;
    /// RDTSC.
    pub const RDTSC: u32 = 8;
    /// SSE2.
    pub const XMMI64: u32 = 10;
}
