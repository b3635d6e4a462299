//! What an analyser gets to see of a file: its path, mode and contents, read at any offset.

use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use crate::elf::Elf;

/// Contents that can be read at any offset.
pub trait ReadAt: Sync {
    /// Bytes in it.
    fn size(&self) -> u64;
    /// Reads at `offset` up to the buffer's length; 0 at the end.
    /// # Errors
    /// The system's, for files.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// The contents when they are in memory already.
    fn in_memory(&self) -> Option<&[u8]> {
        None
    }

    /// Fills the buffer from `offset`.
    /// # Errors
    /// `UnexpectedEof` when the contents end before.
    fn read_exact_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let got = self.read_at(offset, buffer)?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            offset = offset.saturating_add(got as u64);
            buffer = buffer.get_mut(got..).unwrap_or_default();
        }
        Ok(())
    }

    /// `len` bytes from `offset`, which must all be inside the contents.
    /// # Errors
    /// `UnexpectedEof` when they are not; nothing is allocated then.
    fn slice(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let end = offset.checked_add(len).filter(|end| *end <= self.size());
        let (Some(_), Ok(count)) = (end, usize::try_from(len)) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let mut bytes = vec![0; count];
        self.read_exact_at(offset, &mut bytes)?;
        Ok(bytes)
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.get(start..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }
    fn in_memory(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.len() as u64
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.as_slice().read_at(offset, buffer)
    }
    fn in_memory(&self) -> Option<&[u8]> {
        Some(self)
    }
}

/// A file whose size was asked for once.
pub struct SizedFile<'a> {
    file: &'a File,
    size: u64,
}

impl<'a> SizedFile<'a> {
    /// `size` as `fstat` gave it.
    pub fn new(file: &'a File, size: u64) -> Self {
        Self { file, size }
    }
}

impl ReadAt for SizedFile<'_> {
    fn size(&self) -> u64 {
        self.size
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read_at(buffer, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// Contents that can be read until a moment, and not afterwards: what is damaged or made to hurt must not take for ever.
pub struct Timed<'a> {
    inner: &'a dyn ReadAt,
    end: Option<Instant>,
    limit: Duration,
}

impl<'a> Timed<'a> {
    /// The time starts now.
    pub fn new(inner: &'a dyn ReadAt, limit: Duration) -> Self {
        Self { inner, end: Instant::now().checked_add(limit), limit }
    }
}

impl ReadAt for Timed<'_> {
    fn size(&self) -> u64 {
        self.inner.size()
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if self.end.is_some_and(|end| Instant::now() >= end) {
            let why = format!("looking into it takes longer than {} s", self.limit.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        self.inner.read_at(offset, buffer)
    }
    fn in_memory(&self) -> Option<&[u8]> {
        self.inner.in_memory()
    }
}

/// One file, as an analyser sees it.
pub struct FileView<'a> {
    /// Path relative to the root, lossily UTF-8.
    pub path: &'a str,
    source: &'a dyn ReadAt,
    scratch: &'a mut Vec<u8>,
    loaded: bool,
    elf: OnceCell<Option<Elf>>,
}

impl<'a> FileView<'a> {
    /// `scratch` is a buffer that is used again for the next file.
    pub fn new(path: &'a str, source: &'a dyn ReadAt, scratch: &'a mut Vec<u8>) -> Self {
        Self { path, source, scratch, loaded: false, elf: OnceCell::new() }
    }

    /// The last component of the path.
    pub fn name(&self) -> &'a str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The directory the file is in; empty at the root.
    pub fn dir(&self) -> &'a str {
        self.path.rsplit_once('/').map_or("", |(dir, _)| dir)
    }

    /// Random access to the contents.
    pub fn source(&self) -> &'a dyn ReadAt {
        self.source
    }

    /// The tables of an ELF file, read once for all analysers; `None` for other files and unreadable ones.
    pub fn elf(&self) -> Option<&Elf> {
        self.elf.get_or_init(|| Elf::open(self.source).ok().flatten()).as_ref()
    }

    /// All contents. The driver has checked the size against the analyser's limit.
    /// # Errors
    /// The system's.
    pub fn all(&mut self) -> io::Result<&[u8]> {
        if let Some(bytes) = self.source.in_memory() {
            return Ok(bytes);
        }
        if !self.loaded {
            let size = usize::try_from(self.source.size()).map_err(|_| io::ErrorKind::OutOfMemory)?;
            self.scratch.clear();
            self.scratch.resize(size, 0);
            let mut filled = 0;
            while let Some(rest) = self.scratch.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match self.source.read_at(filled as u64, rest)? {
                    0 => break,
                    got => filled += got,
                }
            }
            self.scratch.truncate(filled);
            self.loaded = true;
        }
        Ok(self.scratch)
    }

    /// All contents as text; bytes that are not UTF-8 are replaced.
    /// # Errors
    /// The system's.
    pub fn text(&mut self) -> io::Result<std::borrow::Cow<'_, str>> {
        Ok(String::from_utf8_lossy(self.all()?))
    }
}
