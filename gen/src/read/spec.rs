//! .spec files: exports, of which some are services.
//!
//! In Wine's files a service has `-syscall`, and perhaps its number; the others get the free numbers in the order of
//! their names (Wine `tools/make_specfiles`). ReactOS's files have no `-syscall`: there every function whose name starts
//! with `Nt` is taken, without a number.

use std::collections::BTreeSet;

use super::Options;
use super::collect::{Collector, check_counts};
use super::macros::Defined;
use super::services::Counts;
use super::systems::nearest;
use crate::check::parse_number;
use crate::diag::{Code, quoted};
use crate::model::{Arch, limits};
use crate::syntax::Word;
use crate::syntax::condition::Names;
use crate::syntax::spec::{RawSpec, parse_spec_line};
use crate::syntax::text::{Logical, Spot, logical_lines};

/// What an export can be.
pub(super) const KINDS: [&str; 10] =
    ["stdcall", "cdecl", "varargs", "thiscall", "fastcall", "pascal", "stub", "extern", "variable", "equate"];

/// What is no function.
const DATA: [&str; 3] = ["extern", "variable", "equate"];

/// The flags of both tools.
const FLAGS: [&str; 17] = [
    "-arch",
    "-syscall",
    "-version",
    "-stub",
    "-import",
    "-norelay",
    "-noname",
    "-ordinal",
    "-private",
    "-ret16",
    "-ret64",
    "-register",
    "-interrupt",
    "-thiscall",
    "-fastcall",
    "-i386",
    "-ntdll",
];

/// The macro that `-version=` is compared with.
const VERSION: &str = "_WIN32_WINNT";

/// The version that ReactOS's build has if none is named: NT 5.2.
const DEFAULT_VERSION: u32 = 0x502;

/// Exports of ntdll that have a service's kind of name and need no kernel: one reads a segment register, the other, since
/// Windows XP, the page that all processes share.
const NO_SERVICES: [&str; 2] = ["NtCurrentTeb", "NtGetTickCount"];

pub(super) fn read<'a>(text: &'a str, options: &Options, collector: &mut Collector<'a>) {
    let mut defined = Defined::new(options);
    let given = defined.is_defined(VERSION);
    let number = defined.value(VERSION).ok().and_then(|value| u32::try_from(value.bits).ok());
    let version = if given { number } else { Some(DEFAULT_VERSION) };
    let is_version_told = given && number.is_some();
    let mut reader = Reader { collector, arch: options.arch(), version, is_version_told, exports: Vec::new() };
    for line in logical_lines(text, text) {
        reader.read_line(&line);
    }
    reader.finish();
}

struct Reader<'c, 'a> {
    collector: &'c mut Collector<'a>,
    arch: Arch,
    /// What `-version=` is compared with; `None` if it was given and is none.
    version: Option<u32>,
    /// Whether somebody has said so, or one report that nobody has been made.
    is_version_told: bool,
    exports: Vec<Export<'a>>,
}

/// An export that could be a service.
struct Export<'a> {
    name: String,
    spot: Spot<'a>,
    /// `None` if the file does not tell; if it tells something wrong, that has been said.
    counts: Option<Counts>,
    syscall: Option<Syscall<'a>>,
}

/// `-syscall`, and the number after it.
#[derive(Clone, Copy)]
struct Syscall<'a> {
    number: Option<(u32, Spot<'a>)>,
}

/// What the flags of an export come to.
#[derive(Default)]
struct Flags<'a> {
    is_left_out: bool,
    syscall: Option<Syscall<'a>>,
}

impl<'a> Reader<'_, 'a> {
    fn read_line(&mut self, line: &Logical<'_, 'a>) {
        let parsed = parse_spec_line(&line.text);
        if let Some(rest) = parsed.rest {
            return self.say_rest(line, rest, parsed.entry.as_ref());
        }
        let Some(entry) = parsed.entry else { return };
        let Some(kind) = entry.kind else {
            return self.collector.say_bad_entry("the export has no kind", line.spot(entry.ordinal.span()).after());
        };
        if !KINDS.contains(&kind.text) {
            let message = format!("{} is not a kind of export", quoted(kind.text));
            let help = format!("is it {}?", quoted(nearest(kind.text, KINDS)));
            return self.collector.say.say(Code::BadEntry, message, line.spot(kind.span()), help);
        }
        let flags = self.read_flags(line, &entry);
        let Some(name) = entry.name else {
            return self.collector.say_bad_entry("the export has no name", line.spot(kind.span()).after());
        };
        let counts = self.read_arguments(line, &entry);
        let spot = line.spot(name.span());
        if DATA.contains(&kind.text) {
            if flags.syscall.is_some() {
                let message = format!("{} is data and cannot be a service", quoted(name.text));
                self.collector.say.say(Code::BadFlag, message, spot, "take -syscall out, or write stdcall");
            }
        } else if !flags.is_left_out {
            self.exports.push(Export { name: name.text.to_owned(), spot, counts, syscall: flags.syscall });
        }
    }

    fn say_rest(&mut self, line: &Logical<'_, 'a>, rest: Word<'_>, entry: Option<&RawSpec<'_>>) {
        let spot = line.spot(rest.span());
        if entry.is_none() {
            return self.collector.say_bad_entry(format!("{} is not an export", quoted(rest.text)), spot);
        }
        if rest.text.starts_with('(') {
            return self.collector.say_bad_entry("the arguments have no closing parenthesis", spot);
        }
        let message = format!("{} does not belong here", quoted(rest.text));
        let help = "after the arguments there may be the name of what is exported, and a comment";
        self.collector.say.say(Code::UnexpectedText, message, spot, help);
    }

    fn read_flags(&mut self, line: &Logical<'_, 'a>, entry: &RawSpec<'_>) -> Flags<'a> {
        let mut flags = Flags::default();
        for &word in &entry.flags {
            let spot = line.spot(word.span());
            let (flag, value) = word.text.split_once('=').unwrap_or((word.text, ""));
            match flag {
                "-arch" => flags.is_left_out |= !self.has_arch(value, spot),
                "-i386" => flags.is_left_out |= self.arch != Arch::I386,
                "-version" => flags.is_left_out |= !self.has_version(value, spot),
                "-syscall" if !word.text.contains('=') => flags.syscall = Some(Syscall { number: None }),
                "-syscall" => {
                    let number = self.collector.number(value, spot).map(|number| (number, spot));
                    flags.syscall = Some(Syscall { number });
                }
                _ if FLAGS.contains(&flag) => {}
                _ => {
                    let message = format!("{} is not a flag", quoted(flag));
                    let help = format!("is it {}?", quoted(nearest(flag, FLAGS)));
                    self.collector.say.say(Code::BadFlag, message, spot, help);
                }
            }
        }
        flags
    }

    /// Whether `-arch=i386,!arm` has the architecture.
    fn has_arch(&mut self, value: &str, spot: Spot<'a>) -> bool {
        let mut has_one = false;
        let mut is_excluded = false;
        let mut has_positive = false;
        for name in value.split(',') {
            let (is_not, name) = name.strip_prefix('!').map_or((false, name), |name| (true, name));
            let Some(is_meant) = means(name, self.arch) else {
                let message = format!("{} is not an architecture", quoted(name));
                let help = "known are i386, x86_64, arm, arm64, arm64ec, win32 and win64, each with ! for all but it";
                self.collector.say.say(Code::BadFlag, message, spot, help);
                return true;
            };
            has_positive |= !is_not;
            has_one |= is_meant && !is_not;
            is_excluded |= is_meant && is_not;
        }
        !is_excluded && (has_one || !has_positive)
    }

    /// Whether `-version=0x502-0x601` or `-version=0x600+` has the version.
    fn has_version(&mut self, value: &str, spot: Spot<'a>) -> bool {
        let range = match value.split_once('-') {
            Some((first, last)) => parse_number(first).zip(parse_number(last)),
            None => match value.strip_suffix('+') {
                Some(first) => parse_number(first).map(|first| (first, u32::MAX)),
                None => parse_number(value).map(|only| (only, only)),
            },
        };
        let Some((first, last)) = range.filter(|(first, last)| first <= last) else {
            let message = format!("{} is not a range of versions", quoted(value));
            let help = "a range is `0x502`, `0x600+` or `0x502-0x601`";
            self.collector.say.say(Code::BadFlag, message, spot, help);
            return true;
        };
        if !std::mem::replace(&mut self.is_version_told, true) {
            let help = format!("-D {VERSION}=0x601 tells it; other exports with -version= are not reported");
            let (code, message) = match self.version {
                Some(version) => (Code::AssumedVersion, format!("the version is not told and taken for {version:#x}")),
                None => (Code::BadFlag, format!("the value of {VERSION} is not a version")),
            };
            self.collector.say.say(code, message, spot, help);
        }
        self.version.is_none_or(|version| (first..=last).contains(&version))
    }

    fn read_arguments(&mut self, line: &Logical<'_, 'a>, entry: &RawSpec<'_>) -> Option<Counts> {
        let arguments = entry.arguments.as_ref()?;
        let (mut dwords, mut slots, mut is_known) = (0usize, 0usize, true);
        for &argument in arguments {
            let spot = line.spot(argument.span());
            if let Some((i386, wide)) = size(argument.text, self.arch) {
                dwords += i386;
                slots += wide;
            } else {
                is_known = false;
                let message = format!("{} is not a type of argument", quoted(argument.text));
                let help = format!("is it {}?", quoted(nearest(argument.text, TYPES.map(|(name, _)| name))));
                self.collector.say.say(Code::BadArgument, message, spot, help);
            }
        }
        if dwords > usize::from(limits::ARGS_I386) {
            let spot = line.spot(entry.name.unwrap_or(entry.ordinal).span());
            let message = format!("the {dwords} dwords of arguments are over the limit of {}", limits::ARGS_I386);
            let help = "the kernel's argument table has one byte for 4 times the count";
            self.collector.say.say(Code::TooManyArguments, message, spot, help);
            is_known = false;
        }
        let known = |count: usize| u8::try_from(count).ok().filter(|_| is_known);
        Some(Counts { i386: known(dwords), wide: known(slots) })
    }

    fn finish(self) {
        let has_syscalls = self.exports.iter().any(|export| export.syscall.is_some());
        let is_service = |export: &Export<'_>| {
            if has_syscalls {
                export.syscall.is_some()
            } else {
                export.name.starts_with("Nt") && !NO_SERVICES.contains(&&*export.name)
            }
        };
        let mut services: Vec<Export<'a>> = self.exports.into_iter().filter(is_service).collect();
        give_numbers(&mut services);
        for service in services {
            if let Some(counts) = service.counts {
                check_counts(self.collector, counts, service.spot);
            } else {
                let message = format!("the argument count of {} is not told", quoted(&service.name));
                let help = "an export with its arguments is `@ stdcall -syscall NtClose(long)`";
                self.collector.say.say(Code::UnknownCount, message, service.spot, help);
            }
            let number = service.syscall.and_then(|syscall| syscall.number);
            self.collector.add(&service.name, service.spot, number, service.counts.unwrap_or_default());
        }
    }
}

/// Gives the free numbers to those that have `-syscall` without a number, in the order of their names.
fn give_numbers(services: &mut [Export<'_>]) {
    let taken: BTreeSet<u32> =
        services.iter().filter_map(|service| service.syscall?.number).map(|(number, _)| number).collect();
    let mut free = (0..).filter(|number| !taken.contains(number));
    let mut order: Vec<usize> = (0..services.len()).collect();
    order.sort_by(|&a, &b| services[a].name.cmp(&services[b].name));
    for index in order {
        let spot = services[index].spot;
        if let Some(syscall) = services[index].syscall.as_mut().filter(|syscall| syscall.number.is_none()) {
            syscall.number = free.next().map(|number| (number, spot));
        }
    }
}

/// The types of arguments, and the dwords that each takes on i386 (Wine `tools/winebuild/utils.c`, `get_args_size`).
const TYPES: [(&str, usize); 9] = [
    ("long", 1),
    ("ptr", 1),
    ("str", 1),
    ("wstr", 1),
    ("word", 1),
    ("float", 1),
    ("double", 2),
    ("int64", 2),
    ("int128", 4),
];

/// How many slots an argument takes on i386 and on 64-bit systems. On amd64 a 128-bit value is passed by its address.
fn size(ty: &str, arch: Arch) -> Option<(usize, usize)> {
    let (_, dwords) = TYPES.into_iter().find(|(name, _)| *name == ty)?;
    let wide = if ty == "int128" && arch == Arch::Arm64 { 2 } else { 1 };
    Some((dwords, wide))
}

/// Whether a name of `-arch=` means the architecture; `None` if it is no name.
fn means(name: &str, arch: Arch) -> Option<bool> {
    match name {
        "win32" => Some(arch == Arch::I386),
        "win64" => Some(arch != Arch::I386),
        // Others that the tools know, for which nothing is made here.
        "arm" | "arm64ec" | "ppc" | "powerpc" | "mips" => Some(false),
        _ => name.parse::<Arch>().ok().map(|named| named == arch),
    }
}
