//! Reads a database file where it lies. Opening looks at the header alone; every access is checked against the bounds,
//! so a damaged file gives an error, never a panic and never silence.

use crate::error::DbError;
use crate::layout::{
    AFFECTED_NOT_LINUX, COVERS_UNFIXED, DIGEST_AT, EVENT_KIND_SHIFT, EVENT_OPENS_RANGE, EVENT_STRING_MASK,
    EXPLOITED_RANSOMWARE, HEADER_BYTES, LAYOUT, MAGIC, MAX_SECTIONS, NO_DAY, SECTION_ENTRY_BYTES, Section,
};
use crate::model::{Affected, Day, Event, EventKind, ExploitedFact, Informational, Label, Note, Record, Source};
use std::cmp::Ordering;

/// An opened database. Copying it costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    /// Offset and length in bytes of each section, by its number.
    sections: [(usize, usize); Section::ALL.len() + 1],
}

/// Number of a record within a database.
pub type RecordIndex = u32;

/// A source as stored, with the number of its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSource {
    /// Its description.
    pub source: Source,
    /// How many records it has here.
    pub records: u32,
}

/// What a source covers of an ecosystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverage<'a> {
    /// OSV's name of the ecosystem and release.
    pub ecosystem: &'a str,
    /// Number of the source.
    pub source: u32,
    /// Vulnerabilities without a fix are in it too.
    pub knows_unfixed: bool,
    /// Records of this source for this ecosystem.
    pub records: u32,
}

/// One affected entry.
#[derive(Debug, Clone, Copy)]
pub struct AffectedView<'a> {
    reader: Reader<'a>,
    /// The advisory it belongs to.
    pub record: RecordIndex,
    events_first: u32,
    events_count: u32,
    imports_first: u32,
    imports_count: u32,
    flags: u32,
}

/// One advisory.
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    reader: Reader<'a>,
    id: u32,
    list_first: u32,
    counts: [u32; 4],
    /// First publication.
    pub published: Option<Day>,
    /// Last change.
    pub modified: Option<Day>,
    /// Number of its source.
    pub source: u32,
    /// The publisher's severity.
    pub label: Label,
    /// Something other than a vulnerability.
    pub informational: Informational,
}

/// One event where it lies: whether it opens a range, what it says, at which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventView<'a> {
    /// It is the first of a new range.
    pub opens_range: bool,
    /// What happens.
    pub kind: EventKind,
    /// At which version.
    pub version: &'a str,
}

const fn damaged(what: &'static str) -> DbError {
    DbError::Damaged { what }
}

/// The string at an offset of a string section.
pub(crate) fn string_bytes(section: &[u8], at: u32) -> Option<&[u8]> {
    let mut at = usize::try_from(at).ok()?;
    let mut length = 0usize;
    for shift in [0, 7, 14, 21, 28] {
        let byte = *section.get(at)?;
        at += 1;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return section.get(at..at.checked_add(length)?);
        }
    }
    None
}

fn day(number: u32) -> Option<Day> {
    (number != NO_DAY).then_some(number)
}

impl<'a> Reader<'a> {
    /// Opens a database: checks the header and that every section lies within the file. Reads nothing else.
    pub fn open(bytes: &'a [u8]) -> Result<Self, DbError> {
        if bytes.get(..7) != MAGIC.get(..7) {
            return Err(DbError::NotADatabase { why: "it does not start with the mark of one" });
        }
        let word = |at: usize| -> Option<u32> { Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)) };
        let long = |at: usize| -> Option<usize> {
            usize::try_from(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?)).ok()
        };
        let layout = word(8).ok_or(damaged("header"))?;
        if layout != LAYOUT {
            return Err(DbError::Layout { found: layout, expected: LAYOUT });
        }
        if bytes.len() < HEADER_BYTES || long(16) != Some(bytes.len()) {
            return Err(damaged("its length is not the one in its header: the file was cut or appended to"));
        }
        let count = word(12).map_or(0, |n| n as usize);
        if count > MAX_SECTIONS {
            return Err(damaged("section table"));
        }
        let mut sections = [(0, 0); Section::ALL.len() + 1];
        for index in 0..count {
            let at = HEADER_BYTES + index * SECTION_ENTRY_BYTES;
            let entry = (|| Some((word(at)?, word(at + 4)?, long(at + 8)?, long(at + 16)?)))();
            let (kind, item, offset, length) = entry.ok_or(damaged("section table"))?;
            let Some(section) = Section::ALL.into_iter().find(|s| *s as u32 == kind) else { continue };
            let within = offset.checked_add(length).is_some_and(|end| end <= bytes.len());
            let size = section.item_bytes();
            if !within || item as usize != size || !length.is_multiple_of(size) {
                return Err(damaged("section table"));
            }
            if let Some(slot) = sections.get_mut(kind as usize) {
                *slot = (offset, length);
            }
        }
        Ok(Reader { bytes, sections })
    }

    /// Reads the whole file and compares it with its checksum. For use after copying or building, not on every start.
    pub fn verify(&self) -> Result<(), DbError> {
        if Some(&crate::writer::digest_of(self.bytes)[..]) == self.bytes.get(DIGEST_AT) {
            Ok(())
        } else {
            Err(damaged("its content does not agree with its checksum"))
        }
    }

    /// The checksum in the header, in hex: it names this database's content.
    pub fn digest(&self) -> String {
        self.bytes.get(DIGEST_AT).unwrap_or_default().iter().map(|b| format!("{b:02x}")).collect()
    }

    /// When it was made, in seconds since 1970.
    pub fn built(&self) -> i64 {
        self.bytes.get(DIGEST_AT.end..HEADER_BYTES).and_then(|b| b.try_into().ok()).map_or(0, i64::from_le_bytes)
    }

    /// The whole file.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    fn section(&self, section: Section) -> &'a [u8] {
        let (offset, length) = self.sections.get(section as usize).copied().unwrap_or_default();
        self.bytes.get(offset..offset + length).unwrap_or_default()
    }

    fn count(&self, section: Section) -> u32 {
        u32::try_from(self.section(section).len() / section.item_bytes()).unwrap_or(u32::MAX)
    }

    /// Word `field` of item `index` of a section.
    fn word(&self, section: Section, index: u32, field: usize) -> Option<u32> {
        let at = usize::try_from(index).ok()?.checked_mul(section.item_bytes())?.checked_add(field * 4)?;
        Some(u32::from_le_bytes(self.section(section).get(at..at + 4)?.try_into().ok()?))
    }

    fn words<const N: usize>(&self, section: Section, index: u32) -> Result<[u32; N], DbError> {
        let mut out = [0; N];
        for (field, slot) in out.iter_mut().enumerate() {
            *slot = self.word(section, index, field).ok_or(damaged("an index points outside its section"))?;
        }
        Ok(out)
    }

    fn string(&self, at: u32) -> Result<&'a str, DbError> {
        string_bytes(self.section(Section::Strings), at)
            .and_then(|b| std::str::from_utf8(b).ok())
            .ok_or(damaged("a string lies outside its section"))
    }

    fn list(&self, first: u32, count: u32) -> impl Iterator<Item = Result<&'a str, DbError>> + use<'a> {
        let reader = *self;
        (0..count).map(move |i| {
            let index = first.checked_add(i).ok_or(damaged("list"))?;
            reader.string(reader.words::<1>(Section::Lists, index)?[0])
        })
    }

    /// The first of `range` items whose key is not less than the wanted one, by binary search. Items are sorted by the
    /// string that their first word points to.
    fn lower_bound(&self, section: Section, first: u32, count: u32, wanted: &[u8]) -> Result<u32, DbError> {
        let strings = self.section(Section::Strings);
        let (mut low, mut high) = (first, first.checked_add(count).ok_or(damaged("slice"))?);
        while low < high {
            let middle = low + (high - low) / 2;
            let key = self
                .word(section, middle, 0)
                .and_then(|at| string_bytes(strings, at))
                .ok_or(damaged("sorted section"))?;
            match key.cmp(wanted) {
                Ordering::Less => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    fn find(&self, section: Section, first: u32, count: u32, wanted: &str) -> Result<Option<u32>, DbError> {
        let at = self.lower_bound(section, first, count, wanted.as_bytes())?;
        if at >= first.saturating_add(count) {
            return Ok(None);
        }
        let found = self.string(self.words::<1>(section, at)?[0])?;
        Ok((found == wanted).then_some(at))
    }

    /// Sources, in the order of their numbers.
    pub fn sources(&self) -> Result<Vec<StoredSource>, DbError> {
        (0..self.count(Section::Sources))
            .map(|index| {
                let w = self.words::<9>(Section::Sources, index)?;
                let text = |i: usize| self.string(w.get(i).copied().unwrap_or(u32::MAX)).map(str::to_owned);
                let source = Source {
                    name: text(0)?,
                    url: text(1)?,
                    licence: text(2)?,
                    attribution: text(3)?,
                    as_of: text(4)?,
                    covers_until: text(5)?,
                    sha256: text(6)?,
                    knows_unfixed: w[8] & COVERS_UNFIXED != 0,
                };
                Ok(StoredSource { source, records: w[7] })
            })
            .collect()
    }

    /// What is covered, sorted by ecosystem.
    pub fn coverage(&self) -> Result<Vec<Coverage<'a>>, DbError> {
        (0..self.count(Section::Coverage))
            .map(|index| {
                let [name, source, flags, records] = self.words(Section::Coverage, index)?;
                Ok(Coverage {
                    ecosystem: self.string(name)?,
                    source,
                    knows_unfixed: flags & COVERS_UNFIXED != 0,
                    records,
                })
            })
            .collect()
    }

    /// Names of all ecosystems with at least one record, sorted.
    pub fn ecosystems(&self) -> Result<Vec<&'a str>, DbError> {
        (0..self.count(Section::Ecosystems))
            .map(|index| self.string(self.words::<3>(Section::Ecosystems, index)?[0]))
            .collect()
    }

    /// Everything known about a package. `name` must be normalised ([`crate::names::normalise`]).
    pub fn package(&self, ecosystem: &str, name: &str) -> Result<Vec<AffectedView<'a>>, DbError> {
        let Some(at) = self.find(Section::Ecosystems, 0, self.count(Section::Ecosystems), ecosystem)? else {
            return Ok(Vec::new());
        };
        let [_, first, count] = self.words(Section::Ecosystems, at)?;
        let Some(at) = self.find(Section::Packages, first, count, name)? else { return Ok(Vec::new()) };
        let [_, first, count] = self.words(Section::Packages, at)?;
        if count > self.count(Section::Affected) {
            return Err(damaged("package"));
        }
        (0..count).map(|i| self.affected(first.checked_add(i).ok_or(damaged("package"))?)).collect()
    }

    fn affected(&self, index: u32) -> Result<AffectedView<'a>, DbError> {
        let [record, events_first, counts, imports_first, flags] = self.words(Section::Affected, index)?;
        Ok(AffectedView {
            reader: *self,
            record,
            events_first,
            events_count: counts & 0xffff,
            imports_first,
            imports_count: counts >> 16,
            flags,
        })
    }

    /// The number of records.
    pub fn record_count(&self) -> u32 {
        self.count(Section::Records)
    }

    /// A record by its number.
    pub fn record(&self, index: RecordIndex) -> Result<RecordView<'a>, DbError> {
        let [id, list_first, first_counts, second_counts, published, modified, labels] =
            self.words(Section::Records, index)?;
        Ok(RecordView {
            reader: *self,
            id,
            list_first,
            counts: [first_counts & 0xffff, first_counts >> 16, second_counts & 0xffff, second_counts >> 16],
            published: day(published),
            modified: day(modified),
            source: labels >> 16,
            label: Label::from_number((labels & 0xff) as u8),
            informational: Informational::from_number((labels >> 8 & 0xff) as u8),
        })
    }

    /// All records that have this id, or name it as an alias or as the vulnerability they are about.
    pub fn records_named(&self, id: &str) -> Result<Vec<RecordIndex>, DbError> {
        let count = self.count(Section::Ids);
        let mut at = self.lower_bound(Section::Ids, 0, count, id.as_bytes())?;
        let mut out = Vec::new();
        while at < count {
            let [name, record] = self.words(Section::Ids, at)?;
            if self.string(name)? != id {
                break;
            }
            out.push(record);
            at += 1;
        }
        Ok(out)
    }

    /// Whether and since when a vulnerability is known to be exploited.
    pub fn exploited(&self, id: &str) -> Result<Option<ExploitedFact>, DbError> {
        let Some(at) = self.find(Section::Exploited, 0, self.count(Section::Exploited), id)? else { return Ok(None) };
        let [_, added, due, flags] = self.words(Section::Exploited, at)?;
        Ok(Some(ExploitedFact { added: day(added), due: day(due), ransomware: flags & EXPLOITED_RANSOMWARE != 0 }))
    }

    /// The number of vulnerabilities known to be exploited.
    pub fn exploited_count(&self) -> u32 {
        self.count(Section::Exploited)
    }

    /// Every vulnerability known to be exploited.
    pub fn all_exploited(&self) -> Result<Vec<(String, ExploitedFact)>, DbError> {
        (0..self.count(Section::Exploited))
            .map(|index| {
                let [id, added, due, flags] = self.words(Section::Exploited, index)?;
                let fact =
                    ExploitedFact { added: day(added), due: day(due), ransomware: flags & EXPLOITED_RANSOMWARE != 0 };
                Ok((self.string(id)?.to_owned(), fact))
            })
            .collect()
    }

    /// Probability of exploitation and percentile, both in millionths.
    pub fn epss(&self, cve: (u32, u32)) -> Result<Option<(u32, u32)>, DbError> {
        let (mut low, mut high) = (0, self.count(Section::Epss));
        while low < high {
            let middle = low + (high - low) / 2;
            let [year, number, probability, percentile] = self.words(Section::Epss, middle)?;
            match (year, number).cmp(&cve) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Some((probability, percentile))),
            }
        }
        Ok(None)
    }

    /// The number of exploit prediction scores.
    pub fn epss_count(&self) -> u32 {
        self.count(Section::Epss)
    }

    /// Every exploit prediction score: year, number, probability and percentile in millionths.
    pub fn all_epss(&self) -> Result<Vec<[u32; 4]>, DbError> {
        (0..self.count(Section::Epss)).map(|index| self.words(Section::Epss, index)).collect()
    }

    /// Every affected entry with its ecosystem and package name: the way back from file to [`Record`].
    pub fn all_affected(&self) -> Result<Vec<(&'a str, &'a str, AffectedView<'a>)>, DbError> {
        let mut out = Vec::new();
        for index in 0..self.count(Section::Ecosystems) {
            let [ecosystem, first, count] = self.words(Section::Ecosystems, index)?;
            let ecosystem = self.string(ecosystem)?;
            for package in first..first.checked_add(count).ok_or(damaged("ecosystem"))? {
                let [name, affected_first, affected_count] = self.words(Section::Packages, package)?;
                let name = self.string(name)?;
                for index in affected_first..affected_first.checked_add(affected_count).ok_or(damaged("package"))? {
                    out.push((ecosystem, name, self.affected(index)?));
                }
            }
        }
        Ok(out)
    }

    /// The records with these numbers as values, each with the number of its source, in the order given. Reads every
    /// affected entry: for questions about single advisories, not for matching.
    pub fn describe(&self, indexes: &[RecordIndex]) -> Result<Vec<(u32, Record)>, DbError> {
        let mut out = Vec::with_capacity(indexes.len());
        for index in indexes {
            let view = self.record(*index)?;
            out.push((view.source, view.to_record()?));
        }
        for (ecosystem, name, affected) in self.all_affected()? {
            let place = indexes.iter().position(|i| *i == affected.record);
            if let Some((_, record)) = place.and_then(|p| out.get_mut(p)) {
                record.affected.push(affected.to_affected(ecosystem, name)?);
            }
        }
        Ok(out)
    }

    /// Every record as a value, with the number of its source, in the order of their numbers.
    pub fn to_records(&self) -> Result<Vec<(u32, Record)>, DbError> {
        let mut records: Vec<(u32, Record)> = (0..self.record_count())
            .map(|index| {
                let view = self.record(index)?;
                Ok((view.source, view.to_record()?))
            })
            .collect::<Result<_, DbError>>()?;
        for (ecosystem, name, affected) in self.all_affected()? {
            let slot = records.get_mut(affected.record as usize).ok_or(damaged("affected"))?;
            slot.1.affected.push(affected.to_affected(ecosystem, name)?);
        }
        Ok(records)
    }
}

impl<'a> AffectedView<'a> {
    /// The publisher's severity for this package.
    pub fn label(&self) -> Label {
        Label::from_number((self.flags & 0xff) as u8)
    }

    /// The distribution's handling.
    pub fn note(&self) -> Note {
        Note::from_number((self.flags >> 8 & 0xff) as u8)
    }

    /// The facts concern other operating systems only.
    pub fn not_linux(&self) -> bool {
        self.flags & AFFECTED_NOT_LINUX != 0
    }

    /// Its events in stored order.
    pub fn events(&self) -> impl Iterator<Item = Result<EventView<'a>, DbError>> + use<'a> {
        let (reader, first) = (self.reader, self.events_first);
        (0..self.events_count).map(move |i| {
            let index = first.checked_add(i).ok_or(damaged("events"))?;
            let packed = reader.words::<1>(Section::Events, index)?[0];
            Ok(EventView {
                opens_range: packed & EVENT_OPENS_RANGE != 0,
                kind: EventKind::from_number((packed & !EVENT_OPENS_RANGE) >> EVENT_KIND_SHIFT)
                    .ok_or(damaged("event"))?,
                version: reader.string(packed & EVENT_STRING_MASK)?,
            })
        })
    }

    /// Parts of the package that must be in use.
    pub fn imports(&self) -> impl Iterator<Item = Result<&'a str, DbError>> + use<'a> {
        self.reader.list(self.imports_first, self.imports_count)
    }

    fn to_affected(self, ecosystem: &str, name: &str) -> Result<Affected, DbError> {
        let mut ranges: Vec<Vec<Event>> = Vec::new();
        for event in self.events() {
            let event = event?;
            if event.opens_range || ranges.is_empty() {
                ranges.push(Vec::new());
            }
            if let Some(range) = ranges.last_mut() {
                range.push(Event { kind: event.kind, version: event.version.to_owned() });
            }
        }
        Ok(Affected {
            ecosystem: ecosystem.to_owned(),
            name: name.to_owned(),
            ranges,
            label: self.label(),
            note: self.note(),
            not_linux: self.not_linux(),
            imports: self.imports().map(|r| r.map(str::to_owned)).collect::<Result<_, _>>()?,
        })
    }
}

impl<'a> RecordView<'a> {
    /// The publisher's id.
    pub fn id(&self) -> Result<&'a str, DbError> {
        self.reader.string(self.id)
    }

    fn part(&self, which: usize) -> impl Iterator<Item = Result<&'a str, DbError>> + use<'a> {
        let before: u32 = self.counts.iter().take(which).sum();
        self.reader.list(self.list_first.saturating_add(before), self.counts.get(which).copied().unwrap_or(0))
    }

    /// Other names of the same vulnerability.
    pub fn aliases(&self) -> impl Iterator<Item = Result<&'a str, DbError>> + use<'a> {
        self.part(0)
    }

    /// The vulnerabilities that it is about.
    pub fn upstream(&self) -> impl Iterator<Item = Result<&'a str, DbError>> + use<'a> {
        self.part(1)
    }

    /// Addresses.
    pub fn references(&self) -> impl Iterator<Item = Result<&'a str, DbError>> + use<'a> {
        self.part(2)
    }

    /// CVSS vectors, or `v3=9.8` where only a score is known.
    pub fn scores(&self) -> impl Iterator<Item = Result<&'a str, DbError>> + use<'a> {
        self.part(3)
    }

    fn to_record(self) -> Result<Record, DbError> {
        let owned = |part: usize| self.part(part).map(|r| r.map(str::to_owned)).collect::<Result<Vec<_>, _>>();
        Ok(Record {
            id: self.id()?.to_owned(),
            aliases: owned(0)?,
            upstream: owned(1)?,
            references: owned(2)?,
            scores: owned(3)?,
            published: self.published,
            modified: self.modified,
            label: self.label,
            informational: self.informational,
            affected: Vec::new(),
        })
    }
}
