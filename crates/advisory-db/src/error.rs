//! What can go wrong with a database file or an input of it.

/// An error of the database room. Each names the thing, the cause and, where there is one, the next step.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// A file operation failed.
    #[error("cannot {what} `{path}`")]
    Io {
        /// What was being done, as a verb phrase.
        what: &'static str,
        /// The path it was done to.
        path: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are no advisory database of ours.
    #[error("not an advisory database: {why}")]
    NotADatabase {
        /// What was seen instead.
        why: &'static str,
    },
    /// The database was written by another version of Stockade.
    #[error(
        "the advisory database has layout {found}, this stockade reads layout {expected}; run `stockade db update`"
    )]
    Layout {
        /// Layout number in the file.
        found: u32,
        /// Layout number of this program.
        expected: u32,
    },
    /// The content does not fit its own structure or its checksum.
    #[error(
        "the advisory database is damaged ({what}); run `stockade db update`, or remove the file to use the built-in one"
    )]
    Damaged {
        /// What was being read.
        what: &'static str,
    },
    /// An input file is not what it should be.
    #[error("`{input}`: {why}")]
    Input {
        /// The file, or the entry within it.
        input: String,
        /// The reason.
        why: String,
    },
    /// A file of the starter set is not the one that the list names.
    #[error("`{input}` has SHA-256 {found}, expected {expected}")]
    Digest {
        /// The file.
        input: String,
        /// What it should be, in hex.
        expected: String,
        /// What it is, in hex.
        found: String,
    },
    /// The content passes a limit of the layout.
    #[error("the database would pass a limit of its layout: {what}")]
    TooLarge {
        /// Which limit.
        what: &'static str,
    },
}

impl DbError {
    /// An [`DbError::Input`] from anything that can be shown.
    pub fn input(input: impl Into<String>, why: impl std::fmt::Display) -> Self {
        Self::Input { input: input.into(), why: why.to_string() }
    }
}
