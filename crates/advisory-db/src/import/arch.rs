//! Arch Linux's security tracker (<https://security.archlinux.org/issues/all.json>).

use super::{Batch, described, sha256_hex};
use crate::error::DbError;
use crate::model::{Affected, Event, EventKind, Label, Note, Record};
use serde::Deserialize;

#[derive(Deserialize)]
struct Group {
    name: String,
    packages: Vec<String>,
    #[serde(default)]
    status: String,
    #[serde(default)]
    severity: String,
    fixed: Option<String>,
    #[serde(default)]
    issues: Vec<String>,
}

pub(super) fn read(batch: &mut Batch, name: &str, bytes: &[u8], day: &str) -> Result<(), DbError> {
    let groups: Vec<Group> =
        serde_json::from_slice(bytes).map_err(|e| DbError::input(name, format!("not Arch's tracker: {e}")))?;
    let source = described("Arch", &sha256_hex(bytes), day, true);
    for group in groups {
        let note = match group.status.as_str() {
            "Not affected" => continue,
            "Unknown" => Note::Undetermined,
            _ => Note::None,
        };
        let mut events = vec![Event { kind: EventKind::Introduced, version: "0".to_owned() }];
        // Without a fix every later version is affected until it is said otherwise.
        events.extend(group.fixed.map(|version| Event { kind: EventKind::Fixed, version }));
        let affected = group.packages.into_iter().map(|package| Affected {
            ecosystem: "Arch Linux".to_owned(),
            name: package,
            ranges: vec![events.clone()],
            note,
            ..Affected::default()
        });
        batch.add(
            source.clone(),
            Record {
                id: group.name,
                upstream: group.issues,
                label: Label::from_word(&group.severity),
                affected: affected.collect(),
                ..Record::default()
            },
        );
    }
    Ok(())
}
