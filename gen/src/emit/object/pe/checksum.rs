//! The checksum of an image, which the kernel looks at before it maps a DLL at boot.

/// Where the field is, from the signature on: behind the file header, at the same place in both optional headers.
const FIELD: usize = 4 + 20 + 64;

/// Sets the field: the sum of all 16-bit words with carries added again, the field taken as 0, and the length.
pub(super) fn set(bytes: &mut [u8], headers: usize) {
    let Some(field) = bytes.get_mut(headers + FIELD..headers + FIELD + 4) else { return };
    field.fill(0);
    let mut sum = 0u32;
    for word in bytes.chunks(2) {
        sum += u32::from(u16::from_le_bytes([word[0], word.get(1).copied().unwrap_or(0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = sum.wrapping_add(bytes.len() as u32);
    bytes[headers + FIELD..headers + FIELD + 4].copy_from_slice(&sum.to_le_bytes());
}
