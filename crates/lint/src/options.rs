//! Settings of rules, from the command line or `.hadolint.yaml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::Severity;

/// What a label's value must be (`label-schema` of hadolint).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LabelType {
    Text,
    Url,
    Rfc3339,
    SemanticVersion,
    GitHash,
    Spdx,
    Email,
}

impl LabelType {
    /// hadolint's name of the type.
    pub fn parse(name: &str) -> Option<LabelType> {
        Some(match name {
            "text" | "" => LabelType::Text,
            "url" => LabelType::Url,
            "rfc3339" => LabelType::Rfc3339,
            "semver" => LabelType::SemanticVersion,
            "hash" => LabelType::GitHash,
            "spdx" => LabelType::Spdx,
            "email" => LabelType::Email,
            _ => return None,
        })
    }
}

/// Settings.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Rules that are left out.
    pub ignored: Vec<String>,
    /// Rules with another severity.
    pub severities: BTreeMap<String, Severity>,
    /// Registries that images may come from; empty allows all. `*.example.com` and `*` are patterns.
    pub trusted_registries: Vec<String>,
    /// Labels that must be there, with their types.
    pub label_schema: BTreeMap<String, LabelType>,
    /// Labels that are not in the schema are findings.
    pub strict_labels: bool,
    /// Comments in the file cannot switch rules off.
    pub disable_ignore_comments: bool,
    /// Rules that are off unless asked for.
    pub enabled: Vec<String>,
    /// Versions of packages by the image that a stage stands on: what `unpinned-apt` is mended with.
    pub pins: BTreeMap<String, BTreeMap<String, String>>,
    /// Holes known to be exploited, by base image as the file names it: what `exploited-base` reports.
    pub exploited: BTreeMap<String, Vec<String>>,
    /// The `shellcheck` program that reads the scripts, too; what it finds beyond our rules is added.
    pub shellcheck: Option<PathBuf>,
    /// hadolint's answer where ours differs on purpose (docs/LINT-DIFF.md): only its rules, its reading of them, and one
    /// finding of a shell rule an instruction.
    pub as_hadolint: bool,
}
