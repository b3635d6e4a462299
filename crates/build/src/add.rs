//! `ADD`: like `COPY`, and archives are unpacked and URLs downloaded.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use stockade_dockerfile::ast::{Add, Instruction, Source, Word};
use stockade_dockerfile::{Diagnostic, Span};
use stockade_image::Digest;

use crate::archive;
use crate::attributes::Which;
use crate::copy::{CopyJob, Fetched, Item, Options, Remote, file_target, title};
use crate::error::BuildError;
use crate::events::StepId;
use crate::fetch;
use crate::merged::{Tree, split};
use crate::place::{Place, PlaceError, Rules};
use crate::stage::{Files, StageRun};
use crate::walk::{Entry, attributes_of, lock, walk};

impl StageRun<'_> {
    /// `ADD`
    pub(crate) fn add(&mut self, instruction: &Instruction, add: &Add) -> Result<(), BuildError> {
        let step = self.begin(&title(instruction));
        // Downloads stay until the layer is made.
        let staging = self.build.store.staging_dir()?;
        let prepared = self.prepare_add(step, instruction, add, staging.path());
        self.place_items(step, instruction, &add.destination, prepared)
    }

    fn prepare_add(
        &self,
        step: StepId,
        instruction: &Instruction,
        add: &Add,
        staging: &Path,
    ) -> Result<(Vec<Item>, Options, bool), BuildError> {
        let options = self.options(add.chown.as_ref(), add.chmod.as_ref(), &add.exclude, (add.link, false))?;
        let checksum = add.checksum.as_ref();
        let files = Files::Context(&self.build.context);
        let mut items = Vec::new();
        for source in &add.sources {
            match source {
                Source::Heredoc(index) => items.push(self.heredoc_item(instruction, *index)?),
                Source::Path(word) => {
                    let text = self.expand(word)?;
                    if fetch::is_git(&text) {
                        items.extend(self.git(step, add, &text, word.span, &options)?);
                        continue;
                    }
                    if fetch::is_url(&text) {
                        let file = staging.join(items.len().to_string());
                        let unpack = add.unpack == Some(true);
                        let checksum = checksum.map(|w| self.checksum(w)).transpose()?;
                        items.push(self.remote(step, text, word.span, checksum, file, unpack)?);
                        continue;
                    }
                    if checksum.is_some() {
                        let message = "`--checksum` is for URLs, and this source is a file of the context";
                        return Err(self.fault("checksum", word.span, message));
                    }
                    let selected = self.select(&files, &text, word.span, &options)?;
                    items.extend(if add.unpack == Some(false) { selected } else { detect_archives(selected)? });
                }
            }
        }
        Ok((items, options, false))
    }

    fn checksum(&self, word: &Word) -> Result<Digest, BuildError> {
        self.expand(word)?.parse::<Digest>().map_err(|e| self.fault("checksum", word.span, e.to_string()))
    }

    /// The files of a Git repository's commit, without its history. `--checksum` is the commit's hash.
    fn git(&self, step: StepId, add: &Add, text: &str, span: Span, options: &Options) -> Result<Vec<Item>, BuildError> {
        if add.keep_git_dir {
            let message = "`--keep-git-dir` is not supported: the history of a repository is not fetched";
            return Err(self.fault_with(
                Diagnostic::error("keep-git-dir", span, message)
                    .help("leave the flag out; give what the build needs of Git as a build argument"),
            ));
        }
        let status = |words: &str| self.build.events.status(step, words);
        let cancelled = || self.build.cancel.is_thrown();
        let session = crate::git::Session { access: &self.build.access, cancelled: &cancelled, status: &status };
        let context = crate::context::Context::git(self.build.store, text, &session)
            .map_err(|e| if matches!(e, BuildError::Cancelled) { e } else { self.fault("git", span, e.to_string()) })?;
        if let Some(word) = &add.checksum {
            let wanted = self.expand(word)?;
            let commit = context.checkout.as_ref().map(|(_, c)| c.commit.as_str()).unwrap_or_default();
            if !commit.eq_ignore_ascii_case(wanted.trim()) {
                let message = format!("the repository's commit is {commit}, not the promised {wanted}");
                return Err(self.fault("checksum", word.span, message));
            }
        }
        let items = self.select(&Files::Context(&context), ".", span, options)?;
        if let Some((address, checkout)) = &context.checkout {
            self.build.note_material(format!("git+{}", address.shown()), "gitCommit", checkout.commit.clone());
        }
        // The files stay on disk until the layer is made.
        lock(&self.build.checkouts).push(context);
        Ok(items)
    }

    /// A remote source. With a checksum its content is known, so it is downloaded only when the layer is not cached.
    fn remote(
        &self,
        step: StepId,
        url: String,
        span: Span,
        checksum: Option<Digest>,
        file: PathBuf,
        unpack: bool,
    ) -> Result<Item, BuildError> {
        let name = fetch::file_name(&url).map(str::to_owned);
        let (digest, fetched) = match checksum {
            Some(digest) => (digest, None),
            None => {
                let got = self.download(step, &url, &file)?;
                (got.digest, Some(Fetched { modified: got.modified }))
            }
        };
        self.build.note_material(url.clone(), "sha256", digest.hex());
        Ok(Item::Download(Box::new(Remote { url, name, file, digest, fetched, unpack, span })))
    }

    fn download(&self, step: StepId, url: &str, file: &Path) -> Result<fetch::Download, BuildError> {
        self.build.events.status(step, &format!("downloading {url}"));
        let cancel = &self.build.cancel;
        fetch::download(url, file, &|| cancel.is_thrown())
    }

    /// Puts a remote file at the destination, downloading it first if that was not done.
    pub(crate) fn put_remote(
        &self,
        writer: &mut Place,
        job: &CopyJob,
        remote: &Remote,
        scratch: &Path,
        step: StepId,
    ) -> Result<(), PlaceError> {
        let fetched = match remote.fetched {
            Some(fetched) => fetched,
            None => {
                let got = self.download(step, &remote.url, &remote.file)?;
                if got.digest != remote.digest {
                    let message =
                        format!("the download has the digest {}, not the promised {}", got.digest, remote.digest);
                    return Err(PlaceError::Refused(message));
                }
                Fetched { modified: got.modified }
            }
        };
        let Some(node) = Tree::plain(remote.file.clone()).root()? else { return Ok(()) };
        let mut entry = Entry::of(Vec::new(), node)?;
        if remote.unpack && archive::open(&remote.file)?.is_some() {
            return self.put_archive(writer, job, &entry, scratch);
        }
        let name = remote.name.as_deref().unwrap_or_default();
        if name.is_empty() && job.to_directory {
            return Err(PlaceError::Refused("the URL has no file name, so the destination must be a file".to_owned()));
        }
        let parts = file_target(writer, job, name.as_bytes())?;
        entry.mode = 0o600;
        entry.mtime = (fetched.modified.unwrap_or_else(|| self.build.now_seconds()), 0);
        writer.put(&entry, &parts, false)
    }

    /// Unpacks an archive, then puts its tree over the image's: links and files of the image are replaced by what the
    /// archive lists.
    pub(crate) fn put_archive(
        &self,
        writer: &mut Place,
        job: &CopyJob,
        entry: &Entry,
        scratch: &Path,
    ) -> Result<(), PlaceError> {
        let Some(opened) = archive::open(&entry.real)? else { return Ok(()) };
        let into = scratch.join("archive");
        fs::create_dir(&into).map_err(BuildError::io("create directory", &into))?;
        // What is wrong with the archive is the instruction's fault, and named at its place.
        let broken = |e: BuildError| match e {
            BuildError::Cancelled => PlaceError::Build(e),
            BuildError::Image(e) if e.is_no_space() => PlaceError::Build(e.into()),
            e => PlaceError::Refused(format!("the archive cannot be unpacked: {}", e.chain())),
        };
        let listed = opened.listed_directories().map_err(broken)?;
        archive::unpack_plain(opened, &into).map_err(broken)?;
        let tree = Tree::plain(into.clone());
        let Some(root) = tree.root()? else { return Ok(()) };
        let mut entries = walk(&tree, root, b"", None)?;
        attributes_of(&mut entries, Which::All)?;
        // As with docker since 28, `--chown` holds for what comes out too; modes are the archive's.
        let target = writer.directory(job.destination.as_bytes())?;
        let listed_rules = Rules { owner: None, mode: None, faithful: true, replace: true, devices: false };
        let owner = job.rules.owner.filter(|_| job.options.chown.is_some());
        for entry in entries.iter().filter(|e| !e.path.is_empty()) {
            // Directories that the archive only implies are root's.
            writer.set_rules(listed_rules.clone());
            if entry.kind == FileType::Directory && !listed.contains(&entry.path) {
                let path = [target.join(&b'/'), entry.path.clone()].join(&b'/');
                writer.directory(&path)?;
                continue;
            }
            // Parents may be links of the image; the last part is the archive's own.
            let mut path = split(&entry.path);
            let last = path.pop().unwrap_or_default();
            let parent = [target.join(&b'/'), path.join(&b'/')].join(&b'/');
            let mut parts = writer.directory(&parent)?;
            parts.push(last);
            writer.set_rules(Rules { owner, ..listed_rules.clone() });
            writer.put(entry, &parts, false)?;
        }
        writer.set_rules(job.rules.clone());
        fs::remove_dir_all(&into).map_err(BuildError::io("remove", &into))?;
        Ok(())
    }
}

/// Single files that are archives are to be unpacked.
fn detect_archives(items: Vec<Item>) -> Result<Vec<Item>, BuildError> {
    let mut out = Vec::new();
    for item in items {
        match item {
            Item::Tree { mut entries, span, .. }
                if entries.len() == 1
                    && entries.first().is_some_and(|e| e.kind == FileType::RegularFile)
                    && archive::open(&entries[0].real)?.is_some() =>
            {
                out.push(Item::Archive { entry: Box::new(entries.remove(0)), span });
            }
            other => out.push(other),
        }
    }
    Ok(out)
}
