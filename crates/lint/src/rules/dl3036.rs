//! `zypper-cache-kept`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "zypper-cache-kept",
    refs: &["DL3036"],
    severity: Severity::Warning,
    default: true,
    finds: "zypper install that leaves its cache in the layer.",
    why: "It adds megabytes that nobody uses.",
    instead: "End the step with zypper clean.",
    bad: &["FROM a:1\nRUN zypper -n install x=1\n"],
    good: &["FROM a:1\nRUN zypper -n install x=1 && zypper clean\n", "FROM a:1\nRUN zypper -n in x=1 && zypper cc\n"],
    test: |file, out| package::leaves_cache(file, out, &["zypper"], &["install", "in"], &["/var/cache/zypp"], "zypper clean"),
};
