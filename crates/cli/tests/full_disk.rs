//! No space left while images come in and containers start: a clear error, and a store that is as whole as before.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use common::{IMAGE, World};

/// A world whose state directory is a file system of this many MiB that holds [`IMAGE`]; unmounted when dropped.
struct Small {
    world: World,
    root: PathBuf,
}

impl Small {
    fn new(mib: u32) -> Option<Small> {
        let world = World::new()?;
        let tar = world.scratch().join("box.tar");
        world.sk(&["save", "-o", tar.to_str().unwrap(), IMAGE]).ok();
        let root = world.root();
        fs::remove_dir_all(&root).unwrap();
        fs::create_dir(&root).unwrap();
        let size = format!("size={mib}m");
        assert!(
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&root).status().unwrap().success()
        );
        let small = Small { world, root };
        small.world.sk(&["load", "-i", tar.to_str().unwrap()]).ok();
        Some(small)
    }

    /// What must still work afterwards, with nothing left of what failed.
    fn is_whole(&self) {
        assert_eq!(self.world.sk(&["images", "-a", "--format", "{{.Repository}}"]).ok(), IMAGE);
        self.world.sk(&["run", "--rm", "--network", "none", IMAGE, "true"]).ok();
        let staged: Vec<String> = common::names(&self.root.join("tmp")).collect();
        assert!(staged.is_empty(), "half-written: {staged:?}");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let ids = self.world.sk(&["ps", "-aq"]).out;
        for id in ids.lines() {
            self.world.sk(&["rm", "-f", id]);
        }
        let _ = Command::new("umount").arg("-l").arg(&self.root).status();
    }
}

/// Bytes that no compression makes smaller.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out
}

#[test]
fn archives_and_roots_that_do_not_fit_are_refused_whole() {
    let Some(small) = Small::new(16) else { return };
    let scratch = small.world.scratch();
    fs::create_dir(scratch.join("tree")).unwrap();
    fs::write(scratch.join("tree/big"), noise(24 << 20)).unwrap();
    let tar = scratch.join("big.tar");
    let made =
        Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(scratch.join("tree")).arg("big").status().unwrap();
    assert!(made.success());
    let failed = small.world.sk(&["import", tar.to_str().unwrap(), "big"]).fails_with(1);
    assert!(failed.err.contains("pace left") && failed.err.lines().count() <= 2, "{}", failed.err);
    small.is_whole();

    // The same as an image archive, made in a store that has room.
    let Some(roomy) = World::new() else { return };
    roomy.sk(&["import", tar.to_str().unwrap(), "big"]).ok();
    let image = scratch.join("image.tar");
    roomy.sk(&["save", "-o", image.to_str().unwrap(), "big"]).ok();
    let failed = small.world.sk(&["load", "-i", image.to_str().unwrap()]).fails_with(1);
    assert!(failed.err.contains("pace left") && failed.err.lines().count() <= 2, "{}", failed.err);
    small.is_whole();
}

#[test]
fn a_container_that_has_no_room_to_start_is_an_error_and_leaves_nothing() {
    let Some(small) = Small::new(16) else { return };
    let filler = small.root.join("filler");
    // As much as fits; what a write could not put down is no matter.
    let _ = fs::write(&filler, vec![1u8; 32 << 20]);
    let failed = small.world.sk(&["run", "--rm", "--network", "none", IMAGE, "true"]).fails_with(125);
    assert!(failed.err.contains("pace left"), "{}", failed.err);
    fs::remove_file(&filler).unwrap();
    small.is_whole();
    assert_eq!(small.world.sk(&["ps", "-aq"]).ok(), "");
}
