//! `db serve`: the database in use for other machines, over plain HTTP/1.1; read-only, nothing of the request but its
//! path decides what is sent. Source: RFC 9110, 9112.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stockade_advisory::Database;
use stockade_advisory::signing::SigningKey;

use crate::context::Context;
use crate::failure::Failure;
use crate::output;

/// Connections at once; more are refused at once, with 503.
const MAX_CONNECTIONS: usize = 32;
/// Bytes of a request's head.
const MAX_HEAD_BYTES: u64 = 16 << 10;
/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request, as far as it matters.
#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    head_only: bool,
    path: String,
    known: Option<String>,
}

/// What does the serving.
struct Server<'a> {
    context: &'a Context,
    key: Option<SigningKey>,
    /// Digest of the database that was signed last, and its signature.
    signed: Mutex<Option<(String, String)>>,
    connections: AtomicUsize,
}

/// Serves until the process is ended. Says on stdout where.
pub fn serve(context: &Context, listen: SocketAddr, key: Option<SigningKey>) -> Result<(), Failure> {
    let listener = TcpListener::bind(listen).map_err(|e| Failure::new(format!("cannot listen on {listen}: {e}")))?;
    if !listen.ip().is_loopback() {
        output::warn("everybody who reaches this address can read the database; it holds public facts only");
    }
    let address = listener.local_addr()?;
    output::to_stdout(&format!("serving http://{address}/advisories.db\n"))?;
    let server = Server { context, key, signed: Mutex::default(), connections: AtomicUsize::new(0) };
    std::thread::scope(|scope| {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            if server.connections.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
                server.connections.fetch_sub(1, Ordering::Relaxed);
                let _ = respond(&stream, 503, &[], b"busy\n", false);
                continue;
            }
            let server = &server;
            scope.spawn(move || {
                // A client that goes away is its own business.
                let _ = server.answer(&stream);
                server.connections.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    Ok(())
}

impl Server<'_> {
    fn answer(&self, stream: &TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let Some(request) = read_request(stream)? else {
            return respond(stream, 400, &[], b"only GET and HEAD are known\n", false);
        };
        let wrong = |e: &dyn std::fmt::Display| std::io::Error::other(e.to_string());
        // Opened anew each time: an update in between is seen.
        let database = super::database::open(self.context, None).map_err(|e| wrong(&e))?;
        let reader = database.reader().map_err(|e| wrong(&e))?;
        let tag = format!("\"{}\"", reader.digest());
        let headers = [("ETag", tag.as_str())];
        if request.known.as_deref() == Some(tag.as_str()) {
            return respond(stream, 304, &headers, b"", true);
        }
        match request.path.as_str() {
            "/" | "/advisories.db" => respond(stream, 200, &headers, reader.bytes(), request.head_only),
            "/advisories.db.sig" => match self.signature(&database, &reader.digest()) {
                Some(text) => respond(stream, 200, &[], text.as_bytes(), request.head_only),
                None => respond(stream, 404, &[], b"not signed\n", request.head_only),
            },
            "/status.json" => {
                let status = database.status().map_err(|e| wrong(&e))?;
                respond(stream, 200, &headers, &serde_json::to_vec_pretty(&status)?, request.head_only)
            }
            _ => respond(
                stream,
                404,
                &[],
                b"there is /advisories.db, /advisories.db.sig and /status.json\n",
                request.head_only,
            ),
        }
    }

    fn signature(&self, database: &Database, digest: &str) -> Option<String> {
        let key = self.key.as_ref()?;
        let mut signed = self.signed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((known, text)) = signed.as_ref().filter(|(known, _)| known == digest) {
            let _ = known;
            return Some(text.clone());
        }
        let text = key.sign(database.reader().ok()?.bytes());
        *signed = Some((digest.to_owned(), text.clone()));
        Some(text)
    }
}

/// `None` for what is no `GET` or `HEAD`.
fn read_request(stream: impl Read) -> std::io::Result<Option<Request>> {
    let mut lines = BufReader::new(stream.take(MAX_HEAD_BYTES)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split(' ');
    let (method, target, version) = (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !matches!(method, Some("GET" | "HEAD")) || !version.starts_with("HTTP/1.") {
        return Ok(None);
    }
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let mut request = Request { head_only: method == Some("HEAD"), path, known: None };
    for line in lines {
        let line = line?;
        if line.is_empty() {
            return Ok(Some(request));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("if-none-match")
        {
            request.known = Some(value.trim().to_owned());
        }
    }
    Ok(None)
}

fn respond(
    mut stream: &TcpStream,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
    head_only: bool,
) -> std::io::Result<()> {
    let words = match status {
        200 => "OK",
        304 => "Not Modified",
        400 => "Bad Request",
        404 => "Not Found",
        _ => "Service Unavailable",
    };
    let mut head = format!("HTTP/1.1 {status} {words}\r\nConnection: close\r\nX-Content-Type-Options: nosniff\r\n");
    if status != 304 {
        head.push_str(&format!("Content-Length: {}\r\nContent-Type: application/octet-stream\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    if !head_only {
        stream.write_all(body)?;
    }
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_or_refused() {
        let get =
            read_request(&b"GET /advisories.db?x=1 HTTP/1.1\r\nHost: x\r\nif-none-match: \"a\"\r\n\r\n"[..]).unwrap();
        let expected = Request { head_only: false, path: "/advisories.db".into(), known: Some("\"a\"".into()) };
        assert_eq!(get, Some(expected));
        for bad in ["POST / HTTP/1.1\r\n\r\n", "GET /", "", "GET / HTTP/1.1\r\nHost: x\r\n", "GET / FTP/1\r\n\r\n"] {
            assert_eq!(read_request(bad.as_bytes()).unwrap(), None, "{bad}");
        }
        let endless = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(1 << 20));
        assert_eq!(read_request(endless.as_bytes()).unwrap(), None);
    }
}
