//! A reader for ZIP archives of advisories: stored and deflated entries, ZIP64, checked by size and CRC-32.
//!
//! Only the central directory is trusted for sizes, as APPNOTE.TXT 4.3.12 has it; local headers are used to find where
//! an entry's data starts. An entry passes [`MAX_ENTRY_BYTES`] at most, so that a bomb cannot fill the memory.

use crate::error::DbError;
use std::io::Read;

/// Largest uncompressed entry. The largest advisory published so far (a kernel CVE of all distributions) is under 4 MB;
/// Debian's whole tracker as one JSON file is about 60 MB.
pub const MAX_ENTRY_BYTES: u64 = 512 << 20;

const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const END64_LOCATOR: u32 = 0x0706_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const LOCAL: u32 = 0x0403_4b50;

/// An archive in memory.
#[derive(Debug)]
pub struct Archive<'a> {
    bytes: &'a [u8],
    /// Entries in the order of the central directory.
    pub entries: Vec<Entry>,
}

/// One file of an archive.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name, as stored. It is never used as a path on disk.
    pub name: String,
    method: u16,
    crc32: u32,
    compressed: u64,
    uncompressed: u64,
    local_header: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// Whether the bytes start like a ZIP archive.
pub fn is_zip(bytes: &[u8]) -> bool {
    matches!(u32_at(bytes, 0), Some(LOCAL | END))
}

impl<'a> Archive<'a> {
    /// Reads the central directory. `name` is for messages.
    pub fn open(name: &str, bytes: &'a [u8]) -> Result<Self, DbError> {
        Self::read_directory(bytes)
            .ok_or_else(|| DbError::input(name, "not a readable ZIP archive (truncated, or no end record)"))
    }

    fn read_directory(bytes: &'a [u8]) -> Option<Self> {
        let end = find_end(bytes)?;
        let mut count = u64::from(u16_at(bytes, end + 10)?);
        let mut at = u64::from(u32_at(bytes, end + 16)?);
        if let Some(locator) = end.checked_sub(20).filter(|l| u32_at(bytes, *l) == Some(END64_LOCATOR)) {
            let end64 = usize::try_from(u64_at(bytes, locator + 8)?).ok()?;
            if u32_at(bytes, end64)? != END64 {
                return None;
            }
            count = u64_at(bytes, end64.checked_add(32)?)?;
            at = u64_at(bytes, end64.checked_add(48)?)?;
        }
        let mut at = usize::try_from(at).ok()?;
        // An entry of the directory takes at least 46 bytes: a larger count is a lie, and reserves nothing.
        let mut entries = Vec::with_capacity(usize::try_from(count).ok()?.min(bytes.len() / 46));
        for _ in 0..count {
            let (entry, next) = read_entry(bytes, at)?;
            entries.push(entry);
            at = next;
        }
        Some(Archive { bytes, entries })
    }

    /// The content of an entry, checked against its size and CRC-32.
    pub fn read(&self, entry: &Entry) -> Result<Vec<u8>, DbError> {
        let wrong = |why: &str| DbError::input(&entry.name, why);
        if entry.uncompressed > MAX_ENTRY_BYTES {
            return Err(wrong("larger than 512 MiB uncompressed"));
        }
        let data = self.data(entry).ok_or_else(|| wrong("its data lies outside the archive"))?;
        let mut out =
            Vec::with_capacity(usize::try_from(entry.uncompressed).unwrap_or(0).min(data.len().saturating_mul(64)));
        match entry.method {
            0 => out.extend_from_slice(data),
            8 => {
                flate2::read::DeflateDecoder::new(data)
                    .take(entry.uncompressed + 1)
                    .read_to_end(&mut out)
                    .map_err(|e| wrong(&format!("cannot be inflated: {e}")))?;
            }
            other => {
                return Err(wrong(&format!("compression method {other} is not supported (stored and deflate are)")));
            }
        }
        if out.len() as u64 != entry.uncompressed {
            return Err(wrong("its size is not the one in the directory"));
        }
        let mut crc = flate2::Crc::new();
        crc.update(&out);
        if crc.sum() != entry.crc32 {
            return Err(wrong("its CRC-32 does not agree: the archive is damaged"));
        }
        Ok(out)
    }

    fn data(&self, entry: &Entry) -> Option<&'a [u8]> {
        let at = usize::try_from(entry.local_header).ok()?;
        if u32_at(self.bytes, at)? != LOCAL {
            return None;
        }
        let name = usize::from(u16_at(self.bytes, at.checked_add(26)?)?);
        let extra = usize::from(u16_at(self.bytes, at + 28)?);
        let start = at.checked_add(30 + name + extra)?;
        self.bytes.get(start..start.checked_add(usize::try_from(entry.compressed).ok()?)?)
    }
}

fn find_end(bytes: &[u8]) -> Option<usize> {
    // The end record is 22 bytes and a comment of at most 65535.
    let last = bytes.len().checked_sub(22)?;
    (last.saturating_sub(65_535)..=last).rev().find(|at| u32_at(bytes, *at) == Some(END))
}

fn read_entry(bytes: &[u8], at: usize) -> Option<(Entry, usize)> {
    if u32_at(bytes, at)? != CENTRAL {
        return None;
    }
    let name_bytes = usize::from(u16_at(bytes, at.checked_add(28)?)?);
    let extra_bytes = usize::from(u16_at(bytes, at + 30)?);
    let comment_bytes = usize::from(u16_at(bytes, at + 32)?);
    let name_at = at.checked_add(46)?;
    let extra_at = name_at.checked_add(name_bytes)?;
    let mut entry = Entry {
        name: String::from_utf8_lossy(bytes.get(name_at..extra_at)?).into_owned(),
        method: u16_at(bytes, at + 10)?,
        crc32: u32_at(bytes, at + 16)?,
        compressed: u64::from(u32_at(bytes, at + 20)?),
        uncompressed: u64::from(u32_at(bytes, at + 24)?),
        local_header: u64::from(u32_at(bytes, at + 42)?),
    };
    let extra = bytes.get(extra_at..extra_at.checked_add(extra_bytes)?)?;
    apply_zip64(&mut entry, extra);
    Some((entry, extra_at + extra_bytes + comment_bytes))
}

/// Takes the sizes that did not fit in 32 bits from extra field 1 (APPNOTE.TXT 4.5.3).
fn apply_zip64(entry: &mut Entry, extra: &[u8]) {
    let mut at = 0;
    while let (Some(kind), Some(size)) = (u16_at(extra, at), u16_at(extra, at + 2)) {
        let field = extra.get(at + 4..at + 4 + usize::from(size)).unwrap_or_default();
        if kind == 1 {
            let mut next = 0;
            for value in [&mut entry.uncompressed, &mut entry.compressed, &mut entry.local_header] {
                if *value == u64::from(u32::MAX) {
                    if let Some(long) = u64_at(field, next) {
                        *value = long;
                    }
                    next += 8;
                }
            }
        }
        at += 4 + usize::from(size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A small archive with one stored and one deflated entry, made by hand.
    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        let mut directory = Vec::new();
        for (name, content, method) in [("a.json", &b"{\"id\":\"A\"}"[..], 0u16), ("b.json", &[b'x'; 5000][..], 8)] {
            let mut crc = flate2::Crc::new();
            crc.update(content);
            let data = if method == 8 {
                let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(content).unwrap();
                encoder.finish().unwrap()
            } else {
                content.to_vec()
            };
            let at = out.len() as u32;
            let mut common = Vec::new();
            common.extend(20u16.to_le_bytes());
            common.extend(0u16.to_le_bytes());
            common.extend(method.to_le_bytes());
            common.extend([0; 4]);
            common.extend(crc.sum().to_le_bytes());
            common.extend((data.len() as u32).to_le_bytes());
            common.extend((content.len() as u32).to_le_bytes());
            common.extend((name.len() as u16).to_le_bytes());
            common.extend(0u16.to_le_bytes());
            out.extend(LOCAL.to_le_bytes());
            out.extend(&common);
            out.extend(name.as_bytes());
            out.extend(data);
            directory.extend(CENTRAL.to_le_bytes());
            directory.extend(20u16.to_le_bytes());
            directory.extend(&common);
            directory.extend([0; 10]);
            directory.extend(at.to_le_bytes());
            directory.extend(name.as_bytes());
        }
        let (at, size) = (out.len() as u32, directory.len() as u32);
        out.extend(directory);
        out.extend(END.to_le_bytes());
        out.extend([0; 4]);
        out.extend(2u16.to_le_bytes());
        out.extend(2u16.to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend(at.to_le_bytes());
        out.extend(0u16.to_le_bytes());
        out
    }

    #[test]
    fn reads_stored_and_deflated_entries() {
        let bytes = sample();
        let archive = Archive::open("sample", &bytes).unwrap();
        assert_eq!(archive.entries.len(), 2);
        assert_eq!(archive.read(&archive.entries[0]).unwrap(), b"{\"id\":\"A\"}");
        assert_eq!(archive.read(&archive.entries[1]).unwrap(), vec![b'x'; 5000]);
    }

    #[test]
    fn a_changed_byte_is_found_by_the_crc() {
        let mut bytes = sample();
        bytes[40] ^= 1;
        let archive = Archive::open("sample", &bytes).unwrap();
        let error = archive.read(&archive.entries[0]).unwrap_err();
        assert!(error.to_string().contains("CRC-32"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn any_damage_is_an_error_or_right_never_a_panic(flips in proptest::collection::vec((0usize..400, 0u8..=255), 0..8), cut in 0usize..400) {
            let mut bytes = sample();
            for (at, value) in flips {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            let keep = bytes.len() - cut.min(bytes.len());
            bytes.truncate(keep.max(1));
            if let Ok(archive) = Archive::open("sample", &bytes) {
                for entry in &archive.entries {
                    let _ = archive.read(entry);
                }
            }
        }
    }
}
