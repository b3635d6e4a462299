//! Reads one layer from its tar stream, without unpacking it.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Seek, Write};

use crate::analyzer::{Matcher, Size, run};
use crate::analyzers;
use crate::binaries::{analyze, promising};
use crate::candidates::may_be_binary;
use crate::extras::{self, Seen};
use crate::facts::{FileFacts, Note};
use crate::fileview::{FileView, ReadAt, SizedFile, Timed};
use crate::layer::{LAYER_FORMAT, LayerInventory};
use crate::model::Unknown;
use crate::options::Options;
use crate::pathhash;
use crate::startup::{self, Collect, SHEBANG_BYTES, Start};
use crate::tarstream::{Entry, Kind, TarError, TarStream};

/// Contents kept in memory; larger binaries go through an unlinked temporary file.
const MEMORY_BYTES: u64 = 48 << 20;
/// Largest binary or archive looked into when it comes out of a stream.
const SPOOL_BYTES: u64 = 2 << 30;
/// Bytes decompressed at a time.
pub(crate) const BUFFER_BYTES: usize = 1 << 20;
/// Hard links kept for a second reading.
const MAX_PENDING: usize = 100_000;

/// Reads a layer from its decompressed tar stream.
///
/// Damage ends the reading and is reported as `unknown`; what was read before counts. `reopen` gives the stream a
/// second time, for hard links whose target did not look interesting; without it they are reported.
pub fn scan_layer<'a>(
    stream: impl Read,
    diff_id: &str,
    reopen: Option<&dyn Fn() -> std::io::Result<Box<dyn Read + Send + 'a>>>,
    options: &Options,
) -> LayerInventory {
    scan_buffered(BufReader::with_capacity(BUFFER_BYTES, stream), diff_id, reopen, options)
}

/// The same for a stream with a buffer of its own.
pub(crate) fn scan_buffered<'a>(
    stream: impl BufRead,
    diff_id: &str,
    reopen: Option<&dyn Fn() -> std::io::Result<Box<dyn Read + Send + 'a>>>,
    options: &Options,
) -> LayerInventory {
    let mut reader = Reader::new(options);
    reader.layer.diff_id = diff_id.to_owned();
    reader.pass(TarStream::new(stream));
    reader.links(reopen);
    reader.layer.facts = reader.facts.into_values().flatten().collect();
    reader.layer.startup = reader.startup.finish();
    reader.layer.tidy()
}

/// Why a file's contents may be needed beside the analysers that its name asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Wants {
    /// It may be a program or library.
    binary: bool,
    /// It may be a script that starts something.
    script: bool,
    /// For the opt-in looks.
    contents: bool,
}

struct Reader<'o> {
    options: &'o Options,
    matcher: &'static Matcher,
    layer: LayerInventory,
    /// By path: a later entry of the same path replaces an earlier one.
    facts: HashMap<Vec<u8>, Vec<FileFacts>>,
    /// Hard links that somebody wants: target → links.
    pending: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    /// What programs need to start, when the options ask for it.
    startup: Collect,
    found: Vec<u16>,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
}

impl<'o> Reader<'o> {
    fn new(options: &'o Options) -> Self {
        Self {
            options,
            matcher: analyzers::matcher(),
            layer: LayerInventory {
                format: LAYER_FORMAT,
                features: extras::features(options),
                ..LayerInventory::default()
            },
            facts: HashMap::new(),
            pending: HashMap::new(),
            startup: Collect::default(),
            found: Vec::new(),
            buffer: Vec::new(),
            scratch: Vec::new(),
        }
    }

    fn pass<R: BufRead>(&mut self, mut stream: TarStream<R>) {
        loop {
            match stream.next() {
                Ok(None) => return,
                Ok(Some(entry)) => {
                    self.layer.entries += 1;
                    self.layer.bytes = self.layer.bytes.saturating_add(entry.size);
                    if self.layer.entries > self.options.limits.entries {
                        let why = format!("more than {} entries; the rest was not read", self.options.limits.entries);
                        return self.layer.unknown.push(Unknown::new("limit", "", why));
                    }
                    if let Err(error) = self.entry(&entry, &mut stream) {
                        return self.damaged(&error);
                    }
                }
                Err(error) => return self.damaged(&error),
            }
        }
    }

    fn damaged(&mut self, error: &TarError) {
        let why = format!("the layer is damaged or cut: {error}; what follows was not read");
        self.layer.unknown.push(Unknown::new("layer", "", why));
    }

    fn entry<R: BufRead>(&mut self, entry: &Entry, stream: &mut TarStream<R>) -> Result<(), TarError> {
        let path = entry.path.as_slice();
        let (dir, name) = match path.iter().rposition(|b| *b == b'/') {
            Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
            None => (&[][..], path),
        };
        if let Some(deleted) = name.strip_prefix(b".wh.") {
            self.whiteout(dir, deleted);
            return Ok(());
        }
        if path.is_empty() {
            return Ok(());
        }
        let hash = pathhash::path(path);
        if entry.kind == Kind::Dir {
            self.layer.dirs.push(hash);
            if self.options.checks {
                let seen = Seen { path, mode: entry.mode, size: 0, is_dir: true };
                let facts = extras::look(&seen, None, self.options).into_iter().collect();
                self.facts.remove(path);
                self.keep(path, facts);
            }
            return Ok(());
        }
        self.layer.files.push(hash);
        if !self.facts.is_empty() {
            self.facts.remove(path);
        }
        self.startup.forget(hash);
        if self.options.startup {
            match entry.kind {
                Kind::Symlink => self.starts(hash, Start::Link(String::from_utf8_lossy(&entry.link).into_owned())),
                Kind::Hardlink => self.starts(hash, Start::Hard(pathhash::path(&entry.link))),
                Kind::File | Kind::Dir | Kind::Other => {}
            }
        }
        match entry.kind {
            Kind::File => self.file(entry, name, stream),
            Kind::Hardlink => {
                self.hardlink(entry, name);
                Ok(())
            }
            Kind::Symlink if name == b"os-release" => {
                let note = Note::Link(String::from_utf8_lossy(&entry.link).into_owned());
                self.keep(
                    path,
                    vec![FileFacts {
                        path: String::from_utf8_lossy(path).into_owned(),
                        found_by: "os-release".to_owned(),
                        notes: vec![note],
                        ..FileFacts::default()
                    }],
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn whiteout(&mut self, dir: &[u8], deleted: &[u8]) {
        if deleted == b".wh..opq" {
            self.layer.opaque.push(pathhash::path(dir));
        } else if !deleted.starts_with(b".wh.") {
            let path = if dir.is_empty() { deleted.to_vec() } else { [dir, b"/", deleted].concat() };
            self.layer.whiteouts.push(pathhash::path(&path));
        }
    }

    fn file<R: BufRead>(&mut self, entry: &Entry, name: &[u8], stream: &mut TarStream<R>) -> Result<(), TarError> {
        let mut found = std::mem::take(&mut self.found);
        self.matcher.find(&entry.path, name, &mut found);
        let binary = may_be_binary(&entry.path, name) && promising(entry.mode, entry.size, name);
        let seen = Seen { path: &entry.path, mode: entry.mode, size: entry.size, is_dir: false };
        let looks = extras::looks(self.layer.features);
        let wants = Wants {
            binary,
            script: self.options.startup && entry.mode & 0o111 != 0,
            contents: looks && seen.wants_contents(self.options),
        };
        let result = if found.is_empty() && wants == Wants::default() {
            Ok(Vec::new())
        } else {
            self.read(entry, &found, wants, stream)
        };
        self.found = found;
        let mut facts = result?;
        if looks {
            // What was read is still in the buffer.
            let contents = wants.contents.then_some(self.buffer.as_slice());
            facts.extend(extras::look(&seen, contents, self.options));
        }
        self.keep(&entry.path, facts);
        Ok(())
    }

    fn starts(&mut self, hash: u64, start: Start) {
        if !self.startup.keep(hash, start) {
            // Half an answer would be a wrong one.
            self.layer.features &= !extras::STARTUP;
        }
    }

    fn keep(&mut self, path: &[u8], facts: Vec<FileFacts>) {
        if !facts.is_empty() {
            self.facts.insert(path.to_vec(), facts);
        }
    }

    /// Reads as much of the contents as the analysers may need, then runs them.
    fn read<R: BufRead>(
        &mut self,
        entry: &Entry,
        found: &[u16],
        wants: Wants,
        stream: &mut TarStream<R>,
    ) -> Result<Vec<FileFacts>, TarError> {
        let shown = String::from_utf8_lossy(&entry.path).into_owned();
        self.buffer.clear();
        let mut binary = wants.binary;
        if binary || wants.script {
            stream.read_contents(4, &mut self.buffer)?;
            binary = binary && self.buffer == b"\x7fELF";
            if wants.script && self.buffer.starts_with(b"#!") {
                stream.read_contents(SHEBANG_BYTES, &mut self.buffer)?;
                if let Some(script) = startup::script(&self.buffer) {
                    self.starts(pathhash::path(&entry.path), script);
                }
            }
        }
        if !binary && found.is_empty() {
            if wants.contents {
                stream.read_contents(entry.size, &mut self.buffer)?;
            }
            return Ok(Vec::new());
        }
        if entry.sparse {
            let unknown =
                vec![Unknown::new("file", &shown, "stored sparsely in the layer, in a form that is not expanded")];
            return Ok(vec![FileFacts { path: shown, unknown, ..FileFacts::default() }]);
        }
        let limit = self.limit(found, binary);
        if entry.size > limit {
            let why = format!("{} bytes are over the limit of {limit} for reading from a layer", entry.size);
            let unknown = vec![Unknown::new("limit", &shown, why)];
            return Ok(vec![FileFacts { path: shown, unknown, ..FileFacts::default() }]);
        }
        if entry.size <= MEMORY_BYTES {
            stream.read_contents(entry.size, &mut self.buffer)?;
            let buffer = std::mem::take(&mut self.buffer);
            let facts = self.analyze(&shown, &buffer, found, binary);
            self.buffer = buffer;
            return Ok(facts);
        }
        match self.spool(stream) {
            Ok(file) => Ok(self.analyze(&shown, &SizedFile::new(&file, entry.size), found, binary)),
            Err(SpoolError::Stream(error)) => Err(error),
            Err(SpoolError::Disk(error)) => {
                let why = format!("{} bytes, and no room for a temporary copy: {error}", entry.size);
                let unknown = vec![Unknown::new("file", &shown, why)];
                Ok(vec![FileFacts { path: shown, unknown, ..FileFacts::default() }])
            }
        }
    }

    fn limit(&self, found: &[u16], binary: bool) -> u64 {
        let limits = &self.options.limits;
        let largest = found.iter().filter_map(|index| self.matcher.get(*index)).map(|a| match a.size() {
            Size::Text => limits.text_bytes,
            Size::Metadata => limits.metadata_bytes,
            Size::Binary => limits.binary_bytes.min(SPOOL_BYTES),
        });
        let binary = if binary { limits.binary_bytes.min(SPOOL_BYTES) } else { 0 };
        largest.max().unwrap_or(0).max(binary)
    }

    /// Copies the rest of the entry, after what is in the buffer, to an unlinked file.
    fn spool<R: BufRead>(&mut self, stream: &mut TarStream<R>) -> Result<std::fs::File, SpoolError> {
        let mut file = tempfile::tempfile().map_err(SpoolError::Disk)?;
        loop {
            file.write_all(&self.buffer).map_err(SpoolError::Disk)?;
            if stream.remaining() == 0 {
                break;
            }
            self.buffer.clear();
            stream.read_contents(1 << 20, &mut self.buffer).map_err(SpoolError::Stream)?;
        }
        file.rewind().map_err(SpoolError::Disk)?;
        Ok(file)
    }

    fn analyze(&mut self, path: &str, source: &dyn ReadAt, found: &[u16], binary: bool) -> Vec<FileFacts> {
        let mut facts = Vec::new();
        let timed = Timed::new(source, self.options.limits.file_time);
        let mut view = FileView::new(path, &timed, &mut self.scratch);
        for &index in found {
            if let Some(analyzer) = self.matcher.get(index) {
                facts.extend(run(analyzer, &mut view, &self.options.limits));
            }
        }
        if binary {
            analyze(&mut view, self.matcher, self.options, &mut facts);
            if self.options.startup
                && let Some(object) = startup::object(&timed)
            {
                self.starts(pathhash::path(path.as_bytes()), object);
            }
        }
        facts
    }

    /// A hard link that somebody wants: the facts of its target are the same, if the target has the same name and so
    /// had the same analysers; otherwise the contents are needed again.
    fn hardlink(&mut self, entry: &Entry, name: &[u8]) {
        let mut found = std::mem::take(&mut self.found);
        self.matcher.find(&entry.path, name, &mut found);
        let wanted = !found.is_empty();
        self.found = found;
        if !wanted {
            return;
        }
        let target_name = entry.link.rsplit(|b| *b == b'/').next().unwrap_or_default();
        if target_name == name
            && let Some(facts) = self.facts.get(&entry.link)
        {
            let shown = String::from_utf8_lossy(&entry.path).into_owned();
            let copy = facts.iter().map(|f| FileFacts { path: shown.clone(), ..f.clone() }).collect();
            self.keep(&entry.path, copy);
        } else if self.pending.len() < MAX_PENDING {
            self.pending.entry(entry.link.clone()).or_default().push(entry.path.clone());
        } else {
            let why = "more hard links than are followed; one was left out";
            self.layer.unknown.push(Unknown::new("limit", &String::from_utf8_lossy(&entry.path), why));
        }
    }

    /// The second reading: contents of the targets of wanted hard links.
    fn links<'a>(&mut self, reopen: Option<&dyn Fn() -> std::io::Result<Box<dyn Read + Send + 'a>>>) {
        if self.pending.is_empty() {
            return;
        }
        if let Some(Ok(stream)) = reopen.map(|open| open()) {
            let mut stream = TarStream::new(BufReader::with_capacity(BUFFER_BYTES, stream));
            while let Ok(Some(entry)) = stream.next() {
                if entry.kind != Kind::File {
                    continue;
                }
                let Some(links) = self.pending.remove(&entry.path) else { continue };
                if self.link_contents(&entry, links, &mut stream).is_err() || self.pending.is_empty() {
                    break;
                }
            }
        }
        for (target, links) in std::mem::take(&mut self.pending) {
            for link in links {
                let why = format!(
                    "hard link to `{}`, which could not be read in this layer",
                    String::from_utf8_lossy(&target)
                );
                self.layer.unknown.push(Unknown::new("file", &String::from_utf8_lossy(&link), why));
            }
        }
    }

    fn link_contents<R: BufRead>(
        &mut self,
        target: &Entry,
        links: Vec<Vec<u8>>,
        stream: &mut TarStream<R>,
    ) -> Result<(), TarError> {
        let limit = self.options.limits.text_bytes.min(MEMORY_BYTES);
        let mut contents = Vec::new();
        stream.read_contents(limit, &mut contents)?;
        for link in links {
            let shown = String::from_utf8_lossy(&link).into_owned();
            let name = link.rsplit(|b| *b == b'/').next().unwrap_or_default().to_vec();
            let mut found = Vec::new();
            self.matcher.find(&link, &name, &mut found);
            let facts = if target.size > limit {
                let unknown = vec![Unknown::new(
                    "limit",
                    &shown,
                    format!("{} bytes behind a hard link are over the limit", target.size),
                )];
                vec![FileFacts { path: shown, unknown, ..FileFacts::default() }]
            } else {
                self.analyze(&shown, &contents, &found, false)
            };
            self.keep(&link, facts);
        }
        Ok(())
    }
}

enum SpoolError {
    Stream(TarError),
    Disk(std::io::Error),
}
