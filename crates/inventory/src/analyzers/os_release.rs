//! Files that say which distribution this is: os-release (os-release(5)) and its forerunners.

use crate::analyzer::{Analyzer, Hook};
use crate::facts::{Note, Sink, Trouble};
use crate::fileview::FileView;

/// Reads os-release and the one-line release files.
pub struct OsRelease;

/// Longest value kept, in bytes.
const MAX_VALUE_BYTES: usize = 4096;
/// Assignments kept of one file.
const MAX_FIELDS: usize = 256;

impl Analyzer for OsRelease {
    fn name(&self) -> &'static str {
        "os-release"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[
            Hook::Name("os-release"),
            Hook::Dir("usr/lib/os.release.d"),
            Hook::Name("debian_version"),
            Hook::Name("alpine-release"),
            Hook::Name("redhat-release"),
            Hook::Name("centos-release"),
            Hook::Name("rocky-release"),
            Hook::Name("almalinux-release"),
            Hook::Name("oracle-release"),
            Hook::Name("fedora-release"),
            Hook::Name("system-release"),
            Hook::Name("photon-release"),
            Hook::Name("mariner-release"),
            Hook::Name("SuSE-release"),
            Hook::Name("arch-release"),
        ]
    }

    fn wants(&self, path: &[u8]) -> bool {
        match path.strip_prefix(b"etc/") {
            Some(name) => !name.contains(&b'/'),
            None => path == b"usr/lib/os-release" || path.starts_with(b"usr/lib/os.release.d/"),
        }
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let is_fields = file.name().starts_with("os-release");
        let text = file.text()?;
        if is_fields {
            let fields = parse(&text);
            if !fields.iter().any(|(key, _)| key == "ID") {
                out.unknown("os", "has no ID, so it does not name a distribution");
            }
            out.note(Note::OsRelease(fields));
        } else {
            let end = text.char_indices().nth(MAX_VALUE_BYTES).map_or(text.len(), |(at, _)| at);
            out.note(Note::ReleaseLine(text.get(..end).unwrap_or_default().to_owned()));
        }
        Ok(())
    }
}

/// The assignments of an os-release file, quotes and escapes resolved as a shell would.
pub fn parse(text: &str) -> Vec<(String, String)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .filter(|(key, value)| !key.is_empty() && value.len() <= MAX_VALUE_BYTES)
        .take(MAX_FIELDS)
        .map(|(key, value)| (key.trim().to_owned(), unquote(value.trim())))
        .collect()
}

fn unquote(value: &str) -> String {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let inner = match quote {
        Some(quote) => value.strip_prefix(quote).map_or(value, |v| v.strip_suffix(quote).unwrap_or(v)),
        None => value,
    };
    if quote == Some('\'') || !inner.contains('\\') {
        return inner.to_owned();
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_comments() {
        let fields = parse("# x\nNAME=\"A \\\"B\\\"\"\nID='wolfi'\nEMPTY=\nBROKEN\nVERSION_ID=3.1\r\n");
        let pairs: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("NAME", "A \"B\""), ("ID", "wolfi"), ("EMPTY", ""), ("VERSION_ID", "3.1")]);
    }

    proptest::proptest! {
        #[test]
        fn any_text(text: String) { let _ = parse(&text); }
    }
}
