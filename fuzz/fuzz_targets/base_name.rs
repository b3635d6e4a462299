//! Any text as the name of a base image, and as versions of packages: the order is a total one.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_base::{BaseName, version};

fuzz_target!(|text: (&str, &str)| {
    if let Ok(Some(name)) = BaseName::parse(text.0) {
        let again = BaseName::parse(&name.canonical()).expect("a canonical name").expect("of ours");
        assert_eq!(again, name);
    }
    assert_eq!(version::compare(text.0, text.1), version::compare(text.1, text.0).reverse());
});
