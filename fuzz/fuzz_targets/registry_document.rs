//! Any bytes as a manifest or index.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for kind in [None, Some("application/vnd.oci.image.index.v1+json"), Some("application/vnd.oci.image.manifest.v1+json")] {
        let _ = stockade_registry::parse_document(data, kind);
    }
});
