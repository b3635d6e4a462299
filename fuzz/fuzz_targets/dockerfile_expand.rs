//! Any text as a word with variables, in every mode of the expander: an answer of bounded length.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_dockerfile::expand::{Expander, MAX_RESULT_BYTES};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let lookup = |name: &str| match name {
        "" => None,
        "E" => Some(String::new()),
        "L" => Some("x*y".repeat(1000)),
        name if name.len() % 2 == 0 => Some(name.repeat(3)),
        _ => None,
    };
    for escape in ['\\', '`'] {
        let expander = Expander::new(escape, &lookup);
        if let Ok(word) = expander.word(&text) {
            assert!(word.len() <= 2 * MAX_RESULT_BYTES + data.len());
        }
        let _ = expander.words(&text);
        let _ = expander.process(&text);
    }
    let _ = Expander::for_heredoc(&lookup).word(&text);
});
