//! Container names: made up, checked, and reserved by one symbolic link each.
//!
//! `symlink(2)` fails when the name exists, and its target is the container's id: reserving and recording are one
//! atomic step, without a lock and without a file to write.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

use stockade_durable::Lock;

use crate::error::{EngineError, io_error};
use crate::{id, paths};

/// Reserves `name` for the container `id`.
///
/// # Errors
/// [`EngineError::NameInUse`] with the holder.
pub(crate) fn reserve(root: &Path, name: &str, id: &str) -> Result<(), EngineError> {
    check(name)?;
    let link = paths::names(root).join(name);
    match symlink(id, &link) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(io_error("reserve the name", &link)(e)),
    }
    // Only here a lock is needed: two processes must not both take over the name of a container that is gone.
    let _lock = Lock::exclusive(&root.join("names.lock"))?;
    let holder = lookup(root, name);
    if let Some(holder) = &holder
        && paths::containers(root).join(holder).exists()
    {
        return Err(EngineError::NameInUse { name: name.to_owned(), holder: id::short(holder).to_owned() });
    }
    let _ = fs::remove_file(&link);
    symlink(id, &link).map_err(io_error("reserve the name", &link))
}

/// Reserves a made-up name and returns it.
pub(crate) fn reserve_random(root: &Path, id: &str) -> Result<String, EngineError> {
    for attempt in 0..64u32 {
        let mut name = random()?;
        if attempt >= 6 {
            name.push_str(&attempt.to_string());
        }
        match reserve(root, &name, id) {
            Ok(()) => return Ok(name),
            Err(EngineError::NameInUse { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    // So many containers that every made-up name is taken: the id is a name that nobody else has.
    let name = id::short(id).to_owned();
    reserve(root, &name, id)?;
    Ok(name)
}

/// Gives up `name` if `id` holds it. Idempotent.
pub(crate) fn release(root: &Path, name: &str, id: &str) {
    if lookup(root, name).as_deref() == Some(id) {
        let _ = fs::remove_file(paths::names(root).join(name));
    }
}

/// The id that holds `name`.
pub(crate) fn lookup(root: &Path, name: &str) -> Option<String> {
    if check(name).is_err() {
        return None;
    }
    let target = fs::read_link(paths::names(root).join(name)).ok()?;
    target.to_str().map(str::to_owned)
}

/// A letter or digit, then letters, digits, `_`, `.` and `-`.
pub(crate) fn check(name: &str) -> Result<(), EngineError> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    // Docker wants two characters at least, for no reason that matters here; 200 keeps the file system content.
    if first && rest && name.len() <= 200 { Ok(()) } else { Err(EngineError::BadName { name: name.to_owned() }) }
}

fn random() -> Result<String, EngineError> {
    let mut bytes = [0u8; 4];
    getrandom::fill(&mut bytes)
        .map_err(|e| EngineError::System { what: "read random bytes for a name", source: std::io::Error::other(e) })?;
    let [a, b, c, d] = bytes;
    let pick = |list: &[&'static str], n: u16| list.get(usize::from(n) % list.len().max(1)).copied().unwrap_or("plain");
    Ok(format!("{}_{}", pick(ADJECTIVES, u16::from_le_bytes([a, b])), pick(NOUNS, u16::from_le_bytes([c, d]))))
}

const ADJECTIVES: &[&str] = &[
    "able", "amber", "ample", "apt", "balmy", "blue", "bold", "brave", "brief", "bright", "brisk", "broad", "calm",
    "candid", "clear", "clever", "crisp", "curious", "daring", "deep", "deft", "eager", "early", "earnest", "easy",
    "even", "exact", "fair", "fast", "firm", "fond", "frank", "free", "fresh", "gentle", "glad", "golden", "grand",
    "green", "hardy", "honest", "humble", "jolly", "keen", "kind", "late", "light", "lively", "loyal", "lucid",
    "mellow", "merry", "mild", "modest", "neat", "nimble", "noble", "patient", "plain", "plucky", "polite", "proud",
    "quick", "quiet", "rapid", "ready", "robust", "round", "royal", "sage", "secure", "serene", "sharp", "silent",
    "silver", "simple", "sleek", "smooth", "snug", "sober", "solid", "spry", "stable", "steady", "stout", "sturdy",
    "sunny", "swift", "tidy", "tough", "trim", "true", "vivid", "warm", "wary", "wise", "witty", "young", "zesty",
];

const NOUNS: &[&str] = &[
    "alcove", "anchor", "anvil", "arch", "badger", "barrel", "bastion", "beacon", "beam", "bear", "beech", "birch",
    "bison", "bolt", "bridge", "brook", "buttress", "cabin", "castle", "cedar", "chest", "citadel", "cliff", "cobble",
    "comet", "coral", "cove", "crane", "creek", "crest", "donjon", "eagle", "elk", "elm", "falcon", "fence", "fern",
    "finch", "fjord", "fort", "forge", "gable", "garden", "gate", "glade", "granite", "grove", "hamlet", "harbor",
    "hare", "hawk", "hazel", "hedge", "heron", "hinge", "keep", "kestrel", "lantern", "larch", "ledge", "lintel",
    "lock", "lynx", "maple", "marten", "meadow", "mesa", "mill", "moat", "mortar", "oak", "orchard", "osprey", "otter",
    "owl", "palisade", "pier", "pillar", "pine", "plank", "portal", "quarry", "rampart", "raven", "reef", "ridge",
    "river", "robin", "rowan", "shelter", "shield", "sparrow", "spruce", "stag", "stile", "stone", "tower", "turret",
    "vault", "wall", "ward", "willow", "wren", "yew",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(paths::names(dir.path())).unwrap();
        fs::create_dir(paths::containers(dir.path())).unwrap();
        dir
    }

    #[test]
    fn a_name_belongs_to_one_container_until_released() {
        let root = root();
        fs::create_dir(paths::containers(root.path()).join("aaaa")).unwrap();
        reserve(root.path(), "web", "aaaa").unwrap();
        let error = reserve(root.path(), "web", "bbbb").unwrap_err();
        assert!(matches!(error, EngineError::NameInUse { .. }), "{error}");
        release(root.path(), "web", "bbbb");
        assert_eq!(lookup(root.path(), "web").as_deref(), Some("aaaa"));
        release(root.path(), "web", "aaaa");
        reserve(root.path(), "web", "bbbb").unwrap();
    }

    #[test]
    fn the_name_of_a_container_that_is_gone_can_be_taken() {
        let root = root();
        reserve(root.path(), "web", "gone").unwrap();
        reserve(root.path(), "web", "here").unwrap();
        assert_eq!(lookup(root.path(), "web").as_deref(), Some("here"));
    }

    #[test]
    fn names_that_would_leave_the_directory_are_refused() {
        for bad in ["", "../x", "a/b", "-a", ".hidden", "a b", "ä1"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        for good in ["web", "a", "a1", "A_b.c-d", "0x"] {
            assert!(check(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn made_up_names_are_valid() {
        for _ in 0..100 {
            check(&random().unwrap()).unwrap();
        }
    }
}
