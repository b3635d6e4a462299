//! Any bytes as a clear-signed Release.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| stockade_base::fuzzing::in_release(data));
