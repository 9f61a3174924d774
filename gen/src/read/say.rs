//! Diagnostics about places in a text.

use crate::diag::{Code, Diagnostic, Diagnostics, Label};
use crate::syntax::text::Spot;

/// Bytes of a line from one place with a known column to the next.
const STEP: usize = 4096;

/// Collects what is wrong with a file.
pub(super) struct Say {
    pub(super) diags: Diagnostics,
    /// The last long line that was pointed at, and the characters before each [`STEP`] bytes of it. A file may be one
    /// line of megabytes: its columns are not counted from the start for each place.
    steps: (usize, Vec<usize>),
}

impl Say {
    pub(super) fn new(name: &str) -> Self {
        Self { diags: Diagnostics::new(name), steps: (0, Vec::new()) }
    }

    /// Reports something that is wrong in one place.
    pub(super) fn say(&mut self, code: Code, message: impl Into<String>, spot: Spot<'_>, help: impl Into<String>) {
        if self.diags.counts_only(code.severity()) {
            return;
        }
        let label = self.label(spot, "");
        self.diags.push(Diagnostic::new(code, message, label).help(help));
    }

    /// The same where another place has to do with it.
    pub(super) fn say_two(
        &mut self,
        code: Code,
        message: impl Into<String>,
        (spot, text): (Spot<'_>, &str),
        (other, other_text): (Spot<'_>, &str),
        help: impl Into<String>,
    ) {
        if self.diags.counts_only(code.severity()) {
            return;
        }
        let label = self.label(spot, text);
        let related = self.label(other, other_text);
        self.diags.push(Diagnostic::new(code, message, label).related(related).help(help));
    }

    pub(super) fn label(&mut self, spot: Spot<'_>, text: &str) -> Label {
        let column = self.column(spot);
        Label::at(spot.line.number, spot.line.text.as_bytes(), spot.start..spot.end, column, text)
    }

    fn column(&mut self, spot: Spot<'_>) -> usize {
        let (bytes, step) = (spot.line.text.as_bytes(), spot.start / STEP);
        if step == 0 {
            return 1 + characters(&bytes[..spot.start]);
        }
        if self.steps.0 != spot.line.number {
            let mut total = 0;
            let counted = bytes.chunks(STEP).map(|chunk| {
                let before = total;
                total += characters(chunk);
                before
            });
            self.steps = (spot.line.number, counted.collect());
        }
        let before = self.steps.1.get(step).copied().unwrap_or_default();
        1 + before + characters(&bytes[step * STEP..spot.start])
    }
}

/// In UTF-8 every character has one byte that is not 10xxxxxxb.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}
