//! `npm-without-cache-mount`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "npm-without-cache-mount",
    refs: &["DL3068"],
    severity: Severity::Info,
    default: false,
    finds: "npm without a cache mount.",
    why: "Each build downloads and compiles again what did not change.",
    instead: "Add --mount=type=cache,target=/root/.npm.",
    bad: &["FROM a:1\nRUN npm install\n"],
    good: &["FROM a:1\nRUN --mount=type=cache,target=/root/.npm npm install\n", "FROM a:1\nRUN npm --version\n"],
    test: |file, out| {
        package::without_cache_mount(file, out, "npm", &["install", "ci", "install-ci-test", "it"], &[".npm"]);
    },
};
