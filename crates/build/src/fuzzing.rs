//! Doors for the fuzz targets. No interface: anything here may change.

use std::path::Path;

use crate::git::{self, Address};

/// Bytes as an archive for `ADD`, or as a context.
pub fn archive(file: &Path, into: &Path) {
    if let Ok(Some(archive)) = crate::archive::open(file) {
        let _ = archive.listed_directories();
        let _ = crate::archive::unpack_plain(archive, into);
    }
}

/// Bytes as a pack.
pub fn git_pack(bytes: &[u8], dir: &Path) {
    let _ = git::read_pack(bytes, &dir.join("objects"));
}

/// Bytes as lines of the protocol.
pub fn git_lines(bytes: &[u8]) {
    let _ = git::read_lines(bytes);
}

/// Text as an address.
pub fn git_address(text: &str) {
    if let Ok(address) = Address::parse(text) {
        let _ = (address.shown(), address.host(), address.beside(text, "x"));
    }
}
