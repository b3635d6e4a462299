//! A few blocks set aside, so that images can be removed from a store on a full disk: removal itself must write.

use std::fs;
use std::path::{Path, PathBuf};

use super::Store;
use crate::error::Result;

/// Size of the reserve: an index with some 600 names, a session's directory, and change.
const RESERVE_BYTES: usize = 256 * 1024;

impl Store {
    /// Sets the reserve aside if it is not there. On a disk that is full already there is none.
    pub(super) fn keep_reserve(&self) {
        let path = reserve_path(self.root());
        if fs::metadata(&path).is_ok_and(|m| m.len() == RESERVE_BYTES as u64) {
            return;
        }
        // Bytes that no file system compresses to nothing.
        let noise: Vec<u8> =
            (0u32..).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).take(RESERVE_BYTES).collect();
        if fs::write(&path, noise).is_err() {
            let _ = fs::remove_file(&path);
        }
    }

    /// Runs `change`; if there is no space for it, gives the reserve away and runs it again.
    pub(super) fn with_reserve<T>(&self, mut change: impl FnMut() -> Result<T>) -> Result<T> {
        match change() {
            Err(error) if error.is_no_space() => {
                if fs::remove_file(reserve_path(self.root())).is_err() {
                    return Err(error);
                }
                change()
            }
            other => other,
        }
    }
}

fn reserve_path(root: &Path) -> PathBuf {
    root.join("locks/reserve")
}
