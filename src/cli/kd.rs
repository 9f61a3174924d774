//! `ntgate kd`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, BufRead, IsTerminal};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use ntgate_runtime::debug::{Kd, Outcome};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::guest::GuestArgs;
use super::{Failure, output};

const AFTER_HELP: &str = "\
`.help` in a session lists the commands, docs/kd.md describes them. With -c, or when standard input is no terminal, the
commands are a script: each is shown behind the prompt, and one that cannot be understood does not keep the others from
being done.

Exit status:
  0  done
  2  a command of a script could not be understood, or bad usage";

/// Debug a booted guest with WinDbg's commands: u, dd, dt, r, !idt, k, bp, g, t, and backwards too
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(flatten)]
    guest: GuestArgs,
    /// Do these commands, separated by `;`, and end
    #[arg(short, long, value_name = "COMMANDS")]
    command: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.command.is_none() && args.guest.takes_standard_input() {
        return Err(Failure::input("standard input is the list; give the commands by -c"));
    }
    let mut kd = Kd::new(args.guest.boot()?);
    match &args.command {
        Some(commands) => script(&mut kd, Kd::commands(commands).map(|command| Ok(command.to_owned()))),
        None if io::stdin().is_terminal() => session(kd),
        None => script(&mut kd, io::stdin().lock().lines()),
    }
}

/// Does the lines of a script, each behind the prompt.
fn script(kd: &mut Kd, lines: impl Iterator<Item = io::Result<String>>) -> Result<(), Failure> {
    let mut refused = false;
    for line in lines {
        let line = line.map_err(|error| Failure::input(format!("cannot read standard input: {error}")))?;
        for command in Kd::commands(&line) {
            let mut text = format!("{}{command}\n", Kd::PROMPT);
            let outcome = kd.execute(command, &mut text);
            if !output::write_open(text.as_bytes())? || outcome == Outcome::Quit {
                return end(refused);
            }
            refused |= outcome == Outcome::Refused;
        }
    }
    end(refused)
}

fn end(refused: bool) -> Result<(), Failure> {
    if refused { Err(Failure::silent(Failure::INPUT)) } else { Ok(()) }
}

/// A session on a terminal.
fn session(mut kd: Kd) -> Result<(), Failure> {
    let interrupt = kd.interrupt();
    let handler = ctrlc::set_handler(move || interrupt.store(true, Ordering::Relaxed));
    handler.map_err(|error| Failure::input(format!("cannot take ^C: {error}")))?;
    let terminal = |error: ReadlineError| Failure::input(format!("cannot use the terminal: {error}"));
    let config = Config::builder().completion_type(CompletionType::List).build();
    let mut editor = Editor::with_history(config, MemHistory::new()).map_err(terminal)?;

    let mut text = kd.greeting();
    kd.where_now(&mut text);
    output::write(text.as_bytes())?;
    let kd = Rc::new(RefCell::new(kd));
    editor.set_helper(Some(Completion(Rc::clone(&kd))));
    loop {
        let line = match editor.readline(Kd::PROMPT) {
            Ok(line) => line,
            // ^C on a line that is being typed gives that line up.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(terminal(error)),
        };
        editor.add_history_entry(line.as_str()).map_err(terminal)?;
        let mut text = String::new();
        let outcome = kd.borrow_mut().execute(&line, &mut text);
        if !output::write_open(text.as_bytes())? || outcome == Outcome::Quit {
            return Ok(());
        }
    }
}

/// What the line editor asks when Tab is pressed.
struct Completion(Rc<RefCell<Kd>>);

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.0.borrow().complete(line, at))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        Cow::Borrowed(line)
    }
}

impl Validator for Completion {}

impl Helper for Completion {}
