//! Version orders. Each ecosystem has its own idea of "newer"; each idea is one file.
//!
//! An order that cannot read a version says so ([`Unparsable`]): a guess would turn into a wrong answer about safety.

mod apk;
mod composer;
mod cran;
mod debian;
mod go;
mod hex;
mod maven;
mod nuget;
mod pacman;
mod pep440;
mod pubdart;
mod rpm;
mod rubygems;
mod semver;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

/// A version that its ecosystem's order cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{version}` is not a {order} version")]
pub struct Unparsable {
    /// The version as written.
    pub version: String,
    /// The order that was asked.
    pub order: &'static str,
}

/// The order of versions in an ecosystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// deb-version(7).
    Debian,
    /// rpm-version(7).
    Rpm,
    /// apk-tools 3.
    Apk,
    /// Arch Linux's vercmp(8).
    Pacman,
    /// Python's PEP 440.
    Pep440,
    /// Semantic versioning 2.0.0, as npm and Cargo use it.
    SemVer,
    /// Go modules and the Go toolchain.
    Go,
    /// Maven's ComparableVersion.
    Maven,
    /// Gem::Version.
    RubyGems,
    /// NuGet's version.
    NuGet,
    /// Composer's normalised version.
    Composer,
    /// Elixir's Version.
    Hex,
    /// Dart's pub_semver.
    Pub,
    /// R's numeric_version.
    Cran,
}

impl Order {
    /// Every order.
    pub const ALL: [Order; 14] = [
        Order::Debian,
        Order::Rpm,
        Order::Apk,
        Order::Pacman,
        Order::Pep440,
        Order::SemVer,
        Order::Go,
        Order::Maven,
        Order::RubyGems,
        Order::NuGet,
        Order::Composer,
        Order::Hex,
        Order::Pub,
        Order::Cran,
    ];

    /// The order of an ecosystem by OSV's name of it (with or without a release); `None` for ecosystems without one.
    pub fn of_ecosystem(ecosystem: &str) -> Option<Self> {
        Some(match stockade_advisory_db::names::family(ecosystem) {
            "Debian" | "Ubuntu" | "Echo" => Self::Debian,
            "Alpine" | "Wolfi" | "Chainguard" | "MinimOS" | "Alpaquita" | "BellSoft Hardened Containers" => Self::Apk,
            "Red Hat" | "Rocky Linux" | "AlmaLinux" | "SUSE" | "openSUSE" | "Mageia" | "openEuler" | "Amazon Linux"
            | "Oracle Linux" | "Fedora" | "Photon OS" | "Azure Linux" => Self::Rpm,
            "Arch Linux" => Self::Pacman,
            "PyPI" => Self::Pep440,
            "npm" | "crates.io" | "SwiftURL" | "Julia" | "Bitnami" | "Hackage" | "GitHub Actions" | "Kubernetes" => {
                Self::SemVer
            }
            "Go" => Self::Go,
            "Maven" => Self::Maven,
            "RubyGems" => Self::RubyGems,
            "NuGet" => Self::NuGet,
            "Packagist" => Self::Composer,
            "Hex" => Self::Hex,
            "Pub" => Self::Pub,
            "CRAN" | "Bioconductor" => Self::Cran,
            _ => return None,
        })
    }

    /// Compares two versions.
    /// # Errors
    /// The first of the two that this order cannot read.
    pub fn compare(self, a: &str, b: &str) -> Result<Ordering, Unparsable> {
        match self {
            Self::Debian => debian::compare(a, b),
            Self::Rpm => rpm::compare(a, b),
            Self::Apk => apk::compare(a, b),
            Self::Pacman => pacman::compare(a, b),
            Self::Pep440 => pep440::compare(a, b),
            Self::SemVer => semver::compare(a, b),
            Self::Go => go::compare(a, b),
            Self::Maven => maven::compare(a, b),
            Self::RubyGems => rubygems::compare(a, b),
            Self::NuGet => nuget::compare(a, b),
            Self::Composer => composer::compare(a, b),
            Self::Hex => hex::compare(a, b),
            Self::Pub => pubdart::compare(a, b),
            Self::Cran => cran::compare(a, b),
        }
    }

    /// Whether this order can read the version.
    /// # Errors
    /// When it cannot.
    pub fn check(self, version: &str) -> Result<(), Unparsable> {
        self.compare(version, version).map(|_| ())
    }
}

/// Compares two parsed forms; the parsers name what they could not read.
fn compare_parsed<T: Ord>(
    order: &'static str,
    a: &str,
    b: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Ordering, Unparsable> {
    let read = |text: &str| parse(text).ok_or_else(|| Unparsable { version: text.to_owned(), order });
    Ok(read(a)?.cmp(&read(b)?))
}

/// Compares two runs of digits by value, whatever their length.
fn compare_digits(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |d: &[u8]| d.iter().position(|c| *c != b'0').unwrap_or(d.len());
    let (a, b) = (a.get(strip(a)..).unwrap_or_default(), b.get(strip(b)..).unwrap_or_default());
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// A number of any length, compared by value.
#[derive(Debug, Clone, Default)]
struct Number(String);

impl Number {
    /// Digits only; anything else, and the empty text, is `None`.
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Number(text.trim_start_matches('0').to_owned()))
    }

    fn zero() -> Self {
        Number(String::new())
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

/// Splits a text at each change between digits and letters.
fn split_at_changes(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    let bytes = text.as_bytes();
    for (at, pair) in bytes.windows(2).enumerate() {
        if let [a, b] = pair
            && a.is_ascii_digit() != b.is_ascii_digit()
            && text.is_char_boundary(at + 1)
        {
            out.extend(text.get(start..at + 1));
            start = at + 1;
        }
    }
    out.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    out
}
