//! What is different between two images: files and configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::config::ContainerConfig;
use crate::error::{ImageError, Result};
use crate::files::{FileKind, Files, ImageFile};
use crate::store::{Image, Store, to_json};

/// Bytes that are compared at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// How something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// Only the second image has it.
    Added,
    /// Only the first image has it.
    Removed,
    /// Both have it, and it differs.
    Changed,
}

impl ChangeKind {
    /// `A`, `D` or `C`, as `docker diff` writes.
    pub fn letter(self) -> char {
        match self {
            ChangeKind::Added => 'A',
            ChangeKind::Removed => 'D',
            ChangeKind::Changed => 'C',
        }
    }
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// How.
    pub change: ChangeKind,
    /// Absolute path; bytes that are no UTF-8 are shown as U+FFFD.
    pub path: String,
    /// Which properties: `kind`, `content`, `mode`, `owner`, `target`. Empty unless changed.
    pub what: Vec<&'static str>,
    /// Bytes of a regular file in the first image.
    pub before: u64,
    /// Bytes of a regular file in the second image.
    pub after: u64,
}

/// A part of the configuration that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfigChange {
    /// Its name: `Cmd`, `Env.PATH`, `Labels.version`, `Architecture`.
    pub key: String,
    /// In the first image, `null` where it has none.
    pub before: Value,
    /// In the second image.
    pub after: Value,
}

impl Store {
    /// Files that differ between two images, by path. Times do not count.
    ///
    /// Errors: those of [`Store::files`].
    pub fn file_changes(&self, before: &Image, after: &Image) -> Result<Vec<FileChange>> {
        let (a, b) = (self.files(before)?, self.files(after)?);
        let mut changes = Vec::new();
        let paths: BTreeSet<&PathBuf> = a.keys().chain(b.keys()).collect();
        for path in paths {
            if let Some(change) = file_change(path, &a, &b)? {
                changes.push(change);
            }
        }
        Ok(changes)
    }
}

fn file_change(path: &Path, a: &Files, b: &Files) -> Result<Option<FileChange>> {
    let (old, new) = (a.get(path), b.get(path));
    let (change, what) = match (old, new) {
        (Some(old), Some(new)) => (ChangeKind::Changed, properties(old, new)?),
        (None, Some(_)) => (ChangeKind::Added, Vec::new()),
        _ => (ChangeKind::Removed, Vec::new()),
    };
    if change == ChangeKind::Changed && what.is_empty() {
        return Ok(None);
    }
    let size = |file: Option<&ImageFile>| file.map_or(0, |f| f.size);
    let path = format!("/{}", path.display());
    Ok(Some(FileChange { change, path, what, before: size(old), after: size(new) }))
}

fn properties(old: &ImageFile, new: &ImageFile) -> Result<Vec<&'static str>> {
    let mut what = Vec::new();
    if old.source == new.source {
        return Ok(what);
    }
    if old.kind != new.kind {
        what.push("kind");
    } else if old.kind == FileKind::File && (old.size != new.size || !same_content(&old.source, &new.source)?) {
        what.push("content");
    }
    if old.mode != new.mode {
        what.push("mode");
    }
    if (old.uid, old.gid) != (new.uid, new.gid) {
        what.push("owner");
    }
    if old.target != new.target && old.kind == new.kind {
        what.push("target");
    }
    Ok(what)
}

fn same_content(a: &Path, b: &Path) -> Result<bool> {
    let open = |path| File::open(path).map_err(ImageError::on("open", path));
    let (left, right) = (open(a)?, open(b)?);
    let mut chunks = (Vec::with_capacity(CHUNK_BYTES), Vec::with_capacity(CHUNK_BYTES));
    loop {
        chunks.0.clear();
        chunks.1.clear();
        (&left).take(CHUNK_BYTES as u64).read_to_end(&mut chunks.0).map_err(ImageError::on("read", a))?;
        (&right).take(CHUNK_BYTES as u64).read_to_end(&mut chunks.1).map_err(ImageError::on("read", b))?;
        if chunks.0 != chunks.1 {
            return Ok(false);
        }
        if chunks.0.is_empty() {
            return Ok(true);
        }
    }
}

/// Parts of the configuration that differ between two images, by name.
///
/// Errors: a configuration that cannot be written as JSON, which does not happen.
pub fn config_changes(before: &Image, after: &Image) -> Result<Vec<ConfigChange>> {
    let (a, b) = (parts(before)?, parts(after)?);
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let at = |parts: &BTreeMap<String, Value>, key: &String| parts.get(key).cloned().unwrap_or(Value::Null);
    let changes = keys.into_iter().filter(|key| a.get(*key) != b.get(*key));
    Ok(changes.map(|key| ConfigChange { key: key.clone(), before: at(&a, key), after: at(&b, key) }).collect())
}

fn parts(image: &Image) -> Result<BTreeMap<String, Value>> {
    let mut parts = BTreeMap::new();
    let config: ContainerConfig = image.config.config.clone();
    parts.insert("Architecture".to_owned(), Value::String(image.config.architecture.clone()));
    parts.insert("Os".to_owned(), Value::String(image.config.os.clone()));
    for variable in &config.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        parts.insert(format!("Env.{name}"), Value::String(value.to_owned()));
    }
    let bytes = to_json(&config, "image configuration")?;
    let all: BTreeMap<String, Value> =
        serde_json::from_slice(&bytes).map_err(|e| ImageError::malformed("image configuration", e))?;
    for (key, value) in all {
        match value {
            Value::Object(map) if matches!(key.as_str(), "Labels" | "ExposedPorts" | "Volumes") => {
                parts.extend(map.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)));
            }
            _ if key == "Env" => {}
            value => drop(parts.insert(key, value)),
        }
    }
    Ok(parts)
}
