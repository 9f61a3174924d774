//! Structures that are the same in 32 and 64 bits.

use super::{Field, Structure, Type, array, field};
use crate::debug::Guest;
use crate::nt::amd64::layout as amd64;
use crate::nt::i386::layout::shared;
use crate::nt::i386::profile::SystemCallWay;

/// `_NT_PRODUCT_TYPE`.
const PRODUCT_TYPES: &[(u32, &str)] = &[(1, "NtProductWinNt"), (2, "NtProductLanManNt"), (3, "NtProductServer")];

/// `_ALTERNATIVE_ARCHITECTURE_TYPE`.
const ARCHITECTURES: &[(u32, &str)] = &[(0, "StandardDesign"), (1, "NEC98x86"), (2, "EndAlternatives")];

/// The first builds with a field: Windows XP, Server 2003, Windows 8, Windows 10.
const XP: u32 = 2600;
const SERVER_2003: u32 = 3790;
const WINDOWS_8: u32 = 9200;
const WINDOWS_10: u32 = 10240;

/// `_KUSER_SHARED_DATA`, up to 340h. Names are those of Server 2003; fields that a system did not have yet are left out.
pub(super) fn user_shared_data(guest: Guest) -> Structure {
    let (_, _, build) = guest.version();
    let mut fields = common(build);
    if build >= XP {
        fields.extend(since_windows_xp());
    }
    if build >= SERVER_2003 {
        fields.extend([
            field("TickCount", shared::TICK_COUNT, Type::Structure("_KSYSTEM_TIME")),
            field("TickCountQuad", shared::TICK_COUNT, Type::Uint(8)),
        ]);
    }
    if build >= WINDOWS_8 {
        fields.push(field("NativeProcessorArchitecture", shared::NATIVE_PROCESSOR_ARCHITECTURE, Type::Uint(2)));
    }
    if build >= WINDOWS_10 {
        fields.push(field("NtBuildNumber", shared::NT_BUILD_NUMBER, Type::Uint(4)));
    }
    fields.extend(entry(guest, build));
    fields.extend(cookie(guest));
    Structure::new("_KUSER_SHARED_DATA", fields)
}

/// What Windows NT 4 has.
fn common(build: u32) -> Vec<Field> {
    let time = || Type::Structure("_KSYSTEM_TIME");
    let tick_count = if build >= SERVER_2003 { "TickCountLowDeprecated" } else { "TickCountLow" };
    // Windows 10 has its build number in the last of the seven.
    let reserved_2 = if build >= WINDOWS_10 { 6 } else { 7 };
    let mut fields = vec![
        field(tick_count, shared::TICK_COUNT_LOW, Type::Uint(4)),
        field("TickCountMultiplier", shared::TICK_COUNT_MULTIPLIER, Type::Uint(4)),
        field("InterruptTime", shared::INTERRUPT_TIME, time()),
        field("SystemTime", shared::SYSTEM_TIME, time()),
        field("TimeZoneBias", shared::TIME_ZONE_BIAS, time()),
        field("ImageNumberLow", shared::IMAGE_NUMBER_LOW, Type::Uint(2)),
        field("ImageNumberHigh", shared::IMAGE_NUMBER_HIGH, Type::Uint(2)),
        field("NtSystemRoot", shared::NT_SYSTEM_ROOT, array(260, Type::Uint(2))),
        field("MaxStackTraceDepth", shared::MAX_STACK_TRACE_DEPTH, Type::Uint(4)),
        field("CryptoExponent", shared::CRYPTO_EXPONENT, Type::Uint(4)),
        field("TimeZoneId", shared::TIME_ZONE_ID, Type::Uint(4)),
        field("LargePageMinimum", shared::LARGE_PAGE_MINIMUM, Type::Uint(4)),
        field("Reserved2", shared::RESERVED_2, array(reserved_2, Type::Uint(4))),
        field("NtProductType", shared::NT_PRODUCT_TYPE, Type::Enum("_NT_PRODUCT_TYPE", PRODUCT_TYPES)),
        field("ProductTypeIsValid", shared::PRODUCT_TYPE_IS_VALID, Type::UChar),
        field("NtMajorVersion", shared::NT_MAJOR_VERSION, Type::Uint(4)),
        field("NtMinorVersion", shared::NT_MINOR_VERSION, Type::Uint(4)),
        field("ProcessorFeatures", shared::PROCESSOR_FEATURES, array(64, Type::UChar)),
        field("Reserved1", shared::RESERVED_1, Type::Uint(4)),
        field("Reserved3", shared::RESERVED_3, Type::Uint(4)),
        field("TimeSlip", shared::TIME_SLIP, Type::Uint(4)),
        field(
            "AlternativeArchitecture",
            shared::ALTERNATIVE_ARCHITECTURE,
            Type::Enum("_ALTERNATIVE_ARCHITECTURE_TYPE", ARCHITECTURES),
        ),
        field("SystemExpirationDate", shared::SYSTEM_EXPIRATION_DATE, Type::Structure("_LARGE_INTEGER")),
        field("SuiteMask", shared::SUITE_MASK, Type::Uint(4)),
        field("KdDebuggerEnabled", shared::KD_DEBUGGER_ENABLED, Type::UChar),
    ];
    if build < SERVER_2003 {
        fields.retain(|field| field.name != "LargePageMinimum");
    }
    fields
}

fn since_windows_xp() -> Vec<Field> {
    vec![
        field("NXSupportPolicy", shared::NX_SUPPORT_POLICY, Type::UChar),
        field("ActiveConsoleId", shared::ACTIVE_CONSOLE_ID, Type::Uint(4)),
        field("DismountCount", shared::DISMOUNT_COUNT, Type::Uint(4)),
        field("ComPlusPackage", shared::COM_PLUS_PACKAGE, Type::Uint(4)),
        field("LastSystemRITEventTickCount", shared::LAST_RIT_EVENT_TICK_COUNT, Type::Uint(4)),
        field("NumberOfPhysicalPages", shared::NUMBER_OF_PHYSICAL_PAGES, Type::Uint(4)),
        field("SafeBootMode", shared::SAFE_BOOT_MODE, Type::UChar),
        field("TraceLogging", shared::TRACE_LOGGING, Type::Uint(4)),
        field("TestRetInstruction", shared::TEST_RET_INSTRUCTION, Type::Uint(8)),
    ]
}

/// What stands at 300h: the way into the kernel, or since Windows 8 the counter's frequency.
fn entry(guest: Guest, build: u32) -> Vec<Field> {
    let pointer = [
        field("SystemCall", shared::SYSTEM_CALL, Type::Uint(4)),
        field("SystemCallReturn", shared::SYSTEM_CALL_RETURN, Type::Uint(4)),
        field("SystemCallPad", shared::SYSTEM_CALL_PAD, array(3, Type::Uint(8))),
    ];
    match guest {
        Guest::I386(profile) if profile.way == SystemCallWay::SharedPointer => pointer.into(),
        // Code, up to four quadwords of it.
        Guest::I386(profile) if profile.way == SystemCallWay::SharedCode => {
            vec![field("SystemCall", shared::SYSTEM_CALL, array(4, Type::Uint(8)))]
        }
        Guest::I386(_) if build < WINDOWS_8 => Vec::new(),
        Guest::Amd64(_) if build < WINDOWS_8 => Vec::new(),
        _ => vec![
            field("QpcFrequency", amd64::shared::QPC_FREQUENCY, Type::Int(8)),
            field("SystemCall", amd64::shared::SYSTEM_CALL, Type::Uint(4)),
        ],
    }
}

fn cookie(guest: Guest) -> Vec<Field> {
    if matches!(guest, Guest::I386(profile) if !profile.has_cookie()) {
        return Vec::new();
    }
    let (_, _, build) = guest.version();
    let mut fields = vec![field("Cookie", shared::COOKIE, Type::Uint(4))];
    if build <= SERVER_2003 {
        // Two of the sixteen are beyond what is described.
        fields.push(field("Wow64SharedInformation", shared::WOW64_SHARED_INFORMATION, array(16, Type::Uint(4))));
    }
    fields
}

/// `_KSYSTEM_TIME`.
pub(super) fn system_time() -> Structure {
    let fields = vec![
        field("LowPart", shared::system_time::LOW, Type::Uint(4)),
        field("High1Time", shared::system_time::HIGH_1, Type::Int(4)),
        field("High2Time", shared::system_time::HIGH_2, Type::Int(4)),
    ];
    Structure::new("_KSYSTEM_TIME", fields)
}

/// `_LARGE_INTEGER`: eight bytes, or their halves.
pub(super) fn large_integer() -> Structure {
    let fields = vec![
        field("LowPart", 0, Type::Uint(4)),
        field("HighPart", 4, Type::Int(4)),
        field("QuadPart", 0, Type::Int(8)),
    ];
    Structure::new("_LARGE_INTEGER", fields)
}

/// `_LIST_ENTRY`: two pointers.
pub(super) fn list_entry(guest: Guest) -> Structure {
    let size = guest.pointer() as u32;
    let link = || Type::Pointer(size, "_LIST_ENTRY");
    Structure::new("_LIST_ENTRY", vec![field("Flink", 0, link()), field("Blink", size, link())])
}
