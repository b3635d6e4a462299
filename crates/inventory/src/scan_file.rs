//! A single file as target: a Java archive, a program, a lock file.

use std::fs::File;
use std::path::Path;

use crate::analyzers;
use crate::binaries::{analyze, is_elf};
use crate::error::InventoryError;
use crate::facts::FileFacts;
use crate::fileview::{FileView, ReadAt, SizedFile, Timed};
use crate::finish::finish;
use crate::model::{Inventory, Unknown};
use crate::options::{Locks, Options};

/// Lists what one file holds. What kind it is decides its name, else its first bytes (an archive, a program).
/// # Errors
/// When the file cannot be opened.
pub fn scan_file(path: &Path, options: &Options) -> Result<Inventory, InventoryError> {
    let fail = |source| InventoryError::Open { path: path.to_owned(), source };
    let file = File::open(path).map_err(fail)?;
    let meta = file.metadata().map_err(fail)?;
    if !meta.is_file() {
        return Err(fail(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is no regular file")));
    }
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(scan_source_file(&name, &SizedFile::new(&file, meta.len()), options))
}

/// The same for contents in memory. `path` decides what they are taken for: a file name, or a path in a root
/// (`var/lib/dpkg/status`).
pub fn scan_bytes(path: &str, bytes: &[u8], options: &Options) -> Inventory {
    scan_source_file(path, &bytes.to_vec(), options)
}

fn scan_source_file(name: &str, source: &dyn ReadAt, options: &Options) -> Inventory {
    let mut facts: Vec<FileFacts> = Vec::new();
    let mut scratch = Vec::new();
    let timed = Timed::new(source, options.limits.file_time);
    let mut view = FileView::new(name, &timed, &mut scratch);
    let matcher = analyzers::matcher();
    let mut found = Vec::new();
    let last = name.rsplit('/').next().unwrap_or_default();
    matcher.find(name.as_bytes(), last.as_bytes(), &mut found);
    let mut head = [0u8; 4];
    let zip = source.read_exact_at(0, &mut head).is_ok() && head == *b"PK\x03\x04";
    let understood = !found.is_empty() || zip || is_elf(source);
    for index in &found {
        facts.extend(matcher.get(*index).and_then(|a| crate::analyzer::run(a, &mut view, &options.limits)));
    }
    if is_elf(source) {
        analyze(&mut view, matcher, options, &mut facts);
    } else if found.is_empty() && zip {
        facts.extend(crate::analyzer::run(analyzers::archive(), &mut view, &options.limits));
    }
    let mut unknown = Vec::new();
    if !understood {
        unknown.push(Unknown::new("file", name, "no analyser knows this kind of file"));
    } else if facts.is_empty() {
        unknown.push(Unknown::new("file", name, "holds no information about packages"));
    }
    let options = Options { locks: Locks::All, ..options.clone() };
    finish(facts.into_iter().map(|f| (None, f)).collect(), unknown, &options, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zip::build::zip;

    fn scan(name: &str, bytes: &[u8]) -> Inventory {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        scan_file(&path, &Options::default()).unwrap()
    }

    #[test]
    fn by_name_or_by_contents() {
        let jar = zip(&[("META-INF/maven/g/a/pom.properties", b"groupId=g\nartifactId=a\nversion=1\n")]);
        for name in ["a-1.jar", "renamed"] {
            let i = scan(name, &jar);
            assert_eq!(i.packages[0].purl, "pkg:maven/g/a@1");
            assert!(i.unknown.is_empty());
        }
        let i = scan("Cargo.lock", b"[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry\"\n");
        assert_eq!(i.packages.len(), 1);
        assert_eq!(scan("notes.txt", b"hello").unknown.len(), 1);
        assert!(scan_file(Path::new("/nonexistent"), &Options::default()).is_err());
    }
}
