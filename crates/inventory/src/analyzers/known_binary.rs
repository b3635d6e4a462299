//! Well-known programs that no package manager put there: their version string, found at an anchor that the program's
//! own source prints it with. Marked [`Evidence::VersionString`]: a strong hint, no proof.

use std::io;

use crate::analyzer::{Analyzer, Hook, Size};
use crate::facts::{Sink, Trouble};
use crate::fileview::{FileView, ReadAt};
use crate::model::{Evidence, Package, PackageKind};

/// Recognises programs by file name and version string.
pub struct KnownBinary;

/// One program: file names it has (a trailing `*` stands for anything), the product, and what stands right before the
/// version in the file.
struct Known {
    files: &'static [&'static str],
    product: &'static str,
    anchors: &'static [&'static str],
}

const KNOWN: &[Known] = &[
    Known { files: &["node", "nodejs"], product: "node", anchors: &["nodejs.org/download/release/v", "node.js/v"] },
    Known { files: &["busybox*"], product: "busybox", anchors: &["BusyBox v"] },
    Known { files: &["nginx", "nginx-debug"], product: "nginx", anchors: &["nginx version: nginx/", "nginx/"] },
    Known { files: &["openresty", "nginx"], product: "openresty", anchors: &["nginx version: openresty/"] },
    Known { files: &["openssl", "libcrypto.so*", "libssl.so*"], product: "openssl", anchors: &["OpenSSL "] },
    Known { files: &["php", "php-fpm", "php-cgi", "libphp*.so"], product: "php", anchors: &["X-Powered-By: PHP/"] },
    Known { files: &["curl"], product: "curl", anchors: &["curl "] },
    Known { files: &["libcurl.so*"], product: "curl", anchors: &["libcurl/"] },
    Known { files: &["httpd", "apache2"], product: "httpd", anchors: &["Apache/"] },
    Known { files: &["memcached"], product: "memcached", anchors: &["memcached "] },
    Known { files: &["postgres"], product: "postgresql", anchors: &["(PostgreSQL) "] },
    Known { files: &["haproxy"], product: "haproxy", anchors: &["HAProxy version ", "HA-Proxy version "] },
    Known { files: &["perl", "perl5*", "libperl.so*"], product: "perl", anchors: &["lib/perl5/"] },
    Known { files: &["ruby", "libruby.so*", "libruby-static.so*"], product: "ruby", anchors: &["ruby "] },
    Known { files: &["lua", "lua5*", "luajit", "liblua*.so*"], product: "lua", anchors: &["Lua "] },
    Known { files: &["libz.so*"], product: "zlib", anchors: &["deflate "] },
    Known { files: &["bash"], product: "bash", anchors: &["@(#)Bash version "] },
    Known { files: &["sshd", "ssh"], product: "openssh", anchors: &["OpenSSH_"] },
    Known { files: &["xz", "lzma"], product: "xz", anchors: &["(XZ Utils) "] },
    Known { files: &["rsync"], product: "rsync", anchors: &["rsync  version "] },
    Known { files: &["varnishd"], product: "varnish", anchors: &["varnish-"] },
    Known { files: &["mosquitto"], product: "mosquitto", anchors: &["mosquitto version "] },
    Known { files: &["dropbear*"], product: "dropbear", anchors: &["SSH-2.0-dropbear_"] },
    Known { files: &["lighttpd"], product: "lighttpd", anchors: &["lighttpd/"] },
];

/// Bytes read at a time when searching.
const WINDOW: usize = 1 << 20;
/// Windows overlap by this, so that a match across their border is seen.
const OVERLAP: usize = 256;
/// How much of a file is searched.
const SEARCH_BYTES: u64 = 256 << 20;

impl Analyzer for KnownBinary {
    fn name(&self) -> &'static str {
        "known-binary"
    }

    fn hooks(&self) -> &'static [Hook] {
        &[Hook::Binary]
    }

    fn wants(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        python_series(name).is_some()
            || is_redis(name)
            || KNOWN.iter().any(|k| k.files.iter().any(|f| matches(f, name)))
    }

    fn size(&self) -> Size {
        Size::Binary
    }

    fn read(&self, file: &mut FileView<'_>, out: &mut Sink<'_>) -> Result<(), Trouble> {
        let source = file.source();
        let Some(elf) = file.elf() else { return Ok(()) };
        // Version strings are constants; without a section table the whole file is searched.
        let (start, len) = elf.section(".rodata").map_or((0, source.size()), |p| (p.offset, p.size));
        let len = len.min(SEARCH_BYTES).min(source.size().saturating_sub(start));
        let name = file.name().as_bytes();
        let mut found: Option<(&str, String)> = None;
        windows(source, start, len, |bytes| {
            found = search(name, bytes);
            found.is_some()
        })?;
        if let Some((product, version)) = found {
            let mut package = Package::new(PackageKind::Generic, product, version);
            package.evidence = Evidence::VersionString;
            out.package(package);
        }
        Ok(())
    }
}

fn search(name: &[u8], bytes: &[u8]) -> Option<(&'static str, String)> {
    if let Some(series) = python_series(name) {
        return after(bytes, &format!("\0{series}."), &format!("{series}."), true).map(|v| ("python", v));
    }
    if is_redis(name) {
        return redis(bytes).map(|v| (if name.starts_with(b"valkey") { "valkey" } else { "redis" }, v));
    }
    KNOWN.iter().filter(|k| k.files.iter().any(|f| matches(f, name))).find_map(|known| {
        known.anchors.iter().find_map(|anchor| after(bytes, anchor, "", false)).map(|version| (known.product, version))
    })
}

fn matches(pattern: &str, name: &[u8]) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            name.len() >= start.len() + end.len()
                && name.starts_with(start.as_bytes())
                && name.ends_with(end.as_bytes())
        }
        None => name == pattern.as_bytes(),
    }
}

/// `3.11` of `python3.11` or `libpython3.11.so.1.0`.
fn python_series(name: &[u8]) -> Option<&str> {
    let rest = name.strip_prefix(b"lib").unwrap_or(name).strip_prefix(b"python")?;
    let text = std::str::from_utf8(rest).ok()?.split(".so").next()?.trim_end_matches(['m', 'd', 'u', 't']);
    let (major, minor) = text.split_once('.')?;
    let number = |s: &str| !s.is_empty() && s.len() <= 2 && s.bytes().all(|b| b.is_ascii_digit());
    (number(major) && number(minor)).then_some(text)
}

fn is_redis(name: &[u8]) -> bool {
    matches!(name, b"redis-server" | b"valkey-server")
}

/// The version right after an anchor: digits with at least one dot, then letters and digits (`1.1.1w`, `9.2p1`).
fn after(bytes: &[u8], anchor: &str, prefix: &str, until_zero: bool) -> Option<String> {
    memchr::memmem::find_iter(bytes, anchor.as_bytes()).take(1000).find_map(|at| {
        let rest = bytes.get(at + anchor.len()..)?;
        let end = rest.iter().take(40).position(|b| !(b.is_ascii_alphanumeric() || *b == b'.'))?;
        if until_zero && !matches!(rest.get(end), Some(0 | b'+')) {
            return None;
        }
        let version = format!("{prefix}{}", std::str::from_utf8(rest.get(..end)?).ok()?);
        let version = version.trim_end_matches('.');
        let numbers = version.split('.').filter(|p| p.starts_with(|c: char| c.is_ascii_digit())).count();
        (version.starts_with(|c: char| c.is_ascii_digit()) && numbers >= 2).then(|| version.to_owned())
    })
}

/// The build identifier: version, host name, a dash and a time stamp of at least ten digits, as one string.
fn redis(bytes: &[u8]) -> Option<String> {
    bytes
        .split(|b| *b == 0)
        .filter(|s| s.first().is_some_and(u8::is_ascii_digit) && s.len() > 16 && s.len() < 300)
        .find_map(|s| {
            let text = std::str::from_utf8(s).ok()?;
            let dash = text.rfind('-')?;
            let stamp = text.get(dash + 1..)?;
            let digits = stamp.bytes().take_while(u8::is_ascii_digit).count();
            let mut numbers = text.splitn(3, '.');
            let (major, minor, rest) = (numbers.next()?, numbers.next()?, numbers.next()?);
            let patch: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let plain = |s: &str| !s.is_empty() && s.len() <= 2 && s.bytes().all(|b| b.is_ascii_digit());
            (digits >= 10 && plain(major) && plain(minor) && plain(&patch)).then(|| format!("{major}.{minor}.{patch}"))
        })
}

/// Calls `visit` with overlapping windows until it returns `true`.
fn windows(source: &dyn ReadAt, start: u64, len: u64, mut visit: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    if let Some(all) = source.in_memory() {
        let from = usize::try_from(start).unwrap_or(usize::MAX);
        let part = all.get(from..).unwrap_or_default();
        visit(part.get(..part.len().min(len as usize)).unwrap_or_default());
        return Ok(());
    }
    let mut buffer = vec![0u8; WINDOW.min(len as usize)];
    let mut at = 0u64;
    while at < len {
        let want = (len - at).min(buffer.len() as u64) as usize;
        let Some(window) = buffer.get_mut(..want) else { return Ok(()) };
        let got = source.read_at(start + at, window)?;
        if got == 0 || visit(window.get(..got).unwrap_or_default()) {
            return Ok(());
        }
        at += got.saturating_sub(OVERLAP).max(1) as u64;
        if got < OVERLAP {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::build;
    use crate::testing::{packages, read};

    #[test]
    fn versions_at_their_anchors() {
        for (file, text, want) in [
            ("node", "https://nodejs.org/download/release/v20.11.1/node-v20.11.1.tar.gz\0", "node 20.11.1"),
            ("busybox", "BusyBox v1.36.1 (2024-01-01 00:00:00 UTC)\0", "busybox 1.36.1"),
            ("nginx", "nginx version: nginx/1.25.3\n\0", "nginx 1.25.3"),
            ("libcrypto.so.1.1", "OpenSSL \0OpenSSL 1.1.1w  11 Sep 2023\0", "openssl 1.1.1w"),
            ("python3.11", "a\x003.11.4\0", "python 3.11.4"),
            ("libpython3.12.so.1.0", "3.12.999.1x\x003.12.0rc1\0", "python 3.12.0rc1"),
            ("redis-server", "x\x007.2.4buildkitsandbox-1704850463000000000\0", "redis 7.2.4"),
            ("sshd", "OpenSSH_9.2p1 Debian\0", "openssh 9.2p1"),
            ("postgres", "postgres (PostgreSQL) 16.1\n\0", "postgresql 16.1"),
            ("php", "X-Powered-By: PHP/8.2.12\0", "php 8.2.12"),
        ] {
            assert!(KnownBinary.wants(format!("usr/local/bin/{file}").as_bytes()), "{file}");
            let facts =
                read(&KnownBinary, &format!("usr/local/bin/{file}"), &build::elf(&[(".rodata", text.as_bytes())]));
            assert_eq!(packages(&facts), [want], "{file}");
            assert_eq!(facts.packages[0].evidence, Evidence::VersionString);
        }
        assert!(!KnownBinary.wants(b"usr/bin/pythonic"));
    }

    #[test]
    fn a_match_across_windows_is_seen() {
        struct Unmapped(Vec<u8>);
        impl ReadAt for Unmapped {
            fn size(&self) -> u64 {
                self.0.len() as u64
            }
            fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.as_slice().read_at(offset, buffer)
            }
        }
        let mut bytes = vec![0u8; WINDOW * 2];
        bytes[WINDOW - 4..WINDOW + 11].copy_from_slice(b"BusyBox v1.36.1");
        let mut seen = None;
        windows(&Unmapped(bytes), 0, WINDOW as u64 * 2, |b| {
            seen = search(b"busybox", b);
            seen.is_some()
        })
        .unwrap();
        assert_eq!(seen.unwrap().1, "1.36.1");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            for name in ["redis-server", "python3.11", "nginx"] { let _ = search(name.as_bytes(), &bytes); }
        }
    }
}
