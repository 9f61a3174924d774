//! What stands where in a guest: fields of its structures, rows of its tables, the arguments of a call.

use super::super::{Guest, Symbols, types};
use crate::host::Places;
use crate::nt::{amd64, i386};

/// A field: its offset and its name, behind those of the structures that it is in.
type Field = (u32, String);

/// How the bytes of a region are named.
#[derive(Debug, Clone)]
enum Form {
    Fields(Vec<Field>),
    /// Rows of so many bytes.
    Rows(u64),
    /// Rows that count from one, without brackets: arguments.
    Numbered(u64),
}

#[derive(Debug, Clone)]
struct Region {
    start: u64,
    length: u64,
    name: String,
    form: Form,
}

/// Names for the addresses that a call touches.
#[derive(Debug, Clone, Default)]
pub struct Names {
    guest: Option<Guest>,
    /// The one that begins nearest before an address names it.
    regions: Vec<Region>,
}

/// What has one name in both guests: the symbol, the structure, its name here, and its bytes.
const STRUCTURES: [(&str, &str, &str, u64); 11] = [
    ("nt!KiInitialThread", THREAD, "KTHREAD", 0),
    ("nt!KiInitialPCR", "_KPCR", "KPCR", 0x5000),
    ("nt!KiTss", "_KTSS", "TSS", TSS),
    ("nt!KiTss", "_KTSS64", "TSS", TSS),
    ("nt!KeServiceDescriptorTable", DESCRIPTOR, "KeServiceDescriptorTable", 0),
    ("nt!KeServiceDescriptorTableShadow", DESCRIPTOR, "KeServiceDescriptorTableShadow", 0),
    ("reactos!KeServiceDescriptorTable", DESCRIPTOR, "KeServiceDescriptorTable", 0),
    ("reactos!KeServiceDescriptorTableShadow", DESCRIPTOR, "KeServiceDescriptorTableShadow", 0),
    ("Teb", "_TEB", "TEB", 0x2000),
    ("SharedUserData", "_KUSER_SHARED_DATA", "SharedUserData", 0x1000),
    ("nt!SharedUserData", "_KUSER_SHARED_DATA", "SharedUserData", 0x1000),
];

/// The structures of a thread and of a service table's descriptor: how long they are, the guests say.
const THREAD: &str = "_KTHREAD";
const DESCRIPTOR: &str = "_KSERVICE_TABLE_DESCRIPTOR";

/// Bytes of the part of a TSS that the processor knows.
const TSS: u64 = i386::layout::tss::HARDWARE_SIZE as u64;

/// Tables, with the bytes of a row in 32 bits and in 64.
const TABLES: [(&str, &str, [u64; 2]); 4] = [
    ("nt!KiServiceTable", "KiServiceTable", [4, 4]),
    ("nt!KiArgumentTable", "KiArgumentTable", [1, 1]),
    ("nt!W32pServiceTable", "W32pServiceTable", [4, 4]),
    ("reactos!MainSSDT", "MainSSDT", [8, 8]),
];

impl Names {
    /// The structures of the system that has these places.
    #[must_use]
    pub fn new(places: &Places, symbols: &Symbols) -> Self {
        let mut names = Self::default();
        let Some(guest) = Guest::of(places) else { return names };
        let (long, thread, descriptor) = match guest {
            Guest::I386(profile) => (0, profile.thread.size, i386::layout::service_table::SIZE),
            Guest::Amd64(_) => (1, 0x400, amd64::layout::service_table::SIZE),
        };
        for (symbol, structure, name, length) in STRUCTURES {
            let length = match structure {
                THREAD => thread.into(),
                DESCRIPTOR => descriptor.into(),
                _ => length,
            };
            if let (Some(start), Some(structure)) = (symbols.address(symbol), types::structure(guest, structure)) {
                names.add(start, length, name, Form::Fields(fields(guest, &structure)));
            }
        }
        for (symbol, name, width) in TABLES {
            if let Some(start) = symbols.address(symbol) {
                let rows = i386::layout::service_table::MAX_SERVICES as u64;
                names.add(start, width[long] * rows, name, Form::Rows(width[long]));
            }
        }
        if let (Some(start), Guest::Amd64(profile)) = (symbols.address("nt!KiInitialProcess"), guest) {
            let callback = (profile.thread.instrumentation_callback, "InstrumentationCallback".to_owned());
            names.add(start, 0x400, "KPROCESS", Form::Fields(vec![callback]));
        }
        names.guest = Some(guest);
        names
    }

    fn add(&mut self, start: u64, length: u64, name: &str, form: Form) {
        self.regions.push(Region { start, length, name: name.to_owned(), form });
    }

    /// Adds the trap frame of a call. One that came from ring 0 has no ESP and SS on i386: the frame ends before them.
    pub(super) fn frame(&mut self, start: u64, from_kernel: bool) {
        let Some(guest) = self.guest else { return };
        let length = match guest {
            Guest::I386(_) if from_kernel => i386::layout::trap_frame::HARDWARE_ESP.into(),
            guest => guest.trap_frame_size(),
        };
        if let Some(structure) = types::structure(guest, "_KTRAP_FRAME") {
            self.add(start, length, "KTRAP_FRAME", Form::Fields(fields(guest, &structure)));
        }
    }

    /// Adds arguments that begin at an address.
    pub(super) fn arguments(&mut self, name: &str, start: u64, width: u64, first: u64, count: u64) {
        // Rows count from the first that would be in memory if all were.
        let start = start.wrapping_sub(width * first);
        let length = width * (first + count);
        if count > 0 {
            self.add(start, length, name, Form::Numbered(width));
        }
    }

    /// The name of what is at an address: `KTRAP_FRAME.Eip`, `KiServiceTable[11Ch]`, `argument 3`.
    #[must_use]
    pub fn of(&self, address: u64) -> Option<String> {
        let inside = |region: &&Region| address.wrapping_sub(region.start) < region.length;
        let nearest = self.regions.iter().filter(inside).max_by_key(|region| region.start)?;
        nearest.of(address.wrapping_sub(nearest.start))
    }
}

impl Region {
    fn of(&self, offset: u64) -> Option<String> {
        let name = &self.name;
        match &self.form {
            Form::Rows(width) => Some(format!("{name}[{}]", hexadecimal(offset / width))),
            Form::Numbered(width) => Some(format!("{name} {}", offset / width + 1)),
            Form::Fields(fields) => {
                let (at, field) = fields.iter().rfind(|(at, _)| u64::from(*at) <= offset)?;
                let beyond = offset - u64::from(*at);
                // A field that is not in the list is told by its distance from the last that is.
                Some(if beyond == 0 { format!("{name}.{field}") } else { format!("{name}.{field}+{beyond:x}") })
            }
        }
    }
}

/// Digits as an assembler takes them.
fn hexadecimal(number: u64) -> String {
    if number < 10 { number.to_string() } else { format!("{number:X}h") }
}

/// The fields of a structure, and of those in it, by rising offset.
fn fields(guest: Guest, structure: &types::Structure) -> Vec<Field> {
    let mut all = Vec::new();
    for field in &structure.fields {
        all.push((field.offset, field.name.to_owned()));
        if let types::Type::Structure(inner) = field.kind
            && let Some(inner) = types::structure(guest, inner)
        {
            let inside = fields(guest, &inner).into_iter();
            all.extend(inside.map(|(offset, name)| (field.offset + offset, format!("{}.{name}", field.name))));
        }
    }
    all.sort_by_key(|(offset, _)| *offset);
    all
}
