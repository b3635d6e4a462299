//! Docker's `config.json`: which credentials are for which registry. Fields that we do not know stay as they are.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use stockade_image::reference::DEFAULT_REGISTRY;

use crate::error::{RegistryError, Result};
use crate::helper::Helper;
use crate::secret::{Credential, Secret, decode_pair, encode_pair};

/// What docker calls docker.io in this file.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// Largest file that is read, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// Where credentials were put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredIn {
    /// A credential helper keeps them, by this name.
    Helper(String),
    /// They stand in this file, readable for its owner alone but not encrypted.
    File(PathBuf),
}

/// The file, parsed.
pub(crate) struct DockerConfig {
    path: PathBuf,
    content: Map<String, Value>,
}

impl DockerConfig {
    /// Reads the file. One that does not exist is empty.
    pub fn load(path: &Path) -> Result<DockerConfig> {
        let wrong = |reason: String| RegistryError::Credentials { what: format!("`{}`", path.display()), reason };
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        match File::open(path) {
            Ok(file) => file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(RegistryError::io("read", path))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => 0,
            Err(e) => return Err(RegistryError::io("open", path)(e)),
        };
        if bytes.len() as u64 > MAX_BYTES {
            return Err(wrong(format!("it is larger than {MAX_BYTES} bytes")));
        }
        let content = if bytes.iter().all(u8::is_ascii_whitespace) {
            Map::new()
        } else {
            // serde's message tells the place, not the content.
            serde_json::from_slice(&bytes).map_err(|e| wrong(format!("it is not a JSON object: {e}")))?
        };
        Ok(DockerConfig { path: path.to_owned(), content })
    }

    /// The credentials for a host: from its helper, from the helper of all hosts, from the file.
    pub fn credential(&self, host: &str, helper_dir: Option<&Path>) -> Result<Option<Credential>> {
        if let Some((name, key)) = self.helper(host)
            && let Some(found) = Helper::new(&name, helper_dir)?.get(&key)?
        {
            return Ok(Some(found));
        }
        let Some((key, entry)) = self.auths().and_then(|auths| auths.iter().find(|(key, _)| names(key, host))) else {
            return Ok(None);
        };
        read_entry(entry).map_err(|reason| RegistryError::Credentials {
            what: format!("`{}`, entry `{key}`", self.path.display()),
            reason,
        })
    }

    /// Keeps credentials, where docker would: with a helper if one is set, else in the file.
    pub fn store(path: &Path, host: &str, credential: &Credential, helper_dir: Option<&Path>) -> Result<StoredIn> {
        DockerConfig::change(path, |config| {
            if let Some((name, key)) = config.helper(host) {
                Helper::new(&name, helper_dir)?.store(&key, credential)?;
                // As docker does: the entry says that there is something, the helper what.
                config.set_entry(host, Value::Object(Map::new()));
                return Ok(StoredIn::Helper(name));
            }
            let (field, secret) = match credential {
                Credential::Basic { username, password } => ("auth", encode_pair(username, password)),
                Credential::Identity(token) => ("identitytoken", token.clone()),
                Credential::Bearer(token) => ("registrytoken", token.clone()),
            };
            let mut entry = Map::new();
            entry.insert(field.to_owned(), Value::String(secret.expose().to_owned()));
            config.set_entry(host, Value::Object(entry));
            Ok(StoredIn::File(path.to_owned()))
        })
    }

    /// Forgets the credentials for a host, wherever they are. `false` if there were none.
    pub fn erase(path: &Path, host: &str, helper_dir: Option<&Path>) -> Result<bool> {
        if !path.exists() {
            return Ok(false);
        }
        DockerConfig::change(path, |config| {
            let mut had = false;
            if let Some((name, key)) = config.helper(host) {
                let helper = Helper::new(&name, helper_dir)?;
                had = helper.get(&key)?.is_some();
                helper.erase(&key)?;
            }
            if let Some(Value::Object(auths)) = config.content.get_mut("auths") {
                let before = auths.len();
                auths.retain(|key, _| !names(key, host));
                had |= auths.len() < before;
            }
            Ok(had)
        })
    }

    /// Reads, changes and replaces the file, alone among Stockade's processes. A file that is a link stays one.
    fn change<T>(path: &Path, change: impl FnOnce(&mut DockerConfig) -> Result<T>) -> Result<T> {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let dir = real.parent().unwrap_or(Path::new("."));
        stockade_durable::create_private_dir(dir)?;
        let lock = File::open(dir).map_err(RegistryError::io("open", dir))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).map_err(RegistryError::io("lock", dir))?;
        let mut config = DockerConfig::load(&real)?;
        let before = config.content.clone();
        let result = change(&mut config)?;
        if config.content != before {
            let mut text = zeroize::Zeroizing::new(serde_json::to_vec_pretty(&config.content).map_err(|e| {
                RegistryError::Credentials { what: format!("`{}`", path.display()), reason: e.to_string() }
            })?);
            text.push(b'\n');
            stockade_durable::write(&real, &text, 0o600)?;
        }
        Ok(result)
    }

    /// Name of the helper for a host, and what the helper knows the host by.
    fn helper(&self, host: &str) -> Option<(String, String)> {
        let own = self.content.get("credHelpers").and_then(Value::as_object);
        if let Some((key, name)) = own.and_then(|map| map.iter().find(|(key, _)| names(key, host))) {
            return name.as_str().filter(|n| !n.is_empty()).map(|name| (name.to_owned(), key.clone()));
        }
        let all = self.content.get("credsStore").and_then(Value::as_str).filter(|n| !n.is_empty())?;
        // The key under which a login wrote it, if there was one.
        let known = self.auths().and_then(|auths| auths.keys().find(|key| names(key, host)).cloned());
        Some((all.to_owned(), known.unwrap_or_else(|| key_of(host))))
    }

    fn auths(&self) -> Option<&Map<String, Value>> {
        self.content.get("auths").and_then(Value::as_object)
    }

    fn set_entry(&mut self, host: &str, entry: Value) {
        let auths = self.content.entry("auths").or_insert_with(|| Value::Object(Map::new()));
        if !auths.is_object() {
            *auths = Value::Object(Map::new());
        }
        if let Value::Object(auths) = auths {
            let key = auths.keys().find(|key| names(key, host)).cloned().unwrap_or_else(|| key_of(host));
            auths.insert(key, entry);
        }
    }
}

/// What docker writes for a host.
fn key_of(host: &str) -> String {
    if host == DEFAULT_REGISTRY { DOCKER_HUB_KEY.to_owned() } else { host.to_owned() }
}

/// Whether a key, which may be an address, means the host.
fn names(key: &str, host: &str) -> bool {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let bare = bare.split('/').next().unwrap_or_default();
    let bare = match bare {
        "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY,
        other => other,
    };
    bare.eq_ignore_ascii_case(host)
}

fn read_entry(entry: &Value) -> Result<Option<Credential>, String> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
    if let Some(token) = text("registrytoken") {
        return Ok(Some(Credential::Bearer(Secret::new(token))));
    }
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Credential::Identity(Secret::new(token))));
    }
    if let Some(auth) = text("auth") {
        let (username, password) =
            decode_pair(auth).ok_or("its `auth` is not `user:password` in base64; log in again")?;
        return Ok(Some(Credential::Basic { username, password }));
    }
    Ok(text("username").zip(text("password")).map(|(username, password)| Credential::Basic {
        username: username.to_owned(),
        password: Secret::new(password),
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn me(password: &str) -> Credential {
        Credential::Basic { username: "me".to_owned(), password: Secret::new(password) }
    }

    #[test]
    fn a_login_is_kept_and_forgotten_and_other_fields_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/config.json");
        assert!(!DockerConfig::erase(&path, "r.example", None).unwrap());
        assert_eq!(DockerConfig::store(&path, "r.example:5000", &me("a"), None).unwrap(), StoredIn::File(path.clone()));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, fs::read_to_string(&path).unwrap().replacen('{', "{\"psFormat\": \"x\",", 1)).unwrap();
        DockerConfig::store(&path, DEFAULT_REGISTRY, &me("b"), None).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("psFormat") && text.contains(DOCKER_HUB_KEY), "{text}");
        let config = DockerConfig::load(&path).unwrap();
        assert_eq!(config.credential("R.example:5000", None).unwrap(), Some(me("a")));
        assert_eq!(config.credential(DEFAULT_REGISTRY, None).unwrap(), Some(me("b")));
        assert_eq!(config.credential("r.example", None).unwrap(), None);
        assert!(DockerConfig::erase(&path, "r.example:5000", None).unwrap());
        assert_eq!(DockerConfig::load(&path).unwrap().credential("r.example:5000", None).unwrap(), None);
    }

    #[test]
    fn every_form_of_an_entry_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        fs::write(
            &path,
            r#"{"auths":{"https://a.example/v2/":{"auth":"bWU6YQ=="},"b":{"identitytoken":"t"},"c":{"username":"me","password":"p"},
                "d":{},"e":{"auth":"%%"},"f":{"registrytoken":"r"}}}"#,
        )
        .unwrap();
        let config = DockerConfig::load(&path).unwrap();
        assert_eq!(config.credential("a.example", None).unwrap(), Some(me("a")));
        assert_eq!(config.credential("b", None).unwrap(), Some(Credential::Identity(Secret::new("t"))));
        assert_eq!(config.credential("c", None).unwrap(), Some(me("p")));
        assert_eq!(config.credential("d", None).unwrap(), None);
        assert!(config.credential("e", None).unwrap_err().to_string().contains("log in again"));
        assert_eq!(config.credential("f", None).unwrap(), Some(Credential::Bearer(Secret::new("r"))));
        fs::write(&path, "[1]").unwrap();
        assert!(DockerConfig::load(&path).is_err());
    }

    fn write_helper(dir: &Path) {
        let program = dir.join("docker-credential-test");
        // Keeps one entry in a file, as the real ones keep theirs in a keyring.
        let script = format!(
            "#!/bin/sh\nf={}/kept\ncase $1 in\nget) read s; [ -f $f ] && cat $f && exit 0; echo 'credentials not found in native keychain'; exit 1;;\nstore) cat > $f;;\nerase) rm -f $f;;\nesac\n",
            dir.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_helper_keeps_what_the_file_must_not() {
        let dir = tempfile::tempdir().unwrap();
        write_helper(dir.path());
        let path = dir.path().join("config.json");
        fs::write(&path, r#"{"credHelpers":{"r.example":"test"}}"#).unwrap();
        let helpers = Some(dir.path());
        assert_eq!(DockerConfig::load(&path).unwrap().credential("r.example", helpers).unwrap(), None);
        let stored = DockerConfig::store(&path, "r.example", &me("hunter2"), helpers).unwrap();
        assert_eq!(stored, StoredIn::Helper("test".to_owned()));
        assert!(!fs::read_to_string(&path).unwrap().contains("hunter2"));
        assert_eq!(DockerConfig::load(&path).unwrap().credential("r.example", helpers).unwrap(), Some(me("hunter2")));
        assert!(DockerConfig::erase(&path, "r.example", helpers).unwrap());
        assert!(!dir.path().join("kept").exists());
    }

    #[test]
    fn helpers_that_are_paths_or_missing_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        for (name, part) in [("../evil", "no name of a helper"), ("gone", "not on the PATH")] {
            fs::write(&path, format!(r#"{{"credsStore":"{name}"}}"#)).unwrap();
            let error = DockerConfig::load(&path).unwrap().credential("r", Some(dir.path())).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
