//! Unpacked layers under `layers/<diff id>`: `fs/` is what overlayfs mounts, `meta.json` what we know about it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::images::Image;
use super::locks::Shared;
use super::session::{StagedFile, Staging};
use super::{Store, blobs::BlobInfo};
use crate::config::{Descriptor, media};
use crate::digest::Digest;
use crate::error::{ImageError, Result};
use crate::layer::{
    Compression, Ingested, Keep, LayerReader, LayerSink, PackOptions, UnpackOptions, Whiteouts, ingest, pack,
    remove_tree,
};

/// A layer of the store: its blob is in the layout, its unpacked directory beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The blob.
    pub descriptor: Descriptor,
}

/// How [`Store::layer_from_dir`] writes the layer.
#[derive(Debug, Clone, Default)]
pub struct LayerOptions {
    /// Times later than this (seconds since 1970) are set to it, in the tar and in the directory.
    pub clamp_mtime: Option<i64>,
    /// About how many bytes of files the directory has, where the caller knows. From
    /// [`ON_DEMAND_MIN_BYTES`](super::ondemand::MIN_BYTES) on, a layer that does not compress is stored once: its blob
    /// is made when it is asked for.
    pub bytes: u64,
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

impl LayerSource {
    /// The uncompressed tar. Its digest is not verified.
    pub fn open(&self) -> Result<LayerReader<'static>> {
        match (File::open(&self.blob), &self.dir) {
            (Ok(file), _) => LayerReader::new(file),
            // The blob is made on demand, and nobody has asked for it.
            (Err(e), Some(dir)) if e.kind() == std::io::ErrorKind::NotFound => {
                LayerReader::new(super::ondemand::stream(dir)?)
            }
            (Err(e), _) => Err(ImageError::io("open", &self.blob, e)),
        }
    }
}

/// What is known about an unpacked layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Meta {
    pub schema: String,
    pub diff_id: Digest,
    /// The blob that it was unpacked from, or packed into.
    pub blob: Descriptor,
    /// Bytes of the uncompressed tar.
    pub tar_bytes: u64,
    /// Bytes of regular files.
    pub bytes: u64,
    pub entries: u64,
    /// Layers below must not be seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub root_opaque: bool,
    /// The blob is the uncompressed tar and need not be there: the directory gives it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blob_on_demand: bool,
    /// What was left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

pub(super) const META_SCHEMA: &str = "stockade.layer/v1";

impl Store {
    /// Makes a layer of `dir` (an overlay's upper directory or a whole root, on the store's file system, not mounted
    /// any more) and takes the directory over: it is moved, so nothing is unpacked again. If the store has the layer
    /// already, `dir` is removed. The layer stays at least while this `Store` value lives.
    ///
    /// The same content gives the same layer. When this returns, the layer would survive a power cut.
    ///
    /// Errors: `Unrepresentable`, `NoSpace`, `Io` (also when `dir` is on another file system). `dir` is left in its
    /// place after an error while packing.
    pub fn layer_from_dir(&self, dir: &Path, options: &LayerOptions) -> Result<Layer> {
        let session = self.session()?;
        let root = File::open(dir).map_err(ImageError::on("open", dir))?;
        let on_demand = options.bytes >= super::ondemand::MIN_BYTES && super::ondemand::is_worth_it(root.as_fd())?;
        let blob = if on_demand { None } else { Some(StagedFile::new(Arc::clone(&session))?) };
        let mut sink = match &blob {
            Some(blob) => LayerSink::new(blob.handle()?),
            None => LayerSink::hashing(root.try_clone().map_err(ImageError::on("open", dir))?),
        };
        let report = pack(root.as_fd(), &mut sink, &PackOptions { clamp_mtime: options.clamp_mtime })?;
        let sink = sink.finish().map_err(ImageError::on("write", blob.as_ref().map_or(dir, |b| &b.path)))?;
        let media_type = if on_demand { media::LAYER_TAR } else { media::LAYER_ZSTD };
        let descriptor = descriptor(media_type, BlobInfo { digest: sink.digest, size: sink.blob_bytes });
        if let Some(known) = self.layer(&sink.diff_id)? {
            remove_tree(dir)?;
            return Ok(known);
        }
        let staging = Staging::new(session)?;
        let fs_dir = staging.path().join("fs");
        fs::rename(dir, &fs_dir).map_err(ImageError::on("move", dir))?;
        let meta = Meta {
            schema: META_SCHEMA.to_owned(),
            diff_id: sink.diff_id,
            blob: descriptor,
            tar_bytes: sink.tar_bytes,
            bytes: report.bytes,
            entries: report.entries,
            root_opaque: report.root_opaque,
            blob_on_demand: on_demand,
            notes: Vec::new(),
        };
        self.publish_layer(&staging, meta, blob.as_ref())
    }

    /// Makes a layer of a tar, in any compression that [`LayerReader`] knows. Gzip and zstd streams are stored as they
    /// come, others as zstd. The layer stays at least while this `Store` value lives.
    ///
    /// Errors: those of [`crate::layer::unpack`]; nothing is stored then.
    pub fn layer_from_tar(&self, reader: impl Read + Send) -> Result<Layer> {
        let blob = StagedFile::new(self.session()?)?;
        let keep = Keep::Compressed(blob.handle()?);
        self.ingest_layer(reader, keep, Some(&blob), |_| Ok(()), None)
    }

    /// Makes a layer of a blob that a manifest promises: its bytes are stored as they come, and both digests must fit.
    ///
    /// Errors: `DigestMismatch`, and those of [`crate::layer::unpack`]; nothing is stored then.
    pub fn layer_from_blob(&self, reader: impl Read + Send, promised: &Descriptor, diff_id: &Digest) -> Result<Layer> {
        let blob = StagedFile::new(self.session()?)?;
        let keep = Keep::Exactly(blob.handle()?);
        let check = |found: &Ingested| check_digests(found, &promised.digest, diff_id);
        self.ingest_layer(reader, keep, Some(&blob), check, Some(&promised.media_type))
    }

    /// As [`Store::layer_from_blob`], for a file that was staged already.
    pub(crate) fn layer_from_staged_blob(
        &self,
        staged: &StagedFile,
        promised: &Descriptor,
        diff_id: &Digest,
    ) -> Result<Layer> {
        let check = |found: &Ingested| check_digests(found, &promised.digest, diff_id);
        self.ingest_layer(staged.reader()?, Keep::Nothing, Some(staged), check, Some(&promised.media_type))
    }

    /// A layer tar of a docker archive: only its diff id is promised. A compressed file is stored as it is.
    pub(crate) fn layer_from_staged_tar(&self, staged: &StagedFile, diff_id: &Digest) -> Result<Layer> {
        let mut magic = Vec::new();
        staged.reader()?.take(6).read_to_end(&mut magic).map_err(ImageError::on("read", &staged.path))?;
        let check = |found: &Ingested| check_digests(found, &found.digest, diff_id);
        if matches!(Compression::of_magic(&magic), Some(Compression::Gzip | Compression::Zstd)) {
            return self.ingest_layer(staged.reader()?, Keep::Nothing, Some(staged), check, None);
        }
        let blob = StagedFile::new(self.session()?)?;
        let keep = Keep::Compressed(blob.handle()?);
        self.ingest_layer(staged.reader()?, keep, Some(&blob), check, None)
    }

    pub(super) fn ingest_layer(
        &self,
        reader: impl Read + Send,
        keep: Keep,
        blob: Option<&StagedFile>,
        check: impl FnOnce(&Ingested) -> Result<()>,
        media_type: Option<&str>,
    ) -> Result<Layer> {
        let staging = Staging::new(self.session()?)?;
        let root = self.make_layer_root(&staging)?;
        let found = ingest(reader, keep, root.as_fd(), &self.unpack_options())?;
        check(&found)?;
        let media_type = media_type.unwrap_or(match found.compression {
            Compression::Gzip => media::LAYER_GZIP,
            Compression::Zstd => media::LAYER_ZSTD,
            Compression::None | Compression::Xz => media::LAYER_TAR,
        });
        let info = BlobInfo { digest: found.digest, size: found.blob_bytes };
        let meta = Meta {
            schema: META_SCHEMA.to_owned(),
            diff_id: found.diff_id,
            blob: descriptor(media_type, info),
            tar_bytes: found.tar_bytes,
            bytes: found.report.bytes,
            entries: found.report.entries,
            root_opaque: found.report.root_opaque,
            blob_on_demand: false,
            notes: found.report.notes,
        };
        self.publish_layer(&staging, meta, blob)
    }

    /// An empty `fs` directory in `staging`, with the mode of a root that no entry describes.
    pub(super) fn make_layer_root(&self, staging: &Staging) -> Result<File> {
        use std::os::unix::fs::PermissionsExt;
        let path = staging.path().join("fs");
        fs::create_dir(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .and_then(|()| File::open(&path))
            .map_err(ImageError::on("create", &path))
    }

    pub(super) fn unpack_options(&self) -> UnpackOptions {
        let root = rustix::process::geteuid().is_root();
        UnpackOptions {
            whiteouts: if stockade_durable::trusted_attributes() { Whiteouts::Overlay } else { Whiteouts::OverlayUser },
            ignore_owners: !root,
            ..UnpackOptions::default()
        }
    }

    /// Syncs the file system, then moves blob and directory to their places with the collector locked out. If another
    /// process was first, its directory stays.
    fn publish_layer(&self, staging: &Staging, meta: Meta, blob: Option<&StagedFile>) -> Result<Layer> {
        let meta_path = staging.path().join("meta.json");
        let bytes = serde_json::to_vec(&meta).map_err(|e| ImageError::malformed("layer facts", e))?;
        let file = File::create_new(&meta_path)
            .and_then(|mut file| file.write_all(&bytes).map(|()| file))
            .map_err(ImageError::on("write", &meta_path))?;
        // One sync for thousands of files. It must come before the renames: after a power cut a layer is either
        // whole or not there.
        rustix::fs::syncfs(&file).map_err(ImageError::on("sync", &meta_path))?;
        let gc = Shared::take(self.root())?;
        self.session()?.pin(&gc, [meta.diff_id, meta.blob.digest])?;
        if let Some(blob) = blob {
            self.publish_blob(&gc, blob, &meta.blob.digest)?;
        }
        let place = self.layer_path(&meta.diff_id);
        match fs::rename(staging.path(), &place) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists) => {
            }
            Err(e) => return Err(ImageError::io("create", &place, e)),
        }
        Ok(Layer { diff_id: meta.diff_id, descriptor: meta.blob })
    }

    /// A layer by diff id, if its directory and its blob are in the store. It then stays at least while this `Store`
    /// value lives.
    pub fn layer(&self, diff_id: &Digest) -> Result<Option<Layer>> {
        let gc = Shared::take(self.root())?;
        let Some(meta) = self.meta(diff_id)? else { return Ok(None) };
        if self.blob_size(&meta.blob.digest) != Some(meta.blob.size) {
            return Ok(None);
        }
        self.session()?.pin(&gc, [*diff_id, meta.blob.digest])?;
        Ok(Some(Layer { diff_id: *diff_id, descriptor: meta.blob }))
    }

    /// The image's layers, lowest first.
    ///
    /// Errors: `Malformed` if manifest and configuration disagree about their number.
    pub fn layers(&self, image: &Image) -> Result<Vec<Layer>> {
        let (blobs, diff_ids) = (&image.manifest.layers, &image.config.rootfs.diff_ids);
        if blobs.len() != diff_ids.len() {
            return Err(ImageError::malformed(
                format!("image {}", image.id.short()),
                format!("its manifest has {} layers, its configuration {}", blobs.len(), diff_ids.len()),
            ));
        }
        let pairs = diff_ids.iter().zip(blobs);
        Ok(pairs.map(|(diff_id, blob)| Layer { diff_id: *diff_id, descriptor: blob.clone() }).collect())
    }

    /// The unpacked directories of the image, topmost first, as overlayfs wants them. What is missing is unpacked.
    /// Owners on disk are those inside a container. The layers stay at least while this `Store` value lives; a
    /// container takes a lease with [`Store::use_image`].
    ///
    /// Below a layer whose root is opaque nothing is given, as nothing would be seen.
    pub fn layer_dirs(&self, image: &Image) -> Result<Vec<PathBuf>> {
        let layers = self.layers(image)?;
        if self.leased_here().contains(&image.manifest_digest) {
            return self.present_dirs(&layers);
        }
        self.dirs_of(&layers)
    }

    /// As [`Store::layer_dirs`], for layers in the order of an image (lowest first) that may not be one yet.
    pub fn dirs_of(&self, layers: &[Layer]) -> Result<Vec<PathBuf>> {
        let gc = Shared::take(self.root())?;
        self.session()?.pin(&gc, layers.iter().flat_map(|l| [l.diff_id, l.descriptor.digest]))?;
        drop(gc);
        self.present_dirs(layers)
    }

    /// The directories of layers that something keeps, topmost first.
    fn present_dirs(&self, layers: &[Layer]) -> Result<Vec<PathBuf>> {
        let mut dirs = Vec::with_capacity(layers.len());
        for layer in layers.iter().rev() {
            let meta = match self.meta(&layer.diff_id)? {
                Some(meta) => meta,
                None => self.unpack_again(layer)?,
            };
            let dir = self.layer_path(&layer.diff_id).join("fs");
            // Two steps that change nothing give the same layer. overlayfs refuses a directory that is named twice
            // (ELOOP), and the upper one says all that the lower one does.
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
            if meta.root_opaque {
                break;
            }
        }
        Ok(dirs)
    }

    /// The unpacked directory of one layer; unpacked if it is missing.
    pub fn layer_dir(&self, layer: &Layer) -> Result<PathBuf> {
        self.dirs_of(std::slice::from_ref(layer))?;
        Ok(self.layer_path(&layer.diff_id).join("fs"))
    }

    fn unpack_again(&self, layer: &Layer) -> Result<Meta> {
        let blob = self.open_blob(&layer.descriptor.digest)?;
        let check = |found: &Ingested| check_digests(found, &layer.descriptor.digest, &layer.diff_id);
        self.ingest_layer(blob, Keep::Nothing, None, check, Some(&layer.descriptor.media_type))?;
        self.meta(&layer.diff_id)?.ok_or_else(|| ImageError::NotFound { name: layer.diff_id.to_string() })
    }

    /// The image's layers for a reader that does not mount them, lowest first. Nothing is unpacked.
    pub fn layer_readers(&self, image: &Image) -> Result<Vec<LayerSource>> {
        let source = |layer: Layer| {
            let dir = self.layer_path(&layer.diff_id).join("fs");
            LayerSource {
                blob: self.blob_path(&layer.descriptor.digest),
                dir: dir.is_dir().then_some(dir),
                descriptor: layer.descriptor,
                diff_id: layer.diff_id,
            }
        };
        Ok(self.layers(image)?.into_iter().map(source).collect())
    }

    pub(super) fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.root().join("layers").join(diff_id.hex())
    }

    /// What is known about an unpacked layer, `None` if it is not unpacked.
    pub(super) fn meta(&self, diff_id: &Digest) -> Result<Option<Meta>> {
        let path = self.layer_path(diff_id).join("meta.json");
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| ImageError::malformed(path.display().to_string(), e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(ImageError::io("read", &path, e)),
        }
    }

    /// Bytes of the layer's uncompressed tar; known for unpacked layers, else the blob is decompressed to count them.
    pub(crate) fn tar_bytes(&self, layer: &Layer) -> Result<u64> {
        if let Some(meta) = self.meta(&layer.diff_id)? {
            return Ok(meta.tar_bytes);
        }
        let mut reader = LayerReader::new(self.open_blob(&layer.descriptor.digest)?)?;
        std::io::copy(&mut reader, &mut std::io::sink()).map_err(|e| ImageError::io("read", "layer", e))
    }
}

/// Bytes of regular files of a layer, or the size of its blob where it is not unpacked.
pub(super) fn unpacked_bytes(store: &Store, layer: &Layer) -> u64 {
    store.meta(&layer.diff_id).ok().flatten().map_or(layer.descriptor.size, |meta| meta.bytes)
}

pub(super) fn check_digests(found: &Ingested, blob: &Digest, diff_id: &Digest) -> Result<()> {
    if found.digest != *blob {
        let what = format!("layer blob {}", blob.short());
        return Err(ImageError::DigestMismatch { what, expected: *blob, actual: found.digest });
    }
    if found.diff_id != *diff_id {
        let what = format!("layer {}", diff_id.short());
        return Err(ImageError::DigestMismatch { what, expected: *diff_id, actual: found.diff_id });
    }
    Ok(())
}

pub(crate) fn descriptor(media_type: &str, blob: BlobInfo) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: blob.digest,
        size: blob.size,
        annotations: std::collections::BTreeMap::new(),
        platform: None,
        artifact_type: None,
    }
}
