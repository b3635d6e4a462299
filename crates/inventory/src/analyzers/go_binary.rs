//! Go programs: the build information that the linker embeds (Go's package debug/buildinfo describes the format).

use std::io;

use super::go_linked;
use crate::analyzer::{Analyzer, Hook, Size};
use crate::elf::{Elf, Part};
use crate::facts::{Note, Sink, Trouble};
use crate::fileview::{FileView, ReadAt};
use crate::model::{Evidence, Package, PackageKind};

/// Reads Go programs.
pub struct GoBinary;

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Longest module list; Kubernetes' has 60 KiB.
const MAX_TEXT_BYTES: u64 = 4 << 20;
/// How far the data segment of a program without section table is searched.
const SEARCH_BYTES: u64 = 1 << 20;

impl Analyzer for GoBinary {
    fn name(&self) -> &'static str {
        "go-binary"
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
        let Some(part) = locate(elf, source) else { return Ok(()) };
        let (version, modules) = read_info(elf, source, part)?;
        toolchain(&version, out);
        modules_of(&modules, out);
        if let Some(program) = go_linked::read(elf, source) {
            out.note(Note::GoProgram(program));
        }
        Ok(())
    }
}

/// The section, or where the magic is in the data segment of a program without sections.
fn locate(elf: &Elf, source: &dyn ReadAt) -> Option<Part> {
    if let Some(part) = elf.section(".go.buildinfo") {
        return Some(part);
    }
    if !elf.has_no_sections() {
        return None;
    }
    elf.segments.iter().filter(|s| s.writable).find_map(|segment| {
        let bytes = source.slice(segment.offset, segment.size.min(SEARCH_BYTES)).ok()?;
        let at = memchr::memmem::find(&bytes, MAGIC)? as u64;
        Some(Part {
            offset: segment.offset + at,
            size: segment.size.checked_sub(at)?,
            address: segment.address.saturating_add(at),
            writable: true,
        })
    })
}

/// Toolchain version and module list.
fn read_info(elf: &Elf, source: &dyn ReadAt, part: Part) -> io::Result<(String, Vec<u8>)> {
    let head = source.slice(part.offset, 32)?;
    if !head.starts_with(MAGIC) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let (pointer, flags) = (head.get(14).copied().unwrap_or(0), head.get(15).copied().unwrap_or(0));
    let (version, modules) = if flags & 2 != 0 {
        // Since Go 1.18: both strings follow, each after its length.
        let mut at = part.offset + 32;
        (inline_string(source, &mut at)?, inline_string(source, &mut at)?)
    } else {
        // Before: pointers to string headers.
        let at = |index: usize| elf.pointer(&head, 16 + index * usize::from(pointer));
        (pointed_string(elf, source, at(0))?, pointed_string(elf, source, at(1)).unwrap_or_default())
    };
    // Sixteen bytes of a marker on either side.
    let framed = modules.len() >= 33 && modules.get(modules.len() - 17) == Some(&b'\n');
    let modules = if framed { modules.get(16..modules.len() - 16).unwrap_or_default().to_vec() } else { Vec::new() };
    Ok((String::from_utf8_lossy(&version).into_owned(), modules))
}

fn inline_string(source: &dyn ReadAt, at: &mut u64) -> io::Result<Vec<u8>> {
    let mut length = 0u64;
    for shift in (0..35).step_by(7) {
        let mut byte = [0u8; 1];
        source.read_exact_at(*at, &mut byte)?;
        *at += 1;
        let [byte] = byte;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if length > MAX_TEXT_BYTES {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let bytes = source.slice(*at, length)?;
    *at += length;
    Ok(bytes)
}

fn pointed_string(elf: &Elf, source: &dyn ReadAt, address: u64) -> io::Result<Vec<u8>> {
    let header = elf.memory(source, address, elf.pointer_bytes * 2)?;
    let (data, length) = (elf.pointer(&header, 0), elf.pointer(&header, elf.pointer_bytes as usize));
    if length > MAX_TEXT_BYTES {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    elf.memory(source, data, length)
}

/// `go1.22.3`, `go1.22.3 X:nocoverageredesign`, `devel go1.23-abc`.
fn toolchain(version: &str, out: &mut Sink<'_>) {
    let release = version.split_whitespace().find_map(|word| word.strip_prefix("go"));
    match release.filter(|_| !version.starts_with("devel")) {
        Some(release) => out.package(found("stdlib", release)),
        None => {
            out.unknown(
                "package",
                format!("built by Go `{version}`, which is no release: its standard library is unknown"),
            );
            out.package(found("stdlib", release.unwrap_or_default()));
        }
    }
}

fn modules_of(text: &[u8], out: &mut Sink<'_>) {
    let text = String::from_utf8_lossy(text);
    let mut main: Option<Package> = None;
    let mut last: Option<Package> = None;
    let (mut flags, mut package_path) = ("", "");
    for line in text.lines() {
        let mut words = line.split('\t');
        match (words.next(), words.next(), words.next()) {
            (Some("path"), Some(path), _) => package_path = path,
            (Some("mod"), Some(path), version) => main = Some(found(path, version.unwrap_or_default())),
            (Some("dep"), Some(path), version) => {
                last.take().into_iter().for_each(|p| out.package(p));
                last = Some(found(path, version.unwrap_or_default()));
            }
            // A replacement is what was built; by a directory it has no version.
            (Some("=>"), Some(path), version) => {
                let version = version.unwrap_or_default();
                last = Some(match last.take() {
                    Some(original) if path.starts_with(['.', '/']) => found(&original.name, ""),
                    _ => found(path, version),
                });
            }
            (Some("build"), Some(setting), _) => {
                if let Some(value) = setting.strip_prefix("-ldflags=") {
                    flags = value;
                }
            }
            _ => {}
        }
    }
    last.into_iter().for_each(|p| out.package(p));
    // Built outside of module mode, there is no main module, only the path of the program.
    let named = || (!package_path.is_empty() && package_path.contains('.')).then(|| found(package_path, "(devel)"));
    if let Some(mut package) = main.or_else(named) {
        if package.version == "(devel)" {
            package.version = version_from_flags(flags).unwrap_or_default();
        }
        out.package(package);
    }
}

fn found(name: &str, version: &str) -> Package {
    let mut package = Package::new(PackageKind::Golang, name, version);
    package.evidence = Evidence::BuildInfo;
    package
}

/// Projects stamp their version with `-X path/version.Version=v1.2.3`.
fn version_from_flags(flags: &str) -> Option<String> {
    flags.split(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '\\')).find_map(|word| {
        let (key, value) = word.trim_start_matches("-X").trim_start_matches('=').split_once('=')?;
        let last = key.rsplit(['.', '/']).next()?.to_lowercase();
        let number = value.strip_prefix('v').unwrap_or(value);
        let is_release = number.split('.').take(3).filter(|p| p.starts_with(|c: char| c.is_ascii_digit())).count() == 3;
        (matches!(last.as_str(), "version" | "ver" | "buildversion" | "gitversion" | "appversion") && is_release)
            .then(|| format!("v{number}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::build;
    use crate::testing::{packages, read};

    fn varint(mut value: usize) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let byte = (value & 0x7f) as u8;
            value >>= 7;
            out.push(if value > 0 { byte | 0x80 } else { byte });
            if value == 0 {
                return out;
            }
        }
    }

    fn program(version: &str, modules: &str) -> Vec<u8> {
        let framed = format!("{}{modules}{}", "0".repeat(16), "f".repeat(16));
        let mut info = [MAGIC, &[8, 2], &[0; 16]].concat();
        for text in [version, framed.as_str()] {
            info.extend(varint(text.len()));
            info.extend_from_slice(text.as_bytes());
        }
        build::elf(&[(".go.buildinfo", &info)])
    }

    const MODULES: &str = "path\texample.com/cmd\nmod\texample.com/app\t(devel)\t\ndep\tgolang.org/x/net\tv0.1.0\th1:x=\ndep\tgithub.com/a/b\tv1.0.0\n=>\tgithub.com/fork/b\tv1.0.1\th1:y=\ndep\tlocal/c\tv0.0.0\n=>\t./c\t\nbuild\t-ldflags=\"-s -w -X main.version=2.5.0\"\n";

    #[test]
    fn inline_build_information() {
        let facts = read(&GoBinary, "app", &program("go1.22.3 X:boringcrypto", MODULES));
        assert_eq!(
            packages(&facts),
            [
                "stdlib 1.22.3",
                "golang.org/x/net v0.1.0",
                "github.com/fork/b v1.0.1",
                "local/c ",
                "example.com/app v2.5.0"
            ]
        );
        assert!(facts.unknown.is_empty());
    }

    #[test]
    fn pointers_of_old_toolchains() {
        let modules = format!("{}mod\tx.org/a\tv1.0.0\t\n{}", "0".repeat(16), "f".repeat(16));
        let mut data = [MAGIC, &[8, 0]].concat();
        let at = |offset: u64| (0x1000 + offset).to_le_bytes();
        data.extend(at(32));
        data.extend(at(48));
        data.extend(at(64));
        data.extend(8u64.to_le_bytes());
        data.extend(at(72));
        data.extend((modules.len() as u64).to_le_bytes());
        data.extend_from_slice(b"go1.16.5");
        data.extend_from_slice(modules.as_bytes());
        let facts = read(&GoBinary, "app", &build::elf(&[(".go.buildinfo", &data)]));
        assert_eq!(packages(&facts), ["stdlib 1.16.5", "x.org/a v1.0.0"]);
    }

    #[test]
    fn programs_built_without_modules_have_their_path() {
        let text = "path\tgithub.com/docker/cli/cmd/docker\nbuild\t-ldflags=\" -X \\\"github.com/docker/cli/cli/version.Version=28.2.2\\\"\"\n";
        let facts = read(&GoBinary, "docker", &program("go1.24.3", text));
        assert_eq!(packages(&facts), ["stdlib 1.24.3", "github.com/docker/cli/cmd/docker v28.2.2"]);
        let facts = read(&GoBinary, "x", &program("go1.24.3", "path\tcommand-line-arguments\n"));
        assert_eq!(packages(&facts), ["stdlib 1.24.3"]);
    }

    #[test]
    fn a_toolchain_that_is_no_release_is_unknown() {
        let facts = read(&GoBinary, "app", &program("devel go1.23-abc123", ""));
        assert_eq!(facts.unknown.len(), 1);
    }

    #[test]
    fn a_lying_length_is_damage() {
        let mut info = [MAGIC, &[8, 2], &[0; 16]].concat();
        info.extend([0xff; 5]);
        let facts = read(&GoBinary, "app", &build::elf(&[(".go.buildinfo", &info)]));
        assert!(facts.packages.is_empty());
        assert_eq!(facts.unknown.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_build_info(bytes: Vec<u8>, flags in 0u8..4) {
            let info = [MAGIC, &[8, flags], bytes.as_slice()].concat();
            let _ = read(&GoBinary, "app", &build::elf(&[(".go.buildinfo", &info)]));
        }
    }
}
