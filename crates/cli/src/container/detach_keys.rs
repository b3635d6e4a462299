//! `--detach-keys`: the keys that leave a container running.

/// Docker's default.
pub const DEFAULT: &str = "ctrl-p,ctrl-q";

/// Watches input for the sequence.
#[derive(Debug)]
pub struct DetachKeys {
    keys: Vec<u8>,
    matched: usize,
}

impl DetachKeys {
    /// Reads docker's notation: a comma-separated list of single characters and `ctrl-X`, X being a letter or one of
    /// `@[\]^_`.
    pub fn parse(text: &str) -> Result<DetachKeys, String> {
        let mut keys = Vec::new();
        for key in text.split(',') {
            let byte = match key.strip_prefix("ctrl-") {
                Some(name) => match name.as_bytes() {
                    [c] if c.is_ascii_alphabetic() => c.to_ascii_lowercase() - b'a' + 1,
                    [b'@'] => 0,
                    [c @ b'['..=b'_'] => c - b'[' + 27,
                    _ => return Err(format!("`{key}` in --detach-keys is no key; write `ctrl-p` or one character")),
                },
                None => match key.as_bytes() {
                    [c] => *c,
                    _ => return Err(format!("`{key}` in --detach-keys is no key; write `ctrl-p` or one character")),
                },
            };
            keys.push(byte);
        }
        Ok(DetachKeys { keys, matched: 0 })
    }

    /// Takes input. Returns what the container shall get, and whether the sequence is complete. Keys that only began
    /// the sequence are held back until it is clear what they are.
    pub fn filter(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(input.len());
        for &byte in input {
            if self.keys.get(self.matched) == Some(&byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return (out, true);
                }
                continue;
            }
            let held = std::mem::take(&mut self.matched);
            out.extend_from_slice(self.keys.get(..held).unwrap_or_default());
            if self.keys.first() == Some(&byte) {
                self.matched = 1;
            } else {
                out.push(byte);
            }
        }
        (out, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_found_across_reads_and_other_keys_pass() {
        let mut keys = DetachKeys::parse(DEFAULT).unwrap();
        assert_eq!(keys.filter(b"ls\n"), (b"ls\n".to_vec(), false));
        assert_eq!(keys.filter(b"a\x10"), (b"a".to_vec(), false));
        assert_eq!(keys.filter(b"b"), (b"\x10b".to_vec(), false));
        assert_eq!(keys.filter(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(keys.filter(b"\x11rest"), (Vec::new(), true));
    }

    #[test]
    fn notation_is_dockers() {
        assert_eq!(DetachKeys::parse("ctrl-a,d,ctrl-[,ctrl-@").unwrap().keys, [1, b'd', 27, 0]);
        for bad in ["", "ctrl-", "ctrl-1", "xy", "a,,b"] {
            assert!(DetachKeys::parse(bad).is_err(), "{bad}");
        }
    }
}
