//! What a base image holds beyond its packages, and what must not stay in it.

use std::path::Path;

use crate::error::BaseError;
use crate::excludes;
use crate::mirror::Mirror;
use crate::name::Distro;
use crate::root::Root;
use crate::suites::Suite;

/// Links into `/usr` that a system of this suite and architecture has. All suites that we know are merged; the newest
/// ship these links in `base-files`, where they come to the same.
fn usr_links(suite: &Suite, arch: &str) -> Vec<&'static str> {
    let mut links = vec!["bin", "sbin", "lib"];
    if matches!(arch, "amd64" | "ppc64el") {
        links.push("lib64");
    }
    if suite.extra_usr_links && arch == "amd64" {
        links.extend(["lib32", "libx32"]);
    }
    links
}

/// Before unpacking: the links into `/usr`, and the directories behind them.
pub fn prepare(root: &Root, suite: &Suite, arch: &str) -> Result<(), BaseError> {
    for name in usr_links(suite, arch) {
        let make = || -> std::io::Result<()> {
            let target = format!("usr/{name}");
            root.open_dir(Path::new(&target))?;
            let place = root.place(Path::new(name))?;
            Ok(rustix::fs::symlinkat(&target, &place.dir, place.name)?)
        };
        make().map_err(BaseError::io("make the link", &root.path.join(name)))?;
    }
    Ok(())
}

/// After unpacking, before configuring: nothing may start services, and where there is no name there is no shell prompt
/// that asks for one.
pub fn before_configure(root: &Root, slim: bool) -> Result<(), BaseError> {
    let mut files: Vec<(&str, String, u32)> = vec![
        (
            "usr/sbin/policy-rc.d",
            "#!/bin/sh\n# In a container there is no init system: packages must not start their services when installed.\n\
             exit 101\n"
                .into(),
            0o755,
        ),
        ("etc/hostname", String::new(), 0o644),
        ("etc/resolv.conf", String::new(), 0o644),
        ("etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".into(), 0o644),
        ("etc/machine-id", String::new(), 0o644),
        (
            "etc/dpkg/dpkg.cfg.d/stockade",
            "# A build step either ends well and is committed as a whole, or is thrown away: no fsync per file.\n\
             force-unsafe-io\n"
                .into(),
            0o644,
        ),
        ("etc/apt/apt.conf.d/90stockade", APT_CONF.into(), 0o644),
    ];
    if slim {
        files.push(("etc/dpkg/dpkg.cfg.d/stockade-slim", excludes::dpkg_rules(), 0o644));
    }
    for (path, text, mode) in files {
        root.write(path, text.as_bytes(), mode).map_err(BaseError::io("write", &root.path.join(path)))?;
    }
    Ok(())
}

const APT_CONF: &str = "\
// Layers of an image are kept for long: no package stays in the cache once it is installed, nor does the package
// cache; until then it saves `apt-get install` the time that `apt-get update` before it took to make it.
APT::Keep-Downloaded-Packages \"false\";
DPkg::Post-Invoke { \"rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true\"; };
Dir::Cache::srcpkgcache \"\";
// The lists are kept small, without translations of package descriptions.
Acquire::GzipIndexes \"true\";
Acquire::Languages \"none\";
// A package that is only suggested is not a reason to keep another one.
APT::AutoRemove::SuggestsImportant \"false\";
";

/// What the image's own apt reads: the archives that it was made from.
pub fn sources(suite: &Suite, mirror: &Mirror, expired: bool) -> (String, String) {
    let (keyring, components) = match suite.distro {
        Distro::Debian => ("/usr/share/keyrings/debian-archive-keyring.gpg", "main"),
        Distro::Ubuntu => ("/usr/share/keyrings/ubuntu-archive-keyring.gpg", "main restricted universe multiverse"),
    };
    // Only when the archive's own date had passed, and its user had said that this is all right.
    let validity = if expired { "Check-Valid-Until: no\n" } else { "" };
    let stanza = |uri: &str, suites: &str| {
        let uri = crate::fetch::redact(uri);
        format!("Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: {components}\n{validity}Signed-By: {keyring}\n")
    };
    let code = suite.codename;
    let main = if suite.updates { format!("{code} {code}-updates") } else { code.to_owned() };
    let text = match suite.security {
        Some(security) if mirror.security == mirror.archive => stanza(&mirror.archive, &format!("{main} {security}")),
        Some(security) => format!("{}\n{}", stanza(&mirror.archive, &main), stanza(&mirror.security, security)),
        None => stanza(&mirror.archive, &main),
    };
    (format!("etc/apt/sources.list.d/{}.sources", suite.distro.id()), text)
}

/// Left by the scripts: logs, backups, caches with random or changing content.
const LEFTOVERS: &[&str] = &[
    "etc/.pwd.lock",
    "etc/group-",
    "etc/gshadow-",
    "etc/passwd-",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "var/cache/ldconfig/aux-cache",
    "var/cache/debconf/config.dat-old",
    "var/cache/debconf/passwords.dat-old",
    "var/cache/debconf/templates.dat-old",
    "var/lib/dpkg/available-old",
    "var/lib/dpkg/diversions-old",
    "var/lib/dpkg/statoverride-old",
    "var/lib/dpkg/status-old",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/log/alternatives.log",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
    "var/log/faillog",
    "var/log/lastlog",
];

/// Directories whose content goes, and which stay.
const EMPTIED: &[&str] = &["dev", "proc", "run", "sys", "tmp", "var/tmp"];

/// Largest file that is rewritten here, in bytes.
const MAX_SMALL_FILE: u64 = 1 << 20;

/// After configuring: the same inputs must give the same root, and nothing of its making may stay in it.
pub fn finish(root: &Root, date: i64) -> Result<(), BaseError> {
    for path in LEFTOVERS {
        root.remove(path).map_err(BaseError::io("remove", &root.path.join(path)))?;
    }
    for dir in EMPTIED {
        let report = || BaseError::io("empty", &root.path);
        for name in root.list(dir).map_err(report())? {
            root.remove(&format!("{dir}/{}", name.to_string_lossy())).map_err(report())?;
        }
    }
    // /var/lock is a link to it, and no boot makes it in a container: apache2ctl and others need it.
    let lock = Path::new("run/lock");
    root.open_dir(lock)
        .and_then(|_| {
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
            root.open_at(lock, flags, rustix::fs::Mode::empty())
        })
        .and_then(|dir| Ok(rustix::fs::fchmod(dir, rustix::fs::Mode::from_raw_mode(0o1777))?))
        .map_err(BaseError::io("make", &root.path.join(lock)))?;
    fix_password_dates(root, "etc/shadow", date)?;
    root.clamp_times(date).map_err(BaseError::io("set the times in", &root.path))
}

/// The day of a password's last change is the day of the bootstrap, where shadow's tools did not take the given date.
fn fix_password_dates(root: &Root, path: &str, date: i64) -> Result<(), BaseError> {
    let report = || BaseError::io("rewrite", &root.path);
    let Ok(bytes) = root.read(path, MAX_SMALL_FILE) else { return Ok(()) };
    let text = String::from_utf8_lossy(&bytes);
    let day = (date / 86_400).to_string();
    let mut changed = String::new();
    for line in text.lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        if let Some(third) = fields.get_mut(2).filter(|f| !f.is_empty()) {
            *third = &day;
        }
        changed.push_str(&fields.join(":"));
        changed.push('\n');
    }
    if changed.as_bytes() == bytes.as_slice() {
        return Ok(());
    }
    // In place, to keep owner and mode.
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::TRUNC;
    let fd = root.open_at(Path::new(path), flags, rustix::fs::Mode::empty()).map_err(report())?;
    std::io::Write::write_all(&mut std::fs::File::from(fd), changed.as_bytes()).map_err(report())
}
