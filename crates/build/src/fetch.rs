//! `ADD` from http and https.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use stockade_image::Digest;

use crate::error::BuildError;

/// Longest file that is downloaded, in bytes.
const MAX_BYTES: u64 = 16 << 30;

/// What was downloaded.
pub(crate) struct Download {
    pub(crate) digest: Digest,
    /// `Last-Modified`, in seconds since 1970.
    pub(crate) modified: Option<i64>,
}

/// Whether `source` is to be downloaded.
pub(crate) fn is_url(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// Downloads a file from http or https: a context from the web.
///
/// # Errors
/// [`BuildError::Download`], [`BuildError::Io`].
pub fn download_to(url: &str, to: &Path) -> Result<(), BuildError> {
    download(url, to, &|| false).map(drop)
}

/// Whether `source` is a Git repository by docker's rules.
pub fn is_git(source: &str) -> bool {
    let path = source.split(['#', '?']).next().unwrap_or_default();
    let path = path.trim_end_matches('/');
    source.starts_with("git@")
        || source.starts_with("git://")
        || source.starts_with("ssh://")
        || (is_url(source) && path.ends_with(".git"))
        || source.starts_with("github.com/")
}

/// The last part of a URL's path: the file's name. `None` when there is none.
pub(crate) fn file_name(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1.split(['?', '#']).next()?;
    let (_, path) = rest.split_once('/')?;
    path.rsplit('/').next().filter(|n| !n.is_empty() && *n != "." && *n != "..")
}

/// An HTTP client with time limits, which trusts whom this machine trusts: a company's own authority included.
pub(crate) fn agent() -> ureq::Agent {
    let trusted = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build();
    ureq::Agent::config_builder()
        .tls_config(trusted)
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .build()
        .into()
}

/// Downloads `url` to `to`. Redirects to anything but http and https are refused (by the client).
pub(crate) fn download(url: &str, to: &Path, cancelled: &dyn Fn() -> bool) -> Result<Download, BuildError> {
    let failed = |why: String| BuildError::Download { url: url.to_owned(), why };
    let response = agent().get(url).call().map_err(|e| match e {
        ureq::Error::StatusCode(code) => failed(format!("the server answered with status {code}")),
        other => failed(other.to_string()),
    })?;
    let modified = response
        .headers()
        .get("last-modified")
        .and_then(|v| v.to_str().ok())
        .and_then(|v| jiff::fmt::rfc2822::parse(v).ok())
        .map(|zoned| zoned.timestamp().as_second());
    let mut reader = response.into_body().into_with_config().limit(MAX_BYTES).reader();
    let mut file = File::create(to).map_err(BuildError::io("create", to))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0u8; 128 << 10];
    loop {
        if cancelled() {
            return Err(BuildError::Cancelled);
        }
        let count = reader.read(&mut buffer).map_err(|e| failed(e.to_string()))?;
        if count == 0 {
            break;
        }
        let bytes = buffer.get(..count).unwrap_or_default();
        hasher.update(bytes);
        file.write_all(bytes).map_err(BuildError::io("write", to))?;
    }
    Ok(Download { digest: Digest::from_bytes(hasher.finalize().into()), modified })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_repositories_are_told_apart() {
        assert!(is_url("https://example.org/a.tar.gz"));
        assert!(!is_git("https://example.org/a.tar.gz"));
        for git in ["git@github.com:a/b.git", "https://github.com/a/b.git#main", "git://x/y", "ssh://git@x/y"] {
            assert!(is_git(git), "{git}");
        }
        assert_eq!(file_name("https://example.org/x/a.tar.gz?y=/z"), Some("a.tar.gz"));
        assert_eq!(file_name("https://example.org/"), None);
        assert_eq!(file_name("https://example.org"), None);
        assert_eq!(file_name("https://example.org/.."), None);
    }
}
