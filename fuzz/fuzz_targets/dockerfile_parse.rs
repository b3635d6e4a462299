//! Any bytes as a Dockerfile: an answer or diagnostics, in bounded time.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = stockade_dockerfile::parse(data, "Dockerfile");
    let _ = stockade_dockerfile::parse_fragment(data, "Dockerfile");
});
