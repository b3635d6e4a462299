//! The database as the rest of the program sees it: opened from a file or built in, with its status.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;
use stockade_advisory_db::model::show_day;
use stockade_advisory_db::{DbError, Reader};

pub use stockade_advisory_db::import::{Batch, merge, sha256_hex};

/// The starter facts, made by the build script from `data/advisories`.
static STARTER: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/starter.db")));

#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

/// An opened advisory database. It is read where it lies; several processes share the same pages.
pub struct Database {
    bytes: Bytes,
    origin: Origin,
}

/// Where an opened database came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Built into the program.
    BuiltIn,
    /// A file.
    File(String),
}

enum Bytes {
    Static(&'static [u8]),
    Shared(Box<dyn Deref<Target = [u8]> + Send + Sync>),
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Database {
    /// The database that is built into the program.
    pub fn embedded() -> Self {
        Database { bytes: Bytes::Static(&STARTER.0), origin: Origin::BuiltIn }
    }

    /// Opens a database file by reading it.
    /// # Errors
    /// When it cannot be read, or is no database of this layout.
    pub fn open(path: &Path) -> Result<Self, DbError> {
        let shown = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| DbError::Io { what: "read", path: shown.clone(), source })?;
        Self::from_bytes(Box::new(bytes), shown)
    }

    /// Opens a database in memory, for example a mapped file. `shown` names it in messages.
    /// # Errors
    /// When the bytes are no database of this layout.
    pub fn from_bytes(bytes: Box<dyn Deref<Target = [u8]> + Send + Sync>, shown: String) -> Result<Self, DbError> {
        Reader::open(&bytes)?;
        Ok(Database { bytes: Bytes::Shared(bytes), origin: Origin::File(shown) })
    }

    /// The facts.
    /// # Errors
    /// When the header is damaged (checked at opening, but a mapped file can change).
    pub fn reader(&self) -> Result<Reader<'_>, DbError> {
        match &self.bytes {
            Bytes::Static(bytes) => Reader::open(bytes),
            Bytes::Shared(bytes) => Reader::open(bytes),
        }
    }

    /// Where it came from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What is in it, how old it is, and where it comes from.
    /// # Errors
    /// When the file is damaged.
    pub fn status(&self) -> Result<DatabaseStatus, DbError> {
        let reader = self.reader()?;
        let mut sources = reader.sources()?;
        for stored in &mut sources {
            // Facts about vulnerabilities are in sections of their own.
            match stored.source.name.as_str() {
                "CISA-KEV" => stored.records = reader.exploited_count(),
                "FIRST-EPSS" => stored.records = reader.epss_count(),
                _ => {}
            }
        }
        let mut ecosystems: BTreeMap<String, EcosystemStatus> = BTreeMap::new();
        for coverage in reader.coverage()? {
            let Some(stored) = sources.get(coverage.source as usize) else { continue };
            let until = reach(&stored.source.as_of, &stored.source.covers_until);
            let entry = ecosystems.entry(coverage.ecosystem.to_owned()).or_insert_with(|| EcosystemStatus {
                ecosystem: coverage.ecosystem.to_owned(),
                sources: Vec::new(),
                records: 0,
                until: String::new(),
                knows_unfixed: false,
            });
            entry.sources.push(stored.source.name.clone());
            entry.records += coverage.records;
            entry.knows_unfixed |= coverage.knows_unfixed;
            if until > entry.until.as_str() {
                entry.until = until.to_owned();
            }
        }
        Ok(DatabaseStatus {
            schema: "stockade.db/v1".to_owned(),
            origin: self.origin.clone(),
            digest: reader.digest(),
            bytes: reader.size(),
            built: show_day(u32::try_from(reader.built() / 86_400).unwrap_or(0)),
            sources: sources
                .into_iter()
                .map(|s| SourceStatus {
                    name: s.source.name,
                    records: s.records,
                    as_of: s.source.as_of,
                    covers_until: Some(s.source.covers_until).filter(|c| !c.is_empty()),
                    knows_unfixed: s.source.knows_unfixed,
                    licence: s.source.licence,
                    attribution: s.source.attribution,
                    url: s.source.url,
                    sha256: s.source.sha256,
                })
                .collect(),
            ecosystems: ecosystems.into_values().collect(),
            known_exploited: reader.exploited_count(),
            epss: reader.epss_count(),
        })
    }
}

/// The day until which a source's facts reach.
fn reach<'s>(as_of: &'s str, covers_until: &'s str) -> &'s str {
    if covers_until.is_empty() { as_of } else { covers_until }
}

/// What a database holds; the value that `stockade db status` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseStatus {
    /// `stockade.db/v1`
    pub schema: String,
    /// Where it came from.
    pub origin: Origin,
    /// Name of its content.
    pub digest: String,
    /// Size in bytes.
    pub bytes: usize,
    /// Day of the newest fact or of the last update.
    pub built: String,
    /// Sources.
    pub sources: Vec<SourceStatus>,
    /// What is covered, by ecosystem and release.
    pub ecosystems: Vec<EcosystemStatus>,
    /// Number of vulnerabilities known to be exploited.
    pub known_exploited: u32,
    /// Number of exploit prediction scores.
    pub epss: u32,
}

/// One source of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Short name.
    pub name: String,
    /// Number of its records.
    pub records: u32,
    /// Day of the snapshot.
    pub as_of: String,
    /// Day until which its records reach, where that is earlier.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub covers_until: Option<String>,
    /// Vulnerabilities without a fix are among the records.
    pub knows_unfixed: bool,
    /// SPDX expression or short words.
    pub licence: String,
    /// The line of attribution.
    pub attribution: String,
    /// The project's address.
    pub url: String,
    /// Digest of the input.
    pub sha256: String,
}

/// What is covered of an ecosystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EcosystemStatus {
    /// OSV's name with the release.
    pub ecosystem: String,
    /// Names of the sources.
    pub sources: Vec<String>,
    /// Records of all sources.
    pub records: u32,
    /// The day until which the newest source reaches.
    pub until: String,
    /// Vulnerabilities without a fix are known too.
    pub knows_unfixed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_database_is_whole_and_says_what_it_covers() {
        let database = Database::embedded();
        database.reader().unwrap().verify().unwrap();
        let status = database.status().unwrap();
        assert!(status.bytes <= 6 << 20, "{} bytes", status.bytes);
        let of = |name: &str| status.ecosystems.iter().find(|e| e.ecosystem == name).unwrap().clone();
        assert!(!of("Debian:12").knows_unfixed && !of("Debian:13").knows_unfixed);
        assert!(of("Go").knows_unfixed);
        assert_eq!(of("npm").until, "2019-12-31");
        assert!(status.known_exploited > 1000);
        assert!(status.sources.iter().all(|s| !s.licence.is_empty() && !s.attribution.is_empty()));
    }
}
