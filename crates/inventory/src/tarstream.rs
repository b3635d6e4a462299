//! Reads a tar stream entry by entry with bounded memory, whatever the headers claim.
//!
//! Formats: ustar, GNU (long names, base-256 numbers, old sparse headers) and PAX (`path`, `linkpath`, `size`,
//! sparse names), as in tar(5). Contents of entries nobody asks for are skipped without copying.

use std::io::{self, BufRead, Read};

const BLOCK: u64 = 512;
/// Longest extended header or long name that is read, in bytes. Linux paths end at 4 KiB; xattrs can add 64 KiB.
const MAX_META_BYTES: u64 = 1 << 20;

/// What kind of entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A hard link to an entry before it.
    Hardlink,
    /// Devices, pipes and the rest.
    Other,
}

/// One entry's header.
#[derive(Debug)]
pub struct Entry {
    /// Normalised: no leading slash, no `.` components. Empty for the root.
    pub path: Vec<u8>,
    /// Kind.
    pub kind: Kind,
    /// Bytes of contents that follow.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Target of links, as written for symbolic ones and normalised for hard ones.
    pub link: Vec<u8>,
    /// The contents are stored sparsely, in a form that is not expanded.
    pub sparse: bool,
}

/// What can be wrong with a stream.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream cannot be read, or its compression is broken.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The header makes no sense.
    #[error("damaged tar header at byte {0}")]
    Header(u64),
    /// A long name or extended header is over the bound.
    #[error("an extended header of {0} bytes is over the limit")]
    TooLong(u64),
}

#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

/// Reads entries in turn.
pub struct TarStream<R: BufRead> {
    reader: R,
    /// Contents not read yet, and padding after them.
    left: u64,
    padding: u64,
    offset: u64,
}

impl<R: BufRead> TarStream<R> {
    /// Over a decompressed stream.
    pub fn new(reader: R) -> Self {
        Self { reader, left: 0, padding: 0, offset: 0 }
    }

    /// The next entry, or `None` at the end.
    /// # Errors
    /// When the stream is cut, damaged or over a bound. There is no way on after that.
    pub fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extended = Extended::default();
        loop {
            self.skip_rest()?;
            let at = self.offset;
            let mut header = [0u8; BLOCK as usize];
            if !self.block(&mut header)? || header.iter().all(|b| *b == 0) {
                return Ok(None);
            }
            if !checksum_fits(&header) {
                return Err(TarError::Header(at));
            }
            let size = number(field(&header, 124, 12)).ok_or(TarError::Header(at))?;
            match header.get(156).copied().unwrap_or(0) {
                b'x' => self.pax(size, &mut extended)?,
                b'g' => self.begin(size),
                b'L' => extended.path = Some(self.long_name(size)?),
                b'K' => extended.link = Some(self.long_name(size)?),
                kind => return self.entry(&header, kind, size, extended, at).map(Some),
            }
        }
    }

    fn entry(
        &mut self,
        header: &[u8; BLOCK as usize],
        flag: u8,
        header_size: u64,
        extended: Extended,
        at: u64,
    ) -> Result<Entry, TarError> {
        let mut size = extended.size.unwrap_or(header_size);
        let mut sparse = extended.sparse;
        let raw = extended.path.unwrap_or_else(|| ustar_path(header));
        let mut kind = match flag {
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::Hardlink,
            b'2' => Kind::Symlink,
            b'5' => Kind::Dir,
            _ => Kind::Other,
        };
        if kind == Kind::File && raw.ends_with(b"/") {
            kind = Kind::Dir;
        }
        if flag == b'S' {
            sparse = true;
            self.old_sparse(header)?;
        }
        if matches!(flag, b'1'..=b'6') {
            // Links, devices, directories and pipes have no contents, whatever the size says.
            size = 0;
        }
        self.begin(size);
        let link = extended.link.unwrap_or_else(|| until_zero(field(header, 157, 100)).to_vec());
        let link = if kind == Kind::Hardlink { normalise(&link).unwrap_or_default() } else { link };
        let mode = number(field(header, 100, 8)).unwrap_or(0) as u32 & 0o7777;
        let path = normalise(&raw).ok_or(TarError::Header(at))?;
        Ok(Entry { path, kind, size, mode, link, sparse })
    }

    /// Bytes of the present entry not read yet.
    pub fn remaining(&self) -> u64 {
        self.left
    }

    /// Reads up to `limit` bytes of the present entry, appending to `buffer`.
    /// # Errors
    /// As for [`Self::next`].
    pub fn read_contents(&mut self, limit: u64, buffer: &mut Vec<u8>) -> Result<(), TarError> {
        let wanted = self.left.min(limit);
        // The header's word is not enough to allocate on: grow as bytes really come.
        let got = (&mut self.reader).take(wanted).read_to_end(buffer)? as u64;
        self.left -= got;
        self.offset += got;
        if got < wanted { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) } else { Ok(()) }
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
    }

    fn skip_rest(&mut self) -> Result<(), TarError> {
        let mut left = self.left.saturating_add(self.padding);
        (self.left, self.padding) = (0, 0);
        while left > 0 {
            let have = self.reader.fill_buf()?.len() as u64;
            if have == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let step = have.min(left);
            self.reader.consume(step as usize);
            self.offset = self.offset.saturating_add(step);
            left -= step;
        }
        Ok(())
    }

    /// Fills one block; `false` at a clean end.
    fn block(&mut self, block: &mut [u8; BLOCK as usize]) -> Result<bool, TarError> {
        if self.reader.fill_buf()?.is_empty() {
            return Ok(false);
        }
        self.reader.read_exact(block)?;
        self.offset += BLOCK;
        Ok(true)
    }

    fn meta(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > MAX_META_BYTES {
            return Err(TarError::TooLong(size));
        }
        self.begin(size);
        let mut bytes = Vec::new();
        self.read_contents(size, &mut bytes)?;
        Ok(bytes)
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        let bytes = self.meta(size)?;
        Ok(until_zero(&bytes).to_vec())
    }

    fn pax(&mut self, size: u64, extended: &mut Extended) -> Result<(), TarError> {
        let bytes = self.meta(size)?;
        let mut rest = bytes.as_slice();
        while let Some((key, value, after)) = pax_record(rest) {
            rest = after;
            match key {
                b"path" | b"GNU.sparse.name" => extended.path = Some(value.to_vec()),
                b"linkpath" => extended.link = Some(value.to_vec()),
                b"size" => extended.size = std::str::from_utf8(value).ok().and_then(|s| s.parse().ok()),
                _ => {}
            }
            extended.sparse |= key.starts_with(b"GNU.sparse.");
        }
        Ok(())
    }

    /// Old GNU sparse files may have more header blocks with the map.
    fn old_sparse(&mut self, header: &[u8; BLOCK as usize]) -> Result<(), TarError> {
        let mut more = header.get(482).is_some_and(|b| *b != 0);
        while more {
            let mut block = [0u8; BLOCK as usize];
            if !self.block(&mut block)? {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            more = block.get(504).is_some_and(|b| *b != 0);
        }
        Ok(())
    }
}

fn pax_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|b| *b == b' ')?;
    let length: usize = std::str::from_utf8(bytes.get(..space)?).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length.checked_sub(1)?)?;
    let equals = record.iter().position(|b| *b == b'=')?;
    Some((record.get(..equals)?, record.get(equals + 1..)?, bytes.get(length..)?))
}

fn field(header: &[u8], start: usize, len: usize) -> &[u8] {
    header.get(start..start + len).unwrap_or_default()
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

fn ustar_path(header: &[u8]) -> Vec<u8> {
    let name = until_zero(field(header, 0, 100));
    let prefix = until_zero(field(header, 345, 155));
    if field(header, 257, 6) == b"ustar\0" && !prefix.is_empty() {
        [prefix, b"/", name].concat()
    } else {
        name.to_vec()
    }
}

/// Octal with blanks around, or base-256 when the first bit is set (positive values only).
fn number(bytes: &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    if *first == 0x80 {
        let (high, low) = rest.split_at_checked(rest.len().saturating_sub(8))?;
        if high.iter().any(|b| *b != 0) {
            return None;
        }
        return low.iter().try_fold(0u64, |sum, b| sum.checked_mul(256)?.checked_add(u64::from(*b)));
    }
    let text = std::str::from_utf8(until_zero(bytes)).ok()?.trim();
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

/// The sum counts the checksum field as blanks; some old writers summed signed bytes.
fn checksum_fits(header: &[u8; BLOCK as usize]) -> bool {
    let Some(claimed) = number(field(header, 148, 8)) else { return false };
    let value = |(i, b): (usize, &u8)| if (148..156).contains(&i) { b' ' } else { *b };
    let unsigned: u64 = header.iter().enumerate().map(|e| u64::from(value(e))).sum();
    let signed: i64 = header.iter().enumerate().map(|e| i64::from(value(e) as i8)).sum();
    claimed == unsigned || i64::try_from(claimed) == Ok(signed)
}

/// Takes leading slashes, empty and `.` components away. `..` is resolved within the root, as an unpacker that
/// confines itself would. `None` for a path with a zero byte.
fn normalise(raw: &[u8]) -> Option<Vec<u8>> {
    if raw.contains(&0) {
        return None;
    }
    let mut path = Vec::with_capacity(raw.len());
    for part in raw.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let end = path.iter().rposition(|b| *b == b'/').unwrap_or(0);
                path.truncate(end);
            }
            part => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(part);
            }
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bytes: &[u8]) -> Vec<(String, Kind, u64)> {
        let mut stream = TarStream::new(bytes);
        let mut all = Vec::new();
        while let Some(e) = stream.next().unwrap() {
            all.push((String::from_utf8_lossy(&e.path).into_owned(), e.kind, e.size));
        }
        all
    }

    #[test]
    fn reads_what_the_tar_crate_writes() {
        let mut builder = tar::Builder::new(Vec::new());
        let long = format!("./{}/file", "d".repeat(300));
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o755);
        header.set_cksum();
        builder.append_data(&mut header.clone(), &long, &b"hello"[..]).unwrap();
        builder.append_data(&mut header, "a/../b//c", &b"world"[..]).unwrap_err();
        let mut dir = tar::Header::new_ustar();
        dir.set_entry_type(tar::EntryType::Directory);
        dir.set_size(0);
        builder.append_data(&mut dir, "usr/", &b""[..]).unwrap();
        let bytes = builder.into_inner().unwrap();
        assert_eq!(names(&bytes), [(long[2..].to_owned(), Kind::File, 5), ("usr".to_owned(), Kind::Dir, 0)]);
    }

    #[test]
    fn contents_can_be_read_and_cut_streams_say_so() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        builder.append_data(&mut header, "x", &b"hello"[..]).unwrap();
        let bytes = builder.into_inner().unwrap();
        let mut stream = TarStream::new(bytes.as_slice());
        stream.next().unwrap().unwrap();
        let mut text = Vec::new();
        stream.read_contents(100, &mut text).unwrap();
        assert_eq!(text, b"hello");
        assert!(stream.next().unwrap().is_none());
        let mut cut = TarStream::new(&bytes[..514]);
        cut.next().unwrap().unwrap();
        assert!(cut.next().is_err());
    }

    #[test]
    fn parent_components_stay_inside() {
        assert_eq!(normalise(b"/../a/./b/../../../c").unwrap(), b"c");
        assert_eq!(normalise(b"./").unwrap(), b"");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end(bytes: Vec<u8>) {
            let mut stream = TarStream::new(bytes.as_slice());
            while let Ok(Some(_)) = stream.next() {}
        }
    }
}
