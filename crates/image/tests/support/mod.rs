//! Shared by the integration tests: tars written by hand, trees compared, mounts that are undone.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use stockade_image::tar::{END_OF_ARCHIVE, EntryHead, Kind, padding, write_head};
use stockade_image::{ImageConfig, Layer, Reference, Store};

/// True, with a word why, where a test cannot run.
pub fn skip_without_root() -> bool {
    let skip = !rustix::process::geteuid().is_root();
    if skip {
        eprintln!("skipped: needs root (owners, overlay mounts, trusted attributes)");
    }
    skip
}

/// A tar that is written entry by entry.
#[derive(Default)]
pub struct Tar(pub Vec<u8>);

pub fn head<'a>(path: &'a [u8], kind: Kind) -> EntryHead<'a> {
    let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
    EntryHead {
        path,
        kind,
        mode,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: 1_700_000_000,
        link: b"",
        device: (0, 0),
        xattrs: &[],
        sparse_size: None,
    }
}

impl Tar {
    pub fn new() -> Tar {
        Tar::default()
    }

    pub fn entry(mut self, head: &EntryHead<'_>, data: &[u8]) -> Tar {
        write_head(&mut self.0, &EntryHead { size: data.len() as u64, ..*head });
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len() + padding(data.len() as u64) as usize, 0);
        self
    }

    pub fn file(self, path: &str, data: &[u8]) -> Tar {
        self.entry(&head(path.as_bytes(), Kind::File), data)
    }

    pub fn dir(self, path: &str) -> Tar {
        self.entry(&head(path.as_bytes(), Kind::Directory), b"")
    }

    pub fn symlink(self, path: &str, target: &str) -> Tar {
        self.entry(&EntryHead { link: target.as_bytes(), ..head(path.as_bytes(), Kind::Symlink) }, b"")
    }

    pub fn hard_link(self, path: &str, target: &str) -> Tar {
        self.entry(&EntryHead { link: target.as_bytes(), ..head(path.as_bytes(), Kind::HardLink) }, b"")
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&END_OF_ARCHIVE);
        self.0
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A scratch directory on a real file system: tests of overlay mounts cannot use an overlay or a tmpfs everywhere.
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("stockade-image-test-").tempdir().unwrap()
}

/// Everything that a layer can say about a tree: one line a path.
pub fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    walk(root, root, &mut lines);
    lines
}

fn walk(root: &Path, dir: &Path, lines: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let m = path.symlink_metadata().unwrap();
        let kind = m.file_type();
        let what = if kind.is_dir() {
            "dir".to_owned()
        } else if kind.is_symlink() {
            format!("link {}", fs::read_link(&path).unwrap().display())
        } else if kind.is_char_device() {
            format!("char {}", m.rdev())
        } else if kind.is_block_device() {
            format!("block {}", m.rdev())
        } else if kind.is_fifo() {
            "fifo".to_owned()
        } else {
            format!("file {} {}", m.size(), stockade_image::Digest::of(&fs::read(&path).unwrap()).short())
        };
        let links = if kind.is_dir() { 0 } else { m.nlink() };
        let line = format!(
            "{what} {:o} {}:{} t{} n{links} {:?}",
            m.mode() & 0o7777,
            m.uid(),
            m.gid(),
            m.mtime(),
            xattrs(&path)
        );
        lines.insert(path.strip_prefix(root).unwrap().display().to_string(), line);
        if kind.is_dir() {
            walk(root, &path, lines);
        }
    }
}

pub fn xattrs(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = vec![0; 65_536];
    let length = rustix::fs::llistxattr(path, names.as_mut_slice()).unwrap_or(0);
    let mut found: Vec<(String, Vec<u8>)> = names[..length]
        .split(|b| *b == 0)
        .filter(|n| !n.is_empty())
        .map(|name| {
            let mut value = vec![0; 65_536];
            let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice()).unwrap();
            value.truncate(length);
            (String::from_utf8_lossy(name).into_owned(), value)
        })
        .collect();
    found.sort();
    found
}

/// A mount that ends with the value.
pub struct Mounted(pub PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

pub fn mount_tmpfs(at: &Path, size: &str) -> Mounted {
    fs::create_dir_all(at).unwrap();
    let options = std::ffi::CString::new(format!("size={size}")).unwrap();
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), options.as_c_str()).unwrap();
    Mounted(at.to_owned())
}

/// Lower directories topmost first.
pub fn mount_overlay(lower: &[PathBuf], upper: Option<(&Path, &Path)>, at: &Path) -> Mounted {
    fs::create_dir_all(at).unwrap();
    let lower: Vec<&[u8]> = lower.iter().map(|p| p.as_os_str().as_bytes()).collect();
    let mut options = [b"lowerdir=".to_vec(), lower.join(&b':')].concat();
    if let Some((upper, work)) = upper {
        fs::create_dir_all(upper).unwrap();
        fs::create_dir_all(work).unwrap();
        options.extend_from_slice(b",upperdir=");
        options.extend_from_slice(upper.as_os_str().as_bytes());
        options.extend_from_slice(b",workdir=");
        options.extend_from_slice(work.as_os_str().as_bytes());
    }
    let options = std::ffi::CString::new(options).unwrap();
    mount("overlay", at, "overlay", MountFlags::empty(), options.as_c_str()).unwrap();
    Mounted(at.to_owned())
}

pub fn config() -> ImageConfig {
    ImageConfig {
        architecture: "amd64".into(),
        os: "linux".into(),
        created: Some("2024-01-01T00:00:00Z".into()),
        ..ImageConfig::default()
    }
}

pub fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

pub fn commit(store: &Store, layers: &[Layer], names: &[&str]) -> stockade_image::Image {
    let names: Vec<Reference> = names.iter().map(|n| name(n)).collect();
    store.commit(config(), layers, &names, &BTreeMap::new()).unwrap()
}

#[track_caller]
pub fn assert_clean(store: &Store) {
    let damages = store.verify().unwrap();
    assert!(damages.is_empty(), "{damages:#?}");
}
