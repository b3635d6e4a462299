//! Git repositories as contexts and for `ADD`, without the `git` program.
//!
//! What a build needs of Git is little: one commit's files. So this speaks version 2 of the wire protocol
//! (gitprotocol-v2(5)) over http(s) and `git://`, asks for that commit alone ("deepen 1"), and writes its tree out.
//! Every object proves itself by its hash, down from the commit; a hash that shows the marks of a SHA-1 collision is
//! refused. A tree cannot write outside its directory: names with `/`, `..`, `.git` and their like are refused.
//!
//! A checkout is kept under `build/git` and used again while the repository still names the same commit.

mod address;
mod checkout;
mod object;
mod pack;
mod pkt;
mod submodule;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};

use stockade_durable::{Lock, create_private_dir};
use stockade_image::{Digest, Store};

use crate::error::BuildError;
pub(crate) use address::Address;
use object::Id;

/// How deep submodules may have submodules.
const MAX_SUBMODULES: u32 = 8;

/// Why a repository cannot be had.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// In words.
    Words(String),
    /// The build ends.
    Cancelled,
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Trouble {
        Trouble::Words(error.to_string())
    }
}

/// For `map_err` and `ok_or`.
fn words(text: impl Into<String>) -> Trouble {
    Trouble::Words(text.into())
}

/// Credentials for repositories that are not public.
#[derive(Clone, Default)]
pub(crate) struct Access {
    /// Value of the secret `GIT_AUTH_TOKEN`.
    pub(crate) token: Option<String>,
    /// Value of the secret `GIT_AUTH_HEADER`: a whole `Authorization` value.
    pub(crate) header: Option<String>,
}

/// A commit's files, kept on disk while this lives.
pub(crate) struct Checkout {
    /// The root of the files.
    pub(crate) dir: PathBuf,
    /// The commit, in hexadecimal.
    pub(crate) commit: String,
    _lock: Lock,
}

/// What a fetch needs besides the address.
pub(crate) struct Session<'s> {
    pub(crate) access: &'s Access,
    pub(crate) cancelled: &'s dyn Fn() -> bool,
    /// Told what happens, for a progress line.
    pub(crate) status: &'s dyn Fn(&str),
}

impl Session<'_> {
    fn check(&self) -> Result<(), Trouble> {
        if (self.cancelled)() { Err(Trouble::Cancelled) } else { Ok(()) }
    }
}

/// The files of the commit that `address` names: from disk if they were fetched before.
pub(crate) fn checkout(store: &Store, address: &Address, session: &Session<'_>) -> Result<Checkout, BuildError> {
    let blame = |trouble: Trouble| match trouble {
        Trouble::Cancelled => BuildError::Cancelled,
        Trouble::Words(why) => BuildError::Git { url: address.shown(), why },
    };
    (session.status)(&format!("asking {} for {}", address.host(), address.wanted()));
    let mut wire = wire::Wire::connect(address, session).map_err(blame)?;
    let commit = wire.resolve(address).map_err(blame)?;
    let base = store.root().join("build/git");
    create_private_dir(&base)?;
    let key = format!("{}\n{commit}\n{}", address.shown(), address.submodules);
    let name = Digest::of(key.as_bytes()).hex();
    let dir = base.join(&name);
    let path = base.join(format!("{name}.lock"));
    let lock = Lock::shared(&path)?;
    if dir.is_dir() {
        return Ok(Checkout { dir, commit: commit.to_string(), _lock: lock });
    }
    (session.status)(&format!("fetching {commit}"));
    let staging = store.staging_dir()?;
    let fresh = staging.path().join("checkout");
    let made = fetch_into(&mut wire, address, commit, &fresh, session, 0);
    drop(wire);
    made.map_err(blame)?;
    // Another build may have been first; its files are the same.
    match fs::rename(&fresh, &dir) {
        Err(e) if !dir.is_dir() => return Err(BuildError::io("create", &dir)(e)),
        _ => {}
    }
    Ok(Checkout { dir, commit: commit.to_string(), _lock: lock })
}

fn fetch_into(
    wire: &mut wire::Wire,
    address: &Address,
    commit: Id,
    into: &Path,
    session: &Session<'_>,
    depth: u32,
) -> Result<(), Trouble> {
    let mut scratch = into.as_os_str().to_owned();
    scratch.push(".objects");
    let scratch = PathBuf::from(scratch);
    let result = (|| {
        let mut objects = object::Objects::create(&scratch)?;
        wire.fetch(commit, &mut objects, session)?;
        let (tree, time) = objects.commit(commit)?;
        let links = checkout::write(&mut objects, tree, into, time, session)?;
        drop(objects);
        if address.submodules && !links.is_empty() {
            if depth >= MAX_SUBMODULES {
                return Err(words(format!("its submodules are nested more than {MAX_SUBMODULES} deep")));
            }
            submodule::fetch_all(address, into, &links, session, depth)?;
        }
        Ok(())
    })();
    let _ = fs::remove_file(&scratch);
    result
}

/// A pack without a server, for the fuzz target.
pub(crate) fn read_pack(bytes: &[u8], scratch: &Path) -> Result<(), Trouble> {
    let mut objects = object::Objects::create(scratch)?;
    pack::read(bytes, &mut objects, &|| Ok(()))
}

/// Lines without a server, for the fuzz target.
pub(crate) fn read_lines(mut bytes: &[u8]) -> Result<(), Trouble> {
    loop {
        pkt::read(&mut bytes)?;
    }
}
