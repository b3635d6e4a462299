//! Any bytes as one or two layers of an image.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_inventory::{Options, merge, scan_layer_verified};

fuzz_target!(|data: &[u8]| {
    let options = Options { secrets: true, checks: true, ..Options::default() };
    let middle = data.len() / 1024 * 512;
    let (lower, upper) = data.split_at(middle.min(data.len()));
    let layers = [scan_layer_verified(lower, None, &options), scan_layer_verified(upper, None, &options)];
    let _ = merge(&layers, &options);
});
