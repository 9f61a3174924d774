//! Diagnostics as text for people.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::{Diagnostic, Diagnostics, Label, Severity};

/// How many diagnostics are shown in full. Who has more than this mends the first ones and runs again; a file that is
/// no list at all must not fill the screen.
const SHOWN: usize = 50;

impl Diagnostics {
    /// All diagnostics for a terminal or a log: for each the [`headline`](Self::headline), then the line, a caret and
    /// what to do. At most 50 are shown, errors rather than warnings; of the others the number is told.
    ///
    /// Control characters of the list do not get into the text; with `color` it has ANSI escapes of its own.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        let shown = self.shown();
        for item in &shown {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&self.headline(item));
            text.push('\n');
            text.push_str(&renderer.render(&[self.group(item)]));
            text.push('\n');
        }
        let more = self.len() - shown.len();
        if more > 0 {
            text.push_str(&format!("\n{}: ... and {more} more\n", self.file()));
        }
        text
    }

    /// Errors go before warnings if there is no room for all of them.
    fn shown(&self) -> Vec<&Diagnostic> {
        let mut errors = SHOWN;
        let mut warnings = SHOWN.saturating_sub(self.error_count());
        let shows = |item: &&Diagnostic| {
            let room = match item.severity() {
                Severity::Error => &mut errors,
                Severity::Warning => &mut warnings,
            };
            let fits = *room > 0;
            *room = room.saturating_sub(1);
            fits
        };
        self.iter().filter(shows).collect()
    }

    fn group<'a>(&'a self, item: &'a Diagnostic) -> Group<'a> {
        let level = match item.severity() {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        // No path: the headline has told file, line and column, and told them in the form that editors parse.
        let mut group = Group::with_level(level).element(snippet(&item.primary, AnnotationKind::Primary));
        for label in &item.related {
            // The library counts columns of what it is given, which may be a part of a long line.
            let path = label.is_whole().then(|| self.file());
            group = group.element(snippet(label, AnnotationKind::Context).path(path));
        }
        if let Some(help) = &item.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        group
    }
}

fn snippet(label: &Label, kind: AnnotationKind) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
    let text = Some(label.text.as_str()).filter(|text| !text.is_empty());
    Snippet::source(label.excerpt.as_str()).line_start(label.line).annotation(kind.span(label.mark.clone()).label(text))
}
