//! Debian's security tracker as JSON (<https://security-tracker.debian.org/tracker/data/json>): for each source package
//! and CVE the state in each release, vulnerabilities without a fix included.

use super::{Batch, described, sha256_hex};
use crate::error::DbError;
use crate::model::{Affected, Event, EventKind, Label, Note, Record};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Code names and release numbers.
const RELEASES: [(&str, &str); 10] = [
    ("wheezy", "7"),
    ("jessie", "8"),
    ("stretch", "9"),
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
    ("forky", "14"),
    ("duke", "15"),
    ("sid", "sid"),
];

#[derive(Deserialize)]
struct Vulnerability {
    #[serde(default)]
    releases: BTreeMap<String, Release>,
}

#[derive(Deserialize)]
struct Release {
    #[serde(default)]
    status: String,
    fixed_version: Option<String>,
    #[serde(default)]
    urgency: String,
    nodsa: Option<String>,
    nodsa_reason: Option<String>,
}

type Tracker = BTreeMap<String, BTreeMap<String, Vulnerability>>;

pub(super) fn read(batch: &mut Batch, name: &str, bytes: &[u8], day: &str) -> Result<(), DbError> {
    let tracker: Tracker =
        serde_json::from_slice(bytes).map_err(|e| DbError::input(name, format!("not Debian's tracker: {e}")))?;
    let source = described("Debian-tracker", &sha256_hex(bytes), day, true);
    for (package, vulnerabilities) in tracker {
        for (id, vulnerability) in vulnerabilities {
            let affected: Vec<Affected> = vulnerability
                .releases
                .iter()
                .filter_map(|(release, state)| {
                    let number = RELEASES.iter().find(|(name, _)| name == release)?.1;
                    affected(&package, number, state)
                })
                .collect();
            if affected.is_empty() {
                continue;
            }
            // Entries without a CVE have the tracker's own, changing ids: "TEMP-0000000-ABCDEF".
            let (own, upstream) =
                if id.starts_with("CVE-") { (format!("DEBIAN-{id}"), vec![id]) } else { (id, Vec::new()) };
            batch.add(source.clone(), Record { id: own, upstream, affected, ..Record::default() });
        }
    }
    Ok(())
}

fn affected(package: &str, number: &str, state: &Release) -> Option<Affected> {
    let mut events = vec![Event { kind: EventKind::Introduced, version: "0".to_owned() }];
    match (state.status.as_str(), state.fixed_version.as_deref()) {
        // "Fixed in version 0" is the tracker's word for "never affected".
        ("resolved", Some("0")) => return None,
        ("resolved", Some(version)) => events.push(Event { kind: EventKind::Fixed, version: version.to_owned() }),
        ("open" | "undetermined", _) => {}
        _ => return None,
    }
    let urgency = state.urgency.trim_end_matches('*');
    let note = match (state.status.as_str(), urgency, state.nodsa_reason.as_deref()) {
        ("undetermined", ..) => Note::Undetermined,
        (_, "unimportant", _) => Note::Unimportant,
        (_, "end-of-life", _) => Note::EndOfLife,
        ("open", _, Some("postponed")) => Note::Postponed,
        ("open", _, Some("ignored")) => Note::WillNotFix,
        ("open", ..) if state.nodsa.is_some() => Note::NoAdvisory,
        _ => Note::None,
    };
    Some(Affected {
        ecosystem: format!("Debian:{number}"),
        name: package.to_owned(),
        ranges: vec![events],
        label: Label::from_word(urgency),
        note,
        ..Affected::default()
    })
}
