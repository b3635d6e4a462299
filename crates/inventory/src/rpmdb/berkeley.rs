//! Reads the hash database `Packages` of older RPMs (Berkeley DB's page layout, versions 8 and 9).
//!
//! Pages are read in turn instead of by bucket: all records are wanted, and a broken index does no harm.

use super::{MAX_HEADER_BYTES, big, little};
use crate::facts::Trouble;
use crate::fileview::ReadAt;

const HASH_MAGIC: u64 = 0x0006_1561;
const PAGE_HEADER_BYTES: usize = 26;
const HASH_UNSORTED: u8 = 2;
const OVERFLOW: u8 = 7;
const HASH: u8 = 13;
const KEY_DATA: u8 = 1;
const OFF_PAGE: u8 = 3;

/// Whether the file starts like a hash database, in either byte order.
pub fn is_hash(head: &[u8]) -> bool {
    head.get(12..16).is_some_and(|magic| little(magic) == HASH_MAGIC || big(magic) == HASH_MAGIC)
}

struct Database<'a> {
    file: &'a dyn ReadAt,
    page_bytes: u64,
    number: fn(&[u8]) -> u64,
}

/// Calls `each` for every value that may be a header.
/// # Errors
/// When the meta page is broken.
pub fn headers(file: &dyn ReadAt, each: &mut dyn FnMut(&[u8]), damaged: &mut dyn FnMut(String)) -> Result<(), Trouble> {
    let meta = file.slice(0, 72)?;
    let number: fn(&[u8]) -> u64 = if meta.get(12..16).map(little) == Some(HASH_MAGIC) { little } else { big };
    let page_bytes = number(meta.get(20..24).unwrap_or_default());
    if !(512..=65_536).contains(&page_bytes) || !page_bytes.is_power_of_two() {
        return Err("the meta page has an impossible page size".into());
    }
    if meta.get(24).is_some_and(|algorithm| *algorithm != 0) {
        return Err("is encrypted".into());
    }
    let database = Database { file, page_bytes, number };
    let last = number(meta.get(32..36).unwrap_or_default());
    let pages = (file.size() / page_bytes).min(last.saturating_add(1));
    for index in 1..pages {
        let Ok(page) = file.slice(index * page_bytes, page_bytes) else {
            damaged(format!("page {index} of the database is missing"));
            break;
        };
        if matches!(page.get(25), Some(&HASH | &HASH_UNSORTED)) {
            database.page(&page, index, each, damaged);
        }
    }
    if pages <= last {
        damaged(format!("the database ends at page {pages} of {}", last + 1));
    }
    Ok(())
}

impl Database<'_> {
    fn word(&self, bytes: &[u8], at: usize, len: usize) -> u64 {
        bytes.get(at..at + len).map_or(0, self.number)
    }

    /// Items alternate between keys and values; they are stored from the end of the page backwards.
    fn page(&self, page: &[u8], index: u64, each: &mut dyn FnMut(&[u8]), damaged: &mut dyn FnMut(String)) {
        let count = self.word(page, 20, 2) as usize;
        let offset = |item: usize| self.word(page, PAGE_HEADER_BYTES + item * 2, 2) as usize;
        for item in (1..count).step_by(2) {
            let start = offset(item);
            let end = offset(item - 1);
            match page.get(start) {
                Some(&KEY_DATA) => {
                    // The number of the last package has a record of its own, with four bytes.
                    if let Some(value) = page.get(start + 1..end).filter(|v| v.len() > 16) {
                        each(value);
                    }
                }
                Some(&OFF_PAGE) => {
                    let first = self.word(page, start + 4, 4);
                    let length = self.word(page, start + 8, 4);
                    match self.chain(first, length) {
                        Some(value) => each(&value),
                        None => damaged(format!("a record on page {index} of the database cannot be read")),
                    }
                }
                _ => damaged(format!("an item on page {index} of the database is damaged")),
            }
        }
    }

    /// A value on overflow pages. Each gives at least a byte, so the length bounds the chain.
    fn chain(&self, mut next: u64, length: u64) -> Option<Vec<u8>> {
        if length > MAX_HEADER_BYTES {
            return None;
        }
        let mut value = Vec::new();
        while (value.len() as u64) < length {
            let page =
                self.file.slice(next.checked_mul(self.page_bytes).filter(|at| *at > 0)?, self.page_bytes).ok()?;
            if page.get(25) != Some(&OVERFLOW) {
                return None;
            }
            let used = self.word(&page, 22, 2) as usize;
            let part = page.get(PAGE_HEADER_BYTES..PAGE_HEADER_BYTES + used).filter(|part| !part.is_empty())?;
            value.extend_from_slice(part);
            next = self.word(&page, 16, 4);
        }
        value.truncate(length as usize);
        Some(value)
    }
}
