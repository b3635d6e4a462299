//! What the database covers of what was found: a clean answer is worth as much as the facts behind it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stockade_advisory_db::{DbError, Reader};
use stockade_inventory::Unknown;

/// Facts that were used for an ecosystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageUsed {
    /// OSV's name of the ecosystem and release.
    pub ecosystem: String,
    /// Packages that were looked up there.
    pub packages: usize,
    /// Names of the sources.
    pub sources: Vec<String>,
    /// The day until which the newest source reaches.
    pub until: String,
    /// Vulnerabilities without a fix are known too.
    pub knows_unfixed: bool,
}

/// Counts what was used.
pub(super) struct Tally<'d> {
    known: BTreeMap<&'d str, CoverageUsed>,
    /// Packages of ecosystems that the database does not have.
    missing: BTreeMap<String, usize>,
}

impl<'d> Tally<'d> {
    pub(super) fn empty() -> Self {
        Tally { known: BTreeMap::new(), missing: BTreeMap::new() }
    }

    pub(super) fn new(reader: Reader<'d>) -> Result<Self, DbError> {
        let sources = reader.sources()?;
        let mut known: BTreeMap<&'d str, CoverageUsed> = BTreeMap::new();
        for coverage in reader.coverage()? {
            let Some(stored) = sources.get(coverage.source as usize) else { continue };
            let source = &stored.source;
            let until = if source.covers_until.is_empty() { &source.as_of } else { &source.covers_until };
            let entry = known.entry(coverage.ecosystem).or_insert_with(|| CoverageUsed {
                ecosystem: coverage.ecosystem.to_owned(),
                packages: 0,
                sources: Vec::new(),
                until: String::new(),
                knows_unfixed: false,
            });
            entry.sources.push(source.name.clone());
            entry.knows_unfixed |= coverage.knows_unfixed;
            if *until > entry.until {
                entry.until.clone_from(until);
            }
        }
        Ok(Tally { known, missing: BTreeMap::new() })
    }

    /// A package was looked up in an ecosystem.
    pub(super) fn used(&mut self, ecosystem: &str) {
        match self.known.get_mut(ecosystem) {
            Some(entry) => entry.packages += 1,
            None => *self.missing.entry(ecosystem.to_owned()).or_default() += 1,
        }
    }

    /// A package is of a kind that no source of advisories is known for.
    pub(super) fn uncovered(&mut self, kind: &str) {
        *self.missing.entry(kind.to_owned()).or_default() += 1;
    }

    /// What was used, and what must be said about it.
    pub(super) fn finish(self) -> (Vec<CoverageUsed>, Vec<Unknown>) {
        let used: Vec<CoverageUsed> = self.known.into_values().filter(|c| c.packages > 0).collect();
        let mut unknown: Vec<Unknown> = used
            .iter()
            .filter(|c| !c.knows_unfixed)
            .map(|c| {
                let why = format!(
                    "the facts about {} hold fixed vulnerabilities only ({}): one that has no fix yet would not be seen",
                    c.ecosystem,
                    c.sources.join(", ")
                );
                Unknown::new("coverage", "", why)
            })
            .collect();
        unknown.extend(self.missing.into_iter().map(|(ecosystem, packages)| {
            let noun = if packages == 1 { "package was" } else { "packages were" };
            Unknown::new(
                "coverage",
                "",
                format!("{packages} {ecosystem} {noun} not matched: the database has no facts for {ecosystem}"),
            )
        }));
        (used, unknown)
    }
}

/// Facts older than this many days are worth a word: most sources publish daily.
pub const OLD_AFTER_DAYS: i64 = 30;

/// What must be said about the age of the facts on a day. It depends on the day of reading, so it is not stored.
pub fn age(coverage: &[CoverageUsed], today: jiff::civil::Date) -> Vec<Unknown> {
    coverage
        .iter()
        .filter_map(|c| {
            let until: jiff::civil::Date = c.until.parse().ok()?;
            let days = today.duration_since(until).as_hours() / 24;
            (days > OLD_AFTER_DAYS).then(|| {
                let why = format!(
                    "the facts about {} end at {}, {days} days ago: later vulnerabilities would not be seen",
                    c.ecosystem, c.until
                );
                Unknown::new("age", "", why)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_facts_are_said_to_be_old() {
        let of = |until: &str| CoverageUsed {
            ecosystem: "npm".into(),
            packages: 1,
            sources: vec![],
            until: until.into(),
            knows_unfixed: true,
        };
        let today: jiff::civil::Date = "2026-11-24".parse().unwrap();
        assert!(age(&[of("2026-11-01")], today).is_empty());
        assert!(age(&[of("2019-12-31")], today)[0].why.contains("2520 days ago"));
        assert!(age(&[of("2027-01-01")], today).is_empty(), "a clock that is behind is no reason");
    }
}
