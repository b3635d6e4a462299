//! Any bytes as a tar archive.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_image::Limits;

fuzz_target!(|data: &[u8]| {
    let _ = stockade_image::tar::read_all(data, &Limits::default());
});
