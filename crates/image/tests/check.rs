//! Stores that are damaged on purpose: the check tells, the repair mends.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;

use stockade_image::{Depth, Repair, Store};
use support::{Tar, assert_clean, commit, scratch, skip_without_root};

/// A store with one image of one layer, and a layer that another image shares.
fn store() -> (tempfile::TempDir, Store) {
    let dir = scratch();
    let store = Store::open(&dir.path().join("store")).unwrap();
    let base = store.layer_from_tar(Tar::new().file("etc/passwd", b"root").end().as_slice()).unwrap();
    let app = store.layer_from_tar(Tar::new().file("app", &[7; 9000]).file("d/.wh.x", b"").end().as_slice()).unwrap();
    commit(&store, std::slice::from_ref(&base), &["base"]);
    let mut config = support::config();
    config.author = Some("app".into());
    store.commit(config, &[base, app], &[support::name("app")], &Default::default()).unwrap();
    assert_clean(&store);
    (dir, store)
}

/// Repairs until nothing is left to do; what was done.
fn repair(store: &Store, depth: Depth) -> Vec<String> {
    let mut done = Vec::new();
    for _ in 0..4 {
        for damage in store.check(depth).unwrap().damages {
            done.extend(store.repair(&damage, &|_| false).unwrap());
        }
    }
    done
}

#[test]
fn a_changed_file_in_an_unpacked_layer_is_found_and_unpacked_again() {
    if skip_without_root() {
        return;
    }
    let (_dir, store) = store();
    let image = store.resolve("app").unwrap().unwrap();
    let dir = store.layer_dirs(&image).unwrap().remove(0);
    fs::write(dir.join("app"), [8; 9000]).unwrap();
    fs::write(dir.join("planted"), "x").unwrap();
    assert_eq!(store.check(Depth::Quick).unwrap().damages, []);
    let damages = store.check(Depth::Deep).unwrap().damages;
    assert_eq!(damages.len(), 1, "{damages:?}");
    assert!(damages[0].why.contains("`/app` has another content"), "{damages:?}");
    assert!(damages[0].why.contains("`/planted` does not belong"), "{damages:?}");
    assert!(store.repair(&damages[0], &|_| true).is_err(), "a running container stands on it");
    let done = store.repair(&damages[0], &|_| false).unwrap().unwrap();
    assert!(done.starts_with("unpacked layer"), "{done}");
    assert_clean(&store);
    assert_eq!(fs::read(dir.join("app")).unwrap(), [7; 9000]);
    assert!(!dir.join("planted").exists());
}

#[test]
fn a_damaged_blob_takes_its_image_along_and_nothing_else() {
    let (_dir, store) = store();
    let image = store.resolve("app").unwrap().unwrap();
    fs::write(store.blob_path(&image.manifest.layers[1].digest), "short").unwrap();
    // The quick check sees the wrong size, the deep one the content.
    assert_eq!(store.check(Depth::Quick).unwrap().damages.len(), 1);
    let done = repair(&store, Depth::Deep);
    assert!(done.iter().any(|d| d.starts_with("removed blob")) && done.iter().any(|d| d.contains("app")), "{done:?}");
    assert!(store.resolve("app").unwrap().is_none());
    assert!(store.resolve("base").unwrap().is_some());
    assert_clean(&store);
    store.prune(false).unwrap();
    assert_clean(&store);
}

#[test]
fn documents_are_verified_by_the_quick_check_too() {
    let (_dir, store) = store();
    let image = store.resolve("app").unwrap().unwrap();
    let path = store.blob_path(&image.id);
    let text = fs::read_to_string(&path).unwrap().replace("amd64", "arm64");
    fs::write(&path, text).unwrap();
    let damages = store.check(Depth::Quick).unwrap().damages;
    assert!(matches!(damages[0].repair, Repair::RemoveImage { .. }), "{damages:?}");
}

#[test]
fn a_lost_index_is_made_anew_of_the_manifests() {
    let (_dir, store) = store();
    let id = store.resolve("app").unwrap().unwrap().id;
    let path = store.layout_dir().join("index.json");
    fs::write(&path, "{cut").unwrap();
    let damages = store.check(Depth::Quick).unwrap().damages;
    assert_eq!(damages.len(), 1);
    let done = store.repair(&damages[0], &|_| false).unwrap().unwrap();
    assert!(done.contains("2 images"), "{done}");
    assert_clean(&store);
    assert_eq!(store.get(&id).unwrap().unwrap().names, Vec::<String>::new());
    assert!(path.with_extension("json.damaged").exists());
}

#[test]
fn what_a_crash_cut_is_removed_and_what_a_person_put_there_is_not() {
    let (_dir, store) = store();
    let image = store.resolve("app").unwrap().unwrap();
    store.use_image(&image, "holder").unwrap();
    store.cache_put("key", b"value").unwrap();
    let root = store.root();
    fs::write(root.join("leases/cut"), "{").unwrap();
    let entry = fs::read_dir(root.join("cache")).unwrap().next().unwrap().unwrap().path();
    fs::write(&entry, "{").unwrap();
    fs::write(root.join("layers/notes.txt"), "mine").unwrap();
    let old = root.join("image/.tmp-0123456789abcdef");
    fs::write(&old, "x").unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(store.check(Depth::Quick).unwrap().damages.len(), 4);
    assert_eq!(repair(&store, Depth::Quick).len(), 3);
    let left = store.check(Depth::Quick).unwrap().damages;
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].what.contains("notes.txt") && left[0].repair == Repair::Nothing);
    fs::remove_file(root.join("layers/notes.txt")).unwrap();
    // A container whose image lost content is told of, and only told of.
    let blob = image.manifest.layers[0].digest;
    fs::remove_file(store.blob_path(&blob)).unwrap();
    let left = store.check(Depth::Quick).unwrap().damages;
    assert!(left.iter().any(|d| d.what.contains("holder") && d.repair == Repair::Nothing), "{left:?}");
}

#[test]
fn an_unpacked_layer_without_its_directory_or_facts_is_mended() {
    let (_dir, store) = store();
    let image = store.resolve("app").unwrap().unwrap();
    let dirs = store.layer_dirs(&image).unwrap();
    fs::remove_dir_all(&dirs[0]).unwrap();
    fs::remove_file(dirs[1].parent().unwrap().join("meta.json")).unwrap();
    assert_eq!(store.check(Depth::Quick).unwrap().damages.len(), 2);
    let done = repair(&store, Depth::Quick);
    assert!(done.iter().any(|d| d.starts_with("unpacked layer")), "{done:?}");
    assert!(done.iter().any(|d| d.starts_with("removed unpacked layer")), "{done:?}");
    assert_clean(&store);
    assert_eq!(store.layer_dirs(&image).unwrap(), dirs);
    assert_clean(&store);
}

#[test]
fn trees_and_sizes_count_shared_layers_once() {
    let (_dir, store) = store();
    let tree = store.tree().unwrap();
    assert_eq!(tree.len(), 1);
    assert_eq!(
        (tree[0].images.as_slice(), tree[0].children[0].images.as_slice()),
        (&["base:latest".to_owned()][..], &["app:latest".to_owned()][..])
    );
    let image = store.resolve("base").unwrap().unwrap();
    store.use_image(&image, "holder").unwrap();
    let usage = store.usage().unwrap();
    let of = |name: &str| usage.images.iter().find(|u| u.image.names[0].starts_with(name)).unwrap();
    assert_eq!((of("base").unique, of("base").holders), (0, 1));
    assert_eq!(of("base").shared, of("app").shared);
    assert_eq!(usage.bytes, of("app").shared + of("app").unique);
    assert_eq!(usage.reclaimable, of("app").unique);
}
