//! The image store on disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::archive::Format;
use crate::config::{Descriptor, ImageConfig, Manifest};
use crate::digest::Digest;
use crate::error::{ImageError, Result};
use crate::layer::LayerReader;
use crate::reference::Reference;

/// The image store. Cheap to open; several processes may use one root at the same time.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
}

/// An image of the store, with what its documents say.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the configuration: the image id that docker shows.
    pub id: Digest,
    /// Digest of the manifest: what registries know the image by.
    pub manifest_digest: Digest,
    /// The configuration.
    pub config: ImageConfig,
    /// The manifest.
    pub manifest: Manifest,
    /// Names in familiar form, sorted; empty for a dangling image.
    pub names: Vec<String>,
    /// Bytes of the unpacked files of all layers.
    pub size: u64,
    /// RFC 3339 time of creation, as the configuration says.
    pub created: Option<String>,
}

/// A layer of the store: its blob is in the layout, its unpacked directory beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The blob.
    pub descriptor: Descriptor,
}

/// A blob that was put into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
}

/// How [`Store::layer_from_dir`] writes the layer.
#[derive(Debug, Clone, Default)]
pub struct LayerOptions {
    /// Times later than this (seconds since 1970) are set to it, in the tar and in the directory.
    pub clamp_mtime: Option<i64>,
}

/// One layer of an image for a reader that does not want to mount it.
#[derive(Debug, Clone)]
pub struct LayerSource {
    /// The blob.
    pub descriptor: Descriptor,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Path of the blob.
    pub blob: PathBuf,
    /// The unpacked directory, if the layer is unpacked.
    pub dir: Option<PathBuf>,
}

/// A lease on an image: it, its layers and its blobs stay while the lease file exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it (a container id).
    pub holder: String,
    /// Id of the image.
    pub image: Digest,
}

/// What [`Store::remove`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Names that are gone, familiar form.
    pub untagged: Vec<String>,
    /// Images (ids) and layers (diff ids) that are gone.
    pub deleted: Vec<Digest>,
    /// Bytes that became free.
    pub bytes: u64,
}

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names that are gone, familiar form.
    pub untagged: Vec<String>,
    /// Images (ids) and layers (diff ids) that are gone.
    pub deleted: Vec<Digest>,
    /// Bytes that became free.
    pub bytes: u64,
}

/// Something wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The thing: a name, a blob, a layer.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
    /// The next step.
    pub advice: String,
}

/// One line of `history`, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The image's id on the newest line; older lines have none, as with docker's `<missing>`.
    pub id: Option<Digest>,
    /// RFC 3339 time.
    pub created: Option<String>,
    /// The instruction.
    pub created_by: String,
    /// Unpacked bytes of its layer.
    pub size: u64,
    /// Free text.
    pub comment: String,
    /// The layer, if the instruction made one.
    pub diff_id: Option<Digest>,
}

/// One entry of the build cache, for `builder du`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The key.
    pub key: String,
    /// Bytes of the entry itself and of pinned layers that nothing else needs.
    pub bytes: u64,
    /// Seconds since 1970 of the last use.
    pub last_used: i64,
    /// Pinned layers and blobs.
    pub pins: Vec<Digest>,
    /// Whether an image uses its layers too.
    pub in_use: bool,
}

/// A private directory on the store's file system, removed when dropped or when the process dies.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
}

impl Staging {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn later<T>() -> Result<T> {
    Err(ImageError::Unsupported { what: "this".into(), reason: "under construction".into() })
}

#[allow(missing_docs, unused_variables)]
impl Store {
    pub fn open(root: &Path) -> Result<Store> {
        later()
    }
    pub fn root(&self) -> &Path {
        &self.root
    }
    pub fn resolve(&self, name: &str) -> Result<Option<Image>> {
        later()
    }
    pub fn get(&self, id: &Digest) -> Result<Option<Image>> {
        later()
    }
    pub fn list(&self) -> Result<Vec<Image>> {
        later()
    }
    pub fn tag(&self, id: &Digest, name: &Reference) -> Result<()> {
        later()
    }
    /// Takes the name away; the image stays, dangling if it was its last name.
    pub fn untag(&self, name: &Reference) -> Result<Digest> {
        later()
    }
    pub fn remove(&self, name: &str, force: bool) -> Result<Removed> {
        later()
    }
    /// Topmost first.
    pub fn layer_dirs(&self, image: &Image) -> Result<Vec<PathBuf>> {
        later()
    }
    /// Directories of single layers, in the order given (for builds).
    pub fn layer_dir(&self, layer: &Layer) -> Result<PathBuf> {
        later()
    }
    /// The image's layers, lowest first.
    pub fn layers(&self, image: &Image) -> Result<Vec<Layer>> {
        later()
    }
    /// A layer by diff id if it is in the store; it stays at least while this Store value lives.
    pub fn layer(&self, diff_id: &Digest) -> Result<Option<Layer>> {
        later()
    }
    pub fn layer_readers(&self, image: &Image) -> Result<Vec<LayerSource>> {
        later()
    }
    pub fn use_image(&self, image: &Image, holder: &str) -> Result<Lease> {
        later()
    }
    pub fn release(&self, holder: &str) -> Result<()> {
        later()
    }
    pub fn holders(&self, id: &Digest) -> Result<Vec<String>> {
        later()
    }
    pub fn leases(&self) -> Result<Vec<Lease>> {
        later()
    }
    pub fn put_blob(&self, reader: impl Read, expected: Option<&Digest>) -> Result<BlobInfo> {
        later()
    }
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        later()
    }
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        later()
    }
    pub fn layer_from_dir(&self, dir: &Path, options: &LayerOptions) -> Result<Layer> {
        later()
    }
    pub fn layer_from_tar(&self, reader: impl Read + Send) -> Result<Layer> {
        later()
    }
    pub fn commit(
        &self,
        config: ImageConfig,
        layers: &[Layer],
        names: &[Reference],
        annotations: &BTreeMap<String, String>,
    ) -> Result<Image> {
        later()
    }
    pub fn staging_dir(&self) -> Result<Staging> {
        later()
    }
    /// `names`: names or ids, as on the command line.
    pub fn save(&self, names: &[String], format: Format, writer: impl Write) -> Result<()> {
        later()
    }
    pub fn load(&self, reader: impl Read + Send) -> Result<Vec<Image>> {
        later()
    }
    /// A root file system tar becomes an image of one layer; `changes` are Dockerfile instructions.
    pub fn import(
        &self,
        reader: impl Read + Send,
        changes: &[String],
        message: Option<&str>,
        name: Option<&Reference>,
    ) -> Result<Image> {
        later()
    }
    pub fn prune(&self, all: bool) -> Result<Pruned> {
        later()
    }
    pub fn verify(&self) -> Result<Vec<Damage>> {
        later()
    }
    pub fn history(&self, image: &Image) -> Result<Vec<HistoryEntry>> {
        later()
    }
    pub fn cache_get(&self, key: &str) -> Option<Vec<u8>> {
        None
    }
    /// Bytes of a cache entry; what it points to does not stay because of it (see `cache_put_pinned`).
    pub fn cache_put(&self, key: &str, bytes: &[u8]) -> Result<()> {
        later()
    }
    /// As `cache_put`; `pins` (diff ids of layers, digests of blobs) stay in the store while the entry does.
    pub fn cache_put_pinned(&self, key: &str, bytes: &[u8], pins: &[Digest]) -> Result<()> {
        later()
    }
    pub fn cache_pin(&self, key: &str, pins: &[Digest]) -> Result<()> {
        later()
    }
    pub fn cache_entries(&self) -> Result<Vec<CacheEntry>> {
        later()
    }
    /// Without `all`: least recently used entries go until the cache holds at most `keep_bytes`.
    pub fn cache_prune(&self, all: bool, keep_bytes: u64) -> Result<Pruned> {
        later()
    }
}

impl LayerSource {
    /// The uncompressed tar.
    pub fn open(&self) -> Result<LayerReader<'static>> {
        later()
    }
}
