//! A real Debian from the mirror that this machine is set to. Needs root and a mirror that answers.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "common/mod.rs"]
mod common;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::UnshareRunner;
use stockade_base::{BaseError, BaseName, BaseRequest, BaseResult, ConfigureRunner, Silent, bootstrap};

/// Makes `name` below `dir`; `None` (and a word why) where no mirror answers.
fn make(name: &str, dir: &Path, target: &str) -> Option<(PathBuf, BaseResult)> {
    let staging = dir.join(target);
    std::fs::create_dir(&staging).unwrap();
    let request = BaseRequest::new(BaseName::parse(name).unwrap().unwrap(), dir.join("cache"), staging.clone());
    match bootstrap(&request, &mut UnshareRunner, &mut Silent) {
        Ok(result) => Some((staging, result)),
        Err(e @ (BaseError::Unreachable { .. } | BaseError::Stale { .. })) => {
            eprintln!("skipped: {e}");
            None
        }
        Err(e) => panic!("{e}"),
    }
}

fn inside(root: &Path, script: &str) -> i32 {
    let args: Vec<String> = ["/bin/sh", "-euxc", script].map(str::to_owned).to_vec();
    let env = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned(), "LC_ALL=C".to_owned()];
    UnshareRunner.run(root, &args, &env).unwrap()
}

#[test]
fn bookworm_slim_is_a_whole_debian_and_the_same_twice() {
    if !common::is_root() {
        return;
    }
    let dir = common::scratch().unwrap();
    let Some((first, result)) = make("debian:bookworm-slim", dir.path(), "first") else { return };
    assert!((60..140).contains(&result.packages), "{}", result.packages);
    assert_eq!(result.labels["org.stockade.base.codename"], "bookworm");
    assert!(result.labels["org.stockade.base.signed-by"].len() >= 40);
    let checks = "test -z \"$(dpkg --audit)\"; test -z \"$(dpkg -l | sed 1,5d | grep -v '^ii ')\"; apt-get check; \
                  apt-get --version; dpkg -S /usr/bin/dpkg; test \"$(id -un)\" = root; grep -q '^_apt:' /etc/passwd; \
                  test -L /bin; test -e /etc/localtime; awk 'BEGIN { exit 0 }'; perl -e 1; ldconfig -p | grep -q libc.so.6";
    assert_eq!(inside(&first, checks), 0);
    // Conffiles have the hash that dpkg expects: nothing asks questions on upgrade.
    assert_eq!(inside(&first, "dpkg --verify | grep -v /usr/share/ | grep . && exit 1 || exit 0"), 0);

    let Some((again, _)) = make("debian:12-slim", dir.path(), "second") else { return };
    // The checks above have left traces in the first (none that matter); so compare what a third gives.
    let Some((third, _)) = make("debian:bookworm-slim", dir.path(), "third") else { return };
    assert_eq!(listing(&again), listing(&third));
}

/// Every path with type, mode, owner, time, and content or target.
fn listing(root: &Path) -> Vec<String> {
    let mut out = Vec::new();
    let mut stack = vec![root.to_owned()];
    while let Some(dir) = stack.pop() {
        for entry in std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().path()) {
            let meta = std::fs::symlink_metadata(&entry).unwrap();
            let content = if meta.is_symlink() {
                std::fs::read_link(&entry).unwrap().display().to_string()
            } else if meta.is_file() {
                use sha2::{Digest, Sha256};
                format!("{:?}", Sha256::digest(std::fs::read(&entry).unwrap()))
            } else {
                String::new()
            };
            let shown = entry.strip_prefix(root).unwrap().display().to_string();
            out.push(format!("{shown} {:o} {}:{} {} {content}", meta.mode(), meta.uid(), meta.gid(), meta.mtime()));
            if meta.is_dir() {
                stack.push(entry);
            }
        }
    }
    out.sort();
    out
}

#[test]
fn minimal_images_have_what_programs_need_and_no_shell() {
    if !common::is_root() {
        return;
    }
    let dir = common::scratch().unwrap();
    let Some((plain, result)) = make("stockade/static:bookworm", dir.path(), "static") else { return };
    assert_eq!((result.user.as_str(), result.packages), ("65532", 5));
    assert_eq!(result.labels["org.stockade.base.name"], "stockade/static:bookworm");
    let bundle = std::fs::read_to_string(plain.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(bundle.matches("BEGIN CERTIFICATE").count() > 100);
    assert!(plain.join("usr/share/zoneinfo/Europe/Berlin").exists());
    for absent in ["bin/sh", "usr/bin/dpkg", "usr/sbin/update-ca-certificates", "usr/lib/x86_64-linux-gnu/libc.so.6"] {
        assert!(!plain.join(absent).exists(), "{absent}");
    }
    let home = std::fs::metadata(plain.join("home/nonroot")).unwrap();
    assert_eq!((home.uid(), home.mode() & 0o7777), (65532, 0o700));
    let status = std::fs::read_to_string(plain.join("var/lib/dpkg/status.d/tzdata")).unwrap();
    assert!(status.starts_with("Package: tzdata\nStatus: install ok installed\n"), "{status}");
    let sums = std::fs::read_to_string(plain.join("var/lib/dpkg/status.d/tzdata.md5sums")).unwrap();
    assert!(sums.lines().count() > 300 && !sums.contains("usr/share/doc/tzdata/README"), "{sums}");

    let (Some((base, made)), Some((again, _))) =
        (make("stockade/base:12", dir.path(), "base"), make("stockade/base:bookworm", dir.path(), "again"))
    else {
        return;
    };
    assert_eq!(listing(&base), listing(&again));
    assert!(made.packages > 7 && made.packages < 20, "{}", made.packages);
    assert!(base.join("usr/lib/x86_64-linux-gnu/libssl.so.3").exists() || std::env::consts::ARCH != "x86_64");
    assert!(!base.join("bin/sh").exists());

    let Some((debug, _)) = make("stockade/debug:bookworm", dir.path(), "debug") else { return };
    assert_eq!(
        inside(
            &debug,
            "ls / >/dev/null; test \"$(id -u)\" = 0; grep -q nonroot /etc/passwd; wget --help 2>&1 | grep -q -i usage"
        ),
        0
    );
}
