//! Packages indexes: which packages an archive offers.

use std::collections::HashMap;

use crate::control::{Stanza, stanzas};
use crate::error::BaseError;
use crate::release::is_sha256;
use crate::version;

/// One package that can be downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture as in the index ("amd64" or "all").
    pub architecture: String,
    /// Essential, or so required that dpkg protects it.
    pub essential: bool,
    /// `Priority`.
    pub priority: String,
    /// `Pre-Depends` and `Depends`, each parsed.
    pub depends: Vec<Dependency>,
    /// `Provides`: name and, if it is given, version.
    pub provides: Vec<(String, Option<String>)>,
    /// Address of the archive it comes from, without trailing slash.
    pub archive: String,
    /// Path below the archive.
    pub filename: String,
    /// In bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
}

/// One group of alternatives of a `Depends` field: any one is enough.
pub type Dependency = Vec<Alternative>;

/// A package name with an optional version condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// The name, without architecture qualifier.
    pub name: String,
    /// Relation and version.
    pub condition: Option<(String, String)>,
}

impl std::fmt::Display for Alternative {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.condition {
            Some((relation, version)) => write!(f, "{} ({relation} {version})", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// All packages on offer, the highest version of each; stanzas are parsed only when asked for.
///
/// A main archive lists sixty thousand packages of which a base image takes a hundred: reading each name and keeping
/// the rest as text is ten times as fast as parsing all of them.
#[derive(Debug, Default)]
pub struct Offer {
    texts: Vec<(String, String)>,
    by_name: HashMap<String, Vec<(usize, std::ops::Range<usize>)>>,
    /// Virtual name to names of packages that provide it.
    providers: HashMap<String, Vec<String>>,
    /// Names of packages that are essential or of priority `required`.
    pub required: Vec<String>,
}

impl Offer {
    /// Adds an index that was verified. `archive` is the address that its file names are below.
    ///
    /// # Errors
    /// [`BaseError::Malformed`] for a stanza without a package name.
    pub fn add(&mut self, text: String, archive: &str, what: &str) -> Result<(), BaseError> {
        let index = self.texts.len();
        let start = text.as_ptr() as usize;
        for stanza in stanzas(&text) {
            let Some(name) = quick_field(stanza, "Package: ") else {
                let cause = "a stanza does not begin with a package name".to_owned();
                return Err(BaseError::Malformed { what: what.to_owned(), cause });
            };
            let from = stanza.as_ptr() as usize - start;
            self.by_name.entry(name.to_owned()).or_default().push((index, from..from + stanza.len()));
            if is_required(stanza) && !self.required.iter().any(|r| r == name) {
                self.required.push(name.to_owned());
            }
            if let Some(provides) = quick_field(stanza, "Provides: ") {
                for (virtual_name, _) in parse_provides(provides) {
                    let providers = self.providers.entry(virtual_name).or_default();
                    if !providers.iter().any(|p| p == name) {
                        providers.push(name.to_owned());
                    }
                }
            }
        }
        self.texts.push((text, archive.to_owned()));
        Ok(())
    }

    /// The highest version of `name` on offer.
    ///
    /// # Errors
    /// [`BaseError::Malformed`] when its stanza lacks what a download needs.
    pub fn best(&self, name: &str) -> Result<Option<Candidate>, BaseError> {
        let mut best: Option<Candidate> = None;
        for (index, range) in self.by_name.get(name).map(Vec::as_slice).unwrap_or_default() {
            let Some((text, archive)) = self.texts.get(*index) else { continue };
            let candidate = parse_candidate(text.get(range.clone()).unwrap_or(""), archive)?;
            if best.as_ref().is_none_or(|b| version::compare(&candidate.version, &b.version).is_gt()) {
                best = Some(candidate);
            }
        }
        Ok(best)
    }

    /// Packages that provide a virtual name, in the order of the indexes.
    pub fn providers(&self, name: &str) -> &[String] {
        self.providers.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The value of a one-line field, found by text search. `key` includes the colon and the space.
fn quick_field<'a>(stanza: &'a str, key: &str) -> Option<&'a str> {
    let from = if stanza.starts_with(key) { key.len() } else { stanza.find(&format!("\n{key}"))? + 1 + key.len() };
    stanza.get(from..)?.lines().next().map(str::trim)
}

fn is_required(stanza: &str) -> bool {
    stanza.contains("\nPriority: required\n")
        || stanza.contains("\nEssential: yes\n")
        || stanza.ends_with("\nPriority: required")
        || stanza.ends_with("\nEssential: yes")
}

fn parse_candidate(text: &str, archive: &str) -> Result<Candidate, BaseError> {
    let name = quick_field(text, "Package: ").unwrap_or("?");
    let bad = |cause: String| BaseError::Malformed { what: format!("the index entry of {name}"), cause };
    let stanza = Stanza::parse(text).map_err(bad)?;
    let need = |field: &str| stanza.get(field).ok_or_else(|| bad(format!("it has no `{field}`")));
    let filename = need("Filename")?;
    let plain = !filename.starts_with('/')
        && filename.split('/').all(|p| !p.is_empty() && p != "." && p != "..")
        && filename.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\'));
    if !plain {
        return Err(bad(format!("its file name `{filename}` is no plain path")));
    }
    let sha256 = need("SHA256")?.to_ascii_lowercase();
    if !is_sha256(&sha256) {
        return Err(bad("its SHA256 is none".into()));
    }
    if !is_package_name(name) {
        return Err(bad("its name is no package name".into()));
    }
    let mut depends = parse_depends(stanza.get("Pre-Depends").unwrap_or(""));
    depends.extend(parse_depends(stanza.get("Depends").unwrap_or("")));
    Ok(Candidate {
        name: name.to_owned(),
        version: need("Version")?.to_owned(),
        architecture: need("Architecture")?.to_owned(),
        essential: stanza.get("Essential") == Some("yes"),
        priority: stanza.get("Priority").unwrap_or("optional").to_owned(),
        depends,
        provides: parse_provides(stanza.get("Provides").unwrap_or("")),
        archive: archive.to_owned(),
        filename: filename.to_owned(),
        size: need("Size")?.parse().map_err(|_| bad("its size is no number".into()))?,
        sha256,
    })
}

/// Policy §5.6.1: at least two of `a-z0-9+-.`, the first alphanumeric. So a name is always a safe file name.
pub(crate) fn is_package_name(name: &str) -> bool {
    name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.'))
}

/// Parses a relationship field (policy §7.1): groups by comma, alternatives by bar.
pub(crate) fn parse_depends(text: &str) -> Vec<Dependency> {
    text.split(',')
        .map(|group| group.split('|').filter_map(parse_alternative).collect::<Dependency>())
        .filter(|group| !group.is_empty())
        .collect()
}

fn parse_alternative(text: &str) -> Option<Alternative> {
    let text = text.trim();
    // Architecture lists and build profiles do not occur in binary packages; an architecture qualifier does.
    let (name, rest) = text.split_at(text.find([' ', '(', '[', '\n', '\t']).unwrap_or(text.len()));
    let name = name.split(':').next().filter(|n| !n.is_empty())?;
    let condition = rest.split_once('(').and_then(|(_, c)| c.split_once(')')).and_then(|(c, _)| {
        let c = c.trim();
        let (relation, version) = c.split_at(c.find(|x| !matches!(x, '<' | '=' | '>'))?);
        Some((relation.to_owned(), version.trim().to_owned()))
    });
    Some(Alternative { name: name.to_owned(), condition })
}

fn parse_provides(text: &str) -> Vec<(String, Option<String>)> {
    let alternatives = parse_depends(text).into_iter().flatten();
    alternatives.map(|a| (a.name, a.condition.map(|(_, version)| version))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn entry(name: &str, version: &str, more: &str) -> String {
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{more}Filename: pool/{name}.deb\nSize: 1\n\
             SHA256: {}\n",
            "0".repeat(64)
        )
    }

    #[test]
    fn the_highest_version_of_all_indexes_is_offered() {
        let mut offer = Offer::default();
        offer.add(entry("aa", "1.0-1", "Priority: required\n") + "\n" + &entry("bb", "1", ""), "main", "m").unwrap();
        offer.add(entry("aa", "1.0-1+deb12u1", "Priority: required\n"), "security", "s").unwrap();
        let best = offer.best("aa").unwrap().unwrap();
        assert_eq!((best.version.as_str(), best.archive.as_str()), ("1.0-1+deb12u1", "security"));
        assert_eq!(offer.required, ["aa"]);
        assert_eq!(offer.best("cc").unwrap(), None);
    }

    #[test]
    fn a_path_that_climbs_is_refused() {
        let mut offer = Offer::default();
        offer.add(entry("aa", "1", "").replace("pool/aa.deb", "../../x.deb"), "main", "m").unwrap();
        assert!(offer.best("aa").is_err());
    }

    #[test]
    fn dependencies() {
        let parsed = parse_depends("libc6 (>= 2.34), usrmerge | usr-is-merged,\n perl:any (<<5)");
        assert_eq!(parsed.len(), 3);
        assert_eq!(parsed[0][0].to_string(), "libc6 (>= 2.34)");
        assert_eq!(parsed[1].len(), 2);
        assert_eq!(parsed[2][0].to_string(), "perl (<< 5)");
        assert_eq!(parse_provides("awk, x (= 1.0)"), [("awk".into(), None), ("x".into(), Some("1.0".into()))]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_parses_or_fails_but_never_panics(text: String) {
            let mut offer = Offer::default();
            let _ = offer.add(format!("Package: xx\n{text}"), "a", "w");
            let _ = offer.best("xx");
            let _ = parse_depends(&text);
        }
    }
}
