//! A tiny HTTP server that does what a test tells it, with or without TLS.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// A request that came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// First byte that a `Range` header asks for.
    pub fn range_start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// How the body goes out.
#[derive(Debug, Clone)]
pub enum Body {
    Whole(Vec<u8>),
    /// The head promises all; the connection is cut after so many bytes.
    Cut(Vec<u8>, usize),
    /// Zeros without end, chunked.
    Endless,
    /// Chunked, so that no length is told.
    Chunked(Vec<u8>),
    /// Byte by byte with a pause; for killing while it runs.
    Slow(Vec<u8>, std::time::Duration),
}

#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply { status, headers: Vec::new(), body: Body::Whole(body.into()) }
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Reply {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn redirect(status: u16, to: impl ToString) -> Reply {
        Reply::new(status, "").with("Location", to)
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// A running server; it ends when dropped.
pub struct Server {
    /// `127.0.0.1:PORT`
    pub host: String,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub fn new(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        Server::start(Arc::new(handler), None)
    }

    pub fn tls(
        config: Arc<rustls::ServerConfig>,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Server {
        Server::start(Arc::new(handler), Some(config))
    }

    fn start(handler: Arc<Handler>, tls: Option<Arc<rustls::ServerConfig>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (requests, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seen, stopped) = (Arc::clone(&requests), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let (handler, seen, tls) = (Arc::clone(&handler), Arc::clone(&seen), tls.clone());
                std::thread::spawn(move || match tls {
                    None => drop(serve(stream, &*handler, &seen)),
                    Some(config) => {
                        let connection = rustls::ServerConnection::new(config).unwrap();
                        drop(serve(rustls::StreamOwned::new(connection, stream), &*handler, &seen));
                    }
                });
            }
        });
        Server { host, requests, stop, thread: Some(thread) }
    }

    /// Everything that was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Requests whose path holds `part`.
    pub fn asked(&self, part: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|r| r.path.contains(part)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.host);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request, then the connection ends.
fn serve(stream: impl Read + Write, handler: &Handler, seen: &Mutex<Vec<Request>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let first = reader.fill_buf()?.first().copied();
    if first.is_some_and(|byte| !byte.is_ascii_uppercase()) {
        // What Go's servers say to a TLS hello.
        reader.get_mut().write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n")?;
        return Ok(());
    }
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(());
    }
    let mut words = line.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.trim().to_owned())),
            None => break,
        }
    }
    let length = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = Request { method, path, headers, body };
    seen.lock().unwrap().push(request.clone());
    let reply = handler(&request);
    let result = write_reply(reader.get_mut(), &request, reply);
    reader.get_mut().flush()?;
    result
}

fn write_reply(out: &mut impl Write, request: &Request, reply: Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match &reply.body {
        Body::Endless | Body::Chunked(_) => head.push_str("Transfer-Encoding: chunked\r\n"),
        Body::Whole(bytes) | Body::Cut(bytes, _) | Body::Slow(bytes, _) => {
            head.push_str(&format!("Content-Length: {}\r\n", bytes.len()));
        }
    }
    head.push_str("\r\n");
    out.write_all(head.as_bytes())?;
    if request.method == "HEAD" {
        return Ok(());
    }
    match reply.body {
        Body::Whole(bytes) => out.write_all(&bytes),
        Body::Cut(bytes, at) => out.write_all(&bytes[..at]),
        Body::Chunked(bytes) => {
            out.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
            out.write_all(&bytes)?;
            out.write_all(b"\r\n0\r\n\r\n")
        }
        Body::Endless => loop {
            out.write_all(b"10000\r\n")?;
            out.write_all(&[b' '; 0x10000])?;
            out.write_all(b"\r\n")?;
        },
        Body::Slow(bytes, pause) => {
            for byte in bytes {
                out.write_all(&[byte])?;
                out.flush()?;
                std::thread::sleep(pause);
            }
            Ok(())
        }
    }
}

/// A certificate authority of the test, and certificates for 127.0.0.1 by it.
pub struct Authority {
    pub pem: String,
    pub certificate_pem: String,
    pub key_pem: String,
    pub config: Arc<rustls::ServerConfig>,
}

impl Authority {
    pub fn new() -> Authority {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Stockade test authority");
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(params, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let chain = vec![certificate.der().clone()];
        let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .unwrap();
        Authority {
            pem: ca.pem(),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            config: Arc::new(config),
        }
    }
}
