//! What programs count on that look at stubs themselves: Chromium's sandbox, Wine's handler of raw system calls in games, and
//! those who read numbers off the order of exports.

use std::collections::BTreeMap;

use ntgate_gen::Arch;
use ntgate_gen::model::limits;

use super::{Audit, Export, Way};

/// Something that others count on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Contract {
    /// Chromium's sandbox patches a stub only if it begins as one of those that it knows (`service_resolver_32.cc`,
    /// `service_resolver_64.cc`), and writes over its first bytes.
    Chromium,
    /// Wine's handler for `SYSCALL` instructions that are not caught by its own dispatcher goes on 0Bh bytes behind each: at the
    /// stub's last `ret` (`signal_x86_64.c`; ValveSoftware/Proton issue 9827).
    Proton,
    /// Numbers rise with the addresses of exports: SysWhispers, FreshyCalls and pe-sieve count exports instead of reading
    /// stubs. Also told: whether they rise with the names.
    Order,
}

impl Contract {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Chromium, Self::Proton, Self::Order];

    /// The name used in every interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chromium => "chromium",
            Self::Proton => "proton",
            Self::Order => "order",
        }
    }

    /// Checks the services of an audit.
    #[must_use]
    pub fn check(self, audit: &Audit) -> Verdict {
        let mut verdict = Verdict { contract: self, checked: 0, broken: Vec::new(), notes: Vec::new() };
        match self {
            Self::Chromium => chromium(audit, &mut verdict),
            Self::Proton => proton(audit, &mut verdict),
            Self::Order => order(audit, &mut verdict),
        }
        verdict
    }
}

impl std::str::FromStr for Contract {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|contract| contract.name() == text);
        found.ok_or_else(|| format!("unknown contract {text:?}; known: {known}"))
    }
}

/// What a check found.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// What was checked.
    pub contract: Contract,
    /// How many services it is about.
    pub checked: usize,
    /// The services that break it, and how.
    pub broken: Vec<(String, String)>,
    /// What else is to be known.
    pub notes: Vec<String>,
}

impl Verdict {
    /// Whether nobody who counts on it is disappointed.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.broken.is_empty()
    }
}

/// Bytes that a stub begins with; `None` is any byte.
type Pattern = Vec<Option<u8>>;

/// The stubs that Chromium's sandbox knows, as the bytes that it compares.
const KNOWN: [(Arch, &str, &str); 9] = [
    (Arch::I386, "Windows XP SP2 to 7", "B8........BA........FF12C2"),
    (Arch::I386, "Server 2003", "B8........BA........FFD2C2"),
    (Arch::I386, "Windows 8", "B8........E803000000C2....8BD40F34C3"),
    (Arch::I386, "WoW64 of XP to Vista", "B8........33C98D54240464FF15C0000000C2"),
    (Arch::I386, "WoW64 of 7", "B8........33C98D54240464FF15C000000083C404C2"),
    (Arch::I386, "WoW64 of 8", "B8........64FF15C0000000C2"),
    (Arch::Amd64, "Windows XP to 7", "4C8BD1B8........0F05C3"),
    (Arch::Amd64, "Windows 8 to 10 1507", "48894C24084889542410 4C894424184C894C2420 4C8BD1B8"),
    (Arch::Amd64, "Windows 10 1511 and later", "4C8BD1B8........F60425..........75030F05C3....C3"),
];

fn pattern(text: &str) -> Pattern {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok();
    digits.chunks(2).map(byte).collect()
}

/// The bytes that the patch takes: up to `ret` on i386, a whole `ServiceEntry` on amd64.
const fn patched(arch: Arch) -> u32 {
    if matches!(arch, Arch::I386) { 12 } else { 16 }
}

fn chromium(audit: &Audit, verdict: &mut Verdict) {
    let patterns: Vec<Pattern> =
        KNOWN.iter().filter(|(arch, ..)| *arch == audit.arch).map(|(.., text)| pattern(text)).collect();
    let mut places: Vec<(&Option<String>, u32)> =
        audit.exports.iter().filter_map(|export| Some((&export.member, export.rva?))).collect();
    places.sort_unstable();
    places.dedup();
    let mut without_arguments = 0;
    for export in audit.services() {
        verdict.checked += 1;
        let begins = |pattern: &Pattern| {
            export.bytes.len() >= pattern.len()
                && pattern.iter().zip(&export.bytes).all(|(wanted, byte)| wanted.is_none_or(|wanted| wanted == *byte))
        };
        if patterns.iter().any(begins) {
            if let Some(room) = room(export, &places)
                && room < patched(audit.arch)
            {
                let text =
                    format!("the patch takes {} bytes, and the next export begins after {room}", patched(audit.arch));
                verdict.broken.push((export.name.clone(), text));
            }
        } else if audit.arch == Arch::I386 && export.ret_bytes == Some(0) {
            // `C3` where the matcher wants `C2`.
            without_arguments += 1;
        } else {
            let text = "it begins as no stub that the sandbox knows".to_owned();
            verdict.broken.push((export.name.clone(), text));
        }
    }
    if without_arguments > 0 {
        verdict.notes.push(format!(
            "{without_arguments} without arguments end in C3, which the sandbox does not take for a stub; it patches none of them"
        ));
    }
}

/// Bytes up to the next export.
fn room(export: &Export, places: &[(&Option<String>, u32)]) -> Option<u32> {
    let at = (&export.member, export.rva?);
    let next = places.get(places.partition_point(|place| *place <= at))?;
    (next.0 == at.0).then(|| next.1 - at.1)
}

/// What Wine's handler adds to RIP, which is behind the `SYSCALL`.
const PROTON_DISTANCE: usize = 0xB;

fn proton(audit: &Audit, verdict: &mut Verdict) {
    if audit.arch != Arch::Amd64 {
        verdict.notes.push("only stubs of amd64 have a SYSCALL that Wine's handler could see".to_owned());
        return;
    }
    for export in audit.services() {
        let syscall = export.entries.iter().find(|entry| entry.way == Way::Syscall).and_then(|entry| entry.from);
        let Some((from, rva)) = syscall.zip(export.rva) else { continue };
        verdict.checked += 1;
        let behind = (from.wrapping_sub(rva) as usize).wrapping_add(2);
        let ret = export.bytes.get(behind.wrapping_add(PROTON_DISTANCE));
        if ret != Some(&0xC3) {
            let text = format!("{PROTON_DISTANCE:X}h bytes behind its SYSCALL at +{from:X}h is no `ret` of it");
            verdict.broken.push((export.name.clone(), text));
        }
    }
    if verdict.checked == 0 {
        verdict.notes.push("no stub has a SYSCALL".to_owned());
    }
}

fn order(audit: &Audit, verdict: &mut Verdict) {
    let mut tables: BTreeMap<u32, Vec<&Export>> = BTreeMap::new();
    for export in audit.services() {
        if let Some(number) = export.number {
            tables.entry(number / limits::SERVICES_PER_TABLE).or_default().push(export);
        }
    }
    for (table, mut exports) in tables {
        // They are in the order of their places.
        exports.dedup_by_key(|export| (export.member.clone(), export.rva));
        verdict.checked += exports.len();
        for pair in exports.windows(2) {
            if pair[1].number <= pair[0].number {
                let shown = |export: &Export| export.number.unwrap_or_default();
                let text = format!("it has {:X}h behind {} with {:X}h", shown(pair[1]), pair[0].name, shown(pair[0]));
                verdict.broken.push((pair[1].name.clone(), text));
            }
        }
        let base = table * limits::SERVICES_PER_TABLE;
        let mut numbers: Vec<u32> = exports.iter().filter_map(|export| export.number).collect();
        numbers.sort_unstable();
        let missing = (base..).zip(&numbers).find(|(wanted, number)| wanted != *number).map(|(wanted, _)| wanted);
        if let Some(missing) = missing {
            verdict.notes.push(format!("no export has {missing:X}h: who counts exports is wrong from there on"));
        }
        exports.sort_by_key(|export| export.number);
        let falls = |pair: &&[&Export]| pair[1].name <= pair[0].name;
        verdict.notes.push(match exports.windows(2).find(falls) {
            None => format!("from {base:X}h on numbers are in the order of names"),
            Some(pair) => {
                format!(
                    "from {base:X}h on numbers are not in the order of names: {} is behind {}",
                    pair[1].name, pair[0].name
                )
            }
        });
    }
}
