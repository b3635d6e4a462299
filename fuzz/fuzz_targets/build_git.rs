//! Any bytes as the lines and the pack of a Git server.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(dir) = tempfile::tempdir() else { return };
    stockade_build::fuzzing::git_pack(data, dir.path());
    stockade_build::fuzzing::git_lines(data);
    stockade_build::fuzzing::git_address(&String::from_utf8_lossy(data));
});
