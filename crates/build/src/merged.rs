//! One tree out of several directories: the layers of a stage, as overlayfs would show them, or a build context.
//!
//! Paths are resolved *in root*: a symlink, absolute or with `..`, never leads outside the tree. Every component is
//! looked at before the next one is used, and only real directories are walked through.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::error::BuildError;

/// Symlinks followed in one path; the kernel's own limit.
const MAX_SYMLINKS: usize = 40;

/// A path inside a tree: parts without `/`, `.` and `..`. Empty is the root.
pub(crate) type Parts = Vec<Vec<u8>>;

/// A tree.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    /// Topmost first.
    dirs: Vec<PathBuf>,
    /// Whether whiteouts and opaque directories mean something.
    overlay: bool,
}

/// What is at a path.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) stat: Stat,
    /// The file on this machine (of the topmost layer that has it).
    pub(crate) real: PathBuf,
    /// For a directory: the directories that are merged into it, topmost first.
    layers: Vec<PathBuf>,
}

impl Node {
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.kind() == FileType::Directory
    }

    pub(crate) fn is_symlink(&self) -> bool {
        self.kind() == FileType::Symlink
    }

    /// Permission bits with setuid, setgid and sticky.
    pub(crate) fn mode(&self) -> u32 {
        self.stat.st_mode & 0o7777
    }

    pub(crate) fn link_target(&self) -> Result<Vec<u8>, BuildError> {
        let link = rustix::fs::readlink(&self.real, Vec::new()).map_err(BuildError::io("read link", &self.real))?;
        Ok(link.into_bytes())
    }
}

/// The end of a resolution.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// Where the path leads, without symlinks.
    pub(crate) parts: Parts,
    /// What is there, if anything.
    pub(crate) node: Option<Node>,
}

impl Tree {
    /// Layers, topmost first.
    pub(crate) fn overlay(dirs: Vec<PathBuf>) -> Tree {
        Tree { dirs, overlay: true }
    }

    /// One plain directory.
    pub(crate) fn plain(dir: PathBuf) -> Tree {
        Tree { dirs: vec![dir], overlay: false }
    }

    /// The root directory. An empty tree has none.
    pub(crate) fn root(&self) -> Result<Option<Node>, BuildError> {
        let Some(top) = self.dirs.first() else { return Ok(None) };
        let stat = rustix::fs::stat(top).map_err(BuildError::io("look at", top))?;
        Ok(Some(Node { stat, real: top.clone(), layers: self.dirs.clone() }))
    }

    /// An entry of a directory, symlinks not followed.
    pub(crate) fn child(&self, parent: &Node, name: &[u8]) -> Result<Option<Node>, BuildError> {
        let mut found: Option<Node> = None;
        for dir in &parent.layers {
            let real = dir.join(OsStr::from_bytes(name));
            let stat = match rustix::fs::lstat(&real) {
                Ok(stat) => stat,
                Err(Errno::NOENT | Errno::NOTDIR) => continue,
                Err(e) => return Err(BuildError::io("look at", &real)(e)),
            };
            if self.overlay && is_whiteout(&stat) {
                break;
            }
            let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            match &mut found {
                None => {
                    let layers = if is_dir { vec![real.clone()] } else { Vec::new() };
                    found = Some(Node { stat, real: real.clone(), layers });
                }
                Some(node) if is_dir => node.layers.push(real.clone()),
                // A file below a directory is hidden, with all below it.
                Some(_) => break,
            }
            if !is_dir || (self.overlay && is_opaque(&real)) {
                break;
            }
        }
        Ok(found)
    }

    /// The entries of a directory, sorted by name.
    pub(crate) fn entries(&self, parent: &Node) -> Result<Vec<(Vec<u8>, Node)>, BuildError> {
        if let ([only], false) = (parent.layers.as_slice(), self.overlay) {
            return plain_entries(only);
        }
        // Names first, then each by the rules of `child`.
        let mut names: BTreeMap<Vec<u8>, ()> = BTreeMap::new();
        for dir in &parent.layers {
            for entry in std::fs::read_dir(dir).map_err(BuildError::io("list", dir))? {
                let entry = entry.map_err(BuildError::io("list", dir))?;
                names.insert(entry.file_name().as_bytes().to_vec(), ());
            }
        }
        let mut out = Vec::with_capacity(names.len());
        for name in names.into_keys() {
            if let Some(node) = self.child(parent, &name)? {
                out.push((name, node));
            }
        }
        Ok(out)
    }

    /// Resolves a path (absolute or relative to the root; both mean the same). The last component is followed only
    /// with `follow`. Components after one that does not exist are taken as they are.
    pub(crate) fn resolve(&self, path: &[u8], follow: bool) -> Result<Resolved, BuildError> {
        let mut pending: Vec<Vec<u8>> = split(path);
        pending.reverse();
        let mut stack: Vec<(Vec<u8>, Option<Node>)> = Vec::new();
        let root = self.root()?;
        let mut links = 0;
        while let Some(part) = pending.pop() {
            if part == b".." {
                stack.pop();
                continue;
            }
            let parent = stack.last().map_or(&root, |(_, node)| node);
            let node = match parent {
                Some(parent) if parent.is_dir() => self.child(parent, &part)?,
                _ => None,
            };
            let Some(link) = node.as_ref().filter(|n| n.is_symlink() && (follow || !pending.is_empty())) else {
                stack.push((part, node));
                continue;
            };
            links += 1;
            if links > MAX_SYMLINKS {
                return Err(BuildError::io("resolve", Path::new(OsStr::from_bytes(path)))(Errno::LOOP));
            }
            let target = link.link_target()?;
            if target.first() == Some(&b'/') {
                stack.clear();
            }
            pending.extend(split(&target).into_iter().rev());
        }
        let node = match stack.last() {
            Some((_, node)) => node.clone(),
            None => root,
        };
        Ok(Resolved { parts: stack.into_iter().map(|(part, _)| part).collect(), node })
    }
}

/// The entries of one plain directory: each looked at through the directory's descriptor, which spares the kernel the
/// walk of the whole path for every file of a large context.
fn plain_entries(dir: &Path) -> Result<Vec<(Vec<u8>, Node)>, BuildError> {
    use rustix::fs::{AtFlags, Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(dir, flags, Mode::empty()).map_err(BuildError::io("list", dir))?;
    let mut out = Vec::new();
    for entry in rustix::fs::Dir::read_from(&fd).map_err(BuildError::io("list", dir))? {
        let entry = entry.map_err(BuildError::io("list", dir))?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let real = dir.join(OsStr::from_bytes(name.to_bytes()));
        let stat = match rustix::fs::statat(&fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Removed since the directory was read.
            Err(Errno::NOENT) => continue,
            Err(e) => return Err(BuildError::io("look at", &real)(e)),
        };
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let layers = if is_dir { vec![real.clone()] } else { Vec::new() };
        out.push((name.to_bytes().to_vec(), Node { stat, real, layers }));
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(out)
}

/// Parts of a path; `.` and empty ones left out, `..` kept.
pub(crate) fn split(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".").map(<[u8]>::to_vec).collect()
}

/// Parts as a relative path.
pub(crate) fn join(parts: &[Vec<u8>]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&parts.join(&b'/')))
}

/// A character device 0:0: overlayfs's mark for a removed entry.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// A directory that hides everything below it.
pub(crate) fn is_opaque(dir: &Path) -> bool {
    ["trusted.overlay.opaque", "user.overlay.opaque"].iter().any(|name| {
        let mut value = [0u8; 4];
        matches!(rustix::fs::lgetxattr(dir, *name, &mut value), Ok(1) if value.first() == Some(&b'y'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn layers() -> (tempfile::TempDir, Tree) {
        let dir = tempfile::tempdir().unwrap();
        let (low, high) = (dir.path().join("low"), dir.path().join("high"));
        fs::create_dir_all(low.join("etc/sub")).unwrap();
        fs::create_dir_all(high.join("etc")).unwrap();
        fs::write(low.join("etc/passwd"), "low").unwrap();
        fs::write(low.join("etc/sub/x"), "low").unwrap();
        fs::write(high.join("etc/passwd"), "high").unwrap();
        symlink("/etc", low.join("abs")).unwrap();
        symlink("../../../../etc/passwd", low.join("up")).unwrap();
        symlink("loop", low.join("loop")).unwrap();
        let tree = Tree::overlay(vec![high, low]);
        (dir, tree)
    }

    fn text(tree: &Tree, path: &str) -> Option<String> {
        let node = tree.resolve(path.as_bytes(), true).unwrap().node?;
        fs::read_to_string(node.real).ok()
    }

    #[test]
    fn the_top_layer_wins_and_directories_merge() {
        let (_dir, tree) = layers();
        assert_eq!(text(&tree, "etc/passwd").as_deref(), Some("high"));
        assert_eq!(text(&tree, "/etc/sub/x").as_deref(), Some("low"));
        let etc = tree.resolve(b"etc", true).unwrap().node.unwrap();
        let names: Vec<_> =
            tree.entries(&etc).unwrap().into_iter().map(|(n, _)| String::from_utf8(n).unwrap()).collect();
        assert_eq!(names, ["passwd", "sub"]);
    }

    #[test]
    fn symlinks_stay_inside_the_tree() {
        let (_dir, tree) = layers();
        assert_eq!(text(&tree, "abs/passwd").as_deref(), Some("high"));
        assert_eq!(text(&tree, "up").as_deref(), Some("high"));
        assert_eq!(text(&tree, "../../etc/passwd").as_deref(), Some("high"));
        assert!(tree.resolve(b"loop", true).is_err());
        assert!(tree.resolve(b"loop", false).unwrap().node.unwrap().is_symlink());
        let missing = tree.resolve(b"abs/no/such", true).unwrap();
        assert!(missing.node.is_none());
        assert_eq!(join(&missing.parts), Path::new("etc/no/such"));
    }

    #[test]
    fn whiteouts_and_opaque_directories_hide() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: making whiteouts needs root");
            return;
        }
        let (dir, tree) = layers();
        let high = dir.path().join("high");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        fs::remove_file(high.join("etc/passwd")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, high.join("etc/passwd"), FileType::CharacterDevice, mode, 0).unwrap();
        assert_eq!(text(&tree, "etc/passwd"), None);
        assert_eq!(text(&tree, "etc/sub/x").as_deref(), Some("low"));
        fs::create_dir(high.join("etc/sub")).unwrap();
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::lsetxattr(high.join("etc/sub"), "trusted.overlay.opaque", b"y", flags).unwrap();
        assert_eq!(text(&tree, "etc/sub/x"), None);
    }
}
