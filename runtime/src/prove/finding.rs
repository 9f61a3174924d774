//! What can be wrong with a call: each fact that is checked has a name.

use std::fmt;

/// A fact of a call, or of the set that the call belongs to. Each architecture has a table of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct What {
    condition: u8,
    name: &'static str,
    text: &'static str,
    lasting: bool,
    argument: Option<u8>,
}

impl What {
    /// What the guest found out about its CPU.
    pub(super) const CPU: Self = Self::new(0, "cpu", "CPU as the guest sees it");
    /// Whether the guest ran the set at all.
    pub(super) const SET_RUNS: Self = Self::new(0, "set-runs", "set in the log");
    /// Which call was recorded: none if the machine stopped in it, another if it went astray.
    pub(super) const RECORD: Self = Self::new(0, "record", "call that was recorded").lasting();
    /// Which service's routine ran. Its values are indices of services.
    pub(super) const HANDLER: Self = Self::new(1, "handler", "service that ran");

    pub(super) const fn new(condition: u8, name: &'static str, text: &'static str) -> Self {
        Self { condition, name, text, lasting: false, argument: None }
    }

    /// One that leaves the kernel other than it was.
    pub(super) const fn lasting(self) -> Self {
        Self { lasting: true, ..self }
    }

    /// One argument as the service routine saw it, counted from 0.
    pub(super) const fn argument(index: u8) -> Self {
        Self { argument: Some(index), ..Self::new(2, "argument", "argument") }
    }

    /// The name that programs may match on.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The condition of a proof that it belongs to:
    ///
    /// 1. number and routine, 2. arguments, 3. stack pointer, 4. return value and preserved registers, 5. way in and
    ///    way out, 6. modes, kernel stack and frame chain.
    ///
    /// 0 is what has to hold before a call can be judged at all.
    #[must_use]
    pub const fn condition(self) -> u8 {
        self.condition
    }

    /// Whether the kernel is not what it was before the call: what comes after it in the same boot proves nothing.
    #[must_use]
    pub const fn is_lasting(self) -> bool {
        self.lasting
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.argument {
            Some(index) => write!(f, "argument {}", u32::from(index) + 1),
            None => f.write_str(self.text),
        }
    }
}

/// One fact that is not as it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which fact.
    pub what: What,
    /// What it has to be.
    pub expected: Value,
    /// What it is.
    pub seen: Value,
}

impl Finding {
    pub(super) fn number(what: What, digits: usize, expected: u64, seen: u64) -> Self {
        let value = |value| Value::Number { value, digits };
        Self { what, expected: value(expected), seen: value(seen) }
    }

    pub(super) fn text(what: What, expected: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { what, expected: Value::Text(expected.into()), seen: Value::Text(seen.into()) }
    }
}

/// The value of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// As the guest logged it.
    Number {
        /// The number.
        value: u64,
        /// Hexadecimal digits that the log has it in.
        digits: usize,
    },
    /// Anything else.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { value, digits } => write!(f, "{value:0digits$x}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}
