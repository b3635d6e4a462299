//! Signatures of database files: Ed25519 (RFC 8032) over the file's SHA-256, in a small text file beside it.
//!
//! ```text
//! stockade-db-signature v1
//! key: 3f2a9c01d4e5b6a7
//! sha256: 9f86d081884c7d65…
//! signature: MEUCIQ…
//! ```
//!
//! A public key is one line, `stockade-db-key ed25519 BASE64 COMMENT`; a file of trusted keys holds one a line, with `#`
//! for comments. The private key is PKCS #8 in base64 behind `stockade-db-private-key`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use stockade_advisory_db::import::sha256_hex;

const HEADER: &str = "stockade-db-signature v1";
const PUBLIC: &str = "stockade-db-key";
const PRIVATE: &str = "stockade-db-private-key";
/// Longest signature or key file that is read, in bytes.
pub const MAX_TEXT_BYTES: u64 = 1 << 20;

/// Why a signature or key is not accepted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SigningError {
    /// The file of a key is none.
    #[error("{0}")]
    Key(String),
    /// The signature's text is none.
    #[error("the signature is damaged: {0}")]
    Damaged(&'static str),
    /// The signature is about another file.
    #[error("the signature is of a file with SHA-256 {signed}, and this one has {found}")]
    OtherFile {
        /// What was signed.
        signed: String,
        /// What is here.
        found: String,
    },
    /// Nobody trusted made it.
    #[error("the signature is by the key {0}, which is not among the trusted ones")]
    Untrusted(String),
    /// It does not fit the key.
    #[error("the signature is false")]
    False,
}

/// A key that signs.
pub struct SigningKey(Ed25519KeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public().id()).finish()
    }
}

/// A key that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    bytes: Vec<u8>,
    /// Whose it is, as the file says.
    pub comment: String,
}

impl SigningKey {
    /// Makes a key. Output: the key, and the text of its file, which must stay secret.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn generate() -> Result<(SigningKey, String), SigningError> {
        let no_random = |_| SigningError::Key("the system gives no random numbers".to_owned());
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(no_random)?;
        let text = format!("{PRIVATE} {}\n", STANDARD.encode(pkcs8.as_ref()));
        Ok((SigningKey::parse(&text)?, text))
    }

    /// Reads the text of a private key's file.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<SigningKey, SigningError> {
        let wrong = || SigningError::Key("it is no private key of `stockade db key`".to_owned());
        let encoded = text.trim().strip_prefix(PRIVATE).ok_or_else(wrong)?;
        let pkcs8 = STANDARD.decode(encoded.trim()).map_err(|_| wrong())?;
        Ed25519KeyPair::from_pkcs8(&pkcs8).map(SigningKey).map_err(|_| wrong())
    }

    /// The key that verifies.
    pub fn public(&self) -> PublicKey {
        PublicKey { bytes: self.0.public_key().as_ref().to_vec(), comment: String::new() }
    }

    /// Signs a file. Output: the text of the signature's file.
    pub fn sign(&self, file: &[u8]) -> String {
        let digest = sha256_hex(file);
        let signature = self.0.sign(message(&digest).as_bytes());
        let id = self.public().id();
        format!("{HEADER}\nkey: {id}\nsha256: {digest}\nsignature: {}\n", STANDARD.encode(signature.as_ref()))
    }
}

impl PublicKey {
    /// Reads a file of trusted keys: one a line.
    ///
    /// # Errors
    /// The first line that is no key, with its number.
    pub fn parse_list(text: &str) -> Result<Vec<PublicKey>, SigningError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = PublicKey::parse(line).ok_or_else(|| {
                SigningError::Key(format!("line {} is no key: `{PUBLIC} ed25519 BASE64 COMMENT` is one", index + 1))
            })?;
            keys.push(key);
        }
        Ok(keys)
    }

    fn parse(line: &str) -> Option<PublicKey> {
        let mut words = line.split_whitespace();
        if (words.next()?, words.next()?) != (PUBLIC, "ed25519") {
            return None;
        }
        let bytes = STANDARD.decode(words.next()?).ok().filter(|b| b.len() == 32)?;
        Some(PublicKey { bytes, comment: words.collect::<Vec<_>>().join(" ") })
    }

    /// The line of a file of trusted keys.
    pub fn line(&self) -> String {
        format!("{PUBLIC} ed25519 {} {}", STANDARD.encode(&self.bytes), self.comment).trim_end().to_owned()
    }

    /// A short name: the first 16 hex digits of its SHA-256.
    pub fn id(&self) -> String {
        sha256_hex(&self.bytes).chars().take(16).collect()
    }
}

/// What is signed. It names its purpose, so that no other signature by the same key can stand for it.
fn message(digest: &str) -> String {
    format!("{HEADER}\n{digest}\n")
}

/// Verifies a file's signature against the trusted keys. Output: the key that made it.
///
/// # Errors
/// When it is damaged, of another file, by a key that is not trusted, or false.
pub fn verify<'k>(file: &[u8], signature: &str, trusted: &'k [PublicKey]) -> Result<&'k PublicKey, SigningError> {
    let mut lines = signature.lines().map(str::trim);
    if lines.next() != Some(HEADER) {
        return Err(SigningError::Damaged("it does not begin with `stockade-db-signature v1`"));
    }
    let (mut id, mut signed, mut value) = (None, None, None);
    for line in lines.filter(|l| !l.is_empty()) {
        match line.split_once(':') {
            Some(("key", text)) => id = Some(text.trim()),
            Some(("sha256", text)) => signed = Some(text.trim()),
            Some(("signature", text)) => value = Some(text.trim()),
            _ => return Err(SigningError::Damaged("a line is not known")),
        }
    }
    let (Some(id), Some(signed), Some(value)) = (id, signed, value) else {
        return Err(SigningError::Damaged("it lacks the key, the digest or the signature"));
    };
    let found = sha256_hex(file);
    if found != signed {
        return Err(SigningError::OtherFile { signed: signed.chars().take(64).collect(), found });
    }
    let key = trusted
        .iter()
        .find(|k| k.id() == id)
        .ok_or_else(|| SigningError::Untrusted(id.chars().filter(char::is_ascii_hexdigit).take(16).collect()))?;
    let bytes = STANDARD.decode(value).map_err(|_| SigningError::Damaged("its value is no base64"))?;
    UnparsedPublicKey::new(&ED25519, &key.bytes)
        .verify(message(&found).as_bytes(), &bytes)
        .map_err(|_| SigningError::False)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_is_verified_and_nothing_else() {
        let (key, text) = SigningKey::generate().unwrap();
        let (other, _) = SigningKey::generate().unwrap();
        let key_again = SigningKey::parse(&text).unwrap();
        let list = format!("# ours\n\n{} of the team\n{}\n", key.public().line(), other.public().line());
        let trusted = PublicKey::parse_list(&list).unwrap();
        assert_eq!(trusted[0].comment, "of the team");
        let signature = key_again.sign(b"facts");
        assert_eq!(verify(b"facts", &signature, &trusted).unwrap().comment, "of the team");
        assert!(matches!(verify(b"other", &signature, &trusted), Err(SigningError::OtherFile { .. })));
        assert!(matches!(verify(b"facts", &signature, &trusted[1..]), Err(SigningError::Untrusted(_))));
        let mixed = signature.replace(&key.public().id(), &other.public().id());
        assert_eq!(verify(b"facts", &mixed, &trusted).unwrap_err(), SigningError::False);
        let renamed = signature.replace(&sha256_hex(b"facts"), &sha256_hex(b"forged"));
        assert_eq!(verify(b"forged", &renamed, &trusted).unwrap_err(), SigningError::False);
        for damaged in ["", "x", &signature[..60], &signature.replace("signature:", "signatur:")] {
            assert!(matches!(verify(b"facts", damaged, &trusted), Err(SigningError::Damaged(_))), "{damaged}");
        }
    }

    #[test]
    fn wrong_keys_are_named() {
        assert!(PublicKey::parse_list("# x\nssh-ed25519 AAAA").unwrap_err().to_string().contains("line 2"));
        assert!(PublicKey::parse_list("stockade-db-key ed25519 AAAA").is_err());
        assert!(SigningKey::parse("stockade-db-private-key AAAA").is_err());
        assert!(!format!("{:?}", SigningKey::generate().unwrap().0).contains("private"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_refused(text in "(stockade-db-signature v1\n)?(.|\n){0,200}") {
            proptest::prop_assert!(verify(b"x", &text, &[]).is_err());
            let _ = PublicKey::parse_list(&text);
        }
    }
}
