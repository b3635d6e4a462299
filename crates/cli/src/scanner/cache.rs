//! Reports of images, kept by image, database and program: the second scan reads one file.
//!
//! Entries are written to a temporary name and renamed, so readers need no lock. A damaged or foreign entry is no entry.

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use stockade_advisory::report::{SCHEMA, ScanReport};
use stockade_advisory::{AdvisoryError, Database};

use super::ScanOptions;
use crate::context::Context;

/// What a report depends on.
#[derive(Debug)]
pub struct Key(String);

impl Key {
    /// The key of a report.
    pub fn new(image: &str, database: &Database, options: &ScanOptions) -> Result<Key, AdvisoryError> {
        let image = image.strip_prefix("sha256:").unwrap_or(image);
        let facts: String = database.reader()?.digest().chars().take(16).collect();
        let wanted =
            [(options.matching.kernel_headers, 'k'), (options.inventory.secrets, 's'), (options.inventory.checks, 'c')];
        let letters: String = wanted.iter().filter(|(on, _)| *on).map(|(_, letter)| *letter).collect();
        Ok(Key(format!("{image}-{facts}-{}+{letters}", program())))
    }
}

/// Names the running program: a new build may match differently.
fn program() -> String {
    let stamp = std::fs::metadata("/proc/self/exe").ok().map(|meta| {
        let time = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos());
        format!("{:x}.{:x}", meta.len(), time)
    });
    stamp.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned())
}

fn directory(context: &Context) -> PathBuf {
    context.settings.dirs.root.join("cache").join("scan")
}

/// The stored report, if there is a usable one.
pub fn load(context: &Context, key: &Key) -> Option<ScanReport> {
    let bytes = std::fs::read(directory(context).join(format!("{}.json", key.0))).ok()?;
    let report: ScanReport = serde_json::from_slice(&bytes).ok()?;
    (report.schema == SCHEMA).then_some(report)
}

/// The newest report of the same image and options that another database gave.
pub fn earlier(context: &Context, key: &Key, now: &ScanReport) -> Option<ScanReport> {
    let image = key.0.split('-').next().unwrap_or_default();
    let options = format!("+{}.json", key.0.rsplit_once('+').map_or("", |(_, letters)| letters));
    let mut found = std::fs::read_dir(directory(context))
        .ok()?
        .flatten()
        .filter(|e| {
            let name = e.file_name().to_string_lossy().into_owned();
            name.starts_with(image) && name.ends_with(&options)
        })
        .filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path())))
        .collect::<Vec<_>>();
    found.sort();
    let bytes = std::fs::read(&found.pop()?.1).ok()?;
    let report: ScanReport = serde_json::from_slice(&bytes).ok()?;
    (report.schema == SCHEMA && report.database.digest != now.database.digest).then_some(report)
}

/// Stores a report. A cache that cannot be written is no reason to fail.
pub fn save(context: &Context, key: &Key, report: &ScanReport) {
    let directory = directory(context);
    let stored = serde_json::to_vec(report).ok().and_then(|bytes| {
        stockade_durable::create_private_dir(&directory).ok()?;
        stockade_durable::write_volatile(&directory.join(format!("{}.json", key.0)), &bytes, 0o600).ok()
    });
    if stored.is_some() {
        drop_others(context, key);
    }
}

/// Removes reports of the same image that older facts or programs made: nothing asks for them any more.
fn drop_others(context: &Context, key: &Key) {
    let image = key.0.split('-').next().unwrap_or_default();
    let base = key.0.split('+').next().unwrap_or_default();
    let Ok(entries) = std::fs::read_dir(directory(context)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // A report with other options of the same facts and program may stay.
        if name.starts_with(image) && !name.starts_with(base) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
