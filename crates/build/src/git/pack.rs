//! Packs (gitformat-pack(5)): many objects in one stream, some as differences from others.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};

use flate2::bufread::ZlibDecoder;
use sha1_checked::{Digest as _, Sha1};

use super::object::{Id, Kind, Objects, Stored};
use super::{Trouble, words};

/// Largest object that may be a difference or the base of one: Git itself makes none of files over 512 MiB.
const MAX_DELTA: u64 = 512 << 20;

/// Counts and hashes what is consumed of the stream.
struct Tally<R: Read> {
    inner: BufReader<R>,
    hash: Sha1,
    count: u64,
}

impl<R: Read> Read for Tally<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..count), available.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Tally<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.hash.update(self.inner.buffer().get(..amount).unwrap_or_default());
        self.count += amount as u64;
        self.inner.consume(amount);
    }
}

/// A difference whose base was not there yet.
struct Waiting {
    at: u64,
    base: Base,
    delta: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Base {
    At(u64),
    Named(Id),
}

/// Reads a whole pack into `objects`.
pub(super) fn read(
    input: impl Read,
    objects: &mut Objects,
    check: &dyn Fn() -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mut input = Tally { inner: BufReader::with_capacity(64 << 10, input), hash: Sha1::new(), count: 0 };
    let mut head = [0u8; 12];
    input.read_exact(&mut head).map_err(|_| words("the pack is cut off"))?;
    let [b'P', b'A', b'C', b'K', v0, v1, v2, v3, n0, n1, n2, n3] = head else {
        return Err(words("what the server sent is no pack"));
    };
    let version = u32::from_be_bytes([v0, v1, v2, v3]);
    if !matches!(version, 2 | 3) {
        return Err(words(format!("the pack has version {version}, not 2 or 3")));
    }
    let mut places: HashMap<u64, Stored> = HashMap::new();
    let mut waiting = Vec::new();
    for _ in 0..u32::from_be_bytes([n0, n1, n2, n3]) {
        check()?;
        entry(&mut input, objects, &mut places, &mut waiting)?;
    }
    let ours = input.hash.clone().finalize();
    let mut theirs = [0u8; 20];
    input.read_exact(&mut theirs).map_err(|_| words("the pack is cut off"))?;
    if ours.as_slice() != theirs {
        return Err(words("the pack was damaged on its way"));
    }
    settle(objects, &mut places, waiting, check)
}

fn entry<R: Read>(
    input: &mut Tally<R>,
    objects: &mut Objects,
    places: &mut HashMap<u64, Stored>,
    waiting: &mut Vec<Waiting>,
) -> Result<(), Trouble> {
    let at = input.count;
    let (kind, size) = entry_head(input)?;
    let plain = match kind {
        1 => Some(Kind::Commit),
        2 => Some(Kind::Tree),
        3 => Some(Kind::Blob),
        4 => Some(Kind::Tag),
        6 | 7 => None,
        other => return Err(words(format!("the pack has an object of the unknown kind {other}"))),
    };
    if let Some(kind) = plain {
        let stored = objects.add(kind, size, &mut ZlibDecoder::new(input))?;
        places.insert(at, stored);
        return Ok(());
    }
    let base = if kind == 6 {
        let back = offset(input)?;
        Base::At(at.checked_sub(back).ok_or_else(|| words("a difference has its base outside the pack"))?)
    } else {
        let mut id = [0u8; 20];
        input.read_exact(&mut id).map_err(|_| words("the pack is cut off"))?;
        Base::Named(Id(id))
    };
    if size > MAX_DELTA {
        return Err(words("a difference of the pack is too large"));
    }
    let mut delta = Vec::new();
    ZlibDecoder::new(input).take(size + 1).read_to_end(&mut delta)?;
    if delta.len() as u64 != size {
        return Err(words("a difference of the pack has another length than it says"));
    }
    let one = Waiting { at, base, delta };
    match stored(objects, places, &one.base) {
        Some(base) => resolve(objects, places, &one, base),
        None => {
            waiting.push(one);
            Ok(())
        }
    }
}

fn stored(objects: &Objects, places: &HashMap<u64, Stored>, base: &Base) -> Option<Stored> {
    match base {
        Base::At(at) => places.get(at).copied(),
        Base::Named(id) => objects.get(id),
    }
}

fn resolve(
    objects: &mut Objects,
    places: &mut HashMap<u64, Stored>,
    one: &Waiting,
    base: Stored,
) -> Result<(), Trouble> {
    let whole = apply(&objects.read(base, MAX_DELTA)?, &one.delta)?;
    let stored = objects.add(base.kind, whole.len() as u64, &mut whole.as_slice())?;
    places.insert(one.at, stored);
    Ok(())
}

/// Differences from objects that came later in the pack.
fn settle(
    objects: &mut Objects,
    places: &mut HashMap<u64, Stored>,
    mut waiting: Vec<Waiting>,
    check: &dyn Fn() -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut still = Vec::new();
        for one in waiting {
            check()?;
            match stored(objects, places, &one.base) {
                Some(base) => resolve(objects, places, &one, base)?,
                None => still.push(one),
            }
        }
        if still.len() == before {
            return Err(words("the pack has differences from objects that it does not have"));
        }
        waiting = still;
    }
    Ok(())
}

fn byte(input: &mut dyn Read) -> Result<u8, Trouble> {
    let mut one = [0u8; 1];
    input.read_exact(&mut one).map_err(|_| words("the pack is cut off"))?;
    Ok(one[0])
}

/// Kind and size: three bits of the first byte are the kind, the size goes on in sevens.
fn entry_head(input: &mut dyn Read) -> Result<(u8, u64), Trouble> {
    let first = byte(input)?;
    let mut size = u64::from(first & 15);
    let mut shift = 4;
    let mut current = first;
    while current & 0x80 != 0 {
        current = byte(input)?;
        if shift > 56 {
            return Err(words("an object of the pack has an impossible size"));
        }
        size |= u64::from(current & 0x7f) << shift;
        shift += 7;
    }
    Ok(((first >> 4) & 7, size))
}

/// How far back the base of an offset difference begins.
fn offset(input: &mut dyn Read) -> Result<u64, Trouble> {
    let mut current = byte(input)?;
    let mut value = u64::from(current & 0x7f);
    while current & 0x80 != 0 {
        current = byte(input)?;
        let next = value.checked_add(1).and_then(|v| v.checked_mul(128));
        value = next.ok_or_else(|| words("a difference has its base outside the pack"))? + u64::from(current & 0x7f);
    }
    Ok(value)
}

/// A length at the beginning of a difference.
fn length(delta: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..=56).step_by(7) {
        let (first, rest) = delta.split_first()?;
        *delta = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Makes an object of its base and the difference: a list of "copy from the base" and "insert these bytes".
fn apply(base: &[u8], delta: &[u8]) -> Result<Vec<u8>, Trouble> {
    apply_inner(base, delta).ok_or_else(|| words("a difference of the pack does not fit its base"))
}

fn apply_inner(base: &[u8], mut delta: &[u8]) -> Option<Vec<u8>> {
    if length(&mut delta)? != base.len() as u64 {
        return None;
    }
    let size = length(&mut delta).filter(|s| *s <= MAX_DELTA)?;
    let mut out = Vec::new();
    while let Some((op, rest)) = delta.split_first() {
        delta = rest;
        let part = if op & 0x80 == 0 {
            let (part, rest) = delta.split_at_checked(usize::from(*op)).filter(|(p, _)| !p.is_empty())?;
            delta = rest;
            part
        } else {
            let mut number = |bits: u8, count: u32| {
                let mut value = 0usize;
                for index in 0..count {
                    if bits & (1 << index) != 0 {
                        let (first, rest) = delta.split_first()?;
                        delta = rest;
                        value |= usize::from(*first) << (8 * index);
                    }
                }
                Some(value)
            };
            let from = number(op & 15, 4)?;
            let count = number((op >> 4) & 7, 3)?;
            base.get(from..)?.get(..if count == 0 { 0x10000 } else { count })?
        };
        if (out.len() + part.len()) as u64 > size {
            return None;
        }
        out.extend_from_slice(part);
    }
    (out.len() as u64 == size).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_copy_and_insert() {
        // Base of 5, result of 8: copy 0..3, insert "XY", copy 2..5.
        let delta = [5, 8, 0x90, 3, 2, b'X', b'Y', 0x91, 2, 3];
        assert_eq!(apply(b"abcde", &delta).unwrap(), b"abcXYcde");
        for bad in [&[][..], &[4, 8], &[5, 8, 0x90, 3], &[5, 1, 0x90, 3], &[5, 8, 0], &[5, 8, 0x91, 9, 9]] {
            assert!(apply(b"abcde", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn no_pack_and_a_cut_one_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut objects = Objects::create(&dir.path().join("o")).unwrap();
        for bad in
            [&b""[..], b"PACK", b"NOPE\0\0\0\x02\0\0\0\0", b"PACK\0\0\0\x09\0\0\0\0", b"PACK\0\0\0\x02\0\0\0\x01"]
        {
            assert!(read(bad, &mut objects, &|| Ok(())).is_err(), "{bad:?}");
        }
    }
}
