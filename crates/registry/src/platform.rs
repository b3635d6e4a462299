//! Which machine an image is for, and which image of an index fits a machine.

use stockade_image::Platform;
use stockade_image::store::host_architecture;

use crate::document::{Entry, ImageIndex};

/// Reads `os/architecture[/variant]`, or an architecture alone. Names of `uname` are taken: `aarch64` is `arm64`.
/// Errors say what is allowed.
pub fn parse_platform(text: &str) -> Result<Platform, String> {
    let wrong = || format!("`{text}` is not a platform: write `linux/amd64`, or with a variant `linux/arm/v7`");
    let parts: Vec<&str> = text.split('/').collect();
    let good =
        |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if !parts.iter().all(good) {
        return Err(wrong());
    }
    let (os, architecture, variant) = match parts.as_slice() {
        ["linux"] => ("linux", host_architecture(), None),
        [architecture] => ("linux", *architecture, None),
        [os, architecture] => (*os, *architecture, None),
        [os, architecture, variant] => (*os, *architecture, Some((*variant).to_owned())),
        _ => return Err(wrong()),
    };
    Ok(normal(&Platform { os: os.to_ascii_lowercase(), architecture: architecture.to_ascii_lowercase(), variant }))
}

/// The machine that this program runs on.
pub(crate) fn host() -> Platform {
    let variant = (host_architecture() == "arm").then(|| "v7".to_owned());
    Platform { os: "linux".to_owned(), architecture: host_architecture().to_owned(), variant }
}

/// `linux/arm/v7`.
pub(crate) fn shown(platform: &Platform) -> String {
    match &platform.variant {
        Some(variant) => format!("{}/{}/{variant}", platform.os, platform.architecture),
        None => format!("{}/{}", platform.os, platform.architecture),
    }
}

/// One way to write each machine: containerd's normal form.
fn normal(platform: &Platform) -> Platform {
    let variant = platform.variant.as_deref().filter(|v| !v.is_empty());
    let (architecture, variant) = match (platform.architecture.as_str(), variant) {
        ("x86_64" | "x86-64" | "amd64", Some("v1") | None) => ("amd64", None),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", Some("8" | "v8") | None) => ("arm64", None),
        ("aarch64", variant) => ("arm64", variant),
        ("i386" | "i686", _) => ("386", None),
        ("armhf", _) => ("arm", Some("v7")),
        ("armel", _) => ("arm", Some("v6")),
        ("arm", None | Some("7")) => ("arm", Some("v7")),
        ("arm", Some("6")) => ("arm", Some("v6")),
        ("arm", Some("5")) => ("arm", Some("v5")),
        (architecture, variant) => (architecture, variant),
    };
    Platform { os: platform.os.clone(), architecture: architecture.to_owned(), variant: variant.map(str::to_owned) }
}

/// How well something for `offered` runs on `wanted`: the higher the better, `None` if it does not.
fn fitness(offered: &Platform, wanted: &Platform) -> Option<u32> {
    let (offered, wanted) = (normal(offered), normal(wanted));
    if offered.os != wanted.os || offered.architecture != wanted.architecture {
        return None;
    }
    // A variant is a level; a machine runs all levels up to its own.
    let level = |p: &Platform| match p.variant.as_deref() {
        None => Some(if p.architecture == "arm64" { 8 } else { 1 }),
        Some(v) => v.strip_prefix('v').unwrap_or(v).split('.').next().and_then(|n| n.parse::<u32>().ok()),
    };
    match (level(&offered), level(&wanted)) {
        (Some(offered), Some(wanted)) => (offered <= wanted).then_some(offered),
        _ => (offered.variant == wanted.variant).then_some(0),
    }
}

/// Whether something for `offered` runs on `wanted`.
pub(crate) fn fits(offered: &Platform, wanted: &Platform) -> bool {
    fitness(offered, wanted).is_some()
}

/// The entry that fits best; the first of equals.
pub(crate) fn choose<'i>(index: &'i ImageIndex, wanted: &Platform) -> Option<&'i Entry> {
    let images: Vec<&Entry> = index.manifests.iter().filter(|e| e.is_image()).collect();
    let mut best: Option<(u32, &Entry)> = None;
    for entry in &images {
        let Some(platform) = &entry.platform else { continue };
        if let Some(fit) = fitness(&platform.into(), wanted)
            && best.is_none_or(|(known, _)| fit > known)
        {
            best = Some((fit, entry));
        }
    }
    // An index that tells no platform and has one entry can only mean that.
    match (best, images.as_slice()) {
        (Some((_, entry)), _) => Some(entry),
        (None, [only]) if only.platform.is_none() => Some(only),
        _ => None,
    }
}

/// The machines that an index has images for, in order.
pub(crate) fn available(index: &ImageIndex) -> Vec<String> {
    let platforms = index.manifests.iter().filter(|e| e.is_image()).filter_map(|e| e.platform.as_ref());
    let mut names: Vec<String> = platforms.map(|p| crate::error::printable(&shown(&p.into()))).collect();
    names.dedup();
    names.truncate(50);
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::EntryPlatform;
    use stockade_image::Digest;

    fn entry(platform: &str) -> Entry {
        let platform = (!platform.is_empty()).then(|| {
            let mut parts = platform.split('/');
            let mut next = || parts.next().unwrap_or_default().to_owned();
            let (os, architecture) = (next(), next());
            EntryPlatform {
                os,
                architecture,
                variant: Some(next()).filter(|v| !v.is_empty()),
                ..EntryPlatform::default()
            }
        });
        let digest = Digest::of(format!("{platform:?}").as_bytes());
        Entry {
            media_type: String::new(),
            digest,
            size: 1,
            platform,
            artifact_type: None,
            annotations: Default::default(),
        }
    }

    fn chosen(entries: &[&str], wanted: &str) -> Option<usize> {
        let index = ImageIndex::new(entries.iter().map(|e| entry(e)).collect());
        let entry = choose(&index, &parse_platform(wanted).unwrap())?;
        index.manifests.iter().position(|e| e == entry)
    }

    #[test]
    fn the_best_variant_that_runs_is_chosen() {
        let arm = ["linux/amd64", "linux/arm/v5", "linux/arm/v7", "linux/arm/v6", "linux/arm64/v8", "unknown/unknown"];
        assert_eq!(chosen(&arm, "linux/amd64"), Some(0));
        assert_eq!(chosen(&arm, "x86_64"), Some(0));
        assert_eq!(chosen(&arm, "linux/arm"), Some(2));
        assert_eq!(chosen(&arm, "linux/arm/v6"), Some(3));
        assert_eq!(chosen(&arm, "linux/aarch64"), Some(4));
        assert_eq!(chosen(&arm, "linux/s390x"), None);
        assert_eq!(chosen(&arm, "windows/amd64"), None);
        assert_eq!(chosen(&["linux/amd64/v3", "linux/amd64"], "linux/amd64"), Some(1));
        assert_eq!(chosen(&["linux/amd64/v3"], "linux/amd64"), None);
        assert_eq!(chosen(&["linux/amd64", "linux/amd64/v2"], "linux/amd64/v3"), Some(1));
        assert_eq!(chosen(&[""], "linux/riscv64"), Some(0));
        assert_eq!(chosen(&["", ""], "linux/riscv64"), None);
    }

    #[test]
    fn platforms_are_read_and_shown() {
        assert_eq!(shown(&parse_platform("linux/arm64/v8").unwrap()), "linux/arm64");
        assert_eq!(shown(&parse_platform("armhf").unwrap()), "linux/arm/v7");
        for bad in ["", "a//b", "a/b/c/d", "linux/am d64"] {
            assert!(parse_platform(bad).is_err(), "{bad}");
        }
    }
}
