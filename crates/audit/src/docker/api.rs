//! The Docker Engine API over its unix socket: GET only, bounded in time and size.
//!
//! A client of our own, because the audit must stay safe against a socket that hangs, lies or never stops sending, and
//! needs nothing but `GET`. Source: Docker Engine API v1.24 and newer; RFC 9112 for the chunked coding.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest answer that is read, in bytes: `docker inspect` of a thousand containers stays well below.
const MAX_ANSWER_BYTES: u64 = 64 << 20;
/// Longest status or header line, in bytes.
const MAX_LINE_BYTES: u64 = 16 << 10;
/// How long one request may take as a whole.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the daemon gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody listens there.
    #[error("cannot connect to `{socket}`")]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke or took too long.
    #[error("`{socket}`: no answer to GET {path} ({what})")]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// What was asked.
        path: String,
        /// What happened.
        what: String,
    },
    /// The daemon refused.
    #[error("GET {path}: the daemon answers {status}: {message}")]
    Refused {
        /// What was asked.
        path: String,
        /// HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
}

/// A daemon's socket.
#[derive(Debug, Clone)]
pub struct Api {
    socket: PathBuf,
}

impl Api {
    /// The daemon behind `socket`; nothing is sent yet.
    pub fn new(socket: &Path) -> Api {
        Api { socket: socket.to_owned() }
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// `GET path` as JSON.
    pub fn get(&self, path: &str) -> Result<Value, ApiError> {
        let broken = |what: String| ApiError::Broken { socket: self.socket.clone(), path: path.to_owned(), what };
        let stream = UnixStream::connect(&self.socket)
            .map_err(|source| ApiError::Connect { socket: self.socket.clone(), source })?;
        let deadline = Instant::now() + PATIENCE;
        let mut stream = Timed { stream, deadline };
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: docker\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(|e| broken(e.to_string()))?;
        let mut reader = BufReader::new(stream);
        let (status, body) = read_answer(&mut reader).map_err(|e| broken(e.to_string()))?;
        let json: Result<Value, _> = serde_json::from_slice(&body);
        if status != 200 {
            let message = json
                .ok()
                .and_then(|v| v.get("message").and_then(Value::as_str).map(str::to_owned))
                .unwrap_or_else(|| String::from_utf8_lossy(&body).chars().take(200).collect());
            return Err(ApiError::Refused { path: path.to_owned(), status, message });
        }
        json.map_err(|e| broken(format!("not JSON: {e}")))
    }
}

/// A stream whose reads and writes together end at a deadline, however slowly the other side drips.
struct Timed {
    stream: UnixStream,
    deadline: Instant,
}

impl Timed {
    fn left(&self) -> std::io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::Error::other(format!("took longer than {} s", PATIENCE.as_secs())));
        }
        Ok(left)
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

fn malformed(what: &str) -> std::io::Error {
    std::io::Error::other(what.to_owned())
}

fn line(reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes)?;
    if bytes.last() != Some(&b'\n') {
        return Err(malformed("the answer ends in the middle of a line"));
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// Status code and body of an HTTP/1.x answer.
fn read_answer(reader: &mut impl BufRead) -> std::io::Result<(u16, Vec<u8>)> {
    let status_line = line(reader)?;
    let status = status_line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| malformed("not an HTTP answer"))?;
    let mut chunked = false;
    let mut length = None;
    for count in 0.. {
        if count > 100 {
            return Err(malformed("too many header lines"));
        }
        let header = line(reader)?;
        let Some((name, value)) = header.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
            "content-length" => length = value.trim().parse::<u64>().ok(),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let size_line = line(reader)?;
            let digits = size_line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(digits, 16).map_err(|_| malformed("a chunk has no size"))?;
            if size == 0 {
                return Ok((status, body));
            }
            append(reader, size, &mut body)?;
            line(reader)?;
        }
    }
    match length {
        Some(size) => append(reader, size, &mut body)?,
        None => {
            reader.by_ref().take(MAX_ANSWER_BYTES + 1).read_to_end(&mut body)?;
            if body.len() as u64 > MAX_ANSWER_BYTES {
                return Err(malformed("the answer is too long"));
            }
        }
    }
    Ok((status, body))
}

fn append(reader: &mut impl BufRead, size: u64, body: &mut Vec<u8>) -> std::io::Result<()> {
    if body.len() as u64 + size > MAX_ANSWER_BYTES {
        return Err(malformed("the answer is too long"));
    }
    let got = reader.by_ref().take(size).read_to_end(body)?;
    if (got as u64) < size {
        return Err(malformed("the answer is cut off"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
        read_answer(&mut BufReader::new(bytes))
    }

    #[test]
    fn bodies_by_length_by_chunks_and_to_the_end() {
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap(), (200, b"{}".to_vec()));
        assert_eq!(
            answer(b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n").unwrap(),
            (404, b"{}".to_vec())
        );
        assert_eq!(answer(b"HTTP/1.0 200 OK\r\n\r\n[]").unwrap(), (200, b"[]".to_vec()));
    }

    #[test]
    fn lies_are_errors() {
        for bytes in [
            &b"SSH-2.0"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        ] {
            assert!(answer(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end(bytes: Vec<u8>) {
            let _ = answer(&bytes);
        }
    }
}
