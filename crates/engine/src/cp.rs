//! `cp` and `export`: files of a container as a tar stream, in both directions.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};

use crate::error::{EngineError, system_error};
use crate::inside::{self, shown};
use crate::{Engine, resolve};

/// What is at a path of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStat {
    /// Type and mode bits.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// A directory (or a link to one).
    pub is_dir: bool,
}

/// What [`Engine::copy_out`] writes.
#[derive(Debug, Clone)]
pub struct CopyOut<'a> {
    /// Path inside.
    pub path: &'a str,
    /// Name of it in the archive; empty puts a directory's content at the top.
    pub name: &'a str,
    /// Follow it if it is a link (`cp -L`).
    pub follow: bool,
}

impl Engine {
    /// What is at `path` in a container, links followed; `None` when nothing is.
    pub fn path_stat(&self, name: &str, path: &str) -> Result<Option<PathStat>, EngineError> {
        let record = self.find(name)?;
        let inside = self.inside(&record, false)?;
        let worker = inside::start(&inside, &[], || match fs::metadata(path) {
            Ok(m) => Ok(Some(PathStat { mode: m.mode(), size: m.len(), is_dir: m.is_dir() })),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(e.to_string()),
        })?;
        worker.finish()?.map_err(|e| failure("look at", path, &shown(&record), &e))
    }

    /// Writes a tar of `what` to `sink`.
    pub fn copy_out(
        &self,
        name: &str,
        what: &CopyOut<'_>,
        sink: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> Result<(), EngineError> {
        let record = self.find(name)?;
        let inside = self.inside(&record, false)?;
        self.stream_out(&inside, what, &shown(&record), sink)
    }

    /// Writes a tar of the whole root file system to `sink`: what the image and the container hold, without mounts.
    pub fn export(&self, name: &str, sink: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>) -> Result<(), EngineError> {
        let mut record = self.find(name)?;
        let shown = shown(&record);
        // The layers, not the mounts that a running container sees over them.
        record.state = crate::State::default();
        let inside = self.inside(&record, false)?;
        self.stream_out(&inside, &CopyOut { path: "/", name: "", follow: false }, &shown, sink)
    }

    fn stream_out(
        &self,
        inside: &inside::Inside,
        what: &CopyOut<'_>,
        shown: &str,
        sink: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> Result<(), EngineError> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(system_error("make a pipe"))?;
        let worker = inside::start(inside, &[write.as_fd()], || {
            let out = io::BufWriter::with_capacity(64 << 10, Descriptor(write.as_fd()));
            pack(what, out).map_err(|e| e.to_string())
        })?;
        drop(write);
        let mut reader = fs::File::from(read);
        let taken = sink(&mut reader);
        // Not read to its end: the child gets EPIPE and says so.
        drop(reader);
        let answer: Result<(), String> = worker.finish()?;
        taken.map_err(system_error("write what comes from the container"))?;
        answer.map_err(|e| failure("read", what.path, shown, &e))
    }

    /// Unpacks the tar that `source` writes into the directory `path` of a container. Files belong to the container's
    /// root unless `keep_owner`.
    pub fn copy_in(
        &self,
        name: &str,
        path: &str,
        keep_owner: bool,
        source: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), EngineError> {
        let record = self.find(name)?;
        // One that does not run must not be started under our hands: its layer is written from outside.
        let _lock = if record.is_running() { None } else { Some(self.lock(&record.spec.id)?) };
        let inside = self.inside(&record, true)?;
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(system_error("make a pipe"))?;
        let worker = inside::start(&inside, &[read.as_fd()], || {
            unpack(&mut Descriptor(read.as_fd()), Path::new(path), keep_owner).map_err(|e| e.to_string())
        })?;
        drop(read);
        let mut writer = io::BufWriter::with_capacity(64 << 10, fs::File::from(write));
        let given = source(&mut writer).and_then(|()| writer.flush());
        drop(writer);
        let answer: Result<(), String> = worker.finish()?;
        // The child's words say more than our broken pipe.
        answer.map_err(|e| failure("write", path, &shown(&record), &e))?;
        given.map_err(system_error("send files into the container"))
    }
}

fn failure(what: &'static str, path: &str, container: &str, why: &str) -> EngineError {
    EngineError::Inside {
        what,
        inside: path.to_owned(),
        container: container.to_owned(),
        source: io::Error::other(why.to_owned()),
    }
}

/// A borrowed descriptor as a stream: the child must not close what it does not own.
struct Descriptor<'a>(std::os::fd::BorrowedFd<'a>);

impl Read for Descriptor<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(self.0, &mut *bytes))?)
    }
}

impl Write for Descriptor<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::write(self.0, bytes))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the tar. Runs inside.
fn pack(what: &CopyOut<'_>, out: impl Write) -> io::Result<()> {
    let mut builder = tar::Builder::new(out);
    builder.follow_symlinks(false);
    let path = PathBuf::from(resolve::clean(what.path));
    let path = if what.follow { fs::canonicalize(&path)? } else { path };
    // `dir/.` and `dir/` mean the directory, even through a link.
    let through = what.path.ends_with('/') || what.path.ends_with("/.");
    let meta = if through { fs::metadata(&path)? } else { fs::symlink_metadata(&path)? };
    if meta.is_dir() {
        pack_dir(&mut builder, &path, Path::new(what.name), &meta)?;
    } else {
        pack_one(&mut builder, &path, Path::new(what.name), &meta)?;
    }
    builder.into_inner()?.flush()
}

fn pack_dir(builder: &mut tar::Builder<impl Write>, path: &Path, name: &Path, meta: &fs::Metadata) -> io::Result<()> {
    // A list of what is left to do instead of recursion: trees may be deep.
    let mut todo = vec![(path.to_owned(), name.to_owned(), meta.clone())];
    while let Some((path, name, meta)) = todo.pop() {
        if !meta.is_dir() {
            pack_one(builder, &path, &name, &meta)?;
            continue;
        }
        if !name.as_os_str().is_empty() {
            pack_one(builder, &path, &name, &meta)?;
        }
        let mut entries: Vec<_> = fs::read_dir(&path)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(|e| std::cmp::Reverse(e.file_name()));
        for entry in entries {
            // Removed meanwhile: a running container goes on.
            let Ok(meta) = entry.metadata() else { continue };
            todo.push((entry.path(), name.join(entry.file_name()), meta));
        }
    }
    Ok(())
}

fn pack_one(builder: &mut tar::Builder<impl Write>, path: &Path, name: &Path, meta: &fs::Metadata) -> io::Result<()> {
    let kind = meta.file_type();
    let special = if kind.is_socket() {
        return Ok(());
    } else if kind.is_fifo() {
        Some(tar::EntryType::Fifo)
    } else if kind.is_char_device() {
        Some(tar::EntryType::Char)
    } else if kind.is_block_device() {
        Some(tar::EntryType::Block)
    } else {
        None
    };
    let Some(special) = special else {
        return match builder.append_path_with_name(path, name) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        };
    };
    // The tar crate stores special files under the path that they were read from.
    let mut header = tar::Header::new_gnu();
    header.set_metadata(meta);
    header.set_entry_type(special);
    header.set_size(0);
    if special != tar::EntryType::Fifo {
        header.set_device_major(rustix::fs::major(meta.rdev()))?;
        header.set_device_minor(rustix::fs::minor(meta.rdev()))?;
    }
    builder.append_data(&mut header, name, io::empty())
}

/// Unpacks the tar. Runs inside.
fn unpack(source: &mut impl Read, dir: &Path, keep_owner: bool) -> io::Result<()> {
    if !fs::metadata(dir)?.is_dir() {
        return Err(io::Error::new(ErrorKind::NotADirectory, "it is not a directory"));
    }
    let mut archive = tar::Archive::new(&mut *source);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive.set_preserve_ownerships(keep_owner);
    archive.set_overwrite(true);
    archive.unpack(dir)?;
    // What follows the archive's end is read too, so that the writer gets no broken pipe.
    io::copy(source, &mut io::sink())?;
    Ok(())
}
