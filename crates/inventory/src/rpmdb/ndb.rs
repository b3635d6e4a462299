//! Reads RPM's own format `Packages.db` (openSUSE; described in rpm's lib/backend/ndb).

use super::{MAX_HEADER_BYTES, little};
use crate::facts::Trouble;
use crate::fileview::ReadAt;

const PAGE_BYTES: u64 = 4096;
const SLOT_BYTES: usize = 16;
const BLOCK_BYTES: u64 = 16;
/// Pages of slots: a million packages.
const MAX_SLOT_PAGES: u64 = 4096;

/// Calls `each` for the blob of every used slot.
/// # Errors
/// When the slots cannot be read.
pub fn headers(file: &dyn ReadAt, each: &mut dyn FnMut(&[u8]), damaged: &mut dyn FnMut(String)) -> Result<(), Trouble> {
    let head = file.slice(0, 32)?;
    let pages = little(head.get(12..16).unwrap_or_default());
    if pages == 0 || pages > MAX_SLOT_PAGES {
        return Err("the header has an impossible number of slots".into());
    }
    let slots = file.slice(32, pages * PAGE_BYTES - 32)?;
    for slot in slots.chunks_exact(SLOT_BYTES) {
        let word = |at: usize| little(slot.get(at..at + 4).unwrap_or_default());
        let package = word(4);
        if package == 0 {
            continue;
        }
        if !slot.starts_with(b"Slot") {
            damaged("a slot of the database is damaged".to_owned());
            continue;
        }
        match blob(file, word(8) * BLOCK_BYTES, package) {
            Some(blob) => each(&blob),
            None => damaged(format!("package {package} of the database cannot be read")),
        }
    }
    Ok(())
}

fn blob(file: &dyn ReadAt, at: u64, package: u64) -> Option<Vec<u8>> {
    let head = file.slice(at, 16).ok()?;
    let word = |at: usize| little(head.get(at..at + 4).unwrap_or_default());
    let fits = head.starts_with(b"BlbS") && word(4) == package && word(12) <= MAX_HEADER_BYTES;
    if fits { file.slice(at + 16, word(12)).ok() } else { None }
}
