//! Behind the packer: hashes the tar, compresses it, hashes and writes the result, each on a thread of its own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// Bytes that travel between the threads at once. Large enough to make a channel's cost vanish, small enough for the
/// second-level cache.
const CHUNK_BYTES: usize = 1 << 20;
/// Chunks on their way to each thread: with the ones being worked on, at most 10 MiB.
const CHUNKS_IN_FLIGHT: usize = 4;
/// Fastest of zstd's ordinary levels: a Debian root shrinks to 38 % at half a gigabyte a second; level 3 wins four
/// points at half the speed.
const ZSTD_LEVEL: i32 = 1;
/// Threads of zstd's own. With one or more, its output does not depend on how many there are.
const MAX_ZSTD_WORKERS: usize = 4;

/// What came of a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SinkReport {
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Bytes of the uncompressed tar.
    pub tar_bytes: u64,
    /// Digest of the compressed blob.
    pub digest: Digest,
    /// Bytes of the compressed blob.
    pub blob_bytes: u64,
}

/// Takes an uncompressed tar and writes a zstd blob to a file, or only hashes it.
pub(crate) struct LayerSink {
    chunk: Vec<u8>,
    tar_bytes: u64,
    state: State,
}

/// A tar that fits one chunk (a `WORKDIR`, a small `COPY`) never starts a thread.
enum State {
    Waiting(Output),
    Running { hash: Stage<Digest>, compress: Option<Stage<(Digest, u64)>>, sync: JoinHandle<()> },
    Failed,
}

/// Where the blob goes. The file is on the file system that the layer is on.
enum Output {
    Zstd(File),
    Nowhere(File),
}

struct Stage<T> {
    input: Option<SyncSender<Arc<Vec<u8>>>>,
    thread: JoinHandle<io::Result<T>>,
}

impl LayerSink {
    /// The blob is written to `file` from its present position.
    pub fn new(file: File) -> LayerSink {
        LayerSink::to(Output::Zstd(file))
    }

    /// Nothing is written: the blob is the tar itself, and whoever wants it makes it again. `any` is a file of the file
    /// system that the layer is on.
    pub fn hashing(any: File) -> LayerSink {
        LayerSink::to(Output::Nowhere(any))
    }

    fn to(output: Output) -> LayerSink {
        LayerSink { chunk: Vec::with_capacity(64 * 1024), tar_bytes: 0, state: State::Waiting(output) }
    }

    /// Copies exactly `size` bytes from `source`, straight into the outgoing chunks.
    /// Errors: `UnexpectedEof` if there are fewer.
    pub fn copy_from(&mut self, source: &mut impl Read, size: u64) -> io::Result<()> {
        let mut left = size;
        while left > 0 {
            let room = CHUNK_BYTES.saturating_sub(self.chunk.len()).max(1);
            let step = room.min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = source.by_ref().take(step as u64).read_to_end(&mut self.chunk)?;
            if read < step {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left -= step as u64;
            self.send_if_full()?;
        }
        Ok(())
    }

    /// Ends the tar's bytes; gives what came of them when all threads are done. The file is not synced.
    pub fn finish(mut self) -> io::Result<SinkReport> {
        self.tar_bytes += self.chunk.len() as u64;
        let chunk = Arc::new(std::mem::take(&mut self.chunk));
        let (diff_id, (digest, blob_bytes)) = match std::mem::replace(&mut self.state, State::Failed) {
            State::Waiting(output) => {
                let diff_id = Digest::of(&chunk);
                match output {
                    Output::Zstd(file) => (diff_id, compress(&mut std::iter::once(chunk), file, 0)?),
                    Output::Nowhere(_) => (diff_id, (diff_id, self.tar_bytes)),
                }
            }
            State::Running { hash, compress, sync } => {
                // If a thread has died, the join below tells why.
                let _ = hash.send(&chunk);
                let _ = compress.as_ref().map(|stage| stage.send(&chunk));
                let diff_id = hash.join()?;
                let results = (diff_id, compress.map_or(Ok((diff_id, self.tar_bytes)), Stage::join)?);
                // It only started what the caller's own sync completes.
                let _ = sync.join();
                results
            }
            State::Failed => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        Ok(SinkReport { diff_id, tar_bytes: self.tar_bytes, digest, blob_bytes })
    }

    fn send_if_full(&mut self) -> io::Result<()> {
        if self.chunk.len() < CHUNK_BYTES {
            return Ok(());
        }
        let chunk = Arc::new(std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES)));
        self.tar_bytes += chunk.len() as u64;
        if let State::Waiting(_) = self.state {
            self.start()?;
        }
        let State::Running { hash, compress, .. } = &self.state else { return Err(io::ErrorKind::BrokenPipe.into()) };
        if hash.send(&chunk).is_ok() && compress.as_ref().is_none_or(|stage| stage.send(&chunk).is_ok()) {
            return Ok(());
        }
        // A thread ended early: its error is the true one.
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Running { hash, compress, .. } => {
                hash.join()?;
                compress.map(Stage::join).transpose()?;
                Err(io::ErrorKind::BrokenPipe.into())
            }
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let State::Waiting(output) = std::mem::replace(&mut self.state, State::Failed) else { return Ok(()) };
        let (Output::Zstd(file) | Output::Nowhere(file)) = &output;
        let workers = std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_ZSTD_WORKERS));
        // The directory being packed has just been written. The disk may take it while the processors compress; the
        // sync before the layer is published then finds little left to do.
        let sync = file.try_clone()?;
        let sync = std::thread::Builder::new().name("layer-sync".into()).spawn(move || {
            let _ = rustix::fs::syncfs(&sync);
        })?;
        let hash = Stage::spawn("layer-hash", |input| Ok(hash(&mut input.into_iter())))?;
        let compress = match output {
            Output::Nowhere(_) => None,
            Output::Zstd(file) => {
                Some(Stage::spawn("layer-zstd", move |input| compress(&mut input.into_iter(), file, workers))?)
            }
        };
        self.state = State::Running { hash, compress, sync };
        Ok(())
    }
}

impl Write for LayerSink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let room = CHUNK_BYTES.saturating_sub(self.chunk.len()).max(1);
        let part = buf.get(..room).unwrap_or(buf);
        self.chunk.extend_from_slice(part);
        self.send_if_full()?;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: Send + 'static> Stage<T> {
    fn spawn(
        name: &str,
        run: impl FnOnce(Receiver<Arc<Vec<u8>>>) -> io::Result<T> + Send + 'static,
    ) -> io::Result<Stage<T>> {
        let (input, output) = sync_channel(CHUNKS_IN_FLIGHT);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(output))?;
        Ok(Stage { input: Some(input), thread })
    }

    fn send(&self, chunk: &Arc<Vec<u8>>) -> io::Result<()> {
        match &self.input {
            Some(input) => input.send(Arc::clone(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn join(mut self) -> io::Result<T> {
        self.input = None;
        self.thread.join().map_err(|_| io::Error::other("a worker thread of the layer packer panicked"))?
    }
}

fn hash(chunks: &mut dyn Iterator<Item = Arc<Vec<u8>>>) -> Digest {
    let mut hash = Sha256::new();
    for chunk in chunks {
        hash.update(chunk.as_slice());
    }
    Digest::from_bytes(hash.finalize().into())
}

/// `workers` 0 compresses on this thread.
fn compress(chunks: &mut dyn Iterator<Item = Arc<Vec<u8>>>, file: File, workers: usize) -> io::Result<(Digest, u64)> {
    let mut encoder = zstd::stream::write::Encoder::new(HashingWriter::new(file), ZSTD_LEVEL)?;
    if workers > 0 {
        encoder.multithread(u32::try_from(workers).unwrap_or(1))?;
    }
    for chunk in chunks {
        encoder.write_all(&chunk)?;
    }
    let (_, digest, bytes) = encoder.finish()?.finish();
    Ok((digest, bytes))
}

/// Hashes what is written through it.
pub(crate) struct HashingWriter<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> HashingWriter<W> {
    pub fn new(inner: W) -> HashingWriter<W> {
        HashingWriter { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// The writer, the digest and the count of what went through.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest::from_bytes(self.hash.finalize().into()), self.bytes)
    }
}

impl<W: Write> Write for HashingWriter<W> {
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

/// Hashes what is read through it.
pub(crate) struct HashingReader<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R> HashingReader<R> {
    pub fn new(inner: R) -> HashingReader<R> {
        HashingReader { inner, hash: Sha256::new(), bytes: 0 }
    }

    /// The digest and the count of what went through.
    pub fn finish(self) -> (Digest, u64) {
        (Digest::from_bytes(self.hash.finalize().into()), self.bytes)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.hash.update(buf.get(..read).unwrap_or_default());
        self.bytes += read as u64;
        Ok(read)
    }
}
