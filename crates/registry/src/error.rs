//! What can go wrong with registries.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use stockade_image::{Digest, ImageError};

/// Result of this room.
pub type Result<T, E = RegistryError> = std::result::Result<T, E>;

/// What can go wrong with registries. `words` are the server's own, made printable and cut to a line.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Nothing answers there.
    #[error("cannot reach the registry {host}: {cause}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// What happened.
        cause: String,
    },
    /// The server does not speak TLS, and plain HTTP was not allowed.
    #[error(
        "the registry {host} does not speak TLS, and plain HTTP is not allowed for it; if you trust every machine on \
         the way, say so with `--insecure-registry {host}`, or `insecure = true` in its [[registry]] of stockade.toml \
         (addresses of this machine are no exception)"
    )]
    PlainHttp {
        /// Host and port.
        host: String,
    },
    /// The server's certificate does not prove that it is the server.
    #[error(
        "the certificate of {host} is not accepted: {cause}; if an authority of your own signed it, name that with \
         `ca = \"FILE.pem\"` in the [[registry]] of stockade.toml, or put it at /etc/docker/certs.d/{host}/ca.crt"
    )]
    Certificate {
        /// Host and port.
        host: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A setting or option cannot be used.
    #[error("{what} cannot be used: {reason}")]
    Setting {
        /// Which one.
        what: String,
        /// Why not, and what is allowed.
        reason: String,
    },
    /// The registry wants to know who asks, or refuses who asks.
    #[error("{host} refuses access to {what}{}: {advice}", said(words))]
    Denied {
        /// Host and port.
        host: String,
        /// Repository, or what was asked for.
        what: String,
        /// The server's words, maybe none.
        words: String,
        /// The next step.
        advice: String,
    },
    /// There is no such thing at the registry.
    #[error("{host} does not have {what}{}", said(words))]
    NotFound {
        /// Host and port.
        host: String,
        /// The thing.
        what: String,
        /// The server's words, maybe none.
        words: String,
    },
    /// The registry limits how much one may ask.
    #[error("{host} limits how often one may ask{}; {}", said(words), after(retry_after))]
    RateLimited {
        /// Host and port.
        host: String,
        /// The server's words, maybe none.
        words: String,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The registry answered with an error.
    #[error("{host} answers {status} to {what}{}", said(words))]
    Status {
        /// Host and port.
        host: String,
        /// HTTP status.
        status: u16,
        /// What was asked.
        what: String,
        /// The server's words, maybe none.
        words: String,
    },
    /// The answer breaks the protocol.
    #[error("{host} gives a wrong answer to {what}: {reason}")]
    Protocol {
        /// Host and port.
        host: String,
        /// What was asked.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// A redirect that is not followed.
    #[error("{host} sends us to `{to}`, which is not followed: {reason}")]
    Redirect {
        /// Who sent the redirect.
        host: String,
        /// Where to (at most 200 characters of it, without its query).
        to: String,
        /// Why not.
        reason: &'static str,
    },
    /// What came is longer than it may be.
    #[error("{what} from {host} is larger than {limit} bytes")]
    TooLarge {
        /// Host and port.
        host: String,
        /// Which thing.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// What came is not what was promised.
    #[error("{what} from {host} is not what was promised: expected {expected}, got {actual}")]
    Mismatch {
        /// Host and port.
        host: String,
        /// Which thing.
        what: String,
        /// Digest or size.
        expected: String,
        /// Digest or size.
        actual: String,
    },
    /// The transfer ended too early, again and again.
    #[error("{what} from {host} is cut off after {got} of {size} bytes: {cause}")]
    CutOff {
        /// Host and port.
        host: String,
        /// Which thing.
        what: String,
        /// Bytes that came.
        got: u64,
        /// Bytes that were promised.
        size: u64,
        /// What happened.
        cause: String,
    },
    /// A document breaks its format.
    #[error("{what} is not valid: {reason}")]
    Malformed {
        /// Which document.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Valid, but of a kind that Stockade does not take.
    #[error("{what} is not supported: {reason}")]
    Unsupported {
        /// Which thing.
        what: String,
        /// What it is, and what would be taken.
        reason: String,
    },
    /// The image exists, but not for this machine.
    #[error("{name} is not made for {wanted}; it is made for {}", list(available))]
    NoPlatform {
        /// The image.
        name: String,
        /// Such as `linux/arm64`.
        wanted: String,
        /// What there is.
        available: Vec<String>,
    },
    /// No place has it.
    #[error("`{name}` cannot be pulled; tried {}", tried_text(tried))]
    Nowhere {
        /// The name, as given.
        name: String,
        /// Place, and what came of it.
        tried: Vec<(String, String)>,
    },
    /// Credentials cannot be read or kept.
    #[error("credentials: {what}: {reason}")]
    Credentials {
        /// A file or a helper.
        what: String,
        /// What is wrong, and the next step.
        reason: String,
    },
    /// A file operation failed.
    #[error("cannot {what} `{path}`")]
    Io {
        /// Verb phrase.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The image store.
    #[error(transparent)]
    Store(#[from] ImageError),
    /// Locks and durable writes.
    #[error(transparent)]
    Durable(#[from] stockade_durable::DurableError),
    /// Whoever asked does not want it any more.
    #[error("cancelled")]
    Cancelled,
}

impl RegistryError {
    pub(crate) fn io<'p, E: Into<std::io::Error>>(
        what: &'static str,
        path: &'p std::path::Path,
    ) -> impl FnOnce(E) -> RegistryError + use<'p, E> {
        move |source| RegistryError::Io { what, path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn mismatch(host: &str, what: impl Into<String>, expected: &Digest, actual: &Digest) -> RegistryError {
        let (expected, actual) = (expected.to_string(), actual.to_string());
        RegistryError::Mismatch { host: host.to_owned(), what: what.into(), expected, actual }
    }

    /// Whether the place says that it does not have the thing (or does not tell us): another place may.
    pub fn is_not_found(&self) -> bool {
        matches!(self, RegistryError::NotFound { .. })
    }

    /// Whether another place may answer better: everything that is this place's fault.
    pub(crate) fn is_of_place(&self) -> bool {
        use RegistryError as E;
        !matches!(self, E::Cancelled | E::Store(_) | E::Durable(_) | E::Io { .. } | E::Setting { .. })
    }
}

fn said(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(", saying \"{words}\"") }
}

fn after(wait: &Option<Duration>) -> String {
    match wait {
        Some(wait) => {
            format!("try again in {} seconds, or `stockade login` if an account has a higher limit", wait.as_secs())
        }
        None => "try again later, or `stockade login` if an account has a higher limit".to_owned(),
    }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}

fn tried_text(tried: &[(String, String)]) -> String {
    tried.iter().map(|(place, why)| format!("{place}: {why}")).collect::<Vec<_>>().join("; ")
}

/// Text of a server as one printable line of at most 300 characters.
pub(crate) fn printable(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() || is_bidi(c) { ' ' } else { c }).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

/// Characters that reorder what stands beside them.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

/// Why a document was not accepted, before it is known where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Valid, but of a kind that is not taken.
    pub unsupported: bool,
    /// What is wrong.
    pub reason: String,
}

impl Refusal {
    pub(crate) fn malformed(reason: impl Into<String>) -> Refusal {
        Refusal { unsupported: false, reason: reason.into() }
    }

    pub(crate) fn unsupported(reason: impl Into<String>) -> Refusal {
        Refusal { unsupported: true, reason: reason.into() }
    }

    pub(crate) fn of(self, what: impl Into<String>) -> RegistryError {
        let (what, reason) = (what.into(), self.reason);
        if self.unsupported {
            RegistryError::Unsupported { what, reason }
        } else {
            RegistryError::Malformed { what, reason }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
