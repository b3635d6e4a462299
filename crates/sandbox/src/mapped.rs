//! A read-only map of an immutable file.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use rustix::io::Errno;

use crate::SandboxError;
use crate::error::{Result, errno};
use crate::sys::memory::ReadMap;

/// A whole file mapped read-only and private.
///
/// The file must not be changed or shortened while it is mapped (replace it by rename instead, as the durable room's
/// `write` does): a change would be seen through the map, and reading beyond a new end raises `SIGBUS`.
#[derive(Debug)]
pub struct MappedFile {
    map: ReadMap,
}

impl MappedFile {
    /// Maps `path`.
    pub fn open(path: &Path) -> Result<Self> {
        File::open(path).and_then(|f| Self::map(&f)).map_err(|e| SandboxError::path("map", path)(errno(&e)))
    }

    /// Maps an open file, which may be closed afterwards.
    pub fn map(file: &File) -> std::io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(|_| Errno::OVERFLOW)?;
        Ok(Self { map: ReadMap::new(file, length)? })
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_holds_the_files_bytes_after_it_was_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, b"first").unwrap();
        let map = MappedFile::open(&path).unwrap();
        std::fs::write(dir.path().join("g"), b"second").unwrap();
        std::fs::rename(dir.path().join("g"), &path).unwrap();
        assert_eq!(&*map, b"first");
    }

    #[test]
    fn an_empty_file_is_an_empty_slice_and_a_missing_one_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("e"), b"").unwrap();
        assert!(MappedFile::open(&dir.path().join("e")).unwrap().is_empty());
        assert!(MappedFile::open(&dir.path().join("none")).unwrap_err().to_string().contains("none"));
    }
}
