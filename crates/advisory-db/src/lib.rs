//! The advisory database file: its layout, its reader, its writer, and the importers that fill it.
//!
//! This is a crate of its own only because the room `advisory` needs it twice: at run time, and in its build script,
//! which makes the embedded starter database from `data/advisories`. The layout is described in `docs/advisory-db.md`.
//!
//! Shape of the flow: files -> [`import`] -> [`model::Record`] -> [`writer::Writer`] -> one file -> [`reader::Reader`].
#![forbid(unsafe_code)]

pub mod error;
pub mod import;
pub mod layout;
pub mod model;
pub mod names;
pub mod reader;
pub mod starter;
pub mod writer;
pub mod zip;

pub use error::DbError;
pub use model::{Affected, Event, EventKind, ExploitedFact, Informational, Label, Note, Record, Source};
pub use reader::Reader;
pub use writer::Writer;
