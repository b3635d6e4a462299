//! Any bytes as a bill of materials.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(inventory) = stockade_inventory::read_sbom(data, "bom") {
        let info = stockade_inventory::SbomInfo { name: "x".into(), version: String::new(), created: String::new() };
        let mut out = Vec::new();
        stockade_inventory::write_cyclonedx(&inventory, &info, &mut out).unwrap();
        stockade_inventory::write_spdx(&inventory, &info, &mut out).unwrap();
    }
});
