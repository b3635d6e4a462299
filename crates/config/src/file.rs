//! The file format of `stockade.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use crate::nearest::nearest;

/// Largest configuration file that is read, in bytes: far above any real one, low enough to be parsed at once.
const MAX_BYTES: u64 = 1 << 20;

/// What can be wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file exists but cannot be read, or was asked for and does not exist.
    #[error("cannot read configuration `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path}:{line}:{column}: {message}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// 1-based, in characters.
        column: usize,
        /// What is wrong, in one line.
        message: String,
    },
    /// An environment variable has a value that it cannot have.
    #[error("environment variable {name} is `{value}`: expected {expected}")]
    Environment {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
}

/// The file as written. Every table and key is optional; unknown ones are errors.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    pub base: BTreeMap<String, String>,
    pub mirror: MirrorTable,
    pub registry: Vec<Registry>,
    pub gate: Option<GateTable>,
    pub network: Option<NetworkTable>,
    pub db: Option<DbTable>,
    pub image: Option<ImageTable>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct ImageTable {
    pub verify: Option<VerifyMode>,
}

/// How the layers of an image are verified before a container starts from them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerifyMode {
    /// They are taken as they are.
    #[default]
    Off,
    /// By their seals: a layer that was changed on disk since it was last compared is compared again.
    Seal,
    /// Every byte, at every start.
    Content,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct DbTable {
    pub sources: Option<Vec<String>>,
    pub keys: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct MirrorTable {
    pub debian: Option<String>,
    pub debian_security: Option<String>,
    pub ubuntu: Option<String>,
    pub keyring: Option<PathBuf>,
}

/// One `[[registry]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Registry {
    /// Host and optional port: `registry.example:5000`.
    pub host: String,
    /// Other hosts that serve the same content, tried first.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// Speak plain HTTP.
    #[serde(default)]
    pub insecure: bool,
    /// PEM file with the certificate authority of this registry.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Short names (`debian`) are looked up here.
    #[serde(default)]
    pub search: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct GateTable {
    pub mode: Option<GateMode>,
    #[serde(deserialize_with = "severity")]
    pub severity: Option<String>,
    pub fixable: Option<bool>,
    pub known_exploited: Option<bool>,
    pub unknown: Option<UnknownMode>,
    pub grace_days: Option<u32>,
    pub facts_days: Option<u32>,
    pub end_of_life: Option<bool>,
    pub deny_packages: Vec<String>,
    pub deny_licenses: Vec<String>,
    pub checks: Vec<String>,
    pub exception: Vec<GateException>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct NetworkTable {
    pub bridge: Option<String>,
    pub subnet: Option<String>,
    pub dns: Option<Vec<String>>,
}

fn severity<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if ["low", "medium", "high", "critical"].contains(&text.as_str()) {
        Ok(Some(text))
    } else {
        Err(serde::de::Error::custom(format!("severity `{text}` is none of low, medium, high, critical")))
    }
}

/// What findings over the gate do to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateMode {
    /// Images are not scanned before a run.
    Off,
    /// One line on stderr; the container runs.
    Warn,
    /// Exit code 3; the container does not run.
    Deny,
}

impl FromStr for GateMode {
    type Err = ();

    fn from_str(text: &str) -> Result<GateMode, ()> {
        match text {
            "off" => Ok(GateMode::Off),
            "warn" => Ok(GateMode::Warn),
            "deny" => Ok(GateMode::Deny),
            _ => Err(()),
        }
    }
}

/// What it means to the gate that something could not be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownMode {
    /// Nothing.
    Allow,
    /// One line on stderr.
    Warn,
    /// Exit code 4; the container does not run.
    Deny,
}

/// One `[[gate.exception]]`: a finding that does not count.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateException {
    /// Exactly one advisory id or alias, or the name of an audit check of images.
    pub id: String,
    /// Why it does not count. Must not be empty.
    #[serde(deserialize_with = "reason")]
    pub reason: String,
    /// Last day on which the exception holds, `YYYY-MM-DD`.
    #[serde(default, deserialize_with = "day")]
    pub until: Option<String>,
}

fn reason<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Err(serde::de::Error::custom("an exception needs a reason"));
    }
    Ok(text)
}

/// Accepts a TOML date (`2027-01-31`) or the same as a string.
fn day<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = toml::Value::deserialize(deserializer)?;
    let text = match value {
        toml::Value::Datetime(d) => d.to_string(),
        toml::Value::String(s) => s,
        _ => String::new(),
    };
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    if shape { Ok(Some(text)) } else { Err(serde::de::Error::custom("`until` must be a day such as 2027-01-31")) }
}

/// Reads the rules of a gate: a whole configuration with `[gate]`, or its keys alone.
pub(crate) fn read_gate(path: &Path) -> Result<GateTable, ConfigError> {
    let text = text_of(path, true)?.unwrap_or_default();
    let has_header = text.parse::<toml::Table>().is_ok_and(|t| t.contains_key("gate"));
    if has_header {
        return Ok(parse(path, &text)?.gate.unwrap_or_default());
    }
    parse_as(path, &text)
}

/// Reads and parses `path`. `None` where it does not exist and need not.
pub(crate) fn read(path: &Path, must_exist: bool) -> Result<Option<File>, ConfigError> {
    text_of(path, must_exist)?.map(|text| parse(path, &text)).transpose()
}

fn text_of(path: &Path, must_exist: bool) -> Result<Option<String>, ConfigError> {
    use std::io::Read as _;
    let read_error = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && !must_exist => return Ok(None),
        Err(e) => return Err(read_error(e)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(read_error)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(read_error(std::io::Error::other(format!("larger than {MAX_BYTES} bytes"))));
    }
    String::from_utf8(bytes).map(Some).map_err(|e| {
        let valid = e.utf8_error().valid_up_to();
        let (line, column) = place(&String::from_utf8_lossy(e.as_bytes().get(..valid).unwrap_or_default()), valid);
        ConfigError::Invalid { path: path.to_owned(), line, column, message: "not UTF-8 text".to_owned() }
    })
}

pub(crate) fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    parse_as(path, text)
}

fn parse_as<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|e| {
        let (line, column) = place(text, e.span().map_or(0, |s| s.start));
        ConfigError::Invalid { path: path.to_owned(), line, column, message: explain(e.message()) }
    })
}

/// 1-based line and column of a byte offset.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before.get(line_start..).map_or(0, |s| s.chars().count()) + 1)
}

/// One line, with the nearest known key where an unknown one was used.
fn explain(message: &str) -> String {
    let message = message.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("; ");
    let mut quoted = message.split('`').skip(1).step_by(2);
    if (message.starts_with("unknown field") || message.starts_with("unknown variant"))
        && let Some(given) = quoted.next()
        && let Some(near) = nearest(given, quoted)
    {
        return format!("{message}; did you mean `{near}`?");
    }
    message
}
