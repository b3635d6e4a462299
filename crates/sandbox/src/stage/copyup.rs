//! `tmpcopyup`: a tmpfs that begins with what it covers. Podman asks for it with `--tmpfs` and `--read-only`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, chownat, fchmod, fchown, fstat,
    futimens, mkdirat, mknodat, openat, readlinkat, sendfile, statat, symlinkat,
};
use rustix::io::Errno;

/// Directories below one another that are copied: deeper ones are nobody's configuration.
const MAX_DEPTH: usize = 100;

/// Copies everything in the directory `from`, which may be covered by now, into `to`, and its own mode if `mode` says so.
pub(super) fn tree(from: BorrowedFd<'_>, to: BorrowedFd<'_>, mode: bool) -> Result<(), Errno> {
    let (from, to) = (directory(from, ".")?, directory(to, ".")?);
    if mode {
        fchmod(&to, Mode::from_raw_mode(fstat(&from)?.st_mode))?;
    }
    entries(&from, &to, 0)
}

fn directory(base: BorrowedFd<'_>, name: impl rustix::path::Arg) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(base, name, flags, Mode::empty())
}

fn entries(from: &OwnedFd, to: &OwnedFd, depth: usize) -> Result<(), Errno> {
    if depth > MAX_DEPTH {
        return Err(Errno::LOOP);
    }
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let facts = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(facts.st_mode) {
            FileType::Directory => {
                mkdirat(to, name, Mode::RWXU)?;
                let (inner_from, inner_to) = (directory(from.as_fd(), name)?, directory(to.as_fd(), name)?);
                entries(&inner_from, &inner_to, depth + 1)?;
                same(&inner_to, &facts)?;
            }
            FileType::RegularFile => file(from, to, name, &facts)?,
            FileType::Symlink => {
                symlinkat(readlinkat(from, name, Vec::new())?, to, name)?;
                owner(to, name, &facts)?;
            }
            FileType::Fifo => {
                mknodat(to, name, FileType::Fifo, Mode::from_raw_mode(facts.st_mode), 0)?;
                owner(to, name, &facts)?;
            }
            // A socket is of no use without its owner, and devices are the configuration's to make.
            _ => {}
        }
    }
    Ok(())
}

fn file(from: &OwnedFd, to: &OwnedFd, name: &std::ffi::CStr, facts: &Stat) -> Result<(), Errno> {
    // Not to be kept waiting by a fifo that has taken the file's place meanwhile.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = openat(from, name, flags, Mode::empty())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = openat(to, name, flags, Mode::RUSR | Mode::WUSR)?;
    while rustix::io::retry_on_intr(|| sendfile(&target, &source, None, 1 << 20))? > 0 {}
    same(&target, facts)
}

/// Owner, mode and time. In this order: a change of owner clears set-user-id bits.
fn same(fd: &OwnedFd, facts: &Stat) -> Result<(), Errno> {
    fchown(fd, Some(Uid::from_raw(facts.st_uid)), Some(Gid::from_raw(facts.st_gid)))?;
    fchmod(fd, Mode::from_raw_mode(facts.st_mode))?;
    let time = |tv_sec, nsec| Timespec { tv_sec, tv_nsec: i64::try_from(nsec).unwrap_or(0) };
    futimens(
        fd,
        &Timestamps {
            last_access: time(facts.st_atime, facts.st_atime_nsec),
            last_modification: time(facts.st_mtime, facts.st_mtime_nsec),
        },
    )
}

fn owner(to: &OwnedFd, name: &std::ffi::CStr, facts: &Stat) -> Result<(), Errno> {
    let (uid, gid) = (Some(Uid::from_raw(facts.st_uid)), Some(Gid::from_raw(facts.st_gid)));
    chownat(to, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn files_links_and_directories_are_copied_as_they_are() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("d")).unwrap();
        fs::write(from.path().join("d/f"), vec![7u8; 3 << 20]).unwrap();
        fs::set_permissions(from.path().join("d/f"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::set_permissions(from.path(), fs::Permissions::from_mode(0o751)).unwrap();
        symlink("/nowhere", from.path().join("l")).unwrap();
        let open = |path: &std::path::Path| fs::File::open(path).unwrap();
        tree(open(from.path()).as_fd(), open(to.path()).as_fd(), true).unwrap();
        assert_eq!(fs::read(to.path().join("d/f")).unwrap(), vec![7u8; 3 << 20]);
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&to.path().join("d/f")), mode(to.path())), (0o640, 0o751));
        assert_eq!(fs::read_link(to.path().join("l")).unwrap(), std::path::Path::new("/nowhere"));
        let changed = |path: &str| fs::metadata(path).unwrap().modified().unwrap();
        let both = ["d/f", "d"]
            .map(|n| (changed(from.path().join(n).to_str().unwrap()), changed(to.path().join(n).to_str().unwrap())));
        assert!(both.iter().all(|(a, b)| a == b));
    }
}
