//! Makes a database file from sources and their records. The output depends on the input alone: same facts, same bytes.

use crate::error::DbError;
use crate::import::epss::Score;
use crate::layout::{
    AFFECTED_NOT_LINUX, COVERS_UNFIXED, DIGEST_AT, EVENT_KIND_SHIFT, EVENT_OPENS_RANGE, EXPLOITED_RANSOMWARE,
    HEADER_BYTES, LAYOUT, MAGIC, MAX_STRING_BYTES, NO_DAY, SECTION_ENTRY_BYTES, Section,
};
use crate::model::{Affected, ExploitedFact, Record, Source};
use crate::names::normalise;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// Number of a source within the database being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(u32);

/// Collects facts; [`Writer::finish`] makes the file.
#[derive(Debug, Default)]
pub struct Writer {
    strings: Pool,
    sources: Vec<SourceRow>,
    records: Vec<RecordRow>,
    by_id: HashMap<u32, usize>,
    lists: Vec<u32>,
    affected: Vec<AffectedRow>,
    events: Vec<u32>,
    exploited: BTreeMap<String, ExploitedFact>,
    epss: BTreeMap<(u32, u32), (u32, u32)>,
}

#[derive(Debug, Default)]
struct Pool {
    bytes: Vec<u8>,
    known: HashMap<String, u32>,
}

#[derive(Debug)]
struct SourceRow {
    fields: [u32; 7],
    knows_unfixed: bool,
    records: u32,
}

#[derive(Debug)]
struct RecordRow {
    dead: bool,
    source: u32,
    id: u32,
    list_first: u32,
    /// Aliases, upstream ids, references, scores.
    counts: [u16; 4],
    published: u32,
    modified: u32,
    labels: u32,
}

#[derive(Debug)]
struct AffectedRow {
    record: usize,
    ecosystem: String,
    name: String,
    events_first: u32,
    events_count: u16,
    imports_first: u32,
    imports_count: u16,
    flags: u32,
}

impl Pool {
    fn put(&mut self, text: &str) -> Result<u32, DbError> {
        if let Some(at) = self.known.get(text) {
            return Ok(*at);
        }
        let at = u32::try_from(self.bytes.len()).map_err(|_| DbError::TooLarge { what: "strings" })?;
        let mut length = text.len();
        while length >= 0x80 {
            self.bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        self.bytes.push(length as u8);
        self.bytes.extend_from_slice(text.as_bytes());
        if self.bytes.len() > MAX_STRING_BYTES {
            return Err(DbError::TooLarge { what: "256 MiB of strings" });
        }
        self.known.insert(text.to_owned(), at);
        Ok(at)
    }

    /// The string at an offset that [`Pool::put`] returned.
    fn get(&self, at: u32) -> &[u8] {
        crate::reader::string_bytes(&self.bytes, at).unwrap_or_default()
    }
}

fn count16(n: usize, what: &'static str) -> Result<u16, DbError> {
    u16::try_from(n).map_err(|_| DbError::TooLarge { what })
}

fn count32(n: usize, what: &'static str) -> Result<u32, DbError> {
    u32::try_from(n).map_err(|_| DbError::TooLarge { what })
}

impl Writer {
    /// An empty database.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a source; its records follow with [`Writer::add`].
    pub fn source(&mut self, source: &Source) -> Result<SourceId, DbError> {
        let texts = [
            &source.name,
            &source.url,
            &source.licence,
            &source.attribution,
            &source.as_of,
            &source.covers_until,
            &source.sha256,
        ];
        let mut fields = [0; 7];
        for (field, text) in fields.iter_mut().zip(texts) {
            *field = self.strings.put(text)?;
        }
        self.sources.push(SourceRow { fields, knows_unfixed: source.knows_unfixed, records: 0 });
        Ok(SourceId(count32(self.sources.len() - 1, "sources")?))
    }

    /// Adds an advisory. One with the same id replaces the earlier one unless it is older.
    pub fn add(&mut self, source: SourceId, record: &Record) -> Result<(), DbError> {
        let id = self.strings.put(&record.id)?;
        let modified = record.modified.unwrap_or(NO_DAY);
        if let Some(earlier) = self.by_id.get(&id).and_then(|i| self.records.get_mut(*i)) {
            if record.modified.is_some() && earlier.modified != NO_DAY && earlier.modified > modified {
                return Ok(());
            }
            earlier.dead = true;
        }
        let index = self.records.len();
        let (list_first, counts) = self.put_lists(record)?;
        self.records.push(RecordRow {
            dead: false,
            source: source.0,
            id,
            list_first,
            counts,
            published: record.published.unwrap_or(NO_DAY),
            modified,
            labels: record.label as u32 | (record.informational as u32) << 8,
        });
        self.by_id.insert(id, index);
        record.affected.iter().try_for_each(|a| self.add_affected(index, a))
    }

    fn put_lists(&mut self, record: &Record) -> Result<(u32, [u16; 4]), DbError> {
        let first = count32(self.lists.len(), "lists")?;
        let mut counts = [0; 4];
        let lists = [&record.aliases, &record.upstream, &record.references, &record.scores];
        for (count, list) in counts.iter_mut().zip(lists) {
            *count = count16(list.len(), "65535 names of one advisory")?;
            for text in list {
                let at = self.strings.put(text)?;
                self.lists.push(at);
            }
        }
        Ok((first, counts))
    }

    fn add_affected(&mut self, record: usize, affected: &Affected) -> Result<(), DbError> {
        let events_first = count32(self.events.len(), "events")?;
        for range in &affected.ranges {
            let mut opens = EVENT_OPENS_RANGE;
            for event in range {
                let version = self.strings.put(&event.version)?;
                self.events.push(opens | (event.kind as u32) << EVENT_KIND_SHIFT | version);
                opens = 0;
            }
        }
        let imports_first = count32(self.lists.len(), "lists")?;
        for import in &affected.imports {
            let at = self.strings.put(import)?;
            self.lists.push(at);
        }
        let not_linux = if affected.not_linux { AFFECTED_NOT_LINUX } else { 0 };
        self.affected.push(AffectedRow {
            record,
            ecosystem: affected.ecosystem.clone(),
            name: normalise(&affected.ecosystem, &affected.name).into_owned(),
            events_first,
            events_count: count16(self.events.len() - events_first as usize, "65535 version events of one package")?,
            imports_first,
            imports_count: count16(affected.imports.len(), "65535 imports of one package")?,
            flags: affected.label as u32 | (affected.note as u32) << 8 | not_linux,
        });
        Ok(())
    }

    /// Adds facts about exploited vulnerabilities; later facts replace earlier ones of the same id.
    pub fn exploited(&mut self, facts: impl IntoIterator<Item = (String, ExploitedFact)>) {
        self.exploited.extend(facts);
    }

    /// Adds exploit prediction scores; later ones replace earlier ones of the same id.
    pub fn epss(&mut self, scores: impl IntoIterator<Item = Score>) {
        self.epss.extend(scores.into_iter().map(|s| (s.cve, (s.probability_ppm, s.percentile_ppm))));
    }

    /// Makes the file. `built` is the time it says it was made at, in seconds since 1970; use the newest fact's day
    /// where the same input must give the same bytes.
    pub fn finish(mut self, built: i64) -> Result<Vec<u8>, DbError> {
        let new_index = self.bury_dead()?;
        let mut sections: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        let mut put = |section: Section, bytes: Vec<u8>| {
            sections.insert(section as u32, bytes);
        };
        let coverage = self.coverage()?;
        let [ecosystems, packages, affected] = self.packages(&new_index)?;
        put(Section::Coverage, coverage);
        put(Section::Ecosystems, ecosystems);
        put(Section::Packages, packages);
        put(Section::Affected, affected);
        put(Section::Sources, self.source_items());
        put(Section::Records, self.record_items());
        put(Section::Ids, self.id_items(&new_index));
        put(Section::Exploited, self.exploited_items()?);
        put(Section::Epss, words(self.epss.iter().flat_map(|(k, v)| [k.0, k.1, v.0, v.1])));
        put(Section::Events, words(self.events.iter().copied()));
        put(Section::Lists, words(self.lists.iter().copied()));
        put(Section::Strings, std::mem::take(&mut self.strings.bytes));
        assemble(&sections, built)
    }

    /// Numbers the records that stay; counts them for their sources.
    fn bury_dead(&mut self) -> Result<Vec<Option<u32>>, DbError> {
        let mut next = 0u32;
        let mut new_index = Vec::with_capacity(self.records.len());
        for record in &self.records {
            if record.dead {
                new_index.push(None);
                continue;
            }
            new_index.push(Some(next));
            next = next.checked_add(1).ok_or(DbError::TooLarge { what: "records" })?;
            if let Some(source) = self.sources.get_mut(record.source as usize) {
                source.records += 1;
            }
        }
        let records = &self.records;
        self.affected.retain(|a| records.get(a.record).is_some_and(|r| !r.dead));
        Ok(new_index)
    }

    fn coverage(&mut self) -> Result<Vec<u8>, DbError> {
        let mut counts: BTreeMap<(String, u32), (u32, usize)> = BTreeMap::new();
        for affected in &self.affected {
            let Some(source) = self.records.get(affected.record).map(|r| r.source) else { continue };
            let entry = counts.entry((affected.ecosystem.clone(), source)).or_insert((0, usize::MAX));
            // A record is counted once for an ecosystem: its affected entries follow each other.
            if entry.1 != affected.record {
                *entry = (entry.0 + 1, affected.record);
            }
        }
        let mut out = Vec::new();
        for ((ecosystem, source), (count, _)) in counts {
            let name = self.strings.put(&ecosystem)?;
            let unfixed = self.sources.get(source as usize).is_some_and(|s| s.knows_unfixed);
            push_words(&mut out, &[name, source, if unfixed { COVERS_UNFIXED } else { 0 }, count]);
        }
        Ok(out)
    }

    fn packages(&mut self, new_index: &[Option<u32>]) -> Result<[Vec<u8>; 3], DbError> {
        self.affected.sort_by(|a, b| (&a.ecosystem, &a.name, a.record).cmp(&(&b.ecosystem, &b.name, b.record)));
        let (mut ecosystems, mut packages, mut affected) = (Vec::new(), Vec::new(), Vec::new());
        let (mut package_count, mut affected_count) = (0u32, 0u32);
        for group in self.affected.chunk_by(|a, b| a.ecosystem == b.ecosystem) {
            let Some(ecosystem) = group.first().map(|a| &a.ecosystem) else { continue };
            let first_package = package_count;
            for rows in group.chunk_by(|a, b| a.name == b.name) {
                let Some(name) = rows.first().map(|a| &a.name) else { continue };
                let name = self.strings.put(name)?;
                push_words(&mut packages, &[name, affected_count, count32(rows.len(), "affected entries")?]);
                for row in rows {
                    let Some(record) = new_index.get(row.record).copied().flatten() else { continue };
                    let counts = u32::from(row.events_count) | u32::from(row.imports_count) << 16;
                    push_words(&mut affected, &[record, row.events_first, counts, row.imports_first, row.flags]);
                    affected_count =
                        affected_count.checked_add(1).ok_or(DbError::TooLarge { what: "affected entries" })?;
                }
                package_count += 1;
            }
            let name = self.strings.put(ecosystem)?;
            push_words(&mut ecosystems, &[name, first_package, package_count - first_package]);
        }
        Ok([ecosystems, packages, affected])
    }

    fn source_items(&self) -> Vec<u8> {
        let flag = |s: &SourceRow| if s.knows_unfixed { COVERS_UNFIXED } else { 0 };
        words(self.sources.iter().flat_map(|s| s.fields.into_iter().chain([s.records, flag(s)])))
    }

    fn record_items(&self) -> Vec<u8> {
        let pair = |a: u16, b: u16| u32::from(a) | u32::from(b) << 16;
        words(self.records.iter().filter(|r| !r.dead).flat_map(|r| {
            let [aliases, upstream, references, scores] = r.counts;
            let labels = r.labels | r.source << 16;
            [r.id, r.list_first, pair(aliases, upstream), pair(references, scores), r.published, r.modified, labels]
        }))
    }

    fn id_items(&self, new_index: &[Option<u32>]) -> Vec<u8> {
        let mut ids: Vec<(u32, u32)> = Vec::new();
        for (record, new) in self.records.iter().zip(new_index) {
            let Some(new) = new else { continue };
            ids.push((record.id, *new));
            let first = record.list_first as usize;
            let names = usize::from(record.counts[0]) + usize::from(record.counts[1]);
            ids.extend(self.lists.get(first..first + names).into_iter().flatten().map(|at| (*at, *new)));
        }
        ids.sort_by(|a, b| self.strings.get(a.0).cmp(self.strings.get(b.0)).then(a.1.cmp(&b.1)));
        ids.dedup();
        words(ids.into_iter().flat_map(|(id, record)| [id, record]))
    }

    fn exploited_items(&mut self) -> Result<Vec<u8>, DbError> {
        let mut out = Vec::new();
        for (id, fact) in std::mem::take(&mut self.exploited) {
            let at = self.strings.put(&id)?;
            let flags = if fact.ransomware { EXPLOITED_RANSOMWARE } else { 0 };
            push_words(&mut out, &[at, fact.added.unwrap_or(NO_DAY), fact.due.unwrap_or(NO_DAY), flags]);
        }
        Ok(out)
    }
}

fn push_words(out: &mut Vec<u8>, items: &[u32]) {
    for item in items {
        out.extend_from_slice(&item.to_le_bytes());
    }
}

fn words(items: impl Iterator<Item = u32>) -> Vec<u8> {
    let mut out = Vec::with_capacity(items.size_hint().0 * 4);
    for item in items {
        out.extend_from_slice(&item.to_le_bytes());
    }
    out
}

fn assemble(sections: &BTreeMap<u32, Vec<u8>>, built: i64) -> Result<Vec<u8>, DbError> {
    let body_at = HEADER_BYTES + sections.len() * SECTION_ENTRY_BYTES;
    let total = body_at + sections.values().map(|s| s.len().next_multiple_of(8)).sum::<usize>();
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&LAYOUT.to_le_bytes());
    out.extend_from_slice(&count32(sections.len(), "sections")?.to_le_bytes());
    out.extend_from_slice(&(total as u64).to_le_bytes());
    out.extend_from_slice(&[0; 32]);
    out.extend_from_slice(&built.to_le_bytes());
    let mut offset = body_at;
    for section in Section::ALL {
        let Some(bytes) = sections.get(&(section as u32)) else { continue };
        out.extend_from_slice(&(section as u32).to_le_bytes());
        out.extend_from_slice(&(section.item_bytes() as u32).to_le_bytes());
        out.extend_from_slice(&(offset as u64).to_le_bytes());
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        offset += bytes.len().next_multiple_of(8);
    }
    for section in Section::ALL {
        let Some(bytes) = sections.get(&(section as u32)) else { continue };
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(8), 0);
    }
    let digest = digest_of(&out);
    if let Some(place) = out.get_mut(DIGEST_AT) {
        place.copy_from_slice(&digest);
    }
    Ok(out)
}

/// SHA-256 of a database: everything before and after the field that holds it.
pub(crate) fn digest_of(file: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(file.get(..DIGEST_AT.start).unwrap_or_default());
    hash.update(file.get(DIGEST_AT.end..).unwrap_or_default());
    hash.finalize().into()
}
