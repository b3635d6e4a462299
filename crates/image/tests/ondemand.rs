//! Layers that do not compress are stored once; their blobs are made when somebody asks.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::io::Read;

use stockade_image::{Depth, Digest, Format, Image, ImageError, LayerOptions, Store};
use support::{assert_clean, commit, scratch, skip_without_root};

const BYTES: usize = 64 << 20;

/// What no compressor shrinks.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    std::iter::repeat_with(next).flat_map(u32::to_le_bytes).take(bytes).collect()
}

fn store(bytes: &[u8]) -> (tempfile::TempDir, Store, Image) {
    let dir = scratch();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let staging = store.staging_dir().unwrap();
    let root = staging.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("big"), bytes).unwrap();
    fs::write(root.join("small"), "small").unwrap();
    let layer = store.layer_from_dir(&root, &LayerOptions { clamp_mtime: None, bytes: bytes.len() as u64 }).unwrap();
    let image = commit(&store, &[layer], &["big"]);
    (dir, store, image)
}

fn has_file(store: &Store, image: &Image) -> bool {
    store.blob_path(&image.manifest.layers[0].digest).exists()
}

#[test]
fn a_blob_is_made_when_it_is_asked_for_and_is_what_the_manifest_promises() {
    if skip_without_root() {
        return;
    }
    let (dir, store, image) = store(&noise(BYTES));
    let promised = &image.manifest.layers[0];
    assert!(!has_file(&store, &image), "stored once");
    assert_eq!(promised.digest, image.config.rootfs.diff_ids[0], "the tar itself");
    assert_eq!(store.blob_size(&promised.digest), Some(promised.size));
    assert!(store.usage().unwrap().bytes < BYTES as u64 + 4096, "counted once");
    assert_clean(&store);

    // Whoever only reads makes nothing.
    let mut tar = Vec::new();
    store.layer_readers(&image).unwrap()[0].open().unwrap().read_to_end(&mut tar).unwrap();
    assert_eq!((Digest::of(&tar), tar.len() as u64), (promised.digest, promised.size));
    assert!(!has_file(&store, &image));
    // A reader that stops early leaves nothing behind that matters.
    store.layer_readers(&image).unwrap()[0].open().unwrap().read_exact(&mut [0; 10]).unwrap();

    let mut archive = Vec::new();
    store.save(&["big".into()], Format::Oci, &mut archive).unwrap();
    assert!(has_file(&store, &image));
    assert_clean(&store);
    let other = Store::open(&dir.path().join("other")).unwrap();
    assert_eq!(other.load(archive.as_slice()).unwrap()[0].manifest_digest, image.manifest_digest);
    assert_clean(&other);

    // A process keeps what it made; another one removes it.
    drop(store);
    let store = Store::open(&dir.path().join("store")).unwrap();
    let freed = store.remove("big", false).unwrap();
    assert!(freed.bytes > 2 * BYTES as u64, "directory and blob: {freed:?}");
    assert!(!has_file(&store, &image));
    assert_clean(&store);
}

#[test]
fn what_compresses_is_compressed_at_once() {
    if skip_without_root() {
        return;
    }
    let (_dir, store, image) = store(&b"stockade ".repeat(BYTES / 8));
    assert!(has_file(&store, &image));
    assert!(image.manifest.layers[0].size < 1 << 20);
}

#[test]
fn a_changed_directory_is_noticed_before_it_leaves_the_store() {
    if skip_without_root() {
        return;
    }
    let (_dir, store, image) = store(&noise(BYTES));
    let dir = store.layer_dirs(&image).unwrap().remove(0);
    fs::write(dir.join("small"), "SMALL").unwrap();
    let error = store.open_blob(&image.manifest.layers[0].digest).unwrap_err();
    assert!(matches!(error, ImageError::DigestMismatch { .. }), "{error}");
    assert!(!has_file(&store, &image));
    assert_eq!(store.check(Depth::Quick).unwrap().damages, []);
    let damages = store.check(Depth::Deep).unwrap().damages;
    assert_eq!(damages.len(), 1, "{damages:?}");
    assert!(damages[0].why.contains("has the digest"), "{damages:?}");
    assert!(damages[0].advice.contains("build, pull or load"), "{damages:?}");
    // Nothing has the content any more: the image goes, the store is whole.
    for _ in 0..3 {
        for damage in store.check(Depth::Deep).unwrap().damages {
            store.repair(&damage, &|_| false).unwrap();
        }
    }
    assert_clean(&store);
    assert!(store.resolve("big").unwrap().is_none());
}
