//! JSON: `{system: {release: {service: number}}}`, `{service: {system: {release: number}}}`, and what `gen --emit json`
//! writes.

mod stubs;

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Options;
use super::collect::Collector;
use super::services::Counts;
use super::systems::{System, choose};
use crate::check::parse_decimal;
use crate::diag::{Code, quoted};
use crate::syntax::text::{Spot, TextLine, spot_at};

/// The longest value that is marked whole.
const MARKED: usize = 40;

pub(super) fn read<'a>(text: &'a str, options: &Options, collector: &mut Collector<'a>) {
    let root = match serde_json::from_str::<&RawValue>(text) {
        Ok(root) => root,
        Err(error) => return say_syntax(text, &error, collector),
    };
    let mut reader = Reader { text, line: TextLine { number: 1, text: "" }, line_start: usize::MAX, collector };
    let Some(members) = reader.members(root, "the file", "an object") else { return };
    let is_ours = members.iter().any(|member| member.key == "services");
    let by_service = members.first().is_some_and(|member| member.key.starts_with("Nt"));
    if is_ours {
        stubs::read(&mut reader, &members);
    } else if by_service {
        reader.read_by_service(&members, options);
    } else {
        reader.read_by_system(&members, options);
    }
}

fn say_syntax<'a>(text: &'a str, error: &serde_json::Error, collector: &mut Collector<'a>) {
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let line = TextLine { number: error.line().max(1), text: line.strip_suffix('\r').unwrap_or(line) };
    // The library counts bytes, and up to the first one that is wrong.
    let mut start = error.column().saturating_sub(1).min(line.text.len());
    while !line.text.is_char_boundary(start) {
        start -= 1;
    }
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
    let help = "nothing after this place is read; a JSON checker may tell more";
    collector.say.say(
        Code::BadJson,
        format!("the file is not JSON: {message}"),
        Spot::new(line, start..start + 1),
        help,
    );
}

/// A member of an object.
struct Member<'a> {
    key: Cow<'a, str>,
    value: &'a RawValue,
}

/// The members of an object in their order, duplicates included.
struct Members<'a>(Vec<Member<'a>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    members.push(Member { key, value });
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Walk)
    }
}

/// A key, which stays in the text if it has no escapes: so its place is known.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The elements of an array.
struct Elements<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Walk;
        impl<'de> Visitor<'de> for Walk {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element()? {
                    elements.push(element);
                }
                Ok(Elements(elements))
            }
        }
        deserializer.deserialize_seq(Walk)
    }
}

struct Reader<'c, 'a> {
    text: &'a str,
    /// The last line that was pointed at, and where it begins: places mostly rise.
    line: TextLine<'a>,
    line_start: usize,
    collector: &'c mut Collector<'a>,
}

impl<'a> Reader<'_, 'a> {
    /// Where a piece of the text stands.
    fn spot(&mut self, piece: &str) -> Spot<'a> {
        let at = (piece.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize);
        if at > self.text.len() {
            // A key with escapes is no piece of the text.
            return Spot::line(self.line);
        }
        self.go_to(at);
        let start = at - self.line_start;
        let end = if piece.len() > MARKED { start + 1 } else { start + piece.len() };
        Spot::new(self.line, start..end)
    }

    /// Makes the line of a byte the one that is pointed at.
    fn go_to(&mut self, at: usize) {
        if self.line_start > at {
            let spot = spot_at(self.text, at);
            (self.line, self.line_start) = (spot.line, at - spot.start);
            return;
        }
        while let Some(length) = self.text[self.line_start..at].find('\n') {
            self.line_start += length + 1;
            let line = self.text[self.line_start..].split('\n').next().unwrap_or_default();
            let text = line.strip_suffix('\r').unwrap_or(line);
            self.line = TextLine { number: self.line.number + 1, text };
        }
    }

    /// Says that a value is of another kind than its place calls for.
    fn say_shape(&mut self, value: &RawValue, what: &str, wanted: &str) {
        let found = match value.get().as_bytes().first() {
            Some(b'{') => "an object",
            Some(b'[') => "an array",
            Some(b'"') => "a string",
            Some(b't' | b'f') => "a truth value",
            Some(b'n') => "null",
            _ => "a number",
        };
        let spot = self.spot(value.get());
        let help = "known are {system: {release: {service: number}}}, {service: {system: {release: number}}} and what \
                    `ntgate gen --emit json` writes";
        self.collector.say.say(Code::BadShape, format!("{what} is {found}, not {wanted}"), spot, help);
    }

    fn members(&mut self, value: &'a RawValue, what: &str, wanted: &str) -> Option<Vec<Member<'a>>> {
        match serde_json::from_str::<Members<'a>>(value.get()) {
            Ok(Members(members)) => Some(members),
            Err(_) => {
                self.say_shape(value, what, wanted);
                None
            }
        }
    }

    fn number(&mut self, service: &str, member: &Member<'a>) -> Option<u32> {
        let text = member.value.get();
        let number = parse_decimal(text);
        if number.is_none() {
            let spot = self.spot(text);
            let message = format!("the number of {} is {}", quoted(service), quoted(text));
            let help = "a service number is a whole number, in decimal";
            self.collector.say.say(Code::BadNumber, message, spot, help);
        }
        number
    }

    fn add(&mut self, name: &str, name_spot: Spot<'a>, member: &Member<'a>, counts: Counts) {
        let number = self.number(name, member);
        let spot = self.spot(member.value.get());
        self.collector.add(name, name_spot, number.map(|number| (number, spot)), counts);
    }

    fn read_by_system(&mut self, members: &[Member<'a>], options: &Options) {
        let mut systems = Vec::new();
        let mut tables = Vec::new();
        for system in members {
            let what = format!("the system {}", quoted(&system.key));
            for release in self.members(system.value, &what, "an object of releases").unwrap_or_default() {
                systems.push(System { name: system.key.clone().into_owned(), release: release.key.into_owned() });
                tables.push(release.value);
            }
        }
        let first = Spot::new(TextLine { number: 1, text: self.text.split('\n').next().unwrap_or_default() }, 0..1);
        if systems.is_empty() {
            return;
        }
        let Some(chosen) = choose(&systems, options.system.as_deref(), first, &mut self.collector.say) else { return };
        let Some(&table) = tables.get(chosen) else { return };
        for member in self.members(table, "the release", "an object of services").unwrap_or_default() {
            let spot = self.spot(&member.key);
            self.add(&member.key, spot, &member, Counts::default());
        }
    }

    fn read_by_service(&mut self, members: &[Member<'a>], options: &Options) {
        let mut systems: Vec<System> = Vec::new();
        let mut indices = std::collections::HashMap::new();
        // (service, system, the member that holds the number)
        let mut numbers: Vec<(usize, usize, Member<'a>)> = Vec::new();
        for (service, member) in members.iter().enumerate() {
            let what = format!("the service {}", quoted(&member.key));
            for system in self.members(member.value, &what, "an object of systems").unwrap_or_default() {
                let what = format!("the system {} of {}", quoted(&system.key), quoted(&member.key));
                for release in self.members(system.value, &what, "an object of releases").unwrap_or_default() {
                    let key =
                        System { name: system.key.clone().into_owned(), release: release.key.clone().into_owned() };
                    let index = *indices.entry(key.clone()).or_insert_with(|| {
                        systems.push(key);
                        systems.len() - 1
                    });
                    numbers.push((service, index, release));
                }
            }
        }
        if systems.is_empty() {
            return;
        }
        let first = Spot::new(TextLine { number: 1, text: self.text.split('\n').next().unwrap_or_default() }, 0..1);
        let Some(chosen) = choose(&systems, options.system.as_deref(), first, &mut self.collector.say) else { return };
        for (service, _, release) in numbers.into_iter().filter(|(_, system, _)| *system == chosen) {
            let name = &members[service].key;
            let spot = self.spot(name);
            self.add(name, spot, &release, Counts::default());
        }
    }
}
