//! Doors for the fuzz targets. No interface: anything here may change.

use std::path::Path;

use crate::control::{Stanza, stanzas};
use crate::deb::{Deb, ar_members};
use crate::keyring::Keyring;
use crate::name::Distro;
use crate::packages::Offer;
use crate::release::Release;
use crate::signature::verify;

/// Bytes as a package: its archive of archives, and the first bytes of each.
pub fn deb(bytes: &[u8]) {
    use std::io::Read;
    let _ = ar_members(bytes);
    let Ok(deb) = Deb::open(bytes) else { return };
    for part in [deb.control(), deb.data()].into_iter().flatten() {
        // Enough to get into each decompressor; the rest is the library's own business.
        let _ = std::io::copy(&mut part.take(1 << 20), &mut std::io::sink());
    }
}

/// Text as control stanzas, and as an index of packages.
pub fn control(text: &str) {
    for stanza in stanzas(text) {
        if let Ok(parsed) = Stanza::parse(stanza) {
            let _ = (parsed.get("Package"), parsed.fields().count());
        }
    }
    let mut offer = Offer::default();
    if offer.add(text.to_owned(), "http://archive", "fuzz").is_ok() {
        let names: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("Package: ")).take(8).collect();
        for name in names {
            let _ = offer.best(name);
            let _ = offer.providers(name);
        }
    }
}

/// Bytes as a clear-signed Release: no key is believed, so nothing may verify.
pub fn in_release(bytes: &[u8]) {
    if let Ok(keyring) = Keyring::collect(Distro::Debian, None, Path::new("/nonexistent")) {
        assert!(verify(bytes, "http://archive/InRelease", &keyring, 1_700_000_000).is_err(), "a forged signature");
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Release::parse(text, "http://archive/InRelease");
    }
}
