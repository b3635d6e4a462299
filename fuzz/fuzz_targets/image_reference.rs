//! Any text as an image name: a name is its own canonical form's name.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_image::Reference;

fuzz_target!(|text: &str| {
    if let Ok(name) = Reference::parse(text) {
        let canonical = name.canonical();
        let again = Reference::parse(&canonical).expect("a canonical name is a name");
        assert_eq!(again.canonical(), canonical);
        assert!(Reference::parse(&name.to_string()).is_ok());
    }
});
