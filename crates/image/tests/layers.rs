//! Directories to layers and back, with real overlay mounts.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use stockade_image::{ImageError, LayerOptions, Store};
use support::{Tar, assert_clean, commit, mount_overlay, scratch, skip_without_root, tree};

fn fill(dir: &Path) {
    fs::create_dir_all(dir.join("etc/sub")).unwrap();
    fs::create_dir_all(dir.join("gone/inner")).unwrap();
    fs::write(dir.join("etc/a"), "a").unwrap();
    fs::write(dir.join("etc/b"), "b").unwrap();
    fs::write(dir.join("etc/sub/c"), "c").unwrap();
    fs::write(dir.join("gone/inner/d"), "d").unwrap();
    fs::hard_link(dir.join("etc/a"), dir.join("etc/a2")).unwrap();
    std::os::unix::fs::symlink("etc/a", dir.join("link")).unwrap();
}

#[test]
fn an_upper_directory_becomes_a_layer_with_whiteouts_and_opaque_directories() {
    if skip_without_root() {
        return;
    }
    let dir = scratch();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let staging = store.staging_dir().unwrap();
    let base_dir = staging.path().join("base");
    fs::create_dir(&base_dir).unwrap();
    fill(&base_dir);
    let base = store.layer_from_dir(&base_dir, &LayerOptions::default()).unwrap();
    assert!(!base_dir.exists(), "the directory is taken over");
    let base_image = commit(&store, std::slice::from_ref(&base), &["base"]);
    let lower = store.layer_dirs(&base_image).unwrap();

    let (upper, work, merged) = (staging.path().join("upper"), staging.path().join("work"), dir.path().join("merged"));
    let expected;
    {
        let _mount = mount_overlay(&lower, Some((&upper, &work)), &merged);
        fs::remove_file(merged.join("etc/b")).unwrap();
        fs::remove_dir_all(merged.join("gone")).unwrap();
        fs::create_dir(merged.join("gone")).unwrap();
        fs::write(merged.join("gone/new"), "new").unwrap();
        fs::remove_file(merged.join("link")).unwrap();
        fs::create_dir(merged.join("link")).unwrap();
        fs::write(merged.join("etc/sub/c"), "changed").unwrap();
        expected = tree(&merged);
    }
    let top = store.layer_from_dir(&upper, &LayerOptions::default()).unwrap();
    let image = commit(&store, &[base, top], &["top"]);

    // As packed, and unpacked again from the tar by another store: the same merged view.
    let mut archive = Vec::new();
    store.save(&["top".into()], stockade_image::Format::Oci, &mut archive).unwrap();
    let other = Store::open(&dir.path().join("other")).unwrap();
    let loaded = other.load(archive.as_slice()).unwrap();
    assert_eq!(loaded[0].manifest_digest, image.manifest_digest);
    for (store, image) in [(&store, &image), (&other, &loaded[0])] {
        let dirs = store.layer_dirs(image).unwrap();
        let _mount = mount_overlay(&dirs, None, &merged);
        assert_eq!(tree(&merged), expected);
    }
    let mut tar = Vec::new();
    store.layer_readers(&image).unwrap()[1].open().unwrap().read_to_end(&mut tar).unwrap();
    let names: Vec<String> = stockade_image::tar::read_all(&tar, &stockade_image::Limits::default())
        .unwrap()
        .into_iter()
        .map(|(entry, _)| String::from_utf8(entry.path).unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "etc",
            "etc/.wh.b",
            "etc/sub",
            "etc/sub/c",
            "gone",
            "gone/.wh..wh..opq",
            "gone/new",
            "link",
            "link/.wh..wh..opq"
        ]
    );
    assert_clean(&store);
    assert_clean(&other);
}

#[test]
fn the_same_directory_gives_the_same_layer() {
    if skip_without_root() {
        return;
    }
    let dir = scratch();
    let mut layers = Vec::new();
    for store in ["one", "two"] {
        let store = Store::open(&dir.path().join(store)).unwrap();
        let staging = store.staging_dir().unwrap();
        let root = staging.path().join("root");
        fs::create_dir(&root).unwrap();
        fill(&root);
        // More than one chunk, so that the threads take part.
        fs::write(root.join("large"), (0..6_000_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
        let layer = store
            .layer_from_dir(&root, &LayerOptions { clamp_mtime: Some(1_700_000_000), ..LayerOptions::default() })
            .unwrap();
        let large = store.layer_dir(&layer).unwrap().join("large");
        assert_eq!(fs::metadata(large).unwrap().mtime(), 1_700_000_000, "the directory shows what the tar tells");
        layers.push(layer);
    }
    assert_eq!(layers[0], layers[1]);
}

#[test]
fn equal_content_is_stored_once() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let tar = Tar::new().file("f", b"x").end();
    let first = store.layer_from_tar(tar.as_slice()).unwrap();
    let staging = store.staging_dir().unwrap();
    let root = staging.path().join("root");
    fs::create_dir(&root).unwrap();
    let again = store.layer_from_tar(tar.as_slice()).unwrap();
    assert_eq!(first, again);
    assert_eq!(fs::read_dir(dir.path().join("layers")).unwrap().count(), 1);
}

#[test]
fn a_sparse_file_stays_sparse_through_a_layer() {
    if skip_without_root() {
        return;
    }
    let dir = scratch();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let staging = store.staging_dir().unwrap();
    let root = staging.path().join("root");
    fs::create_dir(&root).unwrap();
    let file = File::create(root.join("lastlog")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"entry", 300 << 20).unwrap();
    file.set_len(1 << 30).unwrap();
    file.sync_all().unwrap();
    let layer = store.layer_from_dir(&root, &LayerOptions::default()).unwrap();
    let image = commit(&store, &[layer], &["sparse"]);
    let mut tar = Vec::new();
    store.layer_readers(&image).unwrap()[0].open().unwrap().read_to_end(&mut tar).unwrap();
    assert!(tar.len() < 100_000, "{} bytes", tar.len());
    // Ours and GNU tar's reading agree.
    let out = dir.path().join("gnu");
    fs::create_dir(&out).unwrap();
    let path = dir.path().join("layer.tar");
    fs::write(&path, &tar).unwrap();
    assert!(std::process::Command::new("tar").arg("-xf").arg(&path).arg("-C").arg(&out).status().unwrap().success());
    let other = Store::open(&dir.path().join("other")).unwrap();
    let mine = other.layer_dir(&other.layer_from_tar(tar.as_slice()).unwrap()).unwrap();
    for root in [&out, &mine] {
        let file = File::open(root.join("lastlog")).unwrap();
        let mut entry = [0; 5];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut entry, 300 << 20).unwrap();
        let m = file.metadata().unwrap();
        assert_eq!((&entry, m.size()), (b"entry", 1 << 30));
        assert!(m.blocks() < 100, "holes were filled");
    }
}

#[test]
fn what_a_layer_cannot_say_is_refused() {
    let dir = scratch();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let staging = store.staging_dir().unwrap();
    let root = staging.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join(".wh.file"), "").unwrap();
    let error = store.layer_from_dir(&root, &LayerOptions::default()).unwrap_err();
    assert!(matches!(error, ImageError::Unrepresentable { .. }), "{error}");
    assert!(root.join(".wh.file").exists(), "the directory is still the caller's");
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    fs::remove_file(root.join(".wh.file")).unwrap();
    store.layer_from_dir(&root, &LayerOptions::default()).unwrap();
}

#[test]
fn foreign_gzip_layers_keep_their_bytes_and_are_unpacked_again_when_missing() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let tar = Tar::new().dir("d").file("d/f", &[3; 100_000]).end();
    let packed = support::gzip(&tar);
    let layer = store.layer_from_tar(packed.as_slice()).unwrap();
    assert_eq!(layer.descriptor.digest, stockade_image::Digest::of(&packed));
    assert_eq!(layer.diff_id, stockade_image::Digest::of(&tar));
    assert!(layer.descriptor.media_type.ends_with("gzip"));
    let image = commit(&store, std::slice::from_ref(&layer), &["g"]);
    let unpacked = store.layer_dir(&layer).unwrap();
    fs::remove_dir_all(unpacked.parent().unwrap()).unwrap();
    assert_eq!(store.layer_dirs(&image).unwrap(), std::slice::from_ref(&unpacked));
    assert_eq!(fs::read(unpacked.join("d/f")).unwrap(), [3; 100_000]);
    // A damaged blob is noticed, and nothing is published.
    fs::remove_dir_all(unpacked.parent().unwrap()).unwrap();
    fs::write(store.blob_path(&layer.descriptor.digest), support::gzip(b"other")).unwrap();
    assert!(store.layer_dirs(&image).is_err());
    assert!(!unpacked.exists());
    assert_eq!(store.verify().unwrap().len(), 2, "the blob, and the image that needs it");
}

#[test]
fn an_opaque_root_hides_all_layers_below() {
    if skip_without_root() {
        return;
    }
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let below = store.layer_from_tar(Tar::new().file("below", b"").end().as_slice()).unwrap();
    let above = store.layer_from_tar(Tar::new().file(".wh..wh..opq", b"").file("above", b"").end().as_slice()).unwrap();
    let image = commit(&store, &[below, above.clone()], &["o"]);
    assert_eq!(store.layer_dirs(&image).unwrap(), [store.layer_dir(&above).unwrap()]);
}
