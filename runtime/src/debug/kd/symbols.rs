//! `x`, `ln`, `.reload`, `?`.

use std::collections::BTreeMap;

use super::arguments::Arguments;
use super::error::Error;
use super::{Kd, number, say};
use crate::debug::{Near, Target};

/// The first build whose ntdll debuggers show by the names that begin with `Nt`: Windows 8.
const NT_NAMES_SINCE: u32 = 9200;

/// The symbol that an address belongs to, by the name that a debugger shows, and the distance from it.
pub(super) fn nearest(target: &Target, address: u64) -> Option<(&str, u64)> {
    let symbols = target.symbols();
    let Near { name, address, offset } = symbols.nearest(address)?;
    let (_, _, build) = target.guest().version();
    let preferred = symbols.at(address).iter().find(|name| name.starts_with("ntdll!Zw"));
    let name = preferred.filter(|_| build < NT_NAMES_SINCE).map_or(name, String::as_str);
    Some((name, offset))
}

/// `x`: the symbols whose names fit a pattern.
pub(super) fn x(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let place = arguments.place();
    let Some(pattern) = arguments.word() else {
        return Err(Error::at(place, "A pattern expected, as nt!Ki*"));
    };
    arguments.end()?;
    let pattern = pattern.to_lowercase();
    let fits = |name: &str| {
        let name = name.to_lowercase();
        let bare = name.split_once('!').map_or(name.as_str(), |(_, end)| end);
        matches(&pattern, if pattern.contains('!') { &name } else { bare })
    };
    let mut found: Vec<(u64, &str)> =
        kd.target().symbols().iter().filter(|(name, _)| fits(name)).map(|(name, address)| (address, name)).collect();
    found.sort_unstable();
    for (address, name) in found {
        say!(out, "{}          {name}", kd.address(address));
    }
    Ok(())
}

/// Whether a text is what a pattern of stars and question marks says.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut star) = ((0, 0), None);
    while at.1 < text.len() {
        match pattern.get(at.0) {
            Some('*') => {
                star = Some(at);
                at.0 += 1;
            }
            Some(c) if *c == '?' || *c == text[at.1] => at = (at.0 + 1, at.1 + 1),
            // Let the last star take one more.
            _ => match star {
                Some((p, t)) => {
                    star = Some((p, t + 1));
                    at = (p + 1, t + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at.0).all(|c| *c == '*')
}

/// `ln`: the symbols around an address.
pub(super) fn ln(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let address = if arguments.is_empty() { kd.current_address() } else { arguments.address(kd)? };
    arguments.end()?;
    let symbols = kd.target().symbols();
    let Some((_, offset)) = kd.symbol(address) else {
        return Err(Error::of_target(format!("There is no symbol near {}", kd.address(address))));
    };
    let start = address.wrapping_sub(offset);
    let next = symbols.next_after(address).map(|next| format!("({})   {}", kd.address(next), kd.describe(next)));
    say!(out, "({})   {}   |  {}", kd.address(start), kd.describe(address), next.unwrap_or_default());
    if offset == 0 {
        say!(out, "Exact matches:");
        for name in symbols.at(address) {
            say!(out, "    {name}");
        }
    }
    Ok(())
}

/// `.reload`: the modules and how many symbols each has.
pub(super) fn reload(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    arguments.end()?;
    let mut modules: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, _) in kd.target().symbols().iter() {
        *modules.entry(name.split_once('!').map_or("", |(module, _)| module)).or_default() += 1;
    }
    say!(out, "Module          Symbols");
    for (module, count) in modules {
        let module = if module.is_empty() { "(none)" } else { module };
        say!(out, "{module:<16}{count:7}");
    }
    Ok(())
}

/// `?`: the value of an expression.
pub(super) fn evaluate(kd: &mut Kd, arguments: &mut Arguments<'_>, out: &mut String) -> Result<(), Error> {
    let value = arguments.expression(kd)?;
    arguments.end()?;
    let fits = kd.guest().pointer() == 4 && (value >> 32 == 0 || value as i64 >> 31 == -1);
    let (decimal, size) = if fits { (i64::from(value as i32), 4) } else { (value as i64, 8) };
    say!(out, "Evaluate expression: {decimal} = {}", number(value, size));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_have_stars_and_question_marks() {
        for (pattern, text, fits) in [
            ("nt!ki*", "nt!kifastcallentry", true),
            ("*entry", "nt!kifastcallentry", true),
            ("*fast*entry*", "nt!kifastcallentry", true),
            ("nt?ki*", "nt!ki", true),
            ("ki*", "nt!ki", false),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "abab", false),
            ("a*b*c", "aabbc", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
