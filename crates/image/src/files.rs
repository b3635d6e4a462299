//! The files of an image as a container sees them, without a mount: its unpacked layers, laid over each other.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::error::{ImageError, Result};
use crate::layer::is_opaque;
use crate::store::{Image, Store};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A pipe, socket or device.
    Other,
}

/// A file of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner inside a container.
    pub uid: u32,
    /// Group inside a container.
    pub gid: u32,
    /// Bytes of a regular file.
    pub size: u64,
    /// Target of a symbolic link.
    pub target: PathBuf,
    /// Device and inode on this machine: equal for two names of one file.
    pub inode: (u64, u64),
    /// Where it lies in its layer.
    pub source: PathBuf,
}

/// Files by path: `/` between names, none at the beginning.
pub type Files = BTreeMap<PathBuf, ImageFile>;

impl Store {
    /// All files of an image, whatever layer they come from. Missing layers are unpacked.
    ///
    /// Errors: those of [`Store::layer_dirs`]; a directory that cannot be read.
    pub fn files(&self, image: &Image) -> Result<Files> {
        files_of(&self.layer_dirs(image)?)
    }
}

/// As [`Store::files`], for unpacked layers, topmost first.
pub fn files_of(dirs: &[PathBuf]) -> Result<Files> {
    let mut files = Files::new();
    for dir in dirs.iter().rev() {
        add(dir, &mut files)?;
    }
    Ok(files)
}

/// Lays one layer over what is there.
fn add(layer: &Path, files: &mut Files) -> Result<()> {
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        let place = layer.join(&dir);
        for entry in fs::read_dir(&place).map_err(ImageError::on("read", &place))? {
            let entry = entry.map_err(ImageError::on("read", &place))?;
            let path = dir.join(entry.file_name());
            let source = entry.path();
            let meta = fs::symlink_metadata(&source).map_err(ImageError::on("stat", &source))?;
            let kind = meta.file_type();
            if kind.is_char_device() && meta.rdev() == 0 {
                remove(files, &path, true);
                continue;
            }
            if !kind.is_dir() || is_opaque(&source) || files.get(&path).is_some_and(|f| f.kind != FileKind::Directory) {
                remove(files, &path, true);
            }
            let shown = match () {
                () if kind.is_dir() => FileKind::Directory,
                () if kind.is_file() => FileKind::File,
                () if kind.is_symlink() => FileKind::Link,
                () => FileKind::Other,
            };
            let target = if shown == FileKind::Link {
                fs::read_link(&source).map_err(ImageError::on("read", &source))?
            } else {
                PathBuf::new()
            };
            if shown == FileKind::Directory {
                pending.push(path.clone());
            }
            let file = ImageFile {
                kind: shown,
                mode: meta.mode() & 0o7777,
                uid: meta.uid(),
                gid: meta.gid(),
                size: if shown == FileKind::File { meta.len() } else { 0 },
                target,
                inode: (meta.dev(), meta.ino()),
                source,
            };
            files.insert(path, file);
        }
    }
    Ok(())
}

/// Takes away a path and all below it.
fn remove(files: &mut Files, path: &Path, itself: bool) {
    if itself && files.remove(path).is_some_and(|file| file.kind != FileKind::Directory) {
        return;
    }
    // `PathBuf`s are ordered name by name, so all below a directory follow it directly.
    let below: Vec<PathBuf> =
        files.range(path.to_path_buf()..).map(|(p, _)| p).take_while(|p| p.starts_with(path)).cloned().collect();
    for gone in below {
        files.remove(&gone);
    }
}

/// Follows symbolic links of an image as a process inside would; the path of what is there, and every link on the way.
/// `None` where nothing is there, or links go in circles.
pub fn follow(files: &Files, path: &Path) -> Option<(PathBuf, Vec<PathBuf>)> {
    /// The kernel's own limit.
    const MAX_LINKS: usize = 40;
    let mut links = Vec::new();
    let mut todo: Vec<Vec<u8>> = names(path);
    let mut at = PathBuf::new();
    while let Some(name) = todo.pop() {
        if name == b".." {
            at.pop();
            continue;
        }
        let next = at.join(std::ffi::OsString::from_vec(name));
        let file = files.get(&next)?;
        if file.kind != FileKind::Link {
            at = next;
            continue;
        }
        links.push(next);
        if links.len() > MAX_LINKS {
            return None;
        }
        if file.target.is_absolute() {
            at = PathBuf::new();
        }
        todo.extend(names(&file.target));
    }
    Some((at, links))
}

/// Names of a path, the first one last.
fn names(path: &Path) -> Vec<Vec<u8>> {
    let bytes = path.as_os_str().as_bytes();
    let mut names: Vec<Vec<u8>> =
        bytes.split(|b| *b == b'/').filter(|n| !n.is_empty() && *n != b".").map(<[u8]>::to_vec).collect();
    names.reverse();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("usr/lib")).unwrap();
        fs::write(at("usr/lib/x.so.1.2"), "").unwrap();
        std::os::unix::fs::symlink("x.so.1.2", at("usr/lib/x.so")).unwrap();
        std::os::unix::fs::symlink("usr/lib", at("lib")).unwrap();
        std::os::unix::fs::symlink("/lib/../lib/x.so", at("up")).unwrap();
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        let files = files_of(&[dir.path().to_owned()]).unwrap();
        let (path, links) = follow(&files, Path::new("/up")).unwrap();
        assert_eq!(path, Path::new("usr/lib/x.so.1.2"));
        // `..` behind a link is that of the directory that it leads to.
        assert_eq!(links, [Path::new("up"), Path::new("lib"), Path::new("usr/lib/x.so")]);
        assert!(follow(&files, Path::new("/loop")).is_none());
        assert!(follow(&files, Path::new("/none")).is_none());
    }

    #[test]
    fn a_file_over_a_directory_hides_all_of_it() {
        let (low, high) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(low.path().join("a/b")).unwrap();
        fs::write(low.path().join("a/b/c"), "").unwrap();
        fs::write(low.path().join("a.x"), "").unwrap();
        fs::write(high.path().join("a"), "").unwrap();
        let files = files_of(&[high.path().to_owned(), low.path().to_owned()]).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), [Path::new("a"), Path::new("a.x")]);
    }
}
