//! An image's layers for the inventory: where to read them, what was read of them before, which instruction made them.

use std::io;
use std::path::PathBuf;

use stockade_advisory::report::LayerOrigin;
use stockade_image::{ImageConfig, LayerSource};
use stockade_inventory::{LAYER_FORMAT, LayerCache, LayerInventory, Options};

use crate::context::Context;

/// A layer of the store, as the inventory reads it.
pub fn source(layer: &LayerSource) -> stockade_inventory::LayerSource<'_> {
    stockade_inventory::LayerSource {
        diff_id: layer.diff_id.to_string(),
        open: Box::new(|| layer.open().map(|r| Box::new(r) as Box<dyn io::Read + Send>).map_err(io::Error::other)),
        dir: layer.dir.clone(),
    }
}

/// The instruction of each layer, lowest first, from the image's history.
pub fn origins(config: &ImageConfig) -> Vec<LayerOrigin> {
    let mut made = config.history.iter().filter(|h| !h.empty_layer);
    config
        .rootfs
        .diff_ids
        .iter()
        .map(|diff_id| LayerOrigin {
            diff_id: diff_id.to_string(),
            instruction: made.next().and_then(|h| h.created_by.as_deref()).map(shorten).filter(|i| !i.is_empty()),
        })
        .collect()
}

/// Builders wrap instructions: docker's `/bin/sh -c #(nop) CMD […]`, BuildKit's `RUN /bin/sh -c … # buildkit`.
fn shorten(text: &str) -> String {
    let text = text.trim().trim_end_matches("# buildkit").trim();
    if let Some(rest) = text.strip_prefix("/bin/sh -c #(nop)") {
        return rest.trim().to_owned();
    }
    match text.strip_prefix("/bin/sh -c ").or_else(|| text.strip_prefix("RUN /bin/sh -c ")) {
        Some(rest) => format!("RUN {}", rest.trim()),
        None => text.to_owned(),
    }
}

/// What was read of layers, kept by `diff_id`: a layer's content never changes.
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// The cache of this root.
    pub fn new(context: &Context) -> Cache {
        Cache { directory: context.settings.dirs.root.join("cache").join("inventory") }
    }

    /// `None` for what is no digest: it comes from documents that may be hostile.
    fn path(&self, diff_id: &str) -> Option<PathBuf> {
        let hex =
            diff_id.strip_prefix("sha256:").filter(|h| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit()))?;
        Some(self.directory.join(format!("{hex}-{LAYER_FORMAT}.json")))
    }
}

impl Cache {
    /// The configuration of an image that lies elsewhere, kept by its id.
    pub fn config(&self, id: &str) -> Option<ImageConfig> {
        let bytes = std::fs::read(self.directory.join(config_name(id)?)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Keeps a configuration.
    pub fn keep_config(&self, id: &str, config: &ImageConfig) {
        let Some(name) = config_name(id) else { return };
        // A cache that cannot be written is no reason to fail.
        let _ = serde_json::to_vec(config).ok().and_then(|bytes| {
            stockade_durable::create_private_dir(&self.directory).ok()?;
            stockade_durable::write_volatile(&self.directory.join(name), &bytes, 0o600).ok()
        });
    }

    /// The layers of an image, when all of them are known.
    pub fn layers(&self, config: &ImageConfig, options: &Options) -> Option<Vec<LayerInventory>> {
        config
            .rootfs
            .diff_ids
            .iter()
            .map(|id| self.get(&id.to_string()).filter(|l| l.diff_id == id.to_string() && l.serves(options)))
            .collect()
    }
}

/// File name of a configuration: only for ids that are digests.
fn config_name(id: &str) -> Option<String> {
    let hex = id.strip_prefix("sha256:")?;
    (hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit())).then(|| format!("config-{hex}.json"))
}

impl LayerCache for Cache {
    fn get(&self, diff_id: &str) -> Option<LayerInventory> {
        serde_json::from_slice(&std::fs::read(self.path(diff_id)?).ok()?).ok()
    }

    fn put(&self, layer: &LayerInventory) {
        // A cache that cannot be written is no reason to fail.
        let _ = serde_json::to_vec(layer).ok().and_then(|bytes| {
            stockade_durable::create_private_dir(&self.directory).ok()?;
            stockade_durable::write_volatile(&self.path(&layer.diff_id)?, &bytes, 0o600).ok()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_shown_as_written() {
        for (stored, shown) in [
            ("/bin/sh -c #(nop)  CMD [\"bash\"]", "CMD [\"bash\"]"),
            ("RUN /bin/sh -c apt-get update # buildkit", "RUN apt-get update"),
            ("/bin/sh -c apt-get update", "RUN apt-get update"),
            ("COPY . /app # buildkit", "COPY . /app"),
            ("RUN apt-get update", "RUN apt-get update"),
        ] {
            assert_eq!(shorten(stored), shown);
        }
    }
}
