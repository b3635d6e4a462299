//! Images made to hurt: each must end, in bounded memory, with an answer that tells what was not read.

#![allow(clippy::unwrap_used)] // helpers of tests, too

use std::io::{self, Read};

use stockade_inventory::{Limits, Options, merge, scan_bytes, scan_layer};

/// A tar of many parts that is never in memory as a whole.
struct Generated<F: FnMut(u64) -> Option<Vec<u8>>> {
    next: F,
    index: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl<F: FnMut(u64) -> Option<Vec<u8>>> Generated<F> {
    fn new(next: F) -> Self {
        Self { next, index: 0, buffer: Vec::new(), at: 0 }
    }
}

impl<F: FnMut(u64) -> Option<Vec<u8>>> Read for Generated<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.buffer.len() {
            match (self.next)(self.index) {
                Some(part) => (self.buffer, self.at) = (part, 0),
                None => return Ok(0),
            }
            self.index += 1;
        }
        let got = out.len().min(self.buffer.len() - self.at);
        out[..got].copy_from_slice(&self.buffer[self.at..self.at + got]);
        self.at += got;
        Ok(got)
    }
}

fn header(name: &str, size: u64, kind: tar::EntryType) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_size(size);
    header.set_mode(0o755);
    header.set_entry_type(kind);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

const BOUND_KIB: u64 = 300 << 10;

#[test]
fn gigabytes_of_zeros_in_a_package_list() {
    // The list claims 3 GiB; so does a program.
    for name in ["var/lib/dpkg/status", "usr/local/bin/program"] {
        let size = 3u64 << 30;
        let zeros = vec![0u8; 1 << 20];
        let stream = Generated::new(|i| match i {
            0 => Some(header(name, size, tar::EntryType::Regular)),
            i if i <= size >> 20 => Some(zeros.clone()),
            _ => None,
        });
        let layer = scan_layer(stream, "x", None, &Options::default());
        let inventory = merge(&[layer], &Options::default());
        assert!(inventory.packages.is_empty());
        assert!(!inventory.unknown.is_empty());
        assert!(peak_kib() < BOUND_KIB, "{} KiB", peak_kib());
    }
}

#[test]
fn a_million_entries() {
    let stream = Generated::new(|i| (i < 1_000_000).then(|| header(&format!("d/{i}"), 0, tar::EntryType::Regular)));
    let limits = Limits { entries: 600_000, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let inventory = merge(&[scan_layer(stream, "x", None, &options)], &options);
    assert!(inventory.unknown.iter().any(|u| u.what == "limit"));
    assert!(peak_kib() < BOUND_KIB, "{} KiB", peak_kib());
}

#[test]
fn names_of_64_kib_and_endless_extended_headers() {
    let name = "n/".repeat(32 << 10);
    let mut bytes = header("././@LongLink", name.len() as u64, tar::EntryType::GNULongName);
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend(header("short", 0, tar::EntryType::Regular));
    let layer = scan_layer(bytes.as_slice(), "x", None, &Options::default());
    assert_eq!(layer.entries, 1);
    let endless = header("x", 8 << 30, tar::EntryType::XHeader);
    let layer = scan_layer(endless.as_slice(), "x", None, &Options::default());
    let inventory = merge(&[layer], &Options::default());
    assert!(inventory.unknown.iter().any(|u| u.what == "layer" && u.why.contains("limit")), "{:?}", inventory.unknown);
}

#[test]
fn links_that_loop() {
    let mut bytes = Vec::new();
    for (name, target) in [("etc/os-release", "../usr/lib/os-release"), ("usr/lib/os-release", "../../etc/os-release")]
    {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_link_name(target).unwrap();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
    }
    let mut hard = tar::Header::new_gnu();
    hard.set_path("var/lib/dpkg/status").unwrap();
    hard.set_link_name("var/lib/dpkg/status").unwrap();
    hard.set_size(0);
    hard.set_entry_type(tar::EntryType::Link);
    hard.set_cksum();
    bytes.extend_from_slice(hard.as_bytes());
    let reopen = || Ok(Box::new(io::Cursor::new(bytes.clone())) as Box<dyn Read + Send>);
    let layer = scan_layer(bytes.as_slice(), "x", Some(&reopen), &Options::default());
    let inventory = merge(&[layer], &Options::default());
    assert!(inventory.os.is_none());
    assert!(inventory.unknown.iter().any(|u| u.why.contains("hard link")));
}

#[test]
fn a_list_that_never_ends_is_cut() {
    let limits = Limits { packages_per_file: 1000, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let text: String = (0..5000).map(|i| format!("P:p{i}\nV:1-r0\n\n")).collect();
    let inventory = scan_bytes("lib/apk/db/installed", text.as_bytes(), &options);
    assert_eq!(inventory.packages.len(), 1000);
    assert!(inventory.unknown[0].why.contains("4000 packages"));
}

#[test]
fn deep_json_toml_yaml_and_xml() {
    let deep = |open: &str| open.repeat(200_000);
    for (name, text) in [
        ("package-lock.json", deep(r#"{"packages":"#)),
        ("composer.lock", deep("[")),
        ("bun.lock", deep(r#"{"a":"#)),
        ("poetry.lock", format!("a = {}", deep("["))),
        ("pnpm-lock.yaml", format!("a: {}", deep("["))),
        ("pubspec.lock", deep("- ")),
        ("pom.xml", deep("<a>")),
        ("packages.lock.json", deep(r#"{"dependencies":"#)),
    ] {
        let inventory = scan_bytes(name, text.as_bytes(), &Options::default());
        assert!(inventory.packages.is_empty(), "{name}");
        assert!(!inventory.unknown.is_empty(), "{name}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Every analyser on any bytes, by the names that it wants.
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        for name in [
            "etc/os-release", "etc/debian_version", "var/lib/dpkg/status", "var/lib/dpkg/info/a.list", "usr/share/doc/a/copyright",
            "lib/apk/db/installed", "var/lib/rpm/Packages", "var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/Packages.db",
            "var/lib/rpmmanifest/container-manifest-2", "var/lib/pacman/local/a/desc", "var/lib/pacman/local/a/files",
            "usr/lib/opkg/status", "a.dist-info/METADATA", "conda-meta/a.json", "poetry.lock", "Pipfile.lock", "requirements.txt",
            "node_modules/a/package.json", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "go.mod", "Cargo.lock",
            "a.jar", "gradle.lockfile", "build.sbt.lock", "pom.xml", "specifications/a.gemspec", "Gemfile.lock",
            "composer/installed.json", "composer.lock", "a.deps.json", "packages.lock.json", "packages.config", "pubspec.lock",
            "mix.lock", "rebar.lock", "Package.resolved", "Podfile.lock", "renv.lock", "library/a/DESCRIPTION", "Manifest.toml",
            "cabal.project.freeze", "stack.yaml.lock", ".meta/a/install.json", "cpanfile.snapshot", "conan.lock", "a/release",
            "go/VERSION", "wp-includes/version.php", "opt/bitnami/a/.spdx-a.spdx", "var/lib/chisel/manifest.wall", "program",
        ] {
            let _ = scan_bytes(name, &bytes, &Options::default());
        }
    }
}

/// A zip with one deflated entry of zeros, as large as it says.
fn zip_bomb(name: &str, zeros: u64) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![0u8; 1 << 20];
    for _ in 0..zeros >> 20 {
        crc.update(&block);
        std::io::Write::write_all(&mut packed, &block).unwrap();
    }
    let packed = packed.finish().unwrap();
    let field = |n: u64| u32::try_from(n).unwrap().to_le_bytes();
    let common = [
        &[20, 0, 0, 0, 8, 0, 0, 0, 0, 0][..],
        &crc.sum().to_le_bytes(),
        &field(packed.len() as u64),
        &field(zeros),
        &(name.len() as u16).to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    let mut zip = [b"PK\x03\x04", common.as_slice(), name.as_bytes(), &packed].concat();
    let directory = zip.len() as u64;
    zip.extend([b"PK\x01\x02\x14\x00", common.as_slice(), &[0; 14], name.as_bytes()].concat());
    let end = zip.len() as u64 - directory;
    zip.extend([b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &field(end)[..], &field(directory), &[0, 0]].concat());
    zip
}

#[test]
fn archives_that_unpack_to_gigabytes() {
    for zeros in [1u64 << 30, 90 << 20] {
        let bomb = zip_bomb("WEB-INF/lib/x.jar", zeros);
        assert!(bomb.len() < 2 << 20);
        let inventory = scan_bytes("srv/app.war", &bomb, &Options::default());
        let told = inventory.unknown.iter().any(|u| u.path.starts_with("srv/app.war!/WEB-INF/lib/x.jar"));
        assert!(told, "{:?}", inventory.unknown);
        assert!(peak_kib() < BOUND_KIB, "{} KiB", peak_kib());
    }
}

#[test]
fn ten_gigabytes_of_zeros_in_ten_megabytes() {
    // Decompression itself is the caller's; what comes out of it is never kept.
    let size = 10u64 << 30;
    let zeros = vec![0u8; 4 << 20];
    let stream = Generated::new(|i| match i {
        0 => Some(header("opt/data.bin", size, tar::EntryType::Regular)),
        i if i <= size >> 22 => Some(zeros.clone()),
        _ => None,
    });
    let inventory = merge(&[scan_layer(stream, "x", None, &Options::default())], &Options::default());
    assert!(inventory.packages.is_empty());
    assert!(peak_kib() < BOUND_KIB, "{} KiB", peak_kib());
}

#[test]
fn damaged_databases_and_programs_give_an_unknown() {
    let sqlite = [&b"SQLite format 3\0"[..], &[0xff; 4080]].concat();
    let mut berkeley = vec![0u8; 8192];
    berkeley[12..16].copy_from_slice(&0x0006_1561u32.to_le_bytes());
    berkeley[20..24].copy_from_slice(&[0xff; 4]);
    let mut ndb = b"RpmP".to_vec();
    ndb.extend([0xff; 4092]);
    for (name, bytes) in [
        ("var/lib/rpm/rpmdb.sqlite", sqlite),
        ("var/lib/rpm/Packages", berkeley),
        ("var/lib/rpm/Packages.db", ndb),
        ("app/package-lock.json", b"{\"packages\": {\"\": ".to_vec()),
    ] {
        let inventory = scan_bytes(name, &bytes, &Options::default());
        assert!(inventory.packages.is_empty(), "{name}");
        assert!(inventory.unknown.iter().any(|u| u.path.contains(name)), "{name}: {:?}", inventory.unknown);
    }
    // A program whose tables point everywhere.
    let elf = [&b"\x7fELF\x02\x01\x01"[..], &[0xff; 4089]].concat();
    let _ = scan_bytes("usr/local/bin/program", &elf, &Options::default());
    assert!(peak_kib() < BOUND_KIB, "{} KiB", peak_kib());
}

#[test]
fn a_file_that_takes_too_long_is_said() {
    let limits = Limits { file_time: std::time::Duration::ZERO, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let layer = scan_layer(jar_layer().as_slice(), "x", None, &options);
    let inventory = merge(&[layer], &options);
    assert!(inventory.packages.is_empty());
    let told = |u: &stockade_inventory::Unknown| u.path == "app/a.jar" && u.why.contains("takes longer than 0 s");
    assert!(inventory.unknown.iter().any(told), "{:?}", inventory.unknown);
}

/// A layer with a jar, which is small and good.
fn jar_layer() -> Vec<u8> {
    let jar = zip_bomb("META-INF/maven/a/b/pom.properties", 10);
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(jar.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "app/a.jar", jar.as_slice()).unwrap();
    tar.into_inner().unwrap()
}
