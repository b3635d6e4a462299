//! A package header: an index of tags and a store of values (RPM's "package file format", header structure).

use super::big;

/// Entries of the index; RPM's own bound is 65,535.
const MAX_TAGS: u64 = 65_535;

const STRING: u64 = 6;
const STRING_ARRAY: u64 = 8;
const I18N_STRING: u64 = 9;
const INT32: u64 = 4;

/// Tags that are read (rpmtag.h).
pub mod tag {
    #![allow(missing_docs)]
    pub const NAME: u64 = 1000;
    pub const VERSION: u64 = 1001;
    pub const RELEASE: u64 = 1002;
    pub const EPOCH: u64 = 1003;
    pub const VENDOR: u64 = 1011;
    pub const LICENSE: u64 = 1014;
    pub const ARCH: u64 = 1022;
    pub const SOURCE_RPM: u64 = 1044;
    pub const DIR_INDEXES: u64 = 1116;
    pub const BASE_NAMES: u64 = 1117;
    pub const DIR_NAMES: u64 = 1118;
    pub const MODULARITY_LABEL: u64 = 5096;
}

/// A parsed header that borrows its values.
pub struct Header<'a> {
    index: &'a [u8],
    store: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the two lengths and splits the blob. `None` when they do not fit it.
    pub fn parse(blob: &'a [u8]) -> Option<Self> {
        let (tags, bytes) = (big(blob.get(..4)?), big(blob.get(4..8)?));
        if tags == 0 || tags > MAX_TAGS {
            return None;
        }
        let split = 8 + usize::try_from(tags).ok()? * 16;
        let end = split.checked_add(usize::try_from(bytes).ok()?)?;
        Some(Self { index: blob.get(8..split)?, store: blob.get(split..end)? })
    }

    /// Type, values from their start, count.
    fn find(&self, tag: u64) -> Option<(u64, &'a [u8], usize)> {
        let entry = self.index.chunks_exact(16).find(|e| e.get(..4).is_some_and(|t| big(t) == tag))?;
        let offset = usize::try_from(big(entry.get(8..12)?)).ok()?;
        let count = usize::try_from(big(entry.get(12..16)?)).ok()?;
        Some((big(entry.get(4..8)?), self.store.get(offset..)?, count))
    }

    /// A string, or the first of a list.
    pub fn text(&self, tag: u64) -> Option<String> {
        let (kind, bytes, _) = self.find(tag)?;
        if !matches!(kind, STRING | STRING_ARRAY | I18N_STRING) {
            return None;
        }
        let end = memchr::memchr(0, bytes)?;
        Some(String::from_utf8_lossy(bytes.get(..end)?).into_owned()).filter(|text| !text.is_empty())
    }

    /// A number, or the first of a list.
    pub fn number(&self, tag: u64) -> Option<u64> {
        let (kind, bytes, count) = self.find(tag)?;
        (kind == INT32 && count > 0).then(|| bytes.get(..4).map(big)).flatten()
    }

    /// All strings of a list.
    pub fn texts(&self, tag: u64) -> impl Iterator<Item = &'a [u8]> {
        let (bytes, count) = match self.find(tag) {
            Some((STRING | STRING_ARRAY | I18N_STRING, bytes, count)) => (bytes, count),
            _ => (&[][..], 0),
        };
        let count = count.min(bytes.len());
        bytes.split(|b| *b == 0).take(count)
    }

    /// All numbers of a list.
    pub fn numbers(&self, tag: u64) -> impl Iterator<Item = u64> {
        let (bytes, count) = match self.find(tag) {
            Some((INT32, bytes, count)) => (bytes, count),
            _ => (&[][..], 0),
        };
        bytes.chunks_exact(4).take(count).map(big)
    }
}

/// Builds headers for tests.
#[cfg(test)]
pub mod build {
    use super::*;

    /// One value.
    pub enum Value<'a> {
        Text(&'a str),
        Texts(&'a [&'a str]),
        Numbers(&'a [u32]),
    }

    /// A header blob with these tags.
    pub fn header(tags: &[(u64, Value<'_>)]) -> Vec<u8> {
        let (mut index, mut store) = (Vec::new(), Vec::new());
        for (tag, value) in tags {
            while store.len() % 4 != 0 {
                store.push(0u8);
            }
            let offset = store.len();
            let (kind, count) = match value {
                Value::Text(text) => {
                    store.extend_from_slice(text.as_bytes());
                    store.push(0);
                    (STRING, 1)
                }
                Value::Texts(texts) => {
                    for text in *texts {
                        store.extend_from_slice(text.as_bytes());
                        store.push(0);
                    }
                    (STRING_ARRAY, texts.len())
                }
                Value::Numbers(numbers) => {
                    numbers.iter().for_each(|n| store.extend_from_slice(&n.to_be_bytes()));
                    (INT32, numbers.len())
                }
            };
            for number in [*tag as u32, kind as u32, offset as u32, count as u32] {
                index.extend_from_slice(&number.to_be_bytes());
            }
        }
        let mut blob = (tags.len() as u32).to_be_bytes().to_vec();
        blob.extend_from_slice(&(store.len() as u32).to_be_bytes());
        blob.extend_from_slice(&index);
        blob.extend_from_slice(&store);
        blob
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_tag() {
        let blob = build::header(&[
            (tag::NAME, build::Value::Text("bash")),
            (tag::EPOCH, build::Value::Numbers(&[2])),
            (tag::BASE_NAMES, build::Value::Texts(&["a", "b"])),
        ]);
        let header = Header::parse(&blob).unwrap();
        assert_eq!(header.text(tag::NAME).as_deref(), Some("bash"));
        assert_eq!(header.number(tag::EPOCH), Some(2));
        assert_eq!(header.texts(tag::BASE_NAMES).collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(header.text(tag::VENDOR), None);
        assert!(Header::parse(&blob[..blob.len() - 1]).is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            if let Some(h) = Header::parse(&bytes) { let _ = (h.text(1000), h.number(1003), h.texts(1117).count()); }
        }
    }
}
