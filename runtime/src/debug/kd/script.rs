//! Lines of commands: where each begins and ends, what its name is, and what may be meant by its beginning.

use super::expression::is_word;
use super::{Kd, help, register};
use crate::debug::types;

/// Where the commands of a line, or of several lines, begin and end.
pub(super) fn split(text: &str) -> Vec<(usize, usize)> {
    let mut commands = Vec::new();
    // Behind a star the line is a remark; `$$` begins one that ends with the command. What begins a command tells: `None`
    // where none has begun yet.
    let (mut start, mut quoted, mut remark) = (0, false, None);
    let mut push = |start: usize, end: usize| {
        let command = text.get(start..end).unwrap_or_default();
        let begin = start + (command.len() - command.trim_start().len());
        let remark = command.trim_start().starts_with('*') || command.trim_start().starts_with("$$");
        if !command.trim().is_empty() && !remark {
            commands.push((begin, end));
        }
    };
    for (at, c) in text.char_indices() {
        match c {
            '\n' => {
                push(start, at);
                (start, quoted, remark) = (at + 1, false, None);
            }
            ';' if !quoted && remark != Some(true) => {
                push(start, at);
                (start, remark) = (at + 1, None);
            }
            _ if c.is_whitespace() => {}
            _ => {
                quoted ^= c == '"';
                remark = remark.or(Some(c == '*'));
            }
        }
    }
    push(start, text.len());
    commands
}

/// The name of the command that begins at a byte of a line, in small letters, and where it ends; `None` if there is none.
pub(super) fn name(line: &str, start: usize) -> Option<(String, usize)> {
    let command = line.get(start..)?;
    let first = command.chars().next()?;
    let letters = |from: usize| {
        let rest = command.get(from..).unwrap_or_default();
        from + rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
    };
    let end = match first {
        '?' => 1,
        '!' | '.' => letters(1),
        _ if first.is_ascii_alphabetic() => {
            let end = letters(0);
            if command.get(end..).is_some_and(|rest| rest.starts_with('-')) { end + 1 } else { end }
        }
        _ => command.find(char::is_whitespace).unwrap_or(command.len()),
    };
    Some((command.get(..end)?.to_ascii_lowercase(), start + end))
}

/// What a user may mean who has typed a line up to a byte.
pub(super) fn complete(kd: &Kd, line: &str, at: usize) -> (usize, Vec<String>) {
    let typed = line.get(..at).unwrap_or(line);
    let start = split(typed).last().filter(|(_, end)| *end == typed.len()).map_or(typed.len(), |(start, _)| *start);
    let command = typed.get(start..).unwrap_or_default();
    let begins =
        |known: &str, word: &str| known.get(..word.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(word));
    let Some((name, rest)) = command.split_once(char::is_whitespace) else {
        let names = help::names().filter(|name| begins(name, command)).map(str::to_owned);
        return (start, names.collect());
    };
    let word = rest.rsplit(|c| !is_word(c) && c != '.').next().unwrap_or_default();
    let from = typed.len() - word.len();
    let mut words: Vec<String> = match name.to_ascii_lowercase().as_str() {
        ".help" => help::names().filter(|known| begins(known, word)).map(str::to_owned).collect(),
        "dt" => types::names(kd.guest())
            .iter()
            .map(|name| format!("nt!{name}"))
            .filter(|known| begins(known, word))
            .collect(),
        _ if word.starts_with('@') => {
            let names = register::names(kd.guest()).into_iter().map(|name| format!("@{name}"));
            names.filter(|known| begins(known, word)).collect()
        }
        _ if word.is_empty() => Vec::new(),
        _ => {
            let all = kd.target().symbols().iter().map(|(name, _)| name);
            let found = all.filter_map(|name| {
                let bare = name.split_once('!').map_or(name, |(_, end)| end);
                if begins(name, word) { Some(name) } else { Some(bare).filter(|bare| begins(bare, word)) }
            });
            found.map(str::to_owned).collect()
        }
    };
    words.sort();
    words.dedup();
    (from, words)
}
