//! CSV: a row a service, a column a system, numbers in the cells.

use ::csv::{ReaderBuilder, StringRecord};

use super::Options;
use super::collect::Collector;
use super::services::Counts;
use super::systems::{System, choose};
use crate::diag::{Code, plural, quoted};
use crate::syntax::text::{Spot, TextLine, spot_at};

pub(super) fn read<'a>(text: &'a str, options: &Options, collector: &mut Collector<'a>) {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut lines = Lines { text, next: 0, number: 1 };
    // How many columns there are, and which is meant, if that is known.
    let mut head: Option<(usize, Option<usize>)> = None;
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            // The text is UTF-8 and rows may be of any length: nothing is left that could fail.
            Err(error) => {
                let at = error.position().map_or(0, |position| position.byte() as usize);
                let help = "the rows from here on are not read";
                return collector.say.say(Code::BadRow, "the row cannot be read", spot_at(text, at), help);
            }
        };
        let row = Row { line: lines.at(&record), record };
        match head {
            None => {
                let systems: Vec<System> = row.record.iter().skip(1).map(System::of_column).collect();
                let is_right = check_head(&row, &systems, collector);
                let first = row.spot(1);
                let chosen =
                    is_right.then(|| choose(&systems, options.system.as_deref(), first, &mut collector.say)).flatten();
                head = Some((row.record.len(), chosen.map(|chosen| chosen + 1)));
            }
            Some((columns, column)) => read_row(&row, columns, column, collector),
        }
    }
}

/// The lines of a text by the places of records, which only rise.
struct Lines<'a> {
    text: &'a str,
    next: usize,
    number: usize,
}

impl<'a> Lines<'a> {
    /// The line that a record begins in.
    fn at(&mut self, record: &StringRecord) -> TextLine<'a> {
        let at = record.position().map_or(0, |position| position.byte() as usize).clamp(self.next, self.text.len());
        // A record begins where the one before ended, and so may begin with that one's line end.
        let blank = self.text.as_bytes()[at..].iter().take_while(|&&byte| matches!(byte, b'\r' | b'\n')).count();
        let start = at + blank;
        self.number += self.text.as_bytes()[self.next..start].iter().filter(|&&byte| byte == b'\n').count();
        self.next = start;
        let line = self.text[start..].split('\n').next().unwrap_or_default();
        TextLine { number: self.number, text: line.strip_suffix('\r').unwrap_or(line) }
    }
}

struct Row<'a> {
    line: TextLine<'a>,
    record: StringRecord,
}

impl<'a> Row<'a> {
    /// Where a cell stands. Of a row with quotes only the row is told: its cells are not the text between its commas.
    fn spot(&self, column: usize) -> Spot<'a> {
        if self.line.text.contains('"') {
            return Spot::line(self.line);
        }
        let start: usize = self.record.iter().take(column).map(|cell| cell.len() + 1).sum();
        let cell = self.record.get(column).unwrap_or_default();
        let lead = cell.len() - cell.trim_start().len();
        Spot::new(self.line, start + lead..start + lead + cell.trim().len())
    }
}

fn check_head<'a>(row: &Row<'a>, systems: &[System], collector: &mut Collector<'a>) -> bool {
    let before = collector.say.diags.error_count();
    let is_row = |cell: &str| cell.trim().starts_with("0x") || cell.trim().parse::<u32>().is_ok();
    if systems.is_empty() || row.record.iter().skip(1).any(is_row) {
        let message = "the first line does not name the systems";
        let help = "the first line is like `System call,Windows XP (SP1)`: a column for each system";
        collector.say.say(Code::BadRow, message, Spot::line(row.line), help);
    }
    for (index, system) in systems.iter().enumerate() {
        if let Some(first) = systems[..index].iter().position(|other| other == system) {
            let message = format!("there are two columns {}", quoted(row.record.get(index + 1).unwrap_or_default()));
            let (again, first) = ((row.spot(index + 1), "again here"), (row.spot(first + 1), "first here"));
            collector.say.say_two(Code::BadRow, message, again, first, "a system has one column");
        }
    }
    collector.say.diags.error_count() == before
}

fn read_row<'a>(row: &Row<'a>, columns: usize, column: Option<usize>, collector: &mut Collector<'a>) {
    let cells = row.record.len();
    let name = row.record.get(0).unwrap_or_default().trim();
    if cells == 1 && name.is_empty() {
        return;
    }
    if cells != columns {
        let message = format!("{} has {}, the first line has {columns}", quoted(name), plural(cells, "cell"));
        let help = "a row has a cell for each system, empty if that does not have the service";
        let spot = if cells > columns { row.spot(columns) } else { Spot::line(row.line).after() };
        return collector.say.say(Code::BadRow, message, spot, help);
    }
    // What another system's cell has wrong would be wrong as soon as that system is chosen.
    for other in (1..cells).filter(|&other| Some(other) != column) {
        let cell = row.record.get(other).unwrap_or_default().trim();
        if !cell.is_empty() {
            collector.number(cell, row.spot(other));
        }
    }
    let Some(column) = column else { return };
    let cell = row.record.get(column).unwrap_or_default().trim();
    if cell.is_empty() {
        return;
    }
    let spot = row.spot(column);
    let number = collector.number(cell, spot).map(|number| (number, spot));
    collector.add(name, row.spot(0), number, Counts::default());
}
