//! The host's files and processes, or those of a mounted host image (`--root DIR`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use crate::kernel_audit::{self, Watch};

/// Largest file that is read, in bytes: configuration files are kilobytes.
const MAX_FILE_BYTES: u64 = 8 << 20;

/// A view of one host. Paths are absolute on that host and resolved beneath its root (`RESOLVE_IN_ROOT`, openat2(2)).
#[derive(Debug)]
pub struct Host {
    root: OwnedFd,
    live: bool,
    loaded_rules: OnceLock<Result<Vec<Watch>, String>>,
}

/// What `stat` says about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Owner's name, or its number where it has no name.
    pub user: String,
    /// Group's name, or its number.
    pub group: String,
    /// Owner's number.
    pub uid: u32,
    /// Group's number.
    pub gid: u32,
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
        Ok(Host::new(File::open("/")?.into(), true))
    }

    /// A host whose root file system is mounted or unpacked at `root`.
    pub fn at(root: &Path) -> std::io::Result<Host> {
        Ok(Host::new(File::open(root)?.into(), false))
    }

    fn new(root: OwnedFd, live: bool) -> Host {
        Host { root, live, loaded_rules: OnceLock::new() }
    }

    /// Whether processes and kernel settings can be asked.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Opens a path beneath the root.
    pub(crate) fn open(&self, path: &Path, flags: OFlags) -> std::io::Result<File> {
        // /proc/self/root style links must not be followed on another host's image; on the live host "/" is the root.
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let fd = openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?;
        Ok(File::from(fd))
    }

    /// Content of a file; `None` where it does not exist. The error says why it could not be read.
    pub fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        self.read_within(path, MAX_FILE_BYTES)
    }

    /// The same for files that may be as large as YAML files are.
    pub(crate) fn read_large(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        self.read_within(path, crate::yaml::MAX_BYTES as u64)
    }

    fn read_within(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, String> {
        let file = match self.open(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.to_string()),
        };
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        if bytes.len() as u64 > limit {
            return Err(format!("larger than {limit} bytes"));
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
            uid: meta.uid(),
            gid: meta.gid(),
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

    /// Names in a directory, sorted; nothing where it cannot be read.
    pub fn names_in(&self, dir: &Path) -> Vec<String> {
        let Ok(handle) = self.open(dir, OFlags::RDONLY | OFlags::DIRECTORY) else { return Vec::new() };
        let Ok(entries) = rustix::fs::Dir::read_from(&handle) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .flatten()
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .filter(|n| n != "." && n != "..")
            .collect();
        names.sort();
        names
    }

    /// Number of a user (`/etc/passwd`) or a group (`/etc/group`).
    pub fn id_of(&self, file: &str, name: &str) -> Option<u32> {
        let text = self.read_text(Path::new(file)).ok().flatten()?;
        let line = text.lines().find(|l| l.split(':').next() == Some(name))?;
        line.split(':').nth(2)?.parse().ok()
    }

    /// A kernel setting: its value in `/proc/sys`, `None` where this kernel has none of that name.
    pub fn sysctl(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.read_text(Path::new(&sysctl_path(name)))?.map(|t| t.trim().to_owned()))
    }

    /// What the files of sysctl.d(5) set at boot, with the place. The last assignment wins; `/etc` hides a file of the
    /// same name in `/run`, and that one in `/usr/lib`.
    pub fn configured_sysctl(&self, name: &str) -> Option<(String, String)> {
        let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
        for dir in ["/usr/lib/sysctl.d", "/lib/sysctl.d", "/run/sysctl.d", "/etc/sysctl.d"] {
            for file in self.names_in(Path::new(dir)).into_iter().filter(|n| n.ends_with(".conf")) {
                let path = Path::new(dir).join(&file);
                files.insert(file, path);
            }
        }
        let mut found = None;
        for path in files.into_values().chain([PathBuf::from("/etc/sysctl.conf")]) {
            let text = self.read_text(&path).ok().flatten().unwrap_or_default();
            for (i, line) in text.lines().enumerate() {
                let line = line.trim().trim_start_matches('-');
                let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with(['#', ';'])) else {
                    continue;
                };
                if key.trim().replace('/', ".") == name {
                    found = Some((value.trim().to_owned(), format!("{}:{}", path.display(), i + 1)));
                }
            }
        }
        found
    }

    /// Whether the kernel has SELinux; `None` on a host that does not run.
    pub fn has_selinux(&self) -> Option<bool> {
        self.live.then(|| Path::new("/sys/fs/selinux/enforce").exists())
    }

    /// Paths that loaded audit rules watch; asked once.
    pub fn loaded_audit_rules(&self) -> Result<&[Watch], String> {
        if !self.live {
            return Err("this host does not run".to_owned());
        }
        self.loaded_rules.get_or_init(kernel_audit::watches).as_ref().map(Vec::as_slice).map_err(Clone::clone)
    }

    /// Command lines of processes by the container id in their control group's path. One look at all of `/proc`; ids of
    /// which no process is seen are left out.
    pub fn container_commands(&self, ids: &[String]) -> BTreeMap<String, Result<Vec<String>, String>> {
        let mut found: BTreeMap<String, Result<Vec<String>, String>> = BTreeMap::new();
        if !self.live || ids.is_empty() {
            return found;
        }
        for process in processes() {
            let Ok(groups) = std::fs::read_to_string(process.join("cgroup")) else { continue };
            let Some(id) = ids.iter().find(|id| !id.is_empty() && groups.contains(id.as_str())) else { continue };
            let command = command_line(&process).join(" ");
            if let Ok(list) = found.entry(id.clone()).or_insert_with(|| Ok(Vec::new())) {
                list.push(command);
            }
        }
        found
    }

    /// Which of `net`, `pid`, `ipc` and `uts` the container's first process shares with the host's. Nothing where the process
    /// is not seen, or is not the container's: a daemon may name any number.
    pub fn host_namespaces(&self, id: &str, pid: u64) -> BTreeSet<&'static str> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let groups = std::fs::read_to_string(process.join("cgroup")).unwrap_or_default();
        if !self.live || id.is_empty() || !groups.contains(id) {
            return BTreeSet::new();
        }
        let of = |process: &Path, kind: &str| std::fs::read_link(process.join("ns").join(kind)).ok();
        // Init may hold a capability that we lack; then we may not look at it, and stand for the host ourselves.
        let host = |kind: &str| of(Path::new("/proc/1"), kind).or_else(|| of(Path::new("/proc/self"), kind));
        let same = |kind: &&str| of(&process, kind).is_some_and(|ns| host(kind) == Some(ns));
        ["net", "pid", "ipc", "uts"].into_iter().filter(same).collect()
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
        for process in processes() {
            let arguments = command_line(&process);
            let name = arguments.first().and_then(|a| Path::new(a).file_name());
            if name.is_some_and(|n| n.to_string_lossy() == program) {
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

/// Directories of processes in `/proc`.
fn processes() -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter(|e| e.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit())).map(|e| e.path())
}

/// Arguments of a process; nothing for kernel threads and those that ended.
fn command_line(process: &Path) -> Vec<String> {
    let bytes = std::fs::read(process.join("cmdline")).unwrap_or_default();
    bytes.split(|b| *b == 0).filter(|a| !a.is_empty()).map(|a| String::from_utf8_lossy(a).into_owned()).collect()
}

/// File of a kernel setting. Only the characters that names have reach the path.
pub(crate) fn sysctl_path(name: &str) -> String {
    let clean: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    format!("/proc/sys/{}", clean.replace('.', "/"))
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

    #[test]
    fn boot_settings_come_from_the_last_file_that_counts() {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("usr/lib/sysctl.d/50-a.conf", "kernel.kptr_restrict=1\n"),
            ("usr/lib/sysctl.d/60-b.conf", "kernel/kptr_restrict = 2\n"),
            ("etc/sysctl.d/60-b.conf", "# kernel.kptr_restrict = 9\n\nfs.x = 1\n"),
        ] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let host = Host::at(dir.path()).unwrap();
        let found = host.configured_sysctl("kernel.kptr_restrict");
        assert_eq!(found, Some(("1".to_owned(), "/usr/lib/sysctl.d/50-a.conf:1".to_owned())));
        assert_eq!(host.configured_sysctl("kernel.none"), None);
    }

    #[test]
    fn names_of_settings_cannot_leave_their_directory() {
        assert_eq!(sysctl_path("net.ipv4.conf.all.rp_filter"), "/proc/sys/net/ipv4/conf/all/rp_filter");
        assert!(!sysctl_path("../../etc/passwd").contains(".."));
    }
}
