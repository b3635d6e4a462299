//! Decompression, chosen by the first bytes of a stream.

use std::io::{self, BufReader, Chain, Cursor, Read};

use crate::error::{ImageError, Result};

/// Largest window of a zstd frame, as a power of two: 128 MiB, what `zstd` itself accepts without `--long`.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Memory that an xz stream may ask for, in bytes: `xz -9` needs 65 MiB.
const XZ_MEMORY_LIMIT: u64 = 128 << 20;
/// Input that is read at once, in bytes.
const BUFFER_BYTES: usize = 128 * 1024;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The .xz format.
    Xz,
}

impl Compression {
    /// What the first bytes (at least 6, fewer only if the stream is shorter) say. `None` for a compression that is
    /// known but not read: bzip2.
    pub fn of_magic(magic: &[u8]) -> Option<Compression> {
        Some(match magic {
            [0x1f, 0x8b, 8, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => return None,
            _ => Compression::None,
        })
    }
}

/// The uncompressed bytes of a stream that is gzip, zstd, xz or plain, told by its first bytes.
pub struct LayerReader<'r> {
    inner: Box<dyn Read + Send + 'r>,
    compression: Compression,
}

impl<'r> LayerReader<'r> {
    /// Reads the first bytes and chooses.
    ///
    /// Errors: `Unsupported` for bzip2, `Io` if the stream cannot be read.
    pub fn new<R: Read + Send + 'r>(mut reader: R) -> Result<LayerReader<'r>> {
        let mut magic = Vec::with_capacity(6);
        reader.by_ref().take(6).read_to_end(&mut magic).map_err(|e| ImageError::io("read", "layer", e))?;
        let compression = Compression::of_magic(&magic).ok_or_else(|| ImageError::Unsupported {
            what: "the compression of the layer".into(),
            reason: "it is bzip2; gzip, zstd, xz and plain tars are read".into(),
        })?;
        let whole = Cursor::new(magic).chain(reader);
        let inner = decoder(whole, compression).map_err(|e| ImageError::io("decompress", "layer", e))?;
        Ok(LayerReader { inner, compression })
    }

    /// How the stream is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }
}

fn decoder<'r, R: Read + Send + 'r>(
    whole: Chain<Cursor<Vec<u8>>, R>,
    compression: Compression,
) -> io::Result<Box<dyn Read + Send + 'r>> {
    let buffered = |whole| BufReader::with_capacity(BUFFER_BYTES, whole);
    Ok(match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(buffered(whole))),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered(whole))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Box::new(decoder)
        }
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_LIMIT, liblzma::stream::CONCATENATED)
                .map_err(io::Error::other)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(buffered(whole), stream))
        }
    })
}

impl Read for LayerReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf)
    }
}

impl std::fmt::Debug for LayerReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayerReader").field("compression", &self.compression).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[track_caller]
    fn reads(stream: &[u8], compression: Compression, expected: &[u8]) {
        let mut reader = LayerReader::new(stream).unwrap();
        assert_eq!(reader.compression(), compression);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn every_compression_is_told_by_its_first_bytes() {
        reads(b"", Compression::None, b"");
        reads(b"abc", Compression::None, b"abc");
        reads(&gzip(b"hello"), Compression::Gzip, b"hello");
        reads(&[gzip(b"hello "), gzip(b"world")].concat(), Compression::Gzip, b"hello world");
        let zstd = zstd::encode_all(&b"hello"[..], 1).unwrap();
        reads(&zstd, Compression::Zstd, b"hello");
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2][..], &zstd].concat();
        reads(&skippable, Compression::Zstd, b"hello");
        let xz = liblzma::encode_all(&b"hello"[..], 1).unwrap();
        reads(&xz, Compression::Xz, b"hello");
        let error = LayerReader::new(&b"BZh91AY"[..]).unwrap_err();
        assert!(error.to_string().contains("bzip2"), "{error}");
    }

    #[test]
    fn a_cut_stream_is_an_error_in_every_compression() {
        for whole in [
            gzip(&[7; 9000]),
            zstd::encode_all(&[7; 9000][..], 1).unwrap(),
            liblzma::encode_all(&[7; 9000][..], 1).unwrap(),
        ] {
            let cut = &whole[..whole.len() - 5];
            assert!(LayerReader::new(cut).unwrap().read_to_end(&mut Vec::new()).is_err());
        }
    }
}
