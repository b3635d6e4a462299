//! The entry points: a root directory, image layers.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::analyzers;
use crate::binaries;
use crate::error::InventoryError;
use crate::facts::{FileFacts, Note};
use crate::finish::finish;
use crate::layer::{LayerCache, LayerInventory, LayerSource, scan_layer_dir};
use crate::merge::merge;
use crate::model::Inventory;
use crate::options::Options;
use crate::owners;
use crate::root::Root;
use crate::verified::{expect_digest, scan_layer_verified};
use crate::walk::{Flavor, threads, walk};

/// Lists the packages of a root directory, as a process inside it would see it.
/// # Errors
/// When `root` cannot be opened or is no directory.
pub fn scan_dir(root: &Path, options: &Options) -> Result<Inventory, InventoryError> {
    scan_tree(root, options, true)
}

/// Lists the packages of a source tree: lock files and the like. The same as [`scan_dir`], but no operating system is
/// expected.
/// # Errors
/// When `root` cannot be opened or is no directory.
pub fn scan_source(root: &Path, options: &Options) -> Result<Inventory, InventoryError> {
    scan_tree(root, options, false)
}

fn scan_tree(path: &Path, options: &Options, whole_system: bool) -> Result<Inventory, InventoryError> {
    let root = Root::open(path)?;
    let matcher = analyzers::matcher();
    let mut walked = walk(&root, matcher, options, Flavor::Root);
    let owned = owners::collect(walked.facts.iter());
    let candidates = std::mem::take(&mut walked.candidates);
    walked.facts.append(&mut binaries::inspect(&root, &candidates, &owned, matcher, options));
    drop((owned, candidates));
    if whole_system {
        walked.facts.extend(linked_release(&root, &walked.facts));
    }
    let facts = walked.facts.into_iter().map(|f| (None, f)).collect();
    Ok(finish(facts, walked.unknown, options, whole_system))
}

/// os-release behind links that lead elsewhere than usual: read as a process in the root would.
fn linked_release(root: &Root, facts: &[FileFacts]) -> Option<FileFacts> {
    if facts.iter().any(|f| f.notes.iter().any(|n| matches!(n, Note::OsRelease(_)))) {
        return None;
    }
    let mut text = String::new();
    let file = root.file_following(b"etc/os-release").ok().filter(|f| f.metadata().is_ok_and(|m| m.is_file()))?;
    std::io::Read::read_to_string(&mut std::io::Read::take(file, 1 << 20), &mut text).ok()?;
    let notes = vec![Note::OsRelease(analyzers::os_release::parse(&text))];
    Some(FileFacts {
        path: "etc/os-release".to_owned(),
        found_by: "os-release".to_owned(),
        notes,
        ..FileFacts::default()
    })
}

/// Lists the packages of an image: each layer read once, in parallel, then merged. `layers` has the lowest first. A
/// layer whose stream is damaged gives what could be read, and an `unknown`.
/// # Errors
/// When a layer cannot be opened at all.
pub fn scan_layers(
    layers: &[LayerSource<'_>],
    cache: Option<&dyn LayerCache>,
    options: &Options,
) -> Result<Inventory, InventoryError> {
    Ok(merge(&read_layers(layers, cache, options)?, options))
}

/// Reads each layer once, in parallel.
/// # Errors
/// When a layer cannot be opened at all.
pub fn read_layers(
    layers: &[LayerSource<'_>],
    cache: Option<&dyn LayerCache>,
    options: &Options,
) -> Result<Vec<LayerInventory>, InventoryError> {
    let workers = threads(options).min(layers.len().max(1));
    // What the layers do not use, each layer's own walk may.
    let inner = Options { threads: threads(options).div_ceil(workers), ..options.clone() };
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<LayerInventory, InventoryError>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(source) = layers.get(index) else { return };
                    let result = read_layer(source, cache, &inner);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

fn read_layer(
    source: &LayerSource<'_>,
    cache: Option<&dyn LayerCache>,
    options: &Options,
) -> Result<LayerInventory, InventoryError> {
    if let Some(found) = cache.and_then(|c| c.get(&source.diff_id))
        && found.diff_id == source.diff_id
        && found.serves(options)
    {
        return Ok(found);
    }
    let layer = match source.dir.as_deref().filter(|dir| dir.is_dir()) {
        Some(dir) => scan_layer_dir(dir, &source.diff_id, options)?,
        None => {
            let stream = (source.open)()
                .map_err(|error| InventoryError::Layer { diff_id: source.diff_id.clone(), source: error })?;
            let layer = scan_layer_verified(stream, Some(&*source.open), options);
            expect_digest(layer, &source.diff_id)
        }
    };
    // A damaged layer may be read again, when it was repaired.
    if let Some(cache) = cache.filter(|_| layer.is_whole()) {
        cache.put(&layer);
    }
    Ok(layer)
}
