//! The macros that conditions of C headers are about.

use std::collections::{BTreeSet, HashMap};

use super::Options;
use crate::model::Arch;
use crate::syntax::condition::{BadCondition, Macros, Value, evaluate};

/// How often the value of a macro may be another macro. Each level takes stack.
const DEPTH: usize = 64;

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
    values: HashMap<String, String>,
    /// What they are worth, as far as it has been asked for: each is worked out once, however often others use it.
    known: HashMap<String, Value>,
    /// Macros that a condition compares but that nobody has defined.
    missing: BTreeSet<String>,
    /// Those of them that have not been told.
    untold: Vec<String>,
    depth: usize,
}

impl Defined {
    pub(super) fn new(options: &Options) -> Self {
        let mut values: HashMap<String, String> = HashMap::new();
        values.extend(VERSIONS.iter().map(|&(name, value)| (name.to_owned(), value.to_string())));
        values.extend(of_arch(options.arch()).iter().map(|&name| (name.to_owned(), "1".to_owned())));
        values.extend(options.defines.iter().cloned());
        let mut defined =
            Self { values, known: HashMap::new(), missing: BTreeSet::new(), untold: Vec::new(), depth: 0 };
        defined.complete_version();
        defined
    }

    /// The version is known by two names, one of which says more.
    fn complete_version(&mut self) {
        let (short, long) = ("_WIN32_WINNT", "NTDDI_VERSION");
        let given = |defined: &Self, name| defined.values.contains_key(name);
        if given(self, short) && !given(self, long) {
            let value = self.value(short).bits << 16;
            self.define(long, &value.to_string());
        } else if given(self, long) && !given(self, short) {
            let value = self.value(long).bits >> 16;
            self.define(short, &value.to_string());
        }
    }

    pub(super) fn define(&mut self, name: &str, value: &str) {
        self.known.clear();
        self.values.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn undefine(&mut self, name: &str) {
        self.known.clear();
        self.values.remove(name);
    }

    /// Macros that conditions have asked for in vain, each once.
    pub(super) fn take_missing(&mut self) -> Vec<String> {
        std::mem::take(&mut self.untold)
    }

    pub(super) fn holds(&mut self, condition: &str) -> Result<bool, BadCondition> {
        evaluate(condition, self).map(Value::is_true)
    }
}

impl Macros for Defined {
    fn is_defined(&mut self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// C takes a name that is no macro for 0; so is one whose value is no number here.
    fn value(&mut self, name: &str) -> Value {
        let Some(value) = self.values.get(name).cloned() else {
            let is_arch = Arch::ALL.iter().any(|&arch| of_arch(arch).contains(&name));
            if !is_arch && !FLAGS.contains(&name) && self.missing.insert(name.to_owned()) {
                self.untold.push(name.to_owned());
            }
            return Value::default();
        };
        if let Some(&number) = self.known.get(name) {
            return number;
        }
        if self.depth == DEPTH {
            return Value::default();
        }
        // Within its own value a macro is only a name.
        self.known.insert(name.to_owned(), Value::default());
        self.depth += 1;
        let number = evaluate(&value, self).unwrap_or_default();
        self.depth -= 1;
        self.known.insert(name.to_owned(), number);
        number
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
    fn macros_that_use_each_other_often_take_no_time() {
        // Each is worked out once: else there were 4 to the 40th of them.
        let mut many = defined(&[("A0", "1")]);
        for level in 1..=40 {
            let below = level - 1;
            many.define(&format!("A{level}"), &format!("(A{below}+A{below}+A{below}-A{below}-A{below})"));
        }
        assert_eq!(many.holds("A40 == 1"), Ok(true));
        let mut circles = defined(&[("A", "(B+B+B+B)"), ("B", "(A+A+A+A)")]);
        assert_eq!(circles.holds("A || B"), Ok(false));
        circles.define("B", "2");
        assert_eq!(circles.holds("A == 8"), Ok(true));
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
