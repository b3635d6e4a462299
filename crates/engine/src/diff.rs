//! `diff`: what a container changed in its image's files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{EngineError, io_error};
use crate::{Engine, layers};

/// How a path changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// Its content or attributes are others.
    Changed,
    /// It is gone.
    Deleted,
}

impl ChangeKind {
    /// Docker's letter.
    pub fn letter(self) -> char {
        match self {
            ChangeKind::Added => 'A',
            ChangeKind::Changed => 'C',
            ChangeKind::Deleted => 'D',
        }
    }
}

/// A path that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How.
    pub kind: ChangeKind,
    /// Absolute path inside.
    pub path: String,
}

/// Mount points that the sandbox makes in every container: they are nobody's change.
const OURS: &[&str] = &["/dev", "/proc", "/sys", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts"];

/// Where a container's files lie on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    /// The container's id.
    pub id: String,
    /// The image's id.
    pub image: String,
    /// The image's unpacked layers, lowest first.
    pub lower: Vec<PathBuf>,
    /// What the container changed, as overlayfs writes it.
    pub upper: PathBuf,
}

impl Engine {
    /// Where a container's files lie: for readers; whoever writes there destroys the container.
    pub fn layers(&self, name: &str) -> Result<Layers, EngineError> {
        let record = self.find(name)?;
        let upper = self.container(&record.spec.id).upper();
        let lower = record.spec.lower.iter().rev().cloned().collect();
        Ok(Layers { id: record.spec.id, image: record.spec.image, lower, upper })
    }

    /// Paths that a container added, changed or deleted, sorted.
    pub fn diff(&self, name: &str) -> Result<Vec<Change>, EngineError> {
        let record = self.find(name)?;
        let upper = self.container(&record.spec.id).upper();
        let mut changes = changes(&upper, &record.spec.lower)?;
        let mounts: Vec<&str> = record.spec.host.mounts.iter().map(|m| m.target.as_str()).collect();
        changes.retain(|c| {
            let ours = OURS.contains(&c.path.as_str()) || mounts.contains(&c.path.as_str());
            !(ours && c.kind == ChangeKind::Added)
        });
        // A directory that was touched only because one of those was put into it.
        let touched: Vec<String> = changes.iter().map(|c| c.path.clone()).collect();
        changes.retain(|c| {
            let below = format!("{}/", c.path);
            c.path != "/etc" || c.kind != ChangeKind::Changed || touched.iter().any(|p| p.starts_with(&below))
        });
        Ok(changes)
    }
}

fn changes(upper: &Path, lower: &[PathBuf]) -> Result<Vec<Change>, EngineError> {
    let mut out = Vec::new();
    let mut todo = vec![(upper.to_owned(), String::new())];
    while let Some((dir, at)) = todo.pop() {
        let entries = fs::read_dir(&dir).map_err(io_error("list", &dir))?;
        for entry in entries {
            let entry = entry.map_err(io_error("list", &dir))?;
            let path = format!("{at}/{}", entry.file_name().to_string_lossy());
            let meta = entry.metadata().map_err(io_error("look at", &entry.path()))?;
            let before = layers::lookup(lower, &path);
            let kind = match (layers::is_whiteout(&meta), before.is_some()) {
                (true, true) => ChangeKind::Deleted,
                (true, false) => continue,
                (false, true) => ChangeKind::Changed,
                (false, false) => ChangeKind::Added,
            };
            if meta.is_dir() {
                todo.push((entry.path(), path.clone()));
            }
            out.push(Change { kind, path });
        }
    }
    out.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn additions_and_changes_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let (upper, lower) = (dir.path().join("u"), dir.path().join("l"));
        fs::create_dir_all(upper.join("etc")).unwrap();
        fs::create_dir_all(lower.join("etc")).unwrap();
        fs::write(lower.join("etc/a"), b"1").unwrap();
        fs::write(upper.join("etc/a"), b"2").unwrap();
        fs::write(upper.join("new"), b"").unwrap();
        let seen: Vec<String> =
            changes(&upper, &[lower]).unwrap().iter().map(|c| format!("{} {}", c.kind.letter(), c.path)).collect();
        assert_eq!(seen, ["C /etc", "C /etc/a", "A /new"]);
    }
}
