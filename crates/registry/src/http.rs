//! Requests: tried again where that helps, redirected within limits, with the proof that the host wants and no other.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ureq::http::{HeaderMap, Method, Request};
use ureq::{Agent, BodyReader, SendBody};

use crate::address::{Address, Origin};
use crate::challenge::{Challenge, parse_challenges};
use crate::error::{RegistryError, Result, printable};
use crate::options::Options;
use crate::places::Place;
use crate::progress::Progress;
use crate::retry;
use crate::secret::{Credential, Secret};
use crate::tls;
use crate::token::Proofs;

/// A host that cannot be connected to for this long is unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A transfer that stands still for this long has failed.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a server may think: it may have to read a large blob back before it confirms it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(180);
/// Redirects in a row. Registries need one, to the object store.
const MAX_REDIRECTS: usize = 8;
/// Longest head of an answer, in bytes.
const MAX_HEADER_BYTES: usize = 64 << 10;
/// What is read of an error's body for its words, in bytes.
const MAX_WORDS_BYTES: u64 = 16 << 10;

/// What is sent.
pub(crate) enum Body<'a> {
    None,
    Bytes(&'a [u8]),
    /// Part of a file; `sent` hears of bytes as they go, and of 0 when a try begins.
    Part {
        path: &'a Path,
        offset: u64,
        length: u64,
        sent: &'a (dyn Fn(u64) + Sync),
    },
}

/// One request.
pub(crate) struct Ask<'a> {
    pub method: Method,
    /// Whose credentials prove who asks.
    pub place: &'a Place,
    pub address: Address,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body<'a>,
    /// What a token must allow.
    pub scopes: Vec<String>,
    /// For messages: `the manifest of library/debian:latest`.
    pub what: String,
    pub progress: &'a dyn Progress,
}

impl<'a> Ask<'a> {
    pub fn get(place: &'a Place, address: Address, what: impl Into<String>, progress: &'a dyn Progress) -> Ask<'a> {
        let scopes = if place.repository.is_empty() { Vec::new() } else { vec![place.scope("pull")] };
        Ask {
            method: Method::GET,
            place,
            address,
            headers: Vec::new(),
            body: Body::None,
            scopes,
            what: what.into(),
            progress,
        }
    }
}

/// The head of an answer, and its body to be read.
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Where it came from, after redirects.
    pub address: Address,
    body: BodyReader<'static>,
}

impl Answer {
    /// A header's text; `None` too if it is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn into_reader(self) -> BodyReader<'static> {
        self.body
    }

    /// The whole body, at most `limit` bytes of it.
    pub fn read(self, ask: &Ask<'_>, limit: u64) -> Result<Vec<u8>> {
        let host = self.address.origin.authority;
        let mut bytes = Vec::new();
        self.body.take(limit + 1).read_to_end(&mut bytes).map_err(|e| RegistryError::Unreachable {
            host: host.clone(),
            cause: format!("{} ends early: {}", ask.what, io_words(&e)),
        })?;
        if bytes.len() as u64 > limit {
            return Err(RegistryError::TooLarge { host, what: ask.what.clone(), limit });
        }
        Ok(bytes)
    }

    /// The answer as an error, with the server's words.
    pub fn into_error(self, ask: &Ask<'_>, known_user: Option<&str>) -> RegistryError {
        let (host, what, status) = (self.address.origin.authority.clone(), ask.what.clone(), self.status);
        let wait = self.header("retry-after").and_then(|v| retry::retry_after(v, jiff::Timestamp::now()));
        let mut words = if ask.method == Method::HEAD { String::new() } else { words(self.body) };
        if status == 400 && words.is_empty() && !self.address.origin.https {
            "(nothing; it may want TLS, and is spoken to in plain HTTP because it is marked as insecure)"
                .clone_into(&mut words);
        }
        match status {
            401 | 403 => {
                let name = &ask.place.name;
                let advice = match known_user {
                    Some(user) => {
                        format!("the account `{user}` may not, or its password is wrong (`stockade login {name}`)")
                    }
                    None => format!("it may not exist, or may need an account: `stockade login {name}`"),
                };
                RegistryError::Denied { host, what, words, advice }
            }
            404 => RegistryError::NotFound { host, what, words },
            429 => RegistryError::RateLimited { host, words, retry_after: wait },
            _ => RegistryError::Status { host, status, what, words },
        }
    }
}

/// A failed try, and whether another may help.
struct Failed {
    error: RegistryError,
    again: bool,
}

impl From<RegistryError> for Failed {
    fn from(error: RegistryError) -> Failed {
        Failed { error, again: false }
    }
}

/// Connections and proofs, shared by threads.
pub(crate) struct Transport {
    pub options: Options,
    pub proofs: Proofs,
    agents: Mutex<HashMap<Origin, Agent>>,
    /// Hosts that have answered: they deserve more tries than those that never did.
    answered: Mutex<HashSet<Origin>>,
}

impl Transport {
    pub fn new(options: Options) -> Transport {
        Transport { options, proofs: Proofs::default(), agents: Mutex::default(), answered: Mutex::default() }
    }

    /// Sends a request with whatever proof the registry wants, and gives an answer with one of the statuses.
    pub fn expect(&self, ask: &Ask<'_>, statuses: &[u16]) -> Result<Answer> {
        let answer = self.send(ask)?;
        if statuses.contains(&answer.status) {
            return Ok(answer);
        }
        let user = self.user(ask.place);
        Err(answer.into_error(ask, user.as_deref()))
    }

    /// As [`Transport::expect`], without a second try: the request changes what it is sent to.
    pub fn expect_once(&self, ask: &Ask<'_>, statuses: &[u16]) -> Result<Answer> {
        let answer = self.proven(ask).map_err(|failed| failed.error)?;
        if statuses.contains(&answer.status) {
            return Ok(answer);
        }
        let user = self.user(ask.place);
        Err(answer.into_error(ask, user.as_deref()))
    }

    /// Sends a request with whatever proof the registry wants. Errors of the server are answers, unless they would
    /// pass and did not.
    pub fn send(&self, ask: &Ask<'_>) -> Result<Answer> {
        self.retried(ask, || self.proven(ask))
    }

    /// Sends a request with this proof and no other.
    pub fn send_with(&self, ask: &Ask<'_>, proof: Option<&Secret>) -> Result<Answer> {
        self.retried(ask, || self.follow(ask, proof))
    }

    fn retried(&self, ask: &Ask<'_>, mut attempt: impl FnMut() -> Result<Answer, Failed>) -> Result<Answer> {
        let mut pauses = self.options.pauses.iter();
        loop {
            if ask.progress.cancelled() {
                return Err(RegistryError::Cancelled);
            }
            let error = match attempt() {
                Ok(answer) if !retry::is_transient(answer.status) => return Ok(answer),
                Ok(answer) => answer.into_error(ask, None),
                Err(Failed { error, again: false }) => return Err(error),
                Err(Failed { error, .. }) => error,
            };
            let asked = match &error {
                RegistryError::RateLimited { retry_after, .. } => *retry_after,
                _ => None,
            };
            let Some(pause) = pauses.next().and_then(|planned| retry::pause(*planned, asked)) else {
                return Err(error);
            };
            if asked.is_some() {
                ask.progress.note(&format!("{error}; waiting {} s", pause.as_secs()));
            }
            retry::sleep(pause, ask.progress)?;
        }
    }

    /// One try, which may be two: without a proof or with an old one, and with the one that the registry asks for.
    fn proven(&self, ask: &Ask<'_>) -> Result<Answer, Failed> {
        let proof = self.proofs.get(&ask.address.origin, &ask.scopes);
        let answer = self.follow(ask, proof.as_ref())?;
        // Who redirected us elsewhere does not decide whom we prove ourselves to.
        if answer.status != 401 || answer.address.origin != ask.address.origin {
            return Ok(answer);
        }
        let challenges = challenges(&answer.headers);
        let Some(proof) = self.obtain(ask, &challenges)? else { return Ok(answer) };
        drop(answer);
        self.follow(ask, Some(&proof))
    }

    /// Follows redirects. The proof goes to the origin that it was made for and to no other.
    fn follow(&self, ask: &Ask<'_>, proof: Option<&Secret>) -> Result<Answer, Failed> {
        let mut address = ask.address.clone();
        for _ in 0..=MAX_REDIRECTS {
            let proof = proof.filter(|_| address.origin == ask.address.origin);
            let answer = self.once(ask, &address, proof)?;
            let refused = |to: String, reason| {
                Failed::from(RegistryError::Redirect { host: address.origin.authority.clone(), to, reason })
            };
            let Some(location) = answer.header("location").filter(|_| is_redirect(answer.status)).map(str::to_owned)
            else {
                return Ok(answer);
            };
            let cut = || location.split('?').next().unwrap_or_default().chars().take(200).collect::<String>();
            let next = address.join(&location).map_err(|reason| refused(printable(&cut()), reason))?;
            if address.origin.https && !next.origin.https {
                return Err(refused(next.shown(), "it leads from TLS to plain HTTP"));
            }
            let reads = matches!(ask.method, Method::GET | Method::HEAD);
            if !reads && !matches!(answer.status, 307 | 308) {
                return Err(refused(next.shown(), "an upload would become a download"));
            }
            address = next;
        }
        let host = ask.address.origin.authority.clone();
        Err(RegistryError::Redirect { host, to: address.shown(), reason: "there are too many redirects in a row" }
            .into())
    }

    /// One exchange.
    fn once(&self, ask: &Ask<'_>, address: &Address, proof: Option<&Secret>) -> Result<Answer, Failed> {
        let agent = self.agent(&address.origin, ask.place)?;
        let setting = |e: &dyn std::fmt::Display| {
            let (what, reason) = (format!("the address `{}`", address.shown()), e.to_string());
            RegistryError::Setting { what, reason }
        };
        let mut request = Request::builder().method(ask.method.clone()).uri(address.to_string());
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        if let Some(proof) = proof {
            let mut value = ureq::http::HeaderValue::from_str(proof.expose()).map_err(|e| setting(&e))?;
            value.set_sensitive(true);
            request = request.header("authorization", value);
        }
        let sent = match &ask.body {
            Body::None => agent.run(request.body(()).map_err(|e| setting(&e))?),
            Body::Bytes(bytes) => agent.run(request.body(*bytes).map_err(|e| setting(&e))?),
            Body::Part { path, offset, length, sent } => {
                let mut part = open_part(path, *offset, *length, *sent)?;
                let request = request.header("content-length", length.to_string());
                agent.run(request.body(SendBody::from_reader(&mut part)).map_err(|e| setting(&e))?)
            }
        };
        let response = sent.map_err(|e| self.classify(address, e))?;
        lock(&self.answered).insert(address.origin.clone());
        let (head, body) = response.into_parts();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            address: address.clone(),
            body: body.into_with_config().limit(u64::MAX).reader(),
        })
    }

    /// The connections to an origin: with the certificates and the proxy that the settings tell for it.
    fn agent(&self, origin: &Origin, place: &Place) -> Result<Agent> {
        if let Some(agent) = lock(&self.agents).get(origin) {
            return Ok(agent.clone());
        }
        let name = if *origin == place.origin { &place.name } else { &origin.authority };
        let proxy = match self.options.proxies.of(origin) {
            Some(address) => Some(ureq::Proxy::new(address).map_err(|_| RegistryError::Setting {
                what: "the proxy of the environment".to_owned(),
                reason: "its address is none; it looks like `http://proxy.example:3128`".to_owned(),
            })?),
            None => None,
        };
        let agent = Agent::config_builder()
            .tls_config(tls::config(name, &self.options)?)
            .proxy(proxy)
            .http_status_as_error(false)
            .user_agent(concat!("stockade/", env!("CARGO_PKG_VERSION")))
            .max_response_header_size(MAX_HEADER_BYTES)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_per_read(Some(STALL_TIMEOUT))
            .timeout_per_write(Some(STALL_TIMEOUT))
            .build()
            .new_agent();
        Ok(lock(&self.agents).entry(origin.clone()).or_insert(agent).clone())
    }

    fn classify(&self, address: &Address, error: ureq::Error) -> Failed {
        let host = address.origin.authority.clone();
        let known = lock(&self.answered).contains(&address.origin);
        let unreachable = |cause: String, again: bool| Failed {
            error: RegistryError::Unreachable { host: host.clone(), cause },
            again,
        };
        match error {
            ureq::Error::HostNotFound => unreachable("its host name is unknown".to_owned(), known),
            ureq::Error::Timeout(_) => unreachable("it does not answer in time".to_owned(), known),
            ureq::Error::LargeResponseHeader(..) => RegistryError::TooLarge {
                host,
                what: "the head of an answer".to_owned(),
                limit: MAX_HEADER_BYTES as u64,
            }
            .into(),
            ureq::Error::Io(e) => self.classify_io(host, address, known, e),
            ureq::Error::Rustls(e) => self.classify_io(host, address, known, io::Error::other(e)),
            other => unreachable(other.to_string(), false),
        }
    }

    fn classify_io(&self, host: String, address: &Address, known: bool, e: io::Error) -> Failed {
        let text = io_words(&e);
        if text.contains("InvalidContentType") && address.origin.https {
            return RegistryError::PlainHttp { host }.into();
        }
        if text.contains("peer certificate") {
            return RegistryError::Certificate { host, cause: printable(&text) }.into();
        }
        if text.contains("No CA certificates") {
            let cause = "this machine has no list of certificate authorities (package `ca-certificates`)".to_owned();
            return RegistryError::Certificate { host, cause }.into();
        }
        let cut = matches!(
            e.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof
        );
        let mut cause = printable(&text);
        if cut && !known && address.origin.https {
            cause.push_str(" while TLS was being agreed on; if it speaks plain HTTP only, that must be allowed for it");
        }
        Failed { error: RegistryError::Unreachable { host, cause }, again: cut || known }
    }

    /// The name of the account that requests to this place go by.
    pub fn user(&self, place: &Place) -> Option<String> {
        match self.proofs.credential(&place.name, &self.options) {
            Ok(Some(Credential::Basic { username, .. })) => Some(username),
            Ok(Some(_)) => Some("of the stored token".to_owned()),
            _ => None,
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let values = headers.get_all("www-authenticate").into_iter().take(16);
    values.filter_map(|v| v.to_str().ok()).flat_map(parse_challenges).collect()
}

/// An input or output error in words, without ureq's wrapping.
pub(crate) fn io_words(error: &io::Error) -> String {
    match error.get_ref() {
        Some(inner) => crate::error::chain(inner),
        None => error.to_string(),
    }
}

/// The words of an error's body: OCI's error document, or the first line of text.
fn words(body: impl Read) -> String {
    let mut bytes = Vec::new();
    // What has arrived counts.
    let _ = body.take(MAX_WORDS_BYTES).read_to_end(&mut bytes);
    error_words(&bytes)
}

#[derive(serde::Deserialize)]
struct ErrorDocument {
    #[serde(default)]
    errors: Vec<ErrorEntry>,
    /// Token servers and some registries write one of these instead.
    #[serde(default, alias = "details", alias = "error_description", alias = "error")]
    message: Option<serde_json::Value>,
}

#[derive(serde::Deserialize)]
struct ErrorEntry {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

fn error_words(bytes: &[u8]) -> String {
    if let Ok(document) = serde_json::from_slice::<ErrorDocument>(bytes) {
        if let Some(first) = document.errors.first() {
            return printable(if first.message.is_empty() { &first.code } else { &first.message });
        }
        if let Some(serde_json::Value::String(message)) = document.message {
            return printable(&message);
        }
    }
    let text = String::from_utf8_lossy(bytes);
    // A page for browsers says nothing in one line.
    if text.trim_start().starts_with('<') { String::new() } else { printable(text.lines().next().unwrap_or_default()) }
}

struct Part<'a> {
    file: io::Take<File>,
    sent: &'a (dyn Fn(u64) + Sync),
}

impl Read for Part<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buf)?;
        (self.sent)(read as u64);
        Ok(read)
    }
}

fn open_part<'a>(path: &Path, offset: u64, length: u64, sent: &'a (dyn Fn(u64) + Sync)) -> Result<Part<'a>> {
    let mut file = File::open(path).map_err(RegistryError::io("open", path))?;
    file.seek(SeekFrom::Start(offset)).map_err(RegistryError::io("read", path))?;
    sent(0);
    Ok(Part { file: file.take(length), sent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_are_found_and_made_printable() {
        let oci = br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached\nyour \u001b[31mlimit","detail":{}}]}"#;
        assert_eq!(error_words(oci), "You have reached your [31mlimit");
        assert_eq!(error_words(br#"{"errors":[{"code":"DENIED"}]}"#), "DENIED");
        assert_eq!(error_words(br#"{"details":"incorrect username or password"}"#), "incorrect username or password");
        assert_eq!(
            error_words(b"Client sent an HTTP request to an HTTPS server.\n"),
            "Client sent an HTTP request to an HTTPS server."
        );
        assert_eq!(error_words(b"<html><body>502"), "");
        assert_eq!(error_words(b""), "");
        assert_eq!(error_words(&b"x".repeat(5000)).len(), 300);
    }
}
