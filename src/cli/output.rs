//! Standard output, standard error, files.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use ntgate_gen::build::{write_all_if_changed, write_if_changed};

use super::Failure;

/// Writes to standard output. Whoever reads it may have seen enough and closed it: that is no error.
pub(super) fn write(bytes: &[u8]) -> Result<(), Failure> {
    write_open(bytes).map(|_| ())
}

/// The same, and whether anybody still reads.
pub(super) fn write_open(bytes: &[u8]) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::input(format!("cannot write to standard output: {error}"))),
    }
}

/// Writes to standard error. If even that fails there is nobody to tell.
pub(super) fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a file, whole or not at all, unless it has these bytes already; `-` is standard output.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if is_standard(path) {
        return write(bytes);
    }
    write_if_changed(path, bytes)
        .map(|_| ())
        .map_err(|error| Failure::input(format!("cannot write {}: {error}", shown(path))))
}

/// Writes files that belong together: all of them or, as far as that can be seen before, none. What goes to standard
/// output comes last.
pub(super) fn write_files(files: &[(&Path, &[u8])]) -> Result<(), Failure> {
    let (standard, files): (Vec<_>, Vec<_>) = files.iter().copied().partition(|(path, _)| is_standard(path));
    write_all_if_changed(&files)
        .map_err(|(path, error)| Failure::input(format!("cannot write {}: {error}", shown(&path))))?;
    standard.into_iter().try_for_each(|(_, bytes)| write(bytes))
}

/// A path for a message: one line, and nothing in it that a terminal would act on.
pub(super) fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let control = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(control).collect()
}

/// Whether a path is the `-` that means standard input or output.
pub(super) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Standard output holds one thing: a page or a drawing is alone there.
pub(super) fn two_on_standard() -> Failure {
    Failure::input("two outputs are to go to standard output; name a file for one of them")
}

/// Whether standard output takes colours.
pub(super) fn stdout_has_color() -> bool {
    io::stdout().is_terminal() && wants_color()
}

/// Whether standard error takes colours.
pub(super) fn stderr_has_color() -> bool {
    io::stderr().is_terminal() && wants_color()
}

/// <https://no-color.org>, and terminals that have none.
fn wants_color() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}
