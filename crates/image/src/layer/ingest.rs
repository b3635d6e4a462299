//! Layer streams that come in: one thread reads, hashes and decompresses while another unpacks.

use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::{
    Compression, HashingReader, HashingWriter, LayerReader, LayerSink, UnpackOptions, UnpackReport, unpack_tar,
};
use crate::digest::Digest;
use crate::error::{ImageError, Result};

/// Bytes that go to the unpacker at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks on their way.
const CHUNKS_IN_FLIGHT: usize = 8;

/// What becomes of the stream's bytes.
#[derive(Debug)]
pub(crate) enum Keep {
    /// Gzip and zstd are written to the file as they come; anything else is compressed to it.
    Compressed(File),
    /// The bytes are written to the file as they come: their digest is promised somewhere.
    Exactly(File),
    /// Nothing: they are stored already.
    Nothing,
}

/// What came in.
#[derive(Debug)]
pub(crate) struct Ingested {
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Bytes of the uncompressed tar.
    pub tar_bytes: u64,
    /// Digest of the blob: what was written, or with [`Keep::Nothing`] what was read.
    pub digest: Digest,
    /// Bytes of the blob.
    pub blob_bytes: u64,
    /// How the blob is compressed.
    pub compression: Compression,
    /// What the unpacker did.
    pub report: UnpackReport,
}

/// Unpacks `source` beneath `root` and keeps its bytes.
pub(crate) fn ingest(
    source: impl Read + Send,
    keep: Keep,
    root: BorrowedFd<'_>,
    options: &UnpackOptions,
) -> Result<Ingested> {
    let (sender, receiver) = sync_channel(CHUNKS_IN_FLIGHT);
    std::thread::scope(|scope| {
        let producer = std::thread::Builder::new()
            .name("layer-read".into())
            .spawn_scoped(scope, move || produce(source, keep, sender))
            .map_err(|e| ImageError::io("start a thread for", "layer", e))?;
        let report = unpack_tar(ChunkReader { receiver, chunk: Cursor::default() }, root, options);
        let produced = producer.join().map_err(|_| {
            ImageError::io("read", "layer", io::Error::other("the thread that reads the layer panicked"))
        })?;
        // A producer that stopped because the unpacker did has no error of its own; one that failed is the cause.
        match (produced, report) {
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            (Ok(None), Ok(_)) => Err(ImageError::malformed("layer", "it was not read to its end")),
            (Ok(Some(produced)), Ok(report)) => Ok(Ingested { report, ..produced }),
        }
    })
}

/// Reads the whole source. `None` if the unpacker gave up before the end.
fn produce(mut source: impl Read + Send, keep: Keep, sender: SyncSender<Vec<u8>>) -> Result<Option<Ingested>> {
    let failed = |e| ImageError::io("read", "layer", e);
    let mut magic = Vec::with_capacity(6);
    source.by_ref().take(6).read_to_end(&mut magic).map_err(failed)?;
    let found = Compression::of_magic(&magic);
    let whole = Cursor::new(magic).chain(source);
    let stores_as_is = matches!(found, Some(Compression::Gzip | Compression::Zstd));
    match keep {
        Keep::Compressed(file) if !stores_as_is => {
            let mut sink = LayerSink::new(file);
            let mut reader = LayerReader::new(whole)?;
            if pump(&mut reader, &sender, |chunk| sink.write_all(chunk))?.is_none() {
                return Ok(None);
            }
            let sink = sink.finish().map_err(|e| ImageError::io("write", "layer", e))?;
            Ok(Some(Ingested {
                diff_id: sink.diff_id,
                tar_bytes: sink.tar_bytes,
                digest: sink.digest,
                blob_bytes: sink.blob_bytes,
                compression: Compression::Zstd,
                report: UnpackReport::default(),
            }))
        }
        Keep::Compressed(file) | Keep::Exactly(file) => {
            let mut tee = Tee { source: whole, copy: HashingWriter::new(file) };
            let Some(mut ingested) = decompress(&mut tee, &sender)? else { return Ok(None) };
            let (_, digest, bytes) = tee.copy.finish();
            (ingested.digest, ingested.blob_bytes) = (digest, bytes);
            Ok(Some(ingested))
        }
        Keep::Nothing => {
            let mut hashing = HashingReader::new(whole);
            let Some(mut ingested) = decompress(&mut hashing, &sender)? else { return Ok(None) };
            (ingested.digest, ingested.blob_bytes) = hashing.finish();
            Ok(Some(ingested))
        }
    }
}

/// Decompresses all of `source` and reads it to its end. The blob's digest and size are left for the caller.
fn decompress(source: &mut (impl Read + Send), sender: &SyncSender<Vec<u8>>) -> Result<Option<Ingested>> {
    let mut reader = LayerReader::new(&mut *source)?;
    let compression = reader.compression();
    let mut hash = HashingWriter::new(io::sink());
    let done = pump(&mut reader, sender, |chunk| hash.write_all(chunk))?;
    drop(reader);
    if done.is_none() {
        return Ok(None);
    }
    io::copy(source, &mut io::sink()).map_err(|e| ImageError::io("read", "layer", e))?;
    let (_, diff_id, tar_bytes) = hash.finish();
    let report = UnpackReport::default();
    Ok(Some(Ingested { diff_id, tar_bytes, digest: diff_id, blob_bytes: 0, compression, report }))
}

/// Sends everything that `reader` gives; `None` if nobody receives any more.
fn pump(
    reader: &mut LayerReader<'_>,
    sender: &SyncSender<Vec<u8>>,
    mut see: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<Option<()>> {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let read = reader.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
        read.map_err(|e| decode_error(e, reader.compression()))?;
        if chunk.is_empty() {
            return Ok(Some(()));
        }
        see(&chunk).map_err(|e| ImageError::io("write", "layer", e))?;
        if sender.send(chunk).is_err() {
            return Ok(None);
        }
    }
}

fn decode_error(error: io::Error, compression: Compression) -> ImageError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return ImageError::Truncated {
            what: "layer".into(),
            detail: format!("its {compression:?} stream ends early").to_lowercase(),
        };
    }
    if error.raw_os_error().is_none() && error.get_ref().is_none_or(|e| !e.is::<ImageError>()) {
        return ImageError::malformed("layer", format!("cannot decompress it: {error}"));
    }
    ImageError::io("read", "layer", error)
}

/// Reads from one side, copies to the other.
struct Tee<R> {
    source: R,
    copy: HashingWriter<File>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buf)?;
        let bytes = buf.get(..read).unwrap_or_default();
        self.copy.write_all(bytes).map_err(|e| io::Error::from(ImageError::io("write", "layer", e)))?;
        Ok(read)
    }
}

/// The unpacker's end of the channel. The end of the channel is the end of the stream: if the other side failed, its
/// error replaces whatever the unpacker makes of that.
struct ChunkReader {
    receiver: Receiver<Vec<u8>>,
    chunk: Cursor<Vec<u8>>,
}

impl Read for ChunkReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.chunk.read(buf)?;
            if read > 0 || buf.is_empty() {
                return Ok(read);
            }
            match self.receiver.recv() {
                Ok(chunk) => self.chunk = Cursor::new(chunk),
                Err(_) => return Ok(0),
            }
        }
    }
}
