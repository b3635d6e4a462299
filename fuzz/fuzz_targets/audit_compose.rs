//! Any bytes as a Compose file: answers, or an error.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = stockade_audit::compose::check("c.yaml", data);
});
