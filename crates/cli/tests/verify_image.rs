//! `--verify-image` and `[image] verify`: a layer that was changed on disk is noticed before a container runs from it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use common::{IMAGE, World};

/// A file of the image's lowest layer, and the layer's directory.
fn victim(world: &World) -> (PathBuf, PathBuf) {
    let layers: Vec<PathBuf> = fs::read_dir(world.root().join("layers")).unwrap().map(|e| e.unwrap().path()).collect();
    let with = |layer: &PathBuf| layer.join("fs/etc/passwd").is_file();
    let layer = layers.into_iter().find(with).unwrap();
    (layer.join("fs/etc/passwd"), layer)
}

/// Changes one byte and sets every time that can be set back to what it was.
fn tamper(path: &Path) -> Vec<u8> {
    let meta = fs::metadata(path).unwrap();
    let before = fs::read(path).unwrap();
    let mut bytes = before.clone();
    bytes[0] ^= 1;
    write_back(path, &bytes, meta.modified().unwrap(), meta.accessed().unwrap());
    before
}

fn write_back(path: &Path, bytes: &[u8], modified: SystemTime, accessed: SystemTime) {
    use std::io::Write;
    let mut file = fs::File::options().write(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
    file.set_times(fs::FileTimes::new().set_modified(modified).set_accessed(accessed)).unwrap();
}

#[test]
fn what_was_changed_does_not_run() {
    let Some(world) = World::new() else { return };
    let run = |how: &str| world.sk(&["run", "--rm", "--network", "none", "--verify-image", how, IMAGE, "true"]);
    let (file, layer) = victim(&world);
    run("seal").ok();
    let seal = fs::read(layer.join("seal")).unwrap();
    run("seal").ok();
    run("content").ok();
    assert_eq!(fs::read(layer.join("seal")).unwrap(), seal, "nothing changed");

    let before = tamper(&file);
    for how in ["seal", "content"] {
        let refused = run(how).fails_with(125);
        assert!(refused.err.contains("was changed on disk") && refused.err.contains("passwd"), "{}", refused.err);
        assert!(refused.err.contains("system check --deep --fix"), "{}", refused.err);
    }
    run("off").ok();
    // `create` alone does not look; the start does.
    let id = world.sk(&["create", "--network", "none", "--verify-image", "seal", IMAGE, "true"]).ok();
    let refused = world.sk(&["start", "-a", &id]);
    assert!(refused.code != 0 && refused.err.contains("was changed on disk"), "{}", refused.err);
    assert!(world.sk(&["inspect", &id]).ok().contains("\"VerifyImage\": \"seal\""));

    // Put right by hand: the seal is broken, the content is as it was, and is sealed anew.
    let meta = fs::metadata(&file).unwrap();
    write_back(&file, &before, meta.modified().unwrap(), meta.accessed().unwrap());
    run("seal").ok();
    assert_ne!(fs::read(layer.join("seal")).unwrap(), seal);
    world.sk(&["start", "-a", &id]).ok();

    // Other changes than of bytes: a mode, a file too many.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(run("seal").fails_with(125).err.contains("passwd"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    run("seal").ok();
    fs::write(layer.join("fs/etc/more"), "x").unwrap();
    assert!(run("seal").fails_with(125).err.contains("more"));
    // Mended from the blob, as the error says.
    world.sk(&["rm", "-f", &id]).ok();
    world.sk(&["system", "check", "--deep", "--fix"]);
    run("seal").ok();
    assert!(!layer.join("fs/etc/more").exists());
}

#[test]
fn the_configuration_decides_and_a_seal_is_no_proof_by_itself() {
    let Some(world) = World::new() else { return };
    let settings = world.scratch().join("stockade.toml");
    fs::write(&settings, "[image]\nverify = \"seal\"\n").unwrap();
    let config = settings.display().to_string();
    let run = ["--config", &config, "run", "--rm", "--network", "none", IMAGE, "true"];
    let (file, layer) = victim(&world);
    fs::write(layer.join("seal"), "sha256:0").unwrap();
    world.sk(&run).ok();
    tamper(&file);
    assert!(world.sk(&run).fails_with(125).err.contains("was changed on disk"));
    // The flag wins over the file.
    world.sk(&["--config", &config, "run", "--rm", "--network", "none", "--verify-image", "off", IMAGE, "true"]).ok();
    world.sk(&["run", "--verify-image", "maybe", IMAGE]).fails_with(2);
    fs::write(&settings, "[image]\nverify = \"maybe\"\n").unwrap();
    assert!(world.sk(&run).code != 0);
    // Without its blob nothing says what a layer should be.
    let mut removed = 0;
    for blob in fs::read_dir(world.root().join("image/blobs/sha256")).unwrap().flatten() {
        if blob.metadata().unwrap().len() > 1 << 16 {
            fs::remove_file(blob.path()).unwrap();
            removed += 1;
        }
    }
    assert_eq!(removed, 1);
    let blind = world.sk(&["run", "--rm", "--network", "none", "--verify-image", "content", IMAGE, "true"]);
    assert!(blind.code == 125 && blind.err.contains("blob"), "{}", blind.err);
}
