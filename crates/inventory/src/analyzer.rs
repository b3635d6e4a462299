//! The one trait of all analysers, and the table that finds the right ones for a path quickly.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use crate::facts::{FileFacts, Sink, Trouble};
use crate::fileview::FileView;
use crate::model::Unknown;
use crate::options::Limits;
use crate::pathhash::Identity;

/// How an analyser says which paths it may want. The cheap part of the question: a look-up, no calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// The last component is exactly this.
    Name(&'static str),
    /// The last component ends in a dot and this.
    Ext(&'static str),
    /// The file is directly in this directory (relative to the root).
    Dir(&'static str),
    /// Regular files with an execute bit, or shared objects, that no package of the distribution owns and that start
    /// like an ELF file. Looked at after everything else, when owners are known.
    Binary,
}

/// How large a file an analyser takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Read as a whole, up to `Limits::text_bytes`.
    Text,
    /// Read as a whole, up to `Limits::metadata_bytes`.
    Metadata,
    /// Read at offsets, up to `Limits::binary_bytes`.
    Binary,
}

/// Reads one kind of file.
pub trait Analyzer: Sync {
    /// Name for reports and caches, kebab-case.
    fn name(&self) -> &'static str;
    /// The paths it may want.
    fn hooks(&self) -> &'static [Hook];
    /// Whether it wants this path, which matched one of its hooks. Called often: no allocation.
    fn wants(&self, path: &[u8]) -> bool {
        let _ = path;
        true
    }
    /// The bound on the file's size.
    fn size(&self) -> Size {
        Size::Metadata
    }
    /// Reads a file. What is wrong with single entries goes to the sink.
    /// # Errors
    /// When the file as a whole cannot be understood; the words become an `unknown`.
    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble>;
}

/// Runs one analyser on one file and returns what it said, if anything.
pub fn run(analyzer: &dyn Analyzer, file: &mut FileView<'_>, limits: &Limits) -> Option<FileFacts> {
    let mut sink = Sink::new(file.path, analyzer.name(), limits);
    let limit = match analyzer.size() {
        Size::Text => limits.text_bytes,
        Size::Metadata => limits.metadata_bytes,
        Size::Binary => limits.binary_bytes,
    };
    let size = file.source().size();
    if size > limit {
        sink.unknown("limit", format!("{size} bytes are over the limit of {limit} for {}", analyzer.name()));
    } else if let Err(Trouble(why)) = analyzer.read(file, &mut sink) {
        sink.unknown("file", why);
    }
    let facts = sink.finish();
    (!facts.is_empty()).then_some(facts)
}

/// An `unknown` about a file that could not be opened or read.
pub fn unreadable(path: &str, error: &dyn std::fmt::Display) -> FileFacts {
    let unknown = vec![Unknown::new("file", path, format!("cannot be read: {error}"))];
    FileFacts { path: path.to_owned(), unknown, ..FileFacts::default() }
}

type ByBytes = HashMap<&'static [u8], Vec<u16>, BuildHasherDefault<Identity>>;

/// Finds the analysers for a path by its name, ending and directory.
pub struct Matcher {
    analyzers: &'static [&'static dyn Analyzer],
    names: ByBytes,
    extensions: ByBytes,
    dirs: ByBytes,
    binary: Vec<u16>,
}

impl Matcher {
    /// For a table of analysers.
    pub fn new(analyzers: &'static [&'static dyn Analyzer]) -> Self {
        let mut matcher = Self {
            analyzers,
            names: ByBytes::default(),
            extensions: ByBytes::default(),
            dirs: ByBytes::default(),
            binary: Vec::new(),
        };
        for (index, analyzer) in analyzers.iter().enumerate() {
            let index = index as u16;
            for hook in analyzer.hooks() {
                match hook {
                    Hook::Name(name) => matcher.names.entry(name.as_bytes()).or_default().push(index),
                    Hook::Ext(ext) => matcher.extensions.entry(ext.as_bytes()).or_default().push(index),
                    Hook::Dir(dir) => matcher.dirs.entry(dir.as_bytes()).or_default().push(index),
                    Hook::Binary => matcher.binary.push(index),
                }
            }
        }
        matcher
    }

    /// Puts the analysers that want the file into `found` (emptied first). `path` ends in `name`.
    pub fn find(&self, path: &[u8], name: &[u8], found: &mut Vec<u16>) {
        found.clear();
        if let Some(list) = self.names.get(name) {
            self.add(list, path, found);
        }
        if let Some(dot) = name.iter().rposition(|b| *b == b'.')
            && let Some(list) = self.extensions.get(name.get(dot + 1..).unwrap_or_default())
        {
            self.add(list, path, found);
        }
        let dir = path.get(..path.len().saturating_sub(name.len() + 1)).unwrap_or_default();
        // The deepest directory hooked has few components; most directories of a large tree are longer than all.
        if dir.len() <= LONGEST_DIR_HOOK
            && let Some(list) = self.dirs.get(dir)
        {
            self.add(list, path, found);
        }
    }

    fn add(&self, list: &[u16], path: &[u8], found: &mut Vec<u16>) {
        for &index in list {
            if !found.contains(&index) && self.get(index).is_some_and(|a| a.wants(path)) {
                found.push(index);
            }
        }
    }

    /// The analyser with this index.
    pub fn get(&self, index: u16) -> Option<&'static dyn Analyzer> {
        self.analyzers.get(usize::from(index)).copied()
    }

    /// The analysers of binaries.
    pub fn binary(&self) -> &[u16] {
        &self.binary
    }
}

/// Bytes in the longest `Hook::Dir`.
const LONGEST_DIR_HOOK: usize = 64;
