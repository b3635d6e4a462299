//! Which packages and functions a Go program holds code of: the linker leaves out functions that nothing can reach, and
//! keeps the names of those that stay, in stripped programs too. Functions that were inlined away are named as well.
//!
//! Source: Go's `runtime/symtab.go` (type `pcHeader`), layouts of Go 1.18 and 1.20; older ones are passed over.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::elf::Elf;
use crate::fileview::ReadAt;
use crate::pathhash;

/// Bytes of function names that are read; those of Kubernetes' largest program are 6 MB.
const MAX_NAMES_BYTES: u64 = 48 << 20;
/// Packages that are kept; programs have up to some thousands.
const MAX_PACKAGES: usize = 50_000;
/// Functions that are kept; the largest programs have about 300,000. Beyond it nothing is said about functions.
const MAX_FUNCTIONS: usize = 1_000_000;

/// What a Go program holds code of, as sorted hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoProgram {
    #[serde(with = "crate::packed")]
    packages: Vec<u64>,
    #[serde(default, with = "crate::packed")]
    functions: Vec<u64>,
}

impl GoProgram {
    /// Whether a function of this package is in the program.
    pub fn holds_package(&self, import_path: &str) -> bool {
        self.packages.binary_search(&hash(import_path.as_bytes())).is_ok()
    }

    /// Whether this function (`Parse`, `Client.Do`) of the package is in the program. A hash can be that of another
    /// function, in one of 10¹³ cases.
    pub fn holds_function(&self, import_path: &str, function: &str) -> bool {
        self.functions.binary_search(&function_hash(import_path.as_bytes(), function.as_bytes())).is_ok()
    }

    /// Whether the functions are known, not only the packages.
    pub fn knows_functions(&self) -> bool {
        !self.functions.is_empty()
    }
}

/// What the program holds; `None` where the table is missing or of another layout.
pub fn read(elf: &Elf, source: &dyn ReadAt) -> Option<GoProgram> {
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
    let mut packages = Vec::new();
    let mut functions = Vec::new();
    let mut last: &[u8] = b"";
    let mut plain = Vec::new();
    for name in names.split(|b| *b == 0) {
        let package = package_of(name);
        if package.is_empty() {
            continue;
        }
        // Names come in the order of the link: neighbours are of one package.
        if package != last {
            last = package;
            packages.push(hash(package));
        }
        if plain_name(name.get(package.len() + 1..).unwrap_or_default(), &mut plain) {
            functions.push(function_hash(package, &plain));
        }
    }
    for list in [&mut packages, &mut functions] {
        list.sort_unstable();
        list.dedup();
        list.shrink_to_fit();
    }
    if functions.len() > MAX_FUNCTIONS {
        functions = Vec::new();
    }
    (!packages.is_empty() && packages.len() <= MAX_PACKAGES).then_some(GoProgram { packages, functions })
}

/// The name of a function as advisories write it: `(*Client[…]).Do.func1` is code of `Client.Do`. False for what the
/// compiler made by itself.
fn plain_name(name: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut depth = 0usize;
    for &byte in name {
        match byte {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            b'(' | b')' | b'*' => {}
            _ if depth == 0 => out.push(byte),
            _ => {}
        }
    }
    // Closures and method values: `.func1`, `.func1.2`, `.deferwrap1`, `.gowrap2`, `-fm`.
    let mut end = out.len();
    for mark in [&b".func"[..], b".deferwrap", b".gowrap", b"-fm", b"-range"] {
        if let Some(at) = memchr::memmem::find(out, mark) {
            let numbered = out.get(at + mark.len()).is_some_and(u8::is_ascii_digit);
            if numbered || mark.starts_with(b"-") {
                end = end.min(at);
            }
        }
    }
    out.truncate(end);
    !out.is_empty() && !out.starts_with(b".")
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

fn function_hash(package: &[u8], function: &[u8]) -> u64 {
    let package = decoded(package);
    pathhash::path(&[&package, &b"#"[..], function].concat())
}

fn hash(import_path: &[u8]) -> u64 {
    pathhash::path(&decoded(import_path))
}

/// In symbols, dots of an import path's last element are written `%2e`.
fn decoded(import_path: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', import_path).is_none() {
        return Cow::Borrowed(import_path);
    }
    Cow::Owned(String::from_utf8_lossy(import_path).replace("%2e", ".").into_bytes())
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

    fn read_section(section: &[u8]) -> Option<GoProgram> {
        let bytes = elf(&[(".gopclntab", section)]);
        let file = Elf::open(&bytes).unwrap().unwrap();
        read(&file, &bytes)
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
    fn functions_are_named_as_advisories_name_them() {
        for (linked, named) in [
            ("(*Client).Do", Some("Client.Do")),
            ("Client.do", Some("Client.do")),
            ("Parse", Some("Parse")),
            ("Parse.func1.2", Some("Parse")),
            ("(*Set[...]).Add.deferwrap1", Some("Set.Add")),
            ("(*Set[go.shape.string,x/y.T]).Add-fm", Some("Set.Add")),
            ("functional", Some("functional")),
            ("T.funcs", Some("T.funcs")),
            ("", None),
            (".eq.T", None),
        ] {
            let mut out = Vec::new();
            let kept = plain_name(linked.as_bytes(), &mut out);
            assert_eq!(kept.then(|| String::from_utf8(out).unwrap()).as_deref(), named, "{linked}");
        }
    }

    #[test]
    fn the_table_of_a_program() {
        let names = b"\0net/http.(*Client).Get\0net/http.Post.func1\0main.main\0gopkg.in/yaml%2ev3.Unmarshal\0";
        let found = read_section(&table(0xffff_fff1, names)).unwrap();
        assert_eq!(found.packages.len(), 3);
        assert!(found.holds_package("net/http") && found.holds_package("main") && !found.holds_package("net"));
        assert!(found.knows_functions());
        assert!(found.holds_function("net/http", "Client.Get") && found.holds_function("net/http", "Post"));
        assert!(found.holds_function("gopkg.in/yaml.v3", "Unmarshal"));
        assert!(!found.holds_function("net/http", "Get"));
        assert!(read_section(&table(0xffff_fffa, names)).is_none(), "an older layout");
        assert!(read_section(&table(0xffff_fff1, names)[..40]).is_none(), "cut");
    }

    proptest::proptest! {
        #[test]
        fn any_table(bytes: Vec<u8>) {
            let _ = read_section(&[&0xffff_fff1u32.to_le_bytes()[..], &[0, 0, 1, 8], &bytes].concat());
        }

        #[test]
        fn any_name(name: Vec<u8>) {
            plain_name(&name, &mut Vec::new());
        }
    }
}
