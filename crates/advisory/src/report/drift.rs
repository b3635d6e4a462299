//! What a container changed of its image.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stockade_inventory::{Inventory, PackageKind};

/// What is different from the image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// Packages that came, went or have another version.
    pub packages: Vec<PackageDrift>,
    /// Files that came, changed or went, programs first.
    pub files: Vec<FileDrift>,
    /// Files beyond those listed.
    #[serde(default)]
    pub more_files: usize,
}

/// A package that is different.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PackageDrift {
    /// Name.
    pub name: String,
    /// The purl type.
    #[serde(rename = "type")]
    pub kind: PackageKind,
    /// The file that lists it.
    pub path: String,
    /// Version in the image; `None` if it came.
    pub from: Option<String>,
    /// Version now; `None` if it went.
    pub to: Option<String>,
}

/// How a file is different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileChange {
    /// The image has no such file.
    Added,
    /// It has other content or attributes.
    Changed,
    /// It is gone.
    Deleted,
}

/// A file that is different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDrift {
    /// Absolute path inside.
    pub path: String,
    /// How.
    pub change: FileChange,
    /// It may be run as a program.
    pub executable: bool,
}

impl Drift {
    /// Compares the packages of an image with those of a container of it.
    pub fn between(before: &Inventory, after: &Inventory) -> Drift {
        type Key<'a> = (PackageKind, &'a str, &'a str);
        fn versions(inventory: &Inventory) -> BTreeMap<Key<'_>, Vec<&str>> {
            let mut all: BTreeMap<Key<'_>, Vec<&str>> = BTreeMap::new();
            for p in &inventory.packages {
                all.entry((p.kind, &p.name, &p.path)).or_default().push(&p.version);
            }
            all
        }
        let (old, new) = (versions(before), versions(after));
        let mut packages = Vec::new();
        let keys: std::collections::BTreeSet<&Key<'_>> = old.keys().chain(new.keys()).collect();
        for key in keys {
            let mut gone = old.get(key).cloned().unwrap_or_default();
            let mut come = Vec::new();
            for version in new.get(key).into_iter().flatten() {
                match gone.iter().position(|g| g == version) {
                    Some(same) => drop(gone.remove(same)),
                    None => come.push(*version),
                }
            }
            for index in 0..gone.len().max(come.len()) {
                packages.push(PackageDrift {
                    name: key.1.to_owned(),
                    kind: key.0,
                    path: key.2.to_owned(),
                    from: gone.get(index).map(|v| (*v).to_owned()),
                    to: come.get(index).map(|v| (*v).to_owned()),
                });
            }
        }
        packages.sort();
        Drift { packages, files: Vec::new(), more_files: 0 }
    }

    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.files.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockade_inventory::Package;

    fn inventory(packages: &[(&str, &str)]) -> Inventory {
        let packages = packages
            .iter()
            .map(|(name, version)| Package { path: "db".into(), ..Package::new(PackageKind::Deb, *name, *version) })
            .collect();
        Inventory { packages, ..Inventory::default() }
    }

    #[test]
    fn packages_that_came_went_and_changed() {
        let before = inventory(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("d", "2")]);
        let after = inventory(&[("b", "2"), ("c", "1"), ("d", "2"), ("e", "1")]);
        let drift = Drift::between(&before, &after);
        let seen: Vec<_> =
            drift.packages.iter().map(|p| (p.name.as_str(), p.from.as_deref(), p.to.as_deref())).collect();
        assert_eq!(
            seen,
            [("a", Some("1"), None), ("b", Some("1"), Some("2")), ("d", Some("1"), None), ("e", None, Some("1"))]
        );
        assert!(Drift::between(&after, &after).is_empty());
    }
}
