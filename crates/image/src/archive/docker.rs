//! Docker's archive form: `manifest.json` names configurations and layer tars.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::staged::StagedArchive;
use crate::config::ImageConfig;
use crate::error::{ImageError, Result};
use crate::reference::Reference;
use crate::store::{Image, Store};

/// One image in `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ManifestEntry {
    /// Path of the configuration.
    pub config: String,
    /// Names, familiar form; docker writes `null` where there is none.
    pub repo_tags: Option<Vec<String>>,
    /// Paths of the layer tars, lowest first; docker writes `null` for an image without layers.
    pub layers: Option<Vec<String>>,
}

/// Parses `manifest.json`.
pub fn parse_docker_manifest(bytes: &[u8]) -> Result<Vec<ManifestEntry>> {
    serde_json::from_slice(bytes).map_err(|e| ImageError::malformed("manifest.json of the image archive", e))
}

pub(super) fn load(store: &Store, archive: &StagedArchive) -> Result<Vec<Image>> {
    let entries = parse_docker_manifest(&archive.document("manifest.json")?)?;
    entries.iter().map(|entry| load_one(store, archive, entry)).collect()
}

fn load_one(store: &Store, archive: &StagedArchive, entry: &ManifestEntry) -> Result<Image> {
    let bytes = archive.document(&entry.config)?;
    let config: ImageConfig = serde_json::from_slice(&bytes)
        .map_err(|e| ImageError::malformed(format!("image configuration `{}`", entry.config), e))?;
    let names = entry.repo_tags.iter().flatten().map(|name| Reference::parse(name)).collect::<Result<Vec<_>>>()?;
    let paths = entry.layers.as_deref().unwrap_or_default();
    let diff_ids = &config.rootfs.diff_ids;
    if paths.len() != diff_ids.len() {
        return Err(ImageError::malformed(
            format!("image configuration `{}`", entry.config),
            format!("it tells {} layers, manifest.json tells {}", diff_ids.len(), paths.len()),
        ));
    }
    let mut layers = Vec::with_capacity(paths.len());
    for (path, diff_id) in paths.iter().zip(diff_ids) {
        layers.push(match store.layer(diff_id)? {
            Some(known) => known,
            None => store.layer_from_staged_tar(archive.file(path)?, diff_id)?,
        });
    }
    let names: Vec<Reference> = names.into_iter().map(Reference::or_latest).collect();
    store.commit_bytes(&bytes, &layers, &names, &BTreeMap::new())
}
