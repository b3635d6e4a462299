//! Findings and what they are made of.

use serde::Serialize;

/// How much it matters. The order is hadolint's: an error first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Wrong, or will be.
    Error,
    /// Risky.
    Warning,
    /// Could be better.
    Info,
    /// A matter of style.
    Style,
}

impl Severity {
    /// As in reports.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
            Severity::Style => "style",
        }
    }
}

/// A replacement of bytes `start..end` of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// Byte offset of the first byte to replace.
    pub start: usize,
    /// Byte offset after the last byte to replace.
    pub end: usize,
    /// What comes there.
    pub text: String,
}

/// One finding. Lines and columns are 1-based and count characters; the end is after the last character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's id.
    pub id: &'static str,
    /// Ids that other tools and benchmarks have for it.
    pub refs: &'static [&'static str],
    /// How much it matters.
    pub severity: Severity,
    /// Where it starts.
    pub line: u32,
    /// Where it starts.
    pub column: u32,
    /// Where it ends.
    pub end_line: u32,
    /// Where it ends.
    pub end_column: u32,
    /// What is the matter here, in one line.
    pub message: String,
    /// What to do in general.
    pub advice: &'static str,
    /// Edits that mend it without changing anything else, where there are such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Vec<Edit>>,
}

/// Schema of the JSON form.
pub const SCHEMA: &str = "stockade.lint/v1";
