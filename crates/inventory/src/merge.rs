//! Merges layers to what a container of the image would see.
//!
//! A fact about a file of layer L counts unless a higher layer deletes the path or a directory above it, marks a
//! directory above it opaque, or puts something else in the place: a file or link where there was a directory (all
//! below is hidden), or anything where there was the file.

use std::collections::{HashMap, HashSet};

use crate::facts::FileFacts;
use crate::finish::finish;
use crate::layer::LayerInventory;
use crate::model::{Evidence, Inventory, LayerInfo, Package, Unknown};
use crate::options::Options;
use crate::pathhash::{self, HashMap64};
use crate::secrets::Secret;

/// For one path: the topmost layers that hide something there, as index + 1; 0 means none.
#[derive(Debug, Default, Clone, Copy)]
struct Hiders {
    /// Deletes or replaces the path by something that is no directory: hides it and all below.
    all: u32,
    /// Makes it a directory: hides a file of that path.
    exact: u32,
    /// Opaque: hides what is below.
    below: u32,
}

/// Merges layers, lowest first, to what a container of the image would see.
pub fn merge(layers: &[LayerInventory], options: &Options) -> Inventory {
    let hiders = hiders(layers);
    let mut visible: Vec<(Option<usize>, FileFacts)> = Vec::new();
    let mut deleted: Vec<Secret> = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        for facts in &layer.facts {
            if is_visible(&facts.path, index as u32 + 1, &hiders) {
                visible.push((Some(index), facts.clone()));
            } else if options.secrets {
                deleted.extend(facts.secrets.iter().map(|s| Secret { layer: Some(index), deleted: true, ..s.clone() }));
            }
        }
    }
    let mut unknown = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        unknown.extend(layer.unknown.iter().map(|u| in_layer(u, index)));
    }
    let mut inventory = finish(visible, unknown, options, true);
    attribute(&mut inventory.packages, layers);
    add_deleted(&mut inventory.secrets, deleted);
    inventory.layers = layers
        .iter()
        .map(|layer| LayerInfo { diff_id: layer.diff_id.clone(), entries: layer.entries, bytes: layer.bytes })
        .collect();
    inventory
}

/// A file that an upper layer replaces by one with the same secret is one finding, not two.
fn add_deleted(secrets: &mut Vec<Secret>, deleted: Vec<Secret>) {
    for secret in deleted {
        if !secrets.iter().any(|s| s.path == secret.path && s.rule == secret.rule && s.hint == secret.hint) {
            secrets.push(secret);
        }
    }
    secrets.sort();
}

fn in_layer(unknown: &Unknown, index: usize) -> Unknown {
    Unknown { why: format!("{} (layer {index})", unknown.why), ..unknown.clone() }
}

/// Looks up, for every path that some fact sits at or below, which layers hide it.
fn hiders(layers: &[LayerInventory]) -> HashMap64<Hiders> {
    let mut map: HashMap64<Hiders> = HashMap64::default();
    let mut last_dir = "";
    // The top layer's facts cannot be hidden.
    for layer in layers.iter().rev().skip(1) {
        for facts in &layer.facts {
            let dir = facts.path.rsplit_once('/').map_or("", |(dir, _)| dir);
            if dir == last_dir && !dir.is_empty() {
                map.entry(pathhash::path(facts.path.as_bytes())).or_default();
                continue;
            }
            last_dir = dir;
            pathhash::with_ancestors(facts.path.as_bytes(), |hash, _| {
                map.entry(hash).or_default();
                false
            });
        }
    }
    if map.is_empty() {
        return map;
    }
    for (index, layer) in layers.iter().enumerate() {
        let mark = index as u32 + 1;
        for hash in layer.files.iter().chain(&layer.whiteouts) {
            if let Some(hiders) = map.get_mut(hash) {
                hiders.all = mark;
            }
        }
        for hash in &layer.dirs {
            if let Some(hiders) = map.get_mut(hash) {
                hiders.exact = mark;
            }
        }
        for hash in &layer.opaque {
            if let Some(hiders) = map.get_mut(hash) {
                hiders.below = mark;
            }
        }
    }
    map
}

fn is_visible(path: &str, mark: u32, hiders: &HashMap64<Hiders>) -> bool {
    !pathhash::with_ancestors(path.as_bytes(), |hash, is_self| {
        hiders.get(&hash).is_some_and(|h| h.all > mark || if is_self { h.exact > mark } else { h.below > mark })
    })
}

/// Package databases are rewritten by every layer that installs something. The layer that brought a package is the
/// lowest one from which on every version of the database lists it as it is.
fn attribute(packages: &mut [Package], layers: &[LayerInventory]) {
    type Key<'a> = (&'a str, &'a str, Option<&'a str>);
    let mut databases: HashMap<&str, Vec<(usize, HashSet<Key<'_>>)>> = HashMap::new();
    for (index, layer) in layers.iter().enumerate() {
        for facts in &layer.facts {
            if facts.packages.first().is_some_and(|p| p.evidence == Evidence::Database) {
                let keys = facts.packages.iter().map(|p| (p.name.as_str(), p.version.as_str(), p.arch.as_deref()));
                databases.entry(&facts.path).or_default().push((index, keys.collect()));
            }
        }
    }
    for package in packages {
        let (Some(top), Some(versions)) = (package.layer, databases.get(package.path.as_str())) else { continue };
        let mut origin = top;
        for (index, keys) in versions.iter().rev().filter(|(index, _)| *index < top) {
            if !keys.contains(&(package.name.as_str(), package.version.as_str(), package.arch.as_deref())) {
                break;
            }
            origin = *index;
        }
        package.layer = Some(origin);
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
