//! Inputs of the advisory database: files, directories and URLs; what is a whole database must be signed by a trusted
//! key where there are trusted keys.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stockade_advisory::database::{Batch, merge, sha256_hex};
use stockade_advisory::signing::{self, PublicKey};
use stockade_advisory::{AdvisoryError, Database};

use super::database::is_database;
use super::delta::{self, Delta};
use super::fetch::{self, Address, Fetched, Known};
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

/// Where an update puts what it fetches, and remembers what it read.
const STATE: &str = "inputs.json";

/// What is asked for.
#[derive(Debug, Default)]
pub struct Wanted<'a> {
    /// Files, directories and URLs.
    pub from: &'a [String],
    /// Digest that the only input must have.
    pub sha256: Option<&'a str>,
    /// Whole databases must be signed by one of these, if there are any.
    pub trusted: &'a [PublicKey],
    /// Accept databases without a trusted signature, and plain HTTP without a digest.
    pub unsigned: bool,
}

/// What was read for an update.
pub enum Input {
    /// A database as it is: it replaces the one in use.
    Database(Vec<u8>),
    /// Facts to add.
    Facts(Box<Batch>),
    /// All that was asked for has been read before.
    Unchanged,
}

/// What earlier updates read into a database. It is believed only for that database.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    database: String,
    inputs: BTreeMap<String, Known>,
}

impl State {
    /// What is known about the inputs of this database.
    pub fn load(directory: &Path, database: &str) -> State {
        let stored = std::fs::read(directory.join(STATE)).ok();
        let state: Option<State> = stored.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        state.filter(|s| s.database == database).unwrap_or_default()
    }

    /// Remembers for the next update. Without it everything is read again, which is only slower.
    pub fn save(mut self, directory: &Path, database: String) {
        self.database = database;
        let _ = serde_json::to_vec(&self)
            .ok()
            .and_then(|bytes| stockade_durable::write_volatile(&directory.join(STATE), &bytes, 0o600).ok());
    }
}

/// A file or directory that is removed with this value.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = if self.0.is_dir() { std::fs::remove_dir_all(&self.0) } else { std::fs::remove_file(&self.0) };
    }
}

/// An input on disk.
struct Local {
    path: PathBuf,
    /// As it was named.
    name: String,
    address: Option<Address>,
    _temporary: Option<Temporary>,
}

/// The keys that are trusted: of a file given, else of the settings, else of `<root>/db/trusted-keys`.
pub fn trusted_keys(context: &Context, given: Option<&Path>) -> Result<Vec<PublicKey>, Failure> {
    let default = context.settings.dirs.root.join("db").join("trusted-keys");
    let named = given.or(context.settings.db.keys.as_deref());
    let path = match named {
        Some(path) => path,
        None if default.exists() => &default,
        None => return Ok(Vec::new()),
    };
    let text = read_text(path)?;
    PublicKey::parse_list(&text).map_err(|e| Failure::usage(format!("`{}`: {e}", path.display())))
}

/// A small text file.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let failed = |e: std::io::Error| Failure::usage(format!("cannot read `{}`: {e}", path.display()));
    let mut text = String::new();
    std::fs::File::open(path)
        .map_err(failed)?
        .take(signing::MAX_TEXT_BYTES)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}

impl Input {
    /// Reads what is asked for. `directory` takes what is fetched; `state` knows what was read before, and learns.
    pub fn read(wanted: &Wanted<'_>, directory: &Path, state: &mut State) -> Result<Input, Failure> {
        let mut locals = Vec::new();
        for name in wanted.from {
            locals.extend(bring(name, wanted, directory, state)?);
        }
        if let Some(expected) = wanted.sha256 {
            check_digest(&locals, wanted.from.len(), expected)?;
        }
        if locals.is_empty() {
            return Ok(Input::Unchanged);
        }
        if let Some(database) = locals.iter().find(|l| is_database(&l.path)) {
            if wanted.from.len() > 1 {
                return Err(Failure::usage(format!("`{}` is a whole database: give it alone", database.name)));
            }
            let bytes = std::fs::read(&database.path)
                .map_err(|e| Failure::new(format!("cannot read `{}`: {e}", database.name)))?;
            check_signature(database, &bytes, wanted)?;
            return Ok(Input::Database(bytes));
        }
        let mut batch = Batch::default();
        for local in &locals {
            let unsafe_one = local.address.as_ref().is_some_and(|a| !a.is_safe());
            if unsafe_one && !wanted.unsigned {
                return Err(Failure::new(format!(
                    "`{}` came over plain HTTP, where anybody can change it",
                    local.name
                ))
                .hint("add `#sha256=HEX` to the address, use https, or accept it with --unsigned"));
            }
            batch.read(&local.path)?;
        }
        if batch.is_empty() {
            return Err(Failure::new("no advisory was found in the given files")
                .hint("`stockade db update --help` lists the formats"));
        }
        Ok(Input::Facts(Box::new(batch)))
    }

    /// Makes the database file and verifies it. Output: the file, and a line for each source. `None`: nothing changed.
    pub fn into_file(self, base: Option<&Database>) -> Result<Option<(Vec<u8>, Vec<String>)>, Failure> {
        let (file, summary) = match self {
            Input::Unchanged => return Ok(None),
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
        Ok(Some((file, summary)))
    }
}

/// Brings one input to disk; `None` if it was read before and has not changed.
fn bring(name: &str, wanted: &Wanted<'_>, directory: &Path, state: &mut State) -> Result<Option<Local>, Failure> {
    let Some(address) = Address::parse(name)? else {
        let path = PathBuf::from(name);
        if !path.is_file() {
            return Ok(Some(Local { path, name: name.to_owned(), address: None, _temporary: None }));
        }
        let sha256 = digest_of(&path)?;
        if state.inputs.get(name).is_some_and(|known| known.sha256 == sha256) && wanted.sha256.is_none() {
            return Ok(None);
        }
        state.inputs.insert(name.to_owned(), Known { sha256, ..Known::default() });
        return Ok(Some(Local { path, name: name.to_owned(), address: None, _temporary: None }));
    };
    let known = state.inputs.get(&address.url);
    // An address with a digest means exactly these bytes.
    let base = delta::base(&address.url).filter(|_| address.sha256.is_none()).map(str::to_owned);
    let now = jiff::Timestamp::now();
    let (Some(base), Some(known)) = (&base, known) else { return whole(address, base, now, directory, state) };
    let (path, until) = match delta::fetch(base, known, now, directory)? {
        Delta::Nothing => return Ok(None),
        Delta::Records(path, until) => (path, until),
        Delta::Whole => return whole(address, Some(base.clone()), now, directory, state),
    };
    let mut known = Known { until: Some(until), ..known.clone() };
    // The next reading asks for changes again, not for the archive that was read long ago.
    (known.etag, known.last_modified) = (None, None);
    Ok(Some(keep(address, path, known, state)))
}

/// Fetches all of an input. `base`: a list of changes may lie there, for the next time.
fn whole(
    address: Address,
    base: Option<String>,
    now: jiff::Timestamp,
    directory: &Path,
    state: &mut State,
) -> Result<Option<Local>, Failure> {
    // Asked before the archive is read: what changes meanwhile is read twice, not never.
    let until = base.map(|base| delta::start(&base)).transpose()?.flatten();
    match fetch::fetch(&address, state.inputs.get(&address.url), directory)? {
        Fetched::Unchanged => Ok(None),
        Fetched::File(path, known) => {
            let full = until.as_ref().map(|_| now.to_string());
            Ok(Some(keep(address, path, Known { until, full, ..known }, state)))
        }
    }
}

fn keep(address: Address, path: PathBuf, known: Known, state: &mut State) -> Local {
    let temporary = Some(Temporary(path.clone()));
    state.inputs.insert(address.url.clone(), known);
    Local { path, name: address.url.clone(), address: Some(address), _temporary: temporary }
}

fn check_signature(local: &Local, bytes: &[u8], wanted: &Wanted<'_>) -> Result<(), Failure> {
    if wanted.unsigned {
        return Ok(());
    }
    let beside = format!("{}.sig", local.name);
    let signature = match &local.address {
        Some(_) => fetch::fetch_text(&beside, signing::MAX_TEXT_BYTES)?,
        None if Path::new(&beside).exists() => Some(read_text(Path::new(&beside))?),
        None => None,
    };
    let refused = |why: String| {
        Failure::new(format!("`{}` was not taken: {why}; nothing was changed", local.name))
            .hint("`stockade db update --key FILE` names trusted keys, `--unsigned` takes it without")
    };
    match signature {
        Some(text) if !wanted.trusted.is_empty() => {
            let key = signing::verify(bytes, &text, wanted.trusted).map_err(|e| refused(e.to_string()))?;
            let whose = if key.comment.is_empty() { key.id() } else { key.comment.clone() };
            output::to_stderr(&output::printable_lines(&format!("signed by {whose}\n")));
            Ok(())
        }
        None if !wanted.trusted.is_empty() => {
            Err(refused("it has no signature, and there are trusted keys".to_owned()))
        }
        _ if local.address.as_ref().is_some_and(|a| !a.is_safe()) => {
            Err(refused("it came over plain HTTP, and no trusted key vouches for it".to_owned()))
        }
        Some(_) => {
            output::warn("its signature was not verified: there are no trusted keys");
            Ok(())
        }
        None => Ok(()),
    }
}

fn check(file: &[u8]) -> Result<(), AdvisoryError> {
    Database::from_bytes(Box::new(file.to_vec()), "the new database".to_owned())?.reader()?.verify()
}

fn digest_of(path: &Path) -> Result<String, Failure> {
    let mapped = stockade_sandbox::MappedFile::open(path)?;
    Ok(sha256_hex(&mapped))
}

fn check_digest(locals: &[Local], asked: usize, expected: &str) -> Result<(), Failure> {
    let ([local], 1) = (locals, asked) else {
        return Err(Failure::usage("--sha256 belongs to one input file"));
    };
    if !local.path.is_file() {
        return Err(Failure::usage("--sha256 belongs to one input file, and this is none"));
    }
    let found = digest_of(&local.path)?;
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` has SHA-256 {found}, not {expected}: nothing was changed", local.name)))
}
