//! Translation between ids inside a container and on the host.

use std::fmt::Write;

use crate::{IdMap, IdRange};

fn to_host(ranges: &[IdRange], inside: u32) -> Option<u32> {
    ranges.iter().find_map(|r| {
        let offset = inside.checked_sub(r.inside)?;
        if offset < r.count { r.outside.checked_add(offset) } else { None }
    })
}

fn lines(ranges: &[IdRange]) -> String {
    ranges.iter().fold(String::new(), |mut text, r| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{} {} {}", r.inside, r.outside, r.count);
        text
    })
}

impl IdMap {
    /// One range for users and groups alike: `inside 0..count` is `outside..` on the host.
    pub fn contiguous(outside: u32, count: u32) -> Self {
        let range = vec![IdRange { inside: 0, outside, count }];
        Self { uid: range.clone(), gid: range }
    }

    /// The host's id of user `inside`; `None` when it is not mapped.
    pub fn host_uid(&self, inside: u32) -> Option<u32> {
        to_host(&self.uid, inside)
    }

    /// The host's id of group `inside`; `None` when it is not mapped.
    pub fn host_gid(&self, inside: u32) -> Option<u32> {
        to_host(&self.gid, inside)
    }

    /// Whether every id is the same on both sides: nothing needs to be translated in mounts then.
    pub fn is_identity(&self) -> bool {
        self.uid.iter().chain(&self.gid).all(|r| r.inside == r.outside)
    }

    /// Content of /proc/PID/uid_map and gid_map.
    pub(crate) fn files(&self) -> (String, String) {
        (lines(&self.uid), lines(&self.gid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_translate_within_their_range_only() {
        let map = IdMap {
            uid: vec![
                IdRange { inside: 0, outside: 100_000, count: 1000 },
                IdRange { inside: 65534, outside: 5, count: 1 },
            ],
            gid: vec![IdRange { inside: 0, outside: u32::MAX, count: 2 }],
        };
        assert_eq!(map.host_uid(0), Some(100_000));
        assert_eq!(map.host_uid(999), Some(100_999));
        assert_eq!(map.host_uid(1000), None);
        assert_eq!(map.host_uid(65534), Some(5));
        assert_eq!(map.host_gid(1), None, "no wrap-around");
        assert_eq!(map.files().0, "0 100000 1000\n65534 5 1\n");
    }
}
