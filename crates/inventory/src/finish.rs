//! From the visible files' facts to the inventory: what only all files together can tell.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::analyzers::go_linked::GoProgram;
use crate::facts::{FileFacts, Note};
use crate::image_checks::Weakness;
use crate::model::{Inventory, OsInfo, Package, PackageKind, Unknown};
use crate::options::Options;
use crate::os;
use crate::owners;
use crate::ownership::Ownership;
use crate::purl;
use crate::secrets::Secret;

/// Reports kept; a hostile image could have a million damaged files.
const MAX_UNKNOWN: usize = 10_000;

/// Puts the facts together. `whole_system` says that a root file system was read, so that a missing operating system
/// is worth a word.
pub fn finish(
    mut facts: Vec<(Option<usize>, FileFacts)>,
    mut unknown: Vec<Unknown>,
    options: &Options,
    whole_system: bool,
) -> Inventory {
    let os = os::detect(&facts);
    let owned = owners::collect(facts.iter().map(|(_, f)| f));
    if whole_system {
        check_system(os.as_ref(), &facts, &mut unknown);
    }
    crate::locks::apply(&mut facts, options, whole_system);
    let licenses = take_licenses(&mut facts);
    let go_linked = take_go_programs(&mut facts);
    let ownership = Ownership::take(facts.iter_mut().map(|(_, file)| file));
    let mut packages = Vec::with_capacity(facts.iter().map(|(_, f)| f.packages.len()).sum());
    let (mut secrets, mut weaknesses) = (Vec::new(), Vec::new());
    for (layer, file) in facts {
        if options.secrets && !file.secrets.is_empty() && !owners::is_owned(&owned, &file.path) {
            secrets.extend(file.secrets.into_iter().map(|s| Secret { layer, ..s }));
        }
        if options.checks {
            weaknesses.extend(file.weaknesses.into_iter().map(|w| Weakness { layer, ..w }));
        }
        let file_owned = !file.packages.is_empty() && owners::is_owned(&owned, &file.path);
        // Damage in a file of the distribution's is told all the same: it may be the damage of ours.
        unknown.extend(file.unknown);
        for mut package in file.packages {
            package.owned_by_os = file_owned && !package.kind.is_os();
            if package.owned_by_os && !options.keep_owned {
                continue;
            }
            if package.path.is_empty() {
                package.path.clone_from(&file.path);
            }
            if package.found_by.is_empty() {
                package.found_by.clone_from(&file.found_by);
            }
            package.layer = layer;
            packages.push(package);
        }
    }
    add_licenses(&mut packages, &licenses);
    sort(&mut packages);
    for package in &mut packages {
        if package.purl.is_empty() {
            package.purl = purl::build(package, os.as_ref());
        }
    }
    secrets.sort();
    weaknesses.sort();
    Inventory {
        os,
        packages,
        unknown: limit(unknown),
        layers: Vec::new(),
        go_linked,
        ownership,
        entry_files: None,
        secrets,
        weaknesses,
    }
}

/// Sorts and joins entries that say the same.
pub fn sort(packages: &mut Vec<Package>) {
    packages.sort_by(|a, b| {
        (a.kind, &a.name, &a.version, &a.path, &a.arch, a.evidence, &a.found_by).cmp(&(
            b.kind,
            &b.name,
            &b.version,
            &b.path,
            &b.arch,
            b.evidence,
            &b.found_by,
        ))
    });
    packages.dedup_by(|later, kept| {
        let same = later.kind == kept.kind
            && later.name == kept.name
            && later.version == kept.version
            && later.path == kept.path
            && later.arch == kept.arch;
        if same {
            kept.dev &= later.dev;
            if kept.licenses.is_empty() {
                std::mem::swap(&mut kept.licenses, &mut later.licenses);
            }
        }
        same
    });
}

fn limit(mut unknown: Vec<Unknown>) -> Vec<Unknown> {
    unknown.sort();
    unknown.dedup();
    if unknown.len() > MAX_UNKNOWN {
        let more = unknown.len() - MAX_UNKNOWN;
        unknown.truncate(MAX_UNKNOWN);
        unknown.push(Unknown::new("limit", "", format!("{more} more reports of this kind were left out")));
    }
    unknown
}

fn take_go_programs(facts: &mut [(Option<usize>, FileFacts)]) -> BTreeMap<String, GoProgram> {
    let mut map = BTreeMap::new();
    for (_, file) in facts {
        for note in &mut file.notes {
            if let Note::GoProgram(program) = note {
                map.insert(file.path.clone(), std::mem::take(program));
            }
        }
    }
    map
}

fn take_licenses(facts: &mut [(Option<usize>, FileFacts)]) -> HashMap<String, Vec<String>> {
    let mut map = HashMap::new();
    for (_, file) in facts {
        for note in &mut file.notes {
            if let Note::Licenses(package, names) = note {
                map.insert(std::mem::take(package), std::mem::take(names));
            }
        }
    }
    map
}

/// A binary package without a licence file of its own has, by Debian's rules, a link to the one of another package from
/// the same source.
fn add_licenses(packages: &mut [Package], licenses: &HashMap<String, Vec<String>>) {
    if licenses.is_empty() {
        return;
    }
    let mut by_source: HashMap<&str, &Vec<String>> = HashMap::new();
    for package in packages.iter().filter(|p| p.kind == PackageKind::Deb) {
        if let (Some(source), Some(names)) = (&package.source, licenses.get(&package.name)) {
            by_source.entry(&source.name).or_insert(names);
        }
    }
    let found: Vec<Option<Vec<String>>> = packages
        .iter()
        .map(|p| {
            let own = licenses.get(&p.name).filter(|_| p.kind == PackageKind::Deb);
            let sibling = || {
                p.source
                    .as_ref()
                    .filter(|_| p.kind == PackageKind::Deb)
                    .and_then(|s| by_source.get(s.name.as_str()).copied())
            };
            own.or_else(sibling).filter(|_| p.licenses.is_empty()).cloned()
        })
        .collect();
    for (package, names) in packages.iter_mut().zip(found) {
        if let Some(names) = names {
            package.licenses = names;
        }
    }
}

/// Never a silent zero: says when the operating system or its package list is missing though there are traces of it.
fn check_system(os: Option<&OsInfo>, facts: &[(Option<usize>, FileFacts)], unknown: &mut Vec<Unknown>) {
    if os.is_none() {
        let why = "no os-release or other release file was found, so packages of an operating system cannot be matched";
        unknown.push(Unknown::new("os", "", why));
    }
    let mut read: HashSet<PackageKind> = HashSet::new();
    let mut listed: HashSet<PackageKind> = HashSet::new();
    let mut known: HashSet<&str> = HashSet::new();
    let mut file_lists: Vec<(&str, &str)> = Vec::new();
    for (_, file) in facts {
        for note in &file.notes {
            match note {
                Note::DatabaseRead(kind) => {
                    read.insert(*kind);
                }
                Note::Residual(names) => known.extend(names.iter().map(String::as_str)),
                Note::FilesOf(name) => file_lists.push((name, &file.path)),
                _ => {}
            }
        }
        for package in file.packages.iter().filter(|p| p.kind.is_os()) {
            listed.insert(package.kind);
            if package.kind == PackageKind::Deb {
                known.insert(&package.name);
            }
        }
    }
    if let Some((kind, path)) = os.and_then(os::package_manager) {
        let name = os.map_or("", |os| os.pretty.as_str());
        if !read.contains(&kind) {
            let why = format!(
                "this is {name}, but its package database could not be found or read: its packages are unknown"
            );
            unknown.push(Unknown::new("package-list", path, why));
        } else if !listed.contains(&kind) {
            let why = format!("this is {name}, but its package database lists no installed package");
            unknown.push(Unknown::new("package-list", path, why));
        }
    }
    orphans(&file_lists, &known, unknown);
}

/// File lists of packages that the database does not know: entries were deleted.
fn orphans(file_lists: &[(&str, &str)], known: &HashSet<&str>, unknown: &mut Vec<Unknown>) {
    const NAMED: usize = 20;
    let orphans: Vec<_> = file_lists.iter().filter(|(name, _)| !known.contains(name)).collect();
    for (name, path) in orphans.iter().take(NAMED) {
        let why = format!("files of `{name}` are listed as installed, but the package database has no entry for it");
        unknown.push(Unknown::new("package-list", path, why));
    }
    if orphans.len() > NAMED {
        let why =
            format!("{} more packages have file lists but no entry in the package database", orphans.len() - NAMED);
        unknown.push(Unknown::new("package-list", "var/lib/dpkg/info", why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::read_any;

    fn all(files: &[(&str, &str)]) -> Inventory {
        let facts = files.iter().flat_map(|(path, text)| read_any(path, text.as_bytes())).map(|f| (None, f)).collect();
        finish(facts, Vec::new(), &Options::default(), true)
    }

    const RELEASE: (&str, &str) = ("etc/os-release", "ID=debian\nVERSION_ID=12\n");

    #[test]
    fn a_deleted_database_is_not_silence() {
        let inventory = all(&[RELEASE, ("var/lib/dpkg/info/bash.list", "/bin/bash\n")]);
        assert!(inventory.packages.is_empty());
        let what: Vec<_> = inventory.unknown.iter().map(|u| (u.what.as_str(), u.path.as_str())).collect();
        assert_eq!(what, [("package-list", "var/lib/dpkg/info/bash.list"), ("package-list", "var/lib/dpkg/status")]);
    }

    #[test]
    fn an_entry_cut_out_of_the_database_is_noticed() {
        let status = "Package: bash\nStatus: install ok installed\nVersion: 5\n\nPackage: old\nStatus: deinstall ok config-files\nVersion: 1\n";
        let inventory = all(&[
            RELEASE,
            ("var/lib/dpkg/status", status),
            ("var/lib/dpkg/info/bash.list", "/bin/bash\n"),
            ("var/lib/dpkg/info/old.list", "/etc/old\n"),
            ("var/lib/dpkg/info/openssl.list", "/usr/bin/openssl\n"),
        ]);
        assert_eq!(inventory.packages.len(), 1);
        assert_eq!(inventory.unknown.len(), 1);
        assert!(inventory.unknown[0].why.contains("openssl"));
    }

    #[test]
    fn no_system_is_said() {
        let inventory = all(&[("app/x", "")]);
        assert_eq!(inventory.unknown[0].what, "os");
    }

    #[test]
    fn licences_come_from_a_sibling_too() {
        let status = "Package: gcc-12-base\nSource: gcc-12\nStatus: install ok installed\nVersion: 5\n\nPackage: libgcc-s1\nSource: gcc-12\nStatus: install ok installed\nVersion: 5\n";
        let inventory = all(&[
            RELEASE,
            ("var/lib/dpkg/status", status),
            ("usr/share/doc/gcc-12-base/copyright", "see /usr/share/common-licenses/GPL-3\n"),
        ]);
        assert!(inventory.packages.iter().all(|p| p.licenses == ["GPL-3"]));
        assert_eq!(inventory.packages[1].purl, "pkg:deb/debian/libgcc-s1@5?distro=debian-12&upstream=gcc-12");
    }
}
