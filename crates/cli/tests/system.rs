//! `stockade system` and `stockade info`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;

use common::{IMAGE, World};
use stockade_image::Store;

#[test]
fn a_damaged_store_is_told_of_and_mended() {
    let Some(world) = World::new() else { return };
    assert!(world.sk(&["system", "check", "--deep"]).ok().ends_with("all is well"));
    world.sk(&["tag", IMAGE, "other"]).ok();
    world.import("second", &["LABEL a=b"]);
    let store = Store::open(&world.root()).unwrap();
    let image = store.resolve("second").unwrap().unwrap();
    fs::write(store.blob_path(&image.id), "{}").unwrap();
    let dir = store.layer_dirs(&store.resolve(IMAGE).unwrap().unwrap()).unwrap().remove(0);
    fs::write(dir.join("planted"), "x").unwrap();
    drop(store);
    let told = world.sk(&["system", "check"]).fails_with(1);
    assert!(told.out.contains("second") && !told.out.contains("planted") && told.err.contains("--fix"), "{told:?}");
    let told = world.sk(&["image", "verify", "--deep", "--format", "json"]).fails_with(1);
    let json: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(json["schema"], "stockade.system-check/v1");
    assert!(told.out.contains("planted") && json["damages"].as_array().unwrap().len() >= 2, "{told:?}");
    let fixed = world.sk(&["system", "check", "--deep", "--fix"]).ok();
    assert!(fixed.contains("fixed: unpacked layer") && fixed.ends_with("all is well"), "{fixed}");
    assert!(!dir.join("planted").exists());
    world.sk(&["run", "--rm", "--network", "none", IMAGE, "true"]).ok();
    world.sk(&["image", "inspect", "second"]).fails_with(1);
}

#[test]
fn a_lost_lease_is_taken_again() {
    let Some(world) = World::new() else { return };
    let id = world.sk(&["create", "--name", "kept", "--network", "none", IMAGE, "true"]).ok();
    fs::remove_file(world.root().join("leases").join(&id)).unwrap();
    let told = world.sk(&["system", "check"]).fails_with(1);
    assert!(told.out.contains("container kept"), "{told:?}");
    let fixed = world.sk(&["system", "check", "--fix"]).ok();
    assert!(fixed.contains("took the lease"), "{fixed}");
    world.sk(&["rmi", IMAGE]).fails_with(1);
    world.sk(&["rm", "kept"]).ok();
}

#[test]
fn df_prune_and_info_follow_docker() {
    let Some(world) = World::new() else { return };
    world.sk(&["run", "--name", "done", "--network", "none", IMAGE, "sh", "-c", "echo 12345 >f"]).ok();
    let df = world.sk(&["system", "df"]).ok();
    let lines: Vec<&str> = df.lines().collect();
    assert!(lines[0].starts_with("TYPE") && lines[1].starts_with("Images          1       1"), "{df}");
    assert!(lines[2].contains("6B (100%)") && lines[4].starts_with("Build Cache"), "{df}");
    assert!(world.sk(&["system", "df", "-v"]).ok().contains("UNIQUE SIZE"));
    assert_eq!(world.sk(&["system", "df", "--format", "{{.Type}}"]).ok().lines().count(), 4);
    let refused = world.sk(&["system", "prune"]).fails_with(2);
    assert!(refused.err.contains("-f"), "{refused:?}");
    let pruned = world.sk(&["system", "prune", "-f"]).ok();
    assert!(pruned.contains("Deleted Containers:") && pruned.contains("Total reclaimed space:"), "{pruned}");
    world.sk(&["image", "inspect", IMAGE]).ok();
    let pruned = world.sk(&["system", "prune", "-af", "--volumes"]).ok();
    assert!(pruned.contains("untagged: box:latest"), "{pruned}");
    assert_eq!(world.sk(&["info", "--format", "{{.Images}} {{.Driver}}"]).ok(), "0 overlay");
    assert!(world.sk(&["system", "info"]).ok().contains("Security Options:"));
    let check = world.sk(&["system", "check"]).ok();
    assert!(check.contains("0 images, 0 blobs, 0 unpacked layers, 0 containers"), "{check}");
}

#[test]
fn image_diff_and_tree_tell_what_is_shared() {
    let Some(world) = World::new() else { return };
    let context = world.scratch();
    fs::write(context.join("file"), "one").unwrap();
    fs::write(
        context.join("Dockerfile"),
        "FROM box\nENV A=1\nCOPY file /etc/file\nRUN rm /bin/busybox.extra 2>/dev/null; mkdir /gone; echo x >/gone/f\n",
    )
    .unwrap();
    world.sk(&["build", "-q", "-t", "one", context.to_str().unwrap()]).ok();
    fs::write(context.join("file"), "three").unwrap();
    fs::write(
        context.join("Dockerfile"),
        "FROM one\nENV A=2 B=3\nCOPY --chmod=600 file /etc/file\nRUN rm -r /gone && echo y >/new\n",
    )
    .unwrap();
    world.sk(&["build", "-q", "-t", "two", context.to_str().unwrap()]).ok();
    let text = world.sk(&["image", "diff", "one", "two"]).ok();
    for line in
        ["C Env.A \"1\" -> \"2\"", "A Env.B \"3\"", "C /etc/file (content, mode, 3B -> 5B)", "D /gone/f", "A /new"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
    let json = world.sk(&["image", "diff", "--format", "json", "one", "two"]).ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["schema"], &json["shared_layers"]), (&"stockade.image-diff/v1".into(), &3.into()));
    assert_eq!(json["packages"], serde_json::json!([]));
    assert!(world.sk(&["image", "diff", "one", "one"]).ok().ends_with("no difference"));
    let tree = world.sk(&["image", "tree"]).ok();
    assert!(tree.lines().next().unwrap().contains("[box:latest]") && tree.contains("[two:latest]"), "{tree}");
    let json: serde_json::Value = serde_json::from_str(&world.sk(&["image", "tree", "--format", "json"]).ok()).unwrap();
    assert_eq!(json["layers"][0]["images"][0], "box:latest");
}
