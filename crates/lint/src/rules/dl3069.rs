//! `cargo-without-cache-mount`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "cargo-without-cache-mount",
    refs: &["DL3069"],
    severity: Severity::Info,
    default: false,
    finds: "cargo without a cache mount.",
    why: "Each build downloads and compiles again what did not change.",
    instead: "Add --mount=type=cache,target=/root/.cargo/registry.",
    bad: &["FROM a:1\nRUN cargo build\n"],
    good: &["FROM a:1\nRUN --mount=type=cache,target=/root/.cargo/registry cargo build\n", "FROM a:1\nRUN cargo --version\n"],
    test: |file, out| {
        package::without_cache_mount(file, out, "cargo", &["build", "install", "fetch", "test", "check", "clippy"], &[".cargo", "cargo/registry"]);
    },
};
