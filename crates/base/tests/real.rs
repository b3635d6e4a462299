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
