//! Which files stay: what the trace saw, and what a run cannot show.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use stockade_image::config::ContainerConfig;
use stockade_image::files::{FileKind, Files, follow};

use crate::error::MinimizeError;
use crate::glob;

/// Small, and read by library code that a short run may not reach: users, names, certificates, the loader's tables.
const ALWAYS: &[&str] = &[
    "etc/passwd",
    "etc/group",
    "etc/nsswitch.conf",
    "etc/host.conf",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/services",
    "etc/protocols",
    "etc/gai.conf",
    "etc/localtime",
    "etc/timezone",
    "etc/os-release",
    "etc/debian_version",
    "etc/alpine-release",
    "etc/apk/arch",
    "etc/ld.so.cache",
    "etc/ld.so.conf",
    "etc/ld.so.conf.d",
    "etc/ssl/certs",
    "etc/pki/tls/certs",
    "etc/pki/ca-trust/extracted",
    "usr/lib/os-release",
    "usr/lib/locale/C.utf8",
    "usr/lib/locale/C.UTF-8",
    // Where scanners read what is installed, for distributions whose database is one file.
    "lib/apk/db/installed",
    "usr/lib/sysimage/rpm",
    "var/lib/rpm",
];

/// Where any of the first is used, all of the second stay.
const TOGETHER: &[(&str, &[&str])] = &[
    // Name service modules are loaded when a name is looked up; libgcc when a thread is cancelled or a trace printed.
    ("**/libc.so.6", &["usr/lib/**/libnss_*.so*", "lib/**/libnss_*.so*", "**/libresolv.so.2", "**/libgcc_s.so.1"]),
    ("**/libcrypto.so*", &["etc/ssl/openssl.cnf", "usr/lib/ssl", "**/ossl-modules", "etc/crypto-policies"]),
    ("usr/share/zoneinfo/**", &["usr/share/zoneinfo"]),
    ("**/gconv/**", &["**/gconv/gconv-modules*", "**/gconv/UTF-16.so", "**/gconv/UTF-32.so", "**/gconv/ISO8859-1.so"]),
    ("usr/share/i18n/**", &["usr/share/i18n"]),
    ("**/magic.mgc", &["**/magic.mgc"]),
];

/// Metadata by which scanners know packages of languages: it stays where anything of the package does.
const METADATA: &[&str] = &["METADATA", "PKG-INFO", "RECORD", "top_level.txt", "package.json", "installed.json"];

/// Directories of package managers, which a minimal image has no use for.
const MANAGERS: &[&str] =
    &["var/lib/dpkg", "var/lib/apt", "var/cache/apt", "var/cache/debconf", "var/log/apt", "etc/apt", "etc/dpkg"];

/// Longest `#!` line: the kernel's limit.
const SHEBANG_BYTES: u64 = 256;

/// The choice in the making.
pub struct Keep<'f> {
    files: &'f Files,
    touched: BTreeSet<PathBuf>,
    kept: BTreeSet<PathBuf>,
    todo: Vec<PathBuf>,
}

impl<'f> Keep<'f> {
    /// Begins with what a trace saw.
    pub fn new(files: &'f Files, touched: BTreeSet<PathBuf>) -> Keep<'f> {
        Keep { files, touched, kept: BTreeSet::new(), todo: Vec::new() }
    }

    /// Chooses; the answer holds every path to keep, directories included.
    pub fn choose(
        mut self,
        config: &ContainerConfig,
        runs: &[Vec<String>],
        patterns: &[String],
    ) -> Result<BTreeSet<PathBuf>, MinimizeError> {
        let opened: Vec<PathBuf> = self.touched.iter().filter(|path| self.is_file(path)).cloned().collect();
        opened.into_iter().for_each(|path| self.add(path));
        for pattern in ALWAYS {
            self.add_fitting(pattern);
        }
        for pattern in patterns {
            if self.add_fitting(pattern) == 0 {
                return Err(MinimizeError::NothingFits { pattern: pattern.clone() });
            }
        }
        self.programs(config, runs);
        self.close();
        for (any, all) in TOGETHER {
            if self.kept.iter().any(|path| path.to_str().is_some_and(|p| glob::fits(any, p))) {
                for pattern in *all {
                    self.add_fitting(pattern);
                }
            }
        }
        self.close();
        self.metadata();
        self.links();
        self.directories(config);
        Ok(self.kept)
    }

    fn is_file(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(|file| file.kind != FileKind::Directory)
    }

    fn add(&mut self, path: PathBuf) {
        if self.files.contains_key(&path) && self.kept.insert(path.clone()) {
            self.todo.push(path);
        }
    }

    fn add_fitting(&mut self, pattern: &str) -> usize {
        let fits = |path: &&PathBuf| path.to_str().is_some_and(|p| glob::fits(pattern, p));
        let found: Vec<PathBuf> = self.files.keys().filter(fits).cloned().collect();
        let count = found.len();
        found.into_iter().for_each(|path| self.add(path));
        count
    }

    /// The programs that the image itself names.
    fn programs(&mut self, config: &ContainerConfig, runs: &[Vec<String>]) {
        let first = |list: &Option<Vec<String>>| list.as_ref().and_then(|l| l.first().cloned());
        let mut names: Vec<String> = first(&config.entrypoint).into_iter().collect();
        if config.entrypoint.as_ref().is_none_or(Vec::is_empty) {
            names.extend(first(&config.cmd));
        }
        names.extend(runs.iter().filter_map(|run| run.first().cloned()));
        let health = config.healthcheck.as_ref().map(|h| h.test.as_slice()).unwrap_or_default();
        match health {
            [kind, program, ..] if kind == "CMD" => names.push(program.clone()),
            [kind, line, ..] if kind == "CMD-SHELL" => {
                names.push("/bin/sh".to_owned());
                names.extend(line.split_whitespace().next().map(str::to_owned));
            }
            _ => {}
        }
        let path = config.env.iter().find_map(|v| v.strip_prefix("PATH=")).unwrap_or("/usr/bin:/bin");
        for name in names {
            if name.contains('/') {
                self.add_followed(&Path::new("/").join(&config.working_dir).join(&name));
            } else if let Some(found) =
                path.split(':').map(|dir| Path::new(dir).join(&name)).find(|p| follow(self.files, p).is_some())
            {
                self.add_followed(&found);
            }
        }
    }

    /// What a path leads to, with the links on the way.
    fn add_followed(&mut self, path: &Path) {
        if let Some((target, links)) = follow(self.files, path) {
            links.into_iter().for_each(|link| self.add(link));
            self.add(target);
        }
    }

    /// Adds what kept files refer to, until nothing new comes.
    fn close(&mut self) {
        let mut libraries: BTreeMap<&std::ffi::OsStr, Vec<&PathBuf>> = BTreeMap::new();
        for (path, file) in self.files {
            if file.kind != FileKind::Directory
                && let Some(name) = path.file_name().filter(|n| n.as_bytes().windows(3).any(|w| w == b".so"))
            {
                libraries.entry(name).or_default().push(path);
            }
        }
        while let Some(path) = self.todo.pop() {
            let Some(file) = self.files.get(&path) else { continue };
            match file.kind {
                FileKind::Link => self.add_followed(&Path::new("/").join(&path)),
                FileKind::File => {
                    if let Some(linked) = stockade_inventory::linked(&file.source) {
                        linked.interpreter.iter().for_each(|i| self.add_followed(Path::new(i)));
                        for name in linked.needed {
                            let found = libraries.get(std::ffi::OsStr::new(&name)).cloned().unwrap_or_default();
                            found.into_iter().for_each(|library| self.add(library.clone()));
                        }
                    } else if file.mode & 0o111 != 0
                        && let Some(interpreter) = interpreter(&file.source)
                    {
                        self.add_followed(Path::new(&interpreter));
                    }
                }
                FileKind::Directory | FileKind::Other => {}
            }
        }
    }

    /// Package metadata of languages, and the sources that Python looks for beside compiled modules.
    fn metadata(&mut self) {
        let mut homes: BTreeSet<PathBuf> = BTreeSet::new();
        for path in self.kept.iter().filter(|path| self.is_file(path)) {
            for dir in path.ancestors().skip(1) {
                let name = dir.file_name().unwrap_or_default();
                let parent = dir.parent().and_then(Path::file_name).unwrap_or_default();
                let home = ["site-packages", "dist-packages", "vendor", "gems"].iter().any(|home| name == *home);
                if home || parent == "node_modules" || parent.as_bytes().starts_with(b"@") {
                    homes.insert(dir.to_owned());
                }
            }
        }
        let mut more = Vec::new();
        for path in self.files.keys() {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let dir = path.parent().unwrap_or(Path::new(""));
            let is_metadata = METADATA.contains(&name) || name.ends_with(".gemspec");
            // `site-packages/x.dist-info/METADATA`, `node_modules/x/package.json`, `vendor/composer/installed.json`.
            if is_metadata && [Some(dir), dir.parent()].into_iter().flatten().any(|home| homes.contains(home)) {
                more.push(path.clone());
            }
            if name.ends_with(".gemspec") && dir.parent().is_some_and(|d| homes.contains(&d.join("gems"))) {
                more.push(path.clone());
            }
        }
        for path in &self.kept {
            // `__pycache__/name.cpython-311.pyc` is only used where `name.py` is.
            if let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str()))
                && dir.file_name().is_some_and(|n| n == "__pycache__")
                && let (Some(home), Some((module, _))) = (dir.parent(), name.split_once('.'))
            {
                more.push(home.join(format!("{module}.py")));
            }
        }
        more.into_iter().for_each(|path| self.add(path));
        self.todo.clear();
    }

    /// Other names of what stays: links that lead to a kept file, and those at the top (`/bin`).
    fn links(&mut self) {
        let mut more = Vec::new();
        for (path, file) in self.files.iter().filter(|(_, file)| file.kind == FileKind::Link) {
            let Some((target, links)) = follow(self.files, &Path::new("/").join(path)) else { continue };
            let top = path.components().count() == 1;
            let to_kept = self.kept.contains(&target) && self.is_file(&target);
            if (top && file.kind == FileKind::Link) || to_kept {
                more.push(path.clone());
                more.extend(links);
            }
        }
        more.into_iter().for_each(|path| self.add(path));
        self.todo.clear();
    }

    /// Directories of what stays; those that the run listed; outside `/usr` also those that were empty (a program may
    /// write there) or belong to a user.
    fn directories(&mut self, config: &ContainerConfig) {
        let full: BTreeSet<&Path> = self.files.keys().filter_map(|path| path.parent()).collect();
        let mut chosen: Vec<PathBuf> = config.volumes.keys().map(|v| PathBuf::from(v.trim_matches('/'))).collect();
        chosen.push(PathBuf::from(config.working_dir.trim_matches('/')));
        for (path, file) in self.files.iter().filter(|(_, file)| file.kind == FileKind::Directory) {
            let managed = MANAGERS.iter().any(|dir| path.starts_with(dir));
            let open = file.mode & 0o1002 != 0 || file.uid != 0 || file.gid != 0;
            let empty = !full.contains(path.as_path()) && !path.starts_with("usr");
            let top = path.components().count() == 1;
            if !managed && (self.touched.contains(path) || open || empty || top) {
                chosen.push(path.clone());
            }
        }
        let all: Vec<PathBuf> = self.kept.iter().chain(&chosen).cloned().collect();
        for path in all {
            for dir in path.ancestors().filter(|dir| !dir.as_os_str().is_empty()) {
                if self.files.contains_key(dir) {
                    self.kept.insert(dir.to_owned());
                }
            }
        }
    }
}

/// The program of a script's first line.
fn interpreter(path: &Path) -> Option<String> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(SHEBANG_BYTES).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    std::str::from_utf8(line).ok()?.split_whitespace().next().map(str::to_owned)
}
