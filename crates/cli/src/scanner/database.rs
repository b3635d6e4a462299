//! Which advisory database: the one given, the one that was installed by an update, or the one built in; and how inputs
//! become one.

use std::path::{Path, PathBuf};

use stockade_advisory::database::{Batch, merge, sha256_hex};
use stockade_advisory::{AdvisoryError, Database};
use stockade_sandbox::MappedFile;

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

fn is_database(path: &Path) -> bool {
    use std::io::Read as _;
    let mut head = [0u8; 7];
    let read = std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut head));
    read.is_ok() && &head == b"STKDADV"
}

fn open_inputs(context: &Context, path: &Path) -> Result<Database, Failure> {
    let directory = context.settings.dirs.root.join("cache").join("db");
    let cached = directory.join(format!("{}.db", digest_of_inputs(path)?));
    if cached.exists()
        && let Ok(database) = open_file(&cached)
    {
        return Ok(database);
    }
    let (file, _) = Input::read(&[path.to_owned()], None)?.into_file(None)?;
    stockade_durable::create_private_dir(&directory)?;
    stockade_durable::write_volatile(&cached, &file, 0o600)?;
    open_file(&cached)
}

/// Digest of a file, or of all files below a directory with their names.
fn digest_of_inputs(path: &Path) -> Result<String, Failure> {
    let read = |e: std::io::Error| Failure::new(format!("cannot read `{}`: {e}", path.display()));
    if !path.is_dir() {
        return Ok(sha256_hex(&std::fs::read(path).map_err(read)?));
    }
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(path).map_err(read)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>().map_err(read)?;
    entries.sort();
    let mut all = String::new();
    for entry in entries {
        all.push_str(&format!("{} {}\n", entry.display(), digest_of_inputs(&entry)?));
    }
    Ok(sha256_hex(all.as_bytes()))
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    sha256_hex(bytes)
}

/// What was read for an update.
pub enum Input {
    /// A database as it is: it replaces the one in use.
    Database(Vec<u8>),
    /// Facts to add.
    Facts(Box<Batch>),
}

impl Input {
    /// Reads files and directories. One database file may stand alone.
    pub fn read(paths: &[PathBuf], sha256: Option<&str>) -> Result<Input, Failure> {
        if let Some(expected) = sha256 {
            check_digest(paths, expected)?;
        }
        if let Some(database) = paths.iter().find(|p| is_database(p)) {
            if paths.len() > 1 {
                return Err(Failure::usage(format!("`{}` is a whole database: give it alone", database.display())));
            }
            let bytes = std::fs::read(database)
                .map_err(|e| Failure::new(format!("cannot read `{}`: {e}", database.display())))?;
            return Ok(Input::Database(bytes));
        }
        let mut batch = Batch::default();
        paths.iter().try_for_each(|p| batch.read(p))?;
        if batch.is_empty() {
            return Err(Failure::new("no advisory was found in the given files")
                .hint("`stockade db update --help` lists the formats"));
        }
        Ok(Input::Facts(Box::new(batch)))
    }

    /// Makes the database file and verifies it. Output: the file, and a line for each source.
    pub fn into_file(self, base: Option<&Database>) -> Result<(Vec<u8>, Vec<String>), Failure> {
        let (file, summary) = match self {
            Input::Database(bytes) => (bytes, vec!["read a whole database".to_owned()]),
            Input::Facts(batch) => {
                let lines =
                    batch.summary().into_iter().map(|(name, n)| format!("read {n} records of {name}")).collect();
                let reader = base.map(Database::reader).transpose()?;
                let built = batch.newest().max(reader.map_or(0, |r| r.built()));
                (merge(reader, *batch, built)?, lines)
            }
        };
        check(&file)?;
        Ok((file, summary))
    }
}

fn check(file: &[u8]) -> Result<(), AdvisoryError> {
    Database::from_bytes(Box::new(file.to_vec()), "the new database".to_owned())?.reader()?.verify()
}

fn check_digest(paths: &[PathBuf], expected: &str) -> Result<(), Failure> {
    let [path] = paths else {
        return Err(Failure::usage("--sha256 belongs to one input file"));
    };
    let bytes = std::fs::read(path).map_err(|e| Failure::new(format!("cannot read `{}`: {e}", path.display())))?;
    let found = sha256_hex(&bytes);
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` has SHA-256 {found}, not {expected}: nothing was changed", path.display())))
}
