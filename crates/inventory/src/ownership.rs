//! Which package of the distribution a file belongs to.

use std::collections::BTreeSet;

use crate::facts::{FileFacts, Note};
use crate::pathhash::{self, HashSet64};

/// The files of each package, as hashes, from package databases' file lists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ownership(Vec<(String, Vec<u64>)>);

impl Ownership {
    /// Collects the lists; they are taken out of the facts.
    pub(crate) fn take<'a>(facts: impl Iterator<Item = &'a mut FileFacts>) -> Self {
        let mut lists = Vec::new();
        for file in facts {
            let owned = std::mem::take(&mut file.owned);
            for note in &mut file.notes {
                match note {
                    Note::FilesOf(name) => lists.push((name.clone(), owned.clone())),
                    Note::FilesOfEach(packages) => {
                        let mut rest = owned.as_slice();
                        for (name, files) in std::mem::take(packages) {
                            let (own, after) = rest.split_at_checked(files as usize).unwrap_or((rest, &[]));
                            lists.push((name, own.to_vec()));
                            rest = after;
                        }
                    }
                    _ => {}
                }
            }
        }
        Ownership(lists)
    }

    /// Names of all packages whose files are listed.
    pub fn listed(&self) -> BTreeSet<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Names of the packages that one of these files (relative to the root) belongs to.
    pub fn owners_of(&self, files: &[String]) -> BTreeSet<&str> {
        let wanted: HashSet64 = files.iter().map(|path| pathhash::owner(path.as_bytes())).collect();
        let holds = |list: &[u64]| list.iter().any(|hash| wanted.contains(hash));
        self.0.iter().filter(|(_, list)| holds(list)).map(|(name, _)| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::read_any;

    #[test]
    fn files_lead_to_their_packages() {
        let mut facts = read_any("var/lib/dpkg/info/bash.list", b"/.\n/bin\n/bin/bash\n");
        let apk = "P:musl\nV:1\nF:lib\nR:libc.so\n\nP:empty\nV:1\n\nP:zlib\nV:1\nF:usr/lib\nR:libz.so.1\n\n";
        facts.extend(read_any("lib/apk/db/installed", apk.as_bytes()));
        let ownership = Ownership::take(facts.iter_mut());
        let owners = |path: &str| ownership.owners_of(&[path.to_owned()]).into_iter().collect::<Vec<_>>();
        assert_eq!(owners("usr/bin/bash"), ["bash"], "bin and usr/bin are one");
        assert_eq!(owners("lib/libc.so"), ["musl"]);
        assert_eq!(owners("usr/lib/libz.so.1"), ["zlib"]);
        assert!(owners("opt/x").is_empty());
        assert_eq!(ownership.listed().into_iter().collect::<Vec<_>>(), ["bash", "empty", "musl", "zlib"]);
    }
}
