//! `go-without-cache-mount`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "go-without-cache-mount",
    refs: &["DL3070"],
    severity: Severity::Info,
    default: false,
    finds: "go without a cache mount.",
    why: "Each build downloads and compiles again what did not change.",
    instead: "Add --mount=type=cache,target=/root/.cache/go-build.",
    bad: &["FROM a:1\nRUN go build\n"],
    good: &["FROM a:1\nRUN --mount=type=cache,target=/root/.cache/go-build go build\n", "FROM a:1\nRUN go --version\n"],
    test: |file, out| {
        package::without_cache_mount(file, out, "go", &["build", "get", "install", "test", "mod"], &[".cache/go-build", "go/pkg/mod"]);
    },
};
