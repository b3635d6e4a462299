//! `secdb`, the security database of Alpine (<https://secdb.alpinelinux.org/>), Wolfi and Chainguard: for each source
//! package the versions that fixed something. What is not fixed is not in it.

use super::{Batch, described, sha256_hex};
use crate::error::DbError;
use crate::model::{Affected, Event, EventKind, Record};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Database {
    #[serde(default)]
    distroversion: String,
    #[serde(default)]
    urlprefix: String,
    #[serde(default)]
    apkurl: String,
    #[serde(default)]
    packages: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    pkg: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    /// Fixed version and what it fixes; an empty list comes as `null`.
    #[serde(default)]
    secfixes: BTreeMap<String, Option<Vec<String>>>,
}

pub(super) fn read(batch: &mut Batch, name: &str, bytes: &[u8], day: &str) -> Result<(), DbError> {
    let database: Database =
        serde_json::from_slice(bytes).map_err(|e| DbError::input(name, format!("not a secdb: {e}")))?;
    let place = format!("{} {}", database.urlprefix, database.apkurl);
    let (source, ecosystem) = if place.contains("wolfi") {
        ("Wolfi", "Wolfi".to_owned())
    } else if place.contains("cgr.dev") || place.contains("chainguard") {
        ("Chainguard", "Chainguard".to_owned())
    } else if !database.distroversion.is_empty() {
        let release = database.distroversion.trim_end_matches("-main").trim_end_matches("-community");
        ("Alpine", format!("Alpine:{release}"))
    } else {
        return Err(DbError::input(name, "a secdb that does not say of which distribution it is"));
    };
    let described = described(source, &sha256_hex(bytes), day, false);
    for Entry { pkg } in database.packages {
        for (version, ids) in pkg.secfixes {
            // Version "0" lists what never concerned the package.
            if version == "0" {
                continue;
            }
            // One entry may hold several ids: "CVE-2019-1 XSA-2".
            for id in ids.iter().flatten().flat_map(|text| text.split_whitespace()) {
                batch.add(described.clone(), record(source, id, &ecosystem, &pkg.name, &version));
            }
        }
    }
    Ok(())
}

fn record(source: &str, id: &str, ecosystem: &str, package: &str, version: &str) -> Record {
    let prefix = source.to_ascii_uppercase();
    let upstream = vec![id.to_owned()];
    let events = vec![
        Event { kind: EventKind::Introduced, version: "0".to_owned() },
        Event { kind: EventKind::Fixed, version: version.to_owned() },
    ];
    let affected = Affected {
        ecosystem: ecosystem.to_owned(),
        name: package.to_owned(),
        ranges: vec![events],
        ..Affected::default()
    };
    Record { id: format!("{prefix}-{id}"), upstream, affected: vec![affected], ..Record::default() }
}
