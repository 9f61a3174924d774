//! The two A64 instructions of `svc` stubs.
//!
//! iced knows x86 alone, and so these have their bits and their text here (Arm Architecture Reference Manual for
//! A-profile, C6.2: SVC, RET). Both are little-endian words.

use super::EncodeError;

/// `svc #0`; the number stands 5 bits up.
const SVC: u32 = 0xd400_0001;

/// `ret`, through the link register.
const RET: u32 = 0xd65f_03c0;

/// The bytes of a stub: `svc #number; ret`.
///
/// # Errors
///
/// If the number is over 16 bits.
pub(super) fn encode(number: u32) -> Result<Vec<u8>, EncodeError> {
    let immediate = u16::try_from(number).map_err(|_| EncodeError::Number { number })?;
    let words = [SVC | u32::from(immediate) << 5, RET];
    Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

/// The same as text. A number that [`encode`] refuses an assembler refuses too.
pub(super) fn write(number: u32) -> [String; 2] {
    [format!("svc #{number:#x}"), "ret".to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_windows_on_arm() {
        // Chromium, `sandbox/win/src/service_resolver_64.cc`: service 55h.
        assert_eq!(encode(0x55), Ok(vec![0xa1, 0x0a, 0x00, 0xd4, 0xc0, 0x03, 0x5f, 0xd6]));
        assert_eq!(encode(0xffff).map(|bytes| bytes[..4].to_vec()), Ok(vec![0xe1, 0xff, 0x1f, 0xd4]));
        assert_eq!(write(0x55), ["svc #0x55", "ret"]);
    }

    #[test]
    fn a_number_over_16_bits_is_refused() {
        let error = encode(0x1_0000).expect_err("it has 17 bits");
        assert_eq!(error.to_string(), "the number 0x10000 does not fit into the 16 bits of svc");
    }
}
