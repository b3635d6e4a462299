//! Extended attributes of files that are copied (xattr(7)).

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// Largest list of attribute names, and largest value, that Linux keeps.
const MAX_BYTES: usize = 64 << 10;

/// Names and values, by name.
pub(crate) type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// Which of a file's attributes come along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Of files of this machine (a build context): what their owner noted, not what the system granted.
    User,
    /// Of an image's files: all but overlayfs's own.
    All,
}

impl Which {
    fn takes(self, name: &[u8]) -> bool {
        match self {
            Which::User => name.starts_with(b"user.") && !name.starts_with(b"user.overlay."),
            Which::All => !name.starts_with(b"trusted.overlay.") && !name.starts_with(b"user.overlay."),
        }
    }
}

/// Reads what `path` itself has; a file system without attributes has none.
pub(crate) fn read(path: &Path, which: Which) -> io::Result<Attributes> {
    // Nearly every file has none: no memory is taken before there is something to read.
    match rustix::fs::llistxattr(path, &mut [0u8; 16][..]) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Ok(_) | Err(Errno::RANGE) => {}
        Err(e) => return Err(e.into()),
    }
    let mut names = vec![0u8; MAX_BYTES];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice())?;
    let mut value = vec![0u8; MAX_BYTES];
    let mut found = Attributes::new();
    for name in names.get(..length).unwrap_or_default().split(|b| *b == 0).filter(|n| !n.is_empty()) {
        if which.takes(name) {
            // One that went since it was listed, or that this process may not read, does not come along.
            let Ok(length) = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), value.as_mut_slice()) else {
                continue;
            };
            found.push((name.to_vec(), value.get(..length).unwrap_or_default().to_vec()));
        }
    }
    found.sort();
    Ok(found)
}

/// Gives `path` itself these attributes. What the file system does not take is left out: `security.selinux` and the like
/// belong to the host.
pub(crate) fn write(path: &Path, attributes: &Attributes) -> io::Result<()> {
    for (name, value) in attributes {
        match rustix::fs::lsetxattr(path, OsStr::from_bytes(name), value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_along_as_far_as_they_should() {
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::write(&from, "").unwrap();
        std::fs::write(&to, "").unwrap();
        assert_eq!(read(&from, Which::All).unwrap(), []);
        let set = |name: &str, value: &[u8]| rustix::fs::lsetxattr(&from, name, value, XattrFlags::empty()).unwrap();
        set("user.b", b"2");
        set("user.a-name-that-is-longer-than-the-first-look", &[7; 300]);
        set("user.overlay.opaque", b"y");
        let found = read(&from, Which::User).unwrap();
        let names: Vec<&[u8]> = found.iter().map(|(name, _)| name.as_slice()).collect();
        assert_eq!(names, [&b"user.a-name-that-is-longer-than-the-first-look"[..], b"user.b"]);
        write(&to, &found).unwrap();
        assert_eq!(read(&to, Which::All).unwrap(), found);
    }
}
