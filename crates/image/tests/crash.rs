//! Processes that are killed, and processes that get in each other's way.
//!
//! The test binary starts itself: with `STOCKADE_IMAGE_TEST_ROOT` set, `worker` works on that store until it is killed.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use stockade_image::{Digest, ImageError, LayerOptions, Store};
use support::{Tar, assert_clean, config, name, scratch};

const ROOT: &str = "STOCKADE_IMAGE_TEST_ROOT";
const ROLE: &str = "STOCKADE_IMAGE_TEST_ROLE";

fn start(root: &Path, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker", "--nocapture"])
        .env(ROOT, root)
        .env(ROLE, role)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test of its own: the process that the others start.
#[test]
fn worker() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let root = Path::new(&root);
    let role = std::env::var(ROLE).unwrap();
    let rounds = if role == "once" { 8 } else { u32::MAX };
    for round in 0..rounds {
        match role.as_str() {
            "prune" => drop(Store::open(root).unwrap().prune(round.is_multiple_of(3)).unwrap()),
            _ => work(root, round),
        }
    }
}

/// One build, archive, cache use and removal; each in a session of its own, as commands are.
fn work(root: &Path, round: u32) {
    let store = Store::open(root).unwrap();
    let staging = store.staging_dir().unwrap();
    let upper = staging.path().join("upper");
    fs::create_dir_all(upper.join("d/e")).unwrap();
    let content = format!("{}-{round}", std::process::id());
    for i in 0..20 {
        fs::write(upper.join(format!("d/e/f{i}")), &content).unwrap();
    }
    fs::write(upper.join("large"), content.repeat(200_000)).unwrap();
    let shared = store.layer_from_tar(Tar::new().file("shared", &[round as u8 % 2; 5000]).end().as_slice()).unwrap();
    let made = store.layer_from_dir(&upper, &LayerOptions::default()).unwrap();
    store.cache_put_pinned("step", b"value", &[made.diff_id]).unwrap();
    let tag = name(&format!("app:{}", round % 3));
    let mut config = config();
    config.author = Some(content);
    let image = store.commit(config, &[shared, made], &[tag], &BTreeMap::new()).unwrap();
    assert_eq!(store.layer_dirs(&image).unwrap().len(), 2);
    if round.is_multiple_of(2) {
        match store.remove(&format!("app:{}", (round + 1) % 3), true) {
            Ok(_) | Err(ImageError::NotFound { .. }) => {}
            Err(e) => panic!("{e}"),
        }
    }
}

#[test]
fn kill_nine_at_any_moment_leaves_a_clean_store() {
    let dir = scratch();
    let root = dir.path().join("store");
    let seed = Digest::of(&std::process::id().to_le_bytes()).hex();
    for round in 0..30 {
        let role = if round % 5 == 4 { "prune" } else { "work" };
        let mut child = start(&root, role);
        // Anywhere between the start and some commits.
        let spread = u64::from_str_radix(&seed[round..round + 2], 16).unwrap();
        std::thread::sleep(Duration::from_millis(10 + spread));
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(&root).unwrap();
        assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0, "swept");
        assert_clean(&store);
        for image in store.list().unwrap() {
            store.layer_dirs(&image).unwrap();
        }
    }
    let store = Store::open(&root).unwrap();
    store.cache_prune(true, 0).unwrap();
    store.prune(true).unwrap();
    assert!(store.list().unwrap().is_empty());
    assert_eq!(fs::read_dir(root.join("layers")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(root.join("image/blobs/sha256")).unwrap().count(), 0);
    // And the next build works.
    work(&root, 0);
    assert_clean(&Store::open(&root).unwrap());
}

#[test]
fn processes_that_build_and_prune_at_once_do_not_hurt_each_other() {
    let dir = scratch();
    let root = dir.path().join("store");
    let mut pruner = start(&root, "prune");
    let mut builders: Vec<Child> = (0..4).map(|_| start(&root, "once")).collect();
    let results: Vec<bool> = builders.iter_mut().map(|b| b.wait().unwrap().success()).collect();
    let pruner_died = pruner.try_wait().unwrap().is_some();
    pruner.kill().unwrap();
    pruner.wait().unwrap();
    assert_eq!(results, [true; 4], "a builder failed");
    assert!(!pruner_died, "the pruner failed");
    let store = Store::open(&root).unwrap();
    assert_clean(&store);
    for image in store.list().unwrap() {
        assert_eq!(store.layer_dirs(&image).unwrap().len(), 2);
    }
}

#[test]
fn threads_share_one_store_value() {
    let dir = scratch();
    let store = Store::open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for i in 0..5 {
                    let tar = Tar::new().file("f", format!("{}", i % 2).as_bytes()).end();
                    let layer = store.layer_from_tar(tar.as_slice()).unwrap();
                    let tag = name(&format!("t{thread}:{i}"));
                    store.commit(config(), &[layer], &[tag], &BTreeMap::new()).unwrap();
                }
            });
        }
    });
    assert_eq!(store.list().unwrap().len(), 2);
    let names: usize = store.list().unwrap().iter().map(|i| i.names.len()).sum();
    assert_eq!(names, 20);
    assert_clean(&store);
}
