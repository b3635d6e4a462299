//! Container ids: 256 random bits in hexadecimal, as docker's.

use crate::EngineError;

/// Digits of a full id.
pub const FULL_LENGTH: usize = 64;
/// Digits that tables show.
pub const SHORT_LENGTH: usize = 12;

/// A fresh id. The first twelve digits are never all decimal, so that a short id is no number for a shell or YAML.
pub(crate) fn new_id() -> Result<String, EngineError> {
    loop {
        let mut bytes = [0u8; FULL_LENGTH / 2];
        getrandom::fill(&mut bytes).map_err(|e| EngineError::System {
            what: "read random bytes for an id",
            source: std::io::Error::other(e),
        })?;
        let id = hex(&bytes);
        if id.bytes().take(SHORT_LENGTH).any(|b| b.is_ascii_alphabetic()) {
            return Ok(id);
        }
    }
}

/// Lower-case hexadecimal of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| char::from(DIGITS.get(usize::from(n)).copied().unwrap_or(b'0'));
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

/// The part of an id that tables show.
pub fn short(id: &str) -> &str {
    id.get(..SHORT_LENGTH).unwrap_or(id)
}

/// Whether `text` is a full id.
pub(crate) fn is_full(text: &str) -> bool {
    text.len() == FULL_LENGTH && is_hex(text)
}

/// Whether `text` could be the beginning of an id.
pub(crate) fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_full_length_hex_and_differ() {
        let (a, b) = (new_id().unwrap(), new_id().unwrap());
        assert!(is_full(&a) && is_full(&b));
        assert_ne!(a, b);
        assert_eq!(short(&a).len(), SHORT_LENGTH);
    }

    #[test]
    fn hex_keeps_leading_zeros() {
        assert_eq!(hex(&[0, 1, 255]), "0001ff");
    }
}
