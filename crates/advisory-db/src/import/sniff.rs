//! Tells what a document is by its first bytes; names of files say little.

/// Bytes that are looked at: the marks of every format stand well before.
const HEAD_BYTES: usize = 32 << 10;

/// A format that an importer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One OSV record.
    Osv,
    /// Debian's security tracker, `tracker/data/json`.
    DebianTracker,
    /// Alpine's, Wolfi's and Chainguard's `secdb`.
    Secdb,
    /// Arch Linux's `issues/all.json`.
    Arch,
    /// CSAF 2.0 advisories and VEX documents (Red Hat, SUSE).
    Csaf,
    /// OVAL definitions.
    Oval,
    /// `updateinfo.xml` of an RPM repository.
    UpdateInfo,
    /// NVD, JSON 2.0.
    Nvd,
    /// CISA's catalogue.
    Kev,
    /// FIRST's scores.
    Epss,
}

impl Format {
    /// Names for messages.
    pub const NAMES: [&'static str; 10] = [
        "OSV",
        "Debian tracker JSON",
        "Alpine secdb",
        "Arch issues JSON",
        "CSAF",
        "OVAL",
        "updateinfo.xml",
        "NVD JSON 2.0",
        "CISA KEV",
        "EPSS CSV",
    ];

    /// The format of a document; `None` when it is none of these.
    pub fn of(bytes: &[u8]) -> Option<Format> {
        let head = String::from_utf8_lossy(bytes.get(..HEAD_BYTES.min(bytes.len()))?);
        let text = head.trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t']);
        if text.starts_with("#model_version") || text.starts_with("cve,epss") {
            return Some(Format::Epss);
        }
        let has = |key: &str| text.contains(&format!("\"{key}\""));
        let found = match text.chars().next()? {
            '<' if text.contains("<oval_definitions") || text.contains(":oval_definitions") => Format::Oval,
            '<' if text.contains("<updates") => Format::UpdateInfo,
            '[' if has("affected") && has("issues") => Format::Arch,
            '{' if has("catalogVersion") || has("knownRansomwareCampaignUse") => Format::Kev,
            '{' if has("csaf_version") => Format::Csaf,
            '{' if has("vulnerabilities") && has("cve") => Format::Nvd,
            '{' if has("secfixes") || has("distroversion") || (has("apkurl") && has("packages")) => Format::Secdb,
            '{' if has("releases") && has("repositories") => Format::DebianTracker,
            '{' if has("id") && (has("schema_version") || has("affected") || has("modified")) => Format::Osv,
            _ => return None,
        };
        Some(found)
    }
}
