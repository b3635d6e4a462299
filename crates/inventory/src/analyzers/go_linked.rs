//! Which packages a Go program holds code of: the linker leaves out functions that nothing can reach, and keeps the names
//! of those that stay, in stripped programs too.
//!
//! Source: Go's `runtime/symtab.go` (type `pcHeader`), layouts of Go 1.18 and 1.20; older ones are passed over.

use crate::elf::Elf;
use crate::fileview::ReadAt;
use crate::pathhash;

/// Bytes of function names that are read; those of Kubernetes' largest program are 6 MB.
const MAX_NAMES_BYTES: u64 = 48 << 20;
/// Packages that are kept; programs have up to some thousands.
const MAX_PACKAGES: usize = 50_000;

/// Sorted hashes of the packages with linked functions; `None` where the table is missing or of another layout.
pub fn packages(elf: &Elf, source: &dyn ReadAt) -> Option<Vec<u64>> {
    let part = elf.section(".gopclntab").or_else(|| elf.section(".data.rel.ro.gopclntab"))?;
    let head = source.slice(part.offset, 8 + 8 * 8).ok()?;
    let magic = u32::from_le_bytes(head.get(..4)?.try_into().ok()?);
    if !elf.little || !matches!(magic, 0xffff_fff0 | 0xffff_fff1) {
        return None;
    }
    let pointer = usize::from(*head.get(7)?);
    let field = |index: usize| -> Option<u64> {
        let bytes = head.get(8 + index * pointer..8 + (index + 1) * pointer)?;
        match pointer {
            8 => Some(u64::from_le_bytes(bytes.try_into().ok()?)),
            4 => Some(u64::from(u32::from_le_bytes(bytes.try_into().ok()?))),
            _ => None,
        }
    };
    // nfunc, nfiles, textStart, funcnameOffset, cuOffset …
    let (start, end) = (field(3)?, field(4)?);
    let length = end.checked_sub(start).filter(|n| *n <= MAX_NAMES_BYTES && end <= part.size)?;
    let names = source.slice(part.offset.checked_add(start)?, length).ok()?;
    let mut found = Vec::new();
    let mut last: &[u8] = b"";
    for name in names.split(|b| *b == 0) {
        let package = package_of(name);
        // Names come in the order of the link: neighbours are of one package.
        if !package.is_empty() && package != last {
            last = package;
            found.push(hash(package));
        }
    }
    found.sort_unstable();
    found.dedup();
    (!found.is_empty() && found.len() <= MAX_PACKAGES).then_some(found)
}

/// `net/http.(*Client).Do` is of `net/http`; type arguments may hold slashes and dots of their own.
fn package_of(name: &[u8]) -> &[u8] {
    let plain = name.split(|b| *b == b'[').next().unwrap_or_default();
    let slash = plain.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    let rest = plain.get(slash..).unwrap_or_default();
    match rest.iter().position(|b| *b == b'.') {
        Some(dot) => plain.get(..slash + dot).unwrap_or_default(),
        None => b"",
    }
}

/// Hash of an import path. In symbols, dots of its last element are written `%2e`.
pub fn hash(import_path: &[u8]) -> u64 {
    if memchr::memchr(b'%', import_path).is_none() {
        return pathhash::path(import_path);
    }
    let text = String::from_utf8_lossy(import_path).replace("%2e", ".");
    pathhash::path(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::build::elf;

    fn table(magic: u32, names: &[u8]) -> Vec<u8> {
        let mut bytes = magic.to_le_bytes().to_vec();
        bytes.extend_from_slice(&[0, 0, 1, 8]);
        let start = 8 + 8 * 8;
        for field in [1u64, 1, 0x1000, start, start + names.len() as u64, 0, 0, 0] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        bytes.extend_from_slice(names);
        bytes
    }

    fn read(section: &[u8]) -> Option<Vec<u64>> {
        let bytes = elf(&[(".gopclntab", section)]);
        let file = Elf::open(&bytes).unwrap().unwrap();
        packages(&file, &bytes)
    }

    #[test]
    fn packages_of_names() {
        for (name, package) in [
            ("net/http.(*Client).Do", "net/http"),
            ("main.main", "main"),
            ("github.com/a/b/v2.F[go.shape.string,x/y.T]", "github.com/a/b/v2"),
            ("gopkg.in/yaml%2ev3.Unmarshal", "gopkg.in/yaml%2ev3"),
            ("_cgo_init", ""),
            ("", ""),
        ] {
            assert_eq!(package_of(name.as_bytes()), package.as_bytes(), "{name}");
        }
        assert_eq!(hash(b"gopkg.in/yaml%2ev3"), hash(b"gopkg.in/yaml.v3"));
    }

    #[test]
    fn the_table_of_a_program() {
        let names = b"\0net/http.Get\0net/http.Post\0main.main\0";
        let found = read(&table(0xffff_fff1, names)).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found.contains(&hash(b"net/http")) && found.contains(&hash(b"main")));
        assert!(read(&table(0xffff_fffa, names)).is_none(), "an older layout");
        assert!(read(&table(0xffff_fff1, names)[..40]).is_none(), "cut");
    }

    proptest::proptest! {
        #[test]
        fn any_table(bytes: Vec<u8>) {
            let _ = read(&[&0xffff_fff1u32.to_le_bytes()[..], &[0, 0, 1, 8], &bytes].concat());
        }
    }
}
