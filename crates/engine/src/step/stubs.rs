//! Mount points that the sandbox had to make: they are no part of what the step did, so they must not be in the layer.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::StepRequest;
use crate::layers;

/// Where the sandbox mounts something in every step.
const USUAL: &[&str] = &["/proc", "/dev", "/sys", "/etc/resolv.conf", "/etc/hosts"];

/// Paths that did not exist before the step, parents first.
#[derive(Debug)]
pub(super) struct Stubs {
    upper: PathBuf,
    missing: Vec<String>,
    /// Directories of lower layers that a mount point was put into, with their attributes: path, mode, owner, group.
    copied: Vec<(String, u32, u32, u32)>,
}

impl Stubs {
    /// Looks before the step.
    pub fn before(request: &StepRequest) -> Stubs {
        let mut all = vec![request.upper.clone()];
        all.extend(request.lower.iter().cloned());
        let mut missing = Vec::new();
        let mut copied: Vec<(String, u32, u32, u32)> = Vec::new();
        let targets = USUAL.iter().copied().chain(request.mounts.iter().map(|m| m.target.as_str()));
        for target in targets {
            for (end, _) in target.match_indices('/').skip(1).chain([(target.len(), "")]) {
                let part = target.get(..end).unwrap_or_default().to_owned();
                if part.is_empty() || missing.contains(&part) || copied.iter().any(|(p, ..)| *p == part) {
                    continue;
                }
                match layers::lookup(&all, &part) {
                    None => missing.push(part),
                    Some(meta) if meta.is_dir() && !at(&request.upper, &part).exists() => {
                        copied.push((part, meta.mode(), meta.uid(), meta.gid()));
                    }
                    Some(_) => {}
                }
            }
        }
        Stubs { upper: request.upper.clone(), missing, copied }
    }

    /// Takes away what is still as the sandbox made it: an empty file or an empty directory.
    pub fn remove(&self) {
        for path in self.missing.iter().rev() {
            let at = at(&self.upper, path);
            // The step may have put a link on the way: nothing outside the layer may be touched.
            if !parents_are_directories(&self.upper, path) {
                continue;
            }
            match fs::symlink_metadata(&at) {
                Ok(meta) if meta.is_dir() => {
                    let _ = fs::remove_dir(&at);
                }
                Ok(meta) if meta.is_file() && meta.len() == 0 => {
                    let _ = fs::remove_file(&at);
                }
                _ => {}
            }
        }
        for (path, mode, uid, gid) in self.copied.iter().rev() {
            let at = at(&self.upper, path);
            let untouched = fs::symlink_metadata(&at)
                .is_ok_and(|m| m.is_dir() && (m.mode(), m.uid(), m.gid()) == (*mode, *uid, *gid));
            if untouched && parents_are_directories(&self.upper, path) && !layers::is_opaque(&at) {
                // Empty, it says nothing that the layer below does not say.
                let _ = fs::remove_dir(&at);
            }
        }
    }
}

fn at(upper: &Path, path: &str) -> PathBuf {
    upper.join(path.trim_start_matches('/'))
}

fn parents_are_directories(upper: &Path, path: &str) -> bool {
    let mut at = upper.to_owned();
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let Some((_, parents)) = parts.split_last() else { return false };
    parents.iter().all(|part| {
        at.push(part);
        *part != ".." && fs::symlink_metadata(&at).is_ok_and(|m| m.is_dir())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_there_and_is_still_empty_goes() {
        let dir = tempfile::tempdir().unwrap();
        let (upper, lower) = (dir.path().join("upper"), dir.path().join("lower"));
        fs::create_dir_all(lower.join("proc")).unwrap();
        fs::create_dir_all(&upper).unwrap();
        let request = StepRequest { upper: upper.clone(), lower: vec![lower], ..StepRequest::default() };
        let stubs = Stubs::before(&request);
        assert_eq!(stubs.missing, ["/dev", "/sys", "/etc", "/etc/resolv.conf", "/etc/hosts"]);
        for made in ["dev", "sys", "etc", "proc"] {
            fs::create_dir(upper.join(made)).unwrap();
        }
        fs::write(upper.join("etc/resolv.conf"), b"").unwrap();
        fs::write(upper.join("etc/hosts"), b"the step's own").unwrap();
        // A step that changed the mode of a directory below did something; an equal empty copy says nothing.
        fs::set_permissions(upper.join("proc"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        stubs.remove();
        assert!(!upper.join("dev").exists() && !upper.join("etc/resolv.conf").exists());
        assert!(upper.join("etc/hosts").exists() && upper.join("proc").exists());
    }

    #[test]
    fn a_link_that_the_step_made_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (upper, outside) = (dir.path().join("upper"), dir.path().join("outside"));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&outside).unwrap();
        let stubs = Stubs::before(&StepRequest { upper: upper.clone(), ..StepRequest::default() });
        fs::write(outside.join("hosts"), b"").unwrap();
        std::os::unix::fs::symlink(&outside, upper.join("etc")).unwrap();
        stubs.remove();
        assert!(outside.join("hosts").exists());
    }
}
