//! Any text as a `WWW-Authenticate` header.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for challenge in stockade_registry::parse_challenges(text) {
        let _ = (challenge.get("realm"), challenge.get("scope"));
    }
});
