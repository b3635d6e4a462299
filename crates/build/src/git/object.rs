//! Git's objects, inflated into one scratch file and found by their hash.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha1_checked::{Digest as _, Sha1};

use super::{Trouble, words};

/// Longest commit, tag or tree that is read, in bytes.
const MAX_DOCUMENT: u64 = 64 << 20;
/// Bytes that all objects of a fetch may have together.
const MAX_TOTAL: u64 = 16 << 30;

/// Name of an object: the SHA-1 of its kind, size and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(pub(super) [u8; 20]);

impl Id {
    /// From 40 hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Id> {
        if text.len() != 40 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut out = [0u8; 20];
        for (slot, at) in out.iter_mut().zip((0..40).step_by(2)) {
            *slot = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
        }
        Some(Id(out))
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Commit => "commit",
            Kind::Tree => "tree",
            Kind::Blob => "blob",
            Kind::Tag => "tag",
        }
    }
}

/// Where an object lies in the scratch file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    pub(super) kind: Kind,
    at: u64,
    pub(super) size: u64,
}

/// All objects of a fetch.
pub(crate) struct Objects {
    file: File,
    end: u64,
    known: HashMap<Id, Stored>,
}

impl Objects {
    /// An empty collection in a new file.
    pub(super) fn create(path: &Path) -> Result<Objects, Trouble> {
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        Ok(Objects { file, end: 0, known: HashMap::new() })
    }

    pub(super) fn get(&self, id: &Id) -> Option<Stored> {
        self.known.get(id).copied()
    }

    /// Keeps an object whose content `input` gives; it must have `size` bytes.
    pub(super) fn add(&mut self, kind: Kind, size: u64, input: &mut dyn Read) -> Result<Stored, Trouble> {
        let at = self.end;
        if size > MAX_TOTAL || at + size > MAX_TOTAL {
            return Err(words(format!("it has more than {} GiB of files", MAX_TOTAL >> 30)));
        }
        let mut hash = Sha1::new();
        hash.update(format!("{} {size}\0", kind.name()).as_bytes());
        let mut buffer = vec![0u8; usize::try_from(size.clamp(1, 128 << 10)).unwrap_or(1)];
        let mut left = size;
        while left > 0 {
            let want = usize::try_from(left.min(buffer.len() as u64)).unwrap_or(0);
            let count = input.read(buffer.get_mut(..want).unwrap_or_default())?;
            if count == 0 {
                return Err(words("an object of the pack is shorter than it says"));
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            hash.update(bytes);
            self.file.write_all_at(bytes, self.end)?;
            self.end += count as u64;
            left -= count as u64;
        }
        if input.read(&mut [0u8; 1])? != 0 {
            return Err(words("an object of the pack is longer than it says"));
        }
        let result = hash.try_finalize();
        if result.has_collision() {
            return Err(words("an object has the marks of a SHA-1 collision, which is an attack"));
        }
        let mut id = [0u8; 20];
        id.copy_from_slice(result.hash());
        let stored = Stored { kind, at, size };
        self.known.insert(Id(id), stored);
        Ok(stored)
    }

    /// An object's content, which may have up to `limit` bytes.
    pub(super) fn read(&self, stored: Stored, limit: u64) -> Result<Vec<u8>, Trouble> {
        let size = usize::try_from(stored.size).ok().filter(|_| stored.size <= limit);
        let mut out = vec![0u8; size.ok_or_else(|| words("an object is too large"))?];
        self.file.read_exact_at(&mut out, stored.at)?;
        Ok(out)
    }

    /// A document: commit, tag or tree.
    pub(super) fn document(&self, id: &Id, kind: Kind) -> Result<Vec<u8>, Trouble> {
        match self.get(id) {
            Some(stored) if stored.kind == kind => self.read(stored, MAX_DOCUMENT),
            Some(stored) => Err(words(format!("{id} is a {}, not a {}", stored.kind.name(), kind.name()))),
            None => Err(words(format!("the server did not send the {} {id}", kind.name()))),
        }
    }

    /// Writes a blob's content to `out`.
    pub(super) fn copy_blob(&self, id: &Id, out: &mut File) -> Result<(), Trouble> {
        let stored = self.get(id).filter(|s| s.kind == Kind::Blob);
        let stored = stored.ok_or_else(|| words(format!("the server did not send the file {id}")))?;
        let mut buffer = vec![0u8; usize::try_from(stored.size.clamp(1, 128 << 10)).unwrap_or(1)];
        let mut done = 0;
        while done < stored.size {
            let want = usize::try_from((stored.size - done).min(buffer.len() as u64)).unwrap_or(0);
            let part = buffer.get_mut(..want).unwrap_or_default();
            self.file.read_exact_at(part, stored.at + done)?;
            std::io::Write::write_all(out, part)?;
            done += want as u64;
        }
        Ok(())
    }

    /// The tree of a commit (or of what a tag names), and its time in seconds since 1970.
    pub(super) fn commit(&self, id: Id) -> Result<(Id, i64), Trouble> {
        let mut id = id;
        for _ in 0..8 {
            if self.get(&id).is_none_or(|s| s.kind != Kind::Tag) {
                break;
            }
            let text = self.document(&id, Kind::Tag)?;
            id = header(&text, "object").and_then(|t| Id::parse(&t)).ok_or_else(|| words("a tag names nothing"))?;
        }
        let text = self.document(&id, Kind::Commit)?;
        let tree = header(&text, "tree").and_then(|t| Id::parse(&t));
        let time = header(&text, "committer").and_then(|line| {
            let after = line.rsplit_once('>')?.1.trim().to_owned();
            after.split(' ').next()?.parse::<i64>().ok()
        });
        Ok((tree.ok_or_else(|| words(format!("the commit {id} has no tree")))?, time.unwrap_or(0).max(0)))
    }
}

/// A line of a commit's or a tag's head.
fn header(text: &[u8], name: &str) -> Option<String> {
    let head = text.split(|b| *b == b'\n').take_while(|line| !line.is_empty());
    let mut lines = head.filter_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b" "));
    lines.next().map(|value| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_as_git_names_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut objects = Objects::create(&dir.path().join("o")).unwrap();
        objects.add(Kind::Blob, 6, &mut b"hello\n".as_slice()).unwrap();
        let id = Id::parse("ce013625030ba8dba906f756967f9e9ca394464a").unwrap();
        assert_eq!(objects.get(&id).map(|s| s.size), Some(6));
        assert!(objects.add(Kind::Blob, 6, &mut b"short".as_slice()).is_err());
        assert!(objects.add(Kind::Blob, 3, &mut b"long".as_slice()).is_err());
        assert!(Id::parse("g".repeat(40).as_str()).is_none() && Id::parse("ab").is_none());
    }
}
