//! Which advisory database: the one given, the one that was installed by an update, or the one built in; and how inputs
//! become one.

use std::path::{Path, PathBuf};

use stockade_advisory::Database;
use stockade_advisory::database::sha256_hex;
use stockade_sandbox::MappedFile;

use super::inputs::{Input, State, Wanted};
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

/// Where an update puts its database.
pub fn installed_path(context: &Context) -> PathBuf {
    context.settings.dirs.root.join("db").join("advisories.db")
}

/// Opens the database. A damaged installed one gives a warning, and the built-in one is used: facts of yesterday are
/// better than none. `given` may be a database file, or files and directories that `db build` reads: those are made
/// into a database once and kept by their digest.
pub fn open(context: &Context, given: Option<&Path>) -> Result<Database, Failure> {
    if let Some(path) = given {
        return if is_database(path) { open_file(path) } else { open_inputs(context, path) };
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

pub(super) fn is_database(path: &Path) -> bool {
    use std::io::Read as _;
    let mut head = [0u8; 7];
    let read = std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut head));
    read.is_ok() && &head == b"STKDADV"
}

fn open_inputs(context: &Context, path: &Path) -> Result<Database, Failure> {
    let directory = context.settings.dirs.root.join("cache").join("db");
    let cached = directory.join(format!("{}.db", state_of_inputs(path)?));
    if cached.exists()
        && let Ok(database) = open_file(&cached)
    {
        return Ok(database);
    }
    let from = [path.display().to_string()];
    let wanted = Wanted { from: &from, ..Wanted::default() };
    let read = Input::read(&wanted, &directory, &mut State::default())?.into_file(None)?;
    let (file, _) = read.ok_or_else(|| Failure::new(format!("`{}` has no advisories", path.display())))?;
    stockade_durable::create_private_dir(&directory)?;
    stockade_durable::write_volatile(&cached, &file, 0o600)?;
    open_file(&cached)
}

/// Names the state of files: their places, sizes and times of change. A folder of archives is gigabytes, and reading
/// them to learn that nothing changed would take longer than the scan. The time of the last change of the inode cannot be
/// set back by who writes the file.
fn state_of_inputs(path: &Path) -> Result<String, Failure> {
    use std::os::unix::fs::MetadataExt as _;
    let read = |e: std::io::Error| Failure::new(format!("cannot read `{}`: {e}", path.display()));
    let meta = std::fs::metadata(path).map_err(read)?;
    let mut all = format!(
        "{} {} {} {} {}.{}\n",
        path.display(),
        meta.dev(),
        meta.ino(),
        meta.len(),
        meta.ctime(),
        meta.ctime_nsec()
    );
    if meta.is_dir() {
        let entries = std::fs::read_dir(path).map_err(read)?.map(|e| e.map(|e| e.path()));
        let mut entries: Vec<PathBuf> = entries.collect::<Result<_, _>>().map_err(read)?;
        entries.sort();
        for entry in entries {
            all.push_str(&state_of_inputs(&entry)?);
        }
    }
    Ok(sha256_hex(all.as_bytes()))
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    sha256_hex(bytes)
}
