//! Lists, which have a reader of their own.

use super::services::{Services, named_table};
use super::{InputFormat, Options, Reading};
use crate::check::read_list;
use crate::diag::Diagnostics;
use crate::model::{ServiceList, limits};
use crate::syntax::lines;

pub(super) fn read(name: &str, bytes: &[u8], options: &Options) -> Result<Reading, Diagnostics> {
    let read = read_list(name, bytes)?;
    let list = with_base(read.list, options.base.unwrap_or(0));
    let lines: Vec<&[u8]> = lines(bytes).map(|line| line.bytes).collect();
    let text = |line: usize| {
        lines.get(line.wrapping_sub(1)).map_or(String::new(), |line| String::from_utf8_lossy(line).into())
    };
    let services = Services::of_list_with(read.warnings.file(), &list, |service| text(service.line()));
    Ok(Reading { format: InputFormat::List, services, warnings: read.warnings, list: Some(list) })
}

/// A list without a `#! table` line may be any table's: it does not say.
fn with_base(list: ServiceList, base: u32) -> ServiceList {
    let [table] = list.tables() else { return list };
    if table.base() != 0 || table.name() != "main" || base == 0 || !Options::is_base(base) {
        return list;
    }
    let mut services = table.services().to_vec();
    services.iter_mut().for_each(|service| service.number += base);
    ServiceList::new(vec![named_table((base / limits::SERVICES_PER_TABLE) as usize, None, services)]).unwrap_or(list)
}
