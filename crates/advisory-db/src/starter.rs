//! The starter set: a directory with `sources.json` and the files it lists, each checked by its SHA-256.

use crate::error::DbError;
use crate::import::{kev, osv};
use crate::model::{Source, parse_day};
use crate::writer::{SourceId, Writer};
use crate::zip::Archive;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::path::Path;

/// File of a starter directory that lists the others.
pub const LIST: &str = "sources.json";

/// One file of the set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// File name within the directory.
    pub file: String,
    /// What is in it.
    pub format: Format,
    /// Short name of the source.
    pub name: String,
    /// The project's address.
    pub url: String,
    /// SPDX expression or short words.
    pub licence: String,
    /// The line of attribution.
    pub attribution: String,
    /// Day of the snapshot.
    pub as_of: String,
    /// Day until which the records reach, where earlier.
    #[serde(default)]
    pub covers_until: String,
    /// Vulnerabilities without a fix are among the records.
    pub knows_unfixed: bool,
    /// Digest of the file, in hex.
    pub sha256: String,
}

/// Format of a listed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A ZIP archive of OSV records.
    OsvZip,
    /// CISA's catalogue.
    Kev,
}

impl Listed {
    /// The source that this file is.
    pub fn source(&self) -> Source {
        Source {
            name: self.name.clone(),
            url: self.url.clone(),
            licence: self.licence.clone(),
            attribution: self.attribution.clone(),
            as_of: self.as_of.clone(),
            covers_until: self.covers_until.clone(),
            sha256: self.sha256.clone(),
            knows_unfixed: self.knows_unfixed,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, DbError> {
    std::fs::read(path).map_err(|source| DbError::Io { what: "read", path: path.display().to_string(), source })
}

/// The list of a starter directory.
pub fn list(directory: &Path) -> Result<Vec<Listed>, DbError> {
    let path = directory.join(LIST);
    serde_json::from_slice(&read(&path)?).map_err(|e| DbError::input(path.display().to_string(), e))
}

/// Builds a database from a starter directory. The same files give the same bytes: the time of building is the day of
/// the newest snapshot.
pub fn build(directory: &Path) -> Result<Vec<u8>, DbError> {
    let listed = list(directory)?;
    let mut writer = Writer::new();
    let mut newest = 0;
    for entry in &listed {
        let bytes = read(&directory.join(&entry.file))?;
        let found: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        if found != entry.sha256 {
            return Err(DbError::Digest { input: entry.file.clone(), expected: entry.sha256.clone(), found });
        }
        newest = newest.max(parse_day(&entry.as_of).unwrap_or(0));
        let source = writer.source(&entry.source())?;
        match entry.format {
            Format::Kev => writer.exploited(kev::parse(&entry.file, &bytes)?.1),
            Format::OsvZip => {
                add_osv_zip(&mut writer, source, &entry.file, &bytes)?;
            }
        }
    }
    writer.finish(i64::from(newest) * 86_400)
}

/// Adds every record of a ZIP archive of OSV files, in the order of their names; withdrawn ones are left out.
/// Output: how many were added.
pub fn add_osv_zip(writer: &mut Writer, source: SourceId, name: &str, bytes: &[u8]) -> Result<usize, DbError> {
    let archive = Archive::open(name, bytes)?;
    let mut entries: Vec<_> = archive.entries.iter().filter(|e| e.name.ends_with(".json")).collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let mut added = 0;
    for entry in entries {
        let json = archive.read(entry)?;
        if let osv::Parsed::Record { record, .. } = osv::parse(&entry.name, &json)? {
            writer.add(source, &record)?;
            added += 1;
        }
    }
    Ok(added)
}
