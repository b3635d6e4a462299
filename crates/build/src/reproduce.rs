//! `--check-reproducible`: what differs between two builds of the same.

use std::collections::BTreeMap;
use std::io::Read;

use sha2::{Digest as _, Sha256};
use stockade_image::{Digest, Image, Layer, LayerReader, Store};

use crate::error::BuildError;

/// The first difference between two builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The instruction that made the layer, or `the image's configuration`.
    pub step: String,
    /// The file, from the root; empty for the configuration.
    pub path: String,
    /// What differs: `content`, `mode`, `owner`, `time`, `link`, `kind`, `extended attributes`, `presence`, `order`.
    pub what: &'static str,
    /// In the first build: for content, its SHA-256.
    pub first: String,
    /// In the second.
    pub second: String,
}

/// How two builds of the same compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reproduction {
    /// Manifest of the first.
    pub first: Digest,
    /// Manifest of the second.
    pub second: Digest,
    /// `None`: they are the same, bit by bit.
    pub difference: Option<Difference>,
}

/// Compares two images.
pub(crate) fn compare(store: &Store, first: &Image, second: &Image) -> Result<Reproduction, BuildError> {
    let mut result = Reproduction { first: first.manifest_digest, second: second.manifest_digest, difference: None };
    if result.first == result.second {
        return Ok(result);
    }
    let (a, b) = (store.layers(first)?, store.layers(second)?);
    let differing = a.iter().zip(&b).position(|(x, y)| x.diff_id != y.diff_id);
    let steps: Vec<String> = first.config.history.iter().filter(|h| !h.empty_layer).map(instruction).collect();
    let step = |at: usize| steps.get(at).cloned().unwrap_or_else(|| format!("layer {}", at + 1));
    result.difference = Some(match differing {
        Some(at) => match (a.get(at), b.get(at)) {
            (Some(x), Some(y)) => layer_difference(store, x, y, step(at))?,
            _ => number_of_layers(a.len(), b.len()),
        },
        None if a.len() != b.len() => number_of_layers(a.len(), b.len()),
        None => config_difference(first, second),
    });
    Ok(result)
}

fn instruction(entry: &stockade_image::History) -> String {
    let text = entry.created_by.clone().unwrap_or_default();
    text.trim_end_matches("# stockade").trim().to_owned()
}

fn number_of_layers(first: usize, second: usize) -> Difference {
    Difference {
        step: "the image".to_owned(),
        path: String::new(),
        what: "presence",
        first: format!("{first} layers"),
        second: format!("{second} layers"),
    }
}

fn config_difference(first: &Image, second: &Image) -> Difference {
    let whole = |image: &Image| serde_json::to_value(&image.config).unwrap_or_default();
    let (a, b) = (whole(first), whole(second));
    let empty = serde_json::Map::new();
    let (a, b) = (a.as_object().unwrap_or(&empty).clone(), b.as_object().unwrap_or(&empty).clone());
    let key = a.keys().chain(b.keys()).find(|k| a.get(*k) != b.get(*k)).cloned().unwrap_or_default();
    let show = |map: &serde_json::Map<String, serde_json::Value>| {
        let text = map.get(&key).map(ToString::to_string).unwrap_or_default();
        text.chars().take(200).collect::<String>()
    };
    let (first, second) = (show(&a), show(&b));
    Difference {
        step: format!("the image's configuration, `{key}`"),
        path: String::new(),
        what: "content",
        first,
        second,
    }
}

/// What a layer's archive says of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    kind: u8,
    mode: u32,
    owner: (u64, u64),
    mtime: u64,
    link: String,
    xattrs: Vec<String>,
    content: String,
}

fn layer_difference(store: &Store, first: &Layer, second: &Layer, step: String) -> Result<Difference, BuildError> {
    let (a, b) = (facts(store, first)?, facts(store, second)?);
    let make = |path: &str, what, first: String, second: String| Difference {
        step: step.clone(),
        path: format!("/{}", path.trim_end_matches('/')),
        what,
        first,
        second,
    };
    let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    for name in names {
        match (a.get(name), b.get(name)) {
            (Some(x), Some(y)) if x == y => {}
            (Some(x), Some(y)) => {
                let (what, first, second) = fact_difference(x, y);
                return Ok(make(name, what, first, second));
            }
            (x, _) => {
                let present = |is: bool| if is { "present" } else { "absent" }.to_owned();
                return Ok(make(name, "presence", present(x.is_some()), present(x.is_none())));
            }
        }
    }
    Ok(make("", "order", first.diff_id.to_string(), second.diff_id.to_string()))
}

fn fact_difference(x: &Facts, y: &Facts) -> (&'static str, String, String) {
    let table: [(&'static str, String, String); 7] = [
        ("kind", char::from(x.kind).to_string(), char::from(y.kind).to_string()),
        ("content", format!("sha256:{}", x.content), format!("sha256:{}", y.content)),
        ("link", x.link.clone(), y.link.clone()),
        ("mode", format!("{:04o}", x.mode), format!("{:04o}", y.mode)),
        ("owner", format!("{}:{}", x.owner.0, x.owner.1), format!("{}:{}", y.owner.0, y.owner.1)),
        ("extended attributes", x.xattrs.join(", "), y.xattrs.join(", ")),
        ("time", x.mtime.to_string(), y.mtime.to_string()),
    ];
    let found = table.into_iter().find(|(_, a, b)| a != b);
    found.unwrap_or(("time", String::new(), String::new()))
}

fn facts(store: &Store, layer: &Layer) -> Result<BTreeMap<String, Facts>, BuildError> {
    let path = store.blob_file(&layer.descriptor.digest)?;
    let failed = |e| BuildError::io("read", &path)(e);
    let reader = LayerReader::new(store.open_blob(&layer.descriptor.digest)?)?;
    let mut tar = tar::Archive::new(reader);
    let mut out = BTreeMap::new();
    for entry in tar.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let link = entry.link_name_bytes().map(|l| String::from_utf8_lossy(&l).into_owned()).unwrap_or_default();
        let mut xattrs: Vec<String> = Vec::new();
        if let Ok(Some(extensions)) = entry.pax_extensions() {
            for extension in extensions.flatten() {
                let key = String::from_utf8_lossy(extension.key_bytes()).into_owned();
                if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                    xattrs.push(format!("{name}={}", String::from_utf8_lossy(extension.value_bytes())));
                }
            }
        }
        xattrs.sort();
        let header = entry.header();
        let mut one = Facts {
            kind: header.entry_type().as_byte(),
            mode: header.mode().unwrap_or(0),
            owner: (header.uid().unwrap_or(0), header.gid().unwrap_or(0)),
            mtime: header.mtime().unwrap_or(0),
            link,
            xattrs,
            content: String::new(),
        };
        let mut hash = Sha256::new();
        let mut buffer = vec![0u8; 64 << 10];
        loop {
            let count = entry.read(&mut buffer).map_err(failed)?;
            if count == 0 {
                break;
            }
            hash.update(buffer.get(..count).unwrap_or_default());
        }
        one.content = Digest::from_bytes(hash.finalize().into()).hex();
        out.insert(name, one);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_telling_difference_comes_first() {
        let x = Facts {
            kind: b'0',
            mode: 0o644,
            owner: (0, 0),
            mtime: 1,
            link: String::new(),
            xattrs: Vec::new(),
            content: "aa".into(),
        };
        let y = Facts { mtime: 2, ..x.clone() };
        assert_eq!(fact_difference(&x, &y), ("time", "1".into(), "2".into()));
        let y = Facts { mode: 0o600, content: "bb".into(), ..y };
        assert_eq!(fact_difference(&x, &y), ("content", "sha256:aa".into(), "sha256:bb".into()));
    }
}
