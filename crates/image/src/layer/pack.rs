//! Turns an overlay's upper directory, or a whole root, into a layer tar: the same bytes for the same content.
//!
//! Entries come in the order of their names, each directory before what is in it. Owners are numbers, times are whole
//! seconds, extended headers appear only where a value needs one. Overlayfs's whiteouts and opaque directories become
//! `.wh.` entries; sockets are left out, as they mean nothing outside the process that made them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, UTIME_OMIT, fstat, futimens, major, minor,
    openat, readlinkat, seek, statat, utimensat,
};
use rustix::io::Errno;

use super::remove::list;
use super::xattrs::Xattrs;
use super::{LayerSink, MAX_DEPTH, WHITEOUT_OPAQUE, WHITEOUT_PREFIX};
use crate::error::{ImageError, Result, shown};
use crate::tar::{BLOCK, END_OF_ARCHIVE, EntryHead, Kind, padding, write_head};

/// Smallest file that may be written as a sparse one, in bytes.
const MIN_SPARSE_BYTES: u64 = 1 << 20;
/// Mode of the root that needs no entry of its own.
const DEFAULT_ROOT_MODE: u32 = 0o755;
/// Mode of a whiteout's entry.
const WHITEOUT_MODE: u32 = 0o600;

/// How [`pack`] writes.
#[derive(Debug, Clone, Default)]
pub struct PackOptions {
    /// Times later than this (seconds since 1970) become this, in the tar and in the directory.
    pub clamp_mtime: Option<i64>,
}

/// What [`pack`] wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackReport {
    /// Entries.
    pub entries: u64,
    /// Bytes of regular files, hard links counted once, holes included.
    pub bytes: u64,
    /// Sockets that were left out.
    pub sockets_skipped: u64,
    /// The root is marked opaque.
    pub root_opaque: bool,
}

/// Where a packed layer goes.
pub trait Target: Write {
    /// Copies exactly `size` bytes of `file`, from its present position.
    /// Errors: `UnexpectedEof` if there are fewer.
    fn copy_file(&mut self, file: &mut File, size: u64) -> io::Result<()>;
}

impl Target for LayerSink {
    fn copy_file(&mut self, file: &mut File, size: u64) -> io::Result<()> {
        self.copy_from(file, size)
    }
}

/// A plain writer as target.
#[derive(Debug)]
pub struct PlainTarget<W>(pub W);

impl<W: Write> Write for PlainTarget<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write> Target for PlainTarget<W> {
    fn copy_file(&mut self, file: &mut File, size: u64) -> io::Result<()> {
        if io::copy(&mut file.take(size), &mut self.0)? == size {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

/// Writes the layer tar of the directory `root`, with the marks that end an archive. The directory must not change
/// meanwhile.
///
/// Errors: `Unrepresentable` for a file that has no form in a layer; `Io`, `NoSpace`.
pub fn pack(root: BorrowedFd<'_>, out: &mut impl Target, options: &PackOptions) -> Result<PackReport> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(root, ".", flags, Mode::empty()).map_err(|e| ImageError::io("open", ".", e.into()))?;
    let mut packer = Packer {
        out,
        options,
        report: PackReport::default(),
        links: HashMap::new(),
        xattrs: Xattrs::default(),
        heads: Vec::with_capacity(4096),
    };
    packer.root(&root)?;
    packer.directory(&root, &mut Vec::with_capacity(256), 0)?;
    packer.out.write_all(&END_OF_ARCHIVE).map_err(write_failed)?;
    Ok(packer.report)
}

fn write_failed(error: io::Error) -> ImageError {
    ImageError::io("write", "layer", error)
}

fn read_failed<'p>(what: &'static str, path: &'p [u8]) -> impl Fn(Errno) -> ImageError + 'p {
    move |errno| ImageError::io(what, String::from_utf8_lossy(path).as_ref(), errno.into())
}

struct Packer<'a, T> {
    out: &'a mut T,
    options: &'a PackOptions,
    report: PackReport,
    /// First path of each file with several names, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    xattrs: Xattrs,
    /// Scratch for header blocks.
    heads: Vec<u8>,
}

impl<T: Target> Packer<'_, T> {
    /// The root has an entry only where it differs from what an unpacker makes by itself.
    fn root(&mut self, root: &OwnedFd) -> Result<()> {
        let stat = fstat(root).map_err(read_failed("stat", b"."))?;
        let overlay = self.xattrs.read(root.as_fd(), b".")?;
        self.report.root_opaque = overlay.opaque;
        let plain = stat.st_mode & 0o7777 == DEFAULT_ROOT_MODE && stat.st_uid == 0 && stat.st_gid == 0;
        if !plain || !self.xattrs.found.is_empty() {
            self.entry(b".", Kind::Directory, &stat, b"")?;
        }
        if let Some(limit) = self.too_late(&stat) {
            futimens(root, &limit).map_err(read_failed("set the time of", b"."))?;
        }
        if overlay.opaque {
            self.marker(WHITEOUT_OPAQUE)?;
        }
        Ok(())
    }

    fn directory(&mut self, dir: &OwnedFd, path: &mut Vec<u8>, depth: u64) -> Result<()> {
        if depth >= MAX_DEPTH {
            return Err(unrepresentable(path, format!("it is nested deeper than {MAX_DEPTH} directories")));
        }
        let mut names = list(dir).map_err(read_failed("read", path))?;
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let length = path.len();
        for (name, kind) in names {
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            self.named(dir, &name, kind, path, depth)?;
            path.truncate(length);
        }
        Ok(())
    }

    fn named(&mut self, dir: &OwnedFd, name: &[u8], kind: FileType, path: &mut Vec<u8>, depth: u64) -> Result<()> {
        if name.starts_with(WHITEOUT_PREFIX) {
            return Err(unrepresentable(path, "names that begin with `.wh.` mean deletion in a layer".into()));
        }
        let kind = match kind {
            FileType::Unknown => FileType::from_raw_mode(self.stat(dir, name, path)?.st_mode),
            kind => kind,
        };
        match kind {
            FileType::RegularFile => self.file(dir, name, path),
            FileType::Directory => self.subdirectory(dir, name, path, depth),
            FileType::Symlink => {
                let stat = self.stat(dir, name, path)?;
                let target = readlinkat(dir, name, Vec::new()).map_err(read_failed("read", path))?;
                self.xattrs.found.clear();
                self.linkable(dir, name, path, Kind::Symlink, &stat, target.as_bytes())
            }
            FileType::CharacterDevice => {
                let stat = self.stat(dir, name, path)?;
                if stat.st_rdev == 0 {
                    return self.whiteout(name, path);
                }
                self.xattrs.found.clear();
                self.linkable(dir, name, path, Kind::CharDevice, &stat, b"")
            }
            FileType::BlockDevice | FileType::Fifo => {
                let stat = self.stat(dir, name, path)?;
                let kind = if kind == FileType::Fifo { Kind::Fifo } else { Kind::BlockDevice };
                self.xattrs.found.clear();
                self.linkable(dir, name, path, kind, &stat, b"")
            }
            FileType::Socket => {
                self.report.sockets_skipped += 1;
                Ok(())
            }
            FileType::Unknown => Err(unrepresentable(path, "the file system does not tell what it is".into())),
        }
    }

    fn stat(&self, dir: &OwnedFd, name: &[u8], path: &[u8]) -> Result<Stat> {
        statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(read_failed("stat", path))
    }

    fn subdirectory(&mut self, dir: &OwnedFd, name: &[u8], path: &mut Vec<u8>, depth: u64) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inner = openat(dir, name, flags, Mode::empty()).map_err(read_failed("open", path))?;
        let stat = fstat(&inner).map_err(read_failed("stat", path))?;
        let overlay = self.xattrs.read(inner.as_fd(), path)?;
        self.entry(path, Kind::Directory, &stat, b"")?;
        self.clamp(dir, name, path, &stat)?;
        if overlay.opaque {
            self.marker(&[path.as_slice(), b"/", WHITEOUT_OPAQUE].concat())?;
        }
        self.directory(&inner, path, depth + 1)
    }

    fn file(&mut self, dir: &OwnedFd, name: &[u8], path: &[u8]) -> Result<()> {
        let file = open_file(dir, name).map_err(read_failed("open", path))?;
        let stat = fstat(&file).map_err(read_failed("stat", path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(changed(path));
        }
        if self.is_later_link(path, &stat) {
            return self.hard_link(path, &stat);
        }
        let overlay = self.xattrs.read(file.as_fd(), path)?;
        if overlay.whiteout {
            return self.whiteout(name, path);
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.report.bytes += size;
        let mut file = File::from(file);
        let segments = data_segments(&file, &stat, size).map_err(read_failed("read", path))?;
        let copied = match &segments {
            None => {
                self.entry(path, Kind::File, &stat, b"")?;
                self.data(&mut file, &[(0, size)], size)
            }
            Some(segments) => self.sparse(path, &stat, &mut file, segments, size)?,
        };
        copied.map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => changed(path),
            _ => ImageError::io("read", String::from_utf8_lossy(path).as_ref(), e),
        })?;
        self.clamp(dir, name, path, &stat)
    }

    fn data(&mut self, file: &mut File, segments: &[(u64, u64)], stored: u64) -> io::Result<()> {
        let one = segments.len() == 1;
        for (offset, length) in segments {
            if !one || *offset > 0 {
                seek(&*file, SeekFrom::Start(*offset))?;
            }
            self.out.copy_file(file, *length)?;
        }
        write_padding(self.out, stored)
    }

    /// PAX format 1.0: the map of segments precedes the data.
    fn sparse(
        &mut self,
        path: &[u8],
        stat: &Stat,
        file: &mut File,
        segments: &[(u64, u64)],
        size: u64,
    ) -> Result<io::Result<()>> {
        // GNU tar expects a last, empty segment that tells where a hole at the end ends.
        let tail = segments.last().is_none_or(|(offset, length)| offset + length < size).then_some((size, 0));
        let all: Vec<(u64, u64)> = segments.iter().copied().chain(tail).collect();
        let mut map = format!("{}\n", all.len());
        for (offset, length) in &all {
            map.push_str(&format!("{offset}\n{length}\n"));
        }
        map.extend(std::iter::repeat_n('\0', usize::try_from(padding(map.len() as u64)).unwrap_or(0)));
        let stored: u64 = segments.iter().map(|(_, length)| length).sum();
        let head = self.head(path, Kind::File, stat, b"", map.len() as u64 + stored);
        self.write(&EntryHead { sparse_size: Some(size), ..head })?;
        self.out.write_all(map.as_bytes()).map_err(write_failed)?;
        Ok(self.data(file, segments, stored))
    }

    /// Everything that can have several names but has no data.
    fn linkable(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        path: &[u8],
        kind: Kind,
        stat: &Stat,
        link: &[u8],
    ) -> Result<()> {
        if self.is_later_link(path, stat) {
            return self.hard_link(path, stat);
        }
        self.entry(path, kind, stat, link)?;
        self.clamp(dir, name, path, stat)
    }

    /// Notes the first name of a file with several; true for every later name.
    fn is_later_link(&mut self, path: &[u8], stat: &Stat) -> bool {
        if stat.st_nlink < 2 {
            return false;
        }
        let key = (stat.st_dev, stat.st_ino);
        if self.links.contains_key(&key) {
            return true;
        }
        self.links.insert(key, path.to_vec());
        false
    }

    fn hard_link(&mut self, path: &[u8], stat: &Stat) -> Result<()> {
        let target = self.links.get(&(stat.st_dev, stat.st_ino)).cloned().unwrap_or_default();
        self.xattrs.found.clear();
        self.entry(path, Kind::HardLink, stat, &target)
    }

    fn whiteout(&mut self, name: &[u8], path: &[u8]) -> Result<()> {
        let parent = path.get(..path.len() - name.len()).unwrap_or_default();
        self.marker(&[parent, WHITEOUT_PREFIX, name].concat())
    }

    /// An empty file whose name is the message.
    fn marker(&mut self, path: &[u8]) -> Result<()> {
        self.write(&EntryHead {
            path,
            kind: Kind::File,
            mode: WHITEOUT_MODE,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 0,
            link: b"",
            device: (0, 0),
            xattrs: &[],
            sparse_size: None,
        })
    }

    /// Writes the header of an entry with the extended attributes read last.
    fn entry(&mut self, path: &[u8], kind: Kind, stat: &Stat, link: &[u8]) -> Result<()> {
        let size = if kind == Kind::File { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 };
        let xattrs = std::mem::take(&mut self.xattrs.found);
        let head = EntryHead { xattrs: &xattrs, ..self.head(path, kind, stat, link, size) };
        self.write(&head)
    }

    fn head<'p>(&self, path: &'p [u8], kind: Kind, stat: &Stat, link: &'p [u8], size: u64) -> EntryHead<'p> {
        let is_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
        let mtime = self.options.clamp_mtime.map_or(stat.st_mtime, |limit| stat.st_mtime.min(limit));
        EntryHead {
            path,
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size,
            mtime,
            link,
            device: if is_device { (major(stat.st_rdev), minor(stat.st_rdev)) } else { (0, 0) },
            xattrs: &[],
            sparse_size: None,
        }
    }

    fn write(&mut self, head: &EntryHead<'_>) -> Result<()> {
        self.report.entries += 1;
        self.heads.clear();
        write_head(&mut self.heads, head);
        self.out.write_all(&self.heads).map_err(write_failed)
    }

    fn too_late(&self, stat: &Stat) -> Option<Timestamps> {
        let limit = self.options.clamp_mtime.filter(|limit| stat.st_mtime > *limit)?;
        Some(Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: limit, tv_nsec: 0 },
        })
    }

    /// The directory becomes a layer's unpacked form: it must show the times that the tar tells.
    fn clamp(&self, dir: &OwnedFd, name: &[u8], path: &[u8], stat: &Stat) -> Result<()> {
        match self.too_late(stat) {
            Some(times) => {
                utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(read_failed("set the time of", path))
            }
            None => Ok(()),
        }
    }
}

fn unrepresentable(path: &[u8], reason: String) -> ImageError {
    ImageError::Unrepresentable { path: shown(path), reason }
}

fn changed(path: &[u8]) -> ImageError {
    unrepresentable(path, "it changed while it was read".into())
}

fn write_padding(out: &mut impl Write, size: u64) -> io::Result<()> {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    let length = usize::try_from(padding(size)).unwrap_or(0);
    out.write_all(ZEROS.get(..length).unwrap_or_default())
}

/// Opens for reading without touching the access time: a file that was just written would have its inode rewritten.
fn open_file(dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match openat(dir, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => openat(dir, name, flags, Mode::empty()),
        other => other,
    }
}

/// Where the data of a file lies, if it is large and at least half of it is holes. `None`: store it whole.
fn data_segments(file: &File, stat: &Stat, size: u64) -> rustix::io::Result<Option<Vec<(u64, u64)>>> {
    let allocated = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
    if size < MIN_SPARSE_BYTES || allocated > size / 2 {
        return Ok(None);
    }
    let mut segments = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start.min(size),
            Err(Errno::NXIO) => break,
            Err(e) => return Err(e),
        };
        let end = seek(file, SeekFrom::Hole(start))?.min(size);
        if end > start {
            segments.push((start, end - start));
        }
        at = end.max(start + 1);
    }
    seek(file, SeekFrom::Start(0))?;
    Ok((segments != [(0, size)]).then_some(segments))
}
