//! The store: names, removal, leases, cache, archives.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;

use stockade_image::{Digest, Format, History, ImageError, Layer, LayerOptions, Store};
use support::{Tar, assert_clean, commit, config, gzip, name, scratch, skip_without_root};

fn layer(store: &Store, content: &str) -> Layer {
    store.layer_from_tar(Tar::new().file("f", content.as_bytes()).end().as_slice()).unwrap()
}

/// Commits in a session of its own, so that nothing stays pinned.
fn image(root: &std::path::Path, content: &str, names: &[&str]) -> stockade_image::Image {
    let store = Store::open(root).unwrap();
    let layer = layer(&store, content);
    let mut config = config();
    config.author = Some(content.to_owned());
    let names: Vec<_> = names.iter().map(|n| name(n)).collect();
    store.commit(config, &[layer], &names, &BTreeMap::new()).unwrap()
}

#[test]
fn images_are_found_as_docker_finds_them() {
    let dir = scratch();
    let a = image(dir.path(), "a", &["app:1", "app:latest", "localhost:5000/x/y:z"]);
    let b = image(dir.path(), "b", &[]);
    let store = Store::open(dir.path()).unwrap();
    let by_digest = format!("app@{}", a.manifest_digest);
    for text in [
        "app",
        "app:1",
        "docker.io/library/app:latest",
        "localhost:5000/x/y:z",
        &a.id.to_string(),
        &a.id.hex(),
        &by_digest,
    ] {
        assert_eq!(store.resolve(text).unwrap().unwrap().id, a.id, "{text}");
    }
    assert_eq!(store.resolve(&a.id.short()).unwrap().unwrap().id, a.id);
    assert_eq!(store.resolve(&b.id.hex()[..10]).unwrap().unwrap().id, b.id);
    assert_eq!(store.resolve(&b.manifest_digest.to_string()).unwrap().unwrap().id, b.id);
    for absent in ["app:2", "other", "localhost:5000/x/y", &format!("other@{}", a.manifest_digest), "ffffffffffffff"] {
        assert!(store.resolve(absent).unwrap().is_none(), "{absent}");
    }
    assert!(matches!(store.resolve("Not A Name"), Err(ImageError::InvalidReference { .. })));
    assert_eq!(a.names, ["app:1", "app:latest", "localhost:5000/x/y:z"]);
    assert_eq!(store.get(&a.id).unwrap().unwrap().size, 1);
    assert_eq!(store.list().unwrap().len(), 2);
    assert_clean(&store);
}

#[test]
fn an_ambiguous_prefix_names_the_candidates() {
    let dir = scratch();
    let images: Vec<_> = (0..17).map(|i| image(dir.path(), &i.to_string(), &[])).collect();
    let store = Store::open(dir.path()).unwrap();
    let doubled = images
        .iter()
        .map(|i| i.id.hex()[..1].to_owned())
        .find(|prefix| images.iter().filter(|i| i.id.hex().starts_with(prefix)).count() > 1)
        .unwrap();
    match store.resolve(&doubled) {
        Err(ImageError::Ambiguous { matches, .. }) => assert!(matches.len() > 1),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_move_and_images_go_with_their_last_name() {
    let dir = scratch();
    let a = image(dir.path(), "a", &["app"]);
    let b = image(dir.path(), "b", &["app"]);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.resolve("app").unwrap().unwrap().id, b.id);
    assert!(store.get(&a.id).unwrap().unwrap().names.is_empty(), "dangling");
    store.tag(&b.id, &name("app:2")).unwrap();
    let removed = store.remove("app", false).unwrap();
    assert_eq!((removed.untagged.as_slice(), removed.deleted.len()), (&["app:latest".to_owned()][..], 0));
    let removed = store.remove("app:2", false).unwrap();
    assert_eq!(removed.deleted.len(), 2, "image and layer");
    assert!(removed.bytes > 0);
    assert!(matches!(store.remove("app:2", false), Err(ImageError::NotFound { .. })));
    let removed = store.remove(&a.id.short(), false).unwrap();
    assert_eq!(removed.deleted.len(), 2);
    assert_eq!(fs::read_dir(dir.path().join("layers")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(dir.path().join("image/blobs/sha256")).unwrap().count(), 0);
    assert_clean(&store);
}

#[test]
fn an_id_with_names_in_several_repositories_needs_force() {
    let dir = scratch();
    let a = image(dir.path(), "a", &["x:1", "x:2", "y"]);
    let store = Store::open(dir.path()).unwrap();
    assert!(matches!(store.remove(&a.id.hex(), false), Err(ImageError::Conflict { .. })));
    store.remove("y", false).unwrap();
    let removed = store.remove(&a.id.hex(), false).unwrap();
    assert_eq!(removed.untagged, ["x:1", "x:2"]);
    assert_eq!(removed.deleted.len(), 2);
}

#[test]
fn a_lease_keeps_an_image_against_removal_and_prune() {
    let dir = scratch();
    let a = image(dir.path(), "a", &["app"]);
    let store = Store::open(dir.path()).unwrap();
    store.use_image(&a, "c1").unwrap();
    store.use_image(&a, "c2").unwrap();
    match store.remove("app", false) {
        Err(ImageError::InUse { holders, .. }) => assert_eq!(holders, ["c1", "c2"]),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.prune(true).unwrap().deleted, []);
    let removed = store.remove("app", true).unwrap();
    assert_eq!((removed.untagged.len(), removed.deleted.len()), (1, 0));
    assert_eq!(store.prune(true).unwrap().deleted, []);
    assert!(store.layer_dirs(&a).unwrap()[0].join("f").exists());
    store.release("c1").unwrap();
    store.release("c2").unwrap();
    store.release("c2").unwrap();
    let fresh = Store::open(dir.path()).unwrap();
    drop(store);
    assert_eq!(fresh.prune(false).unwrap().deleted.len(), 2);
    assert!(matches!(fresh.use_image(&a, "c3"), Err(ImageError::NotFound { .. })));
    assert!(matches!(fresh.use_image(&a, "../x"), Err(ImageError::BadName { .. })));
    assert_clean(&fresh);
}

#[test]
fn shared_layers_stay_until_their_last_image_goes() {
    let dir = scratch();
    {
        let store = Store::open(dir.path()).unwrap();
        let (base, top) = (layer(&store, "base"), layer(&store, "top"));
        commit(&store, std::slice::from_ref(&base), &["base"]);
        commit(&store, &[base, top], &["top"]);
    }
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.remove("base", false).unwrap().deleted.len(), 1);
    let top = store.resolve("top").unwrap().unwrap();
    assert_eq!(store.layer_dirs(&top).unwrap().len(), 2);
    assert_clean(&store);
}

#[test]
fn unfinished_work_of_a_living_process_is_spared() {
    let dir = scratch();
    let worker = Store::open(dir.path()).unwrap();
    let made = layer(&worker, "made");
    let collector = Store::open(dir.path()).unwrap();
    assert_eq!(collector.prune(true).unwrap().deleted, []);
    let image = commit(&worker, std::slice::from_ref(&made), &["app"]);
    assert!(collector.layer_dirs(&image).is_ok());
    drop(worker);
    drop(collector);
    let collector = Store::open(dir.path()).unwrap();
    assert_eq!(collector.prune(true).unwrap().deleted.len(), 2);
    assert!(collector.layer(&made.diff_id).unwrap().is_none());
    drop(collector);
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(dir.path().join("sessions")).unwrap().count(), 0);
}

#[test]
fn the_cache_keeps_its_layers_until_it_is_pruned() {
    let dir = scratch();
    let made = {
        let store = Store::open(dir.path()).unwrap();
        let made = layer(&store, "step");
        store.cache_put_pinned("step one", b"facts", &[made.diff_id]).unwrap();
        store.cache_put("plain", b"").unwrap();
        made
    };
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.cache_get("step one").unwrap(), b"facts");
    assert_eq!(store.cache_get("plain").unwrap(), b"");
    assert!(store.cache_get("step two").is_none());
    store.prune(true).unwrap();
    assert_eq!(store.layer(&made.diff_id).unwrap().unwrap(), made);
    let entries = store.cache_entries().unwrap();
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().any(|e| e.key == "step one" && e.pins == [made.diff_id] && !e.in_use && e.bytes > 4));
    assert_eq!(store.cache_prune(false, u64::MAX).unwrap().deleted, []);
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.cache_prune(true, 0).unwrap().deleted, [made.diff_id]);
    assert!(store.cache_get("step one").is_none());
    // A cut entry is no entry.
    store.cache_put("cut", b"a value").unwrap();
    let path = dir.path().join("cache").join(Digest::of(b"cut").hex());
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(store.cache_get("cut").is_none());
}

#[test]
fn committing_the_same_image_again_writes_nothing() {
    use std::os::unix::fs::MetadataExt;
    let dir = scratch();
    let first = image(dir.path(), "a", &["app", "app:2"]);
    let stamp = |path: std::path::PathBuf| fs::metadata(path).map(|m| (m.ino(), m.mtime(), m.mtime_nsec())).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let files = || [stamp(dir.path().join("image/index.json")), stamp(store.blob_path(&first.manifest_digest))];
    let before = files();
    let again = image(dir.path(), "a", &["app:2", "app"]);
    assert_eq!((again.id, again.names.clone()), (first.id, first.names));
    assert_eq!(files(), before);
    image(dir.path(), "b", &["app"]);
    assert_eq!(image(dir.path(), "a", &["app"]).names, ["app:2", "app:latest"], "the name came back");
}

#[test]
fn blobs_are_verified() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let blob = store.put_blob(&b"hello"[..], None).unwrap();
    assert_eq!(store.read_blob(&blob.digest).unwrap(), b"hello");
    let wrong = Digest::of(b"other");
    assert!(matches!(store.put_blob(&b"hello"[..], Some(&wrong)), Err(ImageError::DigestMismatch { .. })));
    assert!(matches!(store.read_blob(&wrong), Err(ImageError::MissingBlob { .. })));
    fs::write(store.blob_path(&blob.digest), "hellO").unwrap();
    assert!(matches!(store.read_blob(&blob.digest), Err(ImageError::DigestMismatch { .. })));
    assert_eq!(store.verify().unwrap().len(), 1);
}

#[test]
fn history_tells_which_instruction_made_which_layer() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let layers = [layer(&store, "one"), layer(&store, "three")];
    let mut config = config();
    let entry = |text: &str, empty| History { created_by: Some(text.into()), empty_layer: empty, ..History::default() };
    config.history = vec![entry("COPY 1", false), entry("ENV x", true), entry("COPY 3", false)];
    let image = store.commit(config, &layers, &[], &BTreeMap::new()).unwrap();
    let lines = store.history(&image).unwrap();
    let shown: Vec<_> = lines.iter().map(|l| (l.created_by.as_str(), l.size, l.id.is_some())).collect();
    assert_eq!(shown, [("COPY 3", 5, true), ("ENV x", 0, false), ("COPY 1", 3, false)]);
}

#[test]
fn archives_round_trip_in_both_forms() {
    let dir = scratch();
    let store = Store::open(&dir.path().join("from")).unwrap();
    let shared = layer(&store, "shared");
    let foreign = store.layer_from_tar(gzip(&Tar::new().file("g", b"gzip").end()).as_slice()).unwrap();
    let one = commit(&store, &[shared.clone(), foreign], &["one:1", "one:2", "localhost:5000/one"]);
    let two = commit(&store, std::slice::from_ref(&shared), &["two"]);
    for format in [Format::Docker, Format::Oci] {
        let mut archive = Vec::new();
        store.save(&["one:1".into(), "localhost:5000/one".into(), "two".into()], format, &mut archive).unwrap();
        let mut again = Vec::new();
        store.save(&["one:1".into(), "localhost:5000/one".into(), "two".into()], format, &mut again).unwrap();
        assert_eq!(archive, again, "the same images give the same bytes");
        for packed in [archive.clone(), gzip(&archive), zstd::encode_all(archive.as_slice(), 1).unwrap()] {
            let root = scratch();
            let other = Store::open(root.path()).unwrap();
            let images = other.load(packed.as_slice()).unwrap();
            let ids: Vec<_> = images.iter().map(|i| i.id).collect();
            assert_eq!(ids, [one.id, two.id]);
            assert_eq!(images[0].names, ["one:1", "localhost:5000/one:latest"]);
            if format == Format::Oci {
                assert_eq!(images[0].manifest_digest, one.manifest_digest);
            }
            assert!(other.layer_dirs(&images[0]).unwrap()[0].join("g").exists());
            assert_clean(&other);
        }
    }
    // A name without a tag means all tags; an id means no name.
    let loaded_names = |word: String| {
        let mut archive = Vec::new();
        store.save(&[word], Format::Docker, &mut archive).unwrap();
        Store::open(scratch().path()).unwrap().load(archive.as_slice()).unwrap().remove(0).names
    };
    assert_eq!(loaded_names("one".into()), ["one:1", "one:2"]);
    assert_eq!(loaded_names(one.id.short()), [""; 0]);
    let missing = store.save(&["one".into(), "three".into()], Format::Oci, std::io::sink()).unwrap_err();
    assert!(matches!(missing, ImageError::NotFound { .. }));
}

/// Docker before 25: layers in directories of their own, a shared one as a symbolic link; as hard links elsewhere.
#[test]
fn old_docker_archives_with_linked_layers_load() {
    let layer = Tar::new().file("f", b"x").end();
    let diff_id = Digest::of(&layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["sh"],"Env":null}},"rootfs":{{"type":"layers","diff_ids":["{diff_id}","{diff_id}"]}}}}"#
    );
    let id = Digest::of(config.as_bytes());
    let manifest = format!(
        r#"[{{"Config":"{}.json","RepoTags":["old:1"],"Layers":["aa/layer.tar","bb/layer.tar"]}},{{"Config":"{}.json","RepoTags":null,"Layers":["aa/layer.tar","cc/layer.tar"]}}]"#,
        id.hex(),
        id.hex()
    );
    let archive = Tar::new()
        .dir("aa")
        .file("aa/layer.tar", &layer)
        .dir("bb")
        .symlink("bb/layer.tar", "../aa/layer.tar")
        .hard_link("cc/layer.tar", "aa/layer.tar")
        .file(&format!("{}.json", id.hex()), config.as_bytes())
        .file("manifest.json", manifest.as_bytes())
        .end();
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let images = store.load(archive.as_slice()).unwrap();
    assert_eq!(images.len(), 2);
    assert_eq!((images[0].id, images[0].names.as_slice()), (id, &["old:1".to_owned()][..]));
    assert_eq!(images[0].config.config.cmd.as_deref().unwrap(), ["sh"]);
    assert_clean(&store);
}

/// Two images with one layer, in a store that has the layer from another blob.
#[test]
fn a_layer_that_two_images_of_an_archive_share_is_loaded_once() {
    let dir = scratch();
    let tar = Tar::new().file("f", b"shared").end();
    let (mut archives, from) = (Vec::new(), Store::open(&dir.path().join("from")).unwrap());
    let layer = from.layer_from_tar(tar.as_slice()).unwrap();
    commit(&from, std::slice::from_ref(&layer), &["one"]);
    let mut config = config();
    config.author = Some("two".into());
    from.commit(config, &[layer], &[name("two")], &BTreeMap::new()).unwrap();
    for format in [Format::Docker, Format::Oci] {
        let mut archive = Vec::new();
        from.save(&["one".into(), "two".into()], format, &mut archive).unwrap();
        archives.push(archive);
    }
    let to = Store::open(&dir.path().join("to")).unwrap();
    to.layer_from_tar(gzip(&tar).as_slice()).unwrap();
    for archive in archives {
        assert_eq!(to.load(archive.as_slice()).unwrap().len(), 2);
        assert_clean(&to);
    }
}

#[test]
fn what_is_no_image_archive_says_what_it_is() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let load = |tar: Tar| store.load(tar.end().as_slice()).unwrap_err().to_string();
    assert!(load(Tar::new().file("etc/passwd", b"")).contains("import"));
    assert!(load(Tar::new().file("repositories", b"{}")).contains("older than 1.10"));
    assert!(load(Tar::new().file("manifest.json", b"nonsense")).contains("manifest.json"));
    assert!(
        load(Tar::new().file("manifest.json", br#"[{"Config":"c","RepoTags":null,"Layers":null}]"#))
            .contains("`c` is missing")
    );
    assert!(load(Tar::new().symlink("manifest.json", "manifest.json")).contains("missing"));
    assert!(
        load(Tar::new().file("oci-layout", b"{}").file("index.json", br#"{"schemaVersion":2}"#)).contains("no image")
    );
    assert!(store.load(&b"not a tar at all, but long enough to be a header block".repeat(20)[..]).is_err());
    let wrong = br#"{"architecture":"a","os":"l","rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;
    let lying = Tar::new()
        .file("c", wrong)
        .file("l", &Tar::new().file("f", b"").end())
        .file("manifest.json", br#"[{"Config":"c","RepoTags":["x:1"],"Layers":["l"]}]"#);
    assert!(matches!(store.load(lying.end().as_slice()), Err(ImageError::DigestMismatch { .. })));
    assert!(store.list().unwrap().is_empty());
    assert_clean(&store);
}

#[test]
fn a_root_tar_is_imported_with_changes() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    let tar = gzip(&Tar::new().dir("bin").file("bin/sh", b"#!").end());
    let changes = ["CMD [\"/bin/sh\"]".to_owned(), "ENV A=b".to_owned()];
    let image = store.import(tar.as_slice(), &changes, None, Some(&name("mine"))).unwrap();
    assert_eq!(image.names, ["mine:latest"]);
    assert_eq!(image.config.config.cmd.as_deref().unwrap(), ["/bin/sh"]);
    assert!(store.layer_dirs(&image).unwrap()[0].join("bin/sh").exists());
    assert!(matches!(store.import(&b""[..], &["FROM x".to_owned()], None, None), Err(ImageError::BadChange { .. })));
}

/// Any OCI tool must be able to read the store: here one that we did not write, if it is installed.
#[test]
fn the_layout_has_what_other_tools_need() {
    let dir = scratch();
    let a = image(dir.path(), "a", &["app:1"]);
    let layout = dir.path().join("image");
    assert_eq!(fs::read(layout.join("oci-layout")).unwrap(), br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: serde_json::Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["digest"], a.manifest_digest.to_string());
    assert_eq!(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "docker.io/library/app:1");
    let skopeo = std::process::Command::new("skopeo")
        .args(["inspect", "--config", &format!("oci:{}:docker.io/library/app:1", layout.display())])
        .output();
    match skopeo {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => eprintln!("skipped in part: no skopeo here"),
    }
}

/// Takes every free block.
fn fill(at: &std::path::Path) {
    use std::io::Write;
    let mut file = fs::File::create(at.join("filler")).unwrap();
    while file.write(&[7; 4096]).is_ok() {}
}

#[test]
fn a_full_disk_is_a_clear_error_and_changes_nothing() {
    if skip_without_root() {
        return;
    }
    let dir = scratch();
    let mounted = support::mount_tmpfs(&dir.path().join("small"), "3m");
    let root = mounted.0.join("store");
    let kept = image(&root, "kept", &["kept"]);
    let noise: Vec<u8> = (0..2_000_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    {
        let store = Store::open(&root).unwrap();
        let error = store.layer_from_tar(Tar::new().file("noise", &noise).end().as_slice()).unwrap_err();
        assert!(error.is_no_space(), "{error:?}");
        assert!(error.to_string().contains("no space"), "{error}");
        let error = store.put_blob(noise.as_slice(), None).unwrap_err();
        assert!(error.is_no_space(), "{error:?}");
        let mut archive = Vec::new();
        {
            let big = scratch();
            image(big.path(), "small", &["small"]);
            let from = Store::open(big.path()).unwrap();
            let layer = from.layer_from_tar(Tar::new().file("noise", &noise).end().as_slice()).unwrap();
            commit(&from, &[layer], &["big"]);
            from.save(&["big".into()], Format::Docker, &mut archive).unwrap();
        }
        let error = store.load(archive.as_slice()).unwrap_err();
        assert!(error.is_no_space(), "{error:?}");
        // A directory that fits beside a blob that does not.
        let staging = store.staging_dir().unwrap();
        let upper = staging.path().join("upper");
        fs::create_dir(&upper).unwrap();
        fs::write(upper.join("noise"), &noise[..2_000_000]).unwrap();
        let error = store.layer_from_dir(&upper, &LayerOptions::default()).unwrap_err();
        assert!(error.is_no_space(), "{error:?}");
        let session = fs::read_dir(root.join("tmp")).unwrap().flatten().next().unwrap().path();
        assert_eq!(fs::read_dir(session).unwrap().count(), 1, "only the caller's staging directory is left");
    }
    let store = Store::open(&root).unwrap();
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0);
    assert_eq!(store.list().unwrap().len(), 1);
    assert_clean(&store);
    // Removal works on a disk without a free block, and makes room.
    fill(&mounted.0);
    let removed = store.remove("kept", false).unwrap();
    assert_eq!(removed.deleted.len(), 2);
    drop(store);
    fs::remove_file(mounted.0.join("filler")).unwrap();
    // What could be made before can be made now.
    assert_eq!(image(&root, "kept", &["kept"]).manifest_digest, kept.manifest_digest);
}
