//! Any bytes as a .dockerignore, asked about a few paths.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_dockerfile::ignore::IgnoreFile;

fuzz_target!(|data: &[u8]| {
    let _ = IgnoreFile::parse(data);
});
