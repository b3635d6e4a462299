//! `kill -9` at any moment of the image verbs: the store verifies clean, and the next command works.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;
mod registry_common;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::World;
use registry_common::{Registry, trust};
use stockade_image::{Digest, ImageConfig, LayerOptions, Store};

/// Kills of each verb.
const ROUNDS: u32 = 32;
/// Layers of the test image, and bytes of each that no compressor shrinks.
const LAYERS: u32 = 3;
const LAYER_BYTES: u32 = 700_000;

/// Bytes without a pattern, the same for the same seed.
fn noise(seed: u32, length: u32) -> Vec<u8> {
    let mut state = u64::from(seed) << 32 | 0x9e37_79b9;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

/// Puts an image of several layers into a store; `seed` makes it another one.
fn put(store: &Store, name: &str, seed: u32) {
    let mut layers = Vec::new();
    for layer in 0..LAYERS {
        let staging = store.staging_dir().unwrap();
        let dir = staging.path().join("d");
        fs::create_dir_all(dir.join("etc")).unwrap();
        fs::write(dir.join(format!("noise{layer}")), noise(seed * LAYERS + layer + 1, LAYER_BYTES)).unwrap();
        for file in 0..20 {
            fs::write(dir.join(format!("etc/f{file}")), format!("{seed} {layer}")).unwrap();
        }
        layers.push(
            store
                .layer_from_dir(&dir, &LayerOptions { clamp_mtime: Some(1_700_000_000), ..LayerOptions::default() })
                .unwrap(),
        );
    }
    let config = ImageConfig { architecture: "amd64".into(), os: "linux".into(), ..ImageConfig::default() };
    store.commit(config, &layers, &[name.parse().unwrap()], &BTreeMap::new()).unwrap();
}

/// Runs a command and kills it after some part of the time that it takes; `round` says which part.
fn kill(world: &World, arguments: &[&str], input: Option<&PathBuf>, whole: Duration, round: u32) {
    let mut command = world.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(input) = input {
        command.stdin(fs::File::open(input).unwrap());
    }
    let mut child = command.spawn().unwrap();
    // Spread evenly over the command's time, and in another order than even steps would be.
    std::thread::sleep(whole * (round * 13 % ROUNDS) / ROUNDS);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// How long a command takes when nobody kills it.
fn time(world: &World, arguments: &[&str]) -> Duration {
    let start = Instant::now();
    world.sk(arguments).ok();
    start.elapsed()
}

#[track_caller]
fn clean(world: &World, what: &str, round: u32) {
    let store = Store::open(&world.root()).unwrap();
    let damages = store.verify().unwrap();
    assert!(damages.is_empty(), "{what}, kill {round}: {damages:#?}");
}

#[test]
fn pull_and_push() {
    let (Some(world), Some(registry)) = (World::new(), Registry::start(false)) else { return };
    trust(&world, &registry, "");
    let name = registry.name("big:1");
    put(&Store::open(&world.root()).unwrap(), &name, 1);
    world.sk(&["push", "-q", &name]).ok();
    world.sk(&["rmi", "-f", &name]).ok();
    let whole = time(&world, &["pull", "-q", &name]);
    for round in 0..ROUNDS {
        world.sk(&["rmi", "-f", &name]);
        if round % 4 == 0 {
            // Otherwise the blobs that came before the kill are still there, and the pull goes on with them.
            world.sk(&["image", "prune", "-f"]).ok();
        }
        kill(&world, &["pull", "-q", &name], None, whole, round);
        clean(&world, "pull", round);
    }
    world.sk(&["pull", "-q", &name]).ok();
    clean(&world, "pull", ROUNDS);

    for round in 0..ROUNDS {
        let target = registry.name(&format!("out{}:1", round % 4));
        world.sk(&["tag", &name, &target]).ok();
        kill(&world, &["push", "-q", &target], None, whole, round);
        clean(&world, "push", round);
    }
    for target in 0..4 {
        let target = registry.name(&format!("out{target}:1"));
        world.sk(&["push", "-q", &target]).ok();
        world.sk(&["rmi", "-f", &target]).ok();
        world.sk(&["pull", "-q", &target]).ok();
    }
    clean(&world, "push", ROUNDS);
}

#[test]
fn load_rmi_and_prune() {
    let Some(world) = World::new() else { return };
    let archive = world.scratch().join("image.tar");
    put(&Store::open(&world.root()).unwrap(), "big:1", 7);
    world.sk(&["save", "-o", archive.to_str().unwrap(), "big:1"]).ok();
    world.sk(&["rmi", "-f", "big:1"]).ok();
    let load = ["load", "-i", archive.to_str().unwrap()];
    let whole = time(&world, &load);
    for round in 0..ROUNDS {
        world.sk(&["rmi", "-f", "big:1"]);
        kill(&world, &["load"], Some(&archive), whole, round);
        clean(&world, "load", round);
    }
    for round in 0..ROUNDS {
        world.sk(&load).ok();
        kill(&world, &["rmi", "-f", "big:1"], None, Duration::from_millis(30), round);
        clean(&world, "rmi", round);
    }
    for round in 0..ROUNDS {
        world.sk(&load).ok();
        if round % 2 == 0 {
            world.sk(&["rmi", "-f", "big:1"]).ok();
        }
        kill(&world, &["image", "prune", "-af"], None, Duration::from_millis(40), round);
        clean(&world, "prune", round);
    }
    world.sk(&load).ok();
    let store = Store::open(&world.root()).unwrap();
    let image = store.resolve("big:1").unwrap().unwrap();
    let top = store.layer_dirs(&image).unwrap().remove(0);
    let read = fs::read(top.join(format!("noise{}", LAYERS - 1))).unwrap();
    assert_eq!(Digest::of(&read), Digest::of(&noise(7 * LAYERS + LAYERS, LAYER_BYTES)));
    drop(store);
    world.sk(&["image", "prune", "-af"]).ok();
    world.sk(&["builder", "prune", "-af"]).ok();
    assert!(world.sk(&["system", "check", "--deep"]).ok().contains("0 images, 0 blobs, 0 unpacked layers"));
}
