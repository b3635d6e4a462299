//! Verifies the clear-signed `InRelease` file (RFC 9580 §7) against a keyring.

use pgp::composed::{CleartextSignedMessage, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};

use crate::error::BaseError;
use crate::keyring::{Keyring, fingerprint, primary_may_sign, subkey_may_sign};

/// How far the mirror's clock may be ahead of ours, in seconds.
const CLOCK_SLACK: i64 = 24 * 3600;

/// Text whose signature was good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The signed text and nothing else of the file.
    pub text: String,
    /// Fingerprints of the primary keys with a good signature.
    pub signers: Vec<String>,
}

/// Checks `bytes` and returns its signed text. At least one signature must be good: made by a key of the keyring that
/// may sign now, over a strong hash, and not expired. Text before or after the signed message is an error.
///
/// # Errors
/// [`BaseError::Signature`] with what each signature lacks.
pub fn verify(bytes: &[u8], url: &str, keyring: &Keyring, now: i64) -> Result<Verified, BaseError> {
    let fail = |cause: String| BaseError::Signature { url: url.to_owned(), cause };
    let (message, _) = CleartextSignedMessage::from_armor(bytes).map_err(|e| {
        fail(format!("it is no clear-signed OpenPGP message ({e}); does a captive portal or a wrong address answer?"))
    })?;
    let text = message.signed_text();
    let mut signers = Vec::new();
    let mut complaints = Vec::new();
    for signature in message.signatures() {
        match check(signature, text.as_bytes(), keyring, now) {
            Ok(signer) if signers.contains(&signer) => {}
            Ok(signer) => signers.push(signer),
            Err(complaint) => complaints.push(complaint),
        }
    }
    if signers.is_empty() {
        let complaints =
            if complaints.is_empty() { "it carries no signature".to_owned() } else { complaints.join("; ") };
        return Err(fail(format!(
            "{complaints}; keys were taken from {}: update the distribution's keyring package or name another \
             keyring with `keyring=FILE`, and suspect the mirror if the keyring is current",
            keyring.sources.join(", ")
        )));
    }
    Ok(Verified { text, signers })
}

/// Checks one signature; returns the primary fingerprint of its maker.
fn check(signature: &Signature, text: &[u8], keyring: &Keyring, now: i64) -> Result<String, String> {
    if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
        return Err("a signature is not of a kind that signs text".into());
    }
    let strong = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
        HashAlgorithm::Sha3_256,
        HashAlgorithm::Sha3_512,
    ];
    match signature.hash_alg() {
        Some(hash) if strong.contains(&hash) => {}
        other => return Err(format!("a signature uses the weak hash {}", other.map_or("?".into(), |h| h.to_string()))),
    }
    let made = signature.created().map(|t| i64::from(t.as_secs())).ok_or("a signature has no date")?;
    if made > now + CLOCK_SLACK {
        return Err(format!(
            "a signature is from the future ({}); check this machine's clock",
            crate::release::format_date(made)
        ));
    }
    let life = signature.signature_expiration_time().map(|d| i64::from(d.as_secs())).filter(|l| *l > 0);
    if life.is_some_and(|life| made + life <= now) {
        return Err("a signature has expired".into());
    }
    let mut reason = None;
    for key in &keyring.certificates {
        match check_with(signature, text, key, made, now) {
            Some(Ok(())) => return Ok(fingerprint(key)),
            Some(Err(why)) => reason = Some(why),
            None => {}
        }
    }
    Err(reason.unwrap_or_else(|| format!("no key is known for the signature by {}", issuer(signature))))
}

/// `None` when neither the key nor one of its subkeys claims to have made the signature.
fn check_with(
    signature: &Signature,
    text: &[u8],
    key: &SignedPublicKey,
    made: i64,
    now: i64,
) -> Option<Result<(), String>> {
    use pgp::types::KeyDetails;
    let claims = |fp: pgp::types::Fingerprint, id: pgp::types::KeyId| {
        let (fps, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
        if fps.is_empty() { ids.iter().any(|i| **i == id) } else { fps.iter().any(|f| **f == fp) }
    };
    let broken = |name: String| format!("the signature by key {name} does not match the text: it was altered");
    if claims(key.fingerprint(), key.legacy_key_id()) {
        return Some(match signature.verify(&key.primary_key, text) {
            Ok(()) => primary_may_sign(key, made, now),
            Err(_) => Err(broken(fingerprint(key))),
        });
    }
    let subkey = key.public_subkeys.iter().find(|s| claims(s.key.fingerprint(), s.key.legacy_key_id()))?;
    Some(match signature.verify(&subkey.key, text) {
        Ok(()) => primary_may_sign(key, made, now).and_then(|()| subkey_may_sign(key, subkey, made, now)),
        Err(_) => Err(broken(fingerprint(&subkey.key))),
    })
}

fn issuer(signature: &Signature) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02X}")).collect::<String>();
    if let Some(f) = signature.issuer_fingerprint().first() {
        return hex(f.as_bytes());
    }
    signature.issuer_key_id().first().map_or("an unnamed key".into(), |id| id.to_string().to_uppercase())
}

#[cfg(test)]
mod tests;
