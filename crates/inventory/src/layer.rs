//! The facts of one layer, before layers are merged.

use std::io::Read;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything one layer says, read once; serialisable, so that it can be cached by `diff_id`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LayerInventory {
    /// `sha256:…` of the uncompressed layer.
    pub diff_id: String,
}

/// Where one layer can be read.
pub struct LayerSource<'a> {
    /// `sha256:…` of the uncompressed tar; the key of the cache.
    pub diff_id: String,
    /// Opens the decompressed tar stream from its start. May be called twice: hard links to files that were not
    /// expected to matter need a second reading.
    #[allow(clippy::type_complexity)]
    pub open: Box<dyn Fn() -> std::io::Result<Box<dyn Read + Send + 'a>> + Sync + Send + 'a>,
    /// The unpacked layer, with overlayfs whiteouts, if there is one. Preferred over the stream.
    pub dir: Option<PathBuf>,
}

/// Keeps what was read of layers, by `diff_id`.
pub trait LayerCache: Sync {
    /// What was stored, if anything usable was.
    fn get(&self, diff_id: &str) -> Option<LayerInventory>;
    /// Stores; failures are the cache's own business.
    fn put(&self, layer: &LayerInventory);
}
