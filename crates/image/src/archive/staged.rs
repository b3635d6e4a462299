//! The files of an archive, kept in the store's temporary space: an archive may tell what its files mean last.

use std::collections::HashMap;
use std::io::{self, Read};

use crate::error::{ImageError, Result, shown};
use crate::layer::{CleanPath, LayerReader, Limits};
use crate::store::{MAX_DOCUMENT_BYTES, StagedFile, Store};
use crate::tar::{Kind, TarReader};

/// Most entries of an image archive: thousands of images with a hundred layers each.
const MAX_ARCHIVE_ENTRIES: u64 = 1 << 17;
/// Links in a row from a name to a file.
const MAX_LINKS: u32 = 8;

enum Found {
    File(StagedFile),
    /// Another path of the archive, clean.
    Link(Vec<u8>),
}

/// The files of an archive by their clean paths.
pub(super) struct StagedArchive {
    found: HashMap<Vec<u8>, Found>,
}

impl StagedArchive {
    /// Reads a whole archive, in any compression that layers may have.
    ///
    /// Errors: `Malformed`, `Truncated`, `OverLimit`, `NoSpace`. Names never become paths on disk, so none can be
    /// harmful; links out of the archive lead nowhere.
    pub fn read(store: &Store, reader: impl Read + Send) -> Result<StagedArchive> {
        let limits = Limits { entries: MAX_ARCHIVE_ENTRIES, ..Limits::default() };
        let mut tar = TarReader::new(LayerReader::new(reader)?, &limits);
        let mut found = HashMap::new();
        while let Some(entry) = tar.next_entry()? {
            let path = CleanPath::new(&entry.path)?;
            let content = match entry.kind {
                Kind::File if entry.sparse.is_some() => {
                    let reason = "sparse files in an image archive are not read".to_owned();
                    return Err(ImageError::Unsupported { what: format!("`{}`", shown(&entry.path)), reason });
                }
                Kind::File => {
                    let staged = store.staged_file()?;
                    io::copy(&mut tar, &mut &staged.file).map_err(ImageError::on("write", &staged.path))?;
                    Found::File(staged)
                }
                Kind::HardLink => Found::Link(CleanPath::new(&entry.link)?.whole),
                Kind::Symlink => {
                    let target = [path.parent(), b"/", &entry.link].concat();
                    Found::Link(CleanPath::new(&target)?.whole)
                }
                _ => continue,
            };
            found.insert(path.whole, content);
        }
        Ok(StagedArchive { found })
    }

    /// The file at `path`, through links.
    ///
    /// Errors: `Malformed` if the archive does not have it.
    pub fn file(&self, path: &str) -> Result<&StagedFile> {
        let mut at = CleanPath::new(path.as_bytes())?.whole;
        for _ in 0..=MAX_LINKS {
            match self.found.get(&at) {
                Some(Found::File(file)) => return Ok(file),
                Some(Found::Link(target)) => at.clone_from(target),
                None => break,
            }
        }
        Err(ImageError::malformed("image archive", format!("`{}` is missing in it", shown(path.as_bytes()))))
    }

    pub fn has(&self, path: &str) -> bool {
        self.found.contains_key(path.as_bytes())
    }

    /// A document's bytes, at most [`MAX_DOCUMENT_BYTES`].
    pub fn document(&self, path: &str) -> Result<Vec<u8>> {
        let staged = self.file(path)?;
        let mut bytes = Vec::new();
        let read = staged.reader()?.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(ImageError::on("read", &staged.path))?;
        if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
            let what = format!("`{}` in the image archive", shown(path.as_bytes()));
            return Err(ImageError::OverLimit { what, limit: MAX_DOCUMENT_BYTES, unit: "bytes" });
        }
        Ok(bytes)
    }
}
