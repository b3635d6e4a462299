//! Numbers of the file format, shared by reader and writer. Described in `docs/advisory-db.md`.
//!
//! All integers are little-endian. Everything is found by offset, nothing is parsed at open.

/// First eight bytes of every database file.
pub const MAGIC: [u8; 8] = *b"STKDADV\x01";
/// Layout number; changes whenever a reader of the old one could misread the new one.
pub const LAYOUT: u32 = 1;
/// Bytes of the header before the section table.
pub const HEADER_BYTES: usize = 64;
/// Where the SHA-256 of the rest lies within the header.
pub const DIGEST_AT: std::ops::Range<usize> = 24..56;
/// Bytes of one entry of the section table: kind u32, item size u32, offset u64, length u64.
pub const SECTION_ENTRY_BYTES: usize = 24;
/// Most sections a file may have; bounds the work at open.
pub const MAX_SECTIONS: usize = 32;

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Section {
    /// Length-prefixed strings (LEB128 length, then UTF-8), each once.
    Strings = 1,
    /// One item a source: where facts come from.
    Sources = 2,
    /// One item for each pair of ecosystem and source: what is covered, and how far.
    Coverage = 3,
    /// Sorted by name: ecosystems and their slice of the packages.
    Ecosystems = 4,
    /// Sorted by ecosystem, then name: packages and their slice of the affected entries.
    Packages = 5,
    /// What is affected: a record, its events, its flags.
    Affected = 6,
    /// Packed version events.
    Events = 7,
    /// Advisories.
    Records = 8,
    /// String offsets: aliases, upstream ids, references, scores, imports.
    Lists = 9,
    /// Sorted by id: every id and alias, and the record that carries it.
    Ids = 10,
    /// Sorted by id: vulnerabilities known to be exploited.
    Exploited = 11,
    /// Sorted by year and number: exploit prediction scores.
    Epss = 12,
}

impl Section {
    /// All kinds, in the order in which they are written.
    pub const ALL: [Section; 12] = [
        Section::Strings,
        Section::Sources,
        Section::Coverage,
        Section::Ecosystems,
        Section::Packages,
        Section::Affected,
        Section::Events,
        Section::Records,
        Section::Lists,
        Section::Ids,
        Section::Exploited,
        Section::Epss,
    ];

    /// Bytes of one item; 1 for [`Section::Strings`].
    pub const fn item_bytes(self) -> usize {
        match self {
            Section::Strings => 1,
            Section::Sources => 36,
            Section::Coverage => 16,
            Section::Ecosystems => 12,
            Section::Packages => 12,
            Section::Affected => 20,
            Section::Events => 4,
            Section::Records => 28,
            Section::Lists => 4,
            Section::Ids => 8,
            Section::Exploited => 16,
            Section::Epss => 16,
        }
    }
}

/// Bit 31 of an event: it opens a new range.
pub const EVENT_OPENS_RANGE: u32 = 1 << 31;
/// Position of the three bits of an event that tell its kind.
pub const EVENT_KIND_SHIFT: u32 = 28;
/// Bits of an event that hold the string offset of its version.
pub const EVENT_STRING_MASK: u32 = (1 << EVENT_KIND_SHIFT) - 1;
/// Largest string section: an event must be able to point to each of its bytes.
pub const MAX_STRING_BYTES: usize = EVENT_STRING_MASK as usize;

/// Flag of a coverage item: vulnerabilities without a fix are in the source too.
pub const COVERS_UNFIXED: u32 = 1;
/// Flag of an affected entry: it does not concern Linux.
pub const AFFECTED_NOT_LINUX: u32 = 1 << 16;
/// Flag of an exploited item: used by ransomware.
pub const EXPLOITED_RANSOMWARE: u32 = 1;
/// A day that is not known.
pub const NO_DAY: u32 = u32::MAX;
