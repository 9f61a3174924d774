//! What is wrong with a command, and where.

/// Why a command cannot be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Error {
    /// The byte of the line that it is about; `None` if it is about none.
    pub(super) at: Option<usize>,
    pub(super) message: String,
    /// What may help.
    pub(super) hint: Option<String>,
}

impl Error {
    /// Something is wrong at this byte of the line.
    pub(super) fn at(at: usize, message: impl Into<String>) -> Self {
        Self { at: Some(at), message: message.into(), hint: None }
    }

    /// The line is right, but what it asks for cannot be done.
    pub(super) fn of_target(message: impl Into<String>) -> Self {
        Self { at: None, message: message.into(), hint: None }
    }

    /// The same with what may help.
    pub(super) fn hint(self, hint: impl Into<Option<String>>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// Memory that is not there.
    pub(super) fn memory(address: &str, command: &str) -> Self {
        Self::of_target(format!("Memory access error at {address} in '{command}'"))
    }
}
