//! Reads zip archives by their central directory, with bounds on everything the archive claims (APPNOTE.TXT 6.3.10).

use std::io::Read;

use crate::facts::Trouble;
use crate::fileview::ReadAt;

/// Bytes of a central directory. A jar with 100,000 classes has about 10 MiB.
const MAX_DIRECTORY_BYTES: u64 = 64 << 20;
/// The end record has at most a 64 KiB comment after it.
const END_SEARCH_BYTES: u64 = (64 << 10) + 22;

/// One file in the archive.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Path in the archive, lossily UTF-8.
    pub name: String,
    method: u16,
    encrypted: bool,
    packed: u64,
    /// Claimed size of the contents.
    pub size: u64,
    offset: u64,
}

/// An archive.
pub struct Zip<'a> {
    source: &'a dyn ReadAt,
    directory: Vec<u8>,
    /// Bytes before the archive (a shell script in front of it), which offsets do not count.
    shift: u64,
}

impl<'a> Zip<'a> {
    /// Finds the central directory.
    /// # Errors
    /// Words about what is wrong.
    pub fn open(source: &'a dyn ReadAt) -> Result<Self, Trouble> {
        let size = source.size();
        let tail_at = size.saturating_sub(END_SEARCH_BYTES);
        let tail = source.slice(tail_at, size - tail_at)?;
        let end = memchr::memmem::rfind(&tail, b"PK\x05\x06")
            .ok_or("no end of a zip archive was found: it is cut or no archive")?;
        let record = tail.get(end..).unwrap_or_default();
        let end_at = tail_at + end as u64;
        let (mut length, mut offset, mut directory_end) =
            (u64::from(u32_at(record, 12)), u64::from(u32_at(record, 16)), end_at);
        if offset == 0xffff_ffff || length == 0xffff_ffff {
            let locator = source.slice(end_at.checked_sub(20).ok_or("the zip64 record is missing")?, 20)?;
            if !locator.starts_with(b"PK\x06\x07") {
                return Err("the zip64 record is missing".into());
            }
            let big_at = u64_at(&locator, 8);
            let big = source.slice(big_at, 56)?;
            if !big.starts_with(b"PK\x06\x06") {
                return Err("the zip64 record is damaged".into());
            }
            (length, offset, directory_end) = (u64_at(&big, 40), u64_at(&big, 48), big_at);
        }
        if length > MAX_DIRECTORY_BYTES {
            return Err("the archive's directory is over the limit of 64 MiB".into());
        }
        let start = directory_end.checked_sub(length).ok_or("the archive's directory is damaged")?;
        let shift = start.checked_sub(offset).ok_or("the archive's directory is damaged")?;
        Ok(Self { source, directory: source.slice(start, length)?, shift })
    }

    /// The entries that `wanted` says yes to, by name. The second value is false when the directory is damaged.
    pub fn entries(&self, wanted: impl Fn(&[u8]) -> bool) -> (Vec<Entry>, bool) {
        let mut found = Vec::new();
        let mut rest = self.directory.as_slice();
        while rest.len() >= 46 {
            if !rest.starts_with(b"PK\x01\x02") {
                return (found, false);
            }
            let lengths = [28, 30, 32].map(|at| usize::from(u16_at(rest, at)));
            let [name_len, extra_len, comment_len] = lengths;
            let (Some(name), Some(extra)) =
                (rest.get(46..46 + name_len), rest.get(46 + name_len..46 + name_len + extra_len))
            else {
                return (found, false);
            };
            if wanted(name) {
                let mut entry = Entry {
                    name: String::from_utf8_lossy(name).into_owned(),
                    method: u16_at(rest, 10),
                    encrypted: u16_at(rest, 8) & 1 != 0,
                    packed: u64::from(u32_at(rest, 20)),
                    size: u64::from(u32_at(rest, 24)),
                    offset: u64::from(u32_at(rest, 42)),
                };
                widen(&mut entry, extra);
                found.push(entry);
            }
            rest = rest.get(46 + name_len + extra_len + comment_len..).unwrap_or_default();
        }
        (found, true)
    }

    /// The contents of an entry, at most `limit` bytes.
    /// # Errors
    /// Words: encrypted, an unknown compression, damage, or over the limit.
    pub fn read(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>, Trouble> {
        if entry.encrypted {
            return Err("is encrypted".into());
        }
        if entry.size > limit {
            return Err(format!("{} bytes are over what is unpacked of one archive", entry.size).into());
        }
        let at = self.shift.saturating_add(entry.offset);
        let header = self.source.slice(at, 30)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err("its header is not where the directory says".into());
        }
        let skip = 30 + u64::from(u16_at(&header, 26)) + u64::from(u16_at(&header, 28));
        let raw = Window { source: self.source, at: at.saturating_add(skip), left: entry.packed };
        let mut out = Vec::new();
        match entry.method {
            0 => raw.take(limit + 1).read_to_end(&mut out)?,
            8 => flate2::read::DeflateDecoder::new(raw)
                .take(limit + 1)
                .read_to_end(&mut out)
                .map_err(|e| Trouble(format!("cannot be decompressed: {e}")))?,
            93 => zstd::stream::read::Decoder::new(raw)
                .and_then(|d| d.take(limit + 1).read_to_end(&mut out))
                .map_err(|e| Trouble(format!("cannot be decompressed: {e}")))?,
            other => return Err(format!("uses the compression method {other}, which is not supported").into()),
        };
        if out.len() as u64 > limit {
            return Err("unpacks to more than the limit".into());
        }
        Ok(out)
    }
}

/// Zip64 sizes, in the order of the fields that were too small.
fn widen(entry: &mut Entry, mut extra: &[u8]) {
    while extra.len() >= 4 {
        let len = usize::from(u16_at(extra, 2));
        if u16_at(extra, 0) == 1 {
            let mut at = 4;
            for field in [&mut entry.size, &mut entry.packed, &mut entry.offset] {
                if *field == 0xffff_ffff {
                    *field = u64_at(extra, at);
                    at += 8;
                }
            }
            return;
        }
        extra = extra.get(4 + len..).unwrap_or_default();
    }
}

struct Window<'a> {
    source: &'a dyn ReadAt,
    at: u64,
    left: u64,
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = self.source.read_at(self.at, buffer.get_mut(..want).unwrap_or_default())?;
        self.at += got as u64;
        self.left -= got as u64;
        Ok(got)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Builds archives for tests.
#[cfg(test)]
pub mod build {
    use std::io::Write;

    /// An archive with these files, deflated.
    pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let (mut out, mut directory) = (Vec::new(), Vec::new());
        for (name, data) in files {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(data).unwrap();
            let packed = encoder.finish().unwrap();
            let offset = out.len() as u32;
            let mut common = Vec::new();
            common.extend_from_slice(&[20, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            common.extend_from_slice(&(packed.len() as u32).to_le_bytes());
            common.extend_from_slice(&(data.len() as u32).to_le_bytes());
            common.extend_from_slice(&(name.len() as u16).to_le_bytes());
            common.extend_from_slice(&[0, 0]);
            out.extend_from_slice(b"PK\x03\x04");
            out.extend_from_slice(&common);
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&packed);
            directory.extend_from_slice(b"PK\x01\x02\x14\0");
            directory.extend_from_slice(&common);
            directory.extend_from_slice(&[0; 10]);
            directory.extend_from_slice(&offset.to_le_bytes());
            directory.extend_from_slice(name.as_bytes());
        }
        let start = out.len() as u32;
        out.extend_from_slice(&directory);
        out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        out.extend_from_slice(&(files.len() as u16).to_le_bytes());
        out.extend_from_slice(&(files.len() as u16).to_le_bytes());
        out.extend_from_slice(&(directory.len() as u32).to_le_bytes());
        out.extend_from_slice(&start.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_and_prefixes() {
        let plain = build::zip(&[("a/b.txt", b"hello"), ("c", &[7; 10_000])]);
        for prefix in [&b""[..], b"#!/bin/sh\nexec java -jar \"$0\"\n"] {
            let file = [prefix, &plain].concat();
            let zip = Zip::open(&file).unwrap();
            let (entries, whole) = zip.entries(|_| true);
            assert!(whole);
            assert_eq!(entries.len(), 2);
            assert_eq!(zip.read(&entries[0], 100).unwrap(), b"hello");
            assert_eq!(zip.read(&entries[1], 10_000).unwrap().len(), 10_000);
            assert!(zip.read(&entries[1], 9_999).is_err());
        }
    }

    #[test]
    fn a_size_that_lies_is_caught() {
        let mut file = build::zip(&[("c", &[7; 10_000])]);
        let at = memchr::memmem::find(&file, b"PK\x01\x02").unwrap();
        file[at + 24..at + 28].copy_from_slice(&1u32.to_le_bytes());
        let zip = Zip::open(&file).unwrap();
        let (entries, _) = zip.entries(|_| true);
        assert!(zip.read(&entries[0], 100).is_err());
    }

    proptest::proptest! {
        #[test]
        fn damage_does_not_panic(at in 0usize..200, byte: u8, cut in 0usize..300) {
            let mut file = build::zip(&[("a/b.txt", b"hello"), ("c", b"world")]);
            if let Some(b) = file.get_mut(at) { *b = byte; }
            file.truncate(cut.max(20));
            if let Ok(zip) = Zip::open(&file) {
                for entry in zip.entries(|_| true).0 { let _ = zip.read(&entry, 1000); }
            }
        }
    }
}
