//! Downloads: bounded, verified by hash, retried, and kept in a cache that is addressed by hash.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::error::BaseError;
use crate::mirror::Mirror;
use crate::name::Distro;

/// Tries of one download, and the pauses between them.
const PAUSES: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(2)];
/// A mirror that cannot be connected to for this long is unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A transfer that stands still for this long has failed.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest `InRelease` that we read, in bytes (Debian's is 0.2 MB, Ubuntu's 0.3 MB).
const MAX_RELEASE_BYTES: u64 = 8 << 20;

/// What a file must be.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// In bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: &'a str,
}

/// Looks each host up once, however many connections are made to it: several threads start at the same time, and name
/// servers of small networks drop questions that come all at once (the resolver then waits five seconds).
#[derive(Debug, Default)]
struct OneLookup {
    resolver: DefaultResolver,
    /// By `host:port`; the lock is held during a lookup, so that others wait for its answer.
    known: Mutex<HashMap<String, Vec<SocketAddr>>>,
}

impl Resolver for OneLookup {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let key = uri.scheme().zip(uri.authority()).and_then(|(s, a)| DefaultResolver::host_and_port(s, a));
        let Some(key) = key else { return self.resolver.resolve(uri, config, timeout) };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(addresses) = known.get(&key) {
            let mut found = self.resolver.empty();
            addresses.iter().for_each(|a| found.push(*a));
            return Ok(found);
        }
        let found = self.resolver.resolve(uri, config, timeout)?;
        known.insert(key, found.to_vec());
        Ok(found)
    }
}

/// The certificate authorities that this machine trusts, a company's own included.
fn trusted() -> ureq::tls::TlsConfig {
    ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build()
}

/// A downloader for one mirror, shared by threads.
pub struct Client {
    agent: ureq::Agent,
    cache: PathBuf,
    /// How to name another mirror, for messages.
    advice: String,
    /// Set by the first answer: a mirror that answered once deserves more tries than one that never did.
    answered: AtomicBool,
}

impl Client {
    /// A client whose cache is `cache_dir` (made if missing).
    ///
    /// # Errors
    /// The directory cannot be made, or the proxy's address is none.
    pub fn new(mirror: &Mirror, distro: Distro, cache_dir: &Path) -> Result<Client, BaseError> {
        let cache = cache_dir.join("sha256");
        stockade_durable::create_private_dir(&cache)?;
        stockade_durable::sweep(&cache, Duration::from_secs(24 * 3600));
        let proxy = match &mirror.proxy {
            Some(address) => Some(ureq::Proxy::new(address).map_err(|_| BaseError::BadMirror {
                address: address.clone(),
                origin: "a proxy of the environment or the host's apt".into(),
            })?),
            None => None,
        };
        let config = ureq::Agent::config_builder()
            .proxy(proxy)
            .tls_config(trusted())
            .http_status_as_error(false)
            .user_agent(concat!("stockade/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(STALL_TIMEOUT))
            .timeout_per_read(Some(STALL_TIMEOUT))
            .max_redirects(5)
            .build();
        let advice = mirror.advice(distro);
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), OneLookup::default());
        Ok(Client { agent, cache, advice, answered: AtomicBool::new(false) })
    }

    /// Fetches a file that will prove itself by signature.
    ///
    /// # Errors
    /// [`BaseError::Unreachable`], [`BaseError::Status`] or [`BaseError::Transfer`].
    pub fn fetch_unverified(&self, url: &str) -> Result<Vec<u8>, BaseError> {
        self.retry(|| {
            let mut bytes = Vec::new();
            let mut body = self.open(url)?.take(MAX_RELEASE_BYTES + 1);
            body.read_to_end(&mut bytes).map_err(|e| Attempt::again(transfer(url, e)))?;
            if bytes.len() as u64 > MAX_RELEASE_BYTES {
                return Err(Attempt::last(transfer(url, format!("it is larger than {MAX_RELEASE_BYTES} bytes"))));
            }
            Ok(bytes)
        })
    }

    /// The verified bytes of a file: from the cache, or from the first of `urls` that has it.
    /// `advance` hears of downloaded bytes.
    ///
    /// # Errors
    /// As [`Client::fetch_unverified`], and [`BaseError::Mismatch`] when what a mirror sends is not what was promised.
    pub fn fetch(&self, urls: &[String], expected: Expected<'_>, advance: &dyn Fn(u64)) -> Result<Vec<u8>, BaseError> {
        if let Some(bytes) = self.cached(expected) {
            return Ok(bytes);
        }
        let mut result = Err(BaseError::Transfer { url: String::new(), cause: "no address was given".into() });
        for url in urls {
            result = self.retry(|| self.download(url, expected, advance));
            // A mirror that does not offer `by-hash` says 404; then the plain name is tried.
            if !matches!(result, Err(BaseError::Status { .. })) {
                break;
            }
        }
        result
    }

    /// Whether the cache has a file of the right size under that hash.
    pub fn is_cached(&self, expected: Expected<'_>) -> bool {
        fs::metadata(self.cache.join(expected.sha256)).is_ok_and(|m| m.is_file() && m.len() == expected.size)
    }

    /// A cached file's bytes if they still have their hash; a damaged file is removed.
    fn cached(&self, expected: Expected<'_>) -> Option<Vec<u8>> {
        if !self.is_cached(expected) {
            return None;
        }
        let path = self.cache.join(expected.sha256);
        let mut file = File::options().read(true).write(true).open(&path).ok()?;
        let mut bytes = Vec::with_capacity(usize::try_from(expected.size).ok()?);
        file.read_to_end(&mut bytes).ok()?;
        if hex(&Sha256::digest(&bytes)) == expected.sha256 {
            // The time of last use, for `clean_cache`.
            let _ = file.set_modified(std::time::SystemTime::now());
            return Some(bytes);
        }
        let _ = fs::remove_file(&path);
        None
    }

    fn download(&self, url: &str, expected: Expected<'_>, advance: &dyn Fn(u64)) -> Result<Vec<u8>, Attempt> {
        let mismatch = |what, got: String, wanted: String| {
            Attempt::last(BaseError::Mismatch { url: url.to_owned(), what, got, expected: wanted })
        };
        let mut body = self.open(url)?;
        let mut bytes = Vec::with_capacity(usize::try_from(expected.size).unwrap_or(0).min(1 << 28));
        let mut hash = Sha256::new();
        let mut buffer = vec![0u8; 64 << 10];
        loop {
            let n = body.read(&mut buffer).map_err(|e| Attempt::again(transfer(url, e)))?;
            let Some(part) = buffer.get(..n).filter(|p| !p.is_empty()) else { break };
            if (bytes.len() + n) as u64 > expected.size {
                return Err(mismatch("size", format!("more than {}", expected.size), expected.size.to_string()));
            }
            hash.update(part);
            bytes.extend_from_slice(part);
            advance(n as u64);
        }
        if bytes.len() as u64 != expected.size {
            return Err(mismatch("size", bytes.len().to_string(), expected.size.to_string()));
        }
        let got = hex(&hash.finalize());
        if got != expected.sha256 {
            return Err(mismatch("SHA256", got, expected.sha256.to_owned()));
        }
        // A cache that cannot be written (disk full) costs the next run time, not this one its result.
        let _ = self.keep(&bytes, expected.sha256);
        Ok(bytes)
    }

    fn keep(&self, bytes: &[u8], sha256: &str) -> std::io::Result<()> {
        let temporary = self.cache.join(stockade_durable::temporary_name());
        let result = File::create_new(&temporary)
            .and_then(|mut f| f.write_all(bytes))
            // No fsync: a file that a power cut damaged fails its hash and is fetched anew.
            .and_then(|()| fs::rename(&temporary, self.cache.join(sha256)));
        if result.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        result
    }

    fn open(&self, url: &str) -> Result<impl Read + use<>, Attempt> {
        let response = self.agent.get(url).call().map_err(|e| self.classify(url, e))?;
        self.answered.store(true, Ordering::Relaxed);
        let status = response.status().as_u16();
        if status != 200 {
            let hint = match status {
                404 => format!("check that this mirror has the suite and the architecture ({})", self.advice),
                401 | 403 | 407 => "the mirror or a proxy wants credentials, or refuses this address".to_owned(),
                _ => format!("try again later or use another mirror ({})", self.advice),
            };
            let error = BaseError::Status { url: redact(url), status, hint };
            return Err(if status >= 500 || status == 429 { Attempt::again(error) } else { Attempt::last(error) });
        }
        Ok(response.into_body().into_with_config().limit(u64::MAX).reader())
    }

    fn classify(&self, url: &str, error: ureq::Error) -> Attempt {
        let cause = match &error {
            ureq::Error::HostNotFound => "its host name is unknown".to_owned(),
            ureq::Error::Timeout(_) => format!("no answer within {} seconds", CONNECT_TIMEOUT.as_secs()),
            ureq::Error::Io(e) => e.to_string(),
            other => other.to_string(),
        };
        let error = BaseError::Unreachable { url: redact(url), cause, origin: self.advice.clone() };
        if self.answered.load(Ordering::Relaxed) { Attempt::again(error) } else { Attempt::last(error) }
    }

    fn retry<T>(&self, mut attempt: impl FnMut() -> Result<T, Attempt>) -> Result<T, BaseError> {
        for pause in PAUSES {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(Attempt { error, again: false }) => return Err(error),
                Err(_) => std::thread::sleep(pause),
            }
        }
        attempt().map_err(|a| a.error)
    }
}

/// Removes downloads that no bootstrap has used for `unused_for` (zero: all of them). Returns how many bytes that frees.
/// Safe while bootstraps run: what they miss they fetch again.
///
/// # Errors
/// The cache cannot be listed. A cache that is not there is empty; single files that cannot be removed stay.
pub fn clean_cache(cache_dir: &Path, unused_for: Duration) -> Result<u64, BaseError> {
    let dir = cache_dir.join("sha256");
    let entries = match fs::read_dir(&dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(BaseError::io("list", &dir))?,
    };
    let mut freed = 0;
    for entry in entries.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        let unused = meta.modified().is_ok_and(|t| t.elapsed().unwrap_or_default() >= unused_for);
        if meta.is_file() && unused && fs::remove_file(entry.path()).is_ok() {
            freed += meta.len();
        }
    }
    Ok(freed)
}

/// A failed try, and whether another one may help.
struct Attempt {
    error: BaseError,
    again: bool,
}

impl Attempt {
    fn again(error: BaseError) -> Attempt {
        Attempt { error, again: true }
    }
    fn last(error: BaseError) -> Attempt {
        Attempt { error, again: false }
    }
}

fn transfer(url: &str, cause: impl ToString) -> BaseError {
    BaseError::Transfer { url: redact(url), cause: cause.to_string() }
}

/// An address without the user name and password that it may hold.
pub(crate) fn redact(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [b >> 4, b & 15])
        .map(|n| char::from(DIGITS.get(usize::from(n)).copied().unwrap_or(b'0')))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unused_downloads_are_cleaned() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(clean_cache(dir.path(), Duration::ZERO).unwrap(), 0);
        fs::create_dir(dir.path().join("sha256")).unwrap();
        let old = dir.path().join("sha256/old");
        fs::write(&old, b"12345").unwrap();
        fs::write(dir.path().join("sha256/new"), b"123").unwrap();
        let day = Duration::from_secs(86_400);
        File::options().write(true).open(&old).unwrap().set_modified(std::time::SystemTime::now() - 3 * day).unwrap();
        assert_eq!(clean_cache(dir.path(), day).unwrap(), 5);
        assert_eq!(clean_cache(dir.path(), Duration::ZERO).unwrap(), 3);
    }

    #[test]
    fn credentials_do_not_reach_messages() {
        assert_eq!(redact("https://me:secret@host/x@y"), "https://host/x@y");
        assert_eq!(redact("http://host"), "http://host");
    }
}
