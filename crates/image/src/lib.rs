//! Images: names, the store on disk, layers, tar in and out.
//!
//! What the room promises:
//! - [`mod@reference`] parses names as docker does.
//! - [`store::Store`] keeps images as an OCI image layout beside unpacked layers; see its documentation for the
//!   order of writes that makes it safe under `kill -9` and under concurrent processes.
//! - [`layer`] turns layer tars into directories and back, without ever reaching outside the directory.
//! - [`archive`] reads and writes docker and OCI archives.
#![forbid(unsafe_code)]

pub mod archive;
pub mod config;
pub mod diff;
pub mod digest;
pub mod error;
pub mod files;
pub mod layer;
pub mod reference;
pub mod store;
pub mod tar;

pub use archive::Format;
pub use config::{ContainerConfig, Descriptor, History, ImageConfig, Manifest, Platform, RootFs};
pub use digest::Digest;
pub use error::{ImageError, Result};
pub use layer::{LayerReader, Limits, UnpackOptions, UnpackReport};
pub use reference::Reference;
pub use store::{
    Attachment, BlobInfo, CacheEntry, Checked, Damage, Depth, HistoryEntry, Image, ImageUsage, Layer, LayerOptions,
    LayerSource, Lease, Partial, Pruned, Removed, Repair, Staging, Store, StoreUsage, TreeNode, Verify,
};
