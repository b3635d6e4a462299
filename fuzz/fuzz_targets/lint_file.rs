//! Any bytes as a Dockerfile for the linter: findings with places in order, and fixes that leave a file that is text.
#![no_main]
use libfuzzer_sys::fuzz_target;
use stockade_lint::{Options, apply, lint};

fuzz_target!(|data: &[u8]| {
    let report = lint(data, "f", &Options::default());
    for f in &report.findings {
        assert!((f.line, f.column) <= (f.end_line, f.end_column), "{f:?}");
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let (fixed, _) = apply(text, &report.findings);
        let _ = lint(fixed.as_bytes(), "f", &Options::default());
    }
});
