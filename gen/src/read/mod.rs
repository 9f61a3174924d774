//! Services from whatever they are written down in: lists, headers, .spec files, published tables.
//!
//! [`read`] finds out what a file is and gives its [`Services`]: names, and numbers and argument counts as far as the
//! file has them. What has them all is a [`ServiceList`] too, from which everything can be made.
//!
//! ```
//! use ntgate_gen::read::{InputFormat, Options, read};
//!
//! let header = b"#ifndef NT6_ONLY\n    SVC_(AcceptConnectPort, 6)\n#endif\n    SVC_(Close, 1) // 1\n";
//! let reading = read("sysfuncs.h", header, &Options::default()).expect("the header is right");
//! assert_eq!(reading.format(), InputFormat::Svc);
//! let close = reading.services().by_name("NtClose").expect("it is there");
//! assert_eq!(close.number(), Some(1));
//! ```

mod collect;
mod columns;
mod csv;
mod detect;
mod entries;
mod expand;
mod format;
mod json;
mod list;
mod lock;
mod macros;
mod say;
mod services;
mod spec;
mod svc_header;
mod systems;

use crate::diag::{Code, Diagnostics};
use crate::model::{Arch, ServiceList, limits};
use crate::syntax::not_text;
use crate::syntax::text::{Spot, TextLine, decode, spot_at};

pub(crate) use detect::LOCK_MARK;
pub use format::InputFormat;
pub(crate) use lock::{LOCK_VERSION, lock_version};
pub use services::{Entry, Services};

use collect::Collector;

/// How to read a file.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// What the file is; `None` is what its content looks like.
    pub format: Option<InputFormat>,
    /// Macros for C headers, each a name and a value; a later one of a name replaces an earlier one. `_WIN32_WINNT` is
    /// the version that `-version=` in .spec files is compared with, too.
    pub defines: Vec<(String, String)>,
    /// The architecture that conditions and `-arch=` are about, and whose argument bytes are told; `None` is i386.
    pub arch: Option<Arch>,
    /// The system whose numbers are taken of a file that has those of many, as `Windows Server 2003/SP2`.
    pub system: Option<String>,
    /// The number of the table's first row, for a file that has no number of 1000h or more: 1000h for win32k.
    pub base: Option<u32>,
}

impl Options {
    /// The bases that a table can have: 0, 1000h, 2000h, 3000h.
    #[must_use]
    pub fn is_base(number: u32) -> bool {
        let step = limits::SERVICES_PER_TABLE;
        number.is_multiple_of(step) && number / step < limits::TABLES as u32
    }

    fn arch(&self) -> Arch {
        self.arch.unwrap_or(Arch::I386)
    }
}

/// What a file says.
#[derive(Clone, Debug)]
pub struct Reading {
    format: InputFormat,
    services: Services,
    warnings: Diagnostics,
    /// A list as it was read, with its comments and signatures.
    list: Option<ServiceList>,
}

impl Reading {
    /// What the file is.
    #[must_use]
    pub fn format(&self) -> InputFormat {
        self.format
    }

    /// Its services.
    #[must_use]
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// What it perhaps does not mean.
    #[must_use]
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// Takes argument counts from elsewhere for the services that have none.
    pub fn fill_counts(&mut self, from: &Services) {
        if self.services.fill_counts(from) {
            self.list = None;
        }
    }

    /// The services as a list, from which stubs and tables can be made.
    ///
    /// # Errors
    ///
    /// If a service has no number or no argument count.
    pub fn to_list(&self) -> Result<ServiceList, Diagnostics> {
        self.list.clone().map_or_else(|| self.services.to_list(), Ok)
    }

    /// The same for an output of one architecture: its counts have to be known, not only those of another.
    ///
    /// # Errors
    ///
    /// As of [`to_list`](Self::to_list), and if a service's count on this architecture is not known.
    pub fn to_list_for(&self, arch: Arch) -> Result<ServiceList, Diagnostics> {
        match self.services.half_known(arch) {
            Some(entry) => Err(self.services.no_count(entry, arch)),
            None => self.to_list(),
        }
    }

    /// The architecture that the file is about: the one whose counts it has, i386 if it has both or none.
    #[must_use]
    pub fn arch(&self) -> Arch {
        let is_half = |arch| self.services.half_known(arch).is_some();
        if is_half(Arch::I386) && !is_half(Arch::Amd64) { Arch::Amd64 } else { Arch::I386 }
    }

    /// The same for an output that has no argument counts: services whose counts are not known get 0.
    ///
    /// # Errors
    ///
    /// If a service has no number.
    pub fn to_list_of_numbers(&self) -> Result<ServiceList, Diagnostics> {
        self.list.clone().map_or_else(|| self.services.to_list_with(Some(0)), Ok)
    }
}

/// Reads a file. `name` is what messages call it.
///
/// # Errors
///
/// All errors and warnings of the file, if there is at least one error.
pub fn read(name: &str, bytes: &[u8], options: &Options) -> Result<Reading, Diagnostics> {
    let decoded = decode(bytes);
    let without_nul = decoded.text.contains('\0').then(|| decoded.text.replace('\0', " "));
    let text = &*decoded.text;
    let format = options.format.unwrap_or_else(|| detect::detect(text, decoded.is_utf16));
    if format == InputFormat::List && !decoded.is_utf16 {
        return list::read(name, bytes, options);
    }
    let mut collector = Collector::new(name, format);
    if let Some(why) = not_text(text.as_bytes()) {
        let first = text.split('\n').next().unwrap_or_default();
        let first: String = first.chars().take(64).collect();
        let spot = Spot::new(TextLine { number: 1, text: &first }, 0..0);
        let help = format!("{}; is it the right file?", format.example());
        collector.say.say(Code::NotText, format!("{why}, not {}", format.what()), spot, help);
        return collector.finish(options);
    }
    if let Some(at) = decoded.invalid {
        let encoding = if decoded.is_utf16 { "UTF-16" } else { "UTF-8" };
        let message = format!("the line is not {encoding}");
        let help = format!("save the file as {encoding}; other lines that are not {encoding} are not reported");
        collector.say.say(Code::InvalidUtf8, message, spot_at(text, at), help);
    }
    if let Some(at) = text.find('\0') {
        let help = "take it out; other lines with NUL are not reported";
        collector.say.say(Code::Nul, "the line has a NUL character", spot_at(text, at), help);
    }
    // One report of them is enough.
    let text = without_nul.as_deref().unwrap_or(text);
    match format {
        InputFormat::List => return list::read(name, text.as_bytes(), options),
        InputFormat::Svc => svc_header::read(text, options, &mut collector),
        InputFormat::Spec => spec::read(text, options, &mut collector),
        InputFormat::SyscallEntry => entries::read(text, options, &mut collector),
        InputFormat::NtZwCount | InputFormat::NtZwBytes => columns::read_three(text, format, options, &mut collector),
        InputFormat::Tsv => columns::read_tsv(text, &mut collector),
        InputFormat::Csv => csv::read(text, options, &mut collector),
        InputFormat::Json => json::read(text, options, &mut collector),
        InputFormat::Lock => lock::read(text, &mut collector),
    }
    collector.finish(options)
}
