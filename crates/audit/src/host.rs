//! The host's files and processes, or those of a mounted host image (`--root DIR`).

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

/// Largest file that is read, in bytes: configuration files are kilobytes.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// A view of one host. Paths are absolute on that host and resolved beneath its root (`RESOLVE_IN_ROOT`, openat2(2)).
#[derive(Debug)]
pub struct Host {
    root: OwnedFd,
    live: bool,
}

/// What `stat` says about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Owner's name, or its number where it has no name.
    pub user: String,
    /// Group's name, or its number.
    pub group: String,
    /// Permission bits, 0o7777.
    pub mode: u32,
    /// Whether it is a directory.
    pub directory: bool,
    /// Device number of the file system that it is on.
    pub device: u64,
}

impl Host {
    /// The host that runs this process.
    pub fn live() -> std::io::Result<Host> {
        Ok(Host { root: File::open("/")?.into(), live: true })
    }

    /// A host whose root file system is mounted or unpacked at `root`.
    pub fn at(root: &Path) -> std::io::Result<Host> {
        Ok(Host { root: File::open(root)?.into(), live: false })
    }

    /// Whether processes and kernel settings can be asked.
    pub fn is_live(&self) -> bool {
        self.live
    }

    fn open(&self, path: &Path, flags: OFlags) -> std::io::Result<File> {
        // /proc/self/root style links must not be followed on another host's image; on the live host "/" is the root.
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let fd = openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?;
        Ok(File::from(fd))
    }

    /// Content of a file; `None` where it does not exist. The error says why it could not be read.
    pub fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        let file = match self.open(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.to_string()),
        };
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(format!("larger than {MAX_FILE_BYTES} bytes"));
        }
        Ok(Some(bytes))
    }

    /// Text of a file, with what is not UTF-8 replaced.
    pub fn read_text(&self, path: &Path) -> Result<Option<String>, String> {
        Ok(self.read(path)?.map(|b| String::from_utf8_lossy(&b).into_owned()))
    }

    /// `stat`; `None` where it does not exist.
    pub fn stat(&self, path: &Path) -> Result<Option<FileFacts>, String> {
        let file = match self.open(path, OFlags::PATH) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.to_string()),
        };
        let meta = file.metadata().map_err(|e| e.to_string())?;
        Ok(Some(FileFacts {
            user: self.name_of("/etc/passwd", meta.uid()),
            group: self.name_of("/etc/group", meta.gid()),
            mode: meta.mode() & 0o7777,
            directory: meta.is_dir(),
            device: meta.dev(),
        }))
    }

    /// Files below a directory, at most 4 levels deep and 10,000 in number.
    pub fn files_below(&self, dir: &Path) -> Vec<PathBuf> {
        let mut out = Vec::new();
        let mut todo = vec![(dir.to_owned(), 0)];
        while let Some((path, depth)) = todo.pop() {
            let Ok(handle) = self.open(&path, OFlags::RDONLY | OFlags::DIRECTORY) else { continue };
            let Ok(entries) = rustix::fs::Dir::read_from(&handle) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name == "." || name == ".." || out.len() >= 10_000 {
                    continue;
                }
                let child = path.join(name);
                match self.stat(&child) {
                    Ok(Some(facts)) if facts.directory && depth < 4 => todo.push((child, depth + 1)),
                    Ok(Some(facts)) if !facts.directory => out.push(child),
                    _ => {}
                }
            }
        }
        out.sort();
        out
    }

    fn name_of(&self, file: &str, id: u32) -> String {
        let text = self.read_text(Path::new(file)).ok().flatten().unwrap_or_default();
        text.lines()
            .map(|l| l.split(':').collect::<Vec<_>>())
            .find(|f| f.get(2).and_then(|n| n.parse::<u32>().ok()) == Some(id))
            .and_then(|f| f.first().map(|s| (*s).to_owned()))
            .unwrap_or_else(|| id.to_string())
    }

    /// Arguments of the running `program` that serves `socket` (the only one, where there is just one).
    pub fn daemon_arguments(&self, program: &str, socket: &Path) -> Vec<String> {
        if !self.live {
            return Vec::new();
        }
        let mut found: Vec<Vec<String>> = Vec::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            if !entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()) {
                continue;
            }
            let Ok(bytes) = std::fs::read(entry.path().join("cmdline")) else { continue };
            let arguments: Vec<String> = bytes
                .split(|b| *b == 0)
                .filter(|a| !a.is_empty())
                .map(|a| String::from_utf8_lossy(a).into_owned())
                .collect();
            let name =
                arguments.first().and_then(|a| Path::new(a).file_name()).map(|n| n.to_string_lossy().into_owned());
            if name.as_deref() == Some(program) {
                found.push(arguments);
            }
        }
        let wanted = socket.to_string_lossy();
        let serving = found.iter().position(|a| a.iter().any(|x| x.contains(wanted.as_ref())));
        match serving {
            Some(i) => found.swap_remove(i),
            None if found.len() == 1 => found.pop().unwrap_or_default(),
            None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_out_of_another_hosts_root_stays_inside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("etc/link")).unwrap();
        std::fs::write(dir.path().join("etc/hostname"), "inside").unwrap();
        let host = Host::at(dir.path()).unwrap();
        assert_eq!(host.read_text(Path::new("/etc/link")).unwrap().as_deref(), Some("inside"));
        assert_eq!(host.read(Path::new("/../../etc/shadow")).unwrap(), None);
    }

    #[test]
    fn names_come_from_the_audited_host() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/passwd"), format!("me:x:{}:0::/:\n", rustix::process::geteuid().as_raw()))
            .unwrap();
        let facts = Host::at(dir.path()).unwrap().stat(Path::new("/etc/passwd")).unwrap().unwrap();
        assert_eq!(facts.user, "me");
    }

    #[test]
    fn missing_is_not_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Host::at(dir.path()).unwrap().stat(Path::new("/nothing")).unwrap(), None);
    }
}
