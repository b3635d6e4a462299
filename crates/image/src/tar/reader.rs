//! Reads an archive entry by entry, with bounded memory.

use std::io::{self, BufRead, BufReader, Read};

use super::header::{Dialect, Header, number};
use super::pax::Extended;
use super::writer::{BLOCK, padding};
use super::{Entry, Kind, sparse};
use crate::error::{ImageError, Result, shown};
use crate::layer::Limits;

/// Read-ahead between the decompressor and the headers, in bytes: entries of small files cost no call each.
const BUFFER_BYTES: usize = 128 * 1024;

/// Reads an archive entry by entry. After [`TarReader::next_entry`] gave a file, its data is read through [`Read`]:
/// for a sparse file that is the stored data, segment after segment. What is not read is skipped.
#[derive(Debug)]
pub struct TarReader<R: Read> {
    input: BufReader<R>,
    limits: Limits,
    /// Bytes of the current entry's data that have not been read.
    data_left: u64,
    /// Bytes to the next header after the data.
    padding: u64,
    entries: u64,
    total: u64,
    finished: bool,
}

pub(super) fn malformed(path: &[u8], reason: &str) -> ImageError {
    ImageError::malformed(format!("tar entry `{}`", shown(path)), reason)
}

impl<R: Read> TarReader<R> {
    /// Reads from `input`, which is not compressed.
    pub fn new(input: R, limits: &Limits) -> TarReader<R> {
        TarReader {
            input: BufReader::with_capacity(BUFFER_BYTES, input),
            limits: limits.clone(),
            data_left: 0,
            padding: 0,
            entries: 0,
            total: 0,
            finished: false,
        }
    }

    /// Entries read so far.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The input, to read what follows the end of the archive.
    pub fn into_inner(self) -> BufReader<R> {
        self.input
    }

    /// The next entry, `None` at the end of the archive.
    ///
    /// Errors: `Truncated`, `Malformed` with the entry's name, `OverLimit`, and those of the input.
    pub fn next_entry(&mut self) -> Result<Option<Entry>> {
        let mut extended = Extended::default();
        let mut extended_bytes = 0u64;
        loop {
            self.skip_rest()?;
            if self.finished {
                return Ok(None);
            }
            let Some(header) = self.read_header()? else {
                self.finished = true;
                return Ok(None);
            };
            match header.type_flag() {
                b'x' | b'X' => extended.add(&self.read_meta(&header, &mut extended_bytes)?)?,
                b'L' => extended.gnu_path = Some(until_nul(self.read_meta(&header, &mut extended_bytes)?)),
                b'K' => extended.gnu_link = Some(until_nul(self.read_meta(&header, &mut extended_bytes)?)),
                // Defaults for all later entries: read, and like docker's reader not applied.
                b'g' => drop(self.read_meta(&header, &mut 0)?),
                // A volume label or the names of an incremental backup: nothing that exists in a file system.
                b'V' | b'D' => self.set_data(field(header.size(), &header.path(), "size")?),
                _ => return self.entry(&header, extended).map(Some),
            }
        }
    }

    /// `None` at the end of the archive: a block of zeros, or the end of the input where a header would begin.
    fn read_header(&mut self) -> Result<Option<Header>> {
        let mut block = [0u8; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.truncated("in a header")),
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.input_error(e)),
            }
        }
        let header = Header(block);
        if header.is_zero() {
            return Ok(None);
        }
        if !header.checksum_is_right() {
            return Err(ImageError::malformed(
                "tar archive",
                format!(
                    "the header after {} entries has a wrong checksum: this is no tar, or it is damaged",
                    self.entries
                ),
            ));
        }
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(self.over("the count of entries", self.limits.entries, "entries"));
        }
        Ok(Some(header))
    }

    /// The body of an extended header or long name. All of one entry share one limit.
    fn read_meta(&mut self, header: &Header, used: &mut u64) -> Result<Vec<u8>> {
        let size = header.size().and_then(|s| u64::try_from(s).ok());
        let size = size.ok_or_else(|| malformed(&header.path(), "its size is no number"))?;
        *used = used.saturating_add(size);
        if *used > self.limits.pax_bytes {
            return Err(self.over("an extended tar header", self.limits.pax_bytes, "bytes"));
        }
        self.set_data(size);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        self.read_data_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// What follows the header: `size` bytes of data, then padding.
    fn set_data(&mut self, size: u64) {
        self.data_left = size;
        self.padding = padding(size);
    }

    fn entry(&mut self, header: &Header, extended: Extended) -> Result<Entry> {
        let Extended { path, link, size, uid, gid, mtime, xattrs, sparse, gnu_path, gnu_link } = extended;
        let path = gnu_path.or(sparse.name.clone()).or(path).unwrap_or_else(|| header.path());
        let link = gnu_link.or(link).unwrap_or_else(|| header.link().to_vec());
        let kind = kind_of(header, &path)?;
        let size = match size {
            _ if kind != Kind::File => 0,
            Some(size) => size,
            None => field(header.size(), &path, "size")?,
        };
        self.set_data(size);
        let path = trimmed(path);
        self.check_path(&path, &link)?;
        let (mtime, mtime_nanos) = match mtime {
            Some(time) => time,
            None => (header.mtime().ok_or_else(|| malformed(&path, "its time is no number"))?, 0),
        };
        let (major, minor) = header.device().unwrap_or((0, 0));
        let mut entry = Entry {
            kind,
            mode: u32::try_from(field::<u64>(header.mode(), &path, "mode")? & 0o7777).unwrap_or(0),
            uid: uid.map_or_else(|| field(header.uid(), &path, "owner"), Ok)?,
            gid: gid.map_or_else(|| field(header.gid(), &path, "group"), Ok)?,
            size,
            mtime,
            mtime_nanos,
            link,
            device: (u32::try_from(major).unwrap_or(0), u32::try_from(minor).unwrap_or(0)),
            xattrs,
            sparse: None,
            path,
        };
        if kind == Kind::File {
            self.read_sparse_map(header, &sparse, &mut entry)?;
        }
        self.total = self.total.saturating_add(entry.size);
        if self.total > self.limits.total_bytes {
            return Err(self.over("the content of the tar", self.limits.total_bytes, "bytes"));
        }
        Ok(entry)
    }

    fn check_path(&self, path: &[u8], link: &[u8]) -> Result<()> {
        let limit = self.limits.path_bytes;
        if path.len() as u64 > limit || link.len() as u64 > limit {
            return Err(self.over(&format!("the path `{}…`", shown(path.get(..60).unwrap_or(path))), limit, "bytes"));
        }
        if path.contains(&0) || link.contains(&0) {
            return Err(malformed(path, "its path holds NUL"));
        }
        Ok(())
    }

    /// Turns any of the four sparse forms into `entry.sparse` and the real size.
    fn read_sparse_map(&mut self, header: &Header, keys: &super::pax::SparseKeys, entry: &mut Entry) -> Result<()> {
        let path = entry.path.clone();
        let numbers = if header.type_flag() == b'S' && header.dialect() == Dialect::Gnu {
            let (size, numbers) = self.read_gnu_sparse(header, &path)?;
            entry.size = size;
            numbers
        } else if keys.version.is_some_and(|(major, _)| major >= 1) {
            if keys.version != Some((1, 0)) {
                return Err(malformed(&path, "its sparse format is newer than 1.0"));
            }
            entry.size = keys.real_size.ok_or_else(|| malformed(&path, "its real size is missing"))?;
            sparse::read_decimal_map(|| self.read_data_block(), &path)?
        } else if !keys.map.is_empty() {
            entry.size = keys.real_size.ok_or_else(|| malformed(&path, "its real size is missing"))?;
            keys.map.clone()
        } else {
            return Ok(());
        };
        entry.sparse = Some(sparse::check(&numbers, entry.size, self.data_left, &path)?);
        Ok(())
    }

    /// GNU's old form: four segments in the header, 21 in each extension block.
    fn read_gnu_sparse(&mut self, header: &Header, path: &[u8]) -> Result<(u64, Vec<u64>)> {
        let (first, mut more, real_size) = header.gnu_sparse();
        let real_size = field(real_size, path, "real size")?;
        let mut numbers = Vec::new();
        push_octal(&mut numbers, first, path)?;
        // The extension blocks lie between the header and the data.
        while more {
            let mut block = [0u8; BLOCK];
            self.input.read_exact(&mut block).map_err(|e| self.input_error(e))?;
            let (segments, rest) = block.split_at(504);
            push_octal(&mut numbers, segments, path)?;
            more = rest.first().is_some_and(|b| *b != 0);
            if numbers.len() > sparse::MAX_SEGMENTS * 2 {
                return Err(sparse::too_many(path));
            }
        }
        Ok((real_size, numbers))
    }

    fn read_data_block(&mut self) -> Result<[u8; BLOCK]> {
        let mut block = [0u8; BLOCK];
        self.read_data_exact(&mut block)?;
        Ok(block)
    }

    fn read_data_exact(&mut self, mut buf: &mut [u8]) -> Result<()> {
        while !buf.is_empty() {
            match self.read(buf) {
                Ok(0) => return Err(self.truncated("in an extended header")),
                Ok(n) => buf = &mut buf[n..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.input_error(e)),
            }
        }
        Ok(())
    }

    /// Moves to the next header.
    fn skip_rest(&mut self) -> Result<()> {
        let mut left = self.data_left + self.padding;
        let in_padding_only = self.data_left == 0;
        (self.data_left, self.padding) = (0, 0);
        while left > 0 {
            let available = self.input.fill_buf().map(<[u8]>::len);
            match available {
                // Go's and GNU's writers may leave out the padding of the last entry.
                Ok(0) if in_padding_only => return Ok(()),
                Ok(0) => return Err(self.truncated("in the data of a file")),
                Ok(n) => {
                    let step = n.min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.input.consume(step);
                    left -= step as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.input_error(e)),
            }
        }
        Ok(())
    }

    fn truncated(&self, place: &str) -> ImageError {
        ImageError::Truncated {
            what: "tar archive".into(),
            detail: format!("it ends {place}, after {} entries", self.entries),
        }
    }

    fn input_error(&self, error: io::Error) -> ImageError {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return match error.downcast::<ImageError>() {
                Ok(inner) => inner,
                Err(_) => self.truncated("early"),
            };
        }
        ImageError::io("read", "tar archive", error)
    }

    fn over(&self, what: &str, limit: u64, unit: &'static str) -> ImageError {
        ImageError::OverLimit { what: what.to_owned(), limit, unit }
    }
}

/// Data of the current entry, from the buffer that the headers come from too.
impl<R: Read> BufRead for TarReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.data_left == 0 {
            return Ok(&[]);
        }
        if self.input.fill_buf()?.is_empty() {
            return Err(self.truncated("in the data of a file").into());
        }
        let limit = usize::try_from(self.data_left).unwrap_or(usize::MAX);
        let buffer = self.input.buffer();
        Ok(buffer.get(..limit).unwrap_or(buffer))
    }

    fn consume(&mut self, amount: usize) {
        self.input.consume(amount);
        self.data_left = self.data_left.saturating_sub(amount as u64);
    }
}

/// Data of the current entry.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let limit = buf.len().min(usize::try_from(self.data_left).unwrap_or(usize::MAX));
        let Some(buf) = buf.get_mut(..limit).filter(|b| !b.is_empty()) else { return Ok(0) };
        let n = self.input.read(buf)?;
        if n == 0 {
            return Err(self.truncated("in the data of a file").into());
        }
        self.data_left -= n as u64;
        Ok(n)
    }
}

fn kind_of(header: &Header, path: &[u8]) -> Result<Kind> {
    Ok(match header.type_flag() {
        0 if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => {
            return Err(ImageError::Unsupported {
                what: format!("tar entry `{}`", shown(path)),
                reason: format!("its type `{}` is unknown", other.escape_ascii()),
            });
        }
    })
}

/// A header number that must fit `T`.
fn field<T: TryFrom<i64>>(value: Option<i64>, path: &[u8], name: &str) -> Result<T> {
    value.and_then(|v| T::try_from(v).ok()).ok_or_else(|| malformed(path, &format!("its {name} is out of range")))
}

fn push_octal(numbers: &mut Vec<u64>, segments: &[u8], path: &[u8]) -> Result<()> {
    for pair in segments.as_chunks::<24>().0 {
        let (offset, length) = pair.split_at(12);
        if offset.first() == Some(&0) || length.first() == Some(&0) {
            break;
        }
        numbers.push(field(number(offset), path, "sparse map")?);
        numbers.push(field(number(length), path, "sparse map")?);
    }
    Ok(())
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|b| *b == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn trimmed(mut path: Vec<u8>) -> Vec<u8> {
    while path.len() > 1 && path.ends_with(b"/") {
        path.pop();
    }
    path
}

/// Reads a whole archive from memory and gives its entries with the sum of their stored bytes: for tests and fuzzing.
pub fn read_all(bytes: &[u8], limits: &Limits) -> Result<Vec<(Entry, u64)>> {
    let mut reader = TarReader::new(bytes, limits);
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let stored = io::copy(&mut reader, &mut io::sink()).map_err(|e| reader.input_error(e))?;
        found.push((entry, stored));
    }
    Ok(found)
}
