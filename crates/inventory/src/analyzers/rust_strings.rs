//! Rust programs without a dependency list: panic messages name the files of crates, with their versions
//! (`…/NAME-VERSION/src/…`). Some crates are seen this way, never surely all.

use std::collections::BTreeSet;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::FileView;
use crate::model::{Evidence, Package, PackageKind};

/// Reads panic messages.
pub struct RustStrings;

/// Read-only data searched.
const MAX_BYTES: u64 = 64 << 20;
/// Crates kept of one program.
const MAX_CRATES: usize = 5000;

impl Analyzer for RustStrings {
    fn name(&self) -> &'static str {
        "rust-strings"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Binary]
    }

    fn size(&self) -> Size {
        Size::Binary
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let source = file.source();
        let Some(elf) = file.elf() else { return Ok(()) };
        if elf.section(".dep-v0").is_some() {
            return Ok(());
        }
        // The compiler signs its work in `.comment`; only then is the data worth reading.
        let Some(comment) = elf.section(".comment") else { return Ok(()) };
        let comment = source.slice(comment.offset, comment.size.min(4096))?;
        if memchr::memmem::find(&comment, b"rustc version").is_none() {
            return Ok(());
        }
        let Some(data) = elf.section(".rodata") else { return Ok(()) };
        let crates = crates(&source.slice(data.offset, data.size.min(MAX_BYTES))?);
        for (name, version) in &crates {
            let mut package = Package::new(PackageKind::Cargo, name.as_str(), version.as_str());
            package.evidence = Evidence::VersionString;
            out.package(package);
        }
        let why = format!(
            "a Rust program without a list of its crates (cargo-auditable would add one); {} could be seen in its messages, there may be more",
            crates.len()
        );
        out.unknown("binary", why);
        Ok(())
    }
}

/// The component before each `/src/`: builds remap the directory of the registry, but not what is below it.
fn crates(bytes: &[u8]) -> BTreeSet<(String, String)> {
    const LONGEST: usize = 100;
    let mut found = BTreeSet::new();
    for at in memchr::memmem::find_iter(bytes, b"/src/") {
        let before = bytes.get(at.saturating_sub(LONGEST)..at).unwrap_or_default();
        let start = before.iter().rposition(|b| matches!(b, b'/' | 0)).map_or(0, |slash| slash + 1);
        let (above, package) = before.split_at_checked(start).unwrap_or_default();
        // A registry of one's own has names that mean nothing elsewhere.
        let above = above.strip_suffix(b"/").unwrap_or(above);
        let (dir, last) =
            above.split_at_checked(above.iter().rposition(|b| *b == b'/').unwrap_or(0)).unwrap_or_default();
        let in_registry = dir.ends_with(b"/registry/src");
        let public = !in_registry || last.starts_with(b"/index.crates.io-") || last.starts_with(b"/github.com-");
        if !public || found.len() >= MAX_CRATES {
            continue;
        }
        if let Some(pair) = std::str::from_utf8(package).ok().and_then(split) {
            found.insert(pair);
        }
    }
    found
}

/// `aho-corasick-1.1.3`, `x-0.1.0-beta.2`: the version begins at the first dash before a digit with a dot after it.
fn split(text: &str) -> Option<(String, String)> {
    let starts = text.char_indices().filter(|(_, c)| *c == '-').map(|(at, _)| at);
    starts.into_iter().find_map(|at| {
        let (name, version) = (text.get(..at)?, text.get(at + 1..)?);
        let mut numbers = version.splitn(3, '.');
        let number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        let valid = number(numbers.next()?)
            && number(numbers.next()?)
            && numbers.next()?.starts_with(|c: char| c.is_ascii_digit());
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+'));
        (valid && plain && !name.is_empty()).then(|| (name.to_owned(), version.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::build;
    use crate::testing::{packages, read};

    #[test]
    fn crates_in_messages() {
        let data = b"x/root/.cargo/registry/src/index.crates.io-6f17d22bba15001f/aho-corasick-1.1.3/src/lib.rsy/registry/src/github.com-1ecc6299db9ec823/h2-0.3.0-beta.2/src/a.rs\0/registry/src/private-1/secret-1.0.0/src/x/build/crates/tokio-1.53.1/src/x/rustc/abc/library/alloc/src/";
        let file = build::elf(&[(".rodata", data), (".comment", b"GCC\0rustc version 1.75.0\0")]);
        let facts = read(&RustStrings, "app", &file);
        assert_eq!(packages(&facts), ["aho-corasick 1.1.3", "h2 0.3.0-beta.2", "tokio 1.53.1"]);
        assert!(facts.unknown[0].why.contains("3 could be seen"));
        let other = build::elf(&[(".rodata", data), (".comment", b"GCC: 12\0")]);
        assert!(read(&RustStrings, "app", &other).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) { let _ = crates(&[b"/a-1.0.0/src/".as_slice(), &bytes, b"/src/"].concat()); }
    }
}
