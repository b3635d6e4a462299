//! The Docker Engine API over its unix socket, as far as a scan needs it: two `GET`s, one of them endless.
//!
//! Source: Docker Engine API v1.24 and newer (`/images/{name}/json`, `/images/{name}/get`); RFC 9112 for the framing.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::failure::Failure;

/// Longest status or header line, in bytes.
const MAX_LINE_BYTES: u64 = 16 << 10;
/// Most header lines.
const MAX_HEADERS: usize = 200;
/// Longest document.
const MAX_ANSWER_BYTES: u64 = 32 << 20;
/// How long the daemon may be silent: it collects an image's files before it begins to send.
const PATIENCE: Duration = Duration::from_secs(120);

/// A daemon's socket.
#[derive(Debug)]
pub struct Daemon {
    socket: PathBuf,
}

/// How the end of a body is known.
#[derive(Debug)]
enum Framing {
    /// Bytes that are left.
    Length(u64),
    /// Bytes left of the present chunk; `None` after the last one.
    Chunked(Option<u64>),
    /// The connection's end.
    Close,
}

/// The body of an answer.
#[derive(Debug)]
pub struct Body {
    stream: BufReader<UnixStream>,
    framing: Framing,
}

impl Daemon {
    /// The daemon of `DOCKER_HOST`, else docker's own place.
    pub fn find() -> Result<Daemon, Failure> {
        let named = std::env::var("DOCKER_HOST").ok().filter(|v| !v.is_empty());
        match named {
            None => Ok(Daemon { socket: "/var/run/docker.sock".into() }),
            Some(host) => match host.strip_prefix("unix://") {
                Some(path) => Ok(Daemon { socket: path.into() }),
                None => Err(Failure::usage(format!("DOCKER_HOST is `{host}`, and only unix:// sockets are spoken"))
                    .hint("`docker save IMAGE | stockade scan docker-archive:-` scans an image of any daemon")),
            },
        }
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What the daemon knows of an image.
    pub fn image(&self, name: &str) -> Result<Value, Failure> {
        let path = format!("/images/{}/json", escape(name));
        let mut bytes = Vec::new();
        self.get(&path, name)?.take(MAX_ANSWER_BYTES).read_to_end(&mut bytes).map_err(|e| self.broken(&e))?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// An image as `docker save` writes it.
    pub fn save(&self, name: &str) -> Result<Body, Failure> {
        self.get(&format!("/images/{}/get", escape(name)), name)
    }

    fn get(&self, path: &str, name: &str) -> Result<Body, Failure> {
        let connect = |e: io::Error| {
            Failure::new(format!("cannot connect to the Docker daemon at `{}`: {e}", self.socket.display()))
                .hint("DOCKER_HOST=unix:///PATH names another socket")
        };
        let stream = UnixStream::connect(&self.socket).map_err(connect)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(connect)?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: docker\r\nAccept: */*\r\nConnection: close\r\n\r\n");
        (&stream).write_all(head.as_bytes()).map_err(|e| self.broken(&e))?;
        let mut stream = BufReader::with_capacity(256 << 10, stream);
        let (status, framing) = read_head(&mut stream).map_err(|e| self.broken(&e))?;
        let body = Body { stream, framing };
        if status == 200 {
            return Ok(body);
        }
        let mut words = Vec::new();
        // The daemon's own words help; where they cannot be read, the status has to do.
        let _ = body.take(64 << 10).read_to_end(&mut words);
        let message = serde_json::from_slice::<Value>(&words)
            .ok()
            .and_then(|v| v.get("message").and_then(Value::as_str).map(str::to_owned))
            .unwrap_or_else(|| format!("status {status}"));
        Err(Failure::new(format!("the Docker daemon has no image `{name}` to give: {message}")))
    }

    fn broken(&self, error: &io::Error) -> Failure {
        Failure::new(format!("the Docker daemon at `{}` gave no whole answer: {error}", self.socket.display()))
    }
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    stream.take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(malformed("a line that does not end"));
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\r').to_owned())
}

fn read_head(stream: &mut impl BufRead) -> io::Result<(u16, Framing)> {
    let first = line(stream)?;
    let status = first
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| malformed("it is no HTTP"))?;
    let mut framing = Framing::Close;
    for _ in 0..MAX_HEADERS {
        let header = line(stream)?;
        if header.is_empty() {
            return Ok((status, framing));
        }
        let Some((name, value)) = header.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            framing = Framing::Chunked(Some(0));
        } else if name.eq_ignore_ascii_case("content-length") && !matches!(framing, Framing::Chunked(_)) {
            framing = Framing::Length(value.parse().map_err(|_| malformed("a length that is no number"))?);
        }
    }
    Err(malformed("headers without end"))
}

impl Body {
    /// Reads a chunk's size line. 0 is the last chunk, and trailers follow it, which nobody needs.
    fn next_chunk(&mut self, first: bool) -> io::Result<Option<u64>> {
        if !first && !line(&mut self.stream)?.is_empty() {
            return Err(malformed("a chunk that is longer than promised"));
        }
        let size = line(&mut self.stream)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| malformed("a chunk without a size"))?;
        Ok((size > 0).then_some(size))
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let left = match &self.framing {
            Framing::Close => return self.stream.read(buffer),
            Framing::Length(0) | Framing::Chunked(None) => return Ok(0),
            Framing::Length(left) | Framing::Chunked(Some(left)) => *left,
        };
        let left = if left > 0 {
            left
        } else {
            // Only before the first chunk are there none left: reading the last byte of one reads the next one's size.
            match self.next_chunk(true)? {
                Some(size) => size,
                None => {
                    self.framing = Framing::Chunked(None);
                    return Ok(0);
                }
            }
        };
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.stream.read(buffer.get_mut(..room).unwrap_or_default())?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let left = left - got as u64;
        self.framing = match self.framing {
            Framing::Length(_) => Framing::Length(left),
            _ if left > 0 => Framing::Chunked(Some(left)),
            _ => Framing::Chunked(self.next_chunk(false)?),
        };
        Ok(got)
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// A name as a part of a path (RFC 3986); slashes and colons of image names stay.
fn escape(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:@".contains(&b);
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A daemon that says this once, on a socket in a fresh directory.
    fn says(answer: &'static [u8]) -> (tempfile::TempDir, Daemon) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(&stream);
            while !line(&mut reader).unwrap().is_empty() {}
            (&stream).write_all(answer).unwrap();
        });
        (dir, Daemon { socket })
    }

    fn body(answer: &'static [u8]) -> Result<Vec<u8>, String> {
        let (_dir, daemon) = says(answer);
        let mut bytes = Vec::new();
        daemon.save("a/b:c").map_err(|e| e.to_string())?.read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        Ok(bytes)
    }

    #[test]
    fn bodies_end_where_they_say() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd").unwrap(), b"abc");
        assert_eq!(body(b"HTTP/1.0 200 OK\r\n\r\nabcd").unwrap(), b"abcd");
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(body(chunked).unwrap(), b"abcde");
    }

    #[test]
    fn cut_and_wrong_answers_fail() {
        for answer in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n",
            b"hello",
            b"",
        ] {
            assert!(body(answer).is_err(), "{}", String::from_utf8_lossy(answer));
        }
        let refused = body(b"HTTP/1.1 404 Not Found\r\nContent-Length: 30\r\n\r\n{\"message\":\"No such image: x\"}")
            .unwrap_err();
        assert!(refused.contains("No such image"), "{refused}");
    }

    #[test]
    fn names_are_escaped() {
        assert_eq!(escape("a/b:c@sha256:0 ?"), "a/b:c@sha256:0%20%3F");
    }
}
