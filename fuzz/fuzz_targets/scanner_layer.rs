//! Any bytes as two layers of an image. Half of the inputs get the checksums that tar headers must have, so that more than
//! the first header is read.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_inventory::{EntryPoint, Limits, Options, entry_files_of, merge, scan_layer};

/// Puts the right checksum into every block (tar(5): the sum of the header's bytes, its own field as blanks).
fn repair(bytes: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for block in out.chunks_exact_mut(512) {
        block[148..156].copy_from_slice(b"        ");
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    out
}

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let bytes = if first & 1 == 1 { repair(rest) } else { rest.to_vec() };
    let blocks = bytes.len() / 512;
    let (lower, upper) = bytes.split_at((usize::from(*first) >> 1) * blocks / 128 * 512);
    let limits = Limits { inflated_bytes: 4 << 20, ..Limits::default() };
    let options = Options { limits, secrets: true, checks: true, startup: true, ..Options::default() };
    let layers = [scan_layer(lower, "lower", None, &options), scan_layer(upper, "upper", None, &options)];
    let _ = merge(&layers, &options);
    // Two names that the fuzzer finds easily.
    let start = ["a".to_owned(), "./b".to_owned()];
    let env = ["PATH=/:/bin:/c".to_owned()];
    let entry = EntryPoint { entrypoint: &start, cmd: &start, env: &env, working_dir: "/d" };
    let _ = entry_files_of(&layers, &entry);
});
