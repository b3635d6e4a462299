//! Credentials that cannot be printed by accident.

use std::fmt;

use base64::Engine as _;
use zeroize::Zeroizing;

/// A password or token. It has no `Display`, its `Debug` does not show it, and its memory is cleared after use.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text itself: for the one place that sends or stores it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// User name and password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A token of the registry's token server, to be exchanged for others (`identitytoken`).
    Identity(Secret),
    /// A token that the registry itself takes (`registrytoken`).
    Bearer(Secret),
}

impl Credential {
    /// The user's name, if there is one.
    pub fn username(&self) -> Option<&str> {
        match self {
            Credential::Basic { username, .. } => Some(username),
            _ => None,
        }
    }
}

/// The value of a Basic `Authorization` header (RFC 7617).
pub(crate) fn basic(username: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", encode_pair(username, password).expose()))
}

/// `user:password` in base64, as headers and docker's `config.json` hold it.
pub(crate) fn encode_pair(username: &str, password: &Secret) -> Secret {
    let pair = Zeroizing::new(format!("{username}:{}", password.expose()));
    Secret::new(base64::engine::general_purpose::STANDARD.encode(pair.as_bytes()))
}

/// The reverse of [`encode_pair`]. `None` if it is not such a pair.
pub(crate) fn decode_pair(text: &str) -> Option<(String, Secret)> {
    let bytes = Zeroizing::new(base64::engine::general_purpose::STANDARD.decode(text.trim()).ok()?);
    let pair = std::str::from_utf8(&bytes).ok()?;
    let (username, password) = pair.split_once(':')?;
    // Some tools pad with NUL bytes.
    Some((username.to_owned(), Secret::new(password.trim_end_matches('\0'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_a_secret() {
        let credential = Credential::Basic { username: "me".into(), password: Secret::new("hunter2") };
        for text in [format!("{credential:?}"), format!("{credential:#?}"), format!("{:?}", Secret::new("hunter2"))] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn pairs_survive_base64() {
        let (user, password) = decode_pair(encode_pair("me", &Secret::new("a:b")).expose()).unwrap();
        assert_eq!((user.as_str(), password.expose()), ("me", "a:b"));
        assert!(decode_pair("!!").is_none());
        assert_eq!(basic("Aladdin", &Secret::new("open sesame")).expose(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
