//! Without root: the ids that a configuration names are those outside, where its author was; the sandbox works inside the
//! user namespace that this process has made itself root of.

use stockade_sandbox::IdRange;

use crate::spec::{IdMapping, Spec};
use crate::{OciError, Result};

/// How the ids of our user namespace are mapped to those of whoever called us (`inside` is ours).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outer {
    /// Users.
    pub uid: Vec<IdRange>,
    /// Groups.
    pub gid: Vec<IdRange>,
}

/// The configuration as the sandbox has to read it.
pub(crate) fn translate(spec: &mut Spec, outer: &Outer) -> Result<()> {
    let linux = spec.linux.get_or_insert_default();
    if !linux.namespaces.iter().any(|n| n.kind == "user") {
        let why = "needs one of type `user` without root; `stockade-oci spec --rootless` writes such a configuration";
        return Err(OciError::config("linux.namespaces", why));
    }
    linux.uid_mappings = inside(&linux.uid_mappings, &outer.uid, "linux.uidMappings")?;
    linux.gid_mappings = inside(&linux.gid_mappings, &outer.gid, "linux.gidMappings")?;
    Ok(())
}

fn inside(mappings: &[IdMapping], outer: &[IdRange], what: &str) -> Result<Vec<IdMapping>> {
    let mut result = Vec::new();
    for mapping in mappings {
        let (mut container_id, mut host_id, mut left) = (mapping.container_id, mapping.host_id, mapping.size);
        while left > 0 {
            let range =
                outer.iter().find(|r| host_id >= r.outside && host_id - r.outside < r.count).ok_or_else(|| {
                    let why =
                        format!("maps to id {host_id} of the host, which is not yours: yours are {}", shown(outer));
                    OciError::config(what, why)
                })?;
            let skipped = host_id - range.outside;
            let size = left.min(range.count - skipped);
            result.push(IdMapping { container_id, host_id: range.inside + skipped, size });
            left -= size;
            // Nothing follows a range that ends with the last id there is.
            (container_id, host_id) = (container_id.saturating_add(size), host_id.saturating_add(size));
        }
    }
    Ok(result)
}

fn shown(ranges: &[IdRange]) -> String {
    let one = |r: &IdRange| match r.count {
        1 => r.outside.to_string(),
        count => format!("{} to {}", r.outside, u64::from(r.outside) + u64::from(count) - 1),
    };
    let list: Vec<String> = ranges.iter().map(one).collect();
    format!("{} (see /etc/subuid and /etc/subgid)", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTER: [IdRange; 2] =
        [IdRange { inside: 0, outside: 1000, count: 1 }, IdRange { inside: 1, outside: 100_000, count: 65_536 }];

    fn map(container_id: u32, host_id: u32, size: u32) -> IdMapping {
        IdMapping { container_id, host_id, size }
    }

    #[test]
    fn ids_of_the_host_become_ours() {
        let asked = [map(0, 1000, 1), map(1, 100_010, 100)];
        assert_eq!(inside(&asked, &OUTER, "m").unwrap(), [map(0, 0, 1), map(1, 11, 100)]);
    }

    #[test]
    fn a_range_over_two_of_ours_becomes_two() {
        let neighbours = [IdRange { inside: 0, outside: 10, count: 5 }, IdRange { inside: 5, outside: 15, count: 5 }];
        assert_eq!(inside(&[map(0, 12, 6)], &neighbours, "m").unwrap(), [map(0, 2, 3), map(3, 5, 3)]);
    }

    #[test]
    fn ids_of_others_are_refused_by_number() {
        let refusal = inside(&[map(0, 0, 1)], &OUTER, "linux.uidMappings").unwrap_err().to_string();
        assert!(refusal.contains("id 0 of the host") && refusal.contains("1000, 100000 to 165535"), "{refusal}");
    }
}
