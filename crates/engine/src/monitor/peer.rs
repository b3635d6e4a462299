//! One client of the monitor's socket.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use crate::error::{EngineError, system_error};
use crate::wire::{self, Decoder, Kind, Streams};

/// Output that waits for a slow client, in bytes, before the container's output is no longer read.
pub(super) const QUEUE_LIMIT: usize = 256 << 10;

/// Longest error message that is sent, in bytes.
const MAX_WORDS: usize = 4096;

/// One client.
pub(super) struct Peer {
    stream: UnixStream,
    pub decoder: Decoder,
    out: Vec<u8>,
    sent: usize,
    /// What it attached; `None` until it does.
    pub streams: Option<Streams>,
    /// It wants to know the end.
    pub waiting: bool,
    /// Attached from before the start: its end of input is the container's.
    pub foreground: bool,
    /// It closes input for good when it goes without saying that it detaches.
    pub detached: bool,
    /// To be closed when its output is flushed.
    pub leaving: bool,
    /// Its socket failed or ended.
    pub gone: bool,
}

impl Peer {
    pub fn new(stream: UnixStream, foreground: bool) -> Result<Peer, EngineError> {
        stream.set_nonblocking(true).map_err(system_error("make a socket non-blocking"))?;
        Ok(Peer {
            stream,
            decoder: Decoder::default(),
            out: Vec::new(),
            sent: 0,
            streams: None,
            waiting: false,
            foreground,
            detached: false,
            leaving: false,
            gone: false,
        })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Whether it hears of the end.
    pub fn waits(&self) -> bool {
        self.waiting || self.streams.is_some()
    }

    pub fn has_output(&self) -> bool {
        self.sent < self.out.len() && !self.gone
    }

    /// Whether it is so slow that reading more for it must wait.
    pub fn is_full(&self) -> bool {
        self.out.len() - self.sent > QUEUE_LIMIT && !self.gone
    }

    /// Queues a frame, in pieces if it is long.
    pub fn push(&mut self, kind: Kind, payload: &[u8]) {
        if payload.is_empty() {
            wire::push(&mut self.out, kind, payload);
        }
        for piece in payload.chunks(wire::MAX_PAYLOAD) {
            wire::push(&mut self.out, kind, piece);
        }
    }

    /// Sends what the socket takes.
    pub fn flush(&mut self) {
        while self.has_output() {
            let rest = self.out.get(self.sent..).unwrap_or_default();
            match rustix::net::send(self.stream.as_fd(), rest, rustix::net::SendFlags::NOSIGNAL) {
                Ok(n) => self.sent += n,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => self.gone = true,
            }
        }
        self.out.clear();
        // A burst must not stay resident for the container's life.
        self.out.shrink_to(4 << 10);
        self.sent = 0;
    }

    /// Reads what is there into the decoder.
    pub fn receive(&mut self) {
        let mut bytes = [0u8; 4 << 10];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.gone = true,
            Ok(n) => self.decoder.feed(bytes.get(..n).unwrap_or_default()),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.gone = true,
        }
    }

    /// The next whole request. A client that talks nonsense is cut off.
    pub fn next_request(&mut self) -> Option<(Kind, Vec<u8>)> {
        loop {
            match self.decoder.next() {
                Ok(Some((Some(kind), payload))) => return Some((kind, payload.to_vec())),
                Ok(Some((None, _))) => {}
                Ok(None) => return None,
                Err(_) => {
                    self.gone = true;
                    return None;
                }
            }
        }
    }

    /// Answers a request.
    pub fn answer(&mut self, result: Result<(), EngineError>) {
        match result {
            Ok(()) => self.push(Kind::Ok, &[]),
            Err(e) => {
                let words = e.chain();
                // The reader replaces what a cut in the middle of a character leaves.
                let bytes = words.as_bytes();
                self.push(Kind::Error, bytes.get(..MAX_WORDS).unwrap_or(bytes));
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The descriptor that the monitor inherited is another one of the same socket.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

/// Sets `O_NONBLOCK`, so that one slow reader cannot stop the loop.
pub(super) fn nonblocking(fd: impl AsFd) -> rustix::io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd.as_fd())?;
    rustix::fs::fcntl_setfl(fd.as_fd(), flags | rustix::fs::OFlags::NONBLOCK)
}
