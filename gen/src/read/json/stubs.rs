//! What `gen --emit json` writes: `{"version": 1, "arch": "i386", "services": [{"name": ..., "number": ..., "args": ...}]}`.
//!
//! With it come the names of the tables, the docs and the signatures. The stubs themselves are not looked at.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::collect::{ARGUMENTS, check_counts};
use super::super::services::{Counts, Detail};
use super::{Elements, Member, Reader};
use crate::check::{doc_text, is_table_name, parse_decimal, parse_param};
use crate::diag::{Code, plural, quoted};
use crate::model::{Arch, JSON_VERSION, Param, limits};

pub(super) fn read<'a>(reader: &mut Reader<'_, 'a>, members: &[Member<'a>]) {
    let Some(services) = find(members, "services") else { return };
    let is_known = reader.check_version(find(members, "version"), services.value);
    // Of another version nothing is sure.
    let Some(arch) = reader.arch(find(members, "arch"), services.value).filter(|_| is_known) else { return };
    let Ok(Elements(elements)) = serde_json::from_str::<Elements<'a>>(services.value.get()) else {
        return reader.say_shape(services.value, "`services`", "an array");
    };
    let mut tables = Tables::default();
    for service in elements {
        reader.read_service(service, arch, &mut tables);
    }
}

fn find<'m, 'a>(members: &'m [Member<'a>], key: &str) -> Option<&'m Member<'a>> {
    members.iter().find(|member| member.key == key)
}

/// The names of the tables, as far as they are known; the index is bits 12 and 13 of a number.
#[derive(Default)]
struct Tables([Option<String>; limits::TABLES]);

impl Tables {
    /// Takes the name of the table that a number is in; tells what is wrong with it.
    fn take(&mut self, name: &str, number: u32) -> Result<(), String> {
        let index = (number / limits::SERVICES_PER_TABLE) as usize;
        // A number beyond the last table is told elsewhere.
        let Some(known) = self.0.get(index) else { return Ok(()) };
        if !is_table_name(name) {
            return Err(format!("{} is not a name for a table", quoted(name)));
        }
        match known {
            Some(known) if known == name => Ok(()),
            Some(known) => {
                let base = number / limits::SERVICES_PER_TABLE * limits::SERVICES_PER_TABLE;
                Err(format!("the numbers from {base:#x} on are of table {} already", quoted(known)))
            }
            None if self.0.iter().flatten().any(|other| other.eq_ignore_ascii_case(name)) => {
                Err(format!("table {} has numbers from elsewhere already", quoted(name)))
            }
            None => {
                self.0[index] = Some(name.to_owned());
                Ok(())
            }
        }
    }
}

/// What `params` looks like.
const EXAMPLE: &str = "`params` is like [{\"type\": \"HANDLE\", \"name\": \"Handle\"}]";

/// A parameter as it stands there.
#[derive(Deserialize)]
struct RawParam<'a> {
    #[serde(rename = "type", borrow)]
    ty: Cow<'a, str>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

impl<'a> Reader<'_, 'a> {
    fn check_version(&mut self, version: Option<&Member<'a>>, services: &'a RawValue) -> bool {
        let Some(version) = version else {
            self.say_missing("version", services);
            return false;
        };
        let is_known = parse_decimal(version.value.get()) == Some(JSON_VERSION);
        if !is_known {
            let spot = self.spot(version.value.get());
            let message = format!("the version is {}, not {JSON_VERSION}", quoted(version.value.get()));
            let help = "another ntgate has written the file; make it anew with this one";
            self.collector.say.say(Code::BadShape, message, spot, help);
        }
        is_known
    }

    fn arch(&mut self, member: Option<&Member<'a>>, services: &'a RawValue) -> Option<Arch> {
        let Some(member) = member else {
            self.say_missing("arch", services);
            return None;
        };
        let text = self.string(member, "the architecture")?;
        let arch = text.parse::<Arch>();
        if let Err(error) = &arch {
            let spot = self.spot(member.value.get());
            let help = "counts are of an architecture: without one they say nothing";
            self.collector.say.say(Code::BadShape, error.to_string(), spot, help);
        }
        arch.ok()
    }

    fn say_missing(&mut self, key: &str, services: &'a RawValue) {
        let spot = self.spot(&services.get()[..1]);
        let message = format!("there is no {} beside `services`", quoted(key));
        let help = "`ntgate gen --emit json` writes it";
        self.collector.say.say(Code::BadShape, message, spot, help);
    }

    fn string(&mut self, member: &Member<'a>, what: &str) -> Option<String> {
        let text = serde_json::from_str::<String>(member.value.get()).ok();
        if text.is_none() {
            self.say_shape(member.value, what, "a string");
        }
        text
    }

    fn read_service(&mut self, service: &'a RawValue, arch: Arch, tables: &mut Tables) {
        let Some(members) = self.members(service, "the service", "an object") else { return };
        let (Some(name), Some(number)) = (find(&members, "name"), find(&members, "number")) else {
            return self.say_shape(service, "the service", "one with a `name` and a `number`");
        };
        let Some(text) = self.string(name, "the name") else { return };
        let mut counts = find(&members, "args").map_or(Counts::default(), |args| self.args(args, arch));
        let detail = Detail {
            table: find(&members, "table").and_then(|table| self.table(table, number, tables)),
            doc: find(&members, "doc").and_then(|doc| doc_text(&self.string(doc, "the doc")?)),
            signature: find(&members, "params").and_then(|params| self.signature(params, &mut counts)),
        };
        let spot = self.spot(name.value.get());
        // The quotes are not the name's.
        let start = (spot.start + 1).min(spot.end);
        let spot = crate::syntax::text::Spot { start, end: spot.end.saturating_sub(1).max(start), ..spot };
        check_counts(self.collector, counts, spot);
        let place = self.spot(number.value.get());
        let number = self.number(&text, number).map(|number| (number, place));
        self.collector.add_with(&text, spot, number, counts, detail);
    }

    fn args(&mut self, member: &Member<'a>, arch: Arch) -> Counts {
        let spot = self.spot(member.value.get());
        let count = self.collector.count(member.value.get(), spot, &ARGUMENTS);
        match arch {
            Arch::I386 => Counts { i386: count, wide: None },
            Arch::Amd64 | Arch::Arm64 => Counts { i386: None, wide: count },
        }
    }

    fn table(&mut self, member: &Member<'a>, number: &Member<'a>, tables: &mut Tables) -> Option<String> {
        let name = self.string(member, "the table")?;
        let number = parse_decimal(number.value.get())?;
        if let Err(message) = tables.take(&name, number) {
            let spot = self.spot(member.value.get());
            let help = "each table has one name and 0x1000 numbers of its own";
            self.collector.say.say(Code::BadShape, message, spot, help);
            return None;
        }
        Some(name)
    }

    /// The parameters. There are as many of them as the service takes on 64-bit systems, and so they tell that count too.
    fn signature(&mut self, member: &Member<'a>, counts: &mut Counts) -> Option<Vec<Param>> {
        let spot = self.spot(member.value.get());
        let Ok(raw) = serde_json::from_str::<Vec<RawParam<'_>>>(member.value.get()) else {
            let message = "`params` is not an array of objects with a `type` and perhaps a `name`";
            self.collector.say.say(Code::BadShape, message, spot, EXAMPLE);
            return None;
        };
        let mut params = Vec::with_capacity(raw.len());
        for RawParam { ty, name } in &raw {
            let text = name.as_ref().map_or_else(|| ty.to_string(), |name| format!("{ty} {name}"));
            match parse_param(&text) {
                Ok(param) if param.name() == name.as_deref() => params.push(param),
                _ => {
                    let message = format!("the parameter {} is not a type and a name", quoted(&text));
                    self.collector.say.say(Code::BadSignature, message, spot, EXAMPLE);
                    return None;
                }
            }
        }
        let count = u8::try_from(params.len()).ok()?;
        if counts.wide.is_some_and(|wide| wide != count) {
            let found = plural(params.len(), "parameter");
            let message = format!("the service has {found}, `args` says {}", counts.wide.unwrap_or_default());
            self.collector.say.say(Code::SignatureMismatch, message, spot, "one of the two is wrong");
            return None;
        }
        counts.wide = Some(count);
        Some(params)
    }
}
