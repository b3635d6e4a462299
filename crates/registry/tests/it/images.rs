//! Images made for tests, and clients for them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use stockade_config::Registry;
use stockade_image::{ContainerConfig, Image, ImageConfig, Reference, Store};
use stockade_registry::{Client, Options};

pub fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

/// An uncompressed tar of regular files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Bytes that do not compress, the same each time.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Makes an image with one layer for each content.
pub fn image(store: &Store, contents: &[Vec<u8>], names: &[&str]) -> Image {
    image_for(store, contents, names, stockade_image::store::host_architecture())
}

pub fn image_for(store: &Store, contents: &[Vec<u8>], names: &[&str], architecture: &str) -> Image {
    let layers: Vec<_> = contents
        .iter()
        .enumerate()
        .map(|(i, content)| store.layer_from_tar(tar(&[(&format!("file{i}"), content)]).as_slice()).unwrap())
        .collect();
    let config = ImageConfig {
        architecture: architecture.to_owned(),
        os: "linux".to_owned(),
        config: ContainerConfig { env: vec!["A=b".to_owned()], ..ContainerConfig::default() },
        ..ImageConfig::default()
    };
    let names: Vec<Reference> = names.iter().map(|n| name(n).or_latest()).collect();
    store.commit(config, &layers, &names, &BTreeMap::new()).unwrap()
}

/// Options without pauses, for plain HTTP at `hosts`.
pub fn plain(hosts: &[&str]) -> Options {
    Options {
        insecure: hosts.iter().map(|h| (*h).to_owned()).collect(),
        pauses: vec![Duration::from_millis(1); 3],
        ..Options::bare()
    }
}

pub fn client(hosts: &[&str]) -> Client {
    Client::new(plain(hosts))
}

pub fn registry(host: &str, mirrors: &[&str], ca: Option<&Path>) -> Registry {
    Registry {
        host: host.to_owned(),
        mirrors: mirrors.iter().map(|m| (*m).to_owned()).collect(),
        insecure: false,
        ca: ca.map(Path::to_owned),
        search: false,
    }
}

/// The content of a file of an image's topmost layer.
pub fn content(store: &Store, image: &Image, path: &str) -> Vec<u8> {
    std::fs::read(store.layer_dirs(image).unwrap()[0].join(path)).unwrap()
}

#[track_caller]
pub fn assert_clean(store: &Store) {
    let damage = store.verify().unwrap();
    assert!(damage.is_empty(), "{damage:?}");
}

/// Nothing is left of what was being received.
pub fn partials(store: &Store) -> usize {
    std::fs::read_dir(store.root().join("partial")).map(|entries| entries.count()).unwrap_or(0)
}
