//! Mount points that a step's sandbox needed are no part of the image.
//!
//! A mount needs something to cover, so the sandbox creates empty files and directories where the image has none; and
//! to create them in a directory of a lower layer, overlayfs copies that directory up. Both are taken away again.

use std::fs;
use std::path::Path;

use crate::error::BuildError;
use crate::merged::{Parts, Tree, is_opaque, join, split};

/// What the sandbox mounts over in every step.
const ALWAYS: [&str; 9] = [
    "/proc",
    "/sys",
    "/dev",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/hostname",
    "/run/secrets",
    "/dev/pts",
    "/dev/shm",
];

/// Removes stubs for [`ALWAYS`] and for `targets` from `upper`. `lower` is the tree before the step.
pub(crate) fn remove(upper: &Path, lower: &Tree, targets: &[String]) -> Result<(), BuildError> {
    for target in ALWAYS.iter().copied().chain(targets.iter().map(String::as_str)) {
        // As the sandbox does: symlinks of the image are followed to the place that was mounted over.
        let parts = lower.resolve(target.as_bytes(), true)?;
        if parts.node.is_none() {
            remove_stub(upper, &parts.parts)?;
        }
        tidy_parents(upper, lower, &parts.parts)?;
    }
    Ok(())
}

fn remove_stub(upper: &Path, parts: &Parts) -> Result<(), BuildError> {
    let real = upper.join(join(parts));
    if !walkable(upper, parts) {
        return Ok(());
    }
    let Ok(metadata) = fs::symlink_metadata(&real) else { return Ok(()) };
    if metadata.is_dir() {
        // A directory that the step wrote into stays: removing fails, and that is right.
        let _ = fs::remove_dir(&real);
    } else if metadata.is_file() && metadata.len() == 0 {
        fs::remove_file(&real).map_err(BuildError::io("remove", &real))?;
    }
    Ok(())
}

/// Whether every parent is a real directory of `upper`.
fn walkable(upper: &Path, parts: &Parts) -> bool {
    (1..parts.len()).all(|n| {
        let dir = upper.join(join(parts.get(..n).unwrap_or_default()));
        fs::symlink_metadata(dir).is_ok_and(|m| m.is_dir())
    })
}

/// Removes parents that are now empty and either did not exist or were only copied up.
fn tidy_parents(upper: &Path, lower: &Tree, parts: &Parts) -> Result<(), BuildError> {
    for n in (1..parts.len()).rev() {
        let parent: Parts = parts.get(..n).unwrap_or_default().to_vec();
        let real = upper.join(join(&parent));
        if !walkable(upper, &parent) {
            return Ok(());
        }
        let Ok(now) = rustix::fs::lstat(&real) else { continue };
        if !fs::symlink_metadata(&real).is_ok_and(|m| m.is_dir()) || is_opaque(&real) {
            return Ok(());
        }
        let before = lower.resolve(&parent.join(&b'/'), false)?.node;
        let unchanged = match before {
            None => true,
            Some(node) => {
                (node.stat.st_mode, node.stat.st_uid, node.stat.st_gid) == (now.st_mode, now.st_uid, now.st_gid)
            }
        };
        if !unchanged || fs::remove_dir(&real).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The place of a mount target, for messages.
pub(crate) fn is_root(target: &str) -> bool {
    split(target.as_bytes()).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_go_and_what_the_step_wrote_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (low, up) = (dir.path().join("low"), dir.path().join("up"));
        for d in [
            low.join("etc"),
            low.join("run"),
            up.join("etc"),
            up.join("proc"),
            up.join("run/secrets"),
            up.join("cache"),
        ] {
            fs::create_dir_all(d).unwrap();
        }
        fs::write(up.join("etc/resolv.conf"), "").unwrap();
        fs::write(up.join("run/secrets/token"), "").unwrap();
        fs::write(up.join("cache/kept"), "x").unwrap();
        let lower = Tree::overlay(vec![low]);
        remove(&up, &lower, &["/run/secrets/token".into(), "/cache".into(), "/no/such".into()]).unwrap();
        remove(&up, &lower, &[]).unwrap();
        let left: Vec<_> = fs::read_dir(&up).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["cache"], "copied-up and new empty directories are gone");
        assert!(up.join("cache/kept").exists());
    }

    #[test]
    fn a_directory_whose_mode_changed_stays() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (low, up) = (dir.path().join("low"), dir.path().join("up"));
        for d in [low.join("etc"), up.join("etc")] {
            fs::create_dir_all(d).unwrap();
        }
        fs::set_permissions(up.join("etc"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(up.join("etc/hosts"), "").unwrap();
        remove(&up, &Tree::overlay(vec![low]), &[]).unwrap();
        assert!(up.join("etc").exists() && !up.join("etc/hosts").exists());
    }
}
