//! Fixes: what failing checks say is changed, shown as a diff first, made atomically, and taken back byte for byte.
//!
//! The flow: a report → [`plan`] (nothing is changed) → the caller shows [`Plan`] and asks → [`Plan::apply`] (journal first,
//! then change after change) → [`Plan::verify`] runs the checks again → [`undo()`] at any time later.

mod change;
mod compose;
mod daemon;
pub mod diff;
mod edit;
mod json_edit;
mod kubernetes;
mod planner;
mod run_line;
mod undo;
mod verify;
mod yaml_edit;

use std::path::{Path, PathBuf};

pub use change::{Attributes, Change};
pub use planner::{ByHand, Command, Context, Cured, Plan, commands, plan};
pub use run_line::run_line;
pub use undo::{Journal, Undone, undo};
pub use verify::Verified;

use crate::host::Host;

/// Why something was not fixed or not undone.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum FixError {
    #[error("cannot read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot change `{path}`")]
    Change {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{path}` is a symbolic link: fix the file that it points to")]
    Link { path: PathBuf },
    #[error("`{path}` is no regular file")]
    NotAFile { path: PathBuf },
    #[error("`{path}` is larger than 64 MiB")]
    TooLarge { path: PathBuf },
    #[error("`{path}` was changed by somebody else since it was looked at: run the audit again")]
    Changed { path: PathBuf },
    #[error("`{path}` was changed since the fix: undoing would lose that change; nothing was undone")]
    ChangedSince { path: PathBuf },
    #[error("no number is free for a journal in `{dir}`")]
    NoJournal { dir: PathBuf },
    #[error("the journal `{path}` is damaged")]
    Damaged {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("{}", .number.map_or_else(|| "there is no fix to undo".to_owned(), |n| format!("there is no fix number {n}")))]
    NothingToUndo { number: Option<u64> },
    #[error(transparent)]
    Durable(#[from] stockade_durable::DurableError),
}

/// Whether `--fix` can do something about a check: change a file or a setting, or say the line that runs a container
/// without the weakness.
pub fn is_known(id: &str) -> bool {
    crate::checks::daemon_files::wanted(id).is_some()
        || crate::checks::kernel::setting(id).is_some()
        || !crate::checks::host::watched_paths(id, None).is_empty()
        || daemon::setting(id).is_some()
        || compose::is_known(id)
        || kubernetes::is_known(id)
        || run_line::is_known(id)
}

impl Plan {
    /// Writes the journal below `state` (`<STOCKADE_ROOT>/audit`), then makes the changes in order. After an error those
    /// before it are made, and the journal's number is in what `undo` takes back.
    pub fn apply(&self, host: &Host, root: &Path, state: &Path) -> Result<Journal, FixError> {
        if root == Path::new("/") {
            for change in &self.changes {
                // What a killed run left beside the files.
                if let Some(dir) = change.path().parent().filter(|_| matches!(change, Change::File { .. })) {
                    stockade_durable::sweep(dir, std::time::Duration::from_secs(3600));
                }
            }
        }
        let (journal, kept) = Journal::write(state, host, root, &self.changes)?;
        for (change, attributes) in self.changes.iter().zip(kept) {
            change.make(host, attributes)?;
        }
        Ok(journal)
    }
}

#[cfg(test)]
mod tests;
