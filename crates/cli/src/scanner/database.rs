//! Which advisory database: the one given, the one that was installed by an update, or the one built in.

use std::path::{Path, PathBuf};

use stockade_advisory::Database;
use stockade_sandbox::MappedFile;

use crate::context::Context;
use crate::failure::Failure;
use crate::output;

/// Where an update puts its database.
pub fn installed_path(context: &Context) -> PathBuf {
    context.settings.dirs.root.join("db").join("advisories.db")
}

/// Opens the database. A damaged installed one gives a warning, and the built-in one is used: facts of yesterday are
/// better than none.
pub fn open(context: &Context, given: Option<&Path>) -> Result<Database, Failure> {
    if let Some(path) = given {
        return open_file(path);
    }
    let installed = installed_path(context);
    if !installed.exists() {
        return Ok(Database::embedded());
    }
    open_file(&installed).or_else(|failure| {
        output::warn(&format!("{failure}; the built-in advisories are used instead"));
        Ok(Database::embedded())
    })
}

fn open_file(path: &Path) -> Result<Database, Failure> {
    let mapped = MappedFile::open(path)?;
    Ok(Database::from_bytes(Box::new(mapped), path.display().to_string())?)
}
