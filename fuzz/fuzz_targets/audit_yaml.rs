//! Any bytes as YAML: a tree or an error, in bounded time and memory.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = stockade_audit::yaml::parse(data);
});
