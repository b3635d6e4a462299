//! The minimal images `stockade/static`, `stockade/base` and `stockade/debug`: a few packages of the signed archive,
//! unpacked and not configured. No maintainer script runs, so none is needed: no shell, no dpkg, no apt.
//!
//! What a script would have made is written here: the bundle of certificates, users, the usual directories. dpkg's facts
//! lie in `status.d`, one file a package, where scanners look for them in images without a dpkg.

use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Uid};

use crate::control::Stanza;
use crate::error::BaseError;
use crate::name::Flavour;
use crate::root::Root;
use crate::unpack::Unpacked;

/// The user that the images run as: the number that other minimal images use, and Kubernetes policies expect.
pub const NONROOT: u32 = 65532;
/// Where that user is at home.
pub const HOME: &str = "/home/nonroot";
/// The bundle of certificates, where OpenSSL, Go and rustls look.
const BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";
/// Where the package has the certificates one by one.
const CERTIFICATES: &str = "usr/share/ca-certificates/mozilla";
/// Largest certificate, and largest list of a package's files, in bytes.
const MAX_SMALL_FILE: u64 = 4 << 20;

/// Programs and scripts that nothing in these images can run or needs, and what only they read.
const DROPPED: &[&str] = &[
    "etc/ca-certificates",
    "etc/cron.daily",
    "etc/default",
    "etc/dpkg",
    "etc/init.d",
    "etc/kernel",
    "etc/ld.so.conf.d/fakeroot-x86_64-linux-gnu.conf",
    "etc/logcheck",
    "etc/update-motd.d",
    "usr/share/base-files",
    "usr/share/bug",
    "usr/share/ca-certificates",
    "usr/share/debconf",
    "usr/share/initramfs-tools",
    "usr/share/lintian",
    "var/backups",
    "var/lib/misc",
];

/// Applets of busybox that the debug image has names for.
const APPLETS: &[&str] = &[
    "ash",
    "awk",
    "basename",
    "cat",
    "chmod",
    "chown",
    "clear",
    "cmp",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "diff",
    "dirname",
    "du",
    "echo",
    "env",
    "expr",
    "false",
    "find",
    "free",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "hexdump",
    "hostname",
    "id",
    "ip",
    "kill",
    "less",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mount",
    "mv",
    "nc",
    "netstat",
    "nslookup",
    "od",
    "ping",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "strings",
    "tail",
    "tar",
    "tee",
    "telnet",
    "test",
    "time",
    "timeout",
    "top",
    "touch",
    "tr",
    "true",
    "uname",
    "uniq",
    "vi",
    "wc",
    "wget",
    "which",
    "whoami",
    "xargs",
    "yes",
];

const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n\
                        protocols: files\nservices: files\nethers: files\nrpc: files\n";

/// Finishes a root that the packages were unpacked into.
///
/// # Errors
/// A file operation that failed, a package without a name, no certificates.
pub fn finish(root: &Root, flavour: Flavour, packages: &[Unpacked]) -> Result<(), BaseError> {
    bundle(root)?;
    for dir in ["usr/bin", "usr/sbin"] {
        for name in root.list(dir).map_err(io(root, "list", dir))? {
            if !(flavour == Flavour::Debug && name == "busybox") {
                let path = format!("{dir}/{}", name.to_string_lossy());
                root.remove(&path).map_err(io(root, "remove", &path))?;
            }
        }
    }
    for path in DROPPED {
        root.remove(path).map_err(io(root, "remove", path))?;
    }
    let shell = if flavour == Flavour::Debug { "/bin/sh" } else { "/sbin/nologin" };
    let passwd = format!(
        "root:x:0:0:root:/root:{shell}\nnonroot:x:{NONROOT}:{NONROOT}:nonroot:{HOME}:{shell}\n\
         nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
    );
    let group = format!("root:x:0:\ntty:x:5:\nmail:x:8:\nstaff:x:50:\nnonroot:x:{NONROOT}:\nnogroup:x:65534:\n");
    for (path, text) in [
        ("etc/passwd", passwd.as_str()),
        ("etc/group", &group),
        ("etc/nsswitch.conf", NSSWITCH),
        ("etc/hosts", HOSTS),
        ("etc/hostname", ""),
        ("etc/resolv.conf", ""),
    ] {
        root.write(path, text.as_bytes(), 0o644).map_err(io(root, "write", path))?;
    }
    directory(root, "tmp", 0o1777, 0)?;
    directory(root, "var/tmp", 0o1777, 0)?;
    directory(root, "root", 0o700, 0)?;
    directory(root, HOME.trim_start_matches('/'), 0o700, NONROOT)?;
    if flavour == Flavour::Debug {
        for applet in APPLETS {
            let path = format!("usr/bin/{applet}");
            let made = root.place(Path::new(&path)).and_then(|place| {
                place.remove_file()?;
                Ok(rustix::fs::symlinkat("busybox", &place.dir, place.name)?)
            });
            made.map_err(io(root, "make the link", &path))?;
        }
    }
    write_status(root, packages)
}

/// Names the file of an error.
fn io<'r>(root: &'r Root, what: &'static str, path: &'r str) -> impl FnOnce(std::io::Error) -> BaseError + 'r {
    move |e| BaseError::io(what, &root.path.join(path))(e)
}

/// All certificates in one file, by name: what `update-ca-certificates` makes with its default answers.
fn bundle(root: &Root) -> Result<(), BaseError> {
    let mut bundle = Vec::new();
    for name in root.list(CERTIFICATES).map_err(io(root, "list", CERTIFICATES))? {
        let path = format!("{CERTIFICATES}/{}", name.to_string_lossy());
        bundle.extend(root.read(&path, MAX_SMALL_FILE).map_err(io(root, "read", &path))?);
        if !bundle.ends_with(b"\n") {
            bundle.push(b'\n');
        }
    }
    if bundle.is_empty() {
        let cause = format!("the package ca-certificates has nothing in `/{CERTIFICATES}`");
        return Err(BaseError::Malformed { what: "the base image".into(), cause });
    }
    root.write(BUNDLE, &bundle, 0o644).map_err(io(root, "write", BUNDLE))
}

fn directory(root: &Root, path: &str, mode: u32, owner: u32) -> Result<(), BaseError> {
    let make = || -> std::io::Result<()> {
        root.open_dir(Path::new(path))?;
        let dir = root.open_at(Path::new(path), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        stockade_durable::owned(rustix::fs::fchown(&dir, Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner))))?;
        Ok(rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode))?)
    };
    make().map_err(BaseError::io("make", &root.path.join(path)))
}

/// One control stanza a package, and the hashes of those of its files that are here.
fn write_status(root: &Root, packages: &[Unpacked]) -> Result<(), BaseError> {
    for package in packages {
        let bad = |cause: String| BaseError::Malformed { what: "a package's control file".into(), cause };
        let stanza = Stanza::parse(&package.control).map_err(bad)?;
        let name = stanza.get("Package").ok_or_else(|| bad("it has no name".into()))?;
        let mut text = String::new();
        for (field, value) in stanza.fields() {
            text.push_str(&format!("{field}: {value}\n"));
            if field.eq_ignore_ascii_case("Package") {
                text.push_str("Status: install ok installed\n");
            }
        }
        let path = format!("var/lib/dpkg/status.d/{name}");
        root.write(&path, text.as_bytes(), 0o644).map_err(BaseError::io("write", &root.path.join(&path)))?;
        let sums = String::from_utf8_lossy(package.info("md5sums").unwrap_or_default()).into_owned();
        let here: String = sums.lines().filter(|line| is_here(root, line)).map(|line| format!("{line}\n")).collect();
        let path = format!("{path}.md5sums");
        root.write(&path, here.as_bytes(), 0o644).map_err(BaseError::io("write", &root.path.join(&path)))?;
    }
    Ok(())
}

/// Whether the file of a line of `md5sums` (hash, two spaces, path) is in the root.
fn is_here(root: &Root, line: &str) -> bool {
    let Some((_, path)) = line.split_once("  ") else { return false };
    root.open_at(Path::new(path), OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).is_ok()
}
