//! What the files of an image say: one walk over its unpacked layers, seen as a container would see them.
//!
//! Layers are directories in overlayfs's form: a character device 0/0 hides a name of the layers below, and the attribute
//! `trusted.overlay.opaque` (or `user.overlay.opaque`) on a directory hides all that is in it below. Owners and modes on
//! disk are the container's. Source: the kernel's Documentation/filesystems/overlayfs.rst.

use std::collections::HashSet;
use std::ffi::CStr;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};

/// Most files that are looked at; a large image has half a million.
const MAX_FILES: usize = 4_000_000;
/// Most paths that each list holds: the first ones prove the point.
const MAX_LISTED: usize = 200;
/// Deepest directory.
const MAX_DEPTH: usize = 256;
/// Bytes of a file that are searched for a private key's first line.
const HEAD_BYTES: u64 = 4096;

/// What was found. Paths are absolute inside the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Files with set-user-ID or set-group-ID bits, and their modes.
    pub setuid: Vec<(String, u32)>,
    /// Files that hold secrets by their name or their first line, and why.
    pub secrets: Vec<(String, &'static str)>,
    /// Programs that install software.
    pub managers: Vec<String>,
    /// Directories and files that everybody may change (sticky directories such as `/tmp` are not).
    pub world_writable: Vec<String>,
    /// Files of the image that anybody could use as disks or memory.
    pub devices: Vec<String>,
    /// Accounts with a password in `/etc/shadow`, or none at all.
    pub passwords: Vec<String>,
    /// Visible files.
    pub files: usize,
    /// Why the walk is not complete.
    pub incomplete: Vec<String>,
}

/// Looks at every visible file. `layers` are the unpacked directories, topmost first.
pub fn look(layers: &[PathBuf]) -> Content {
    let mut walk = Walk { content: Content::default(), hidden: HashSet::new(), seen: HashSet::new() };
    for layer in layers {
        match std::fs::File::open(layer) {
            Ok(root) => {
                let mut hides = Vec::new();
                walk.directory(root.into(), "", 0, &mut hides);
                walk.hidden.extend(hides);
            }
            Err(e) => walk.content.incomplete.push(format!("{}: {e}", layer.display())),
        }
    }
    walk.content
}

struct Walk {
    content: Content,
    /// Names that upper layers took away: `/a` itself, or `/a/` for all that is in it.
    hidden: HashSet<String>,
    /// Names that upper layers have, and that are therefore not looked at again: `/a` for a file, `/a/` for a directory.
    seen: HashSet<String>,
}

impl Walk {
    fn directory(&mut self, dir: OwnedFd, path: &str, depth: usize, hides: &mut Vec<String>) {
        if is_opaque(dir.as_fd()) {
            hides.push(format!("{path}/"));
        }
        let entries = match Dir::read_from(&dir) {
            Ok(entries) => entries,
            Err(e) => return self.content.incomplete.push(format!("{path}/: {e}")),
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if self.seen.len() >= MAX_FILES {
                let why = format!("more than {MAX_FILES} files");
                if self.content.incomplete.last() != Some(&why) {
                    self.content.incomplete.push(why);
                }
                return;
            }
            self.entry(dir.as_fd(), name, path, depth, hides);
        }
    }

    fn entry(&mut self, dir: BorrowedFd<'_>, name: &CStr, parent: &str, depth: usize, hides: &mut Vec<String>) {
        let path = format!("{parent}/{}", name.to_string_lossy());
        let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(e) => return self.content.incomplete.push(format!("{path}: {e}")),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if self.hidden.contains(&path) || self.seen.contains(&path) {
            return;
        }
        let inside = format!("{path}/");
        if kind == FileType::Directory {
            // A directory of this layer merges with those above, which decide on its mode; it may also be hidden in part.
            let first = self.seen.insert(inside.clone());
            if first {
                self.directory_mode(&path, stat.st_mode);
            }
            if self.hidden.contains(&inside) {
                return;
            }
            if depth >= MAX_DEPTH {
                return self.content.incomplete.push(format!("{path}: nested too deeply"));
            }
            match openat(
                dir,
                name,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            ) {
                Ok(child) => self.directory(child, &path, depth + 1, hides),
                Err(e) => self.content.incomplete.push(format!("{path}: {e}")),
            }
            return;
        }
        if self.seen.contains(&inside) {
            return;
        }
        if kind == FileType::CharacterDevice && stat.st_rdev == 0 {
            hides.push(path);
            return;
        }
        self.seen.insert(path.clone());
        self.content.files += 1;
        self.file(dir, name, &path, kind, stat.st_mode);
    }

    fn directory_mode(&mut self, path: &str, mode: u32) {
        if mode & 0o1002 == 0o002 {
            push(&mut self.content.world_writable, format!("{path}/"));
        }
    }

    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr, path: &str, kind: FileType, mode: u32) {
        match kind {
            FileType::RegularFile => {}
            FileType::BlockDevice | FileType::CharacterDevice if mode & 0o006 != 0 && !is_harmless_device(path) => {
                return push(&mut self.content.devices, path.to_owned());
            }
            FileType::Symlink if is_manager(path) => return push(&mut self.content.managers, path.to_owned()),
            _ => return,
        }
        if mode & 0o6000 != 0 {
            push(&mut self.content.setuid, (path.to_owned(), mode & 0o7777));
        }
        if mode & 0o002 != 0 {
            push(&mut self.content.world_writable, path.to_owned());
        }
        if is_manager(path) && mode & 0o111 != 0 {
            push(&mut self.content.managers, path.to_owned());
        }
        if path == "/etc/shadow" {
            self.content.passwords = head(dir, name, 1 << 20).map(|b| accounts(&b)).unwrap_or_default();
        }
        if let Some(why) = secret_by_name(path) {
            push(&mut self.content.secrets, (path.to_owned(), why));
        } else if may_be_key(path) && head(dir, name, HEAD_BYTES).is_some_and(|b| holds_key(&b)) {
            push(&mut self.content.secrets, (path.to_owned(), "a private key"));
        }
    }
}

fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() < MAX_LISTED {
        list.push(item);
    }
}

fn is_opaque(dir: BorrowedFd<'_>) -> bool {
    let mut value = [0u8; 4];
    ["trusted.overlay.opaque", "user.overlay.opaque"]
        .iter()
        .any(|name| matches!(rustix::fs::fgetxattr(dir, *name, &mut value), Ok(n) if value.get(..n) == Some(b"y")))
}

fn head(dir: BorrowedFd<'_>, name: &CStr, limit: u64) -> Option<Vec<u8>> {
    let fd = openat(dir, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
        .ok()?;
    let mut bytes = Vec::new();
    std::fs::File::from(fd).take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Device nodes that every container has anyway.
fn is_harmless_device(path: &str) -> bool {
    matches!(
        path,
        "/dev/null"
            | "/dev/zero"
            | "/dev/full"
            | "/dev/random"
            | "/dev/urandom"
            | "/dev/tty"
            | "/dev/ptmx"
            | "/dev/console"
    )
}

/// Programs that install software, in a directory of programs.
fn is_manager(path: &str) -> bool {
    const NAMES: [&str; 22] = [
        "apt", "apt-get", "aptitude", "dpkg", "apk", "yum", "dnf", "microdnf", "rpm", "zypper", "pacman", "opkg",
        "pip", "pip3", "npm", "yarn", "pnpm", "gem", "composer", "conda", "cargo", "snap",
    ];
    let Some((dir, name)) = path.rsplit_once('/') else { return false };
    matches!(dir, "/bin" | "/sbin" | "/usr/bin" | "/usr/sbin" | "/usr/local/bin" | "/usr/local/sbin")
        && NAMES.contains(&name)
}

/// Files that are made to hold a secret.
fn secret_by_name(path: &str) -> Option<&'static str> {
    let (dir, name) = path.rsplit_once('/')?;
    // Examples in documentation are no secrets.
    if ["/usr/share/doc/", "/usr/share/man/"].iter().any(|d| path.starts_with(d)) {
        return None;
    }
    match name {
        "id_rsa" | "id_dsa" | "id_ecdsa" | "id_ed25519" | "id_ecdsa_sk" | "id_ed25519_sk" => return Some("an SSH key"),
        ".netrc" | ".git-credentials" | ".pgpass" | ".my.cnf" | ".htpasswd" | ".vault-token" | ".dockercfg"
        | ".pypirc" | ".s3cfg" | ".boto" => return Some("a file of passwords"),
        ".env" => return Some("a file of settings that usually holds passwords"),
        "terraform.tfstate" => return Some("Terraform's state holds passwords in the clear"),
        ".bash_history" | ".zsh_history" | ".ash_history" => return Some("a shell's history"),
        _ => {}
    }
    if name.starts_with("ssh_host_") && name.ends_with("_key") {
        return Some("an SSH server's key, the same in every container");
    }
    let parent = dir.rsplit('/').next().unwrap_or("");
    match (parent, name) {
        (".aws", "credentials") => Some("AWS keys"),
        (".docker", "config.json") => Some("registry passwords"),
        (".kube", "config") => Some("cluster keys"),
        ("gcloud", "credentials.db" | "application_default_credentials.json") => Some("Google Cloud keys"),
        (".azure", "accessTokens.json" | "msal_token_cache.json") => Some("Azure tokens"),
        _ => match name.rsplit_once('.').map(|(_, e)| e) {
            Some("kdbx" | "jks" | "keystore" | "p12" | "pfx" | "ppk") if !dir.starts_with("/etc/ssl/certs/java") => {
                Some("a key store")
            }
            _ => None,
        },
    }
}

fn may_be_key(path: &str) -> bool {
    let extension = Path::new(path).extension().and_then(|e| e.to_str()).unwrap_or("");
    matches!(extension, "pem" | "key" | "der" | "asc") && !path.starts_with("/usr/share/doc/")
}

fn holds_key(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.contains("PRIVATE KEY-----") || text.contains("PRIVATE KEY BLOCK-----")
}

/// Accounts of `/etc/shadow` that a password opens, or that need none (shadow(5)).
fn accounts(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let (name, hash) = (fields.next()?, fields.next()?);
            (!hash.starts_with(['*', '!']))
                .then(|| format!("{name}: {}", if hash.is_empty() { "no password needed" } else { "a password hash" }))
        })
        .take(MAX_LISTED)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file(root: &Path, path: &str, content: &str, mode: u32) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_is_weak_is_found_and_its_harmless_neighbour_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for (path, content, mode) in [
            ("usr/bin/su", "", 0o4755),
            ("usr/bin/ls", "", 0o755),
            ("usr/bin/apt-get", "", 0o755),
            ("opt/apt-get", "", 0o755),
            ("root/.ssh/id_rsa", "", 0o600),
            ("root/.ssh/id_rsa.pub", "", 0o644),
            ("etc/ssl/private/x.key", "-----BEGIN RSA PRIVATE KEY-----\n", 0o600),
            ("etc/ssl/certs/ca.pem", "-----BEGIN CERTIFICATE-----\n", 0o644),
            ("app/.env", "", 0o644),
            ("app/shared", "", 0o666),
            ("etc/shadow", "root:$6$x:1::::::\nd:*:1\ne::1\nf:!:1\n", 0o600),
        ] {
            file(root, path, content, mode);
        }
        let found = look(&[root.to_owned()]);
        assert_eq!(found.setuid, [("/usr/bin/su".to_owned(), 0o4755)]);
        assert_eq!(found.managers, ["/usr/bin/apt-get"]);
        let mut secrets: Vec<_> = found.secrets.iter().map(|(p, _)| p.as_str()).collect();
        secrets.sort_unstable();
        assert_eq!(secrets, ["/app/.env", "/etc/ssl/private/x.key", "/root/.ssh/id_rsa"]);
        assert_eq!(found.world_writable, ["/app/shared"]);
        assert_eq!(found.passwords, ["root: a password hash", "e: no password needed"]);
        assert!(found.incomplete.is_empty() && found.files == 11);
    }

    #[test]
    fn upper_layers_hide_what_they_replace_or_remove() {
        let (upper, lower) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        file(lower.path(), "bin/su", "", 0o4755);
        file(lower.path(), "bin/mount", "", 0o4755);
        file(lower.path(), "bin/ping", "", 0o4755);
        file(lower.path(), "gone/su", "", 0o4755);
        file(upper.path(), "bin/su", "", 0o755);
        std::fs::create_dir_all(upper.path().join("gone")).unwrap();
        let layers = [upper.path().to_owned(), lower.path().to_owned()];
        let names = |c: &Content| {
            let mut names: Vec<String> = c.setuid.iter().map(|(p, _)| p.clone()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&look(&layers)), ["/bin/mount", "/bin/ping", "/gone/su"]);
        // Making a whiteout and a trusted attribute needs root.
        let node = rustix::fs::mknodat(
            rustix::fs::CWD,
            upper.path().join("bin/ping"),
            FileType::CharacterDevice,
            Mode::empty(),
            0,
        );
        let gone = std::fs::File::open(upper.path().join("gone")).unwrap();
        let opaque = rustix::fs::fsetxattr(&gone, "trusted.overlay.opaque", b"y", rustix::fs::XattrFlags::empty());
        if node.is_err() || opaque.is_err() {
            return eprintln!("skipped: no right to make whiteouts here");
        }
        assert_eq!(names(&look(&layers)), ["/bin/mount"]);
    }

    #[test]
    fn a_missing_layer_is_said() {
        assert!(look(&[PathBuf::from("/nonexistent")]).incomplete[0].contains("/nonexistent"));
    }
}
