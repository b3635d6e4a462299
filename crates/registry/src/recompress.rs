//! Layers in gzip, for registries and clients that know no zstd.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::Digest as _;

use stockade_image::config::media;
use stockade_image::{Descriptor, Digest, LayerReader, Store};

use crate::error::{RegistryError, Result};

/// Gzip's default level: what docker writes.
const LEVEL: u32 = 6;

/// A layer in gzip: the store's own blob if it is that already, else a file in `dir`.
pub(crate) fn gzip(store: &Store, layer: &Descriptor, dir: &Path) -> Result<(Descriptor, PathBuf)> {
    let path = store.blob_file(&layer.digest)?;
    if matches!(layer.media_type.as_str(), media::LAYER_GZIP | media::DOCKER_LAYER_GZIP) {
        return Ok((layer.clone(), path));
    }
    let mut reader = LayerReader::new(store.open_blob(&layer.digest)?)?;
    let made = dir.join(layer.digest.hex());
    let file = File::create(&made).map_err(RegistryError::io("create", &made))?;
    let hashing = Hashing { inner: BufWriter::new(file), hash: sha2::Sha256::new(), bytes: 0 };
    let mut encoder = flate2::write::GzEncoder::new(hashing, flate2::Compression::new(LEVEL));
    let done =
        io::copy(&mut reader, &mut encoder).and_then(|_| encoder.finish()).and_then(|mut h| h.flush().map(|()| h));
    let hashing = done.map_err(RegistryError::io("write", &made))?;
    let digest = Digest::from_bytes(hashing.hash.finalize().into());
    let descriptor =
        Descriptor { media_type: media::LAYER_GZIP.to_owned(), digest, size: hashing.bytes, ..layer.clone() };
    Ok((descriptor, made))
}

struct Hashing<W> {
    inner: W,
    hash: sha2::Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buf)?;
        self.hash.update(buf.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
