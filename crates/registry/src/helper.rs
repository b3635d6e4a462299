//! Docker's credential helpers: programs `docker-credential-NAME` that keep passwords in the system's own store.
//!
//! Protocol: one verb as argument; `get` and `erase` read a server's name from stdin, `store` a JSON object; `get`
//! writes one. Source: github.com/docker/docker-credential-helpers, README.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{RegistryError, Result, printable};
use crate::secret::{Credential, Secret};

/// Largest answer of a helper that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 1 << 20;
/// What helpers say when they have nothing; they then exit with 1.
const NOT_FOUND: &str = "credentials not found";
/// The user name of an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(rename = "ServerURL", default)]
    server_url: std::borrow::Cow<'a, str>,
    #[serde(default)]
    username: std::borrow::Cow<'a, str>,
    #[serde(default)]
    secret: std::borrow::Cow<'a, str>,
}

/// A helper by its name in `config.json`.
pub(crate) struct Helper<'a> {
    name: &'a str,
    dir: Option<&'a Path>,
}

impl<'a> Helper<'a> {
    /// Errors: the name could be a path.
    pub fn new(name: &'a str, dir: Option<&'a Path>) -> Result<Helper<'a>> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() || name.len() > 100 || !name.bytes().all(good) {
            return Err(RegistryError::Credentials {
                what: format!("helper `{}`", printable(name)),
                reason: "this is no name of a helper: letters, digits, `-`, `_` and `.` are allowed".to_owned(),
            });
        }
        Ok(Helper { name, dir })
    }

    /// The credentials for a server, `None` if it has none.
    pub fn get(&self, server: &str) -> Result<Option<Credential>> {
        let answer = match self.run("get", server.as_bytes()) {
            Ok(answer) => answer,
            Err(Trouble::Said(words)) if words.to_ascii_lowercase().contains(NOT_FOUND) => return Ok(None),
            Err(trouble) => return Err(self.failed(trouble)),
        };
        let entry: Entry<'_> = serde_json::from_slice(&answer)
            .map_err(|_| self.failed(Trouble::Said("its answer is no JSON".to_owned())))?;
        if entry.secret.is_empty() {
            return Ok(None);
        }
        let secret = Secret::new(entry.secret.clone());
        Ok(Some(match entry.username.as_ref() {
            TOKEN_USER => Credential::Identity(secret),
            username => Credential::Basic { username: username.to_owned(), password: secret },
        }))
    }

    /// Keeps credentials for a server.
    pub fn store(&self, server: &str, credential: &Credential) -> Result<()> {
        let (username, secret) = match credential {
            Credential::Basic { username, password } => (username.as_str(), password),
            Credential::Identity(token) | Credential::Bearer(token) => (TOKEN_USER, token),
        };
        let entry = Entry { server_url: server.into(), username: username.into(), secret: secret.expose().into() };
        let text = Zeroizing::new(serde_json::to_vec(&entry).map_err(|e| self.failed(Trouble::Said(e.to_string())))?);
        self.run("store", &text).map(drop).map_err(|t| self.failed(t))
    }

    /// Forgets the credentials for a server; having none is no error.
    pub fn erase(&self, server: &str) -> Result<()> {
        match self.run("erase", server.as_bytes()) {
            Ok(_) => Ok(()),
            Err(Trouble::Said(words)) if words.to_ascii_lowercase().contains(NOT_FOUND) => Ok(()),
            Err(trouble) => Err(self.failed(trouble)),
        }
    }

    fn run(&self, verb: &str, input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        let file = format!("docker-credential-{}", self.name);
        let program = self.dir.map_or_else(|| file.clone().into(), |dir| dir.join(&file));
        let mut child = Command::new(program)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Trouble::Io)?;
        let write = match child.stdin.take() {
            // A helper that does not read says why in its answer.
            Some(mut stdin) => stdin.write_all(input).and_then(|()| stdin.write_all(b"\n")),
            None => Ok(()),
        };
        let mut answer = Zeroizing::new(Vec::new());
        let read = match child.stdout.take() {
            Some(stdout) => stdout.take(MAX_ANSWER_BYTES).read_to_end(&mut answer),
            None => Ok(0),
        };
        let status = child.wait().map_err(Trouble::Io)?;
        read.map_err(Trouble::Io)?;
        if !status.success() {
            let words = printable(&String::from_utf8_lossy(&answer));
            return Err(Trouble::Said(if words.is_empty() { format!("it failed ({status})") } else { words }));
        }
        write.map_err(Trouble::Io)?;
        Ok(answer)
    }

    fn failed(&self, trouble: Trouble) -> RegistryError {
        let what = format!("helper `docker-credential-{}`", self.name);
        let reason = match trouble {
            Trouble::Io(e) if e.kind() == std::io::ErrorKind::NotFound => {
                "it is not on the PATH; install it, or take it out of docker's config.json (credsStore, credHelpers)"
                    .to_owned()
            }
            Trouble::Io(e) => e.to_string(),
            Trouble::Said(words) => words,
        };
        RegistryError::Credentials { what, reason }
    }
}

enum Trouble {
    Io(std::io::Error),
    Said(String),
}
