//! Unpacks a layer beneath a root directory, whatever the tar says.
//!
//! An entry's directory is opened with `openat2(RESOLVE_IN_ROOT)`, so that links in it resolve as they would inside a
//! container; its last name is then created with calls that never follow a link (`O_EXCL|O_NOFOLLOW`, `mkdirat`,
//! `symlinkat`, `linkat`). Nothing outside the root can be reached by `..`, absolute names, symbolic or hard links.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chownat, fchmod, fchown,
    fsetxattr, ftruncate, futimens, linkat, makedev, mkdirat, mknodat, openat, statat, symlinkat, utimensat,
};
use rustix::io::Errno;
use stockade_durable::owned;

use super::dirs::{CleanPath, Dirs, open_dir};
use super::remove::remove_at;
use super::{
    Devices, LayerReader, UnpackOptions, UnpackReport, WHITEOUT_META, WHITEOUT_PREFIX, Whiteouts, xattr_belongs,
};
use crate::error::{ImageError, Result, shown};
use crate::tar::{Entry, Kind, TarReader};

/// Lines of [`UnpackReport::notes`].
const MAX_NOTES: usize = 20;

/// Unpacks a layer tar (plain, gzip, zstd or xz, told by its first bytes) beneath `root`. Nothing outside `root` is
/// touched, whatever the tar says. The stream is read to its end.
///
/// Errors: `BadEntry` for an entry that cannot be created inside, `OverLimit`, `Truncated`, `Malformed`, `NoSpace`.
/// After an error `root` holds the entries before the bad one; the caller throws it away.
pub fn unpack(reader: impl Read + Send, root: BorrowedFd<'_>, options: &UnpackOptions) -> Result<UnpackReport> {
    unpack_tar(LayerReader::new(reader)?, root, options)
}

/// As [`unpack`], from a stream that is not compressed.
pub(crate) fn unpack_tar(reader: impl Read, root: BorrowedFd<'_>, options: &UnpackOptions) -> Result<UnpackReport> {
    let mut tar = TarReader::new(reader, &options.limits);
    let mut unpacker = Unpacker::new(root, options);
    while let Some(entry) = tar.next_entry()? {
        unpacker.apply(&entry, &mut tar)?;
    }
    unpacker.report.entries = tar.entries();
    drain(tar, options.limits.total_bytes)?;
    unpacker.finish()
}

/// Reads what follows the end of the archive (padding): whoever hashes the stream must see all of it.
fn drain<R: Read>(tar: TarReader<R>, limit: u64) -> Result<()> {
    let mut rest = tar.into_inner().take(limit);
    io::copy(&mut rest, &mut io::sink()).map_err(|e| ImageError::io("read", "layer", e))?;
    Ok(())
}

/// What a directory gets when everything in it exists: creating entries changes its time, and a mode without write
/// permission would keep an unprivileged unpack out.
struct Finish {
    mode: Mode,
    times: Timestamps,
}

pub(super) struct Unpacker<'r> {
    pub(super) root: BorrowedFd<'r>,
    pub(super) options: &'r UnpackOptions,
    pub(super) dirs: Dirs<'r>,
    pub(super) report: UnpackReport,
    /// Paths of this layer, kept for [`Whiteouts::Apply`], where a whiteout must not remove them.
    pub(super) created: HashSet<Vec<u8>>,
    /// Devices that were left out, so that hard links to them are too.
    skipped: HashSet<Vec<u8>>,
    finish: BTreeMap<Vec<u8>, Finish>,
}

impl<'r> Unpacker<'r> {
    fn new(root: BorrowedFd<'r>, options: &'r UnpackOptions) -> Unpacker<'r> {
        Unpacker {
            root,
            options,
            dirs: Dirs::new(root),
            report: UnpackReport::default(),
            created: HashSet::new(),
            skipped: HashSet::new(),
            finish: BTreeMap::new(),
        }
    }

    fn apply(&mut self, entry: &Entry, data: &mut impl BufRead) -> Result<()> {
        let path = CleanPath::new(&entry.path)?;
        if path.depth > self.options.limits.depth {
            let what = format!("the depth of `{}`", shown(&entry.path));
            return Err(ImageError::OverLimit { what, limit: self.options.limits.depth, unit: "levels" });
        }
        if path.is_root() {
            return self.root_entry(entry);
        }
        if self.options.whiteouts != Whiteouts::Literal && has_whiteout_name(&path.whole) {
            return self.whiteout(&path, entry);
        }
        if entry.uid == u32::MAX || entry.gid == u32::MAX {
            return Err(ImageError::entry(&entry.path, "its owner 4294967295 means `no owner` to the kernel"));
        }
        let parent = self.dirs.get_or_make(path.parent(), &entry.path)?;
        match entry.kind {
            Kind::Directory => self.directory(&path, &parent, entry)?,
            Kind::File => self.file(&path, &parent, entry, data)?,
            Kind::Symlink => self.symlink(&path, &parent, entry)?,
            Kind::HardLink => self.hard_link(&path, &parent, entry)?,
            Kind::Fifo => self.node(&path, &parent, entry, FileType::Fifo)?,
            Kind::CharDevice => self.device(&path, &parent, entry, FileType::CharacterDevice)?,
            Kind::BlockDevice => self.device(&path, &parent, entry, FileType::BlockDevice)?,
        }
        if self.options.whiteouts == Whiteouts::Apply {
            self.created.insert(path.whole);
        }
        Ok(())
    }

    fn root_entry(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != Kind::Directory {
            return Err(ImageError::entry(&entry.path, "it would replace the root of the layer"));
        }
        let root = open_dir(self.root, b"", OFlags::RDONLY).map_err(failed("open", entry))?;
        self.directory_metadata(&root, Vec::new(), entry)
    }

    fn directory(&mut self, path: &CleanPath, parent: &OwnedFd, entry: &Entry) -> Result<()> {
        let name = path.base();
        let mut replaced_whiteout = false;
        match mkdirat(parent, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed("stat", entry))?;
                let kind = FileType::from_raw_mode(stat.st_mode);
                let kept_link = kind == FileType::Symlink
                    && self.options.keep_directory_links
                    && open_dir(self.root, &path.whole, OFlags::PATH).is_ok();
                if kept_link {
                    return Ok(());
                }
                if kind != FileType::Directory {
                    replaced_whiteout = kind == FileType::CharacterDevice && stat.st_rdev == 0;
                    self.remove(parent, name, entry)?;
                    mkdirat(parent, name, Mode::RWXU).map_err(failed("create", entry))?;
                }
            }
            Err(e) => return Err(failed("create", entry)(e)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = openat(parent, name, flags, Mode::empty()).map_err(failed("open", entry))?;
        if replaced_whiteout {
            self.set_opaque(&dir, entry)?;
        }
        self.directory_metadata(&dir, path.whole.clone(), entry)
    }

    fn directory_metadata(&mut self, dir: &OwnedFd, path: Vec<u8>, entry: &Entry) -> Result<()> {
        if !self.options.ignore_owners {
            owned(fchown(dir, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid))))
                .map_err(failed("set the owner of", entry))?;
        }
        self.set_xattrs(dir, entry)?;
        self.finish.insert(path, Finish { mode: Mode::from_raw_mode(entry.mode), times: times(entry) });
        Ok(())
    }

    fn file(&mut self, path: &CleanPath, parent: &OwnedFd, entry: &Entry, data: &mut impl BufRead) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            self.create(parent, path.base(), entry, || openat(parent, path.base(), flags, Mode::RUSR | Mode::WUSR))?;
        match &entry.sparse {
            None => copy(data, &file, entry.size),
            Some(segments) => copy_segments(data, &file, segments, entry.size),
        }
        .map_err(|e| ImageError::io("write", String::from_utf8_lossy(&entry.path).as_ref(), e))?;
        self.report.bytes += entry.size;
        if !self.options.ignore_owners {
            owned(fchown(&file, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid))))
                .map_err(failed("set the owner of", entry))?;
        }
        // In this order: a change of owner clears setuid bits and file capabilities.
        fchmod(&file, Mode::from_raw_mode(entry.mode)).map_err(failed("set the mode of", entry))?;
        self.set_xattrs(&file, entry)?;
        futimens(&file, &times(entry)).map_err(failed("set the time of", entry))
    }

    fn symlink(&mut self, path: &CleanPath, parent: &OwnedFd, entry: &Entry) -> Result<()> {
        if entry.link.is_empty() {
            return Err(ImageError::entry(&entry.path, "it is a symbolic link to nothing"));
        }
        self.create(parent, path.base(), entry, || symlinkat(entry.link.as_slice(), parent, path.base()))?;
        self.skip_xattrs(entry);
        self.node_metadata(path, parent, entry, false)
    }

    fn hard_link(&mut self, path: &CleanPath, parent: &OwnedFd, entry: &Entry) -> Result<()> {
        let shown_target = shown(&entry.link);
        let target = CleanPath::new(&entry.link).map_err(|_| {
            ImageError::entry(&entry.path, format!("its link target `{shown_target}` leaves the layer"))
        })?;
        if self.skipped.contains(&target.whole) {
            self.skipped.insert(path.whole.clone());
            self.report.devices_skipped += 1;
            return Ok(());
        }
        let target_dir = self.dirs.get(target.parent(), &entry.path)?;
        let no_target = |why: &str| ImageError::entry(&entry.path, format!("its link target `{shown_target}` {why}"));
        let found = match statat(&target_dir, target.base(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Err(no_target("does not exist in the layer")),
            Err(e) => return Err(failed("link", entry)(e)),
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => return Err(no_target("is a directory")),
            FileType::CharacterDevice if found.st_rdev == 0 => return Err(no_target("is removed by the layer")),
            _ => {}
        }
        let existing = statat(parent, path.base(), AtFlags::SYMLINK_NOFOLLOW);
        if existing.is_ok_and(|e| (e.st_dev, e.st_ino) == (found.st_dev, found.st_ino)) {
            return Ok(());
        }
        self.create(parent, path.base(), entry, || {
            linkat(&target_dir, target.base(), parent, path.base(), AtFlags::empty())
        })
    }

    fn device(&mut self, path: &CleanPath, parent: &OwnedFd, entry: &Entry, kind: FileType) -> Result<()> {
        let (major, minor) = entry.device;
        let hidden_whiteout = kind == FileType::CharacterDevice && (major, minor) == (0, 0);
        if self.options.devices == Devices::Skip || hidden_whiteout {
            self.skipped.insert(path.whole.clone());
            self.report.devices_skipped += 1;
            self.note(|| format!("device `{}` ({major}:{minor}) left out", shown(&entry.path)));
            return Ok(());
        }
        self.node(path, parent, entry, kind)
    }

    fn node(&mut self, path: &CleanPath, parent: &OwnedFd, entry: &Entry, kind: FileType) -> Result<()> {
        let device = if kind == FileType::Fifo { 0 } else { makedev(entry.device.0, entry.device.1) };
        self.create(parent, path.base(), entry, || {
            mknodat(parent, path.base(), kind, Mode::RUSR | Mode::WUSR, device)
        })?;
        self.skip_xattrs(entry);
        self.node_metadata(path, parent, entry, true)
    }

    /// Owner, mode and time of what is not opened: links and nodes.
    fn node_metadata(&self, path: &CleanPath, parent: &OwnedFd, entry: &Entry, has_mode: bool) -> Result<()> {
        let name = path.base();
        if !self.options.ignore_owners {
            let owner = (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)));
            owned(chownat(parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW))
                .map_err(failed("set the owner of", entry))?;
        }
        if has_mode {
            // Just made with O_EXCL's meaning and no link: following is harmless.
            rustix::fs::chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
                .map_err(failed("set the mode of", entry))?;
        }
        utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW).map_err(failed("set the time of", entry))
    }

    /// Runs `make`; if the name is taken, what has it is removed (a later entry wins) and `make` runs again.
    fn create<T>(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> Result<T> {
        match make() {
            Err(Errno::EXIST) => {
                self.remove(parent, name, entry)?;
                make().map_err(failed("create", entry))
            }
            other => other.map_err(failed("create", entry)),
        }
    }

    pub(super) fn remove(&mut self, parent: &OwnedFd, name: &[u8], entry: &Entry) -> Result<()> {
        self.dirs.forget();
        remove_at(parent, name).map_err(failed("replace", entry))
    }

    fn set_xattrs(&mut self, file: &OwnedFd, entry: &Entry) -> Result<()> {
        for (name, value) in &entry.xattrs {
            if !xattr_belongs(name) {
                self.skip_xattr(entry, name);
                continue;
            }
            match fsetxattr(file, name.as_slice(), value, XattrFlags::empty()) {
                Ok(()) => {}
                // The file system has none, or this process may not set capabilities.
                Err(Errno::OPNOTSUPP | Errno::PERM) => self.skip_xattr(entry, name),
                Err(Errno::INVAL) => {
                    return Err(ImageError::entry(
                        &entry.path,
                        format!("its attribute `{}` is not valid", shown(name)),
                    ));
                }
                Err(e) => return Err(failed("set an attribute of", entry)(e)),
            }
        }
        Ok(())
    }

    fn skip_xattrs(&mut self, entry: &Entry) {
        for (name, _) in &entry.xattrs {
            self.skip_xattr(entry, name);
        }
    }

    fn skip_xattr(&mut self, entry: &Entry, name: &[u8]) {
        self.report.xattrs_skipped += 1;
        self.note(|| format!("attribute `{}` of `{}` left out", shown(name), shown(&entry.path)));
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.report.notes.len() < MAX_NOTES {
            self.report.notes.push(line());
        }
    }

    /// Gives directories their modes and times, the deepest first. One that a later entry replaced is left alone.
    fn finish(self) -> Result<UnpackReport> {
        for (path, finish) in self.finish.iter().rev() {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW;
            let dir = match open_dir(self.root, path, flags) {
                Ok(dir) => dir,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(e) => return Err(ImageError::io("open", shown(path), e.into())),
            };
            fchmod(&dir, finish.mode)
                .and_then(|()| futimens(&dir, &finish.times))
                .map_err(|e| ImageError::io("set the mode of", shown(path), e.into()))?;
        }
        Ok(self.report)
    }
}

/// Whether any name in a clean path begins like a whiteout's.
fn has_whiteout_name(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').any(|name| name.starts_with(WHITEOUT_PREFIX))
}

/// Names that old union file systems kept for themselves, apart from the opaque marker.
pub(super) fn is_union_metadata(name: &[u8]) -> bool {
    name.starts_with(WHITEOUT_META)
}

pub(super) fn failed<'e>(what: &'static str, entry: &'e Entry) -> impl Fn(Errno) -> ImageError + 'e {
    move |errno| ImageError::io(what, String::from_utf8_lossy(&entry.path).as_ref(), errno.into())
}

fn times(entry: &Entry) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: entry.mtime, tv_nsec: i64::from(entry.mtime_nanos) },
    }
}

/// Moves `size` bytes from the archive's buffer into `file` without another copy.
fn copy(data: &mut impl BufRead, file: impl AsFd, size: u64) -> io::Result<()> {
    let mut left = size;
    while left > 0 {
        let buffer = data.fill_buf().map_err(|e| io::Error::from(ImageError::io("read", "layer", e)))?;
        let step = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Some(bytes) = buffer.get(..step).filter(|b| !b.is_empty()) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let written = rustix::io::write(&file, bytes)?;
        data.consume(written);
        left -= written as u64;
    }
    Ok(())
}

fn copy_segments(data: &mut impl BufRead, file: &OwnedFd, segments: &[(u64, u64)], size: u64) -> io::Result<()> {
    for (offset, length) in segments {
        rustix::fs::seek(file, rustix::fs::SeekFrom::Start(*offset))?;
        copy(data, file, *length)?;
    }
    Ok(ftruncate(file, size)?)
}
