//! `untrusted-registry`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "untrusted-registry",
    refs: &["DL3026", "CIS-4.2"],
    severity: Severity::Error,
    default: true,
    finds: "A base image from a registry that is not on the list of trusted ones.",
    why: "Whoever made the base can put anything into the image.",
    instead: "Use an image from a trusted registry, or add the registry to the list.",
    bad: &["FROM evil.example/x:1\n"],
    good: &["FROM x:1\n", "FROM a.trusted.example/x:1\n", "FROM x:1 AS y\nFROM y\n", "FROM scratch\n"],
    test: |file, out| {
        let trusted = &file.options.trusted_registries;
        if trusted.is_empty() {
            return;
        }
        for (_, from, _) in file.stages() {
            let image = from.image.value.as_str();
            if image == "scratch" || image.starts_with('$') || file.is_stage(image) {
                continue;
            }
            let first = image.split_once('/').map_or("", |(f, _)| f);
            // hadolint takes only a name with a dot for a registry.
            let port = !file.options.as_hadolint && (first.contains(':') || first == "localhost");
            let registry = if first.contains('.') || port { first } else { "docker.io" };
            let fits = |pattern: &str| {
                let alias = ["docker.io", "hub.docker.com"];
                pattern == "*"
                    || pattern == registry
                    || (alias.contains(&pattern) && alias.contains(&registry))
                    || pattern.strip_prefix('*').is_some_and(|end| registry.ends_with(end))
                    || pattern.strip_suffix('*').is_some_and(|start| registry.starts_with(start))
            };
            if !trusted.iter().any(|p| fits(p)) {
                out.word(&from.image, format!("registry `{registry}` is not trusted"));
            }
        }
    },
};
