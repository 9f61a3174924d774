//! Numbers as lists spell them.

/// Reads decimal or `0x` hexadecimal. `None` if the text is neither or does not fit.
pub(super) fn parse_number(text: &str) -> Option<u32> {
    match hex_digits(text) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => parse_decimal(text),
    }
}

/// Reads decimal digits, nothing else: `str::parse` would take a sign.
pub(super) fn parse_decimal(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

/// The digits of `0x1f`, if the text is hexadecimal.
pub(super) fn hex_digits(text: &str) -> Option<&str> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_or_hexadecimal() {
        for (text, number) in [
            ("0", Some(0)),
            ("010", Some(10)),
            ("0x55", Some(0x55)),
            ("0XfF", Some(0xff)),
        ] {
            assert_eq!(parse_number(text), number, "{text}");
        }
        for text in [
            "",
            "x",
            "+1",
            "-1",
            "0x",
            "0x+1",
            "1_000",
            "4294967296",
            "0x100000000",
            "١",
        ] {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }
}
