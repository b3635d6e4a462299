//! An update: what was there, and what a batch says, become one new database.

use super::{Batch, SourceBatch};
use crate::error::DbError;
use crate::model::{ExploitedFact, Record, Source};
use crate::reader::Reader;
use crate::writer::Writer;
use std::collections::{BTreeMap, BTreeSet};

/// Merges a batch into a database (or into nothing) and makes the file. `built` is the time of making, in seconds since
/// 1970.
///
/// Records of a source that the batch has too are replaced one by one; records that their publishers took back go.
/// Where a source knows the unfixed vulnerabilities of an ecosystem, and has no fewer records of it, sources that hold
/// fixed ones only lose their entries for it: they would say the same with less certainty.
/// # Errors
/// When the base is damaged, or a limit of the layout is passed.
pub fn merge(base: Option<Reader<'_>>, batch: Batch, built: i64) -> Result<Vec<u8>, DbError> {
    let Batch { sources, withdrawn, exploited, epss, .. } = batch;
    let mut all: BTreeMap<String, SourceBatch> = BTreeMap::new();
    let mut bare: Vec<Source> = Vec::new();
    let mut known_exploited: Vec<(String, ExploitedFact)> = Vec::new();
    let mut writer = Writer::new();
    if let Some(reader) = base {
        let stored = reader.sources()?;
        for (number, record) in reader.to_records()? {
            let Some(source) = stored.get(number as usize) else { continue };
            let slot = all.entry(source.source.name.clone()).or_default();
            slot.source = source.source.clone();
            slot.records.insert(record.id.clone(), record);
        }
        bare.extend(stored.into_iter().map(|s| s.source).filter(|s| !all.contains_key(&s.name)));
        known_exploited = reader.all_exploited()?;
        if epss.is_none() {
            writer.epss(reader.all_epss()?.into_iter().map(|[year, number, probability_ppm, percentile_ppm]| {
                super::epss::Score { cve: (year, number), probability_ppm, percentile_ppm }
            }));
        }
    }
    for (name, new) in sources {
        let slot = all.entry(name).or_default();
        slot.source = Source { as_of: new.source.as_of.clone().max(slot.source.as_of.clone()), ..new.source };
        slot.records.extend(new.records);
    }
    for source in all.values_mut() {
        source.records.retain(|id, _| !withdrawn.contains(id));
    }
    drop_superseded(&mut all);
    if let Some((source, facts)) = exploited {
        bare.retain(|s| s.name != source.name);
        bare.push(source);
        known_exploited = facts;
    }
    writer.exploited(known_exploited);
    if let Some((source, scores)) = epss {
        bare.retain(|s| s.name != source.name);
        bare.push(source);
        writer.epss(scores);
    }
    for SourceBatch { source, records } in all.values() {
        let id = writer.source(source)?;
        records.values().try_for_each(|r| writer.add(id, r))?;
    }
    for source in &bare {
        writer.source(source)?;
    }
    writer.finish(built)
}

fn drop_superseded(all: &mut BTreeMap<String, SourceBatch>) {
    let mut complete: BTreeMap<String, usize> = BTreeMap::new();
    for source in all.values().filter(|s| s.source.knows_unfixed) {
        for (ecosystem, records) in count(source) {
            let most = complete.entry(ecosystem).or_default();
            *most = records.max(*most);
        }
    }
    for source in all.values_mut().filter(|s| !s.source.knows_unfixed) {
        // A fragment of a complete source replaces nothing.
        let own = count(source);
        let superseded =
            |ecosystem: &str| complete.get(ecosystem).is_some_and(|n| own.get(ecosystem).is_some_and(|own| n >= own));
        source.records.retain(|_, record: &mut Record| {
            let before = record.affected.len();
            record.affected.retain(|a| !superseded(&a.ecosystem));
            before == 0 || !record.affected.is_empty()
        });
    }
    all.retain(|_, s| !s.records.is_empty());
}

/// How many records a source has of each ecosystem.
fn count(source: &SourceBatch) -> BTreeMap<String, usize> {
    let mut out: BTreeMap<String, usize> = BTreeMap::new();
    for record in source.records.values() {
        let ecosystems: BTreeSet<&String> = record.affected.iter().map(|a| &a.ecosystem).collect();
        for ecosystem in ecosystems {
            *out.entry(ecosystem.clone()).or_default() += 1;
        }
    }
    out
}
