//! The stable codes of everything that can be wrong with a list.

use std::fmt;

/// How bad a [`Diagnostic`](super::Diagnostic) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The list cannot be used.
    Error,
    /// The list can be used, but perhaps it does not say what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// What is wrong, as a stable code: match on this, not on the words of a message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All codes, in the order of their texts.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as shown, for example `E002`. Codes never change their meaning.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

codes! {
    /// A service has no argument count.
    MissingCount = "E001",
    /// Two services have one name.
    DuplicateName = "E002",
    /// An argument count is not a number.
    BadCount = "E003",
    /// An argument count is written in hexadecimal.
    HexCount = "E004",
    /// An argument count is over its limit.
    TooManyArguments = "E005",
    /// A service name is not an identifier.
    BadName = "E006",
    /// A service name does not start with `Nt`.
    NoNtPrefix = "E007",
    /// What follows `@` is not a number.
    BadNumber = "E008",
    /// `@` gives a number that is taken.
    DuplicateNumber = "E009",
    /// `@` gives a number below one that was there before.
    BackwardNumber = "E010",
    /// `@` gives a number that is not the table's.
    NumberOutsideTable = "E011",
    /// A table has more services than an index can count.
    TooManyServices = "E012",
    /// A signature and the count disagree.
    SignatureMismatch = "E013",
    /// A signature cannot be read.
    BadSignature = "E014",
    /// `#!` is followed by something that is no directive.
    UnknownDirective = "E015",
    /// `#! table` is incomplete or wrong.
    BadTable = "E016",
    /// Two tables have one name or one range of numbers.
    TableOverlap = "E017",
    /// There are more tables than a number can choose from.
    TooManyTables = "E018",
    /// A line is not UTF-8.
    InvalidUtf8 = "E019",
    /// A line has a NUL character.
    Nul = "E020",
    /// The file is no text at all.
    NotText = "E021",
    /// The list has no services.
    NoServices = "E022",
    /// Something follows that does not belong there.
    UnexpectedText = "E023",
    /// There are fewer dwords than parameters.
    FewerDwords = "E024",
    /// A table has no services.
    EmptyTable = "E025",
    /// A line is not an entry of its format, or an entry lacks a part.
    BadEntry = "E026",
    /// A line that begins with `#` in a C header cannot be read.
    BadDirective = "E027",
    /// An `#if` or a comment of a C header has no end.
    Unclosed = "E028",
    /// A flag in a .spec file is unknown or has a value that it cannot have.
    BadFlag = "E029",
    /// An argument in a .spec file is of no known type.
    BadArgument = "E030",
    /// The Nt and the Zw name of a row are not twins.
    TwinMismatch = "E031",
    /// A number of bytes is not a whole number of arguments.
    BadBytes = "E032",
    /// A file is not JSON.
    BadJson = "E033",
    /// A JSON value is not what its place in the file calls for.
    BadShape = "E034",
    /// A row of a CSV file or a table of columns does not fit.
    BadRow = "E035",
    /// A file has the numbers of many systems, and none was chosen.
    SystemNeeded = "E036",
    /// A file does not have the system that was chosen.
    UnknownSystem = "E037",
    /// What is to be made needs numbers, and the file has none.
    NoNumbers = "E038",
    /// What is to be made needs argument counts, and the file does not have them all.
    NoCounts = "E039",
    /// A lock file is of another version or cannot be read.
    BadLock = "E040",
    /// The system that was chosen may be more than one of a file.
    AmbiguousSystem = "E041",
    /// A count starts with 0, which C and the old tools take for octal.
    OctalCount = "W001",
    /// There are more arguments than a 64-bit service can have.
    TooManyForAmd64 = "W002",
    /// A condition of a C header tests a macro that nobody has defined.
    UndefinedMacro = "W003",
    /// A name does not start with `Nt`: it has a number, but is no service of a list.
    NotService = "W004",
    /// A column could hold argument counts or bytes.
    CountsOrBytes = "W005",
    /// A C header includes another, which is not read.
    Include = "W006",
    /// The argument count of a service is not told.
    UnknownCount = "W007",
    /// The number in the comment beside a service is not the service's.
    CommentNumber = "W008",
    /// A .spec file tests the system's version, and none was given.
    AssumedVersion = "W009",
}

impl Code {
    /// How bad it is: the code's first letter says the same.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::OctalCount
            | Self::TooManyForAmd64
            | Self::UndefinedMacro
            | Self::NotService
            | Self::CountsOrBytes
            | Self::Include
            | Self::UnknownCount
            | Self::CommentNumber
            | Self::AssumedVersion => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_their_letter_is_the_severity() {
        let mut texts: Vec<_> = Code::ALL.iter().map(|code| code.text()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            let letter = match code.severity() {
                Severity::Error => 'E',
                Severity::Warning => 'W',
            };
            assert!(code.text().starts_with(letter), "{code}");
        }
    }
}
