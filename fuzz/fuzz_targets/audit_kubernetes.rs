//! Any bytes as Kubernetes objects: answers, or an error.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = stockade_audit::kubernetes::check("k.yaml", data);
});
