//! The keys that may sign an archive: where they are read from, and which of them count.

use std::path::{Path, PathBuf};

use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Tag};

use crate::error::BaseError;
use crate::name::Distro;
use crate::suites;

/// No keyring of a distribution is this large, in bytes; larger files are refused.
const MAX_KEYRING_BYTES: u64 = 4 << 20;

/// The archive keys of both distributions, each with its self-signatures only. A fingerprint is a hash of the key, so
/// [`suites::known_fingerprints`] proves them; the tests check it.
const EMBEDDED: &[(Distro, &[u8])] = &[
    (Distro::Debian, include_bytes!("../data/debian-archive-keys.gpg")),
    (Distro::Ubuntu, include_bytes!("../data/ubuntu-archive-keys.gpg")),
];

/// Keys that are believed, each with its origin.
#[derive(Debug, Default)]
pub struct Keyring {
    /// The certificates.
    pub certificates: Vec<SignedPublicKey>,
    /// Where they came from, for messages.
    pub sources: Vec<String>,
}

impl Keyring {
    /// Collects the keys for `distro`.
    ///
    /// With `explicit`, exactly the keys in that file. Otherwise: all keys in the host's keyrings that belong to the
    /// distribution by name (`usr/share/keyrings/debian-archive-*`), those with a known fingerprint in apt's
    /// `trusted.gpg.d`, and those in this program.
    ///
    /// # Errors
    /// An explicit file that is missing, unreadable or without keys. A damaged file of the host is passed over.
    pub fn collect(distro: Distro, explicit: Option<&Path>, host_root: &Path) -> Result<Keyring, BaseError> {
        let mut keyring = Keyring::default();
        if let Some(path) = explicit {
            keyring.certificates = read_file(path)?;
            keyring.sources.push(path.display().to_string());
            return Ok(keyring);
        }
        for path in host_keyrings(distro, host_root) {
            keyring.absorb(read_file(&path).unwrap_or_default(), &path.display().to_string());
        }
        let known = suites::known_fingerprints(distro);
        for path in listing(&host_root.join("etc/apt/trusted.gpg.d")) {
            let mut keys = read_file(&path).unwrap_or_default();
            keys.retain(|k| known.contains(&fingerprint(k).as_str()));
            keyring.absorb(keys, &path.display().to_string());
        }
        for (_, bytes) in EMBEDDED.iter().filter(|(d, _)| *d == distro) {
            let mut keys = parse(bytes).unwrap_or_default();
            keys.retain(|k| known.contains(&fingerprint(k).as_str()));
            keyring.absorb(keys, "the keys in this program");
        }
        if keyring.certificates.is_empty() {
            let (package, looked) = (keyring_package(distro), "usr/share/keyrings, etc/apt/trusted.gpg.d".to_owned());
            return Err(BaseError::NoKeyring { distro: distro.title(), package, looked });
        }
        Ok(keyring)
    }

    /// Takes keys not held yet, counted by fingerprint; of two copies the first stays (the host's before ours).
    fn absorb(&mut self, keys: Vec<SignedPublicKey>, source: &str) {
        let before = self.certificates.len();
        for key in keys {
            if !self.certificates.iter().any(|k| k.fingerprint() == key.fingerprint()) {
                self.certificates.push(key);
            }
        }
        if self.certificates.len() > before {
            self.sources.push(source.to_owned());
        }
    }
}

/// The package that ships the distribution's keys, as Debian and its relatives call it.
pub(crate) fn keyring_package(distro: Distro) -> &'static str {
    match distro {
        Distro::Debian => "debian-archive-keyring",
        Distro::Ubuntu => "ubuntu-keyring",
    }
}

fn host_keyrings(distro: Distro, host_root: &Path) -> Vec<PathBuf> {
    let prefix = match distro {
        Distro::Debian => "debian-archive-",
        Distro::Ubuntu => "ubuntu-archive-keyring",
    };
    let mut paths = listing(&host_root.join("usr/share/keyrings"));
    paths.retain(|p| {
        let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let format = [".gpg", ".pgp", ".asc"].iter().any(|e| name.ends_with(e));
        name.starts_with(prefix) && format && !name.contains("removed")
    });
    // One file holds all of Debian's keys; the others are parts of it.
    if let Some(whole) = paths.iter().find(|p| p.ends_with("debian-archive-keyring.gpg")).cloned() {
        return vec![whole];
    }
    paths
}

fn listing(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    paths
}

fn read_file(path: &Path) -> Result<Vec<SignedPublicKey>, BaseError> {
    let bad = |cause: String| BaseError::BadKeyring { path: path.to_owned(), cause };
    let meta = std::fs::metadata(path).map_err(|e| bad(format!("{e}; name a keyring file that exists")))?;
    if !meta.is_file() || meta.len() > MAX_KEYRING_BYTES {
        return Err(bad("it is no keyring file".into()));
    }
    let bytes = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
    parse(&bytes).map_err(bad)
}

/// Reads certificates, binary or armored. Single unusable ones are left out; no usable one at all is an error.
fn parse(bytes: &[u8]) -> Result<Vec<SignedPublicKey>, String> {
    let armored = bytes.trim_ascii_start().starts_with(b"-----BEGIN PGP");
    let keys: Vec<_> = if armored {
        let (keys, _) = SignedPublicKey::from_armor_many(bytes).map_err(|e| e.to_string())?;
        keys.collect()
    } else {
        SignedPublicKey::from_bytes_many(bytes).map_err(|e| e.to_string())?.collect()
    };
    let mut last = "it holds no public key".to_owned();
    let good: Vec<_> = keys.into_iter().filter_map(|k| k.map_err(|e| last = e.to_string()).ok()).collect();
    if good.is_empty() { Err(last) } else { Ok(good) }
}

/// Upper-case hex fingerprint of a certificate's primary key.
pub(crate) fn fingerprint(key: &impl KeyDetails) -> String {
    key.fingerprint().as_bytes().iter().map(|b| format!("{b:02X}")).collect()
}

/// Why a key may not sign.
pub(crate) type Unusable = String;

/// Checks that the primary key may sign at the times `made` (of the signature) and `now`, in seconds since 1970.
pub(crate) fn primary_may_sign(key: &SignedPublicKey, made: i64, now: i64) -> Result<(), Unusable> {
    let primary = &key.primary_key;
    if key.details.revocation_signatures.iter().any(|s| s.verify_key(primary).is_ok()) {
        return Err(format!("key {} is revoked", fingerprint(key)));
    }
    let direct = key.details.direct_signatures.iter().filter(|s| s.verify_key(primary).is_ok());
    let users = key.details.users.iter().flat_map(|user| {
        let own = move |s: &&Signature| {
            s.is_certification() && s.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        };
        user.signatures.iter().filter(own)
    });
    // Direct signatures mostly name who else may revoke, and then say nothing about the key's life: of them, the newest
    // that does counts, besides the newest one over a name.
    let made_at = |s: &&Signature| s.created().map(|t| t.as_secs());
    let lives = direct.clone().filter(|s| s.key_expiration_time().is_some()).max_by_key(made_at);
    let newest: Vec<&Signature> = users.max_by_key(made_at).into_iter().chain(lives).collect();
    if newest.is_empty() && direct.count() == 0 {
        return Err(format!("key {} has no valid signature of itself", fingerprint(key)));
    }
    let created = i64::from(key.created_at().as_secs());
    newest.into_iter().try_for_each(|s| within_life(&fingerprint(key), created, s, made, now))
}

/// Checks that a subkey is bound to its primary key for signing, and alive at the times `made` and `now`.
pub(crate) fn subkey_may_sign(
    key: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    made: i64,
    now: i64,
) -> Result<(), Unusable> {
    let primary = &key.primary_key;
    let name = fingerprint(&subkey.key);
    let valid = || subkey.signatures.iter().filter(|s| s.verify_subkey_binding(primary, &subkey.key).is_ok());
    if valid().any(|s| s.typ() == Some(SignatureType::SubkeyRevocation)) {
        return Err(format!("subkey {name} is revoked"));
    }
    let newest = valid()
        .filter(|s| s.typ() == Some(SignatureType::SubkeyBinding))
        .max_by_key(|s| s.created().map(|t| t.as_secs()))
        .ok_or_else(|| format!("subkey {name} is not bound to its key"))?;
    let back = newest.embedded_signature().map(|s| s.verify_primary_key_binding(&subkey.key, primary));
    if !newest.key_flags().sign() || !matches!(back, Some(Ok(()))) {
        return Err(format!("subkey {name} is not meant for signing"));
    }
    within_life(&name, i64::from(subkey.key.created_at().as_secs()), newest, made, now)
}

fn within_life(name: &str, created: i64, binding: &Signature, made: i64, now: i64) -> Result<(), Unusable> {
    if made < created {
        return Err(format!("the signature is older than key {name}"));
    }
    let life = binding.key_expiration_time().map(|d| i64::from(d.as_secs())).filter(|life| *life > 0);
    match life.map(|life| created + life) {
        Some(end) if end <= made || end <= now => {
            Err(format!("key {name} expired on {}", crate::release::format_date(end)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_in_this_program_are_the_known_ones_and_may_sign() {
        let now = 1_795_000_000; // November 2026
        for (distro, bytes) in EMBEDDED {
            let keys = parse(bytes).unwrap();
            for key in &keys {
                assert!(suites::known_fingerprints(*distro).contains(&fingerprint(key).as_str()));
                primary_may_sign(key, now, now).unwrap();
                for subkey in &key.public_subkeys {
                    subkey_may_sign(key, subkey, now, now).unwrap();
                }
            }
        }
        assert_eq!(parse(EMBEDDED[0].1).unwrap().len(), suites::known_fingerprints(Distro::Debian).len());
    }

    #[test]
    fn an_expired_key_says_when() {
        let keys = parse(EMBEDDED[0].1).unwrap();
        let error = primary_may_sign(&keys[0], 1_795_000_000, 4_000_000_000).unwrap_err();
        assert!(error.contains("expired on 20"), "{error}");
    }

    #[test]
    fn a_missing_or_damaged_explicit_keyring_is_named() {
        let error =
            Keyring::collect(Distro::Debian, Some(Path::new("/nonexistent/x.gpg")), Path::new("/")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/x.gpg"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.gpg");
        for bytes in [&b"garbage"[..], b"", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n"] {
            std::fs::write(&path, bytes).unwrap();
            assert!(Keyring::collect(Distro::Debian, Some(&path), dir.path()).is_err());
        }
    }

    #[test]
    fn other_peoples_keys_in_apts_directory_are_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let trusted = dir.path().join("etc/apt/trusted.gpg.d");
        std::fs::create_dir_all(&trusted).unwrap();
        std::fs::write(trusted.join("ubuntu.gpg"), EMBEDDED[1].1).unwrap();
        let keyring = Keyring::collect(Distro::Debian, None, dir.path()).unwrap();
        assert_eq!(keyring.sources, ["the keys in this program"]);
        let known = suites::known_fingerprints(Distro::Debian);
        assert!(keyring.certificates.iter().all(|k| known.contains(&fingerprint(k).as_str())));
    }
}
