//! The file format: what goes in comes out, and damage is an error.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use stockade_advisory_db::{
    Affected, DbError, Event, EventKind, ExploitedFact, Informational, Label, Note, Reader, Record, Source, Writer,
};

fn record(id: &str, ecosystem: &str, name: &str, fixed: &str) -> Record {
    Record {
        id: id.into(),
        aliases: vec![format!("ALIAS-{id}")],
        upstream: vec![format!("CVE-2020-{}", id.len())],
        published: Some(18_000),
        modified: Some(18_500),
        label: Label::High,
        scores: vec!["CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H".into(), "v2=7.5".into()],
        informational: Informational::Unsound,
        references: vec!["https://example.org/a".into()],
        affected: vec![Affected {
            ecosystem: ecosystem.into(),
            name: name.into(),
            ranges: vec![
                vec![
                    Event { kind: EventKind::Introduced, version: "0".into() },
                    Event { kind: EventKind::Fixed, version: fixed.into() },
                ],
                vec![Event { kind: EventKind::Exact, version: "9.9".into() }],
            ],
            label: Label::Low,
            note: Note::Postponed,
            not_linux: true,
            imports: vec!["path/a#B,C".into()],
        }],
    }
}

fn sample() -> (Vec<Record>, Vec<u8>) {
    let mut records: Vec<Record> = (0..40)
        .map(|i| {
            record(
                &format!("X-{i:03}"),
                ["Debian:12", "PyPI", "Go"][i % 3],
                &format!("package-{}", i % 7),
                &format!("1.{i}"),
            )
        })
        .collect();
    records.push(Record { id: "NO-PACKAGE".into(), ..Record::default() });
    let mut writer = Writer::new();
    let source =
        Source { name: "test".into(), licence: "CC0-1.0".into(), as_of: "2026-01-01".into(), ..Source::default() };
    let id = writer.source(&source).unwrap();
    for record in &records {
        writer.add(id, record).unwrap();
    }
    writer.exploited([
        ("CVE-2021-44228".to_owned(), ExploitedFact { added: Some(18_971), due: None, ransomware: true }),
        ("CVE-2014-0160".to_owned(), ExploitedFact { added: None, due: Some(19_000), ransomware: false }),
    ]);
    (records, writer.finish(1_700_000_000).unwrap())
}

#[test]
fn every_fact_comes_back() {
    let (records, file) = sample();
    let reader = Reader::open(&file).unwrap();
    reader.verify().unwrap();
    assert_eq!(reader.built(), 1_700_000_000);
    let back: Vec<Record> = reader.to_records().unwrap().into_iter().map(|(_, r)| r).collect();
    assert_eq!(back, records);
    assert_eq!(reader.sources().unwrap()[0].records, 41);
    assert_eq!(reader.ecosystems().unwrap(), ["Debian:12", "Go", "PyPI"]);
    assert!(reader.exploited("CVE-2021-44228").unwrap().unwrap().ransomware);
    assert!(reader.exploited("CVE-2021-44229").unwrap().is_none());
    let named = reader.records_named("ALIAS-X-007").unwrap();
    assert_eq!(reader.record(named[0]).unwrap().id().unwrap(), "X-007");
}

#[test]
fn packages_are_found_by_ecosystem_and_name_alone() {
    let (_, file) = sample();
    let reader = Reader::open(&file).unwrap();
    assert!(!reader.package("Debian:12", "package-0").unwrap().is_empty());
    assert!(reader.package("Debian:12", "package-").unwrap().is_empty());
    assert!(reader.package("Debian:1", "package-0").unwrap().is_empty());
    assert!(reader.package("Debian:13", "package-0").unwrap().is_empty());
}

#[test]
fn the_newer_of_two_records_with_one_id_counts() {
    let mut writer = Writer::new();
    let source = writer.source(&Source { name: "s".into(), ..Source::default() }).unwrap();
    let old = record("A-1", "PyPI", "p", "1.0");
    let new = Record { modified: Some(18_600), ..record("A-1", "PyPI", "p", "2.0") };
    writer.add(source, &old).unwrap();
    writer.add(source, &new).unwrap();
    writer.add(source, &old).unwrap();
    let file = writer.finish(0).unwrap();
    let reader = Reader::open(&file).unwrap();
    assert_eq!(reader.record_count(), 1);
    let found = reader.package("PyPI", "p").unwrap();
    assert_eq!(found.len(), 1);
    let versions: Vec<_> = found[0].events().map(|e| e.unwrap().version.to_owned()).collect();
    assert_eq!(versions, ["0", "2.0", "9.9"]);
}

#[test]
fn the_same_facts_give_the_same_bytes() {
    assert_eq!(sample().1, sample().1);
}

#[test]
fn what_is_no_database_is_refused_with_the_reason() {
    assert!(matches!(Reader::open(b"PK\x03\x04"), Err(DbError::NotADatabase { .. })));
    let (_, file) = sample();
    let cut = Reader::open(&file[..file.len() - 8]).unwrap_err();
    assert!(cut.to_string().contains("cut"), "{cut}");
    let mut other = file.clone();
    other[8] = 99;
    assert!(matches!(Reader::open(&other), Err(DbError::Layout { found: 99, .. })));
    let mut changed = file;
    let last = changed.len() - 20;
    changed[last] ^= 1;
    assert!(Reader::open(&changed).unwrap().verify().is_err());
}

/// Uses everything a reader offers; the results do not matter, that it returns does.
fn exercise(file: &[u8]) {
    let Ok(reader) = Reader::open(file) else { return };
    let _ = reader.verify();
    let _ = (reader.sources(), reader.coverage(), reader.ecosystems(), reader.all_exploited(), reader.all_epss());
    let _ = (reader.records_named("X-001"), reader.exploited("CVE-2021-44228"), reader.epss((2021, 1)));
    for ecosystem in ["Debian:12", "PyPI", "Go"] {
        for i in 0..7 {
            let Ok(found) = reader.package(ecosystem, &format!("package-{i}")) else { continue };
            for affected in found.iter().take(1000) {
                let _ = affected.events().take(1000).filter(Result::is_ok).count();
                let _ = affected.imports().take(1000).filter(Result::is_ok).count();
                if let Ok(record) = reader.record(affected.record) {
                    let _ = (record.id(), record.aliases().take(10).count(), record.scores().take(10).count());
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn flipped_bytes_never_panic(flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24)) {
        let (_, mut file) = sample();
        for (index, value) in flips {
            let at = index.index(file.len());
            file[at] = value;
        }
        exercise(&file);
    }

    #[test]
    fn damaged_headers_never_panic(flips in proptest::collection::vec((8usize..352, any::<u8>()), 1..6)) {
        let (_, mut file) = sample();
        for (at, value) in flips {
            file[at] = value;
        }
        exercise(&file);
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        exercise(&bytes);
    }
}
