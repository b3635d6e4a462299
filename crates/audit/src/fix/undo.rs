//! The journal of fixes: written before anything is changed, enough to take everything back byte for byte.
//!
//! `<state>/undo/<n>/manifest.json` lists the changes in order; `<i>.old` holds the bytes of replaced files. A crash at any
//! moment leaves each file old or new, and `undo` brings either back.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::FixError;
use super::change::{Attributes, Change, read, remove};
use crate::host::Host;

/// What the manifest says of one change.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Entry {
    File { path: PathBuf, existed: bool, attributes: Option<Attributes>, made_directory: bool },
    Mode { path: PathBuf, from: u32, to: u32 },
    Owner { path: PathBuf, from: (u32, u32), to: (u32, u32) },
    Sysctl { key: String, from: String, to: String },
}

/// The manifest of one fix.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    schema: String,
    /// Root of the host that was fixed: `/`, or a host image's directory.
    root: PathBuf,
    changes: Vec<Entry>,
    /// Whether it was undone.
    #[serde(default)]
    undone: bool,
}

const SCHEMA: &str = "stockade.audit-undo/v1";

/// A journal on disk.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    /// Its number, for `undo`.
    pub number: u64,
}

impl Journal {
    /// Writes down what the changes would change. Nothing is changed yet.
    pub(crate) fn write(
        state: &Path,
        host: &Host,
        root: &Path,
        changes: &[Change],
    ) -> Result<(Journal, Vec<Option<Attributes>>), FixError> {
        let undo = state.join("undo");
        stockade_durable::create_private_dir(&undo)?;
        let journal = Journal::reserve(&undo)?;
        let mut entries = Vec::new();
        let mut kept = Vec::new();
        for (i, change) in changes.iter().enumerate() {
            let (entry, attributes) = journal.entry(host, i, change)?;
            entries.push(entry);
            kept.push(attributes);
        }
        journal.keep_new(changes)?;
        journal.save(&Manifest {
            schema: SCHEMA.to_owned(),
            root: root.to_owned(),
            changes: entries,
            undone: false,
        })?;
        Ok((journal, kept))
    }

    fn entry(&self, host: &Host, i: usize, change: &Change) -> Result<(Entry, Option<Attributes>), FixError> {
        Ok(match change {
            Change::File { path, old, .. } => {
                let now = read(host, path)?;
                if now.as_ref().map(|(b, _)| b) != old.as_ref() {
                    return Err(FixError::Changed { path: path.clone() });
                }
                if let Some((bytes, _)) = &now {
                    stockade_durable::write(&self.dir.join(format!("{i}.old")), bytes, 0o600)?;
                }
                let attributes = now.map(|(_, a)| a);
                let made_directory = path.parent().is_some_and(|p| matches!(host.stat(p), Ok(None)));
                (Entry::File { path: path.clone(), existed: old.is_some(), attributes, made_directory }, attributes)
            }
            Change::Mode { path, from, to } => (Entry::Mode { path: path.clone(), from: *from, to: *to }, None),
            Change::Owner { path, from, to } => (Entry::Owner { path: path.clone(), from: *from, to: *to }, None),
            Change::Sysctl { key, from, to } => {
                (Entry::Sysctl { key: key.clone(), from: from.clone(), to: to.clone() }, None)
            }
        })
    }

    /// Takes the next number: `mkdir` decides between two that fix at once.
    fn reserve(undo: &Path) -> Result<Journal, FixError> {
        let last = numbers(undo)?.last().copied().unwrap_or(0);
        for number in last + 1..last + 1000 {
            let dir = undo.join(number.to_string());
            match std::fs::create_dir(&dir) {
                Ok(()) => return Ok(Journal { dir, number }),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(FixError::Change { path: dir, source }),
            }
        }
        Err(FixError::NoJournal { dir: undo.to_owned() })
    }

    /// Keeps the new bytes too: only with them can an undo tell our change from somebody else's.
    fn keep_new(&self, changes: &[Change]) -> Result<(), FixError> {
        for (i, change) in changes.iter().enumerate() {
            if let Change::File { new, .. } = change {
                stockade_durable::write(&self.dir.join(format!("{i}.new")), new, 0o600)?;
            }
        }
        Ok(())
    }

    fn save(&self, manifest: &Manifest) -> Result<(), FixError> {
        let bytes = serde_json::to_vec_pretty(manifest).map_err(|source| self.damaged(source))?;
        stockade_durable::write(&self.dir.join("manifest.json"), &bytes, 0o600)?;
        Ok(())
    }

    fn damaged(&self, source: serde_json::Error) -> FixError {
        FixError::Damaged { path: self.dir.join("manifest.json"), source }
    }
}

/// Numbers of the journals, in order.
fn numbers(undo: &Path) -> Result<Vec<u64>, FixError> {
    let entries = match std::fs::read_dir(undo) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(FixError::Read { path: undo.to_owned(), source }),
    };
    let mut found: Vec<u64> = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    found.sort_unstable();
    Ok(found)
}

/// What an undo did.
#[derive(Debug)]
pub struct Undone {
    /// Number of the fix.
    pub number: u64,
    /// What was put back.
    pub restored: Vec<PathBuf>,
    /// What was as before already.
    pub unchanged: Vec<PathBuf>,
}

/// Takes the fix `number` back, the last one that was not yet with `None`. A file that somebody changed after the fix is
/// not overwritten unless `force`: then nothing at all is done.
pub fn undo(state: &Path, number: Option<u64>, force: bool) -> Result<Undone, FixError> {
    let undo = state.join("undo");
    let (journal, mut manifest) = find(&undo, number)?;
    let host = if manifest.root == Path::new("/") { Host::live() } else { Host::at(&manifest.root) };
    let host = host.map_err(|source| FixError::Read { path: manifest.root.clone(), source })?;
    // First look at everything, then change.
    let mut steps = Vec::new();
    for (i, entry) in manifest.changes.iter().enumerate().rev() {
        steps.push((entry, step(&host, &journal, i, entry, force)?));
    }
    let mut undone = Undone { number: journal.number, restored: Vec::new(), unchanged: Vec::new() };
    for (entry, step) in steps {
        let path = entry.path();
        match step {
            Step::Nothing => undone.unchanged.push(path),
            Step::Make(change, attributes) => {
                change.make(&host, attributes)?;
                undone.restored.push(path);
            }
            Step::Remove(with_directory) => {
                remove(&host, &path, with_directory)?;
                undone.restored.push(path);
            }
        }
    }
    manifest.undone = true;
    journal.save(&manifest)?;
    Ok(undone)
}

enum Step {
    Nothing,
    Make(Change, Option<Attributes>),
    Remove(bool),
}

impl Entry {
    fn path(&self) -> PathBuf {
        match self {
            Entry::File { path, .. } | Entry::Mode { path, .. } | Entry::Owner { path, .. } => path.clone(),
            Entry::Sysctl { key, .. } => PathBuf::from(crate::host::sysctl_path(key)),
        }
    }
}

fn step(host: &Host, journal: &Journal, i: usize, entry: &Entry, force: bool) -> Result<Step, FixError> {
    let changed = || FixError::ChangedSince { path: entry.path() };
    match entry {
        Entry::File { path, existed, attributes, made_directory } => {
            let now = read(host, path)?;
            let marker = journal.dir.join(format!("{i}.new"));
            let new = std::fs::read(&marker).ok();
            let old = if *existed {
                let kept = journal.dir.join(format!("{i}.old"));
                Some(std::fs::read(&kept).map_err(|source| FixError::Read { path: kept, source })?)
            } else {
                None
            };
            match (&now, &old) {
                (None, None) => return Ok(Step::Nothing),
                (Some((bytes, a)), Some(old)) if bytes == old && Some(*a) == *attributes => return Ok(Step::Nothing),
                _ => {}
            }
            let ours = now.as_ref().map(|(b, _)| b) == new.as_ref() || now.as_ref().map(|(b, _)| b) == old.as_ref();
            if !ours && !force {
                return Err(changed());
            }
            Ok(match old {
                Some(old) => Step::Make(Change::File { path: path.clone(), old: None, new: old }, *attributes),
                None => Step::Remove(*made_directory),
            })
        }
        Entry::Mode { path, from, to } => match host.stat(path) {
            Ok(Some(f)) if f.mode == *from => Ok(Step::Nothing),
            Ok(Some(f)) if f.mode == *to || force => {
                Ok(Step::Make(Change::Mode { path: path.clone(), from: *to, to: *from }, None))
            }
            _ => Err(changed()),
        },
        Entry::Owner { path, from, to } => match host.stat(path) {
            Ok(Some(f)) if (f.uid, f.gid) == *from => Ok(Step::Nothing),
            Ok(Some(f)) if (f.uid, f.gid) == *to || force => {
                Ok(Step::Make(Change::Owner { path: path.clone(), from: *to, to: *from }, None))
            }
            _ => Err(changed()),
        },
        Entry::Sysctl { key, from, to } => match host.sysctl(key) {
            Ok(Some(now)) if now == *from => Ok(Step::Nothing),
            Ok(Some(now)) if now == *to || force => {
                Ok(Step::Make(Change::Sysctl { key: key.clone(), from: to.clone(), to: from.clone() }, None))
            }
            _ => Err(changed()),
        },
    }
}

fn find(undo: &Path, number: Option<u64>) -> Result<(Journal, Manifest), FixError> {
    let none = || FixError::NothingToUndo { number };
    let candidates: Vec<u64> = match number {
        Some(n) => vec![n],
        None => numbers(undo)?.into_iter().rev().collect(),
    };
    for n in candidates {
        let journal = Journal { dir: undo.join(n.to_string()), number: n };
        // Without a manifest nothing was changed yet when it ended.
        let Ok(bytes) = std::fs::read(journal.dir.join("manifest.json")) else { continue };
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| journal.damaged(e))?;
        if number.is_some() || !manifest.undone {
            return Ok((journal, manifest));
        }
    }
    Err(none())
}
