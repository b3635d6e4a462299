//! Notices that an unpacked layer was changed on disk before a container runs from it.
//!
//! The content of a layer is known by its digest, but to compare all of it at each start takes too long. So a layer whose
//! content was compared once gets a **seal**: a digest over the facts of every file that no write leaves alone (inode(7):
//! size, mode, owner, times of modification and of change, inode number). A layer with its seal intact is as it was; one
//! without, or with another one, is compared again and then sealed anew. The time of change cannot be set back through the
//! file system, so this notices everything but a write to the disk below it, or to the seal by somebody who is root here.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Store;
use super::layers::Meta;
use crate::digest::Digest;
use crate::error::{ImageError, Result};

/// Directories below each other that are walked; a path of the kernel's has no room for more.
const MAX_DEPTH: usize = 2048;

/// How sure one wants to be of the layers that a container starts from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// They are taken as they are.
    #[default]
    Off,
    /// Their seals are compared, and their content where a seal does not fit.
    Seal,
    /// Their content is compared.
    Content,
}

impl std::str::FromStr for Verify {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Verify, ()> {
        match text {
            "off" => Ok(Verify::Off),
            "seal" => Ok(Verify::Seal),
            "content" => Ok(Verify::Content),
            _ => Err(()),
        }
    }
}

impl Store {
    /// Verifies unpacked layers, named by their directories as [`Store::layer_dirs`] gives them.
    ///
    /// Errors: `Altered` for a layer that is not what its digest says, or where that cannot be told.
    pub fn verify_layers(&self, dirs: &[PathBuf], how: Verify) -> Result<()> {
        if how == Verify::Off {
            return Ok(());
        }
        for dir in dirs {
            self.verify_layer(dir, how)?;
        }
        Ok(())
    }

    fn verify_layer(&self, dir: &Path, how: Verify) -> Result<()> {
        let place = dir.parent().unwrap_or(dir);
        let altered = |why: String| ImageError::Altered {
            layer: place.file_name().unwrap_or_default().to_string_lossy().chars().take(12).collect(),
            why,
        };
        let name = place.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let diff_id: Digest = format!("sha256:{name}")
            .parse()
            .map_err(|_| altered("its directory has no digest for a name".to_owned()))?;
        let sealed = place.join("seal");
        let before = seal(dir)?;
        if how == Verify::Seal && fs::read_to_string(&sealed).is_ok_and(|text| text == before) {
            return Ok(());
        }
        let meta = match self.meta(&diff_id)? {
            Some(meta) if meta.diff_id == diff_id => meta,
            _ => return Err(altered("what is known about it is missing".to_owned())),
        };
        if let Some(why) = self.content(&meta)? {
            return Err(altered(why));
        }
        // The seal from before the comparison: a change while it went on breaks it.
        // Without a seal the next start compares again; a full disk must not keep a container from starting.
        let _ = stockade_durable::write_volatile(&sealed, before.as_bytes(), 0o600);
        Ok(())
    }

    /// How the layer's directory differs from its content; also when nothing says what that is.
    fn content(&self, meta: &Meta) -> Result<Option<String>> {
        match self.unpack_aside(meta) {
            // The directory gives its digest by itself.
            Ok(None) if meta.blob_on_demand => self.compare_layer(meta),
            Ok(None) => Ok(Some("its blob is gone, so that nothing says what it should be".to_owned())),
            Ok(Some((staging, _))) => self.compare_with(meta, &staging),
            Err(ImageError::DigestMismatch { .. }) => Ok(Some("its blob is damaged, too".to_owned())),
            Err(e) => Err(e),
        }
    }
}

/// The digest over the facts of all files of a tree.
fn seal(dir: &Path) -> Result<String> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |e: rustix::io::Errno| ImageError::io("read", &path, e.into())
    };
    let root = File::open(dir).map_err(ImageError::on("open", dir))?;
    let mut hash = Sha256::new();
    let mut record = |path: &Path, stat: &rustix::fs::Stat| {
        hash.update(path.as_os_str().as_bytes());
        hash.update([0]);
        for number in [
            i128::from(stat.st_ino),
            i128::from(stat.st_mode),
            i128::from(stat.st_uid),
            i128::from(stat.st_gid),
            i128::from(stat.st_size),
            i128::from(stat.st_rdev),
            i128::from(stat.st_mtime),
            i128::from(stat.st_mtime_nsec),
            i128::from(stat.st_ctime),
            i128::from(stat.st_ctime_nsec),
        ] {
            hash.update(number.to_le_bytes());
        }
    };
    let stat = rustix::fs::fstat(&root).map_err(failed(dir))?;
    record(Path::new(""), &stat);
    // Directories still to be read, by their path below the root.
    let mut todo = vec![PathBuf::new()];
    while let Some(path) = todo.pop() {
        let shown = dir.join(&path);
        let fd = if path.as_os_str().is_empty() {
            root.try_clone().map_err(ImageError::on("open", dir))?.into()
        } else {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(root.as_fd(), &path, flags, Mode::empty()).map_err(failed(&shown))?
        };
        let mut names = Vec::new();
        for entry in Dir::read_from(&fd).map_err(failed(&shown))? {
            let entry = entry.map_err(failed(&shown))?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable();
        for name in names {
            let below = path.join(OsStr::from_bytes(&name));
            let stat = statat(&fd, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW).map_err(failed(&dir.join(&below)))?;
            record(&below, &stat);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                if below.components().count() > MAX_DEPTH {
                    return Err(ImageError::malformed(dir.display().to_string(), "its directories are too deep"));
                }
                todo.push(below);
            }
        }
    }
    Ok(Digest::from_bytes(hash.finalize().into()).to_string())
}
