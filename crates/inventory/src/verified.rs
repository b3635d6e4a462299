//! Layers whose digest is checked while they are read.
//!
//! What is read of a layer is kept by its diff id and believed by every later scan, the gate's too. So the id must be
//! that of the bytes, and not what a document beside them says: an archive or registry could otherwise put a false
//! inventory under the id of somebody else's layer.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::layer::LayerInventory;
use crate::layer_tar::{BUFFER_BYTES, scan_buffered};
use crate::model::Unknown;
use crate::options::Options;

/// Bytes read after a tar's end to finish the digest. Real tars end with up to 10 KiB of zeros.
const MAX_TAIL_BYTES: u64 = 64 << 20;

struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..got).unwrap_or_default());
        Ok(got)
    }
}

/// A second reading, for hard links: read to its end when dropped, so that it is known to be the same bytes.
struct Again<'a> {
    stream: Hashing<Box<dyn Read + Send + 'a>>,
    seen: Arc<Mutex<Option<String>>>,
}

impl Read for Again<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Drop for Again<'_> {
    fn drop(&mut self) {
        let whole = io::copy(&mut self.stream, &mut io::sink()).is_ok();
        let digest = if whole { digest_of(&self.stream.hash) } else { String::new() };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest);
    }
}

fn digest_of(hash: &Sha256) -> String {
    hash.clone().finalize().iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Chunks that wait for the digest, and for the reader of the tar, at most.
const MAX_WAITING: usize = 4;

type Chunk = Arc<Vec<u8>>;
/// What ended a stream too early.
type Broken = (io::ErrorKind, String);

/// A stream in chunks that another thread decompresses.
struct Chunked {
    chunks: Receiver<Result<Chunk, Broken>>,
    chunk: Chunk,
    at: usize,
    /// Said again to everybody who reads on: a stream that broke has no end.
    broken: Option<Broken>,
}

impl Chunked {
    fn new(chunks: Receiver<Result<Chunk, Broken>>) -> Self {
        Chunked { chunks, chunk: Arc::default(), at: 0, broken: None }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.at = 0;
        self.chunk = Arc::default();
        if self.broken.is_none() {
            match self.chunks.recv() {
                Ok(Ok(chunk)) => self.chunk = chunk,
                Ok(Err(broken)) => self.broken = Some(broken),
                // The sender is gone: the end.
                Err(_) => {}
            }
        }
        match &self.broken {
            Some((kind, why)) => Err(io::Error::new(*kind, why.clone())),
            None => Ok(()),
        }
    }
}

/// Reads a stream to its end, its damage, or until nobody wants more; each chunk goes to the digest and to the tar's
/// reader.
fn read_all(
    mut stream: impl Read,
    to_hash: &SyncSender<Chunk>,
    to_read: &SyncSender<Result<Chunk, Broken>>,
    back: &Receiver<Chunk>,
) {
    loop {
        let used = back.try_recv().ok().and_then(|chunk| Arc::try_unwrap(chunk).ok());
        let mut bytes = used.unwrap_or_default();
        bytes.resize(BUFFER_BYTES, 0);
        let mut filled = 0;
        let mut broken = None;
        while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
            match stream.read(room) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    broken = Some((e.kind(), e.to_string()));
                    break;
                }
            }
        }
        bytes.truncate(filled);
        let whole = filled == BUFFER_BYTES;
        if filled > 0 {
            // What came before the damage is read first.
            let chunk = Arc::new(bytes);
            if to_hash.send(Arc::clone(&chunk)).is_err() || to_read.send(Ok(chunk)).is_err() {
                return;
            }
        }
        if let Some(broken) = broken {
            let _ = to_read.send(Err(broken));
            return;
        }
        if !whole {
            return;
        }
    }
}

impl BufRead for Chunked {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at >= self.chunk.len() {
            self.refill()?;
        }
        Ok(self.chunk.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes;
    }
}

impl Read for Chunked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let have = self.fill_buf()?;
        let step = have.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..step), have.get(..step)) {
            to.copy_from_slice(from);
        }
        self.consume(step);
        Ok(step)
    }
}

/// The digest of all chunks that come.
fn hash_all(chunks: &Receiver<Chunk>, back: &Sender<Chunk>) -> Sha256 {
    let mut hash = Sha256::new();
    for chunk in chunks {
        hash.update(chunk.as_slice());
        // Nobody takes them back any more when the stream has ended.
        let _ = back.send(chunk);
    }
    hash
}

/// Reads a layer as [`crate::scan_layer`] does. Its `diff_id` is the digest of the bytes that were read; empty when the
/// stream could not be read to its end.
pub fn scan_layer_verified<'a>(
    stream: impl Read + Send,
    reopen: Option<&dyn Fn() -> io::Result<Box<dyn Read + Send + 'a>>>,
    options: &Options,
) -> LayerInventory {
    let seen = Arc::new(Mutex::new(None));
    let again = |open: &dyn Fn() -> io::Result<Box<dyn Read + Send + 'a>>| {
        let stream = Hashing { inner: open()?, hash: Sha256::new() };
        Ok(Box::new(Again { stream, seen: Arc::clone(&seen) }) as Box<dyn Read + Send + 'a>)
    };
    let (to_hash, chunks) = mpsc::sync_channel(MAX_WAITING);
    let (to_read, read) = mpsc::sync_channel(MAX_WAITING);
    let (give_back, back) = mpsc::channel();
    let mut layer = std::thread::scope(|scope| {
        let hasher = scope.spawn(move || hash_all(&chunks, &give_back));
        scope.spawn(move || read_all(stream, &to_hash, &to_read, &back));
        let mut stream = Chunked::new(read);
        let mut layer = match reopen {
            Some(open) => scan_buffered(&mut stream, "", Some(&|| again(open)), options),
            None => scan_buffered(&mut stream, "", None, options),
        };
        // With an entry limit reached, gigabytes may follow: they are not read for the digest's sake alone.
        let tail = io::copy(&mut (&mut stream).take(MAX_TAIL_BYTES), &mut io::sink());
        drop(stream);
        if let Ok(hash) = hasher.join()
            && tail.is_ok_and(|bytes| bytes < MAX_TAIL_BYTES)
        {
            layer.diff_id = digest_of(&hash);
        }
        layer
    });
    if let Some(second) = seen.lock().unwrap_or_else(PoisonError::into_inner).take()
        && second != layer.diff_id
    {
        layer.diff_id = String::new();
        layer.unknown.push(Unknown::new("layer", "", "it had other bytes when it was read a second time"));
    }
    layer
}

/// Compares a layer's digest with the one that its image's configuration tells, and says where they differ. The layer
/// goes by the configuration's id afterwards; it is no longer [`LayerInventory::is_whole`] if that is not its own.
pub fn expect_digest(mut layer: LayerInventory, diff_id: &str) -> LayerInventory {
    if layer.diff_id != diff_id {
        let why = match layer.diff_id.as_str() {
            "" => "it could not be read to its end, so its digest is not known".to_owned(),
            found => format!("its content has the digest {found}, and the image names {diff_id}"),
        };
        // Damage says it already.
        if layer.diff_id.is_empty() && layer.unknown.iter().any(|u| u.what == "layer") {
            diff_id.clone_into(&mut layer.diff_id);
            return layer;
        }
        layer.unknown.push(Unknown::new("layer", "", why));
        diff_id.clone_into(&mut layer.diff_id);
    }
    layer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o644);
        tar.append_data(&mut header, "x", io::empty()).unwrap();
        tar.into_inner().unwrap()
    }

    #[test]
    fn the_digest_is_of_the_whole_stream() {
        let bytes = layer();
        let expected = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
        let found = scan_layer_verified(bytes.as_slice(), None, &Options::default());
        assert_eq!(found.diff_id, format!("sha256:{expected}"));
        let same = expect_digest(found.clone(), &found.diff_id);
        assert!(same.is_whole());
    }

    #[test]
    fn a_layer_under_another_ones_id_is_said_and_never_kept() {
        let found = scan_layer_verified(layer().as_slice(), None, &Options::default());
        let false_id = format!("sha256:{}", "0".repeat(64));
        let found = expect_digest(found, &false_id);
        assert_eq!(found.diff_id, false_id);
        assert!(!found.is_whole());
        assert!(found.unknown[0].why.contains("and the image names sha256:0000"), "{:?}", found.unknown);
    }

    #[test]
    fn what_breaks_once_is_never_an_end() {
        struct Breaks(u8);
        impl Read for Breaks {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                match self.0 {
                    1 => {
                        let bytes = layer();
                        buffer[..512].copy_from_slice(&bytes[..512]);
                        Ok(512)
                    }
                    2 => Err(io::Error::other("broken")),
                    _ => Ok(0),
                }
            }
        }
        let found = scan_layer_verified(Breaks(0), None, &Options::default());
        assert_eq!((found.entries, found.diff_id.as_str()), (1, ""));
        assert!(found.unknown[0].why.contains("broken"), "{:?}", found.unknown);
    }

    #[test]
    fn large_streams_have_the_digest_of_all_their_chunks() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3_000_000);
        tar.append_data(&mut header, "x", io::repeat(7).take(3_000_000)).unwrap();
        let bytes = tar.into_inner().unwrap();
        let expected = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
        let found = scan_layer_verified(bytes.as_slice(), None, &Options::default());
        assert_eq!(found.diff_id, format!("sha256:{expected}"));
    }

    #[test]
    fn a_cut_stream_is_one_report() {
        let bytes = layer();
        let cut = bytes.get(..300).unwrap();
        let found = expect_digest(scan_layer_verified(cut, None, &Options::default()), "sha256:1");
        assert!(!found.is_whole());
    }
}
