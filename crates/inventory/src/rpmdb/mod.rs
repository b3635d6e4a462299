//! RPM's databases: three file formats that all hold package headers as blobs.

use crate::facts::Trouble;
use crate::fileview::ReadAt;

mod berkeley;
pub mod header;
mod ndb;
mod sqlite;

/// Largest header accepted, in bytes. The kernel's package, with 10,000 files, has about 2 MiB.
const MAX_HEADER_BYTES: u64 = 64 << 20;

/// Calls `each` with every package header in the database, whichever format it has. Damage of single records goes to
/// `damaged`, in words.
/// # Errors
/// When the format is not recognised or the file's own structure is broken.
pub fn headers(file: &dyn ReadAt, each: &mut dyn FnMut(&[u8]), damaged: &mut dyn FnMut(String)) -> Result<(), Trouble> {
    let mut head = [0u8; 32];
    let got = file.read_at(0, &mut head)?;
    if got == 0 {
        return Err("the database is empty".into());
    }
    if head.starts_with(b"SQLite format 3\0") {
        sqlite::headers(file, each, damaged)
    } else if head.starts_with(b"RpmP") {
        ndb::headers(file, each, damaged)
    } else if berkeley::is_hash(&head) {
        berkeley::headers(file, each, damaged)
    } else {
        Err("is none of the known formats of RPM's database".into())
    }
}

/// A number of up to eight bytes, highest first.
fn big(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// A number of up to eight bytes, lowest first.
fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
