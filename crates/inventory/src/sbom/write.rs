//! What both written formats share: the document's name, its identity from its contents.

use sha2::{Digest, Sha256};

use crate::model::Inventory;

/// Facts about the document that the inventory does not hold.
#[derive(Debug, Clone, Default)]
pub struct SbomInfo {
    /// What was scanned: an image's name, a directory.
    pub name: String,
    /// The image's digest, or another version.
    pub version: String,
    /// RFC 3339 time, for example the image's creation. The epoch when empty, so that the bytes stay the same.
    pub created: String,
}

impl SbomInfo {
    /// The time to write.
    pub(super) fn time(&self) -> &str {
        if self.created.is_empty() { "1970-01-01T00:00:00Z" } else { &self.created }
    }
}

/// A UUID (version 8: custom, RFC 9562) made from the contents: the same contents give the same document.
pub(super) fn uuid(inventory: &Inventory, info: &SbomInfo, format: &str) -> String {
    let mut hasher = Sha256::new();
    let mut add = |text: &str| {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    [format, &info.name, &info.version, info.time()].into_iter().for_each(&mut add);
    if let Some(os) = &inventory.os {
        [&os.id, &os.version_id].into_iter().for_each(|text| add(text));
    }
    for package in &inventory.packages {
        [&package.purl, &package.path, &package.version].into_iter().for_each(|text| add(text));
        add(if package.dev { "dev" } else { "" });
        package.licenses.iter().for_each(|text| add(text));
    }
    let digest = hasher.finalize();
    let mut bytes = [0u8; 16];
    for (to, from) in bytes.iter_mut().zip(digest.iter()) {
        *to = *from;
    }
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0f) | 0x80;
    *variant = (*variant & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}
