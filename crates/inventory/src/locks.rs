//! What a lock file is worth beside installed packages.
//!
//! In a source tree a lock file is the answer. In a system it is only a hint: when what it locks is installed, the
//! installed packages are the truth (a lock also has packages for other platforms and for development); when nothing
//! of it is, the packages may sit in a bundle, and the lock is the only trace of them.

use std::collections::HashSet;

use crate::facts::FileFacts;
use crate::model::{Evidence, PackageKind};
use crate::options::{Locks, Options};

/// Directories of other people's packages, whose own lock files say nothing about this system.
const FOREIGN: &[&str] =
    &["node_modules/", "site-packages/", "dist-packages/", ".cargo/registry/", "go/pkg/mod/", "/gems/", "usr/share/"];

/// Takes packages of lock files away that do not count.
pub fn apply(facts: &mut [(Option<usize>, FileFacts)], options: &Options, whole_system: bool) {
    let is_lock = |file: &FileFacts| {
        file.packages.first().is_some_and(|p| matches!(p.evidence, Evidence::Lock | Evidence::Manifest))
    };
    for (_, file) in facts.iter_mut().filter(|(_, f)| is_lock(f)) {
        if options.locks == Locks::None || FOREIGN.iter().any(|dir| file.path.contains(dir)) {
            file.packages.clear();
            file.unknown.clear();
        }
    }
    if options.locks == Locks::All || !whole_system || !facts.iter().any(|(_, f)| is_lock(f)) {
        return;
    }
    let mut installed: HashSet<(PackageKind, String)> = HashSet::new();
    for package in facts.iter().flat_map(|(_, f)| &f.packages) {
        if matches!(package.evidence, Evidence::Metadata | Evidence::BuildInfo) {
            installed.insert((package.kind, package.name.clone()));
        }
    }
    for (_, file) in facts.iter_mut().filter(|(_, f)| is_lock(f)) {
        file.packages.retain(|p| !p.dev);
        let present = file.packages.iter().filter(|p| installed.contains(&(p.kind, p.name.clone()))).count();
        if present * 2 >= file.packages.len() {
            file.packages.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Package;

    fn file(path: &str, evidence: Evidence, names: &[&str]) -> (Option<usize>, FileFacts) {
        let make = |name: &&str| Package { evidence, ..Package::new(PackageKind::Npm, *name, "1") };
        (None, FileFacts { path: path.into(), packages: names.iter().map(make).collect(), ..FileFacts::default() })
    }

    fn kept(options: &Options, system: bool, extra: &[&str]) -> usize {
        let mut facts = vec![
            file("app/package-lock.json", Evidence::Lock, &["a", "b", "c"]),
            file("app/node_modules/a/package-lock.json", Evidence::Lock, &["z"]),
            file("x", Evidence::Metadata, extra),
        ];
        apply(&mut facts, options, system);
        assert!(facts[1].1.packages.is_empty());
        facts[0].1.packages.len()
    }

    #[test]
    fn installed_packages_are_the_truth() {
        let auto = Options::default();
        assert_eq!(kept(&auto, true, &["a", "b"]), 0);
        assert_eq!(kept(&auto, true, &["a"]), 3);
        assert_eq!(kept(&auto, false, &["a", "b"]), 3);
        assert_eq!(kept(&Options { locks: Locks::All, ..Options::default() }, true, &["a", "b"]), 3);
        assert_eq!(kept(&Options { locks: Locks::None, ..Options::default() }, true, &[]), 0);
    }
}
