//! Pages for people: one file each that needs nothing else, light and dark, on a screen and in print.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The colours of pages and drawings.
pub(crate) const COLOURS: &str = include_str!("colours.css");

/// What every page looks like.
const STYLE: &str = include_str!("page.css");

/// A page, whole.
pub(crate) struct Page<'a> {
    pub(crate) title: &'a str,
    /// What this page has beyond the common style.
    pub(crate) style: &'a str,
    pub(crate) body: Markup,
    /// Ours, and small.
    pub(crate) script: Option<&'a str>,
}

impl Page<'_> {
    /// The file.
    pub(crate) fn to_html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    // Nothing is fetched, not even the little picture that browsers ask for.
                    link rel="icon" href="data:,";
                    title { (self.title) }
                    style { (PreEscaped(COLOURS)) (PreEscaped(STYLE)) (PreEscaped(self.style)) }
                }
                body {
                    (self.body)
                    @if let Some(script) = self.script { script { (PreEscaped(script)) } }
                }
            }
        };
        let mut text = page.into_string();
        text.push('\n');
        text
    }
}
