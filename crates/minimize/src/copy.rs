//! Copies files of an image to a plain root, with everything that belongs to them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chownat, lgetxattr,
    llistxattr, lsetxattr, mknodat, utimensat,
};
use stockade_image::files::{FileKind, Files, ImageFile};

use crate::error::MinimizeError;

/// Largest list of attribute names, and largest attribute: the kernel's own limits.
const MAX_XATTR: usize = 65_536;

/// Copies those of `files` that are wanted to `dest`, an empty directory. Hard links among them stay hard links.
pub fn copy(files: &Files, wanted: &dyn Fn(&Path) -> bool, dest: &Path) -> Result<(), MinimizeError> {
    let mut seen: HashMap<(u64, u64), PathBuf> = HashMap::new();
    let mut directories = Vec::new();
    for (path, file) in files.iter().filter(|(path, _)| wanted(path)) {
        let to = dest.join(path);
        let failed = MinimizeError::on("copy", &to);
        match file.kind {
            FileKind::Directory => {
                fs::create_dir(&to).map_err(&failed)?;
                directories.push((to.clone(), file));
                continue;
            }
            FileKind::File => {
                if let Some(first) = seen.get(&file.inode) {
                    fs::hard_link(first, &to).map_err(&failed)?;
                    continue;
                }
                fs::copy(&file.source, &to).map_err(&failed)?;
                seen.insert(file.inode, to.clone());
            }
            FileKind::Link => std::os::unix::fs::symlink(&file.target, &to).map_err(&failed)?,
            FileKind::Other if is_fifo(&file.source) => {
                mknodat(CWD, &to, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).map_err(|e| failed(e.into()))?;
            }
            // A socket is of a process that is gone; devices are not unpacked from layers.
            FileKind::Other => continue,
        }
        attributes(file, &to).map_err(failed)?;
    }
    // Last, the deepest first: what is made in a directory changes its time.
    for (to, file) in directories.iter().rev() {
        attributes(file, to).map_err(MinimizeError::on("set the owner of", to))?;
    }
    Ok(())
}

fn is_fifo(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_fifo())
}

/// Owner, mode, attributes and time, in the order in which none undoes another.
fn attributes(file: &ImageFile, to: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (uid, gid) = (Uid::from_raw(file.uid), Gid::from_raw(file.gid));
    chownat(CWD, to, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if file.kind != FileKind::Link {
        rustix::fs::chmod(to, Mode::from_raw_mode(file.mode))?;
        extended(&file.source, to)?;
    }
    let meta = fs::symlink_metadata(&file.source)?;
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() },
    };
    Ok(utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// What belongs into layers: file capabilities and what users set, but nothing of overlayfs.
fn extended(from: &Path, to: &Path) -> io::Result<()> {
    let mut names = vec![0u8; MAX_XATTR];
    let length = match llistxattr(from, names.as_mut_slice()) {
        Ok(0) | Err(rustix::io::Errno::OPNOTSUPP) => return Ok(()),
        other => other?,
    };
    let mut value = vec![0u8; MAX_XATTR];
    for name in names.get(..length).unwrap_or_default().split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let belongs =
            name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."));
        if belongs {
            let name = std::ffi::OsStr::from_bytes(name);
            let length = lgetxattr(from, name, value.as_mut_slice())?;
            lsetxattr(to, name, value.get(..length).unwrap_or_default(), XattrFlags::empty())?;
        }
    }
    Ok(())
}
