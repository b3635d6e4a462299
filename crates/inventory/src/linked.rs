//! Which libraries an ELF file is linked with, and which interpreter starts it (ELF specification, "Program Header",
//! "Dynamic Section"). Little-endian files of 64 and 32 bits: others have no closure, and lose nothing that was traced.

use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::fileview::{ReadAt, SizedFile};

/// Most program headers, and most bytes of a dynamic section and its strings, that are read.
const MAX_HEADERS: u64 = 256;
const MAX_BYTES: u64 = 4 << 20;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// What a program needs to start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// Path of the interpreter, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// File names of libraries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed: Vec<String>,
    /// Directories to look for them first (`DT_RUNPATH`, `DT_RPATH`); `$ORIGIN` is the file's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
}

struct Segment {
    kind: u64,
    offset: u64,
    address: u64,
    length: u64,
}

/// Reads a file; `None` if it is no ELF file, or one that is damaged.
pub fn linked(path: &Path) -> Option<Linked> {
    let file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    linked_in(&SizedFile::new(&file, size))
}

/// The same for contents that are at hand.
pub(crate) fn linked_in(file: &dyn ReadAt) -> Option<Linked> {
    let mut head = [0u8; 64];
    file.read_exact_at(0, &mut head).ok()?;
    if head.get(..4)? != b"\x7fELF" || head.get(5) != Some(&1) {
        return None;
    }
    let wide = head.get(4) == Some(&2);
    let (offset, size, count) = if wide {
        (number(&head, 32, 8)?, number(&head, 54, 2)?, number(&head, 56, 2)?)
    } else {
        (number(&head, 28, 4)?, number(&head, 42, 2)?, number(&head, 44, 2)?)
    };
    let mut segments = Vec::new();
    for i in 0..count.min(MAX_HEADERS) {
        let header = file.slice(offset.checked_add(i.checked_mul(size)?)?, size.min(64)).ok()?;
        segments.push(if wide {
            Segment {
                kind: number(&header, 0, 4)?,
                offset: number(&header, 8, 8)?,
                address: number(&header, 16, 8)?,
                length: number(&header, 32, 8)?,
            }
        } else {
            Segment {
                kind: number(&header, 0, 4)?,
                offset: number(&header, 4, 4)?,
                address: number(&header, 8, 4)?,
                length: number(&header, 16, 4)?,
            }
        });
    }
    let of_kind = |kind| segments.iter().find(|s| s.kind == kind);
    let interpreter = of_kind(PT_INTERP)
        .and_then(|s| file.slice(s.offset, s.length.min(4096)).ok())
        .and_then(|bytes| text(&bytes, 0));
    let (needed, search) = of_kind(PT_DYNAMIC)
        .and_then(|dynamic| needed(file, &segments, dynamic, if wide { 8 } else { 4 }))
        .unwrap_or_default();
    Some(Linked { interpreter, needed, search })
}

/// Libraries, and where to look for them.
fn needed(
    file: &dyn ReadAt,
    segments: &[Segment],
    dynamic: &Segment,
    word: usize,
) -> Option<(Vec<String>, Vec<String>)> {
    let bytes = file.slice(dynamic.offset, dynamic.length.min(MAX_BYTES)).ok()?;
    let entries: Vec<(u64, u64)> = bytes
        .chunks_exact(word * 2)
        .filter_map(|entry| Some((number(entry, 0, word)?, number(entry, word, word)?)))
        .take_while(|(tag, _)| *tag != 0)
        .collect();
    let value = |tag| entries.iter().find(|(t, _)| *t == tag).map(|(_, value)| *value);
    let (address, length) = (value(DT_STRTAB)?, value(DT_STRSZ)?);
    let segment =
        segments.iter().find(|s| s.kind == PT_LOAD && address >= s.address && address - s.address < s.length)?;
    let strings = file.slice(segment.offset.checked_add(address - segment.address)?, length.min(MAX_BYTES)).ok()?;
    let texts = |wanted: &[u64]| -> Vec<String> {
        let entries = entries.iter().filter(|(tag, _)| wanted.contains(tag));
        entries.filter_map(|(_, at)| text(&strings, usize::try_from(*at).ok()?)).collect()
    };
    let search = texts(&[DT_RUNPATH, DT_RPATH]).iter().flat_map(|list| list.split(':')).map(str::to_owned).collect();
    Some((texts(&[DT_NEEDED]), search))
}

/// A little-endian number of `length` bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
}

/// The text from `at` to the next NUL.
fn text(bytes: &[u8], at: usize) -> Option<String> {
    let rest = bytes.get(at..)?;
    let end = rest.iter().position(|b| *b == 0).unwrap_or(rest.len());
    String::from_utf8(rest.get(..end)?.to_vec()).ok().filter(|t| !t.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn this_test_is_linked_with_libc() {
        let linked = linked(&std::env::current_exe().unwrap()).unwrap();
        if cfg!(all(target_os = "linux", target_env = "gnu", target_endian = "little")) {
            assert!(linked.needed.iter().any(|n| n.starts_with("libc.so")), "{linked:?}");
            assert!(linked.interpreter.unwrap().contains("ld"));
        }
        assert_eq!(super::linked(Path::new("/proc/self/cmdline")), None);
    }

    #[test]
    fn damaged_files_are_no_panic() {
        let mut bytes = Vec::new();
        let program = File::open(std::env::current_exe().unwrap()).unwrap();
        program.take(1 << 20).read_to_end(&mut bytes).unwrap();
        for at in 4..400 {
            bytes[at] ^= 0xff;
            let _ = linked_in(&bytes);
            bytes[at] ^= 0xff;
        }
    }
}
