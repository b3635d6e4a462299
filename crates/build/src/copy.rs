//! `COPY`, and the part of `ADD` that is the same.

use std::path::PathBuf;

use rustix::fs::FileType;
use stockade_dockerfile::ast::{Copy, Instruction, Source, Word};
use stockade_dockerfile::expand::Expander;
use stockade_dockerfile::ignore::{Glob, IgnoreFile};
use stockade_dockerfile::{Diagnostic, Span, nearest};
use stockade_image::Digest;

use crate::attributes::Which;
use crate::cache::Key;
use crate::error::BuildError;
use crate::events::StepId;
use crate::merged::{Parts, Tree, join, split};
use crate::owner::{ModeChange, resolve_owner};
use crate::place::{Place, PlaceError, Rules};
use crate::stage::{Files, LayerStep, StageRun, Workplace};
use crate::state::absolute;
use crate::walk::{Entry, look_into, walk};

/// What one source became.
pub(crate) enum Item {
    /// A file or a directory with all below it.
    Tree {
        entries: Vec<Entry>,
        /// Path in the source tree, without symlinks in its parents.
        path: Parts,
        /// For `--parents`: how many leading parts of the path are dropped.
        pivot: usize,
        span: Span,
    },
    /// Content from the Dockerfile.
    Data { name: String, data: Vec<u8>, span: Span },
    /// A file from the network.
    Download(Box<Remote>),
    /// An archive of the context that is unpacked.
    Archive { entry: Box<Entry>, span: Span },
}

impl Item {
    fn span(&self) -> Span {
        match self {
            Item::Tree { span, .. } | Item::Data { span, .. } | Item::Archive { span, .. } => *span,
            Item::Download(remote) => remote.span,
        }
    }

    /// Bytes of files, where they are known before.
    fn bytes(&self) -> u64 {
        match self {
            Item::Tree { entries, .. } => entries.iter().map(|e| e.size).sum(),
            Item::Data { data, .. } => data.len() as u64,
            Item::Download(_) | Item::Archive { .. } => 0,
        }
    }
}

/// A file that `ADD` takes from the network.
pub(crate) struct Remote {
    pub(crate) url: String,
    /// The last part of the URL's path.
    pub(crate) name: Option<String>,
    /// Where it is, or will be.
    pub(crate) file: PathBuf,
    /// What it is: known from `--checksum` before it is there, else from the download.
    pub(crate) digest: Digest,
    /// Present when it was downloaded already.
    pub(crate) fetched: Option<Fetched>,
    /// Unpack it if it is an archive.
    pub(crate) unpack: bool,
    pub(crate) span: Span,
}

/// What a download told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fetched {
    /// `Last-Modified`, in seconds since 1970.
    pub(crate) modified: Option<i64>,
}

/// The flags that `COPY` and `ADD` share, expanded.
pub(crate) struct Options {
    pub(crate) chown: Option<(String, Span)>,
    pub(crate) chmod: Option<ModeChange>,
    pub(crate) chmod_text: String,
    pub(crate) link: bool,
    pub(crate) parents: bool,
    pub(crate) exclude: Vec<String>,
}

impl StageRun<'_> {
    pub(crate) fn options(
        &self,
        chown: Option<&Word>,
        chmod: Option<&Word>,
        exclude: &[Word],
        (link, parents): (bool, bool),
    ) -> Result<Options, BuildError> {
        let chown = match chown {
            Some(word) => Some((self.expand(word)?, word.span)),
            None => None,
        };
        let chmod_text = chmod.map(|word| self.expand(word)).transpose()?.unwrap_or_default();
        let change = match chmod {
            Some(word) => Some(ModeChange::parse(&chmod_text).ok_or_else(|| {
                let message = format!("`{chmod_text}` is no mode: write it in octal (`0755`) or as chmod does (`u+x`)");
                self.fault("chmod", word.span, message)
            })?),
            None => None,
        };
        let exclude = exclude.iter().map(|w| self.expand(w)).collect::<Result<Vec<_>, _>>()?;
        Ok(Options { chown, chmod: change, chmod_text, link, parents, exclude })
    }

    /// `COPY`
    pub(crate) fn copy(&mut self, instruction: &Instruction, copy: &Copy) -> Result<(), BuildError> {
        let step = self.begin(&title(instruction));
        let prepared = self.prepare_copy(step, instruction, copy);
        self.place_items(step, instruction, &copy.destination, prepared)
    }

    fn prepare_copy(
        &self,
        step: StepId,
        instruction: &Instruction,
        copy: &Copy,
    ) -> Result<(Vec<Item>, Options, bool), BuildError> {
        let options =
            self.options(copy.chown.as_ref(), copy.chmod.as_ref(), &copy.exclude, (copy.link, copy.parents))?;
        let files = match &copy.from {
            Some(word) => self.files_of(&word.value, word.span, step)?,
            None => Files::Context(&self.build.context),
        };
        let faithful = matches!(files, Files::Tree(_));
        let mut items = Vec::new();
        for source in &copy.sources {
            match source {
                Source::Heredoc(index) => items.push(self.heredoc_item(instruction, *index)?),
                Source::Path(word) => {
                    let text = self.expand(word)?;
                    items.extend(self.select(&files, &text, word.span, &options)?);
                }
            }
        }
        Ok((items, options, faithful))
    }

    /// The body of a heredoc as a file.
    pub(crate) fn heredoc_item(&self, instruction: &Instruction, index: usize) -> Result<Item, BuildError> {
        let Some(heredoc) = instruction.heredocs.get(index) else {
            return Err(self.fault("heredoc", instruction.span, "the heredoc has no body"));
        };
        let mut data = heredoc.data();
        if heredoc.expand {
            let lookup = |name: &str| self.state.lookup(name);
            data = Expander::for_heredoc(&lookup)
                .word(&data)
                .map_err(|e| self.fault("expansion", heredoc.marker.span, e.to_string()))?;
        }
        Ok(Item::Data { name: heredoc.name.clone(), data: data.into_bytes(), span: heredoc.marker.span })
    }

    /// The files that one source names.
    pub(crate) fn select(
        &self,
        files: &Files<'_>,
        text: &str,
        span: Span,
        options: &Options,
    ) -> Result<Vec<Item>, BuildError> {
        let (tree, context) = match files {
            Files::Context(context) => (context.tree(), Some(*context)),
            Files::Tree(tree) => (tree.clone(), None),
        };
        let ignore = context.map(|c| &c.ignore).filter(|i| !i.is_empty());
        let pivot = pivot_of(text, options.parents);
        let pattern: Vec<Vec<u8>> = normal(text);
        let matches = if has_wildcard(text) {
            expand_pattern(&tree, &pattern, options.parents, ignore)?
        } else {
            let resolved = self.resolve_source(&tree, &pattern.join(&b'/'), text, span)?;
            let found = resolved.node.is_some()
                && !ignored(ignore, &resolved.parts, resolved.node.as_ref().is_some_and(crate::merged::Node::is_dir));
            if !found {
                return Err(self.missing(&tree, &pattern, text, span, context.is_some(), resolved.node.is_some()));
            }
            vec![(pattern.clone(), resolved.parts)]
        };
        let exclude = IgnoreFile::from_patterns(options.exclude.iter().map(String::as_str))
            .map_err(|e| self.fault("exclude", span, format!("`--exclude={}`: {}", e.text, e.why)))?;
        let mut items = Vec::new();
        for (shown, parts) in matches {
            let Some(node) = tree.resolve(&parts.join(&b'/'), true)?.node else { continue };
            let mut entries = walk(&tree, node, &parts.join(&b'/'), ignore)?;
            if !exclude.is_empty() {
                retain_not_excluded(&mut entries, &exclude, shown.last());
            }
            if entries.is_empty() {
                continue;
            }
            let none = crate::statcache::StatCache::none();
            let which = if context.is_some() { Which::User } else { Which::All };
            look_into(&mut entries, context.map_or(&none, |c| c.stat_cache()), which)?;
            items.push(Item::Tree { entries, path: shown, pivot, span });
        }
        if items.is_empty() && has_wildcard(text) {
            self.warn(&Diagnostic::warning("no-match", span, format!("`{text}` matches no file")));
        }
        Ok(items)
    }

    /// What a source names, links followed; a circle of links is the instruction's fault.
    pub(crate) fn resolve_source(
        &self,
        tree: &Tree,
        path: &[u8],
        text: &str,
        span: Span,
    ) -> Result<crate::merged::Resolved, BuildError> {
        tree.resolve(path, true).map_err(|e| match e {
            BuildError::Io { what: "resolve", .. } => {
                self.fault("link-loop", span, format!("`{text}` leads through too many symlinks, or in a circle"))
            }
            e => e,
        })
    }

    fn missing(&self, tree: &Tree, pattern: &Parts, text: &str, span: Span, context: bool, exists: bool) -> BuildError {
        let place = if context { "the build context" } else { "the image it is copied from" };
        if exists {
            let message = format!("`{text}` is left out of the build context by .dockerignore");
            return self.fault_with(
                Diagnostic::error("ignored-source", span, message)
                    .help(format!("add the line `!{text}` to .dockerignore")),
            );
        }
        let mut diagnostic = Diagnostic::error("missing-source", span, format!("`{text}` is not in {place}"));
        if let Some(near) = near_name(tree, pattern) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        } else if context {
            diagnostic = diagnostic.help("sources are relative to the directory that the build was given");
        }
        self.fault_with(diagnostic)
    }

    /// Puts the items at the destination, as a layer.
    pub(crate) fn place_items(
        &mut self,
        step: StepId,
        instruction: &Instruction,
        destination: &Word,
        prepared: Result<(Vec<Item>, Options, bool), BuildError>,
    ) -> Result<(), BuildError> {
        let ready = prepared.and_then(|(items, options, faithful)| {
            let job = self.copy_job(destination, items, options, faithful)?;
            Ok((self.copy_key(instruction, &job), job))
        });
        let (key, job) = match ready {
            Ok(ready) => ready,
            Err(e) => {
                self.end(step, &crate::events::Finish::Failed(e.to_string()));
                return Err(e);
            }
        };
        let bytes = job.items.iter().map(Item::bytes).sum();
        let title = title(instruction);
        let layer = LayerStep { key, title: title.clone(), created_by: title, exclusive: false, bytes };
        self.layer_step(step, &layer, &mut |run, place| {
            let mut writer = Place::new(place.upper, &job.lower, job.rules.clone());
            for item in &job.items {
                run.build.cancel.check()?;
                run.put_item(&mut writer, &job, item, place).map_err(|e| run.blame(e, item.span()))?;
            }
            if job.items.is_empty() && job.to_directory {
                writer.directory(job.destination.as_bytes()).map_err(|e| run.blame(e, destination.span))?;
            }
            writer.finish().map_err(|e| run.blame(e, destination.span))
        })
    }

    fn copy_job(
        &self,
        destination: &Word,
        items: Vec<Item>,
        options: Options,
        faithful: bool,
    ) -> Result<CopyJob, BuildError> {
        let text = self.expand(destination)?;
        if text.is_empty() {
            return Err(self.fault("blank-path", destination.span, "the destination is empty after expansion"));
        }
        let path = absolute(self.state.workdir(), &text);
        let tree = self.state.tree();
        let lower = if options.link { Vec::new() } else { self.state.lower() };
        let slash = text.ends_with('/') || text == "." || text.ends_with("/.") || path == "/";
        let is_dir = !options.link && tree.resolve(path.as_bytes(), true)?.node.is_some_and(|n| n.is_dir());
        if items.len() > 1 && !slash && !is_dir && !options.parents {
            return Err(self.fault_with(
                Diagnostic::error(
                    "destination-not-directory",
                    destination.span,
                    "several sources need a directory as destination",
                )
                .help(format!("write `{text}/`")),
            ));
        }
        let owner = match &options.chown {
            Some((text, span)) => Some(resolve_owner(&tree, text)?.map_err(|words| self.fault("chown", *span, words))?),
            None if faithful => None,
            None => Some((0, 0)),
        };
        let rules = Rules { owner, mode: options.chmod.clone(), faithful, replace: false, devices: faithful };
        Ok(CopyJob { items, options, rules, lower, destination: path, to_directory: slash || is_dir })
    }

    fn copy_key(&self, instruction: &Instruction, job: &CopyJob) -> String {
        let mut key = Key::new(instruction.name());
        if !job.options.link {
            key.field("files", self.state.files_key());
        }
        key.field("destination", &job.destination);
        key.field("directory", if job.to_directory { "yes" } else { "no" });
        key.field("parents", if job.options.parents { "yes" } else { "no" });
        key.field("chmod", &job.options.chmod_text);
        key.field("owner", format!("{:?}", job.rules.owner));
        self.build.key_common(&mut key);
        for item in &job.items {
            describe(item, job, &mut key);
        }
        key.finish()
    }

    fn put_item(
        &self,
        writer: &mut Place,
        job: &CopyJob,
        item: &Item,
        place: &Workplace<'_>,
    ) -> Result<(), PlaceError> {
        match item {
            Item::Tree { entries, path, pivot, .. } => put_tree(writer, job, entries, path, *pivot),
            Item::Data { name, data, .. } => {
                let parts = file_target(writer, job, name.as_bytes())?;
                writer.put_bytes(data, &parts, 0o644, self.build.now_seconds())
            }
            Item::Download(remote) => self.put_remote(writer, job, remote, place.scratch, place.step),
            Item::Archive { entry, .. } => self.put_archive(writer, job, entry, place.scratch),
        }
    }
}

/// Everything that placing needs.
pub(crate) struct CopyJob {
    pub(crate) items: Vec<Item>,
    pub(crate) options: Options,
    pub(crate) rules: Rules,
    /// Topmost first; empty for `--link`.
    pub(crate) lower: Vec<PathBuf>,
    /// Absolute.
    pub(crate) destination: String,
    /// Files go into the destination, under their own names.
    pub(crate) to_directory: bool,
}

/// The instruction in one line, for progress and history.
pub(crate) fn title(instruction: &Instruction) -> String {
    instruction.original.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn describe(item: &Item, job: &CopyJob, key: &mut Key) {
    match item {
        Item::Tree { entries, path, pivot, .. } => {
            key.field("item", "tree");
            if job.options.parents {
                key.list("path", path.iter().skip(*pivot));
            } else {
                key.field("name", path.last().map(Vec::as_slice).unwrap_or_default());
            }
            for entry in entries {
                entry.describe(key, job.rules.faithful);
            }
        }
        Item::Data { name, data, .. } => {
            key.field("item", "data").field("name", name).field("content", data);
        }
        Item::Download(remote) => {
            key.field("item", "download").field("name", remote.name.as_deref().unwrap_or_default());
            key.field("content", remote.digest.to_string());
            key.field("unpack", if remote.unpack { "yes" } else { "no" });
            // With a checksum the time is not known before the download, and the content is what was asked for.
            key.field("modified", format!("{:?}", remote.fetched.and_then(|f| f.modified)));
        }
        Item::Archive { entry, .. } => {
            key.field("item", "archive");
            if let Some(digest) = &entry.digest {
                key.field("content", digest);
            }
        }
    }
}

fn put_tree(
    writer: &mut Place,
    job: &CopyJob,
    entries: &[Entry],
    path: &Parts,
    pivot: usize,
) -> Result<(), PlaceError> {
    let Some(root) = entries.first() else { return Ok(()) };
    if job.options.parents {
        let kept = path.get(pivot..).unwrap_or_default();
        let (name, parents) = kept.split_last().map_or((None, kept), |(n, p)| (Some(n), p));
        let parent = [job.destination.as_bytes(), &parents.join(&b'/')].join(&b'/');
        let mut target = writer.directory(&parent)?;
        target.extend(name.cloned());
        return writer.put_tree(entries, &target, false);
    }
    if root.kind == FileType::Directory {
        let resolved = writer.resolve(job.destination.as_bytes())?;
        let (existed, parts) = (resolved.node.is_some(), resolved.parts);
        if resolved.node.is_some_and(|n| !n.is_dir()) {
            let message = format!("`{}` exists in the image and is not a directory", job.destination);
            return Err(PlaceError::Refused(message));
        }
        if let Some((_, parent)) = parts.split_last() {
            writer.directory(&parent.join(&b'/'))?;
        }
        // An existing destination keeps its own owner and mode; a new one takes those of the source.
        return writer.put_tree(entries, &parts, existed);
    }
    let name = path.last().cloned().unwrap_or_default();
    let parts = file_target(writer, job, &name)?;
    writer.put(root, &parts, false)
}

/// Where a single file goes.
pub(crate) fn file_target(writer: &mut Place, job: &CopyJob, name: &[u8]) -> Result<Parts, PlaceError> {
    if job.to_directory {
        let mut parts = writer.directory(job.destination.as_bytes())?;
        parts.push(name.to_vec());
        return Ok(parts);
    }
    // A link at the destination is followed, in root: the file that it names is replaced.
    let parts = writer.resolve(job.destination.as_bytes())?.parts;
    if let Some((_, parent)) = parts.split_last() {
        writer.directory(&parent.join(&b'/'))?;
    }
    Ok(parts)
}

/// The path of a source: parts without `.` and `..`, which cannot lead out.
fn normal(text: &str) -> Parts {
    split(absolute("/", text).as_bytes())
}

/// `a/./b/c`: with `--parents`, parts before the `/./` are dropped.
fn pivot_of(text: &str, parents: bool) -> usize {
    if !parents {
        return 0;
    }
    // A leading `./` is no pivot.
    let trimmed = text.trim_start_matches("./");
    trimmed.find("/./").map_or(0, |at| normal(trimmed.get(..at).unwrap_or_default()).len())
}

/// Whether Go's matcher would see a pattern.
fn has_wildcard(text: &str) -> bool {
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => drop(characters.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

fn ignored(ignore: Option<&IgnoreFile>, parts: &Parts, is_dir: bool) -> bool {
    let path = String::from_utf8_lossy(&parts.join(&b'/')).into_owned();
    let Some(ignore) = ignore.filter(|_| !path.is_empty()) else { return false };
    ignore.is_ignored(&path) && !(is_dir && ignore.may_reach_below(&path))
}

/// Everything that matches, sorted: the path as the pattern reached it, and the same without symlinks.
fn expand_pattern(
    tree: &Tree,
    pattern: &Parts,
    deep: bool,
    ignore: Option<&IgnoreFile>,
) -> Result<Vec<(Parts, Parts)>, BuildError> {
    let mut out = Vec::new();
    let mut pending: Vec<(Parts, usize)> = vec![(Vec::new(), 0)];
    while let Some((parts, at)) = pending.pop() {
        let Some(component) = pattern.get(at) else {
            let resolved = tree.resolve(&parts.join(&b'/'), true)?;
            if resolved.node.as_ref().is_some_and(|n| !ignored(ignore, &parts, n.is_dir())) {
                out.push((parts, resolved.parts));
            }
            continue;
        };
        let resolved = tree.resolve(&parts.join(&b'/'), true)?;
        let Some(directory) = resolved.node.filter(|n| n.is_dir()) else { continue };
        let any_depth = deep && component == b"**";
        if any_depth {
            pending.push((parts.clone(), at + 1));
        }
        let text = String::from_utf8_lossy(component).replace("**", "*");
        let glob = Glob::compile(&text)
            .map_err(|why| BuildError::Usage(format!("the pattern `{text}` is not valid: {why}")))?;
        for (name, node) in tree.entries(&directory)? {
            let mut child = parts.clone();
            child.push(name.clone());
            if any_depth {
                if node.is_dir() {
                    pending.push((child, at));
                }
            } else if glob.matches(&String::from_utf8_lossy(&name)) {
                pending.push((child, at + 1));
            }
        }
    }
    out.sort();
    out.dedup();
    Ok(out)
}

/// Takes out what `--exclude` names. For a single file, its own name counts.
fn retain_not_excluded(entries: &mut Vec<Entry>, exclude: &IgnoreFile, name: Option<&Vec<u8>>) {
    let single = entries.len() == 1 && entries.first().is_some_and(|e| e.kind != FileType::Directory);
    entries.retain(|entry| {
        let path = if single { name.map(Vec::as_slice).unwrap_or_default() } else { &entry.path };
        path.is_empty() || !exclude.is_ignored(&String::from_utf8_lossy(path))
    });
}

/// A name like the missing one, in the same directory.
fn near_name(tree: &Tree, pattern: &Parts) -> Option<String> {
    let (name, parent) = pattern.split_last()?;
    let directory = tree.resolve(&parent.join(&b'/'), true).ok()?.node.filter(crate::merged::Node::is_dir)?;
    let names: Vec<String> = tree
        .entries(&directory)
        .ok()?
        .into_iter()
        .take(10_000)
        .filter_map(|(n, _)| String::from_utf8(n).ok())
        .collect();
    let near = nearest(&String::from_utf8_lossy(name), names.iter().map(String::as_str))?;
    let mut parts = parent.to_vec();
    parts.push(near.as_bytes().to_vec());
    Some(join(&parts).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_pivots() {
        assert!(has_wildcard("a*b") && has_wildcard("[ab]") && has_wildcard("?"));
        assert!(!has_wildcard("plain") && !has_wildcard("a\\*b"));
        assert_eq!(pivot_of("./x/./y/z", true), 1);
        assert_eq!(pivot_of("x/y", true), 0);
        assert_eq!(pivot_of("a/b/./c", true), 2);
        assert_eq!(normal("../../etc/passwd"), [b"etc".to_vec(), b"passwd".to_vec()]);
        assert!(normal("/").is_empty());
    }

    #[test]
    fn patterns_find_files_and_stars_do_not_cross_directories() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a.txt", "b.txt", "c.md", "sub/d.txt", "sub/deep/e.txt"] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let tree = Tree::plain(dir.path().to_owned());
        let find = |pattern: &str, deep| -> Vec<String> {
            let found = expand_pattern(&tree, &normal(pattern), deep, None).unwrap();
            found.into_iter().map(|(p, _)| join(&p).display().to_string()).collect()
        };
        assert_eq!(find("*.txt", false), ["a.txt", "b.txt"]);
        assert_eq!(find("*/*.txt", false), ["sub/d.txt"]);
        assert_eq!(find("[bc].*", false), ["b.txt", "c.md"]);
        assert_eq!(find("**/*.txt", true), ["a.txt", "b.txt", "sub/d.txt", "sub/deep/e.txt"]);
        assert_eq!(find("**/*.txt", false), ["sub/d.txt"]);
        assert_eq!(near_name(&tree, &normal("a.tx")).as_deref(), Some("a.txt"));
    }
}
