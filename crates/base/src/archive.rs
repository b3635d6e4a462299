//! The archive's signed indexes: from a mirror's address to an [`Offer`] of which every byte is proved.

use std::io::Read;

use crate::deb::{Limited, xz};
use crate::error::BaseError;
use crate::fetch::{Client, Expected, hex, redact};
use crate::keyring::Keyring;
use crate::mirror::Mirror;
use crate::name::BaseName;
use crate::packages::Offer;
use crate::release::{Release, format_date};
use crate::signature::verify;
use crate::suites::Suite;
use sha2::{Digest, Sha256};

/// Largest unpacked index, in bytes; Debian's main is 50 MB, sid's 60 MB.
const MAX_INDEX_BYTES: u64 = 512 << 20;
/// How far a Release's date may be ahead of our clock, in seconds.
const CLOCK_SLACK: i64 = 24 * 3600;

/// One suite to read.
struct Part {
    archive: String,
    suite: String,
    /// Whether the bootstrap fails without it. Updates and security suites of a new testing release come late.
    needed: bool,
}

/// A verified suite.
pub struct Index {
    /// Of which suite ("bookworm-security").
    pub suite: String,
    /// Parsed.
    pub release: Release,
    /// Hash of the InRelease file as it came.
    pub inrelease_sha256: String,
    /// Hash of the Packages file as the Release lists it.
    pub packages_sha256: String,
    /// Primary fingerprints of good signatures.
    pub signers: Vec<String>,
    /// Whether its Valid-Until has passed.
    pub expired: bool,
    archive: String,
    text: String,
}

/// Everything that the archive says.
pub struct Archive {
    /// All packages.
    pub offer: Offer,
    /// Main suite first.
    pub indexes: Vec<Index>,
}

impl Archive {
    /// Newest date of all suites, in seconds since 1970.
    pub fn date(&self) -> i64 {
        self.indexes.iter().map(|i| i.release.date).max().unwrap_or(0)
    }
}

/// Reads and verifies the suites that make up `name`, at the same time.
///
/// # Errors
/// Whatever is wrong with the first suite in order (main, updates, security).
pub fn read(
    name: &BaseName,
    facts: &Suite,
    arch: &str,
    mirror: &Mirror,
    client: &Client,
    keyring: &Keyring,
    now: i64,
) -> Result<Archive, BaseError> {
    let rolling = facts.security.is_none() || facts.aliases.contains(&"testing");
    let part = |archive: &String, suite: String, needed| Part { archive: archive.clone(), suite, needed };
    let mut parts = vec![part(&mirror.archive, facts.codename.to_owned(), true)];
    if facts.updates {
        parts.push(part(&mirror.archive, format!("{}-updates", facts.codename), !rolling));
    }
    if let Some(security) = facts.security {
        parts.push(part(&mirror.security, security.to_owned(), !rolling));
    }
    let reader = Reader { name, arch, mirror, client, keyring, now };
    // The main suite's Release first: an unreachable mirror is then asked once, not three times.
    let results: Vec<Result<Index, BaseError>> = std::thread::scope(|scope| {
        let (main, rest) = parts.split_at(1);
        let Some(main) = main.first() else { return Vec::new() };
        let main = match reader.release(main) {
            Ok(verified) => scope.spawn(|| reader.packages(verified)),
            Err(e) => return vec![Err(e)],
        };
        let rest: Vec<_> = rest
            .iter()
            .map(|part| scope.spawn(|| reader.release(part).and_then(|verified| reader.packages(verified))))
            .collect();
        std::iter::once(main).chain(rest).map(join).collect()
    });
    let mut archive = Archive { offer: Offer::default(), indexes: Vec::new() };
    for (part, result) in parts.iter().zip(results) {
        match result {
            Ok(mut index) => {
                let what = format!("{}/dists/{}", redact(&index.archive), index.suite);
                archive.offer.add(std::mem::take(&mut index.text), &index.archive, &what)?;
                archive.indexes.push(index);
            }
            Err(BaseError::Status { status: 404, .. }) if !part.needed => {}
            Err(e) => return Err(e),
        }
    }
    Ok(archive)
}

fn join<T>(handle: std::thread::ScopedJoinHandle<'_, T>) -> T {
    match handle.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

struct Reader<'a> {
    name: &'a BaseName,
    arch: &'a str,
    mirror: &'a Mirror,
    client: &'a Client,
    keyring: &'a Keyring,
    now: i64,
}

impl Reader<'_> {
    /// Fetches and verifies an InRelease; the index's text is not there yet.
    fn release(&self, part: &Part) -> Result<Index, BaseError> {
        let url = format!("{}/dists/{}/InRelease", part.archive, part.suite);
        let bytes = self.client.fetch_unverified(&url)?;
        let url = redact(&url);
        let verified = verify(&bytes, &url, self.keyring, self.now)?;
        let release = Release::parse(&verified.text, &url)?;
        self.check_identity(&release, part, &url)?;
        let expired = self.check_age(&release, &url)?;
        Ok(Index {
            suite: part.suite.clone(),
            release,
            inrelease_sha256: hex(&Sha256::digest(&bytes)),
            packages_sha256: String::new(),
            signers: verified.signers,
            expired,
            archive: part.archive.clone(),
            text: String::new(),
        })
    }

    /// A validly signed Release of another suite must not pass for this one. Ubuntu's pockets share a code name and
    /// differ in the suite; Debian's have the pocket in the code name.
    fn check_identity(&self, release: &Release, part: &Part, url: &str) -> Result<(), BaseError> {
        let wrong = |got: String, expected: String| Err(BaseError::WrongSuite { url: url.to_owned(), got, expected });
        if release.origin != self.name.distro.title() {
            return wrong(format!("the archive of `{}`", release.origin), self.name.distro.title().to_owned());
        }
        let names = [release.codename.as_str(), release.suite.as_str()];
        if !names.contains(&part.suite.as_str()) {
            return wrong(
                format!("suite `{}` ({})", release.codename, release.suite),
                format!("suite `{}`", part.suite),
            );
        }
        match (&self.name.point_release, &release.version) {
            (Some(wanted), Some(have)) if part.needed && part.suite == self.name.suite && have != wanted => wrong(
                format!("point release {have}"),
                format!(
                    "point release {wanted}, which a mirror holds only until the next (try `{}`, or a dated name for a snapshot)",
                    self.name.suite
                ),
            ),
            _ => Ok(()),
        }
    }

    /// Returns whether the Release has expired, if that is tolerated.
    fn check_age(&self, release: &Release, url: &str) -> Result<bool, BaseError> {
        let stale = |cause: String| BaseError::Stale { url: url.to_owned(), cause };
        if release.date > self.now + CLOCK_SLACK {
            let date = format_date(release.date);
            return Err(stale(format!("is from the future ({date}); check this machine's clock")));
        }
        let expired = release.valid_until.filter(|until| *until < self.now);
        match expired {
            Some(until) if self.mirror.check_valid_until => Err(stale(format!(
                "expired on {}: the mirror is behind, or somebody holds updates back; try again later or use another mirror ({})",
                format_date(until),
                self.mirror.advice(self.name.distro)
            ))),
            expired => Ok(expired.is_some()),
        }
    }

    fn packages(&self, mut index: Index) -> Result<Index, BaseError> {
        let base = format!("{}/dists/{}", index.archive, index.suite);
        let dir = format!("main/binary-{}", self.arch);
        let choices = [("Packages.xz", true), ("Packages.gz", true), ("Packages", false)];
        let found = choices.iter().find_map(|(file, _)| {
            let path = format!("{dir}/{file}");
            index.release.files.get(&path).map(|entry| (path, *file, entry.clone()))
        });
        let Some((path, file, entry)) = found else {
            let wanted = format!("{dir}/Packages.xz");
            return Err(BaseError::Unsatisfiable { wanted, wanted_by: format!("suite {}", index.suite) });
        };
        let plain = format!("{base}/{path}");
        let urls = match index.release.by_hash {
            true => vec![format!("{base}/{dir}/by-hash/SHA256/{}", entry.sha256), plain],
            false => vec![plain],
        };
        if entry.size > MAX_INDEX_BYTES {
            return Err(BaseError::Malformed { what: path, cause: "it is too large".into() });
        }
        let bytes = self.client.fetch(&urls, Expected { size: entry.size, sha256: &entry.sha256 }, &|_| {})?;
        let reader: Box<dyn Read + '_> = match file.rsplit('.').next() {
            Some("xz") => Box::new(xz(&bytes).map_err(|e| malformed(&path, e))?),
            Some("gz") => Box::new(flate2::bufread::MultiGzDecoder::new(bytes.as_slice())),
            _ => Box::new(bytes.as_slice()),
        };
        let mut text = String::with_capacity(bytes.len().saturating_mul(6).min(1 << 26));
        Limited { inner: reader, left: MAX_INDEX_BYTES }.read_to_string(&mut text).map_err(|e| malformed(&path, e))?;
        index.text = text;
        index.packages_sha256 = entry.sha256;
        Ok(index)
    }
}

fn malformed(what: &str, cause: impl ToString) -> BaseError {
    BaseError::Malformed { what: what.to_owned(), cause: cause.to_string() }
}
