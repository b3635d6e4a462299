//! Any text as control stanzas and as an index of packages.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| stockade_base::fuzzing::control(text));
