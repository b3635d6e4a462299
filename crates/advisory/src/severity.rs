//! How bad a vulnerability is: the publisher's word first, then CVSS computed from the vector, else unknown.

use serde::{Deserialize, Serialize};
use std::str::FromStr;
use stockade_advisory_db::{Informational, Label};

/// A severity. `Unknown` is an answer of its own: no source rates the vulnerability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nobody rates it.
    #[default]
    Unknown,
    /// No practical effect, in the publisher's opinion.
    Negligible,
    /// CVSS 0.1 to 3.9.
    Low,
    /// CVSS 4.0 to 6.9.
    Medium,
    /// CVSS 7.0 to 8.9.
    High,
    /// CVSS 9.0 to 10.0.
    Critical,
}

impl Severity {
    /// All, worst first.
    pub const ALL: [Severity; 6] =
        [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Negligible, Severity::Unknown];

    /// The word that reports and options use.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Unknown => "unknown",
            Severity::Negligible => "negligible",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// The severity of a CVSS score, by the scale of CVSS v3.1 section 5 and v4.0 section 6.
    pub fn of_score(score: f64) -> Self {
        match score {
            s if s >= 9.0 => Severity::Critical,
            s if s >= 7.0 => Severity::High,
            s if s >= 4.0 => Severity::Medium,
            s if s > 0.0 => Severity::Low,
            _ => Severity::Negligible,
        }
    }

    /// The severity of a publisher's label; `None` when it gives none.
    pub fn of_label(label: Label) -> Option<Self> {
        Some(match label {
            Label::None => return None,
            Label::Negligible => Severity::Negligible,
            Label::Low => Severity::Low,
            Label::Medium => Severity::Medium,
            Label::High => Severity::High,
            Label::Critical => Severity::Critical,
        })
    }

    /// The severity of advisories that are about something other than a vulnerability.
    pub fn of_informational(kind: Informational) -> Option<Self> {
        match kind {
            Informational::Malicious => Some(Severity::Critical),
            Informational::Unmaintained | Informational::Notice | Informational::Regression => {
                Some(Severity::Negligible)
            }
            Informational::No | Informational::Unsound => None,
        }
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = text.trim().to_ascii_lowercase();
        let word = match wanted.as_str() {
            "moderate" => "medium",
            "important" => "high",
            other => other,
        };
        Self::ALL.into_iter().find(|s| s.word() == word).ok_or_else(|| {
            format!("`{text}` is not a severity: use critical, high, medium, low, negligible or unknown")
        })
    }
}

/// A CVSS rating: the version of the standard, the vector where the source gives one, the score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cvss {
    /// `4.0`, `3.1`, `3.0`, `2.0`, or `3` where only a score is known.
    pub version: String,
    /// The vector; empty where only a score is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub vector: String,
    /// 0.0 to 10.0, computed from the vector.
    pub score: f64,
}

impl Cvss {
    /// Reads a stored score: a vector, or `v3=9.8`. `None` when it is neither.
    pub fn parse(stored: &str) -> Option<Self> {
        if let Some((version, score)) = stored.split_once('=') {
            let score: f64 = score.parse().ok()?;
            return (0.0..=10.0).contains(&score).then(|| Cvss {
                version: version.trim_start_matches('v').to_owned(),
                vector: String::new(),
                score,
            });
        }
        let parsed = cvss::Cvss::from_str(stored).ok()?;
        let version = match parsed {
            cvss::Cvss::CvssV40(_) => "4.0",
            cvss::Cvss::CvssV31(_) => "3.1",
            cvss::Cvss::CvssV30(_) => "3.0",
            cvss::Cvss::CvssV20(_) => "2.0",
            _ => return None,
        };
        Some(Cvss { version: version.to_owned(), vector: stored.to_owned(), score: parsed.score() })
    }

    /// The rating that counts: the newest version of the standard, and of several the highest score.
    pub fn preferred(ratings: &[Cvss]) -> Option<&Cvss> {
        ratings.iter().max_by(|a, b| a.version.cmp(&b.version).then(a.score.total_cmp(&b.score)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors and scores that first.org publishes with the standards ("Examples" documents of each version).
    #[test]
    fn published_examples_have_their_published_scores() {
        for (vector, score) in [
            // CVSS v2 guide, section 3.3, base scores.
            ("AV:N/AC:L/Au:N/C:N/I:N/A:C", 7.8),
            ("AV:N/AC:L/Au:N/C:C/I:C/A:C", 10.0),
            ("AV:L/AC:H/Au:N/C:C/I:C/A:C", 6.2),
            // CVSS v3.0 examples.
            ("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
            ("CVSS:3.0/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4),
            ("CVSS:3.0/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 3.1),
            // CVSS v3.1 examples.
            ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:L/I:L/A:L", 6.3),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 7.5),
            ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", 9.9),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
            ("CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:N/I:H/A:N", 4.6),
            ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 7.8),
            ("CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:H/I:H/A:N", 7.4),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:N/I:L/A:N", 5.8),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", 8.8),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1),
            ("CVSS:3.1/AV:A/AC:L/PR:N/UI:N/S:C/C:H/I:N/A:H", 9.3),
            // CVSS v4.0 examples.
            ("CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 7.3),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:L/VA:L/SC:N/SI:N/SA:N", 8.8),
            ("CVSS:4.0/AV:N/AC:L/AT:P/PR:N/UI:P/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 7.7),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", 9.3),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", 10.0),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:A/VC:N/VI:N/VA:N/SC:L/SI:L/SA:N", 5.1),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", 0.0),
        ] {
            let found = Cvss::parse(vector).unwrap_or_else(|| panic!("{vector} is not read"));
            assert!((found.score - score).abs() < 0.001, "{vector}: {} instead of {score}", found.score);
        }
    }

    #[test]
    fn a_score_alone_and_nonsense() {
        let found = Cvss::parse("v3=9.8").unwrap();
        assert_eq!((found.version.as_str(), found.score), ("3", 9.8));
        for bad in ["", "v3=99", "v3=x", "CVSS:3.1/AV:X", "CVSS:9.9/AV:N"] {
            assert!(Cvss::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_newest_standard_counts() {
        let ratings: Vec<Cvss> = [
            "v2=9.9",
            "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N",
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:A/VC:N/VI:N/VA:N/SC:L/SI:L/SA:N",
        ]
        .iter()
        .filter_map(|s| Cvss::parse(s))
        .collect();
        assert_eq!(Cvss::preferred(&ratings).unwrap().version, "4.0");
    }
}
