//! Which base image a name like `debian:bookworm-slim` asks for.

use std::fmt;

use crate::BaseError;
use crate::suites::{self, SUITES, Suite};

/// A distribution whose archive we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Distro {
    /// Debian.
    Debian,
    /// Ubuntu.
    Ubuntu,
}

impl Distro {
    /// Lower-case identifier, as in `/etc/os-release`'s `ID`.
    pub fn id(self) -> &'static str {
        match self {
            Distro::Debian => "debian",
            Distro::Ubuntu => "ubuntu",
        }
    }

    /// The name that people write, and the signed Release's `Origin`.
    pub fn title(self) -> &'static str {
        match self {
            Distro::Debian => "Debian",
            Distro::Ubuntu => "Ubuntu",
        }
    }
}

impl fmt::Display for Distro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

/// One of our minimal images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// For programs that need no library: certificates, time zones, users.
    Static,
    /// And for those that need glibc and OpenSSL.
    Base,
    /// And busybox with its shell.
    Debug,
}

impl Flavour {
    /// All of them.
    pub const ALL: [Flavour; 3] = [Flavour::Static, Flavour::Base, Flavour::Debug];

    /// The image's name without a tag.
    pub fn repository(self) -> &'static str {
        match self {
            Flavour::Static => "stockade/static",
            Flavour::Base => "stockade/base",
            Flavour::Debug => "stockade/debug",
        }
    }
}

/// A base image that can be made from an archive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BaseName {
    /// The distribution.
    pub distro: Distro,
    /// Code name of the suite ("bookworm").
    pub suite: String,
    /// Release version ("12", "24.04"), `None` for sid.
    pub version: Option<String>,
    /// The exact point release that was asked for ("12.5"); the archive must be at it.
    pub point_release: Option<String>,
    /// A day in the form `YYYYMMDD` (as in `debian:bookworm-20250520`): the state of the archive on that day, from the
    /// distribution's snapshot service.
    pub snapshot: Option<String>,
    /// Without documentation, manual pages and translations.
    pub slim: bool,
    /// One of our minimal images, made of the distribution's packages, instead of the distribution's own.
    pub flavour: Option<Flavour>,
}

impl BaseName {
    /// Understands an image name. `Ok(None)`: the name is of something else (another repository, a digest, another
    /// registry than Docker's). `Err`: it is Debian or Ubuntu, but no suite that we know.
    pub fn parse(name: &str) -> Result<Option<BaseName>, BaseError> {
        if name.contains('@') {
            return Ok(None);
        }
        let familiar = ["docker.io/library/", "index.docker.io/library/", "docker.io/", "library/"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(name);
        let (repository, tag) = familiar.split_once(':').unwrap_or((familiar, ""));
        let flavour = Flavour::ALL.into_iter().find(|flavour| flavour.repository() == repository);
        let distro = match repository {
            "debian" => Distro::Debian,
            "ubuntu" => Distro::Ubuntu,
            _ if flavour.is_some() => Distro::Debian,
            _ => return Ok(None),
        };
        // A minimal image has no variant with documentation: `-slim` would be a second name for it.
        if (tag.is_empty() && familiar.ends_with(':')) || (flavour.is_some() && tag.ends_with("slim")) {
            return Err(unknown(name, distro));
        }
        let parsed = parse_tag(distro, tag).ok_or_else(|| unknown(name, distro))?;
        Ok(Some(BaseName { slim: parsed.slim || flavour.is_some(), flavour, ..parsed }))
    }

    /// The facts about this suite. Always there for a parsed name.
    pub fn facts(&self) -> Option<&'static Suite> {
        suites::find(self.distro, &self.suite)
    }

    /// The name with everything spelled out, which is the same for all spellings of one image: `debian:bookworm-slim`.
    pub fn canonical(&self) -> String {
        let repository = self.flavour.map_or(self.distro.id(), Flavour::repository);
        let mut out = format!("{repository}:{}", self.point_release.as_deref().unwrap_or(&self.suite));
        if let Some(day) = &self.snapshot {
            out = format!("{out}-{day}");
        }
        if self.slim && self.flavour.is_none() {
            out.push_str("-slim");
        }
        out
    }
}

impl fmt::Display for BaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

fn parse_tag(distro: Distro, tag: &str) -> Option<BaseName> {
    let (tag, slim) = match (distro, tag) {
        (Distro::Debian, "slim") => ("", true),
        (Distro::Debian, "-slim") => return None,
        (Distro::Debian, t) => t.strip_suffix("-slim").map_or((t, false), |t| (t, true)),
        (Distro::Ubuntu, t) => (t, false),
    };
    let (tag, snapshot) = match tag.rsplit_once('-') {
        Some((suite, day)) if day.len() == 8 && day.bytes().all(|b| b.is_ascii_digit()) && !suite.is_empty() => {
            (suite, Some(day.to_owned()))
        }
        _ => (tag, None),
    };
    let (facts, point_release) = match suites::find(distro, tag) {
        Some(facts) => (facts, None),
        None => (find_point_release(distro, tag)?, Some(tag.to_owned())),
    };
    Some(BaseName {
        distro,
        suite: facts.codename.to_owned(),
        version: (!facts.version.is_empty()).then(|| facts.version.to_owned()),
        point_release,
        snapshot,
        slim,
        flavour: None,
    })
}

/// `12.5` is a point release of `12`. Ubuntu's (24.04.1) never change what the archive offers, so they are no names here.
fn find_point_release(distro: Distro, tag: &str) -> Option<&'static Suite> {
    if distro != Distro::Debian {
        return None;
    }
    let (major, minor) = tag.split_once('.')?;
    let plain = !minor.is_empty() && minor.len() <= 2 && minor.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| SUITES.iter().find(|s| s.distro == distro && !s.version.is_empty() && s.version == major))?
}

fn unknown(name: &str, distro: Distro) -> BaseError {
    let known = SUITES.iter().filter(|s| s.distro == distro).map(|s| match s.version {
        "" => s.codename.to_owned(),
        version => format!("{} ({version})", s.codename),
    });
    BaseError::UnknownSuite {
        name: name.to_owned(),
        distro: distro.title(),
        known: known.collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(name: &str) -> String {
        BaseName::parse(name).unwrap().unwrap().canonical()
    }

    #[test]
    fn every_spelling_of_a_suite_means_the_same_image() {
        for name in ["debian:bookworm", "debian:12", "debian:oldstable", "docker.io/library/debian:bookworm"] {
            assert_eq!(canonical(name), "debian:bookworm");
        }
        for name in ["debian", "debian:latest", "debian:stable", "debian:13", "library/debian"] {
            assert_eq!(canonical(name), "debian:trixie");
        }
        assert_eq!(canonical("debian:12-slim"), "debian:bookworm-slim");
        assert_eq!(canonical("debian:stable-slim"), "debian:trixie-slim");
        assert_eq!(canonical("debian:unstable"), "debian:sid");
        assert_eq!(canonical("ubuntu:24.04"), "ubuntu:noble");
        assert_eq!(canonical("ubuntu"), canonical("ubuntu:latest"));
    }

    #[test]
    fn a_point_release_and_a_day_are_kept() {
        let point = BaseName::parse("debian:12.5-slim").unwrap().unwrap();
        assert_eq!(
            (point.suite.as_str(), point.point_release.as_deref(), point.slim),
            ("bookworm", Some("12.5"), true)
        );
        let day = BaseName::parse("debian:bookworm-20250520-slim").unwrap().unwrap();
        assert_eq!(day.snapshot.as_deref(), Some("20250520"));
        assert_eq!(day.canonical(), "debian:bookworm-20250520-slim");
    }

    #[test]
    fn minimal_images_are_named_by_their_suite() {
        assert_eq!(canonical("stockade/static"), "stockade/static:trixie");
        assert_eq!(canonical("docker.io/stockade/base:12"), "stockade/base:bookworm");
        assert_eq!(canonical("stockade/debug:bookworm-20250520"), "stockade/debug:bookworm-20250520");
        assert!(BaseName::parse("stockade/base:bookworm-slim").is_err());
        assert_eq!(BaseName::parse("stockade/other").unwrap(), None);
    }

    #[test]
    fn other_images_are_not_ours() {
        for name in ["alpine", "nginx:latest", "quay.io/debian", "me/debian", "debian@sha256:00", "debianx:12"] {
            assert_eq!(BaseName::parse(name).unwrap(), None, "{name}");
        }
    }

    #[test]
    fn an_unknown_suite_is_an_error_that_lists_the_known() {
        let error = BaseName::parse("debian:potato").unwrap_err().to_string();
        assert!(error.contains("potato") && error.contains("bookworm (12)"), "{error}");
        for bad in ["debian:", "debian:12.", "debian:12.x", "ubuntu:24.04-slim", "ubuntu:slim", "debian:-slim-slim"] {
            assert!(BaseName::parse(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_canonical_name_parses_to_itself(tag in "[a-z0-9.-]{0,20}") {
            if let Ok(Some(name)) = BaseName::parse(&format!("debian:{tag}")) {
                proptest::prop_assert_eq!(BaseName::parse(&name.canonical()).unwrap(), Some(name));
            }
        }
    }
}
