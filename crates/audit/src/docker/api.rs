//! The Docker Engine API over its unix socket: GET only, bounded in time and size.
//!
//! A client of our own, because the audit must stay safe against a socket that hangs, lies or never stops sending, and
//! needs nothing but `GET`. Source: Docker Engine API v1.24 and newer; RFC 9112 for the chunked coding.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest answer that is read, in bytes: a list of ten thousand images stays below.
const MAX_ANSWER_BYTES: u64 = 8 << 20;
/// Bytes of all answers of one audit together: `docker inspect` of a thousand containers is about 10 MB.
const MAX_TOTAL_BYTES: u64 = 64 << 20;
/// Longest status or header line, in bytes.
const MAX_LINE_BYTES: u64 = 16 << 10;
/// How long one request may take as a whole.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long all requests together may take.
const TOTAL_PATIENCE: Duration = Duration::from_secs(25);
/// Connections that [`Api::get_all`] uses at once: the daemon answers from memory, so more only wait for its locks.
const CONNECTIONS: usize = 4;

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

/// A daemon's socket. Clones share one budget of time and bytes.
#[derive(Debug, Clone)]
pub struct Api {
    socket: PathBuf,
    limits: Arc<Limits>,
}

/// What is left of the budget for one audit.
#[derive(Debug)]
struct Limits {
    /// How long one request may take.
    patience: Duration,
    /// How long all may take, from the first on.
    total_patience: Duration,
    started: OnceLock<Instant>,
    bytes_left: AtomicU64,
}

impl Limits {
    /// The end of the next request.
    fn deadline(&self) -> Instant {
        let now = Instant::now();
        let end = *self.started.get_or_init(|| now) + self.total_patience;
        end.min(now + self.patience)
    }

    fn spend(&self, bytes: u64) -> std::io::Result<()> {
        let left = self.bytes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |l| l.checked_sub(bytes));
        left.map(drop).map_err(|_| malformed("the answers together are too long"))
    }
}

impl Api {
    /// The daemon behind `socket`; nothing is sent yet.
    pub fn new(socket: &Path) -> Api {
        Api::with_patience(socket, PATIENCE, TOTAL_PATIENCE)
    }

    /// The same with other limits on the time of one request and of all together.
    pub fn with_patience(socket: &Path, patience: Duration, total_patience: Duration) -> Api {
        let limits =
            Limits { patience, total_patience, started: OnceLock::new(), bytes_left: AtomicU64::new(MAX_TOTAL_BYTES) };
        Api { socket: socket.to_owned(), limits: Arc::new(limits) }
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// `GET path` as JSON.
    pub fn get(&self, path: &str) -> Result<Value, ApiError> {
        Connection::new(self).get(path)
    }

    /// `GET` of many paths over a few connections at once; the answers are in the order of the paths.
    pub fn get_all(&self, paths: &[String]) -> Vec<Result<Value, ApiError>> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut connection = Connection::new(self);
            let mut done = Vec::new();
            while let Some((i, path)) = {
                let i = next.fetch_add(1, Ordering::Relaxed);
                paths.get(i).map(|p| (i, p))
            } {
                done.push((i, connection.get(path)));
            }
            done
        };
        let mut answers: Vec<(usize, Result<Value, ApiError>)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..CONNECTIONS.min(paths.len())).map(|_| scope.spawn(work)).collect();
            let mut answers = work();
            for thread in threads {
                answers.extend(thread.join().unwrap_or_default());
            }
            answers
        });
        answers.sort_by_key(|(i, _)| *i);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }
}

/// A connection that is kept for the next request where the daemon allows it.
struct Connection<'a> {
    api: &'a Api,
    kept: Option<BufReader<Timed>>,
}

impl<'a> Connection<'a> {
    fn new(api: &'a Api) -> Connection<'a> {
        Connection { api, kept: None }
    }

    fn get(&mut self, path: &str) -> Result<Value, ApiError> {
        let broken = |what: String| ApiError::Broken { socket: self.api.socket.clone(), path: path.to_owned(), what };
        // A kept connection may have been closed meanwhile: then once more with a new one. What failed in another way
        // is not tried again, or a daemon that hangs would be waited for twice.
        let reused = self.kept.take().map(|reader| self.exchange(reader, path));
        let answer = match reused {
            Some(Err(e)) if !is_closed(&e) => return Err(broken(e.to_string())),
            Some(Ok(answer)) => answer,
            Some(Err(_)) | None => {
                let reader = self.connect()?;
                self.exchange(reader, path).map_err(|e| broken(e.to_string()))?
            }
        };
        let json: Result<Value, _> = serde_json::from_slice(&answer.body);
        if answer.status != 200 {
            let message = json
                .ok()
                .and_then(|v| v.get("message").and_then(Value::as_str).map(str::to_owned))
                .unwrap_or_else(|| String::from_utf8_lossy(&answer.body).into_owned());
            let message = message.chars().take(200).collect();
            return Err(ApiError::Refused { path: path.to_owned(), status: answer.status, message });
        }
        json.map_err(|e| broken(format!("not JSON: {e}")))
    }

    fn connect(&self) -> Result<BufReader<Timed>, ApiError> {
        let socket = &self.api.socket;
        let stream =
            UnixStream::connect(socket).map_err(|source| ApiError::Connect { socket: socket.clone(), source })?;
        Ok(BufReader::new(Timed { stream, deadline: self.api.limits.deadline() }))
    }

    fn exchange(&mut self, mut reader: BufReader<Timed>, path: &str) -> std::io::Result<HttpAnswer> {
        reader.get_mut().deadline = self.api.limits.deadline();
        let request = format!("GET {path} HTTP/1.1\r\nHost: docker\r\nAccept: application/json\r\n\r\n");
        reader.get_mut().write_all(request.as_bytes())?;
        let answer = read_answer(&mut reader)?;
        self.api.limits.spend(answer.body.len() as u64)?;
        if answer.keep && reader.buffer().is_empty() {
            self.kept = Some(reader);
        }
        Ok(answer)
    }
}

/// Whether the other side had closed the connection before it answered.
fn is_closed(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(e.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// A stream whose reads and writes together end at a deadline, however slowly the other side drips.
struct Timed {
    stream: UnixStream,
    deadline: Instant,
}

impl Timed {
    fn left(&self) -> std::io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(late()) } else { Ok(left) }
    }
}

fn late() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "it took too long")
}

/// A socket's own time-out has words that tell nobody anything.
fn in_words(e: std::io::Error) -> std::io::Error {
    if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) { late() } else { e }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer).map_err(in_words)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(buffer).map_err(in_words)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

/// A whole answer.
struct HttpAnswer {
    status: u16,
    body: Vec<u8>,
    /// Whether the connection may be used again.
    keep: bool,
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

/// An HTTP/1.x answer. A connection that ends before the first byte is `UnexpectedEof`.
fn read_answer(reader: &mut impl BufRead) -> std::io::Result<HttpAnswer> {
    if reader.fill_buf()?.is_empty() {
        return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the connection was closed"));
    }
    let status_line = line(reader)?;
    let status = status_line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| malformed("not an HTTP answer"))?;
    let mut chunked = false;
    let mut length = None;
    let mut keep = status_line.starts_with("HTTP/1.1");
    for count in 0.. {
        if count > 100 {
            return Err(malformed("too many header lines"));
        }
        let header = line(reader)?;
        let Some((name, value)) = header.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
            "content-length" => length = value.trim().parse::<u64>().ok(),
            "connection" if value.trim().eq_ignore_ascii_case("close") => keep = false,
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        chunks(reader, &mut body)?;
    } else if let Some(size) = length {
        append(reader, size, &mut body)?;
    } else {
        keep = false;
        reader.by_ref().take(MAX_ANSWER_BYTES + 1).read_to_end(&mut body)?;
        if body.len() as u64 > MAX_ANSWER_BYTES {
            return Err(malformed("the answer is too long"));
        }
    }
    Ok(HttpAnswer { status, body, keep })
}

/// The chunked coding (RFC 9112, section 7.1); trailers are read and dropped.
fn chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let size_line = line(reader)?;
        let digits = size_line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(digits, 16).map_err(|_| malformed("a chunk has no size"))?;
        if size == 0 {
            for _ in 0..100 {
                if line(reader)?.is_empty() {
                    return Ok(());
                }
            }
            return Err(malformed("too many trailer lines"));
        }
        append(reader, size, body)?;
        line(reader)?;
    }
}

fn append(reader: &mut impl BufRead, size: u64, body: &mut Vec<u8>) -> std::io::Result<()> {
    if size > MAX_ANSWER_BYTES || body.len() as u64 + size > MAX_ANSWER_BYTES {
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
        read_answer(&mut BufReader::new(bytes)).map(|a| (a.status, a.body))
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
