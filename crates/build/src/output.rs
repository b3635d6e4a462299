//! What becomes of the result: `--output`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use stockade_image::layer::{Devices, Whiteouts};
use stockade_image::{Format, Image, UnpackOptions};

use crate::builder::Build;
use crate::error::BuildError;
use crate::merged::Tree;
use crate::state::State;
use crate::walk::{Entry, open, walk};

/// What becomes of the result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Output {
    /// An image in the store.
    #[default]
    Image,
    /// The files, as a tar archive at this path.
    Tar(PathBuf),
    /// The files, in this directory.
    Local(PathBuf),
    /// An OCI archive at this path.
    Oci(PathBuf),
    /// A docker archive at this path.
    Docker(PathBuf),
    /// Nothing but the cache.
    CacheOnly,
}

impl Output {
    /// For the progress line.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Output::Image => "exporting to image",
            Output::Tar(_) => "exporting to tar archive",
            Output::Local(_) => "exporting to directory",
            Output::Oci(_) => "exporting to OCI archive",
            Output::Docker(_) => "exporting to docker archive",
            Output::CacheOnly => "exporting nothing",
        }
    }

    pub(crate) fn needs_image(&self) -> bool {
        matches!(self, Output::Image | Output::Oci(_) | Output::Docker(_))
    }
}

/// Writes the result where the request wants it.
pub(crate) fn write(
    build: &Build<'_>,
    output: &Output,
    state: &State,
    image: Option<&Image>,
) -> Result<(), BuildError> {
    match (output, image) {
        (Output::Image | Output::CacheOnly, _) => Ok(()),
        (Output::Tar(path), _) => {
            let staging = build.store.staging_dir()?;
            flatten(build, state, staging.path())?;
            write_file(path, |file| tar_of(staging.path(), file, build.epoch))
        }
        (Output::Local(path), _) => {
            fs::create_dir_all(path).map_err(BuildError::io("create directory", path))?;
            flatten(build, state, path)
        }
        (Output::Oci(path), Some(image)) => archive(build, path, image, Format::Oci),
        (Output::Docker(path), Some(image)) => archive(build, path, image, Format::Docker),
        (Output::Oci(_) | Output::Docker(_), None) => Ok(()),
    }
}

fn archive(build: &Build<'_>, path: &Path, image: &Image, format: Format) -> Result<(), BuildError> {
    let mut names: Vec<String> = build.request.tags.iter().map(|t| t.clone().or_latest().to_string()).collect();
    if names.is_empty() {
        names.push(image.id.to_string());
    }
    write_file(path, |file| Ok(build.store.save(&names, format, file)?))
}

/// Writes a file whole or not at all. Devices and pipes (`/dev/stdout`) are written as they are.
fn write_file(path: &Path, work: impl FnOnce(&mut dyn Write) -> Result<(), BuildError>) -> Result<(), BuildError> {
    let direct = fs::metadata(path).is_ok_and(|m| !m.is_file());
    let temporary = if direct { path.to_owned() } else { path.with_file_name(stockade_durable::temporary_name()) };
    let file = File::create(&temporary).map_err(BuildError::io("create", &temporary))?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    let written =
        work(&mut writer).and_then(|()| writer.flush().map_err(BuildError::io("write", path))).and_then(|()| {
            if direct { Ok(()) } else { fs::rename(&temporary, path).map_err(BuildError::io("create", path)) }
        });
    if written.is_err() && !direct {
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Unpacks all layers over each other.
fn flatten(build: &Build<'_>, state: &State, into: &Path) -> Result<(), BuildError> {
    let root = File::open(into).map_err(BuildError::io("open", into))?;
    let options = UnpackOptions { devices: Devices::Create, whiteouts: Whiteouts::Apply, ..UnpackOptions::default() };
    for layer in &state.layers {
        build.cancel.check()?;
        let blob = build.store.open_blob(&layer.descriptor.digest)?;
        stockade_image::layer::unpack(blob, root.as_fd(), &options)?;
    }
    Ok(())
}

/// A tar of a directory: sorted, with hardlinks.
fn tar_of(dir: &Path, out: &mut dyn Write, clamp: Option<i64>) -> Result<(), BuildError> {
    let tree = Tree::plain(dir.to_owned());
    let Some(root) = tree.root()? else { return Ok(()) };
    let entries = walk(&tree, root, b"", None)?;
    let mut links: std::collections::HashMap<(u64, u64), Vec<u8>> = std::collections::HashMap::new();
    let mut tar = tar::Builder::new(out);
    for entry in entries.iter().filter(|e| !e.path.is_empty()) {
        let first = if entry.kind == FileType::RegularFile && entry.links() > 1 {
            match links.get(&entry.identity()) {
                Some(first) => Some(first.clone()),
                None => {
                    links.insert(entry.identity(), entry.path.clone());
                    None
                }
            }
        } else {
            None
        };
        append(&mut tar, entry, first.as_deref(), clamp).map_err(BuildError::io("write", &entry.real))?;
    }
    tar.finish().map_err(BuildError::io("write", dir))
}

fn append(
    tar: &mut tar::Builder<&mut dyn Write>,
    entry: &Entry,
    first: Option<&[u8]>,
    clamp: Option<i64>,
) -> std::io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let path = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
    let mut header = tar::Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(u64::from(entry.uid));
    header.set_gid(u64::from(entry.gid));
    let mtime = clamp.map_or(entry.mtime.0, |c| c.min(entry.mtime.0));
    header.set_mtime(u64::try_from(mtime).unwrap_or_default());
    header.set_size(0);
    if let Some(first) = first {
        header.set_entry_type(tar::EntryType::Link);
        return tar.append_link(&mut header, path(&entry.path), path(first));
    }
    match entry.kind {
        FileType::RegularFile => {
            header.set_size(entry.size);
            let file = open(&entry.real).map_err(std::io::Error::other)?;
            tar.append_data(&mut header, path(&entry.path), std::io::Read::take(file, entry.size))
        }
        FileType::Symlink => {
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, path(&entry.path), path(entry.link.as_deref().unwrap_or_default()))
        }
        kind => {
            header.set_entry_type(match kind {
                FileType::Directory => tar::EntryType::Directory,
                FileType::Fifo => tar::EntryType::Fifo,
                FileType::BlockDevice => tar::EntryType::Block,
                FileType::CharacterDevice => tar::EntryType::Char,
                _ => return Ok(()),
            });
            if matches!(kind, FileType::BlockDevice | FileType::CharacterDevice) {
                header.set_device_major(rustix::fs::major(entry.rdev))?;
                header.set_device_minor(rustix::fs::minor(entry.rdev))?;
            }
            // Directories end in a slash, as every tar program writes them.
            let slash: &[u8] = if kind == FileType::Directory { b"/" } else { b"" };
            tar.append_data(&mut header, path(&[entry.path.as_slice(), slash].concat()), std::io::empty())
        }
    }
}
