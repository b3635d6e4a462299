//! Any bytes as a document of advisories; what is accepted must make a database that verifies.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_advisory_db::Reader;
use stockade_advisory_db::import::{Batch, merge};

fuzz_target!(|data: &[u8]| {
    let mut batch = Batch::default();
    if batch.read_bytes("fuzz", data.to_vec(), "2026-01-02").is_ok()
        && let Ok(file) = merge(None, batch, 0)
    {
        Reader::open(&file).unwrap().verify().unwrap();
    }
});
