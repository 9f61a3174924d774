//! Which system's numbers are meant, in a file that has those of many.

use super::say::Say;
use crate::diag::{Code, printable, quoted};
use crate::syntax::text::Spot;

/// How many systems are suggested for one that is not there.
const SUGGESTED: usize = 5;

/// A system of a published table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct System {
    /// `Windows Server 2003`
    pub(super) name: String,
    /// `SP2`; may be empty.
    pub(super) release: String,
}

impl System {
    /// Reads `Windows Server 2003 (SP2)`, the head of a CSV column.
    pub(super) fn of_column(text: &str) -> Self {
        let text = text.trim();
        let split = text.strip_suffix(')').and_then(|text| text.split_once('('));
        let (name, release) = split.unwrap_or((text, ""));
        Self { name: name.trim().to_owned(), release: release.trim().to_owned() }
    }

    /// As `--system` takes it.
    fn path(&self) -> String {
        if self.release.is_empty() { self.name.clone() } else { format!("{}/{}", self.name, self.release) }
    }
}

/// The words of a system's name, without what sets them apart.
fn words(text: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '.';
    text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// The index of the system that is meant. If there is none, it says so at `spot`, and which there are.
pub(super) fn choose(systems: &[System], wanted: Option<&str>, spot: Spot<'_>, say: &mut Say) -> Option<usize> {
    let Some(wanted) = wanted else {
        if let [_] = systems {
            return Some(0);
        }
        let message = format!("the file has the numbers of {} systems, and none is chosen", systems.len());
        let help = format!("--system chooses one, as in --system \"Windows XP/SP1\"; there are: {}", listed(systems));
        say.say(Code::SystemNeeded, message, spot, help);
        return None;
    };
    let meant = words(wanted);
    let same = |system: &&(usize, &System)| words(&system.1.path()) == meant;
    let found: Vec<_> = systems.iter().enumerate().filter(|system| same(&system)).collect();
    let exact: Vec<_> = found.iter().filter(|(_, system)| system.path() == wanted).collect();
    match (found.as_slice(), exact.as_slice()) {
        ([(index, _)], _) | (_, [(index, _)]) => return Some(*index),
        ([], _) => {
            let near = near(systems, wanted);
            let help = match near.len() {
                0 => format!("there are: {}", listed(systems)),
                _ => format!("is it one of these? {}", near.join(", ")),
            };
            let message = format!("the file does not have the system {}", quoted(wanted));
            say.say(Code::UnknownSystem, message, spot, help);
        }
        (_, [_, _, ..]) => {
            let message = format!("the file has the system {} {} times", quoted(wanted), exact.len());
            say.say(Code::AmbiguousSystem, message, spot, "take all but one of them out");
        }
        _ => {
            let names: Vec<_> = found.iter().map(|(_, system)| quoted(&printable(&system.path()))).collect();
            let message = format!("{} may be {} systems of the file", quoted(wanted), found.len());
            let help = format!("name one as it stands there: {}", names.join(", "));
            say.say(Code::AmbiguousSystem, message, spot, help);
        }
    }
    None
}

/// All systems, those of one name together: `Windows XP/SP0, SP1; Windows 7/SP0`.
fn listed(systems: &[System]) -> String {
    let mut text = String::new();
    let mut last = None;
    for system in systems {
        if last == Some(&system.name) {
            text.push_str(&format!(", {}", system.release));
        } else {
            let apart = if text.is_empty() { "" } else { "; " };
            text.push_str(&format!("{apart}{}", system.path()));
        }
        last = Some(&system.name);
    }
    printable(&text)
}

/// The systems that have all words of what was asked for; if there are none, those whose names are most alike.
fn near(systems: &[System], wanted: &str) -> Vec<String> {
    let meant = words(wanted);
    let joined = meant.join(" ");
    let mut scored: Vec<(usize, f64, String)> = systems
        .iter()
        .map(|system| {
            let words = words(&system.path());
            let missing = meant.iter().filter(|word| !words.contains(word)).count();
            (missing, strsim::jaro_winkler(&joined, &words.join(" ")), printable(&system.path()))
        })
        .collect();
    scored.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let fewest = scored.first().map_or(0, |first| first.0);
    let alike =
        |(missing, alike, _): &(usize, f64, String)| *missing == fewest && (fewest < meant.len() || *alike > 0.5);
    scored.into_iter().filter(alike).take(SUGGESTED).map(|(_, _, path)| quoted(&path)).collect()
}

/// The one of the known words that a mistyped one is most like.
pub(super) fn nearest<const N: usize>(text: &str, known: [&'static str; N]) -> &'static str {
    // A word is short; what is not one need not be compared whole.
    let text: String = text.chars().take(64).collect();
    let alike = |word: &str| strsim::damerau_levenshtein(&text, word);
    known.into_iter().min_by_key(|word| alike(word)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::text::spot_at;

    fn systems() -> Vec<System> {
        let columns =
            ["Windows XP (SP0)", "Windows XP (SP1)", "Windows Server 2003 (SP2)", "Windows Server 2003 (R2 SP2)"];
        columns.map(System::of_column).to_vec()
    }

    fn chosen(wanted: Option<&str>) -> Result<usize, String> {
        let mut say = Say::new("x");
        let found = choose(&systems(), wanted, spot_at("x", 0), &mut say);
        found.ok_or_else(|| say.diags.iter().filter_map(|item| item.help_text()).collect())
    }

    #[test]
    fn a_system_is_chosen_by_its_words() {
        for text in ["Windows Server 2003/SP2", "windows server 2003 (sp2)", "Windows Server 2003 SP2"] {
            assert_eq!(chosen(Some(text)), Ok(2));
        }
    }

    #[test]
    fn of_systems_that_are_spelt_alike_none_is_taken_for_another() {
        let columns = ["Windows XP (SP1)", "windows xp (sp1)", "Windows XP SP1", "Windows 7 (SP0)", "Windows 7 (SP0)"];
        let systems = columns.map(System::of_column);
        let chosen = |wanted: &str| {
            let mut say = Say::new("x");
            let found = choose(&systems, Some(wanted), spot_at("x", 0), &mut say);
            found.ok_or_else(|| say.diags.iter().map(|item| item.message().to_owned()).collect::<String>())
        };
        assert_eq!((chosen("windows xp/sp1"), chosen("Windows XP SP1")), (Ok(1), Ok(2)));
        assert_eq!(chosen("WINDOWS XP SP1"), Err("`WINDOWS XP SP1` may be 3 systems of the file".to_owned()));
        assert_eq!(chosen("Windows 7/SP0"), Err("the file has the system `Windows 7/SP0` 2 times".to_owned()));
    }

    #[test]
    fn what_is_not_there_is_like_something() {
        assert_eq!(
            chosen(Some("2003 sp2")),
            Err("is it one of these? `Windows Server 2003/SP2`, `Windows Server 2003/R2 SP2`".to_owned())
        );
        assert_eq!(chosen(Some("zzz")), Err(format!("there are: {}", listed(&systems()))));
        let all = chosen(None).expect_err("there are four");
        assert!(all.ends_with("there are: Windows XP/SP0, SP1; Windows Server 2003/SP2, R2 SP2"), "{all}");
    }
}
