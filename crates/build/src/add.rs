//! `ADD`: like `COPY`, and archives are unpacked and URLs downloaded.

use std::fs;
use std::path::Path;

use rustix::fs::FileType;
use stockade_dockerfile::ast::{Add, Instruction, Source};
use stockade_dockerfile::{Diagnostic, Span};
use stockade_image::Digest;

use crate::archive;
use crate::copy::{CopyJob, Item, Options, title};
use crate::error::BuildError;
use crate::events::StepId;
use crate::fetch;
use crate::merged::{Tree, split};
use crate::place::{Place, PlaceError, Rules};
use crate::stage::{Files, StageRun};
use crate::walk::{Entry, walk};

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
        let checksum = match &add.checksum {
            Some(word) => {
                let text = self.expand(word)?;
                Some(text.parse::<Digest>().map_err(|e| self.fault("checksum", word.span, e.to_string()))?)
            }
            None => None,
        };
        let files = Files::Context(&self.build.context);
        let mut items = Vec::new();
        for source in &add.sources {
            match source {
                Source::Heredoc(index) => items.push(self.heredoc_item(instruction, *index)?),
                Source::Path(word) => {
                    let text = self.expand(word)?;
                    if fetch::is_git(&text) {
                        return Err(self.git(word.span, &text));
                    }
                    if fetch::is_url(&text) {
                        let item = self.download(step, &text, word.span, checksum, staging, items.len())?;
                        items.push(self.unpack_download(item, add.unpack == Some(true))?);
                        continue;
                    }
                    if add.checksum.is_some() {
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

    fn git(&self, span: Span, text: &str) -> BuildError {
        self.fault_with(
            Diagnostic::error(
                "git-source",
                span,
                format!("`{text}` is a Git repository, which this version cannot add"),
            )
            .help("clone it into the context first, or add the archive that its server offers by URL"),
        )
    }

    fn download(
        &self,
        step: StepId,
        url: &str,
        span: Span,
        checksum: Option<Digest>,
        staging: &Path,
        number: usize,
    ) -> Result<Item, BuildError> {
        self.build.events.status(step, &format!("downloading {url}"));
        let file = staging.join(number.to_string());
        let cancel = &self.build.cancel;
        let got = fetch::download(url, &file, &|| cancel.is_thrown())?;
        if let Some(expected) = checksum.filter(|c| *c != got.digest) {
            let message = format!("the download has the digest {}, not the promised {expected}", got.digest);
            return Err(self.fault("checksum-mismatch", span, message));
        }
        let name = fetch::file_name(url).map(str::to_owned);
        Ok(Item::Download { name, file, digest: got.digest.to_string(), modified: got.modified, span })
    }

    /// With `--unpack`, a downloaded archive is one to unpack.
    fn unpack_download(&self, item: Item, unpack: bool) -> Result<Item, BuildError> {
        match item {
            Item::Download { file, digest, span, .. } if unpack && archive::open(&file)?.is_some() => {
                let Some(node) = Tree::plain(file).root()? else { return Err(BuildError::Cancelled) };
                let mut entry = Entry::of(Vec::new(), node)?;
                entry.digest = digest.parse::<Digest>().ok().and_then(|d| digest_bytes(&d));
                Ok(Item::Archive { entry: Box::new(entry), span })
            }
            other => Ok(other),
        }
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
        let listed = opened.listed_directories()?;
        let into = scratch.join("archive");
        fs::create_dir(&into).map_err(BuildError::io("create directory", &into))?;
        archive::unpack_plain(opened, &into)?;
        let tree = Tree::plain(into.clone());
        let Some(root) = tree.root()? else { return Ok(()) };
        let entries = walk(&tree, root, b"", None)?;
        // As with docker, owners and modes inside are the archive's; the flags count for a new destination only.
        let target = writer.directory(job.destination.as_bytes())?;
        writer.set_rules(Rules { owner: None, mode: None, faithful: true, replace: true, devices: false });
        for entry in entries.iter().filter(|e| !e.path.is_empty()) {
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
            writer.put(entry, &parts, false)?;
        }
        writer.set_rules(job.rules.clone());
        fs::remove_dir_all(&into).map_err(BuildError::io("remove", &into))?;
        Ok(())
    }
}

fn digest_bytes(digest: &Digest) -> Option<[u8; 32]> {
    let hex = digest.hex();
    let mut out = [0u8; 32];
    for (byte, pair) in out.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
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
