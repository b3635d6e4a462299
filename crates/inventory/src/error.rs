//! Failures: only when nothing could be looked at. What could be read in part is data, in `Inventory::unknown`.

use std::path::PathBuf;

/// Why a scan could not even begin, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// The root directory or file cannot be opened.
    #[error("cannot open `{}` to list its packages; check that it exists and may be read", path.display())]
    Open {
        /// What was to be read.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The target is no directory.
    #[error("`{}` is not a directory; give a root directory, or scan it as a file", path.display())]
    NotADirectory {
        /// What was given.
        path: PathBuf,
    },
    /// A layer's stream cannot be opened at all.
    #[error("cannot read layer {diff_id}; verify the store, or load the image again")]
    Layer {
        /// Digest of the layer.
        diff_id: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The bytes are no SBOM of a known format.
    #[error("cannot read the SBOM `{name}`: {why}")]
    Sbom {
        /// File name as given.
        name: String,
        /// What was wrong with it.
        why: String,
    },
}
