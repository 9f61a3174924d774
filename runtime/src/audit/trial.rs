//! All calls of one export: once for each environment that makes a difference, and again with other values in what nobody
//! has set.

use super::environment::Question;
use super::guest::Guest;
use super::image::Image;
use super::run::{Call, Run, Stop, call};

/// More environments are not tried: there are not so many questions.
const MOST_RUNS: usize = 16;

/// The pages that a call may need, at least: its stack, its image's, those of fields, tables.
const ROOM: u64 = 256;

/// What was seen of an export.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    /// The first is that of the answers that are 0.
    pub(super) runs: Vec<Run>,
    /// Other values in registers and on the stack led to other calls of the kernel.
    pub(super) is_arbitrary: bool,
}

/// Calls an export in every environment that it asks about.
pub(super) fn try_out(guest: &mut Guest, image: &Image<'_>, rva: u32, is_kernel: bool, budget: u32) -> Trial {
    let first = Call { rva, is_kernel, seed: 0, answers: &[], budget };
    let mut runs: Vec<Run> = Vec::new();
    let mut open: Vec<Vec<(Question, u8)>> = vec![Vec::new()];
    while let Some(answers) = open.pop()
        && runs.len() < MOST_RUNS
    {
        let run = fresh(guest, image, Call { answers: &answers, ..first });
        // What was asked beyond what had been decided can be answered otherwise too.
        for decided in answers.len()..run.asked.len() {
            let (question, given) = run.asked[decided];
            for answer in (given + 1..Question::ANSWERS).rev() {
                let mut other = run.asked[..decided].to_vec();
                other.push((question, answer));
                open.push(other);
            }
        }
        runs.push(run);
    }
    let has_crossing = |run: &&Run| !run.crossings.is_empty();
    let is_arbitrary = runs.iter().filter(has_crossing).any(|run| {
        let again = fresh(guest, image, Call { seed: 1, answers: &run.asked, ..first });
        (&again.crossings, again.popped) != (&run.crossings, run.popped)
    });
    Trial { runs, is_arbitrary }
}

/// Calls it with enough room for its pages.
fn fresh(guest: &mut Guest, image: &Image<'_>, wanted: Call<'_>) -> Run {
    if guest.room() < ROOM {
        guest.clear();
    }
    let run = call(guest, image, wanted);
    if run.stop == Stop::Memory {
        guest.clear();
    }
    run
}
