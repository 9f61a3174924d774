//! The macros that conditions of C headers are about.

use std::collections::{BTreeSet, HashMap};

use super::Options;
use super::expand::{Macro, WORDS, expand};
use crate::model::Arch;
use crate::syntax::condition::{BadCondition, Names, Value, evaluate};

/// The versions that `NTDDI_VERSION` is compared with (Windows SDK, `sdkddkver.h`; ReactOS `sdk/include/psdk/sdkddkver.h`).
const VERSIONS: [(&str, i64); 21] = [
    ("NTDDI_WIN2K", 0x0500_0000),
    ("NTDDI_WINXP", 0x0501_0000),
    ("NTDDI_WINXPSP1", 0x0501_0100),
    ("NTDDI_WINXPSP2", 0x0501_0200),
    ("NTDDI_WINXPSP3", 0x0501_0300),
    ("NTDDI_WS03", 0x0502_0000),
    ("NTDDI_WS03SP1", 0x0502_0100),
    ("NTDDI_WS03SP2", 0x0502_0200),
    ("NTDDI_LONGHORN", 0x0600_0000),
    ("NTDDI_VISTA", 0x0600_0000),
    ("NTDDI_VISTASP1", 0x0600_0100),
    ("NTDDI_VISTASP2", 0x0600_0200),
    ("NTDDI_SERVER08", 0x0600_0100),
    ("NTDDI_WS08", 0x0600_0100),
    ("NTDDI_WIN7", 0x0601_0000),
    ("NTDDI_WIN8", 0x0602_0000),
    ("NTDDI_WINBLUE", 0x0603_0000),
    ("NTDDI_WIN10", 0x0a00_0000),
    ("NTDDI_WINTHRESHOLD", 0x0a00_0000),
    ("_WIN32_WINNT_WS03", 0x0502),
    ("_WIN32_WINNT_VISTA", 0x0600),
];

/// Macros that are there or not, without anybody having forgotten them.
const FLAGS: [&str; 4] = ["_WIN64", "DBG", "_DEBUG", "__REACTOS__"];

/// What a compiler for the architecture defines.
fn of_arch(arch: Arch) -> &'static [&'static str] {
    match arch {
        Arch::I386 => &["_WIN32", "_M_IX86", "_X86_", "__i386__"],
        Arch::Amd64 => &["_WIN32", "_WIN64", "_M_AMD64", "_M_X64", "_AMD64_", "__x86_64__"],
        Arch::Arm64 => &["_WIN32", "_WIN64", "_M_ARM64", "_ARM64_", "__aarch64__"],
    }
}

/// All macros, and what has been asked for in vain.
pub(super) struct Defined {
    macros: HashMap<String, Macro>,
    /// How many words of conditions may still be read.
    words: usize,
    /// Macros that a condition compares but that nobody has defined.
    missing: BTreeSet<String>,
    /// Those of them that have not been told.
    untold: Vec<String>,
}

/// Why a condition has no value, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadMacros {
    pub(super) bad: BadCondition,
    /// The words of the condition with its macros replaced, if it has some.
    pub(super) expanded: Option<String>,
}

impl Defined {
    pub(super) fn new(options: &Options) -> Self {
        let mut macros = HashMap::new();
        let mut add = |name: &str, text: String| macros.insert(name.to_owned(), Macro::Text(text));
        for (name, value) in VERSIONS {
            add(name, value.to_string());
        }
        for name in of_arch(options.arch()) {
            add(name, "1".to_owned());
        }
        for (name, value) in &options.defines {
            add(name, value.clone());
        }
        let mut defined = Self { macros, words: WORDS, missing: BTreeSet::new(), untold: Vec::new() };
        defined.complete_version();
        defined
    }

    /// The version is known by two names, one of which says more.
    fn complete_version(&mut self) {
        let (short, long) = ("_WIN32_WINNT", "NTDDI_VERSION");
        let known = |defined: &mut Self, name| defined.is_defined(name).then(|| defined.value(name));
        // One that is no number is told where it is used.
        match (known(self, short), known(self, long)) {
            (Some(Ok(value)), None) => self.define(long, &(value.bits << 16).to_string()),
            (None, Some(Ok(value))) => self.define(short, &(value.bits >> 16).to_string()),
            _ => {}
        }
    }

    pub(super) fn define(&mut self, name: &str, text: &str) {
        self.macros.insert(name.to_owned(), Macro::Text(text.to_owned()));
    }

    pub(super) fn define_with_parameters(&mut self, name: &str) {
        self.macros.insert(name.to_owned(), Macro::WithParameters);
    }

    pub(super) fn undefine(&mut self, name: &str) {
        self.macros.remove(name);
    }

    /// Macros that conditions have asked for in vain, each once.
    pub(super) fn take_missing(&mut self) -> Vec<String> {
        std::mem::take(&mut self.untold)
    }

    pub(super) fn holds(&mut self, condition: &str) -> Result<bool, BadMacros> {
        self.value(condition).map(Value::is_true)
    }

    /// What a condition is worth, or a macro, which is one too.
    pub(super) fn value(&mut self, condition: &str) -> Result<Value, BadMacros> {
        let plain = |bad| BadMacros { bad, expanded: None };
        let expanded = expand(condition, &self.macros, &mut self.words).map_err(plain)?;
        evaluate(&expanded.text, self).map_err(|bad| {
            let at = expanded.origin(bad.at);
            let words = || expanded.text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            BadMacros { bad: BadCondition { at, ..bad }, expanded: expanded.has_macros().then(words) }
        })
    }
}

impl Names for Defined {
    fn is_defined(&self, name: &str) -> bool {
        self.macros.contains_key(name)
    }

    /// One that is a macro stands in its own replacement, or lacks its parameters.
    fn take_zero(&mut self, name: &str) {
        let is_arch = Arch::ALL.iter().any(|&arch| of_arch(arch).contains(&name));
        let is_known = is_arch || FLAGS.contains(&name) || self.is_defined(name);
        if !is_known && self.missing.insert(name.to_owned()) {
            self.untold.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defined(defines: &[(&str, &str)]) -> Defined {
        let defines = defines.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Defined::new(&Options { defines, ..Options::default() })
    }

    #[test]
    fn one_version_gives_the_other() {
        let mut short = defined(&[("_WIN32_WINNT", "0x0601")]);
        assert_eq!(short.holds("NTDDI_VERSION == NTDDI_WIN7"), Ok(true));
        let mut long = defined(&[("NTDDI_VERSION", "NTDDI_WS03SP2")]);
        assert_eq!(long.holds("_WIN32_WINNT == 0x0502 && NTDDI_VERSION < NTDDI_VISTA"), Ok(true));
    }

    #[test]
    fn macros_that_are_each_other_are_0() {
        let mut circle = defined(&[("A", "B"), ("B", "A + A")]);
        assert_eq!(circle.holds("A"), Ok(false));
    }

    #[test]
    fn a_macro_is_its_text() {
        let mut texts = defined(&[("A", "1 + 1"), ("LONG", "(NTDDI_WIN7"), ("NO", "foo bar"), ("EMPTY", "")]);
        assert_eq!(texts.holds("A * 2 == 3"), Ok(true));
        assert_eq!(texts.holds("LONG) == NTDDI_WIN7"), Ok(true));
        assert_eq!(texts.holds("EMPTY + 1"), Ok(true));
        let bad = texts.holds("1 || NO").expect_err("it is no expression");
        assert_eq!((bad.bad.at, bad.expanded.as_deref()), (5, Some("1 || foo bar")));
        let bad = texts.holds("EMPTY").expect_err("nothing is no expression");
        assert_eq!((bad.bad.why, bad.bad.at), ("is empty", 0));
        assert_eq!(texts.holds("1 +").expect_err("it is cut").expanded, None);
    }

    #[test]
    fn chains_are_followed_to_their_ends() {
        let mut chain = defined(&[("A0", "1")]);
        for level in 1..=1000 {
            chain.define(&format!("A{level}"), &format!("A{}", level - 1));
        }
        assert_eq!(chain.holds("A1000 == 1"), Ok(true));
    }

    #[test]
    fn a_file_cannot_take_all_time() {
        let mut many = defined(&[("A0", "")]);
        for level in 1..=40 {
            many.define(&format!("A{level}"), &format!("A{0} A{0} A{0} A{0}", level - 1));
        }
        let mut whys: Vec<_> = (0..200).map(|_| many.holds("A40 || 1").expect_err("it is long").bad.why).collect();
        whys.dedup();
        let expected =
            ["is longer than 4096 characters with its macros replaced", "is one of too many with long macros"];
        assert_eq!(whys, expected);
        assert_eq!(many.holds("1 || FOO"), Ok(true), "others still have their values");
    }

    #[test]
    fn a_version_that_is_no_number_does_not_give_the_other() {
        let mut odd = defined(&[("_WIN32_WINNT", "seven eight")]);
        assert_eq!(odd.holds("defined(NTDDI_VERSION)"), Ok(false));
        assert!(odd.holds("_WIN32_WINNT").is_err());
    }

    #[test]
    fn what_is_missing_is_remembered() {
        let mut none = defined(&[]);
        assert_eq!(none.holds("NTDDI_VERSION >= NTDDI_WIN7 || _WIN64 || DBG || defined(FOO)"), Ok(false));
        assert_eq!(none.take_missing(), ["NTDDI_VERSION"]);
        assert_eq!(none.holds("NTDDI_VERSION"), Ok(false));
        assert!(none.take_missing().is_empty(), "each is told once");
        let options = Options { arch: Some(Arch::Amd64), ..Options::default() };
        assert_eq!(Defined::new(&options).holds("_WIN64 && !defined _M_IX86"), Ok(true));
    }
}
