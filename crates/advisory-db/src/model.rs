//! An advisory as the database knows it: facts, no prose.

/// A day as the number of days since 1970-01-01.
pub type Day = u32;

/// How bad an advisory's publisher says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Label {
    /// The publisher gives no word for it.
    #[default]
    None = 0,
    /// Debian's "unimportant", Ubuntu's "negligible", Red Hat's "none".
    Negligible = 1,
    /// Low.
    Low = 2,
    /// Medium or moderate.
    Medium = 3,
    /// High or important.
    High = 4,
    /// Critical.
    Critical = 5,
}

impl Label {
    /// The label of a stored number; unknown numbers are `None`.
    pub fn from_number(n: u8) -> Self {
        match n {
            1 => Self::Negligible,
            2 => Self::Low,
            3 => Self::Medium,
            4 => Self::High,
            5 => Self::Critical,
            _ => Self::None,
        }
    }

    /// The label that a publisher's word means; `None` for words that say nothing.
    pub fn from_word(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "negligible" | "unimportant" | "none" | "minor" => Self::Negligible,
            "low" => Self::Low,
            "medium" | "moderate" => Self::Medium,
            "high" | "important" => Self::High,
            "critical" | "urgent" | "severe" => Self::Critical,
            _ => Self::None,
        }
    }
}

/// What a distribution says about its handling of a vulnerability in a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Note {
    /// Nothing beyond the versions.
    #[default]
    None = 0,
    /// A fix is put off to a later update.
    Postponed = 1,
    /// No security advisory is planned; a point release may fix it.
    NoAdvisory = 2,
    /// The distribution thinks it has no practical effect.
    Unimportant = 3,
    /// The package is not supported any more in this release.
    EndOfLife = 4,
    /// There will be no fix.
    WillNotFix = 5,
    /// Nobody has found out yet whether it is affected.
    Undetermined = 6,
    /// The package is stated not to be affected.
    NotAffected = 7,
    /// A fix is on its way.
    Pending = 8,
}

impl Note {
    /// The note of a stored number; unknown numbers are `None`.
    pub fn from_number(n: u8) -> Self {
        match n {
            1 => Self::Postponed,
            2 => Self::NoAdvisory,
            3 => Self::Unimportant,
            4 => Self::EndOfLife,
            5 => Self::WillNotFix,
            6 => Self::Undetermined,
            7 => Self::NotAffected,
            8 => Self::Pending,
            _ => Self::None,
        }
    }

    /// The word that reports use.
    pub fn word(self) -> Option<&'static str> {
        Some(match self {
            Self::None => return None,
            Self::Postponed => "postponed",
            Self::NoAdvisory => "no-advisory",
            Self::Unimportant => "unimportant",
            Self::EndOfLife => "end-of-life",
            Self::WillNotFix => "will-not-fix",
            Self::Undetermined => "undetermined",
            Self::NotAffected => "not-affected",
            Self::Pending => "pending",
        })
    }
}

/// An advisory that tells something other than a vulnerability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Informational {
    /// A vulnerability.
    #[default]
    No = 0,
    /// Nobody maintains the package.
    Unmaintained = 1,
    /// The package's interface is unsound; whether it can be used for an attack depends on the caller.
    Unsound = 2,
    /// A notice.
    Notice = 3,
    /// An update that repairs an earlier update.
    Regression = 4,
    /// The package itself is an attack.
    Malicious = 5,
}

impl Informational {
    /// The kind of a stored number; unknown numbers are `No`.
    pub fn from_number(n: u8) -> Self {
        match n {
            1 => Self::Unmaintained,
            2 => Self::Unsound,
            3 => Self::Notice,
            4 => Self::Regression,
            5 => Self::Malicious,
            _ => Self::No,
        }
    }

    /// The word that reports use.
    pub fn word(self) -> Option<&'static str> {
        Some(match self {
            Self::No => return None,
            Self::Unmaintained => "unmaintained",
            Self::Unsound => "unsound",
            Self::Notice => "notice",
            Self::Regression => "regression",
            Self::Malicious => "malicious",
        })
    }
}

/// What an event of a version range says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventKind {
    /// Affected from this version on; `0` is before every version.
    Introduced = 0,
    /// Not affected from this version on.
    Fixed = 1,
    /// Affected up to and including this version.
    LastAffected = 2,
    /// The range says nothing about this version and later ones.
    Limit = 3,
    /// Exactly this version is affected.
    Exact = 4,
}

impl EventKind {
    /// The kind of a stored number.
    pub fn from_number(n: u32) -> Option<Self> {
        Some(match n {
            0 => Self::Introduced,
            1 => Self::Fixed,
            2 => Self::LastAffected,
            3 => Self::Limit,
            4 => Self::Exact,
            _ => return None,
        })
    }
}

/// One event of a range.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// What happens.
    pub kind: EventKind,
    /// At which version, as the publisher writes it.
    pub version: String,
}

/// A package and the versions of it that an advisory concerns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Affected {
    /// OSV's name of the ecosystem with its release, for example `Debian:12`, `PyPI`.
    pub ecosystem: String,
    /// The package's name as the ecosystem writes it.
    pub name: String,
    /// Ranges; a version is affected when any of them holds it.
    pub ranges: Vec<Vec<Event>>,
    /// The publisher's severity for this package, if it differs from the record's.
    pub label: Label,
    /// The distribution's handling.
    pub note: Note,
    /// The facts concern other operating systems only.
    pub not_linux: bool,
    /// Parts of the package that must be in use: `path` or `path#symbol,symbol` (Go), function paths (Rust).
    pub imports: Vec<String>,
}

/// An advisory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The publisher's id.
    pub id: String,
    /// Other names of the same vulnerability.
    pub aliases: Vec<String>,
    /// The vulnerabilities that this advisory (of a distribution) is about; it may be several.
    pub upstream: Vec<String>,
    /// First publication.
    pub published: Option<Day>,
    /// Last change.
    pub modified: Option<Day>,
    /// The publisher's severity.
    pub label: Label,
    /// CVSS vectors as published (`CVSS:3.1/…`; v2 without prefix), or `v3=9.8` where only a score is known.
    pub scores: Vec<String>,
    /// Something other than a vulnerability.
    pub informational: Informational,
    /// At most two addresses, without those that follow from the id.
    pub references: Vec<String>,
    /// What is affected.
    pub affected: Vec<Affected>,
}

/// Where facts come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// Short name, unique within a database.
    pub name: String,
    /// The project's address.
    pub url: String,
    /// SPDX expression or short words.
    pub licence: String,
    /// The line of attribution that the licence asks for.
    pub attribution: String,
    /// The day of the snapshot, `YYYY-MM-DD`.
    pub as_of: String,
    /// The day until which the records reach, where that is earlier than the snapshot.
    pub covers_until: String,
    /// Digest of the input file, or empty.
    pub sha256: String,
    /// Vulnerabilities without a fix are among the records.
    pub knows_unfixed: bool,
}

/// A vulnerability known to be exploited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExploitedFact {
    /// Day it was added to the catalogue.
    pub added: Option<Day>,
    /// Day by which United States agencies must act.
    pub due: Option<Day>,
    /// Used in ransomware campaigns.
    pub ransomware: bool,
}

/// Days since 1970-01-01 of a text that starts with `YYYY-MM-DD`; `None` when it does not.
pub fn parse_day(text: &str) -> Option<Day> {
    let bytes = text.as_bytes().get(..10)?;
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let part = bytes.get(range)?;
        if !part.iter().all(u8::is_ascii_digit) {
            return None;
        }
        Some(part.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    if bytes.get(4) != Some(&b'-')
        || bytes.get(7) != Some(&b'-')
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
    {
        return None;
    }
    // Days from the civil calendar, counted in years that start in March.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Day::try_from(era * 146_097 + day_of_era - 719_468).ok()
}

/// `YYYY-MM-DD` of a day.
pub fn show_day(day: Day) -> String {
    let z = i64::from(day) + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_go_both_ways() {
        assert_eq!(parse_day("1970-01-01"), Some(0));
        assert_eq!(parse_day("2026-11-24T07:00:00Z"), Some(20_781));
        for day in [0, 58, 59, 60, 11_016, 19_782, 20_781, 47_540] {
            assert_eq!(parse_day(&show_day(day)), Some(day));
        }
        for bad in ["", "2026", "2026-13-01", "2026/01/01", "abcd-ef-gh"] {
            assert_eq!(parse_day(bad), None, "{bad}");
        }
    }
}
