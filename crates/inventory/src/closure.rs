//! What an image's entry point loads at its start: the program, the interpreter of a script, the loader and the
//! libraries that they are linked with (ld.so(8), execve(2)), found without running anything.
//!
//! What a program opens later (plugins, modules of an interpreted language) is not among it: being outside says that a
//! file is not loaded at the start, not that it never is.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::linked::linked;

/// Links followed on the way to one file, as the kernel does (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// Files of a closure; large programs have some hundreds.
const MAX_FILES: usize = 4096;
/// Bytes of a script's first line.
const SHEBANG_BYTES: u64 = 512;
/// Where loaders look by themselves, those of Debian's architectures included.
const LIBRARY_DIRS: &[&str] = &[
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "lib/arm-linux-gnueabihf",
    "usr/lib/arm-linux-gnueabihf",
    "lib/i386-linux-gnu",
    "usr/lib/i386-linux-gnu",
    "lib/powerpc64le-linux-gnu",
    "usr/lib/powerpc64le-linux-gnu",
    "lib/s390x-linux-gnu",
    "usr/lib/s390x-linux-gnu",
    "lib/riscv64-linux-gnu",
    "usr/lib/riscv64-linux-gnu",
    "lib64",
    "usr/lib64",
    "lib",
    "usr/lib",
    "usr/local/lib",
    "usr/local/lib64",
];

/// How an image starts.
#[derive(Debug, Clone, Copy)]
pub struct EntryPoint<'a> {
    /// Its entry point.
    pub entrypoint: &'a [String],
    /// Its command, or arguments of the entry point.
    pub cmd: &'a [String],
    /// Its environment, `NAME=value`.
    pub env: &'a [String],
    /// Its working directory; empty for the root.
    pub working_dir: &'a str,
}

/// The files that the entry point loads at its start, relative to the root, sorted. `layers` are directories with
/// overlayfs whiteouts, lowest first. `None`: there is no entry point, or its program is not there.
pub fn entry_files(layers: &[&Path], entry: &EntryPoint<'_>) -> Option<Vec<String>> {
    let tree = Tree { layers: layers.iter().rev().copied().collect() };
    let mut closure = Closure { tree, entry, files: BTreeSet::new(), todo: Vec::new() };
    closure.start()?;
    closure.close();
    Some(closure.files.into_iter().collect())
}

struct Closure<'a> {
    tree: Tree<'a>,
    entry: &'a EntryPoint<'a>,
    files: BTreeSet<String>,
    /// Where each file is in the image, and on this machine.
    todo: Vec<(String, PathBuf)>,
}

impl Closure<'_> {
    /// The program, and what its arguments name: `java -jar app.jar`, `sh -c 'exec nginx'`, `tini -- app`.
    fn start(&mut self) -> Option<()> {
        let all: Vec<&String> = self.entry.entrypoint.iter().chain(self.entry.cmd).collect();
        let (program, args) = all.split_first()?;
        if !self.program(program) {
            return None;
        }
        let is_shell = matches!(program.rsplit('/').next(), Some("sh" | "bash" | "dash" | "ash"));
        let first_of_cmd = self.entry.entrypoint.len().checked_sub(1);
        for (index, arg) in args.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|i| args.get(i)).map_or("", |a| a.as_str());
            if is_shell && before == "-c" {
                let mut words = arg.split_whitespace().skip_while(|w| *w == "exec" || w.contains('='));
                let _ = words.next().is_some_and(|word| self.program(word));
            } else if before == "--" || first_of_cmd == Some(index) {
                // Wrappers run their first argument; one that is no program may still be a file.
                let _ = self.program(arg) || self.file(arg);
            } else if !arg.starts_with('-') && (arg.contains('/') || arg.contains('.')) {
                self.file(arg);
            }
        }
        Some(())
    }

    /// Adds a program as `execvp` finds it. Output: whether it is there.
    fn program(&mut self, name: &str) -> bool {
        if name.contains('/') {
            return self.file(name);
        }
        let entry = self.entry;
        let path = entry.env.iter().find_map(|v| v.strip_prefix("PATH=")).unwrap_or("/usr/local/bin:/usr/bin:/bin");
        path.split(':').any(|dir| self.file(&format!("{dir}/{name}")))
    }

    /// Adds a file by a path from the working directory. Output: whether it is there.
    fn file(&mut self, path: &str) -> bool {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.entry.working_dir) };
        let Some(found) = self.tree.resolve(&path) else { return false };
        self.files.extend(found.links);
        if self.files.len() < MAX_FILES && self.files.insert(found.path.clone()) {
            self.todo.push((found.path, found.host));
        }
        true
    }

    fn close(&mut self) {
        while let Some((path, host)) = self.todo.pop() {
            if let Some(object) = linked(&host) {
                object.interpreter.iter().for_each(|loader| {
                    self.file(&absolute(loader));
                });
                let origin = path.rsplit_once('/').map_or("", |(dir, _)| dir);
                let own: Vec<String> = object.search.iter().map(|dir| absolute(&of_origin(dir, origin))).collect();
                for name in &object.needed {
                    self.library(name, &own);
                }
            } else if let Some(words) = shebang(&host) {
                let mut words = words.iter();
                if let Some(interpreter) = words.next() {
                    self.file(&absolute(interpreter));
                    // `#!/usr/bin/env -S python3 -u`
                    if interpreter.ends_with("/env")
                        && let Some(program) = words.find(|w| !w.starts_with('-') && !w.contains('='))
                    {
                        self.program(program);
                    }
                }
            }
        }
    }

    fn library(&mut self, name: &str, own: &[String]) {
        if name.contains('/') {
            self.file(name);
            return;
        }
        let entry = self.entry;
        let set = entry.env.iter().find_map(|v| v.strip_prefix("LD_LIBRARY_PATH=")).unwrap_or_default();
        let set = set.split(':').filter(|dir| !dir.is_empty()).map(absolute);
        let standard = LIBRARY_DIRS.iter().map(|dir| absolute(dir));
        let dirs: Vec<String> = own.iter().cloned().chain(set).chain(standard).collect();
        dirs.iter().any(|dir| self.file(&format!("{dir}/{name}")));
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn of_origin(dir: &str, origin: &str) -> String {
    dir.replace("${ORIGIN}", &format!("/{origin}")).replace("$ORIGIN", &format!("/{origin}"))
}

/// The words of a script's first line.
fn shebang(path: &Path) -> Option<Vec<String>> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(SHEBANG_BYTES).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    Some(std::str::from_utf8(line).ok()?.split_whitespace().map(str::to_owned).collect())
}

/// The merged view of layers, topmost first, for single paths.
struct Tree<'a> {
    layers: Vec<&'a Path>,
}

enum Found {
    Nothing,
    Directory,
    Link(String),
    File(PathBuf),
}

struct Resolved {
    /// Without links, relative to the root.
    path: String,
    /// Where it is on this machine.
    host: PathBuf,
    /// Links that are other names of it.
    links: Vec<String>,
}

impl Tree<'_> {
    /// Follows links as a process in the image would; only regular files are found.
    fn resolve(&self, path: &str) -> Option<Resolved> {
        let mut todo: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
        let mut done: Vec<String> = Vec::new();
        let mut links = Vec::new();
        let mut followed = 0;
        while let Some(part) = todo.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(part),
            }
            let here = done.join("/");
            match self.at(&done) {
                Found::Nothing => return None,
                Found::Directory => {}
                Found::File(host) => return todo.is_empty().then_some(Resolved { path: here, host, links }),
                Found::Link(target) => {
                    followed += 1;
                    if followed > MAX_LINKS {
                        return None;
                    }
                    if todo.is_empty() {
                        links.push(here);
                    }
                    done.pop();
                    if target.starts_with('/') {
                        done.clear();
                    }
                    todo.extend(target.rsplit('/').map(str::to_owned));
                }
            }
        }
        None
    }

    /// What is at a path whose directories are no links.
    fn at(&self, parts: &[String]) -> Found {
        for layer in &self.layers {
            let mut place = layer.to_path_buf();
            let mut hides = false;
            for (index, part) in parts.iter().enumerate() {
                place.push(part);
                let Ok(meta) = place.symlink_metadata() else { break };
                let kind = meta.file_type();
                if kind.is_char_device() && meta.rdev() == 0 {
                    return Found::Nothing;
                }
                if index + 1 == parts.len() {
                    return match std::fs::read_link(&place) {
                        Ok(target) => Found::Link(target.to_string_lossy().into_owned()),
                        Err(_) if kind.is_dir() => Found::Directory,
                        Err(_) if kind.is_file() => Found::File(place),
                        Err(_) => Found::Nothing,
                    };
                }
                if !kind.is_dir() {
                    return Found::Nothing;
                }
                hides |= is_opaque(&place);
            }
            if hides {
                return Found::Nothing;
            }
        }
        Found::Nothing
    }
}

/// Whether a layer's directory hides what lower layers have in it (overlayfs, "whiteouts and opaque directories").
fn is_opaque(dir: &Path) -> bool {
    ["trusted.overlay.opaque", "user.overlay.opaque"].iter().any(|name| {
        let mut value = [0u8; 4];
        rustix::fs::lgetxattr(dir, *name, &mut value).is_ok_and(|len| value.get(..len) == Some(b"y".as_slice()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn write(root: &Path, path: &str, bytes: &[u8]) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn files(layers: &[&Path], entrypoint: &[String], cmd: &[String]) -> Option<Vec<String>> {
        let env = words("PATH=/usr/bin:/bin");
        entry_files(layers, &EntryPoint { entrypoint, cmd, env: &env, working_dir: "/app" })
    }

    #[test]
    fn scripts_lead_to_their_interpreters_and_wrappers_to_what_they_wrap() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, "start.sh", b"#!/bin/sh\nexec \"$@\"\n");
        write(root, "usr/bin/dash", b"x");
        write(root, "usr/bin/python3.11", b"x");
        write(root, "app/main.py", b"#!/usr/bin/env -S python3 -u\n");
        write(root, "usr/bin/env", b"x");
        symlink("usr/bin", root.join("bin")).unwrap();
        symlink("dash", root.join("usr/bin/sh")).unwrap();
        symlink("python3.11", root.join("usr/bin/python3")).unwrap();
        let sh = ["usr/bin/dash", "usr/bin/sh"];
        let python = ["usr/bin/python3", "usr/bin/python3.11"];
        let found = files(&[root], &words("/start.sh"), &words("python3 main.py")).unwrap();
        assert_eq!(found, ["app/main.py", "start.sh", sh[0], "usr/bin/env", python[0], python[1], sh[1]]);
        let found = files(&[root], &[], &["/bin/sh".into(), "-c".into(), "A=1 exec python3 x".into()]).unwrap();
        assert_eq!(found, [sh[0], python[0], python[1], sh[1]]);
        assert_eq!(files(&[root], &words("/nothing"), &[]), None);
        assert_eq!(files(&[root], &[], &[]), None);
    }

    #[test]
    fn upper_layers_hide_and_links_end() {
        let dir = tempfile::tempdir().unwrap();
        let (low, high) = (dir.path().join("low"), dir.path().join("high"));
        write(&low, "opt/a", b"x");
        write(&low, "opt/b", b"x");
        write(&high, "opt/b/c", b"x");
        symlink("loop", low.join("loop")).unwrap();
        symlink("../../../../opt/a", low.join("opt/up")).unwrap();
        let layers = [low.as_path(), high.as_path()];
        assert_eq!(files(&layers, &words("/opt/up"), &[]).unwrap(), ["opt/a", "opt/up"]);
        assert_eq!(files(&layers, &words("/opt/b"), &[]), None, "a directory lies above the file");
        assert_eq!(files(&layers, &words("/loop"), &[]), None);
    }

    #[test]
    fn a_dynamic_program_brings_its_loader_and_libraries() {
        let host = Path::new("/");
        let program = std::env::current_exe().unwrap();
        let entry = [program.display().to_string()];
        let found = files(&[host], &entry, &[]).unwrap();
        if cfg!(all(target_os = "linux", target_env = "gnu", target_endian = "little")) {
            assert!(found.iter().any(|f| f.contains("/libc.so")), "{found:?}");
            assert!(found.iter().any(|f| f.contains("/ld-linux")), "{found:?}");
        }
    }
}
