//! Reads the table `Packages` of RPM's SQLite database (SQLite's "Database File Format"). Read-only, page by page.

use std::collections::HashSet;
use std::io;

use super::{MAX_HEADER_BYTES, big};
use crate::facts::Trouble;
use crate::fileview::ReadAt;

/// Levels of a b-tree; with the smallest fan-out this is beyond any file.
const MAX_DEPTH: usize = 32;

struct Database<'a> {
    file: &'a dyn ReadAt,
    page_bytes: u64,
    usable: u64,
    /// Pages seen, against loops.
    seen: HashSet<u32>,
}

/// Calls `each` for the blob of every row.
/// # Errors
/// When the file's structure is broken at its root.
pub fn headers(file: &dyn ReadAt, each: &mut dyn FnMut(&[u8]), damaged: &mut dyn FnMut(String)) -> Result<(), Trouble> {
    let head = file.slice(0, 100)?;
    let size = match big(head.get(16..18).unwrap_or_default()) {
        1 => 65_536,
        size => size,
    };
    let reserved = u64::from(head.get(20).copied().unwrap_or(0));
    if !(512..=65_536).contains(&size) || !size.is_power_of_two() || reserved > size - 480 {
        return Err("the SQLite header has an impossible page size".into());
    }
    let mut database = Database { file, page_bytes: size, usable: size - reserved, seen: HashSet::new() };
    let mut root = None;
    // sqlite_schema: type, name, tbl_name, rootpage, sql
    database.walk(
        1,
        0,
        &mut |payload| {
            let row = record(payload);
            let is = |index: usize, text: &[u8]| row.get(index).and_then(|v| payload.get(v.clone())) == Some(text);
            if is(0, b"table") && is(1, b"Packages") {
                root = row.get(3).and_then(|v| payload.get(v.clone())).map(big);
            }
        },
        damaged,
    );
    let root = root.and_then(|page| u32::try_from(page).ok()).ok_or("has no table `Packages`")?;
    database.seen.clear();
    database.walk(
        root,
        0,
        &mut |payload| {
            // hnum (the row's number, stored as NULL), blob
            let row = record(payload);
            if let Some(blob) = row.get(1).and_then(|v| payload.get(v.clone())) {
                each(blob);
            }
        },
        damaged,
    );
    Ok(())
}

impl Database<'_> {
    /// Visits the payload of every row below a page of a table's b-tree.
    fn walk(&mut self, page: u32, depth: usize, visit: &mut dyn FnMut(&[u8]), damaged: &mut dyn FnMut(String)) {
        if depth > MAX_DEPTH || !self.seen.insert(page) {
            return damaged(format!("page {page} of the database is part of a loop"));
        }
        let Ok(bytes) = self.page(page) else {
            return damaged(format!("page {page} of the database is missing"));
        };
        // The first page begins with the file's header.
        let start = if page == 1 { 100 } else { 0 };
        let head = bytes.get(start..).unwrap_or_default();
        let cells = big(head.get(3..5).unwrap_or_default()) as usize;
        let (is_leaf, pointers) = match head.first() {
            Some(0x0d) => (true, start + 8),
            Some(0x05) => (false, start + 12),
            _ => return damaged(format!("page {page} of the database is no table page")),
        };
        for index in 0..cells {
            let at = pointers + index * 2;
            let Some(cell) = bytes.get(at..at + 2).and_then(|p| bytes.get(big(p) as usize..)) else {
                return damaged(format!("page {page} of the database is damaged"));
            };
            if is_leaf {
                match self.payload(cell) {
                    Ok(payload) => visit(&payload),
                    Err(error) => damaged(format!("a row on page {page} of the database cannot be read: {error}")),
                }
            } else {
                self.walk(big(cell.get(..4).unwrap_or_default()) as u32, depth + 1, visit, damaged);
            }
        }
        if !is_leaf {
            self.walk(big(head.get(8..12).unwrap_or_default()) as u32, depth + 1, visit, damaged);
        }
    }

    fn page(&self, number: u32) -> io::Result<Vec<u8>> {
        let index = number.checked_sub(1).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.file.slice(u64::from(index) * self.page_bytes, self.page_bytes)
    }

    /// The payload of a leaf cell: its part on the page, then a chain of overflow pages.
    fn payload(&self, cell: &[u8]) -> io::Result<Vec<u8>> {
        let (length, used) = varint(cell);
        let (_, row_id) = varint(cell.get(used..).unwrap_or_default());
        let start = used + row_id;
        if length > MAX_HEADER_BYTES {
            return Err(io::Error::other("it is over the limit of 64 MiB"));
        }
        let most = self.usable - 35;
        let local = if length <= most {
            length
        } else {
            let least = (self.usable - 12) * 32 / 255 - 23;
            let fit = least + (length - least) % (self.usable - 4);
            if fit <= most { fit } else { least }
        };
        let end = start + local as usize;
        let mut payload = cell.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?.to_vec();
        let mut next = if local < length { big(cell.get(end..end + 4).unwrap_or_default()) } else { 0 };
        // Every page gives something, so the length bounds the chain, even a looped one.
        while (payload.len() as u64) < length {
            let page = self.page(u32::try_from(next).map_err(|_| io::ErrorKind::UnexpectedEof)?)?;
            let want = (length - payload.len() as u64).min(self.usable - 4) as usize;
            payload.extend_from_slice(page.get(4..4 + want).ok_or(io::ErrorKind::UnexpectedEof)?);
            next = big(page.get(..4).unwrap_or_default());
        }
        Ok(payload)
    }
}

/// Where each column of a record is in its payload.
fn record(payload: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (header, mut at) = varint(payload);
    let header = (header as usize).min(payload.len());
    let mut body = header;
    let mut columns = Vec::new();
    while at < header && columns.len() < 64 {
        let (kind, used) = varint(payload.get(at..).unwrap_or_default());
        at += used;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            _ => kind.saturating_sub(12) / 2,
        };
        let end = body.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        columns.push(body..end);
        body = end;
    }
    columns
}

/// A number of one to nine bytes, seven bits each, and how many bytes it takes.
fn varint(bytes: &[u8]) -> (u64, usize) {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        if index == 8 {
            return (value << 8 | u64::from(*byte), 9);
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return (value, index + 1);
        }
    }
    (value, bytes.len().max(1))
}
