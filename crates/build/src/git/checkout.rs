//! A tree of objects as files.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use super::object::{Id, Kind, Objects};
use super::{Session, Trouble, words};

/// Deepest directory.
const MAX_DEPTH: usize = 200;
/// Most files and directories.
const MAX_ENTRIES: usize = 4_000_000;
/// Longest target of a symlink, in bytes (`PATH_MAX`).
const MAX_LINK: u64 = 4096;

/// A submodule: its path below the root, and the commit that is wanted of it.
pub(super) struct Link {
    pub(super) path: PathBuf,
    pub(super) commit: Id,
}

/// Writes `tree` into the new directory `into`. All times are the commit's, so that the same commit gives the same
/// files.
pub(super) fn write(
    objects: &mut Objects,
    tree: Id,
    into: &Path,
    time: i64,
    session: &Session<'_>,
) -> Result<Vec<Link>, Trouble> {
    let mut writer = Writer { objects, time, session, links: Vec::new(), entries: 0 };
    make_dir(into)?;
    writer.tree(&tree, into, Path::new(""), 0)?;
    Ok(writer.links)
}

struct Writer<'w> {
    objects: &'w Objects,
    time: i64,
    session: &'w Session<'w>,
    links: Vec<Link>,
    entries: usize,
}

impl Writer<'_> {
    fn tree(&mut self, id: &Id, dir: &Path, path: &Path, depth: usize) -> Result<(), Trouble> {
        if depth > MAX_DEPTH {
            return Err(words("its directories are nested too deeply"));
        }
        let bytes = self.objects.document(id, Kind::Tree)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            self.session.check()?;
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(words(format!("it has more than {MAX_ENTRIES} files")));
            }
            let (mode, name, id, tail) = entry(rest).ok_or_else(|| words(format!("the tree {id} is malformed")))?;
            rest = tail;
            self.put(mode, name, &id, dir, path, depth)?;
        }
        set_time(dir, self.time)
    }

    fn put(&mut self, mode: u32, name: &[u8], id: &Id, dir: &Path, path: &Path, depth: usize) -> Result<(), Trouble> {
        use std::os::unix::ffi::OsStrExt;
        if !is_safe(name) {
            let shown = super::pkt::printable(name);
            return Err(words(format!("it has a file with the name `{shown}`, which could reach other files")));
        }
        let name = std::ffi::OsStr::from_bytes(name);
        let (real, path) = (dir.join(name), path.join(name));
        match mode & 0o170_000 {
            0o040_000 => {
                make_dir(&real)?;
                self.tree(id, &real, &path, depth + 1)
            }
            0o100_000 => {
                let bits = if mode & 0o100 != 0 { 0o755 } else { 0o644 };
                let mut file = File::options().write(true).create_new(true).mode(bits).open(&real)?;
                self.objects.copy_blob(id, &mut file)?;
                // Whatever the umask took.
                rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(bits)).map_err(std::io::Error::from)?;
                drop(file);
                set_time(&real, self.time)
            }
            0o120_000 => {
                let stored = self.objects.get(id).filter(|s| s.kind == Kind::Blob);
                let stored = stored.ok_or_else(|| words(format!("the server did not send the symlink {id}")))?;
                let target = self.objects.read(stored, MAX_LINK)?;
                symlink(std::ffi::OsStr::from_bytes(&target), &real)?;
                set_time(&real, self.time)
            }
            0o160_000 => {
                make_dir(&real)?;
                self.links.push(Link { path, commit: *id });
                Ok(())
            }
            _ => Err(words(format!("`{}` has the unknown mode {mode:o}", path.display()))),
        }
    }
}

fn make_dir(path: &Path) -> Result<(), Trouble> {
    fs::DirBuilder::new().mode(0o755).create(path)?;
    Ok(rustix::fs::chmod(path, rustix::fs::Mode::from_raw_mode(0o755)).map_err(std::io::Error::from)?)
}

fn set_time(path: &Path, seconds: i64) -> Result<(), Trouble> {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(std::io::Error::from)?)
}

/// Mode, name and object of a tree's first entry, and the rest.
fn entry(bytes: &[u8]) -> Option<(u32, &[u8], Id, &[u8])> {
    let space = bytes.iter().position(|b| *b == b' ')?;
    let mode = u32::from_str_radix(std::str::from_utf8(bytes.get(..space)?).ok()?, 8).ok()?;
    let rest = bytes.get(space + 1..)?;
    let end = rest.iter().position(|b| *b == 0)?;
    let (id, tail) = rest.get(end + 1..)?.split_at_checked(20)?;
    Some((mode, rest.get(..end)?, Id(id.try_into().ok()?), tail))
}

/// Names that stay in their directory. `.git` in any case is refused as Git does.
fn is_safe(name: &[u8]) -> bool {
    !name.is_empty()
        && name != b"."
        && name != b".."
        && !name.contains(&b'/')
        && !name.contains(&0)
        && !name.eq_ignore_ascii_case(b".git")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(entries: &[(&str, &[u8], Id)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (mode, name, id) in entries {
            out.extend_from_slice(mode.as_bytes());
            out.push(b' ');
            out.extend_from_slice(name);
            out.push(0);
            out.extend_from_slice(&id.0);
        }
        out
    }

    #[test]
    fn a_tree_cannot_write_outside() {
        let dir = tempfile::tempdir().unwrap();
        let mut objects = Objects::create(&dir.path().join("o")).unwrap();
        objects.add(Kind::Blob, 4, &mut b"evil".as_slice()).unwrap();
        let blob = Id::parse("dd8e9c83b65bb8cb8ae42c5afbf9e5ba6d9a2bfa");
        // The name of the object is not what this is about: find it by trying the names that are known.
        let blob = blob.filter(|b| objects.get(b).is_some()).unwrap_or(Id([1; 20]));
        let (access, never, quiet) = (super::super::Access::default(), || false, |_: &str| {});
        let session = Session { access: &access, cancelled: &never, status: &quiet };
        for (number, name) in [&b".."[..], b"../x", b".", b"", b".git", b".GIT", b"a/b"].iter().enumerate() {
            let tree = collect(&[("100644", name, blob)]);
            let before = objects.add(Kind::Tree, tree.len() as u64, &mut tree.as_slice()).unwrap();
            assert_eq!(before.size, tree.len() as u64);
            let mut writer = Writer { objects: &objects, time: 0, session: &session, links: Vec::new(), entries: 0 };
            let into = dir.path().join(number.to_string());
            make_dir(&into).unwrap();
            assert!(writer.put(0o100_644, name, &blob, &into, Path::new(""), 0).is_err(), "{name:?}");
            assert_eq!(fs::read_dir(&into).unwrap().count(), 0);
        }
        // A link, then a file below the same name: the second is refused, because the name is taken.
        let mut writer = Writer { objects: &objects, time: 0, session: &session, links: Vec::new(), entries: 0 };
        let into = dir.path().join("twice");
        make_dir(&into).unwrap();
        symlink("/", into.join("a")).unwrap();
        assert!(writer.put(0o040_000, b"a", &blob, &into, Path::new(""), 0).is_err());
        assert!(writer.put(0o100_644, b"a", &blob, &into, Path::new(""), 0).is_err());
    }

    #[test]
    fn malformed_trees_are_refused() {
        for bad in [&b"x"[..], b"100644 a", b"100644 a\0short", b"9 a\0aaaaaaaaaaaaaaaaaaaa"] {
            assert!(entry(bad).is_none(), "{bad:?}");
        }
    }
}
