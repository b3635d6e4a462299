//! Extended attributes of files that are packed.

use std::os::fd::BorrowedFd;

use rustix::fs::{fgetxattr, flistxattr};
use rustix::io::Errno;

use super::xattr_belongs;
use crate::error::{ImageError, Result, shown};

/// Largest list of names and largest value, in bytes: the kernel's `XATTR_LIST_MAX` and `XATTR_SIZE_MAX`.
const MAX_BYTES: usize = 65_536;

/// What overlayfs says about a file in an upper directory.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OverlayMarks {
    /// Nothing of lower directories shows through.
    pub opaque: bool,
    /// The file stands for a deletion (the form that overlayfs uses where it cannot make devices).
    pub whiteout: bool,
}

/// Reads attributes with buffers that are allocated once.
#[derive(Debug)]
pub(super) struct Xattrs {
    names: Vec<u8>,
    value: Vec<u8>,
    /// What the last [`Xattrs::read`] found that belongs into a layer, sorted by name.
    pub found: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Default for Xattrs {
    fn default() -> Xattrs {
        Xattrs { names: vec![0; MAX_BYTES], value: vec![0; MAX_BYTES], found: Vec::new() }
    }
}

impl Xattrs {
    /// Reads what `file` has into [`Xattrs::found`]. `path` is for messages.
    ///
    /// Errors: `Unrepresentable` for a directory that overlayfs renamed by reference, or a file of which it holds
    /// the metadata only: the upper directory alone does not have the content.
    pub fn read(&mut self, file: BorrowedFd<'_>, path: &[u8]) -> Result<OverlayMarks> {
        self.found.clear();
        let mut marks = OverlayMarks::default();
        let failed = |e: Errno| ImageError::io("read attributes of", String::from_utf8_lossy(path).as_ref(), e.into());
        let length = match flistxattr(file, self.names.as_mut_slice()) {
            Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(marks),
            Ok(length) => length,
            Err(e) => return Err(failed(e)),
        };
        let names = self.names.get(..length).unwrap_or_default();
        for name in names.split(|b| *b == 0).filter(|n| !n.is_empty()) {
            let overlay = name.strip_prefix(b"trusted.overlay.").or_else(|| name.strip_prefix(b"user.overlay."));
            let wanted = xattr_belongs(name);
            if overlay.is_none() && !wanted {
                continue;
            }
            let value = match fgetxattr(file, name, self.value.as_mut_slice()) {
                Ok(length) => self.value.get(..length).unwrap_or_default(),
                Err(Errno::NODATA) => continue,
                Err(e) => return Err(failed(e)),
            };
            match overlay {
                Some(b"opaque") => marks.opaque |= value == b"y",
                Some(b"whiteout") => marks.whiteout = true,
                Some(b"redirect") => return Err(incomplete(path, "redirect_dir")),
                Some(b"metacopy") => return Err(incomplete(path, "metacopy")),
                Some(_) => {}
                None => self.found.push((name.to_vec(), portable(name, value))),
            }
        }
        self.found.sort_unstable();
        Ok(marks)
    }
}

fn incomplete(path: &[u8], feature: &str) -> ImageError {
    ImageError::Unrepresentable {
        path: shown(path),
        reason: format!("overlayfs stored only a reference to it: the overlay must be mounted with {feature}=off"),
    }
}

/// A file capability of revision 3 names the root of a user namespace of this machine; revision 2 means the root of
/// whichever namespace runs the file (`capabilities(7)`, "File capability extended attribute versioning").
fn portable(name: &[u8], value: &[u8]) -> Vec<u8> {
    /// Bytes of revision 2; revision 3 has the root's uid after them.
    const REVISION_2_BYTES: usize = 20;
    let mut value = value.to_vec();
    if name == b"security.capability"
        && value.len() == REVISION_2_BYTES + 4
        && let Some(revision) = value.get_mut(3).filter(|r| **r == 3)
    {
        *revision = 2;
        value.truncate(REVISION_2_BYTES);
    }
    value
}
