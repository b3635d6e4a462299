//! `dnf-cache-kept`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "dnf-cache-kept",
    refs: &["DL3040"],
    severity: Severity::Warning,
    default: true,
    finds: "dnf install that leaves its cache in the layer.",
    why: "It adds megabytes that nobody uses.",
    instead: "End the step with dnf clean all.",
    bad: &["FROM a:1\nRUN dnf install -y x-1\n"],
    good: &["FROM a:1\nRUN dnf install -y x-1 && dnf clean all\n", "FROM a:1\nRUN microdnf install -y x-1 && microdnf clean all\n"],
    test: |file, out| package::leaves_cache(file, out, &["dnf", "microdnf"], &["install", "upgrade", "update"], &["/var/cache/yum", "/var/cache/dnf", "/var/cache/libdnf5"], "dnf clean all"),
};
