//! Any bytes as an image configuration or manifest: what was read is written and read as the same.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_image::{ImageConfig, Manifest};

fuzz_target!(|data: &[u8]| {
    if let Ok(config) = serde_json::from_slice::<ImageConfig>(data) {
        let text = serde_json::to_vec(&config).expect("a configuration is JSON");
        assert_eq!(serde_json::from_slice::<ImageConfig>(&text).expect("and reads again"), config);
    }
    if let Ok(manifest) = serde_json::from_slice::<Manifest>(data) {
        let text = serde_json::to_vec(&manifest).expect("a manifest is JSON");
        assert_eq!(serde_json::from_slice::<Manifest>(&text).expect("and reads again"), manifest);
    }
});
