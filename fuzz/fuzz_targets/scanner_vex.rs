//! Any bytes as statements about findings, rules to ignore them, signatures and keys.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_advisory::ignore::IgnoreList;
use stockade_advisory::signing::{PublicKey, verify};
use stockade_advisory::vex::Vex;

fuzz_target!(|data: &[u8]| {
    let _ = Vex::parse("fuzz", data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = IgnoreList::parse("fuzz", text);
        let _ = PublicKey::parse_list(text);
        assert!(verify(b"x", text, &[]).is_err());
    }
});
