//! Sparse files: where the data of a file lies between holes.

use super::pax::unsigned;
use super::reader::malformed;
use crate::error::{ImageError, Result};

/// Most data segments of one sparse file. A million of them are 16 MiB of memory; disk images of hundreds of
/// gigabytes stay below.
pub(super) const MAX_SEGMENTS: usize = 1 << 20;

/// Pairs of numbers become segments. They must ascend without overlap and end within `size`; their lengths must sum
/// up to `stored`, the bytes that the archive holds.
pub(super) fn check(numbers: &[u64], size: u64, stored: u64, path: &[u8]) -> Result<Vec<(u64, u64)>> {
    let wrong = |reason: &str| malformed(path, reason);
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(wrong("its sparse map has an odd count of numbers"));
    }
    if pairs.len() > MAX_SEGMENTS {
        return Err(too_many(path));
    }
    let mut segments = Vec::with_capacity(pairs.len());
    let (mut end, mut sum) = (0u64, 0u64);
    for [offset, length] in pairs {
        if *offset < end {
            return Err(wrong("its sparse map is not in ascending order"));
        }
        end = offset
            .checked_add(*length)
            .filter(|e| *e <= size)
            .ok_or_else(|| wrong("its sparse map leaves the file"))?;
        sum += length;
        if *length > 0 {
            segments.push((*offset, *length));
        }
    }
    if sum != stored {
        return Err(wrong("its sparse map does not cover the data in the archive"));
    }
    Ok(segments)
}

pub(super) fn too_many(path: &[u8]) -> ImageError {
    ImageError::OverLimit {
        what: format!("the sparse map of `{}`", crate::error::shown(path)),
        limit: MAX_SEGMENTS as u64,
        unit: "segments",
    }
}

/// Reads the map of format 1.0, which precedes the data: decimal lines in 512-byte blocks, first the count.
/// `next_block` gives the next block of the entry's data.
pub(super) fn read_decimal_map(
    mut next_block: impl FnMut() -> Result<[u8; super::BLOCK]>,
    path: &[u8],
) -> Result<Vec<u64>> {
    let mut numbers: Vec<u64> = Vec::new();
    let mut line: Vec<u8> = Vec::new();
    let mut wanted: Option<usize> = None;
    while wanted.is_none_or(|w| numbers.len() < w) {
        for byte in next_block()? {
            if wanted.is_some_and(|w| numbers.len() >= w) {
                break;
            }
            if byte != b'\n' {
                line.push(byte);
                if line.len() > 20 {
                    return Err(malformed(path, "its sparse map holds no numbers"));
                }
                continue;
            }
            let number = unsigned(&line)?;
            line.clear();
            if wanted.is_some() {
                numbers.push(number);
            } else {
                let count =
                    usize::try_from(number).ok().filter(|n| *n <= MAX_SEGMENTS).ok_or_else(|| too_many(path))?;
                wanted = Some(count * 2);
            }
        }
    }
    Ok(numbers)
}
