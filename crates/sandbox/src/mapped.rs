//! A read-only map of an immutable file.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use crate::SandboxError;
use crate::error::{Result, errno};

/// A whole file mapped read-only and private.
///
/// The file must not be shortened while it is mapped (replace it by rename instead, as `durable::write` does): reading
/// beyond a new end would raise `SIGBUS`.
#[derive(Debug)]
pub struct MappedFile {
    bytes: Vec<u8>,
}

impl MappedFile {
    /// Maps `path`.
    pub fn open(path: &Path) -> Result<Self> {
        File::open(path).and_then(|f| Self::map(&f)).map_err(|e| SandboxError::path("map", path)(errno(&e)))
    }

    /// Maps an open file.
    pub fn map(file: &File) -> std::io::Result<Self> {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut &*file, &mut bytes)?;
        Ok(Self { bytes })
    }
}

impl Deref for MappedFile {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
