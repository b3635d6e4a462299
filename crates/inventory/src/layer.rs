//! The facts of one layer, before layers are merged.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::analyzers;
use crate::binaries;
use crate::error::InventoryError;
use crate::extras;
use crate::facts::FileFacts;
use crate::model::Unknown;
use crate::options::Options;
use crate::owners;
use crate::root::Root;
use crate::startup::Startup;
use crate::walk::{Flavor, Walked, walk};

/// Grows with every change of what analysers say or how layers are stored, so that old caches are not used.
pub const LAYER_FORMAT: u32 = 6;

/// Everything one layer says, read once; serialisable, so that it can be cached by `diff_id`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LayerInventory {
    /// [`LAYER_FORMAT`] of the writer.
    pub format: u32,
    /// `sha256:…` of the uncompressed layer.
    pub diff_id: String,
    /// Which extra looks were done (bits; see `Options::secrets`, `Options::checks`, `Options::startup`).
    #[serde(default)]
    pub features: u8,
    /// Entries read.
    pub entries: u64,
    /// Bytes of file contents; 0 when the layer was read from its directory.
    pub bytes: u64,
    /// Facts of single files, sorted by path.
    pub(crate) facts: Vec<FileFacts>,
    /// Sorted hashes of paths that are files, links or devices: they hide what lower layers have there and below.
    #[serde(with = "crate::packed")]
    pub(crate) files: Vec<u64>,
    /// Sorted hashes of directories: they hide a lower file of the same path.
    #[serde(with = "crate::packed")]
    pub(crate) dirs: Vec<u64>,
    /// Hashes of deleted paths.
    #[serde(with = "crate::packed")]
    pub(crate) whiteouts: Vec<u64>,
    /// Hashes of directories that hide all that lower layers have in them.
    #[serde(with = "crate::packed")]
    pub(crate) opaque: Vec<u64>,
    /// What its programs need to start, when that was asked for.
    #[serde(default, skip_serializing_if = "Startup::is_empty")]
    pub(crate) startup: Startup,
    /// Damage of the layer as a whole.
    pub(crate) unknown: Vec<Unknown>,
}

/// Opens a layer's decompressed tar stream.
pub type OpenLayer<'a> = Box<dyn Fn() -> std::io::Result<Box<dyn Read + Send + 'a>> + Sync + Send + 'a>;

/// Where one layer can be read.
pub struct LayerSource<'a> {
    /// `sha256:…` of the uncompressed tar; the key of the cache.
    pub diff_id: String,
    /// Opens the decompressed tar stream from its start. May be called twice: hard links to files that were not
    /// expected to matter need a second reading.
    pub open: OpenLayer<'a>,
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

impl LayerInventory {
    /// Whether it was written by this program's format, with all looks that the options ask for.
    pub fn serves(&self, options: &Options) -> bool {
        let wanted = extras::features(options);
        self.format == LAYER_FORMAT && self.features & wanted == wanted
    }

    /// Whether it was read as a whole, so that it may stand for the layer from now on. Damage may be repaired.
    pub fn is_whole(&self) -> bool {
        self.unknown.iter().all(|u| u.what == "limit")
    }

    /// Sorts everything, so that equal layers give equal bytes.
    pub(crate) fn tidy(mut self) -> Self {
        self.facts.sort_by(|a, b| (&a.path, &a.found_by).cmp(&(&b.path, &b.found_by)));
        for list in [&mut self.files, &mut self.dirs, &mut self.whiteouts, &mut self.opaque] {
            list.sort_unstable();
            list.dedup();
            list.shrink_to_fit();
        }
        self.unknown.sort();
        self
    }
}

/// Reads one unpacked layer: a directory with overlayfs whiteouts (character devices 0/0) and opaque marks. The upper
/// directory of a container is one, too.
/// # Errors
/// When the directory cannot be opened.
pub fn scan_layer_dir(dir: &Path, diff_id: &str, options: &Options) -> Result<LayerInventory, InventoryError> {
    let root = Root::open(dir)?;
    let matcher = analyzers::matcher();
    let mut walked: Walked = walk(&root, matcher, options, Flavor::Layer);
    let owned = owners::collect(walked.facts.iter());
    let candidates = std::mem::take(&mut walked.candidates);
    walked.facts.append(&mut binaries::inspect(&root, &candidates, &owned, matcher, options));
    let layer = LayerInventory {
        format: LAYER_FORMAT,
        // What programs need to start is looked up in the directory itself.
        features: extras::features(options) & !extras::STARTUP,
        diff_id: diff_id.to_owned(),
        entries: walked.entries,
        bytes: 0,
        facts: walked.facts,
        files: walked.files,
        dirs: walked.dirs,
        whiteouts: walked.whiteouts,
        opaque: walked.opaque,
        startup: Startup::default(),
        unknown: walked.unknown,
    };
    Ok(layer.tidy())
}
