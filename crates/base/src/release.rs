//! The signed Release file: what suite it is, from when, and the size and hash of every index.

use std::collections::HashMap;

use crate::control::Stanza;
use crate::error::BaseError;

/// Size and SHA256 of a file that the Release lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// In bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
}

/// A parsed Release file. Made from verified text only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `Origin` ("Debian").
    pub origin: String,
    /// `Codename` ("bookworm-security", "noble").
    pub codename: String,
    /// `Suite` ("oldstable-security", "noble-security").
    pub suite: String,
    /// `Version` ("12.5"), if any.
    pub version: Option<String>,
    /// `Date`, in seconds since 1970.
    pub date: i64,
    /// `Valid-Until`, in seconds since 1970.
    pub valid_until: Option<i64>,
    /// Whether indexes may be fetched by their hash.
    pub by_hash: bool,
    /// Path below the suite's directory to what it must be.
    pub files: HashMap<String, FileEntry>,
}

impl Release {
    /// Parses the text. `url` is for messages.
    ///
    /// # Errors
    /// [`BaseError::Malformed`] when a field that we need is missing or unreadable. MD5 and SHA1 lists are not read:
    /// a Release with only those is refused.
    pub fn parse(text: &str, url: &str) -> Result<Release, BaseError> {
        let bad = |cause: String| BaseError::Malformed { what: url.to_owned(), cause };
        let text = text.replace("\r\n", "\n");
        let stanza = Stanza::parse(&text).map_err(bad)?;
        let need = |name: &str| stanza.get(name).ok_or_else(|| bad(format!("it has no `{name}` field")));
        let time = |name: &str, value: &str| {
            parse_date(value).ok_or_else(|| bad(format!("its `{name}` field `{value}` is no date")))
        };
        let mut files = HashMap::new();
        for line in need("SHA256")?.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let mut words = line.split_whitespace();
            let (Some(hash), Some(size), Some(path)) = (words.next(), words.next(), words.next()) else {
                return Err(bad(format!("`{line}` in `SHA256` is no hash, size and path")));
            };
            let size = size.parse().map_err(|_| bad(format!("`{line}` in `SHA256` has no size")))?;
            if !is_sha256(hash) {
                return Err(bad(format!("`{line}` in `SHA256` has no SHA256 hash")));
            }
            files.insert(path.to_owned(), FileEntry { size, sha256: hash.to_ascii_lowercase() });
        }
        Ok(Release {
            origin: need("Origin")?.to_owned(),
            codename: stanza.get("Codename").unwrap_or("").to_owned(),
            suite: stanza.get("Suite").unwrap_or("").to_owned(),
            version: stanza.get("Version").map(str::to_owned),
            date: time("Date", need("Date")?)?,
            valid_until: stanza.get("Valid-Until").map(|v| time("Valid-Until", v)).transpose()?,
            by_hash: stanza.get("Acquire-By-Hash").is_some_and(|v| v.eq_ignore_ascii_case("yes")),
            files,
        })
    }
}

/// Whether `text` is 64 hexadecimal digits.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Reads `Sat, 11 Jul 2026 10:16:37 UTC` (also with `GMT`, `+0000`, and numbers of one digit).
fn parse_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let rest = text.split_once(',').map_or(text, |(_, rest)| rest);
    let mut words = rest.split_whitespace();
    let day: i64 = words.next()?.parse().ok().filter(|d| (1..=31).contains(d))?;
    let name = words.next()?;
    let month = i64::try_from(MONTHS.iter().position(|m| *m == name)?).ok()? + 1;
    let year: i64 = words.next()?.parse().ok().filter(|y| (1970..=9999).contains(y))?;
    let mut clock = words.next()?.split(':').map(|n| n.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if !matches!(words.next()?, "UTC" | "GMT" | "+0000" | "Z") {
        return None;
    }
    let in_range = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    in_range.then(|| days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 in the Gregorian calendar, for years from 1970 on.
pub(crate) fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Counting years from March puts the leap day at the end of the year.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year / 4 - year / 100 + year / 400;
    365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// `YYYY-MM-DDTHH:MM:SSZ` for seconds since 1970.
pub(crate) fn format_date(seconds: i64) -> String {
    let (days, clock) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let mut year = 1970 + days / 366;
    while days_since_1970(year + 1, 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|m| days_since_1970(year, *m, 1) <= days).unwrap_or(1);
    let day = days - days_since_1970(year, month, 1) + 1;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", clock / 3600, clock / 60 % 60, clock % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_release_is_read() {
        let text = format!(
            "Origin: Debian\r\nSuite: stable\r\nCodename: bookworm\r\nVersion: 12.5\r\nDate: Sat, 10 Feb 2024 11:07:25 UTC\r\n\
             Acquire-By-Hash: yes\r\nMD5Sum:\r\n 00 1 x\r\nSHA256:\r\n {HASH} 0 main/binary-amd64/Packages.xz\r\n"
        );
        let release = Release::parse(&text, "u").unwrap();
        assert_eq!((release.codename.as_str(), release.version.as_deref()), ("bookworm", Some("12.5")));
        assert_eq!(release.date, 1_707_563_245);
        assert!(release.by_hash && release.valid_until.is_none());
        assert_eq!(release.files["main/binary-amd64/Packages.xz"].size, 0);
    }

    #[test]
    fn one_without_strong_hashes_is_refused() {
        let error = Release::parse("Origin: Debian\nDate: Sat, 10 Feb 2024 11:07:25 UTC\nMD5Sum:\n 00 1 x\n", "u");
        assert!(error.unwrap_err().to_string().contains("SHA256"));
    }

    #[test]
    fn dates() {
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(parse_date("Sun, 22 Nov 2026  0:19:16 UTC"), Some(1_795_306_756));
        assert_eq!(parse_date("Sun, 22 Nov 2026 00:19:16 +0200"), None);
        assert_eq!(parse_date("yesterday"), None);
        assert_eq!(format_date(1_707_563_245), "2024-02-10T11:07:25Z");
    }

    proptest::proptest! {
        #[test]
        fn any_text_parses_or_fails_but_never_panics(text: String) {
            let _ = Release::parse(&text, "u");
            let _ = parse_date(&text);
        }

        #[test]
        fn a_formatted_date_counts_the_same_day(seconds in 0i64..200_000_000_000) {
            let text = format_date(seconds);
            let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
            let days = days_since_1970(number(0..4), number(5..7), number(8..10));
            proptest::prop_assert_eq!(days, seconds / 86_400);
        }
    }
}
