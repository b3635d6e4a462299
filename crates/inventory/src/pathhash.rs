//! A small stable hash of paths, for "who owns this?" and "is this hidden?" over hundreds of thousands of entries.
//!
//! Sixty-four bits without a key: an image that forges a collision could as well delete its package list, so nothing
//! is gained by it; by chance two of a million paths meet once in thirty million images.

use std::hash::{BuildHasherDefault, Hasher};

const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Hash of a path without leading or trailing slash; the empty path is the root.
pub fn path(bytes: &[u8]) -> u64 {
    finish(step(OFFSET, bytes))
}

/// Calls `visit` with the hash of each directory above `bytes`, the root first, and last with the path itself
/// (`true`). Stops early when `visit` returns `true`, and returns whether it did.
pub fn with_ancestors(bytes: &[u8], mut visit: impl FnMut(u64, bool) -> bool) -> bool {
    if visit(finish(OFFSET), bytes.is_empty()) {
        return true;
    }
    let mut state = OFFSET;
    for &byte in bytes {
        if byte == b'/' && visit(finish(state), false) {
            return true;
        }
        state = (state ^ u64::from(byte)).wrapping_mul(PRIME);
    }
    !bytes.is_empty() && visit(finish(state), true)
}

/// Hash of a path as package managers list it: leading slashes and `./` off, and `/usr/lib` the same as `/lib`
/// (likewise `bin`, `sbin`, `lib32`, `lib64`, `libx32`), because on merged systems one is a link to the other.
pub fn owner(mut bytes: &[u8]) -> u64 {
    loop {
        if let Some(rest) = bytes.strip_prefix(b"/") {
            bytes = rest;
        } else if let Some(rest) = bytes.strip_prefix(b"./") {
            bytes = rest;
        } else {
            break;
        }
    }
    if let Some(rest) = bytes.strip_prefix(b"usr/") {
        let first = rest.split(|b| *b == b'/').next().unwrap_or_default();
        if matches!(first, b"bin" | b"sbin" | b"lib" | b"lib32" | b"lib64" | b"libx32") {
            bytes = rest;
        }
    }
    path(bytes)
}

fn step(mut state: u64, bytes: &[u8]) -> u64 {
    for &byte in bytes {
        state = (state ^ u64::from(byte)).wrapping_mul(PRIME);
    }
    state
}

/// Spreads the bits, so that the value can be used as a table index as it is.
fn finish(mut state: u64) -> u64 {
    state ^= state >> 32;
    state = state.wrapping_mul(0xd6e8_feb8_6659_fd93);
    state ^ (state >> 32)
}

/// Hasher for keys that are hashes already.
#[derive(Default)]
pub struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = path(bytes);
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
    fn write_u8(&mut self, _: u8) {}
    fn write_usize(&mut self, _: usize) {}
}

/// A set of hashes.
pub type HashSet64 = std::collections::HashSet<u64, BuildHasherDefault<Identity>>;
/// A map from hashes.
pub type HashMap64<V> = std::collections::HashMap<u64, V, BuildHasherDefault<Identity>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_match_their_own_hash() {
        let mut seen = Vec::new();
        with_ancestors(b"usr/lib/x", |hash, own| {
            seen.push((hash, own));
            false
        });
        assert_eq!(
            seen,
            [(path(b""), false), (path(b"usr"), false), (path(b"usr/lib"), false), (path(b"usr/lib/x"), true)]
        );
    }

    #[test]
    fn merged_usr_is_one_place() {
        assert_eq!(owner(b"/usr/lib/a.so"), owner(b"./lib/a.so"));
        assert_ne!(owner(b"/usr/share/a"), owner(b"/share/a"));
        assert_ne!(owner(b"/usr/libexec/a"), owner(b"/libexec/a"));
    }
}
