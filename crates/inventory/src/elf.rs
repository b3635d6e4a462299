//! The little of ELF that is needed: sections and segments by position (elf(5)).

use std::io;

use crate::fileview::ReadAt;

/// Sections or segments that are looked at. Real programs have under a hundred; debug builds of C++ reach thousands.
const MAX_TABLE: u64 = 16_384;
/// Bytes of section names.
const MAX_NAMES_BYTES: u64 = 4 << 20;

/// A part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Where it is in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub size: u64,
    /// Where it is in memory.
    pub address: u64,
    /// May be written to in memory (segments only).
    pub writable: bool,
}

/// An opened ELF file.
pub struct Elf {
    /// 8 or 4.
    pub pointer_bytes: u64,
    /// Numbers have their lowest byte first.
    pub little: bool,
    sections: Vec<(Vec<u8>, Part)>,
    /// Loaded segments.
    pub segments: Vec<Part>,
}

impl Elf {
    /// Reads the tables. `None` when the file is no ELF file; damaged tables count as empty.
    /// # Errors
    /// The system's.
    pub fn open(file: &dyn ReadAt) -> io::Result<Option<Self>> {
        let mut head = [0u8; 64];
        if file.read_at(0, &mut head)? < 52 || head.get(..4) != Some(b"\x7fELF") {
            return Ok(None);
        }
        let wide = head.get(4) == Some(&2);
        let little = head.get(5) != Some(&2);
        let reader = Reader { bytes: &head, little };
        // e_phoff, e_shoff, then sizes and counts of the tables, e_shstrndx.
        let (phoff, shoff, at) =
            if wide { (reader.u64(32), reader.u64(40), 54) } else { (reader.u32(28), reader.u32(32), 42) };
        let (phsize, phnum) = (reader.u16(at), reader.u16(at + 2));
        let (shsize, shnum, names) = (reader.u16(at + 4), reader.u16(at + 6), reader.u16(at + 8));
        let mut elf =
            Self { pointer_bytes: if wide { 8 } else { 4 }, little, sections: Vec::new(), segments: Vec::new() };
        elf.read_segments(file, phoff, phsize, phnum, wide);
        elf.read_sections(file, shoff, shsize, shnum, names, wide);
        Ok(Some(elf))
    }

    /// The first section with this name.
    pub fn section(&self, name: &str) -> Option<Part> {
        self.sections.iter().find(|(n, _)| n == name.as_bytes()).map(|(_, part)| *part)
    }

    /// Whether there is no section table at all (stripped hard, or packed).
    pub fn has_no_sections(&self) -> bool {
        self.sections.is_empty()
    }

    /// Reads a number of pointer size from bytes.
    pub fn pointer(&self, bytes: &[u8], at: usize) -> u64 {
        let reader = Reader { bytes, little: self.little };
        if self.pointer_bytes == 8 { reader.u64(at) } else { reader.u32(at) }
    }

    /// Reads memory as the loader would map it.
    /// # Errors
    /// `UnexpectedEof` for addresses that no segment holds.
    pub fn memory(&self, file: &dyn ReadAt, address: u64, len: u64) -> io::Result<Vec<u8>> {
        for part in &self.segments {
            if let Some(skip) = address.checked_sub(part.address)
                && skip.checked_add(len).is_some_and(|end| end <= part.size)
            {
                return file.slice(part.offset.saturating_add(skip), len);
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    fn read_segments(&mut self, file: &dyn ReadAt, offset: u64, entry: u64, count: u64, wide: bool) {
        const LOAD: u64 = 1;
        let smallest = if wide { 56 } else { 32 };
        let Some(table) = read_table(file, offset, entry, count, smallest) else { return };
        for bytes in table.chunks_exact(entry as usize) {
            let r = Reader { bytes, little: self.little };
            if r.u32(0) != LOAD {
                continue;
            }
            let (flags, offset, address, size) = if wide {
                (r.u32(4), r.u64(8), r.u64(16), r.u64(32))
            } else {
                (r.u32(24), r.u32(4), r.u32(8), r.u32(16))
            };
            self.segments.push(Part { offset, size, address, writable: flags & 2 != 0 });
        }
    }

    fn read_sections(&mut self, file: &dyn ReadAt, offset: u64, entry: u64, count: u64, names: u64, wide: bool) {
        const NO_BITS: u64 = 8;
        let smallest = if wide { 64 } else { 40 };
        let Some(table) = read_table(file, offset, entry, count, smallest) else { return };
        let part = |bytes: &[u8]| {
            let r = Reader { bytes, little: self.little };
            let (address, offset, size) =
                if wide { (r.u64(16), r.u64(24), r.u64(32)) } else { (r.u32(12), r.u32(16), r.u32(20)) };
            (r.u32(0), r.u32(4), Part { offset, size, address, writable: false })
        };
        let all: Vec<_> = table.chunks_exact(entry as usize).map(part).collect();
        let Some((_, _, strings)) = usize::try_from(names).ok().and_then(|index| all.get(index)) else { return };
        let Ok(strings) = file.slice(strings.offset, strings.size.min(MAX_NAMES_BYTES)) else { return };
        for (name, kind, part) in all {
            let name = strings.get(name as usize..).unwrap_or_default();
            let name = name.get(..memchr::memchr(0, name).unwrap_or(name.len())).unwrap_or_default();
            if kind != NO_BITS && !name.is_empty() && name.len() <= 64 {
                self.sections.push((name.to_vec(), part));
            }
        }
    }
}

fn read_table(file: &dyn ReadAt, offset: u64, entry: u64, count: u64, smallest: u64) -> Option<Vec<u8>> {
    if offset == 0 || entry < smallest || entry > 256 || count == 0 {
        return None;
    }
    file.slice(offset, entry * count.min(MAX_TABLE)).ok()
}

struct Reader<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl Reader<'_> {
    fn number(&self, at: usize, len: usize) -> u64 {
        let bytes = self.bytes.get(at..at + len).unwrap_or_default();
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        if self.little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) }
    }
    fn u16(&self, at: usize) -> u64 {
        self.number(at, 2)
    }
    fn u32(&self, at: usize) -> u64 {
        self.number(at, 4)
    }
    fn u64(&self, at: usize) -> u64 {
        self.number(at, 8)
    }
}

/// Builds small ELF files for tests.
#[cfg(test)]
pub mod build {
    /// A 64-bit little-endian file with these sections; the first one is also a writable segment at 0x1000.
    pub fn elf(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut names = vec![0u8];
        let mut body = Vec::new();
        let mut headers = vec![[0u8; 64]];
        let base = 64 + 56;
        let mut add = |name: &str, data: &[u8], names: &mut Vec<u8>, body: &mut Vec<u8>| {
            let mut header = [0u8; 64];
            header[..4].copy_from_slice(&(names.len() as u32).to_le_bytes());
            header[4] = 1;
            header[16..24].copy_from_slice(&(0x1000 + body.len() as u64).to_le_bytes());
            header[24..32].copy_from_slice(&((base + body.len()) as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(data.len() as u64).to_le_bytes());
            names.extend_from_slice(name.as_bytes());
            names.push(0);
            body.extend_from_slice(data);
            headers.push(header);
        };
        for (name, data) in sections {
            add(name, data, &mut names, &mut body);
        }
        let copy = [names.as_slice(), b".shstrtab\0"].concat();
        add(".shstrtab", &copy, &mut names, &mut body);
        let mut file = vec![0u8; base];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32..40].copy_from_slice(&64u64.to_le_bytes());
        file[40..48].copy_from_slice(&((base + body.len()) as u64).to_le_bytes());
        file[54..56].copy_from_slice(&56u16.to_le_bytes());
        file[56..58].copy_from_slice(&1u16.to_le_bytes());
        file[58..60].copy_from_slice(&64u16.to_le_bytes());
        file[60..62].copy_from_slice(&(headers.len() as u16).to_le_bytes());
        file[62..64].copy_from_slice(&(headers.len() as u16 - 1).to_le_bytes());
        file[64..68].copy_from_slice(&1u32.to_le_bytes());
        file[68..72].copy_from_slice(&6u32.to_le_bytes());
        file[72..80].copy_from_slice(&(base as u64).to_le_bytes());
        file[80..88].copy_from_slice(&0x1000u64.to_le_bytes());
        file[96..104].copy_from_slice(&(body.len() as u64).to_le_bytes());
        file.extend_from_slice(&body);
        headers.iter().for_each(|h| file.extend_from_slice(h));
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_and_memory() {
        let file = build::elf(&[(".data", b"0123456789"), (".rodata", b"hello")]);
        let elf = Elf::open(&file).unwrap().unwrap();
        let part = elf.section(".rodata").unwrap();
        assert_eq!(file.slice(part.offset, part.size).unwrap(), b"hello");
        assert_eq!(elf.memory(&file, 0x1002, 3).unwrap(), b"234");
        assert!(elf.memory(&file, 0x9000, 1).is_err());
        assert!(elf.section(".none").is_none());
        assert!(Elf::open(&b"#!/bin/sh".to_vec()).unwrap().is_none());
    }

    proptest::proptest! {
        #[test]
        fn damaged_files_do_not_panic(at in 0usize..300, byte: u8, cut in 0usize..500) {
            let mut file = build::elf(&[(".data", b"0123456789"), (".rodata", b"hello")]);
            if let Some(b) = file.get_mut(at) { *b = byte; }
            file.truncate(cut.max(64));
            let elf = Elf::open(&file).unwrap();
            if let Some(elf) = elf { let _ = elf.memory(&file, 0x1001, 5); }
        }
    }
}
