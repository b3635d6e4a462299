//! Any bytes as a layer, unpacked into a directory: nothing may appear beside it.
#![no_main]
use std::os::fd::AsFd;

use libfuzzer_sys::fuzz_target;
use stockade_image::{Limits, UnpackOptions, layer};

fuzz_target!(|data: &[u8]| {
    let Ok(dir) = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()) else { return };
    let root = dir.path().join("root");
    std::fs::create_dir(&root).expect("a fresh directory");
    let file = std::fs::File::open(&root).expect("it was just made");
    let limits = Limits { total_bytes: 1 << 20, entries: 1000, ..Limits::default() };
    let _ = layer::unpack(data, file.as_fd(), &UnpackOptions { limits, ..UnpackOptions::default() });
    let beside = std::fs::read_dir(dir.path()).map_or(0, Iterator::count);
    assert_eq!(beside, 1, "something lies beside the root");
});
