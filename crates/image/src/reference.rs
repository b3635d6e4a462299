//! Image names as docker writes them.
//!
//! The grammar is docker's: `[REGISTRY[:PORT]/]PATH[:TAG][@DIGEST]`. The first component is a registry when it holds
//! a `.` or a `:`, is `localhost`, or has an upper-case letter; otherwise the name belongs to docker.io, where a name
//! of one component stands for `library/NAME`.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
use crate::error::ImageError;

/// The registry that names without one belong to.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The tag that names without one mean.
pub const DEFAULT_TAG: &str = "latest";
/// Longest name without tag and digest, in bytes (docker's limit; registries refuse longer ones).
pub const MAX_NAME_BYTES: usize = 255;
/// Longest tag, in bytes (OCI distribution-spec).
pub const MAX_TAG_BYTES: usize = 128;

/// A parsed image name. Two names that mean the same image are equal: `docker.io/library/debian` is `debian`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Registry host with its port, if it is not docker.io.
    pub registry: Option<String>,
    /// Path in its familiar form: `debian`, `someone/thing`, never `library/debian` for docker.io.
    pub repository: String,
    /// Tag, if one was written.
    pub tag: Option<String>,
    /// Digest of a manifest, if one was written.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Parses a name as people write it. Errors say which part is wrong.
    pub fn parse(text: &str) -> Result<Reference, ImageError> {
        parse(text).map_err(|reason| ImageError::InvalidReference { text: text.chars().take(300).collect(), reason })
    }

    /// The registry's host (and port): `docker.io` where none was written.
    pub fn domain(&self) -> &str {
        self.registry.as_deref().unwrap_or(DEFAULT_REGISTRY)
    }

    /// The path that the registry knows: `library/debian` for `debian`.
    pub fn path(&self) -> String {
        if self.registry.is_none() && !self.repository.contains('/') {
            format!("library/{}", self.repository)
        } else {
            self.repository.clone()
        }
    }

    /// The familiar name without tag and digest: `debian`, `localhost:5000/a/b`.
    pub fn name(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            // `docker.io/a.b/c` must not read as registry `a.b`.
            None if split_registry(&self.repository).0.is_some() => format!("{DEFAULT_REGISTRY}/{}", self.repository),
            None => self.repository.clone(),
        }
    }

    /// The full name, with registry, `library/` and a tag or digest: `docker.io/library/debian:bookworm`.
    /// A name without tag and digest gets `:latest`.
    pub fn canonical(&self) -> String {
        let mut text = format!("{}/{}", self.domain(), self.path());
        let named = self.clone().or_latest();
        push_suffix(&mut text, named.tag.as_deref(), named.digest.as_ref());
        text
    }

    /// The same name, with the tag `latest` if it has neither tag nor digest.
    pub fn or_latest(mut self) -> Reference {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// Whether both are in the same repository, whatever their tags.
    pub fn same_repository(&self, other: &Reference) -> bool {
        self.registry == other.registry && self.repository == other.repository
    }
}

/// The familiar form, as docker prints it: `debian:bookworm`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.name();
        push_suffix(&mut text, self.tag.as_deref(), self.digest.as_ref());
        f.write_str(&text)
    }
}

impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Reference, ImageError> {
        Reference::parse(text)
    }
}

impl serde::Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn push_suffix(text: &mut String, tag: Option<&str>, digest: Option<&Digest>) {
    if let Some(tag) = tag {
        text.push(':');
        text.push_str(tag);
    }
    if let Some(digest) = digest {
        text.push('@');
        text.push_str(&digest.to_string());
    }
}

fn parse(text: &str) -> Result<Reference, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|e| e.to_string())?)),
        None => (text, None),
    };
    let (rest, tag) = split_tag(rest);
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    if rest.is_empty() {
        return Err("the part before the tag is empty".to_owned());
    }
    if rest.len() > MAX_NAME_BYTES {
        return Err(format!("it is longer than {MAX_NAME_BYTES} characters"));
    }
    let (registry, path) = split_registry(rest);
    if let Some(registry) = registry {
        check_registry(registry)?;
    }
    check_path(path)?;
    if registry.is_none() && path.len() == 64 && path.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("64 hex digits are an image id, not a name".to_owned());
    }
    let registry = registry.filter(|r| *r != DEFAULT_REGISTRY && *r != "index.docker.io").map(str::to_owned);
    let path = if registry.is_none() { strip_library(path) } else { path };
    Ok(Reference { registry, repository: path.to_owned(), tag: tag.map(str::to_owned), digest })
}

/// `library/debian` → `debian`; other names stay.
fn strip_library(path: &str) -> &str {
    path.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(path)
}

/// A colon after the last slash begins the tag; one before it belongs to a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rfind(':') {
        Some(colon) if !text[colon..].contains('/') => (&text[..colon], Some(&text[colon + 1..])),
        _ => (text, None),
    }
}

fn split_registry(text: &str) -> (Option<&str>, &str) {
    match text.split_once('/') {
        Some((first, rest))
            if first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (Some(first), rest)
        }
        _ => (None, text),
    }
}

fn check_tag(tag: &str) -> Result<(), String> {
    if tag.is_empty() {
        return Err("the tag after `:` is empty".to_owned());
    }
    if tag.len() > MAX_TAG_BYTES {
        return Err(format!("its tag is longer than {MAX_TAG_BYTES} characters"));
    }
    if tag.starts_with(['.', '-']) {
        return Err(format!("the tag `{tag}` must begin with a letter, a digit or `_`"));
    }
    match tag.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))) {
        Some(bad) => Err(format!("the tag `{tag}` holds {bad:?}: letters, digits, `_`, `.` and `-` are allowed")),
        None => Ok(()),
    }
}

fn check_registry(registry: &str) -> Result<(), String> {
    let (host, port) = split_port(registry)?;
    if let Some(port) = port
        && (port.is_empty() || port.parse::<u16>().is_err() || !port.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err(format!("the registry's port `{port}` is not a number up to 65535"));
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return inner
            .parse::<std::net::Ipv6Addr>()
            .map(|_| ())
            .map_err(|_| format!("the registry `{registry}` is not an IPv6 address"));
    }
    for label in host.split('.') {
        let good = !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !good {
            return Err(format!("the registry `{registry}` is not a host name"));
        }
    }
    Ok(())
}

fn split_port(registry: &str) -> Result<(&str, Option<&str>), String> {
    if registry.starts_with('[') {
        let end = registry.find(']').ok_or_else(|| format!("the registry `{registry}` lacks a `]`"))?;
        let (host, rest) = registry.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("the registry `{registry}` has text after `]`")),
        };
    }
    Ok(match registry.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (registry, None),
    })
}

fn check_path(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err("there is no name after the registry".to_owned());
    }
    path.split('/').try_for_each(check_component)
}

/// Runs of lower-case letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn check_component(component: &str) -> Result<(), String> {
    if component.is_empty() {
        return Err("it has an empty part between slashes".to_owned());
    }
    if component.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(format!("`{component}` has upper-case letters: names are lower-case"));
    }
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if let Some(bad) = component.chars().find(|c| !word(*c) && !matches!(c, '.' | '_' | '-')) {
        return Err(format!(
            "`{component}` holds {bad:?}: lower-case letters, digits and the separators `.`, `_`, `-` are allowed"
        ));
    }
    if !component.starts_with(word) || !component.ends_with(word) {
        return Err(format!("`{component}` must begin and end with a lower-case letter or digit"));
    }
    for separator in component.split(word).filter(|s| !s.is_empty()) {
        let good = matches!(separator, "." | "_" | "__") || separator.bytes().all(|b| b == b'-');
        if !good {
            return Err(format!("`{component}` joins its parts by `{separator}`: use one `.`, `_`, `__` or dashes"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[track_caller]
    fn forms(text: &str, familiar: &str, canonical: &str) {
        let r: Reference = text.parse().unwrap();
        assert_eq!(r.to_string(), familiar, "{text}");
        assert_eq!(r.canonical(), canonical, "{text}");
        assert_eq!(r.canonical().parse::<Reference>().unwrap(), r.or_latest(), "{text}");
    }

    #[test]
    fn familiar_and_canonical_forms() {
        forms("debian", "debian", "docker.io/library/debian:latest");
        forms("debian:bookworm", "debian:bookworm", "docker.io/library/debian:bookworm");
        forms("docker.io/library/debian", "debian", "docker.io/library/debian:latest");
        forms("index.docker.io/library/debian", "debian", "docker.io/library/debian:latest");
        forms("library/debian", "debian", "docker.io/library/debian:latest");
        forms("library/a/b", "library/a/b", "docker.io/library/a/b:latest");
        forms("someone/thing:1", "someone/thing:1", "docker.io/someone/thing:1");
        forms("localhost/a", "localhost/a", "localhost/a:latest");
        forms("localhost:5000/a:b", "localhost:5000/a:b", "localhost:5000/a:b");
        forms("ghcr.io/a/b-c__d.e", "ghcr.io/a/b-c__d.e", "ghcr.io/a/b-c__d.e:latest");
        forms("Host/a", "Host/a", "Host/a:latest");
        forms("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a:latest");
        forms("docker.io/a.b/c", "docker.io/a.b/c", "docker.io/a.b/c:latest");
        forms("a--b", "a--b", "docker.io/library/a--b:latest");
        let pinned = format!("debian:12@sha256:{HEX}");
        forms(&pinned, &pinned, &format!("docker.io/library/{pinned}"));
        let digest_only = format!("debian@sha256:{HEX}");
        forms(&digest_only, &digest_only, &format!("docker.io/library/{digest_only}"));
    }

    #[test]
    fn errors_name_the_wrong_part() {
        for (text, part) in [
            ("", "empty"),
            ("Debian", "upper-case"),
            ("a b", "' '"),
            ("a:", "tag after"),
            ("a:-x", "begin with"),
            ("a:x!", "'!'"),
            (":x", "before the tag"),
            ("a//b", "empty part"),
            ("a/", "empty part"),
            ("-a", "begin and end"),
            ("a___b", "___"),
            ("a._b", "._"),
            ("ghcr.io/", "no name after"),
            ("host:99999/a", "65535"),
            ("host:/a", "port"),
            ("-x.y/a", "host name"),
            ("a..b/c", "host name"),
            ("a@sha256:12", "digest"),
            ("a@md5:12", "digest"),
            ("[::1/a", "`]`"),
            ("[zz]:1/a", "IPv6"),
            (HEX, "image id"),
            ("./Dockerfile", "host name"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!("a".repeat(256).parse::<Reference>().unwrap_err().to_string().contains("255"));
        assert!(format!("a:{}", "t".repeat(129)).parse::<Reference>().unwrap_err().to_string().contains("128"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_parses_or_fails_but_never_panics(text: String) {
            let _ = Reference::parse(&text);
        }

        #[test]
        fn what_parses_survives_a_round_trip(text in "([a-zA-Z0-9.:\\[\\]-]{1,12}/)?[a-z0-9._/-]{1,20}(:[a-zA-Z0-9._-]{1,8})?") {
            if let Ok(r) = Reference::parse(&text) {
                proptest::prop_assert_eq!(&Reference::parse(&r.to_string()).unwrap(), &r);
                proptest::prop_assert_eq!(Reference::parse(&r.canonical()).unwrap(), r.or_latest());
            }
        }
    }
}
