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

use crate::extras::STARTUP;
use crate::layer::LayerInventory;
use crate::linked::{Linked, linked};
use crate::pathhash;
use crate::startup::{SHEBANG_BYTES, Start, shebang};

/// Links followed on the way to one file, as the kernel does (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// Files of a closure; large programs have some hundreds.
const MAX_FILES: usize = 4096;
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
    closed(Tree::Directories(layers.iter().rev().copied().collect()), entry)
}

/// The same for layers that came as streams, lowest first, read with `Options::startup`. `None` also when one was not.
pub fn entry_files_of(layers: &[LayerInventory], entry: &EntryPoint<'_>) -> Option<Vec<String>> {
    if layers.iter().any(|layer| layer.features & STARTUP == 0) {
        return None;
    }
    closed(Tree::Inventories(layers.iter().rev().collect()), entry)
}

fn closed(tree: Tree<'_>, entry: &EntryPoint<'_>) -> Option<Vec<String>> {
    let mut closure = Closure { tree, entry, files: BTreeSet::new(), todo: Vec::new() };
    closure.start()?;
    closure.close();
    Some(closure.files.into_iter().collect())
}

struct Closure<'a> {
    tree: Tree<'a>,
    entry: &'a EntryPoint<'a>,
    files: BTreeSet<String>,
    /// Where each file is in the image, and what it is.
    todo: Vec<(String, Place<'a>)>,
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
            self.todo.push((found.path, found.place));
        }
        true
    }

    fn close(&mut self) {
        while let Some((path, place)) = self.todo.pop() {
            match place.what() {
                What::Object(object) => {
                    object.interpreter.iter().for_each(|loader| {
                        self.file(&absolute(loader));
                    });
                    let origin = path.rsplit_once('/').map_or("", |(dir, _)| dir);
                    let own: Vec<String> = object.search.iter().map(|dir| absolute(&of_origin(dir, origin))).collect();
                    for name in &object.needed {
                        self.library(name, &own);
                    }
                }
                What::Script(words) => {
                    let mut words = words.iter();
                    let Some(interpreter) = words.next() else { continue };
                    self.file(&absolute(interpreter));
                    // `#!/usr/bin/env -S python3 -u`
                    if interpreter.ends_with("/env")
                        && let Some(program) = words.find(|w| !w.starts_with('-') && !w.contains('='))
                    {
                        self.program(program);
                    }
                }
                What::Other => {}
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

/// The merged view of layers, topmost first, for single paths.
enum Tree<'a> {
    /// Unpacked, with overlayfs whiteouts.
    Directories(Vec<&'a Path>),
    /// What was kept of streams.
    Inventories(Vec<&'a LayerInventory>),
}

enum Found<'a> {
    Nothing,
    Directory,
    Link(String),
    File(Place<'a>),
}

/// Where a file is, or what was kept of it.
enum Place<'a> {
    Host(PathBuf),
    Kept(Option<&'a Start>),
}

/// What a file needs to start.
enum What {
    Object(Linked),
    Script(Vec<String>),
    Other,
}

impl Place<'_> {
    fn what(&self) -> What {
        match self {
            Place::Host(path) => match linked(path) {
                Some(object) => What::Object(object),
                None => first_line(path).map_or(What::Other, What::Script),
            },
            Place::Kept(Some(Start::Object(object))) => What::Object(object.clone()),
            Place::Kept(Some(Start::Script(words))) => What::Script(words.clone()),
            Place::Kept(_) => What::Other,
        }
    }
}

fn first_line(path: &Path) -> Option<Vec<String>> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(SHEBANG_BYTES).read_to_end(&mut head).ok()?;
    shebang(&head)
}

struct Resolved<'a> {
    /// Without links, relative to the root.
    path: String,
    /// The file.
    place: Place<'a>,
    /// Links that are other names of it.
    links: Vec<String>,
}

impl<'a> Tree<'a> {
    /// Follows links as a process in the image would; only regular files are found.
    fn resolve(&self, path: &str) -> Option<Resolved<'a>> {
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
                Found::File(place) => return todo.is_empty().then_some(Resolved { path: here, place, links }),
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
    fn at(&self, parts: &[String]) -> Found<'a> {
        match self {
            Tree::Directories(layers) => in_directories(layers, parts),
            Tree::Inventories(layers) => in_inventories(layers, &parts.join("/")),
        }
    }
}

fn in_directories<'a>(layers: &[&Path], parts: &[String]) -> Found<'a> {
    for layer in layers {
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
                    Err(_) if kind.is_file() => Found::File(Place::Host(place)),
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

fn in_inventories<'a>(layers: &[&'a LayerInventory], path: &str) -> Found<'a> {
    let has = |list: &[u64], hash: u64| list.binary_search(&hash).is_ok();
    for layer in layers {
        let own = pathhash::path(path.as_bytes());
        if has(&layer.files, own) {
            return match layer.startup.get(own) {
                Some(Start::Link(target)) => Found::Link(target.clone()),
                Some(Start::Hard(target)) => Found::File(Place::Kept(layer.startup.get(*target))),
                kept => Found::File(Place::Kept(kept)),
            };
        }
        let hides = pathhash::with_ancestors(path.as_bytes(), |hash, is_self| {
            has(&layer.whiteouts, hash) || !is_self && (has(&layer.files, hash) || has(&layer.opaque, hash))
        });
        if hides {
            return Found::Nothing;
        }
    }
    // Archives may leave directories out; whether a file is below one is asked for itself.
    Found::Directory
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

    /// The tree as one layer's tar.
    fn layer(root: &Path) -> LayerInventory {
        let mut tar = tar::Builder::new(Vec::new());
        tar.follow_symlinks(false);
        tar.append_dir_all("", root).unwrap();
        let bytes = tar.into_inner().unwrap();
        let options = crate::Options { startup: true, ..Default::default() };
        crate::scan_layer(bytes.as_slice(), "x", None, &options)
    }

    fn files_of(layers: &[LayerInventory], entrypoint: &[String]) -> Option<Vec<String>> {
        let env = words("PATH=/usr/bin:/bin LD_LIBRARY_PATH=/opt/lib");
        entry_files_of(layers, &EntryPoint { entrypoint, cmd: &[], env: &env, working_dir: "" })
    }

    #[test]
    fn streams_tell_the_same_as_directories() {
        let dir = tempfile::tempdir().unwrap();
        let (low, high) = (dir.path().join("low"), dir.path().join("high"));
        write(&low, "opt/start", b"#!/bin/sh\nexec x\n");
        write(&low, "usr/bin/dash", b"x");
        write(&low, "usr/bin/gone", b"x");
        write(&low, "opt/lib/plain", b"x");
        symlink("usr/bin", low.join("bin")).unwrap();
        symlink("dash", low.join("usr/bin/sh")).unwrap();
        symlink("loop", low.join("loop")).unwrap();
        std::fs::set_permissions(low.join("opt/start"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        // The test's own program, with its loader and libraries.
        let program = std::env::current_exe().unwrap();
        write(&high, "usr/bin/app", &std::fs::read(&program).unwrap());
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(high.join("usr/bin/app"), mode).unwrap();
        std::fs::hard_link(high.join("usr/bin/app"), high.join("usr/bin/again")).unwrap();
        let needed = linked(&program).unwrap_or_default().needed;
        needed.iter().for_each(|name| write(&high, &format!("opt/lib/{name}"), b"x"));
        write(&high, "usr/bin/.wh.gone", b"");
        let layers = [layer(&low), layer(&high)];
        let dirs = [low.as_path(), high.as_path()];
        for start in ["/opt/start", "/loop", "/bin/sh", "/opt/lib", "/opt/lib/plain", "/opt/lib/plain/x", "/none"] {
            assert_eq!(files_of(&layers, &words(start)), files(&dirs, &words(start), &[]), "{start}");
        }
        assert_eq!(files_of(&layers, &words("gone")), None, "deleted above");
        assert_eq!(files_of(&layers[..1], &words("gone")).unwrap(), ["usr/bin/gone"]);
        for name in ["app", "again"] {
            let found = files_of(&layers, &words(name)).unwrap();
            let wanted = needed.iter().map(|lib| format!("opt/lib/{lib}")).chain([format!("usr/bin/{name}")]);
            assert!(wanted.clone().all(|file| found.contains(&file)), "{found:?}");
        }
        // Back from the cache, and never half an answer.
        let text = serde_json::to_string(&layers).unwrap();
        let mut back: Vec<LayerInventory> = serde_json::from_str(&text).unwrap();
        assert_eq!(files_of(&back, &words("/opt/start")), files_of(&layers, &words("/opt/start")));
        back[0] = crate::scan_layer(&[0u8; 1024][..], "x", None, &crate::Options::default());
        assert_eq!(files_of(&back, &words("app")), None, "a layer was read without");
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
