//! From a target on the command line to a report: which facts, which target, read or taken from the cache.

mod archive;
mod cache;
pub mod database;
mod layers;
mod target;
#[cfg(test)]
mod tests;

use std::io::Read as _;
use std::path::Path;

use stockade_advisory::matching::MatchOptions;
use stockade_advisory::report::{LayerOrigin, ScanReport, Target, assemble};
use stockade_advisory::{AdvisoryError, Database};
use stockade_image::{Image, Store};
use stockade_inventory::{
    Inventory, MAX_SBOM_BYTES, Options, read_sbom, scan_dir, scan_file, scan_layers, scan_source,
};

use crate::context::Context;
use crate::failure::Failure;

pub use database::open as open_database;
pub use target::Target as Spec;

/// How to scan.
#[derive(Debug, Clone, Default)]
pub struct ScanOptions {
    /// How to match.
    pub matching: MatchOptions,
    /// Do not use or fill the cache of reports.
    pub no_cache: bool,
}

/// What was read of a target.
pub struct Listing {
    /// What it is.
    pub target: Target,
    /// What is in it.
    pub inventory: Inventory,
    /// Where its layers come from, lowest first.
    pub layers: Vec<LayerOrigin>,
}

/// Scans a target against a database. The report says nothing about the age of the facts yet (`ScanReport::say_age`).
pub fn scan(context: &Context, spec: &Spec, database: &Database, options: &ScanOptions) -> Result<ScanReport, Failure> {
    if let Spec::Image(name) = spec {
        let store = Store::open(&context.settings.dirs.root)?;
        let image = find_image(&store, name)?;
        return scan_image(context, &store, &image, name, database, options);
    }
    let listing = list(context, spec)?;
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
    let key = cache::Key::new(&image.id.to_string(), database, &options.matching)?;
    if !options.no_cache
        && let Some(mut report) = cache::load(context, &key)
    {
        name.clone_into(&mut report.target.name);
        return Ok(report);
    }
    let listing = list_image(context, store, image, name)?;
    let report = report(&listing, database, options)?;
    if !options.no_cache {
        cache::save(context, &key, &report);
    }
    Ok(report)
}

/// Lists what is in a target, without judging.
pub fn list(context: &Context, spec: &Spec) -> Result<Listing, Failure> {
    let inventory_options = Options::default();
    let (kind, name, inventory) = match spec {
        Spec::Image(name) => {
            let store = Store::open(&context.settings.dirs.root)?;
            let image = find_image(&store, name)?;
            return list_image(context, &store, &image, name);
        }
        Spec::Archive(path) => return list_archive(context, path),
        Spec::Sbom(path) => ("sbom", path, sbom(path)?),
        Spec::File(path) => ("file", path, scan_file(path, &inventory_options)?),
        Spec::Root(path) => ("dir", path, scan_dir(path, &inventory_options)?),
        Spec::Source(path) => ("fs", path, scan_source(path, &inventory_options)?),
    };
    let target = Target { name: name.display().to_string(), kind: kind.to_owned(), ..Target::default() };
    Ok(Listing { target, inventory, layers: Vec::new() })
}

fn list_image(context: &Context, store: &Store, image: &Image, name: &str) -> Result<Listing, Failure> {
    let sources = store.layer_readers(image)?;
    let readers: Vec<_> = sources.iter().map(layers::source).collect();
    let cache = layers::Cache::new(context);
    let inventory = scan_layers(&readers, Some(&cache), &Options::default())?;
    let target = Target {
        name: name.to_owned(),
        kind: "image".to_owned(),
        digest: Some(image.id.to_string()),
        ..Target::default()
    };
    Ok(Listing { target, inventory, layers: layers::origins(&image.config) })
}

fn sbom(path: &Path) -> Result<Inventory, Failure> {
    let failed = |e: std::io::Error| Failure::new(format!("cannot read `{}`: {e}", path.display()));
    let mut bytes = Vec::new();
    // One byte over the limit is enough for the reader to refuse it.
    std::fs::File::open(path).map_err(failed)?.take(MAX_SBOM_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(read_sbom(&bytes, &path.display().to_string())?)
}

fn list_archive(context: &Context, path: &Path) -> Result<Listing, Failure> {
    let image = archive::ArchivedImage::open(path)?;
    let cache = layers::Cache::new(context);
    let mut inventory = scan_layers(&image.sources(), Some(&cache), &Options::default())?;
    inventory.unknown.extend(image.unknown.iter().cloned());
    let target = Target {
        name: path.display().to_string(),
        kind: "archive".to_owned(),
        digest: image.id.clone(),
        ..Target::default()
    };
    Ok(Listing { target, inventory, layers: layers::origins(&image.config) })
}

fn report(listing: &Listing, database: &Database, options: &ScanOptions) -> Result<ScanReport, AdvisoryError> {
    let matches = database.match_inventory(&listing.inventory, &options.matching)?;
    let version = env!("CARGO_PKG_VERSION");
    assemble(listing.target.clone(), &listing.inventory, matches, &listing.layers, database, version)
}

fn find_image(store: &Store, name: &str) -> Result<Image, Failure> {
    store.resolve(name)?.ok_or_else(|| {
        Failure::new(format!("no image and no path is named `{name}`"))
            .hint("`stockade images` lists images; a directory is named `dir:PATH`, an archive `docker-archive:FILE`")
    })
}

/// Today, in the machine's time zone.
pub fn today() -> jiff::civil::Date {
    jiff::ZonedDateTime::now().date()
}

/// Writes a report or list where the person asked: `-` is stdout, a pipe or device is written to as it is, and a file is
/// replaced at once.
pub fn write_output(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    if path == Path::new("-") {
        std::io::stdout().lock().write_all(bytes)?;
        return Ok(());
    }
    let special = std::fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir());
    if special {
        let failed = |e: std::io::Error| Failure::new(format!("cannot write `{}`: {e}", path.display()));
        let mut file = std::fs::File::options().write(true).open(path).map_err(failed)?;
        return file.write_all(bytes).map_err(failed);
    }
    Ok(stockade_durable::write(path, bytes, 0o644)?)
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
