//! Any bytes as a Debian package.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| stockade_base::fuzzing::deb(data));
