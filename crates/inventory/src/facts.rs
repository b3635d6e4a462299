//! What analysers say about single files, before anything is merged or judged together.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::image_checks::Weakness;
use crate::model::{Package, Unknown};
use crate::options::Limits;
use crate::pathhash;
use crate::secrets::Secret;

/// Longest name or version that is taken seriously, in bytes. The longest real ones (Go and npm) stay under 300.
const MAX_FIELD_BYTES: usize = 2048;
/// Damage reports kept for one file.
const MAX_UNKNOWN_PER_FILE: usize = 16;

/// What one analyser found in one file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FileFacts {
    /// Relative to the root.
    pub path: String,
    /// The analyser's name.
    pub found_by: String,
    /// Packages it lists; `path` and `purl` are still empty, except where a package sits deeper (in an archive).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// Hashes ([`pathhash::owner`]) of files that belong to packages of the distribution.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::packed")]
    pub owned: Vec<u64>,
    /// Facts that only make sense together with other files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    /// What could not be read in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Unknown>,
    /// Credentials in it, when asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// What is weak about it, when asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weaknesses: Vec<Weakness>,
}

impl FileFacts {
    /// Whether there is anything to keep.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
            && self.owned.is_empty()
            && self.notes.is_empty()
            && self.unknown.is_empty()
            && self.secrets.is_empty()
            && self.weaknesses.is_empty()
    }
}

/// A fact for the step that sees all files together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// Fields of an os-release file, in its order.
    OsRelease(Vec<(String, String)>),
    /// The text of a release file with one line (`debian_version`, `redhat-release` …).
    ReleaseLine(String),
    /// The file is a symbolic link to this.
    Link(String),
    /// A package database of this kind was here and could be read, even if it lists nothing.
    DatabaseRead(crate::model::PackageKind),
    /// Packages that the database knows in another state than installed.
    Residual(Vec<String>),
    /// Packages in the database that do not come from the distribution.
    ThirdParty(Vec<String>),
    /// The file list of this dpkg package exists.
    FilesOf(String),
    /// Whose the owned files of a database with all packages are: each package, and how many of the hashes in
    /// [`FileFacts::owned`] follow for it.
    FilesOfEach(Vec<(String, u32)>),
    /// What a Go program holds code of.
    GoProgram(crate::analyzers::go_linked::GoProgram),
    /// Licences of the named package, from a file of its own.
    Licenses(String, Vec<String>),
}

/// Where an analyser puts what it finds.
pub struct Sink<'a> {
    /// The scan's bounds.
    pub limits: &'a Limits,
    facts: FileFacts,
    dropped: usize,
    files_of: Vec<(String, u32)>,
    told: usize,
    end: Option<Instant>,
}

impl<'a> Sink<'a> {
    /// For one analyser and one file.
    pub fn new(path: &str, found_by: &str, limits: &'a Limits) -> Self {
        let facts = FileFacts { path: path.to_owned(), found_by: found_by.to_owned(), ..FileFacts::default() };
        let end = Instant::now().checked_add(limits.file_time);
        Self { limits, facts, dropped: 0, files_of: Vec::new(), told: 0, end }
    }

    /// Whether the time for one file is over. For loops over what is in memory already; reading ends by itself.
    pub fn is_late(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// Adds a package. One without a name, or with an absurdly long one, becomes `unknown`.
    pub fn package(&mut self, package: Package) {
        if package.name.is_empty() {
            self.unknown("package", "an entry has no name");
        } else if package.name.len().max(package.version.len()) > MAX_FIELD_BYTES {
            self.unknown("package", "an entry has a name or version longer than 2 KiB");
        } else if self.facts.packages.len() >= self.limits.packages_per_file {
            self.dropped += 1;
        } else {
            self.facts.packages.push(package);
        }
    }

    /// Says that something in the file could not be read.
    pub fn unknown(&mut self, what: &str, why: impl Into<String>) {
        let path = self.facts.path.clone();
        self.unknown_at(what, &path, why);
    }

    /// The same for a place deeper than the file (inside an archive).
    pub fn unknown_at(&mut self, what: &str, path: &str, why: impl Into<String>) {
        if self.facts.unknown.len() < MAX_UNKNOWN_PER_FILE {
            self.facts.unknown.push(Unknown::new(what, path, why));
        }
    }

    /// Says that a file belongs to a package of the distribution.
    pub fn owned(&mut self, path: &[u8]) {
        self.facts.owned.push(pathhash::owner(path));
    }

    /// Says that the files since the last call, or the first, are of this package.
    pub fn files_of(&mut self, package: &str) {
        let files = self.facts.owned.len() - self.told;
        self.told = self.facts.owned.len();
        self.files_of.push((package.to_owned(), u32::try_from(files).unwrap_or(u32::MAX)));
    }

    /// Leaves a note for the step that sees all files.
    pub fn note(&mut self, note: Note) {
        self.facts.notes.push(note);
    }

    /// The result.
    pub fn finish(mut self) -> FileFacts {
        if self.dropped > 0 {
            let why = format!(
                "{} packages beyond the limit of {} were left out",
                self.dropped, self.limits.packages_per_file
            );
            self.unknown("limit", why);
        }
        self.facts.owned.shrink_to_fit();
        if !self.files_of.is_empty() {
            self.facts.notes.push(Note::FilesOfEach(self.files_of));
        }
        self.facts
    }
}

/// Why an analyser gave up on a file, in words.
#[derive(Debug)]
pub struct Trouble(pub String);

impl From<&str> for Trouble {
    fn from(why: &str) -> Self {
        Self(why.to_owned())
    }
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self(why)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self("the file ends too early".to_owned()),
            _ => Self(format!("cannot be read: {error}")),
        }
    }
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("no valid JSON: {error}"))
    }
}

impl From<toml::de::Error> for Trouble {
    fn from(error: toml::de::Error) -> Self {
        Self(format!("no valid TOML: {}", error.message()))
    }
}
