//! OSV records (schema 1.7, <https://ossf.github.io/osv-schema/>): one JSON object an advisory.

use crate::error::DbError;
use crate::model::{Affected, Event, EventKind, Informational, Label, Note, Record, parse_day};
use crate::names::canonical_url;
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

/// Most references kept from a record.
const MAX_REFERENCES: usize = 2;

#[derive(Deserialize)]
struct OsvRecord<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(default)]
    modified: String,
    #[serde(default)]
    published: String,
    withdrawn: Option<String>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    upstream: Vec<String>,
    #[serde(default)]
    related: Vec<String>,
    #[serde(default)]
    severity: Vec<OsvSeverity>,
    #[serde(default)]
    affected: Vec<OsvAffected>,
    #[serde(default)]
    references: Vec<OsvReference>,
    #[serde(default)]
    database_specific: Value,
}

#[derive(Deserialize)]
struct OsvSeverity {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    score: String,
}

#[derive(Deserialize)]
struct OsvReference {
    #[serde(default)]
    url: String,
}

#[derive(Deserialize)]
struct OsvAffected {
    package: Option<OsvPackage>,
    #[serde(default)]
    ranges: Vec<OsvRange>,
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default)]
    severity: Vec<OsvSeverity>,
    #[serde(default)]
    ecosystem_specific: Value,
    #[serde(default)]
    database_specific: Value,
}

#[derive(Deserialize)]
struct OsvPackage {
    #[serde(default)]
    ecosystem: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct OsvRange {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    events: Vec<OsvEvent>,
}

#[derive(Deserialize)]
struct OsvEvent {
    introduced: Option<String>,
    fixed: Option<String>,
    last_affected: Option<String>,
    limit: Option<String>,
}

/// What one file of OSV says.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// An advisory in force.
    Record {
        /// What it says.
        record: Box<Record>,
        /// It was read from a changelog: its source knows nothing of vulnerabilities without a fix.
        fixed_only: bool,
    },
    /// The advisory with this id was taken back by its publisher.
    Withdrawn(String),
}

/// Reads one OSV record. `name` is for messages.
pub fn parse(name: &str, json: &[u8]) -> Result<Parsed, DbError> {
    let raw: OsvRecord<'_> =
        serde_json::from_slice(json).map_err(|e| DbError::input(name, format!("not an OSV record: {e}")))?;
    if raw.id.is_empty() {
        return Err(DbError::input(name, "an OSV record without an id"));
    }
    if raw.withdrawn.is_some() {
        return Ok(Parsed::Withdrawn(raw.id.into_owned()));
    }
    let fixed_only = raw.database_specific.get("source").is_some_and(|s| s == "changelog");
    Ok(Parsed::Record { record: Box::new(convert(raw)), fixed_only })
}

fn convert(raw: OsvRecord<'_>) -> Record {
    let mut record = Record {
        published: parse_day(&raw.published),
        modified: parse_day(&raw.modified),
        label: word_at(&raw.database_specific, "severity"),
        scores: scores(&raw.severity, &raw.database_specific),
        ..Record::default()
    };
    for severity in &raw.severity {
        // Ubuntu and others publish a word in the place of a vector.
        if record.label == Label::None && !severity.kind.starts_with("CVSS") {
            record.label = Label::from_word(&severity.score);
        }
    }
    let derived = canonical_url(&raw.id);
    for reference in raw.references {
        if record.references.len() < MAX_REFERENCES
            && Some(&reference.url) != derived.as_ref()
            && !reference.url.is_empty()
        {
            record.references.push(reference.url);
        }
    }
    record.informational =
        informational(&raw.id, &raw.affected, raw.upstream.is_empty() && raw.aliases.is_empty(), &raw.related);
    record.affected = raw.affected.into_iter().filter_map(affected).collect();
    record.aliases = raw.aliases;
    record.upstream = raw.upstream;
    record.id = raw.id.into_owned();
    record
}

fn word_at(value: &Value, key: &str) -> Label {
    value.get(key).and_then(Value::as_str).map_or(Label::None, Label::from_word)
}

fn scores(severity: &[OsvSeverity], specific: &Value) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for entry in severity.iter().filter(|s| s.kind.starts_with("CVSS") && !s.score.is_empty()) {
        if !out.contains(&entry.score) {
            out.push(entry.score.clone());
        }
    }
    // A source without vectors (RubyGems) still tells the number.
    for (key, kind) in [("cvss_v4_score", "v4"), ("cvss_v3_score", "v3"), ("cvss_v2_score", "v2")] {
        if let Some(score) = specific.get(key) {
            let text = score.as_str().map_or_else(|| score.to_string(), str::to_owned);
            if text.parse::<f64>().is_ok_and(|s| (0.0..=10.0).contains(&s)) {
                out.push(format!("{kind}={text}"));
            }
        }
    }
    out
}

fn informational(id: &str, affected: &[OsvAffected], nameless: bool, related: &[String]) -> Informational {
    if id.starts_with("MAL-") {
        return Informational::Malicious;
    }
    // DLA-1025-2 repairs the update DLA-1025-1: it names no vulnerability of its own.
    let repeats = (id.starts_with("DSA-") || id.starts_with("DLA-")) && !id.ends_with("-1");
    if repeats && nameless && !related.is_empty() {
        return Informational::Regression;
    }
    let word = affected.iter().find_map(|a| a.database_specific.get("informational").and_then(Value::as_str));
    match word {
        Some("unmaintained") => Informational::Unmaintained,
        Some("unsound") => Informational::Unsound,
        Some(_) => Informational::Notice,
        None => {
            let malicious = |a: &OsvAffected| {
                a.database_specific
                    .get("categories")
                    .and_then(Value::as_array)
                    .is_some_and(|c| c.iter().any(|v| v == "malicious"))
            };
            if affected.iter().any(malicious) { Informational::Malicious } else { Informational::No }
        }
    }
}

fn affected(raw: OsvAffected) -> Option<Affected> {
    let package = raw.package.filter(|p| !p.ecosystem.is_empty() && !p.name.is_empty())?;
    let mut ranges: Vec<Vec<Event>> = raw.ranges.into_iter().filter(|r| r.kind != "GIT").filter_map(range).collect();
    if !raw.versions.is_empty() {
        ranges.push(raw.versions.into_iter().map(|version| Event { kind: EventKind::Exact, version }).collect());
    }
    let mut label = word_at(&raw.ecosystem_specific, "severity");
    if label == Label::None {
        label = word_at(&raw.ecosystem_specific, "urgency");
    }
    if label == Label::None {
        let word = raw.severity.iter().find(|s| !s.kind.starts_with("CVSS"));
        label = word.map_or(Label::None, |s| Label::from_word(&s.score));
    }
    Some(Affected {
        note: note(&raw.ecosystem_specific),
        not_linux: not_linux(&raw.ecosystem_specific),
        imports: imports(&raw.ecosystem_specific),
        ecosystem: package.ecosystem,
        name: package.name,
        ranges,
        label,
    })
}

fn range(raw: OsvRange) -> Option<Vec<Event>> {
    let mut events = Vec::with_capacity(raw.events.len());
    for event in raw.events {
        for (kind, version) in [
            (EventKind::Introduced, event.introduced),
            (EventKind::Fixed, event.fixed),
            (EventKind::LastAffected, event.last_affected),
            (EventKind::Limit, event.limit.filter(|l| l != "*")),
        ] {
            if let Some(version) = version {
                events.push(Event { kind, version });
            }
        }
    }
    (!events.is_empty()).then_some(events)
}

fn note(specific: &Value) -> Note {
    match specific.get("urgency").and_then(Value::as_str) {
        Some("unimportant") => Note::Unimportant,
        Some("end-of-life") => Note::EndOfLife,
        _ => Note::None,
    }
}

/// True when the publisher names operating systems and Linux is not among them.
fn not_linux(specific: &Value) -> bool {
    let names_linux = |list: &Vec<Value>| list.iter().any(|v| v == "linux");
    if let Some(systems) = specific.get("affects").and_then(|a| a.get("os")).and_then(Value::as_array) {
        return !systems.is_empty() && !names_linux(systems);
    }
    let Some(imports) = specific.get("imports").and_then(Value::as_array) else { return false };
    !imports.is_empty()
        && imports
            .iter()
            .all(|i| i.get("goos").and_then(Value::as_array).is_some_and(|l| !l.is_empty() && !names_linux(l)))
}

fn imports(specific: &Value) -> Vec<String> {
    if let Some(functions) = specific.get("affects").and_then(|a| a.get("functions")).and_then(Value::as_array) {
        return functions.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let Some(imports) = specific.get("imports").and_then(Value::as_array) else { return Vec::new() };
    imports
        .iter()
        .filter_map(|i| {
            let path = i.get("path").and_then(Value::as_str)?;
            let symbols: Vec<&str> =
                i.get("symbols").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
            Some(if symbols.is_empty() { path.to_owned() } else { format!("{path}#{}", symbols.join(",")) })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(json: &str) -> Record {
        match parse("test", json.as_bytes()).unwrap() {
            Parsed::Record { record, .. } => *record,
            Parsed::Withdrawn(id) => panic!("{id} is withdrawn"),
        }
    }

    #[test]
    fn a_debian_record_keeps_ranges_and_upstream_ids() {
        let r = record(
            r#"{"id":"DSA-1-1","published":"2020-01-02T00:00:00Z","upstream":["CVE-2020-1"],
            "affected":[{"package":{"ecosystem":"Debian:10","name":"bash"},
              "ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"5.0-4+deb10u1"}]}]}],
            "references":[{"type":"ADVISORY","url":"https://security-tracker.debian.org/tracker/DSA-1-1"}]}"#,
        );
        assert_eq!(r.upstream, ["CVE-2020-1"]);
        assert_eq!(r.affected[0].ranges[0][1], Event { kind: EventKind::Fixed, version: "5.0-4+deb10u1".into() });
        assert!(r.references.is_empty(), "the address follows from the id");
    }

    #[test]
    fn what_concerns_only_windows_is_marked() {
        let r = record(
            r#"{"id":"GO-1","affected":[{"package":{"ecosystem":"Go","name":"stdlib"},
              "ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}],
              "ecosystem_specific":{"imports":[{"path":"os","goos":["windows"],"symbols":["Open","Stat"]}]}}]}"#,
        );
        assert!(r.affected[0].not_linux);
        assert_eq!(r.affected[0].imports, ["os#Open,Stat"]);
    }

    #[test]
    fn withdrawn_records_are_only_an_id() {
        let parsed = parse("t", br#"{"id":"GO-2","withdrawn":"2024-01-01T00:00:00Z","affected":[]}"#).unwrap();
        assert_eq!(parsed, Parsed::Withdrawn("GO-2".into()));
    }

    #[test]
    fn scores_without_vectors_and_words_in_their_place() {
        let r = record(r#"{"id":"RUBYSEC-1","database_specific":{"cvss_v3_score":9.8,"cvss_v2_score":"nonsense"}}"#);
        assert_eq!(r.scores, ["v3=9.8"]);
        let r = record(r#"{"id":"UBUNTU-CVE-1","severity":[{"type":"Ubuntu","score":"medium"}]}"#);
        assert_eq!(r.label, Label::Medium);
    }

    proptest::proptest! {
        #[test]
        fn any_text_parses_or_fails(text in ".{0,200}") {
            let _ = parse("t", text.as_bytes());
        }
    }
}
