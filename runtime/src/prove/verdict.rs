//! The judge: a record against what it has to be.

use super::finding::{Finding, What};
use super::guest::{Guest, SetView};
use super::log::{Form, Record, SetLog};

/// What a record has to be: its facts, at their positions, and the arguments behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) facts: Vec<Want>,
    /// The first argument; each following one is larger by 1.
    pub(super) first_argument: u64,
}

/// What a fact has to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) value: u64,
    /// Bits that may be either: undefined by the manuals, or the kernel's own business.
    pub(super) open: u64,
    /// A fact whose open bits these are: both come from the same register.
    pub(super) like: Option<usize>,
}

impl Want {
    pub(super) const fn of(value: u64) -> Self {
        Self { value, open: 0, like: None }
    }

    /// One of which some bits may be either.
    pub(super) const fn with_open(value: u64, open: u64) -> Self {
        Self { value: value & !open, open, like: None }
    }

    /// Anything will do.
    pub(super) const ANY: Self = Self::with_open(0, u64::MAX);

    /// The same, its open bits those of another fact.
    pub(super) const fn like(self, fact: usize) -> Self {
        Self { like: Some(fact), ..self }
    }

    /// The value in a record.
    fn in_record(self, record: Record<'_>) -> Self {
        match self.like {
            Some(fact) => Self::of(self.value | record.fact(fact) & self.open),
            None => self,
        }
    }

    const fn allows(self, seen: u64) -> bool {
        (self.value ^ seen) & !self.open == 0
    }
}

/// Everything about a call that is not as it has to be, by condition; empty if the call is right.
pub(super) fn judge(form: &Form, record: Record<'_>, expected: &Expected) -> Vec<Finding> {
    let number = |what, index, expected, seen| Finding::number(what, form.digits(index), expected, seen);
    let mut findings: Vec<Finding> = form
        .facts
        .iter()
        .filter_map(|&(index, what)| {
            let (want, seen) = (expected.facts.get(index)?.in_record(record), record.fact(index));
            (!want.allows(seen)).then(|| number(what, index, want.value, seen))
        })
        .collect();
    // Where the routine saw too many or too few, the ones that are there are judged all the same.
    let wanted = expected.facts.get(form.argument_count).map_or(0, |want| want.value as usize);
    for (index, &seen) in record.arguments(form).iter().take(wanted).enumerate() {
        let expected = form.wrap(form.arguments + index, expected.first_argument.wrapping_add(index as u64));
        if seen != expected {
            let what = What::argument(u8::try_from(index).unwrap_or(u8::MAX));
            findings.push(number(what, form.arguments + index, expected, seen));
        }
    }
    findings.sort_by_key(|finding| finding.what.condition());
    findings
}

/// What is wrong with a set before any of its calls: whether it ran, and what it was to run with.
pub(super) fn judge_set<G: Guest>(log: &SetLog, view: &SetView<'_, G>) -> Vec<Finding> {
    match (&log.facts, view.entry().is_some()) {
        (None, false) => Vec::new(),
        (None, true) => vec![Finding::text(What::SET_RUNS, "run", "skipped")],
        (Some(_), false) => vec![Finding::text(What::SET_RUNS, "skipped", "run")],
        (Some(seen), true) => {
            let facts = G::FORM.set_facts.iter().zip(view.set_facts()).zip(seen);
            facts
                .filter(|((_, expected), seen)| expected != *seen)
                .map(|((fact, expected), &seen)| Finding::number(fact.what, fact.digits, expected, seen))
                .collect()
        }
    }
}

/// Whether the guest saw the CPU that it was to run on: the words of its log's second line.
pub(super) fn judge_cpu(seen: Option<&str>, expected: &str) -> Option<Finding> {
    let seen = seen.unwrap_or("none");
    (seen != expected).then(|| Finding::text(What::CPU, expected, seen))
}

#[cfg(test)]
mod tests;
