//! Licences of Debian packages, from `/usr/share/doc/NAME/copyright`: the machine-readable form's short names
//! (DEP-5), else the common licences that the text points to.

use crate::analyzer::{Analyzer, Hook};
use crate::facts::{Note, Sink, Trouble};
use crate::fileview::FileView;

/// Reads copyright files.
pub struct DpkgLicenses;

const DIR: &[u8] = b"usr/share/doc/";
/// Licences kept for one package.
const MAX_LICENSES: usize = 64;

impl Analyzer for DpkgLicenses {
    fn name(&self) -> &'static str {
        "dpkg-licenses"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Name("copyright")]
    }

    fn wants(&self, path: &[u8]) -> bool {
        path.strip_prefix(DIR).is_some_and(|rest| rest.iter().filter(|b| **b == b'/').count() == 1)
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let name = file.dir().rsplit('/').next().unwrap_or_default().to_owned();
        let licenses = licenses(file.all()?);
        if !licenses.is_empty() {
            out.note(Note::Licenses(name, licenses));
        }
        Ok(())
    }
}

fn licenses(text: &[u8]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut add = |name: &str| {
        let name = name.trim().trim_end_matches(['.', ',', ')', '\'', '"', '`']);
        if !name.is_empty() && name.len() <= 100 && found.len() < MAX_LICENSES && !found.iter().any(|f| f == name) {
            found.push(name.to_owned());
        }
    };
    let head = text.get(..text.len().min(512)).unwrap_or_default();
    if memchr::memmem::find(head, b"copyright-format").is_some() || memchr::memmem::find(head, b"Format:").is_some() {
        let finder = memchr::memmem::Finder::new(b"License:");
        for at in finder.find_iter(text) {
            let line_start = at == 0 || at.checked_sub(1).and_then(|i| text.get(i)) == Some(&b'\n');
            if line_start {
                let rest = text.get(at + 8..).unwrap_or_default();
                let line = rest.get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len())).unwrap_or_default();
                add(&String::from_utf8_lossy(line));
            }
        }
    }
    if found.is_empty() {
        let mut add = |name: &str| {
            let name = name.trim_end_matches('.');
            if !name.is_empty() && found.len() < MAX_LICENSES && !found.iter().any(|f| f == name) {
                found.push(name.to_owned());
            }
        };
        let finder = memchr::memmem::Finder::new(b"/usr/share/common-licenses/");
        for at in finder.find_iter(text) {
            let rest = text.get(at + 27..).unwrap_or_default();
            let end = rest.iter().position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'+')));
            add(&String::from_utf8_lossy(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_or_pointers() {
        let dep5 = b"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n text\n\nLicense: MIT\n x\n\nLicense: GPL-2+\n";
        assert_eq!(licenses(dep5), ["GPL-2+", "MIT"]);
        assert_eq!(
            licenses(b"see `/usr/share/common-licenses/LGPL-2.1'. And /usr/share/common-licenses/GPL-3."),
            ["LGPL-2.1", "GPL-3"]
        );
        assert!(licenses(b"free").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) { let _ = licenses(&bytes); }
    }
}
