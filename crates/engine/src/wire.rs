//! What a monitor and its clients say to each other: frames on a unix stream socket.
//!
//! A frame is one byte of kind, four bytes of length (little endian), and the payload. Both ends are this binary, but
//! the version may differ when a container outlives an update: unknown kinds are skipped by length.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// Largest payload either side sends, in bytes. A longer claim is an error, so that a peer cannot make us allocate.
pub(crate) const MAX_PAYLOAD: usize = 64 << 10;
/// Bytes before the payload.
pub(crate) const HEADER: usize = 5;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $name:ident = $value:literal,)*) => {
        /// Kind of a frame.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Kind { $($(#[doc = $doc])* $name = $value,)* }

        impl Kind {
            pub fn from_byte(byte: u8) -> Option<Kind> {
                match byte { $($value => Some(Kind::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// Client: send me output, take my input. One byte: bit 0 stdin, 1 stdout, 2 stderr.
    Attach = 1,
    /// Client: input.
    Stdin = 2,
    /// Client: end of input.
    StdinEnd = 3,
    /// Client: columns and rows, two little-endian u16.
    Resize = 4,
    /// Client: signal number, i32.
    Signal = 5,
    /// Client: signal number i32 (0: the container's own), and optionally seconds until SIGKILL, i64 (-1: never).
    Stop = 6,
    /// Client: freeze.
    Pause = 7,
    /// Client: thaw.
    Unpause = 8,
    /// Client: answer `Exit` when it ends.
    Wait = 9,
    /// Client: the record's limits or restart policy changed; read them again.
    Update = 10,
    /// Client: I go, the container's input stays open.
    Detach = 11,
    /// Monitor: standard output.
    Stdout = 0x81,
    /// Monitor: standard error.
    Stderr = 0x82,
    /// Monitor: it ended and is cleaned up; exit code, i32.
    Exit = 0x83,
    /// Monitor: done.
    Ok = 0x84,
    /// Monitor: not done; words.
    Error = 0x85,
}

/// Which streams a client attaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

impl Streams {
    /// All three.
    pub const ALL: Streams = Streams { stdin: true, stdout: true, stderr: true };

    pub(crate) fn to_byte(self) -> u8 {
        u8::from(self.stdin) | u8::from(self.stdout) << 1 | u8::from(self.stderr) << 2
    }

    pub(crate) fn from_byte(byte: u8) -> Streams {
        Streams { stdin: byte & 1 != 0, stdout: byte & 2 != 0, stderr: byte & 4 != 0 }
    }
}

/// The header of a frame.
pub(crate) fn header(kind: Kind, length: usize) -> [u8; HEADER] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    [kind as u8, a, b, c, d]
}

/// Appends a frame to a buffer.
pub(crate) fn push(buffer: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    buffer.extend_from_slice(&header(kind, payload.len()));
    buffer.extend_from_slice(payload);
}

/// Sends a frame on a blocking socket. The peer's end is an error, not a signal.
pub(crate) fn send(stream: &UnixStream, kind: Kind, payload: &[u8]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(HEADER + payload.len());
    push(&mut frame, kind, payload);
    let mut rest = frame.as_slice();
    while !rest.is_empty() {
        match rustix::net::send(stream.as_fd(), rest, rustix::net::SendFlags::NOSIGNAL) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => rest = rest.get(n..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Collects bytes and hands out whole frames.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    buffer: Vec<u8>,
    /// Where the next frame begins.
    start: usize,
}

impl Decoder {
    /// Takes bytes as they came.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` when more bytes are needed.
    ///
    /// # Errors
    /// When the peer claims more than [`MAX_PAYLOAD`].
    pub fn next(&mut self) -> io::Result<Option<(Option<Kind>, &[u8])>> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let &[kind, a, b, c, d, ..] = rest else { return Ok(None) };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > MAX_PAYLOAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer sent a frame that is too long"));
        }
        if rest.len() < HEADER + length {
            return Ok(None);
        }
        let begin = self.start + HEADER;
        self.start = begin + length;
        Ok(Some((Kind::from_byte(kind), self.buffer.get(begin..begin + length).unwrap_or_default())))
    }
}

/// Waits for the next frame on a blocking socket; `None` at its end.
pub(crate) fn receive(stream: &mut UnixStream, decoder: &mut Decoder) -> io::Result<Option<(Kind, Vec<u8>)>> {
    let mut bytes = [0u8; 16 << 10];
    loop {
        while let Some((kind, payload)) = decoder.next()? {
            if let Some(kind) = kind {
                return Ok(Some((kind, payload.to_vec())));
            }
        }
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(None),
            Ok(n) => decoder.feed(bytes.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Reads an i32 payload.
pub(crate) fn as_i32(payload: &[u8]) -> Option<i32> {
    Some(i32::from_le_bytes(payload.get(..4)?.try_into().ok()?))
}

/// Reads the i64 that follows `offset`.
pub(crate) fn as_i64(payload: &[u8], offset: usize) -> Option<i64> {
    Some(i64::from_le_bytes(payload.get(offset..offset.checked_add(8)?)?.try_into().ok()?))
}

/// Reads the u16 at `offset`.
pub(crate) fn as_u16(payload: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_le_bytes(payload.get(offset..offset.checked_add(2)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_whole_however_they_were_cut() {
        let mut bytes = Vec::new();
        push(&mut bytes, Kind::Stdout, b"hello");
        push(&mut bytes, Kind::Exit, &7i32.to_le_bytes());
        let mut decoder = Decoder::default();
        let mut seen = Vec::new();
        for byte in bytes {
            decoder.feed(&[byte]);
            while let Some((kind, payload)) = decoder.next().unwrap() {
                seen.push((kind, payload.to_vec()));
            }
        }
        assert_eq!(seen, vec![(Some(Kind::Stdout), b"hello".to_vec()), (Some(Kind::Exit), vec![7, 0, 0, 0])]);
    }

    #[test]
    fn a_long_claim_is_an_error() {
        let mut decoder = Decoder::default();
        decoder.feed(&[2, 255, 255, 255, 255]);
        assert!(decoder.next().is_err());
    }

    #[test]
    fn streams_fit_in_a_byte() {
        for n in 0..8 {
            assert_eq!(Streams::from_byte(n).to_byte(), n);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_decode_or_fail(bytes: Vec<u8>) {
            let mut decoder = Decoder::default();
            decoder.feed(&bytes);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }
}
