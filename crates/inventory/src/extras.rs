//! The opt-in looks at every file: credentials in its contents, weaknesses in its mode.

use std::borrow::Cow;

use crate::facts::FileFacts;
use crate::image_checks::{empty_passwords, file_weakness, mark, ssh_host_key};
use crate::options::Options;
use crate::secrets;

/// The look at secrets was done ([`crate::LayerInventory`]'s features).
pub const SECRETS: u8 = 1;
/// The look at modes was done.
pub const CHECKS: u8 = 2;
/// What programs need to start was kept.
pub const STARTUP: u8 = 4;

/// What the options ask for, as bits.
pub fn features(options: &Options) -> u8 {
    u8::from(options.secrets) * SECRETS + u8::from(options.checks) * CHECKS + u8::from(options.startup) * STARTUP
}

/// Whether any look at every file was done, or is to be.
pub fn looks(features: u8) -> bool {
    features & (SECRETS | CHECKS) != 0
}

/// One entry, as far as the extra looks need it.
pub struct Seen<'a> {
    /// Relative to the root.
    pub path: &'a [u8],
    /// Permission bits.
    pub mode: u32,
    /// Bytes of contents.
    pub size: u64,
    /// A directory, else a regular file.
    pub is_dir: bool,
}

impl Seen<'_> {
    /// Whether the contents are wanted.
    pub fn wants_contents(&self, options: &Options) -> bool {
        !self.is_dir
            && (options.secrets && secrets::wants(self.path, self.size)
                || options.checks && self.path == b"etc/shadow" && self.size <= secrets::MAX_FILE_BYTES)
    }
}

/// Looks at one entry; `contents` are given when [`Seen::wants_contents`] asked for them and they could be read.
pub fn look(seen: &Seen<'_>, contents: Option<&[u8]>, options: &Options) -> Option<FileFacts> {
    let path: Cow<'_, str> = String::from_utf8_lossy(seen.path);
    let mut facts = FileFacts::default();
    if options.checks {
        facts.weaknesses.extend(mark(seen.mode, seen.is_dir).map(|mark| file_weakness(&path, mark)));
        if !seen.is_dir {
            facts.weaknesses.extend(ssh_host_key(&path));
        }
        if let Some(text) = contents.filter(|_| path == "etc/shadow") {
            facts.weaknesses.extend(empty_passwords(&String::from_utf8_lossy(text)));
        }
    }
    if let Some(bytes) = contents.filter(|_| options.secrets && secrets::wants(seen.path, seen.size)) {
        facts.secrets = secrets::scan(&path, bytes);
    }
    if facts.is_empty() {
        return None;
    }
    facts.path = path.into_owned();
    "extras".clone_into(&mut facts.found_by);
    Some(facts)
}
