//! What a layer that comes as a stream says about how programs start: its links, the first lines of its scripts and what
//! its binaries are linked with. Kept so that the closure of an entry point is known without a second reading.

use serde::{Deserialize, Serialize};

use crate::fileview::ReadAt;
use crate::linked::{Linked, linked_in};
use crate::pathhash::HashMap64;

/// Bytes of a script's first line (the kernel reads 256, execve(2)).
pub const SHEBANG_BYTES: u64 = 512;
/// Entries kept of one layer; large images have some ten thousand links.
const MAX_ENTRIES: usize = 1_000_000;

/// What is at a path, as far as starting a program needs to know. Other files are known by their path alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// A symbolic link, as written.
    Link(String),
    /// Another name of the layer's file with this path hash.
    Hard(u64),
    /// A script: the words of its first line.
    Script(Vec<String>),
    /// An ELF file.
    Object(Linked),
}

/// By hash of the path, sorted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Startup(Vec<(u64, Start)>);

impl Startup {
    /// Nothing was kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was kept of a path.
    pub fn get(&self, hash: u64) -> Option<&Start> {
        self.0.binary_search_by_key(&hash, |(hash, _)| *hash).ok().and_then(|at| self.0.get(at)).map(|(_, start)| start)
    }
}

/// Collects while a layer goes by; a later entry of a path replaces an earlier one.
#[derive(Debug, Default)]
pub struct Collect(HashMap64<Start>);

impl Collect {
    /// Another entry took the place.
    pub fn forget(&mut self, hash: u64) {
        if !self.0.is_empty() {
            self.0.remove(&hash);
        }
    }

    /// Keeps what is at a path. Output: whether there was room.
    pub fn keep(&mut self, hash: u64, start: Start) -> bool {
        let room = self.0.len() < MAX_ENTRIES;
        if room {
            self.0.insert(hash, start);
        }
        room
    }

    /// What was collected.
    pub fn finish(self) -> Startup {
        let mut all: Vec<(u64, Start)> = self.0.into_iter().collect();
        all.sort_unstable_by_key(|(hash, _)| *hash);
        Startup(all)
    }
}

/// What an ELF file needs; `None` for others and damaged ones.
pub fn object(contents: &dyn ReadAt) -> Option<Start> {
    linked_in(contents).map(Start::Object)
}

/// What a file with these first bytes is, if it is a script.
pub fn script(head: &[u8]) -> Option<Start> {
    shebang(head).map(Start::Script)
}

/// The words of a script's first line.
pub fn shebang(head: &[u8]) -> Option<Vec<String>> {
    let line = head.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    Some(std::str::from_utf8(line).ok()?.split_whitespace().map(str::to_owned).collect())
}
