//! Importers: one format a file. Each turns bytes into [`Record`]s, or facts about vulnerabilities, and judges nothing.
//!
//! [`Batch::read`] takes a file or a directory, looks into archives, and tells the format of each document by its
//! content. What it cannot read is an error with the document's name: half an update would look like a whole one.

mod arch;
mod csaf;
mod debian;
pub mod epss;
pub mod kev;
mod merge;
mod nvd;
pub mod osv;
pub mod oval;
mod secdb;
mod sniff;
mod updateinfo;
mod xml;

use crate::error::DbError;
use crate::model::{Affected, ExploitedFact, Record, Source, parse_day, show_day};
use crate::starter;
use crate::zip::{self, Archive};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

pub use merge::merge;
pub use sniff::Format;

/// Largest document after decompression. Debian's tracker as one file is about 70 MB, NVD's yearly files 150 MB.
const MAX_DOCUMENT_BYTES: u64 = 1 << 30;

/// Facts read from inputs, by source.
#[derive(Debug, Default)]
pub struct Batch {
    /// Sources by name.
    pub(crate) sources: BTreeMap<String, SourceBatch>,
    /// Ids of advisories that their publishers took back.
    pub(crate) withdrawn: BTreeSet<String>,
    pub(crate) exploited: Option<(Source, Vec<(String, ExploitedFact)>)>,
    pub(crate) epss: Option<(Source, Vec<epss::Score>)>,
    /// Documents read, for the summary.
    pub documents: usize,
}

/// What one source says.
#[derive(Debug, Default)]
pub(crate) struct SourceBatch {
    pub(crate) source: Source,
    pub(crate) records: BTreeMap<String, Record>,
}

impl Batch {
    /// Reads a file, or every file below a directory. A ZIP archive or gzip file is looked into.
    /// # Errors
    /// The first document that cannot be read, with its name and the reason.
    pub fn read(&mut self, path: &Path) -> Result<(), DbError> {
        let io = |what: &'static str| {
            let path = path.display().to_string();
            move |source| DbError::Io { what, path, source }
        };
        let meta = std::fs::metadata(path).map_err(io("read"))?;
        if meta.is_dir() {
            if path.join(starter::LIST).is_file() {
                return self.read_listed(path);
            }
            let mut entries: Vec<_> =
                std::fs::read_dir(path).map_err(io("list"))?.collect::<Result<Vec<_>, _>>().map_err(io("list"))?;
            entries.sort_by_key(std::fs::DirEntry::file_name);
            for entry in entries {
                let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
                let kind = entry.file_type().map_err(io("list"))?;
                if kind.is_dir() && !hidden || kind.is_file() && is_document(&entry.path()) {
                    self.read(&entry.path())?;
                }
            }
            return Ok(());
        }
        let bytes = std::fs::read(path).map_err(io("read"))?;
        let modified = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        let day = modified.map_or(String::new(), |d| show_day(u32::try_from(d.as_secs() / 86_400).unwrap_or(0)));
        self.read_bytes(&path.display().to_string(), bytes, &day)
    }

    /// Reads a directory whose files and sources are listed in `sources.json`, as `data/advisories` is.
    fn read_listed(&mut self, directory: &Path) -> Result<(), DbError> {
        for listed in starter::list(directory)? {
            let path = directory.join(&listed.file);
            let io = |source| DbError::Io { what: "read", path: path.display().to_string(), source };
            let bytes = std::fs::read(&path).map_err(io)?;
            let mut part = Batch::default();
            part.read_bytes(&listed.file, bytes, &listed.as_of)?;
            self.documents += part.documents;
            self.withdrawn.append(&mut part.withdrawn);
            if let Some((_, facts)) = part.exploited {
                self.exploited = Some((listed.source(), facts));
            }
            for record in part.sources.into_values().flat_map(|s| s.records.into_values()) {
                self.add(listed.source(), record);
            }
            if let Some(slot) = self.sources.get_mut(&listed.name) {
                slot.source.as_of.clone_from(&listed.as_of);
            }
        }
        Ok(())
    }

    /// Reads one document or archive. `day` (`YYYY-MM-DD`) is the day of the document where it does not say itself.
    /// # Errors
    /// As [`Batch::read`].
    pub fn read_bytes(&mut self, name: &str, bytes: Vec<u8>, day: &str) -> Result<(), DbError> {
        if zip::is_zip(&bytes) {
            let archive = Archive::open(name, &bytes)?;
            let mut entries: Vec<_> = archive.entries.iter().filter(|e| is_document(Path::new(&e.name))).collect();
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            for entry in entries {
                self.document(&format!("{name}: {}", entry.name), &archive.read(entry)?, day)?;
            }
            return Ok(());
        }
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut plain = Vec::new();
            let read =
                flate2::read::MultiGzDecoder::new(&bytes[..]).take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut plain);
            read.map_err(|e| DbError::input(name, format!("cannot be decompressed: {e}")))?;
            if plain.len() as u64 > MAX_DOCUMENT_BYTES {
                return Err(DbError::input(name, "larger than 1 GiB when decompressed"));
            }
            return self.document(name, &plain, day);
        }
        self.document(name, &bytes, day)
    }

    fn document(&mut self, name: &str, bytes: &[u8], day: &str) -> Result<(), DbError> {
        let format = Format::of(bytes).ok_or_else(|| {
            DbError::input(name, format!("its format is not recognised; known are {}", Format::NAMES.join(", ")))
        })?;
        self.documents += 1;
        match format {
            Format::Osv => match osv::parse(name, bytes)? {
                osv::Parsed::Withdrawn(id) => {
                    self.withdrawn.insert(id);
                }
                osv::Parsed::Record { record, fixed_only } => self.add(osv_source(&record, fixed_only), *record),
            },
            Format::DebianTracker => debian::read(self, name, bytes, day)?,
            Format::Secdb => secdb::read(self, name, bytes, day)?,
            Format::Arch => arch::read(self, name, bytes, day)?,
            Format::Csaf => csaf::read(self, name, bytes)?,
            Format::Oval => oval::read(self, name, bytes, day)?,
            Format::UpdateInfo => updateinfo::read(self, name, bytes, day)?,
            Format::Nvd => nvd::read(self, name, bytes)?,
            Format::Kev => {
                let (released, facts) = kev::parse(name, bytes)?;
                self.exploited = Some((described("CISA-KEV", &sha256_hex(bytes), &released, true), facts));
            }
            Format::Epss => {
                let text = std::str::from_utf8(bytes).map_err(|e| DbError::input(name, e))?;
                let (scored, scores) = epss::parse(name, text)?;
                let as_of = if scored.is_empty() { day } else { &scored };
                self.epss = Some((described("FIRST-EPSS", &sha256_hex(bytes), as_of, true), scores));
            }
        }
        Ok(())
    }

    /// Adds a record to a source. A record that is there already gains what the new one says: formats with one file a
    /// release name the same vulnerability in each.
    pub(crate) fn add(&mut self, source: Source, record: Record) {
        let slot =
            self.sources.entry(source.name.clone()).or_insert_with(|| SourceBatch { source, ..SourceBatch::default() });
        let newest = record.modified.or(record.published).map(show_day);
        if newest.as_ref().is_some_and(|d| *d > slot.source.as_of) {
            slot.source.as_of = newest.unwrap_or_default();
        }
        match slot.records.get_mut(&record.id) {
            None => {
                slot.records.insert(record.id.clone(), record);
            }
            Some(known) => absorb(known, record),
        }
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.exploited.is_none() && self.epss.is_none() && self.withdrawn.is_empty()
    }

    /// Name and number of records of each source that was read.
    pub fn summary(&self) -> Vec<(String, usize)> {
        let mut out: Vec<(String, usize)> = self.sources.iter().map(|(n, s)| (n.clone(), s.records.len())).collect();
        out.extend(self.exploited.iter().map(|(s, facts)| (s.name.clone(), facts.len())));
        out.extend(self.epss.iter().map(|(s, scores)| (s.name.clone(), scores.len())));
        out
    }

    /// The day of the newest fact, as seconds since 1970.
    pub fn newest(&self) -> i64 {
        let sources = self.sources.values().map(|s| &s.source);
        let facts = self.exploited.iter().map(|(s, _)| s).chain(self.epss.iter().map(|(s, _)| s));
        let day = sources.chain(facts).filter_map(|s| parse_day(&s.as_of)).max().unwrap_or(0);
        i64::from(day) * 86_400
    }
}

/// Adds what another statement about the same advisory says.
fn absorb(known: &mut Record, other: Record) {
    let place = |a: &Affected| (a.ecosystem.clone(), a.name.clone());
    let renewed: BTreeSet<(String, String)> = other.affected.iter().map(place).collect();
    // A later document about the same package and release replaces the earlier one.
    known.affected.retain(|a| !renewed.contains(&place(a)));
    known.affected.extend(other.affected);
    for (list, more) in [
        (&mut known.aliases, other.aliases),
        (&mut known.upstream, other.upstream),
        (&mut known.scores, other.scores),
        (&mut known.references, other.references),
    ] {
        for text in more {
            if !list.contains(&text) {
                list.push(text);
            }
        }
    }
    known.references.truncate(2);
    known.label = known.label.max(other.label);
    known.modified = known.modified.max(other.modified);
    known.published = match (known.published, other.published) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
}

/// SHA-256 in hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn is_document(path: &Path) -> bool {
    let known = ["json", "csv", "xml", "gz", "zip"];
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| known.contains(&e.to_ascii_lowercase().as_str()))
}

/// Address, licence and attribution of the sources that importers know.
const KNOWN: [(&str, &str, &str, &str); 23] = [
    ("AlmaLinux", "https://errata.almalinux.org/", "MIT", "AlmaLinux errata"),
    ("Alpine", "https://secdb.alpinelinux.org/", "CC-BY-SA-4.0", "Alpine Linux security database"),
    ("Amazon", "https://alas.aws.amazon.com/", "see the source", "Amazon Linux security center"),
    ("Arch", "https://security.archlinux.org/", "MIT", "Arch Linux security tracker"),
    (
        "CISA-KEV",
        "https://www.cisa.gov/known-exploited-vulnerabilities-catalog",
        "CC0-1.0",
        "CISA catalogue of known exploited vulnerabilities",
    ),
    ("Chainguard", "https://packages.cgr.dev/", "see the source", "Chainguard security data"),
    ("Debian-OSV", "https://osv.dev/", "MIT", "Debian security tracker, by OSV"),
    ("Debian-tracker", "https://security-tracker.debian.org/", "bare facts", "Debian security tracker"),
    (
        "FIRST-EPSS",
        "https://www.first.org/epss/",
        "free to use with attribution",
        "Exploit Prediction Scoring System by FIRST",
    ),
    ("Fedora", "https://bodhi.fedoraproject.org/", "see the source", "Fedora updates"),
    ("GitHub", "https://github.com/github/advisory-database", "CC-BY-4.0", "GitHub Advisory Database"),
    ("Go", "https://github.com/golang/vulndb", "CC-BY-4.0", "The Go vulnerability database"),
    (
        "NVD",
        "https://nvd.nist.gov/",
        "public domain",
        "National Vulnerability Database; this product uses its data but is not endorsed by it",
    ),
    ("OSV", "https://osv.dev/", "see the records", "OSV"),
    ("OpenSSF-malicious", "https://github.com/ossf/malicious-packages", "Apache-2.0", "OpenSSF malicious packages"),
    ("Oracle", "https://linux.oracle.com/security/", "see the source", "Oracle Linux errata"),
    ("PyPA", "https://github.com/pypa/advisory-database", "CC-BY-4.0", "PyPA advisory database"),
    ("Red-Hat", "https://security.access.redhat.com/data/", "CC-BY-4.0", "Red Hat security data"),
    ("Rocky", "https://errata.rockylinux.org/", "BSD-3-Clause", "Rocky Linux errata"),
    ("RustSec", "https://github.com/rustsec/advisory-db", "CC0-1.0 AND CC-BY-4.0", "RustSec advisory database"),
    ("SUSE", "https://www.suse.com/support/security/", "CC-BY-4.0", "SUSE security data"),
    ("Ubuntu-OVAL", "https://security-metadata.canonical.com/oval/", "CC-BY-SA-4.0", "Ubuntu OVAL data"),
    ("Ubuntu", "https://ubuntu.com/security", "CC-BY-SA-4.0", "Ubuntu security notices and CVE data"),
];

/// A source by name, with what is known of it.
pub(crate) fn described(name: &str, sha256: &str, as_of: &str, knows_unfixed: bool) -> Source {
    let known = KNOWN.iter().find(|(n, ..)| *n == name);
    let field = |pick: fn(&(&'static str, &'static str, &'static str, &'static str)) -> &'static str, other: &str| {
        known.map_or_else(|| other.to_owned(), |k| pick(k).to_owned())
    };
    Source {
        name: name.to_owned(),
        url: field(|k| k.1, ""),
        licence: field(|k| k.2, "see the source"),
        attribution: field(|k| k.3, name),
        as_of: as_of.to_owned(),
        covers_until: String::new(),
        sha256: sha256.to_owned(),
        knows_unfixed,
    }
}

/// The source of an OSV record, by its id. Errata name what was fixed; trackers and language databases name all.
fn osv_source(record: &Record, fixed_only: bool) -> Source {
    let prefix = record.id.split('-').next().unwrap_or_default();
    let (name, knows_unfixed) = match prefix {
        "DEBIAN" if fixed_only => ("Debian-archive", false),
        "GHSA" => ("GitHub", true),
        "GO" => ("Go", true),
        "RUSTSEC" => ("RustSec", true),
        "PYSEC" => ("PyPA", true),
        "MAL" => ("OpenSSF-malicious", true),
        "DEBIAN" => ("Debian-OSV", true),
        "DSA" | "DLA" | "DTSA" => ("Debian-OSV", false),
        "UBUNTU" => ("Ubuntu", true),
        "USN" | "LSN" => ("Ubuntu", false),
        "ALPINE" => ("Alpine", false),
        "ALSA" | "ALBA" | "ALEA" => ("AlmaLinux", false),
        "RLSA" | "RXSA" => ("Rocky", false),
        "RHSA" | "RHBA" | "RHEA" => ("Red-Hat", false),
        "SUSE" | "OPENSUSE" | "openSUSE" => ("SUSE", false),
        _ => ("OSV", true),
    };
    described(name, "", "", knows_unfixed)
}
