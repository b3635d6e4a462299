//! Which files belong to packages of the distribution.

use std::collections::HashSet;

use crate::facts::{FileFacts, Note};
use crate::pathhash::HashSet64;

/// Places that the distributions' own packages never use (Debian Policy 9.1.2; FHS 3.0, 3.13 and 4.9). What a
/// package puts there is a third party's, which no distribution advisory covers.
const FOREIGN: &[&str] = &["opt/", "usr/local/", "srv/", "home/"];

/// The set of owned paths, from package databases' file lists.
pub fn collect<'a>(facts: impl Iterator<Item = &'a FileFacts> + Clone) -> HashSet64 {
    let foreign: HashSet<&str> = facts
        .clone()
        .flat_map(|f| &f.notes)
        .filter_map(|note| if let Note::ThirdParty(names) = note { Some(names) } else { None })
        .flatten()
        .map(String::as_str)
        .collect();
    let is_foreign =
        |f: &FileFacts| f.notes.iter().any(|n| matches!(n, Note::FilesOf(name) if foreign.contains(name.as_str())));
    let lists: Vec<&[u64]> =
        facts.filter(|f| !f.owned.is_empty() && !is_foreign(f)).map(|f| f.owned.as_slice()).collect();
    let mut set = HashSet64::with_capacity_and_hasher(lists.iter().map(|l| l.len()).sum(), Default::default());
    for list in lists {
        set.extend(list);
    }
    set
}

/// `opt/rh` is Red Hat's own (software collections).
fn is_foreign(path: &str) -> bool {
    FOREIGN.iter().any(|dir| path.starts_with(dir)) && !path.starts_with("opt/rh/")
}

/// Whether a package found at `path` is the distribution's matter.
pub fn is_owned(set: &HashSet64, path: &str) -> bool {
    let path = path.split("!/").next().unwrap_or_default();
    !set.is_empty() && !is_foreign(path) && set.contains(&crate::pathhash::owner(path.as_bytes()))
}
