//! Unpacks one package into the new root and keeps what dpkg's database needs to know of it.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use rustix::fs::{AtFlags, Gid, Mode, Uid};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use crate::control::Stanza;
use crate::deb::Deb;
use crate::excludes;
use crate::fetch::hex;
use crate::root::{Place, Root, times};

/// Most entries of one package; the largest in Debian has a few hundred thousand.
const MAX_ENTRIES: usize = 500_000;

/// What an unpacked package leaves for dpkg's database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// The control stanza as text.
    pub control: String,
    /// Other control files: name, mode, content.
    pub info: Vec<(String, u32, Vec<u8>)>,
    /// Paths as dpkg's `.list` writes them ("/.", "/usr", …), in archive order.
    pub paths: Vec<String>,
    /// Configuration files and their MD5.
    pub conffiles: Vec<(String, String)>,
    /// Directories with what the package says of them.
    pub dirs: Vec<DirEntry>,
    /// Paths (not directories) that another package had put there already.
    pub conflicts: Vec<String>,
}

/// A directory in a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Relative path; empty for the root itself.
    pub path: PathBuf,
    /// Permissions.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Modification time, seconds since 1970.
    pub mtime: i64,
}

impl Unpacked {
    /// A control file's content.
    pub fn info(&self, name: &str) -> Option<&[u8]> {
        self.info.iter().find(|(n, ..)| n == name).map(|(.., content)| content.as_slice())
    }
}

/// How to unpack.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Leave out documentation and translations.
    pub slim: bool,
    /// Replace files that are there already, instead of leaving them and reporting a conflict.
    pub replace: bool,
}

/// Unpacks a verified package.
///
/// # Errors
/// What is wrong, with the entry's name.
pub fn unpack(bytes: &[u8], root: &Root, options: Options) -> Result<Unpacked, String> {
    let deb = Deb::open(bytes)?;
    let mut out = read_control(&deb)?;
    let conffiles = conffile_names(&out);
    let mut archive = Archive::new(deb.data().map_err(|e| e.to_string())?);
    let mut writer = Writer { root, options, parent: None };
    for (count, entry) in archive.entries().map_err(|e| e.to_string())?.enumerate() {
        let mut entry = entry.map_err(|e| format!("its data archive is damaged: {e}"))?;
        if count >= MAX_ENTRIES {
            return Err(format!("it has more than {MAX_ENTRIES} entries"));
        }
        let path = relative_path(&entry.path_bytes())?;
        writer.entry(&mut entry, &path, &conffiles, &mut out).map_err(|e| format!("{e} (at `/{}`)", path.display()))?;
    }
    Ok(out)
}

/// `./usr/bin/x` as `usr/bin/x`. Refuses what climbs or cannot stand in dpkg's line-based lists.
fn relative_path(bytes: &[u8]) -> Result<PathBuf, String> {
    let shown = || String::from_utf8_lossy(bytes).into_owned();
    let mut path = PathBuf::new();
    for part in bytes.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(format!("its entry `{}` climbs out of the root", shown())),
            part if part.contains(&b'\n') || part.contains(&0) => {
                return Err(format!("its entry `{}` has a control character in its name", shown()));
            }
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    Ok(path)
}

fn read_control(deb: &Deb<'_>) -> Result<Unpacked, String> {
    let mut out = Unpacked::default();
    let mut archive = Archive::new(deb.control().map_err(|e| e.to_string())?);
    for entry in archive.entries().map_err(|e| e.to_string())? {
        let mut entry = entry.map_err(|e| format!("its control archive is damaged: {e}"))?;
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        let path = relative_path(&entry.path_bytes())?;
        let Some(name) = path.to_str().filter(|n| !n.contains('/')).map(str::to_owned) else {
            return Err(format!("its control archive holds a strange entry `{}`", path.display()));
        };
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|e| format!("its control file `{name}` is damaged: {e}"))?;
        if name == "control" {
            out.control = String::from_utf8(content).map_err(|_| "its control file is no UTF-8 text")?;
        } else {
            let script = matches!(name.as_str(), "preinst" | "postinst" | "prerm" | "postrm" | "config");
            out.info.push((name, if script { 0o755 } else { 0o644 }, content));
        }
    }
    out.info.sort();
    Stanza::parse(&out.control).map_err(|e| format!("its control file is malformed: {e}"))?;
    if out.control.trim().is_empty() {
        return Err("it has no control file".into());
    }
    Ok(out)
}

/// Lines of the `conffiles` file; one may start with a flag word such as `remove-on-upgrade`, whose file is not ours.
fn conffile_names(unpacked: &Unpacked) -> Vec<String> {
    let text = String::from_utf8_lossy(unpacked.info("conffiles").unwrap_or_default()).into_owned();
    text.lines().map(str::trim).filter(|l| l.starts_with('/')).map(str::to_owned).collect()
}

struct Writer<'r> {
    root: &'r Root,
    options: Options,
    /// The directory of the last entry: archives list a directory's files together.
    parent: Option<(PathBuf, OwnedFd)>,
}

impl Writer<'_> {
    fn entry<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        path: &Path,
        conffiles: &[String],
        out: &mut Unpacked,
    ) -> io::Result<()> {
        let kind = entry.header().entry_type();
        let listed = listed_path(path)?;
        out.paths.push(listed.clone());
        if self.options.slim && excludes::is_excluded(&listed) {
            return Ok(());
        }
        if kind == EntryType::Directory {
            return self.directory(entry, path, out);
        }
        let place = self.place(path)?;
        let done = match kind {
            EntryType::Regular | EntryType::Continuous => {
                let conffile = conffiles.contains(&listed);
                self.file(entry, &place, conffile.then_some(&listed), out)
            }
            EntryType::Symlink => self.symlink(entry, &place),
            EntryType::Link => self.hard_link(entry, &place),
            other => {
                return Err(io::Error::other(format!("it has an entry of a kind ({other:?}) that is not accepted")));
            }
        };
        self.parent = path.parent().map(|p| (p.to_owned(), place.dir));
        match done {
            // Whoever wrote it first is reported as well; see `settle_conflicts` in `install`.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                out.conflicts.push(listed);
                Ok(())
            }
            done => done,
        }
    }

    fn place<'p>(&mut self, path: &'p Path) -> io::Result<Place<'p>> {
        match self.parent.take() {
            Some((parent, dir)) if path.parent() == Some(&parent) => {
                let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
                Ok(Place { dir, name })
            }
            _ => self.root.place(path),
        }
    }

    fn directory<R: Read>(&mut self, entry: &Entry<'_, R>, path: &Path, out: &mut Unpacked) -> io::Result<()> {
        let header = entry.header();
        self.root.open_dir(path)?;
        out.dirs.push(DirEntry {
            path: path.to_owned(),
            mode: header.mode()? & 0o7777,
            owner: owner(header)?,
            mtime: mtime(header)?,
        });
        Ok(())
    }

    fn file<R: Read>(
        &self,
        entry: &mut Entry<'_, R>,
        place: &Place<'_>,
        conffile: Option<&String>,
        out: &mut Unpacked,
    ) -> io::Result<()> {
        let fd = self.retry(place, || place.create())?;
        let mut file = std::fs::File::from(fd);
        let size = entry.header().size()?;
        let copied = match conffile {
            None => io::copy(entry, &mut file)?,
            Some(path) => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                out.conffiles.push((path.clone(), hex(&Md5::digest(&content))));
                io::copy(&mut content.as_slice(), &mut file)?
            }
        };
        if copied != size {
            return Err(io::Error::other("it is cut off"));
        }
        let (uid, gid) = owner(entry.header())?;
        if (uid, gid) != (0, 0) {
            stockade_durable::owned(rustix::fs::fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))))?;
        }
        // After chown, which clears the set-id bits.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.header().mode()? & 0o7777))?;
        rustix::fs::futimens(&file, &times(mtime(entry.header())?))?;
        Ok(())
    }

    fn symlink<R: Read>(&self, entry: &Entry<'_, R>, place: &Place<'_>) -> io::Result<()> {
        let target = entry.link_name_bytes().ok_or_else(|| io::Error::other("it is a link to nothing"))?;
        let target = OsStr::from_bytes(&target);
        let made = self.retry(place, || rustix::fs::symlinkat(target, &place.dir, place.name));
        if let Err(e) = made {
            // The links into /usr are there before any package is unpacked.
            let same = rustix::fs::readlinkat(&place.dir, place.name, Vec::new())
                .is_ok_and(|t| t.to_bytes().trim_ascii_end() == target.as_bytes());
            return if same { Ok(()) } else { Err(e) };
        }
        let (uid, gid) = owner(entry.header())?;
        if (uid, gid) != (0, 0) {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            let made = rustix::fs::chownat(&place.dir, place.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW);
            stockade_durable::owned(made)?;
        }
        let when = times(mtime(entry.header())?);
        Ok(rustix::fs::utimensat(&place.dir, place.name, &when, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn hard_link<R: Read>(&self, entry: &Entry<'_, R>, place: &Place<'_>) -> io::Result<()> {
        let target = entry.link_name_bytes().ok_or_else(|| io::Error::other("it is a link to nothing"))?;
        let target = relative_path(&target).map_err(io::Error::other)?;
        let from = self.root.place(&target)?;
        self.retry(place, || rustix::fs::linkat(&from.dir, from.name, &place.dir, place.name, AtFlags::empty()))
    }

    /// Makes an entry; where one is there already and may be replaced, once more after removing it.
    fn retry<T>(&self, place: &Place<'_>, make: impl Fn() -> rustix::io::Result<T>) -> io::Result<T> {
        match make() {
            Err(Errno::EXIST) if self.options.replace => {
                place.remove_file()?;
                Ok(make()?)
            }
            result => Ok(result?),
        }
    }
}

fn listed_path(path: &Path) -> io::Result<String> {
    let text = path.to_str().ok_or_else(|| io::Error::other("its name is no UTF-8 text"))?;
    Ok(if text.is_empty() { "/.".to_owned() } else { format!("/{text}") })
}

fn owner(header: &tar::Header) -> io::Result<(u32, u32)> {
    let small = |n: u64| u32::try_from(n).map_err(|_| io::Error::other("its owner is no user id"));
    Ok((small(header.uid()?)?, small(header.gid()?)?))
}

fn mtime(header: &tar::Header) -> io::Result<i64> {
    i64::try_from(header.mtime()?).map_err(|_| io::Error::other("its time is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_relative_or_refused() {
        assert_eq!(relative_path(b"./usr//bin/x").unwrap(), Path::new("usr/bin/x"));
        assert_eq!(relative_path(b"./").unwrap(), Path::new(""));
        assert_eq!(relative_path(b"/etc/x").unwrap(), Path::new("etc/x"));
        assert!(relative_path(b"./a/../../x").is_err());
        assert!(relative_path(b"./a\nb").is_err());
    }
}
