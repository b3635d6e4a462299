//! User id ranges: 65 536 ids of the host for each container, so that no two containers share a user.
//!
//! A range is reserved by a symbolic link named after its number, whose target says who holds it.
//! On disk files have container ids (layers and upper directories are mounted idmapped), so a range that is given
//! back leaves nothing behind.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

use stockade_sandbox::{IdMap, IdRange, rootless};

use crate::error::{EngineError, io_error};
use crate::paths;

/// Ids in a range: what a whole distribution may use, 0 to 65535.
pub(crate) const RANGE_LENGTH: u32 = 65_536;
/// First id we use. Above what `useradd` gives out in /etc/subuid for the first users (100000 and up, 65536 each).
const FIRST_ID: u32 = 0x0010_0000;
/// First id we do not use: systemd-nspawn and most subuid pools end here, and ids with the top bit set upset old tools.
const LAST_ID: u32 = 0x7000_0000;
/// In place of a first id: every id that a user who is not root has.
pub(crate) const SHARED: u32 = 0;
/// How many ranges there are.
const RANGES: u32 = (LAST_ID - FIRST_ID) / RANGE_LENGTH;

/// Reserves a range for `holder` (a container id, or `build-PID-…`) and returns its first host id.
///
/// Without root there is one range, which all containers share: only root can mount layers with ids translated.
pub(crate) fn reserve(root: &Path, holder: &str) -> Result<u32, EngineError> {
    if rootless::active().is_some() {
        return Ok(SHARED);
    }
    let dir = paths::id_ranges(root);
    let taken = taken(&dir);
    let foreign = foreign_ranges();
    for number in 0..RANGES {
        let first = FIRST_ID + number * RANGE_LENGTH;
        if taken.contains(&number) || foreign.iter().any(|&(start, count)| overlaps(first, start, count)) {
            continue;
        }
        match symlink(holder, dir.join(number.to_string())) {
            Ok(()) => return Ok(first),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(io_error("reserve a user id range in", &dir)(e)),
        }
    }
    Err(EngineError::NoIdRange)
}

/// Gives a range back if `holder` has it. Idempotent.
pub(crate) fn release(root: &Path, first: u32, holder: &str) {
    let Some(number) = first.checked_sub(FIRST_ID).map(|n| n / RANGE_LENGTH) else { return };
    let link = paths::id_ranges(root).join(number.to_string());
    if fs::read_link(&link).is_ok_and(|target| target.as_os_str() == holder) {
        let _ = fs::remove_file(link);
    }
}

/// Every reserved range with its holder.
pub(crate) fn all(root: &Path) -> Vec<(u32, String)> {
    let dir = paths::id_ranges(root);
    let number = |n: u32| fs::read_link(dir.join(n.to_string())).ok()?.to_str().map(str::to_owned);
    taken(&dir).into_iter().filter_map(|n| Some((FIRST_ID + n * RANGE_LENGTH, number(n)?))).collect()
}

/// The mapping of a range: container 0..65535 to the host's `first`...
pub(crate) fn id_map(first: u32) -> IdMap {
    if let (SHARED, Some(rootless)) = (first, rootless::active()) {
        return rootless.id_map.clone();
    }
    let range = IdRange { inside: 0, outside: first, count: RANGE_LENGTH };
    IdMap { uid: vec![range], gid: vec![range] }
}

fn taken(dir: &Path) -> BTreeSet<u32> {
    let Ok(entries) = fs::read_dir(dir) else { return BTreeSet::new() };
    entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).filter(|n| *n < RANGES).collect()
}

fn overlaps(first: u32, start: u64, count: u64) -> bool {
    let first = u64::from(first);
    first < start.saturating_add(count) && start < first + u64::from(RANGE_LENGTH)
}

/// Ranges that the host has promised to users (subuid(5)).
fn foreign_ranges() -> Vec<(u64, u64)> {
    ["/etc/subuid", "/etc/subgid"].iter().filter_map(|p| fs::read_to_string(p).ok()).flat_map(|t| subids(&t)).collect()
}

fn subids(text: &str) -> Vec<(u64, u64)> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':').skip(1);
            Some((fields.next()?.trim().parse().ok()?, fields.next()?.trim().parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(paths::id_ranges(dir.path())).unwrap();
        dir
    }

    #[test]
    fn ranges_do_not_overlap_and_come_back() {
        let root = root();
        let a = reserve(root.path(), "a").unwrap();
        let b = reserve(root.path(), "b").unwrap();
        assert!(a >= FIRST_ID && a.abs_diff(b) >= RANGE_LENGTH);
        assert_eq!(all(root.path()), vec![(a, "a".to_owned()), (b, "b".to_owned())]);
        release(root.path(), a, "somebody else");
        assert_eq!(all(root.path()).len(), 2);
        release(root.path(), a, "a");
        assert_eq!(reserve(root.path(), "c").unwrap(), a);
    }

    #[test]
    fn subuid_lines_are_read_and_garbage_is_skipped() {
        assert_eq!(
            subids("me:100000:65536\nbad\nx:y:z\n1000:200000:65536\n"),
            vec![(100_000, 65_536), (200_000, 65_536)]
        );
    }

    #[test]
    fn overlap_is_by_any_shared_id() {
        assert!(overlaps(FIRST_ID, u64::from(FIRST_ID) + 65_535, 1));
        assert!(!overlaps(FIRST_ID, u64::from(FIRST_ID) + 65_536, 1));
        assert!(overlaps(FIRST_ID, 0, u64::MAX));
        assert!(!overlaps(FIRST_ID, 100_000, 65_536));
    }
}
