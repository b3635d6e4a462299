//! Inputs of an update by URL: asked for only if they changed, bounded, over TLS or with a digest.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::failure::Failure;

/// Largest input. OSV's archive of everything is 1.2 GB, NVD's yearly files 150 MB.
const MAX_INPUT_BYTES: u64 = 4 << 30;
/// How long a server may be silent.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an earlier update knows of an input.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Known {
    /// `ETag` of the answer.
    pub etag: Option<String>,
    /// `Last-Modified` of the answer.
    pub last_modified: Option<String>,
    /// SHA-256 of the bytes.
    pub sha256: String,
    /// Of an archive of OSV: the time until which changes were read, and that of the last reading of the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// See `until`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<String>,
}

/// An address with the digest that its content must have: `https://…#sha256=HEX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Without the fragment.
    pub url: String,
    /// The promised digest.
    pub sha256: Option<String>,
}

/// What came.
pub enum Fetched {
    /// The server says that it is what was read before.
    Unchanged,
    /// A file, and what to ask with the next time.
    File(PathBuf, Known),
}

impl Address {
    /// `None` for what is no URL.
    pub fn parse(text: &str) -> Result<Option<Address>, Failure> {
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Ok(None);
        }
        let (url, fragment) = text.split_once('#').map_or((text, None), |(u, f)| (u, Some(f)));
        let sha256 = match fragment {
            None => None,
            Some(fragment) => {
                let hex = fragment.strip_prefix("sha256=").unwrap_or_default().to_ascii_lowercase();
                if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return Err(Failure::usage(format!(
                        "`#{fragment}` is no digest: `#sha256=` and 64 hex digits are"
                    )));
                }
                Some(hex)
            }
        };
        Ok(Some(Address { url: url.to_owned(), sha256 }))
    }

    /// Whether nobody on the way can change the content unseen.
    pub fn is_safe(&self) -> bool {
        self.url.starts_with("https://") || self.sha256.is_some()
    }
}

fn agent(url: &str) -> Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    Agent::config_builder()
        .tls_config(tls)
        // A redirect must not lead from TLS to plain text.
        .https_only(url.starts_with("https://"))
        .http_status_as_error(false)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .user_agent(concat!("stockade/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// Connections to one server, used again for many small files.
pub struct Session(Agent);

impl Session {
    /// For the server of this address.
    pub fn new(url: &str) -> Session {
        Session(agent(url))
    }

    /// The content of an address; `None` where the server has nothing there.
    pub fn get(&self, url: &str) -> Result<Option<Box<dyn Read>>, Failure> {
        let failed = |why: String| Failure::new(format!("cannot fetch `{url}`: {why}; nothing was changed"));
        let response = self.0.get(url).call().map_err(|e| failed(e.to_string()))?;
        match response.status().as_u16() {
            200 => Ok(Some(Box::new(response.into_body().into_with_config().limit(u64::MAX).reader()))),
            404 | 410 => Ok(None),
            status => Err(failed(format!("the server answers {status}"))),
        }
    }
}

/// Fetches into a new file in `directory`.
pub fn fetch(address: &Address, known: Option<&Known>, directory: &Path) -> Result<Fetched, Failure> {
    let failed = |why: String| Failure::new(format!("cannot fetch `{}`: {why}; nothing was changed", address.url));
    let mut request = agent(&address.url).get(&address.url);
    if let Some(known) = known {
        for (name, value) in [("If-None-Match", &known.etag), ("If-Modified-Since", &known.last_modified)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
    }
    let response = request.call().map_err(|e| failed(e.to_string()))?;
    let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let (etag, last_modified) = (header("etag"), header("last-modified"));
    match response.status().as_u16() {
        200 => {}
        304 if known.is_some() => return Ok(Fetched::Unchanged),
        status => return Err(failed(format!("the server answers {status}"))),
    }
    let promised = header("content-length").and_then(|l| l.parse::<u64>().ok());
    let path = directory.join(stockade_durable::temporary_name());
    let reader = response.into_body().into_with_config().limit(u64::MAX).reader();
    let copied = copy(reader, &path);
    let sha256 = match copied {
        Ok((bytes, sha256)) if promised.is_none_or(|p| p == bytes) => sha256,
        other => {
            let _ = std::fs::remove_file(&path);
            let why = match other {
                Ok((bytes, _)) => format!("{bytes} bytes came of {} that were promised", promised.unwrap_or_default()),
                Err(e) => e.to_string(),
            };
            return Err(failed(why));
        }
    };
    if let Some(expected) = address.sha256.as_ref().filter(|e| **e != sha256) {
        let _ = std::fs::remove_file(&path);
        return Err(failed(format!("it has SHA-256 {sha256}, not {expected}")));
    }
    if known.is_some_and(|k| k.sha256 == sha256) {
        let _ = std::fs::remove_file(&path);
        return Ok(Fetched::Unchanged);
    }
    Ok(Fetched::File(path, Known { etag, last_modified, sha256, ..Known::default() }))
}

/// A small text beside an input, such as its signature; `None` where the server has none.
pub fn fetch_text(url: &str, limit: u64) -> Result<Option<String>, Failure> {
    let failed = |why: String| Failure::new(format!("cannot fetch `{url}`: {why}"));
    let response = agent(url).get(url).call().map_err(|e| failed(e.to_string()))?;
    match response.status().as_u16() {
        200 => {}
        404 | 410 => return Ok(None),
        status => return Err(failed(format!("the server answers {status}"))),
    }
    let mut text = String::new();
    let mut reader = response.into_body().into_with_config().limit(limit + 1).reader().take(limit);
    reader.read_to_string(&mut text).map_err(|e| failed(e.to_string()))?;
    Ok(Some(text))
}

/// Copies to a new file. Output: bytes and SHA-256.
fn copy(reader: impl Read, path: &Path) -> io::Result<(u64, String)> {
    let mut file = std::fs::File::options().write(true).create_new(true).open(path)?;
    let mut hash = Sha256::new();
    let mut reader = reader.take(MAX_INPUT_BYTES + 1);
    let mut buffer = vec![0; 256 << 10];
    let mut all = 0u64;
    loop {
        let got = reader.read(&mut buffer)?;
        let chunk = buffer.get(..got).unwrap_or_default();
        if got == 0 {
            break;
        }
        all += got as u64;
        hash.update(chunk);
        file.write_all(chunk)?;
    }
    if all > MAX_INPUT_BYTES {
        return Err(io::Error::other("it is larger than 4 GiB"));
    }
    Ok((all, hash.finalize().iter().map(|b| format!("{b:02x}")).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_digests() {
        assert_eq!(Address::parse("a/b.zip").unwrap(), None);
        let plain = Address::parse("http://x/y").unwrap().unwrap();
        assert!(!plain.is_safe());
        assert!(Address::parse("https://x/y").unwrap().unwrap().is_safe());
        let promised = Address::parse(&format!("http://x/y#sha256={}", "A".repeat(64))).unwrap().unwrap();
        assert!(promised.is_safe() && promised.url == "http://x/y" && promised.sha256 == Some("a".repeat(64)));
        assert!(Address::parse("https://x/y#sha256=12").is_err());
        assert!(Address::parse("https://x/y#top").is_err());
    }
}
