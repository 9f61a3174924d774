//! Text line by line.

/// Text line by line.
pub(super) struct Lines(String);

impl Lines {
    pub(super) fn new(head: &str) -> Self {
        Self(head.to_owned())
    }

    pub(super) fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    pub(super) fn blank(&mut self) {
        self.line("");
    }

    /// Whole lines.
    pub(super) fn text(&mut self, text: &str) {
        self.0.push_str(text);
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}
