//! From a target on the command line to a report: which facts, which target, read or taken from the cache.

mod archive;
mod cache;
mod container;
mod daemon;
pub mod database;
mod delta;
mod fetch;
pub mod inputs;
pub mod layers;
mod list;
mod remote;
pub mod serve;
mod streamed;
mod target;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::Path;

use stockade_advisory::matching::MatchOptions;
use stockade_advisory::report::{News, ScanReport, assemble};
use stockade_advisory::{AdvisoryError, Database};
use stockade_image::{Image, Store};
use stockade_inventory::Options;

use crate::context::Context;
use crate::failure::Failure;

pub use database::open as open_database;
pub use list::{Listing, list};
pub use target::{RemoteArgs, Target as Spec};

/// How to scan.
#[derive(Debug, Clone, Default)]
pub struct ScanOptions {
    /// How to match.
    pub matching: MatchOptions,
    /// What to look for, and the bounds.
    pub inventory: Options,
    /// Do not use or fill the cache of reports.
    pub no_cache: bool,
}

/// Scans a target against a database. The report says nothing about the age of the facts yet (`ScanReport::say_age`).
pub fn scan(context: &Context, spec: &Spec, database: &Database, options: &ScanOptions) -> Result<ScanReport, Failure> {
    if let Spec::Image(name) = spec {
        let store = Store::open(&context.settings.dirs.root)?;
        let image = list::find_image(&store, name)?;
        return scan_image(context, &store, &image, name, database, options);
    }
    let listing = list(context, spec, &options.inventory)?;
    Ok(report(&listing, database, options)?)
}

/// Scans an image of the store; the report is kept by image, database and program.
pub fn scan_image(
    context: &Context,
    store: &Store,
    image: &Image,
    name: &str,
    database: &Database,
    options: &ScanOptions,
) -> Result<ScanReport, Failure> {
    let key = cache::Key::new(&image.id.to_string(), database, options)?;
    if !options.no_cache
        && let Some(mut report) = cache::load(context, &key)
    {
        name.clone_into(&mut report.target.name);
        return Ok(report);
    }
    let listing = list::image(context, store, image, name, &options.inventory)?;
    let mut report = report(&listing, database, options)?;
    if !options.no_cache {
        report.news = cache::earlier(context, &key, &report).map(|earlier| News::between(&earlier, &report));
    }
    if !options.no_cache {
        cache::save(context, &key, &report);
    }
    Ok(report)
}

fn report(listing: &Listing, database: &Database, options: &ScanOptions) -> Result<ScanReport, AdvisoryError> {
    let matches = database.match_inventory(&listing.inventory, &options.matching)?;
    let version = env!("CARGO_PKG_VERSION");
    let mut report = assemble(listing.target.clone(), &listing.inventory, matches, &listing.layers, database, version)?;
    report.drift.clone_from(&listing.drift);
    Ok(report)
}

/// Today, in the machine's time zone.
pub fn today() -> jiff::civil::Date {
    jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date()
}

/// Writes a report or list where the person asked: `-` is stdout, a pipe or device is written to as it is, and a file is
/// replaced at once.
pub fn write_output(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if path == Path::new("-") {
        io::stdout().lock().write_all(bytes)?;
        return Ok(());
    }
    let special = std::fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir());
    if special {
        let failed = |e: io::Error| Failure::new(format!("cannot write `{}`: {e}", path.display()));
        let mut file = std::fs::File::options().write(true).open(path).map_err(failed)?;
        return file.write_all(bytes).map_err(failed);
    }
    Ok(stockade_durable::write(path, bytes, 0o644)?)
}

/// Collects small pieces of output to large ones. Unlike `BufWriter` it is one type whatever it writes to, so that
/// a serialiser's many small writes are inlined.
pub struct Pieces<'a> {
    buffer: Vec<u8>,
    out: &'a mut dyn Write,
}

/// Bytes of a piece of output.
const PIECE_BYTES: usize = 128 << 10;

impl Write for Pieces<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.buffer);
        self.buffer.clear();
        written
    }
}

/// The same for what is written piece by piece; without a path to stdout. A report can be made again: it is not waited
/// for until it is on the disk.
pub fn write_with(path: Option<&Path>, write: impl FnOnce(&mut Pieces<'_>) -> io::Result<()>) -> Result<(), Failure> {
    let whole = |out: &mut dyn Write| {
        let mut pieces = Pieces { buffer: Vec::with_capacity(PIECE_BYTES + (4 << 10)), out };
        write(&mut pieces).and_then(|()| pieces.flush())
    };
    let Some(path) = path.filter(|p| *p != Path::new("-")) else {
        return Ok(whole(&mut io::stdout().lock())?);
    };
    let failed = |e: io::Error| Failure::new(format!("cannot write `{}`: {e}", path.display()));
    let special = std::fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir());
    if special {
        let mut file = std::fs::File::options().write(true).open(path).map_err(failed)?;
        return whole(&mut file).map_err(failed);
    }
    let directory = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = directory.join(stockade_durable::temporary_name());
    let result = std::fs::File::options().write(true).create_new(true).open(&temporary).and_then(|mut file| {
        whole(&mut file)?;
        std::fs::rename(&temporary, path)
    });
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result.map_err(failed)
}

/// A random UUID (version 4), for documents that want a serial number.
pub fn random_uuid() -> String {
    let mut bytes = [0u8; 16];
    // 16 hex digits each, from the same source as temporary names.
    for half in bytes.chunks_mut(8) {
        let name = stockade_durable::temporary_name();
        let hex = name.strip_prefix(stockade_durable::TEMPORARY_PREFIX).unwrap_or_default();
        half.copy_from_slice(&u64::from_str_radix(hex, 16).unwrap_or_default().to_be_bytes());
    }
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let parts: Vec<&str> = [0..8, 8..12, 12..16, 16..20, 20..32].into_iter().filter_map(|r| hex.get(r)).collect();
    parts.join("-")
}
