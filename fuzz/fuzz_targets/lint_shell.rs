//! Any text as a shell script: a tree or a syntax error, with places inside the text.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_lint::shell::{Text, commands, parse, variables};

fuzz_target!(|data: &[u8]| {
    let script = String::from_utf8_lossy(data);
    let text = Text::script(&script, 0);
    for command in commands(&text) {
        assert!(command.words.iter().all(|w| w.start <= w.end && w.end <= script.len()));
    }
    let tree = parse(&text);
    assert!(tree.nodes.iter().all(|n| n.start <= n.end && n.end <= script.len()));
    let _ = variables::used(&tree);
    let _ = variables::Values::of(&tree);
});
