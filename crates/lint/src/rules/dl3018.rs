//! `unpinned-apk`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "unpinned-apk",
    refs: &["DL3018"],
    severity: Severity::Warning,
    default: true,
    finds: "apk add without versions.",
    why: "Two builds of the same file can differ.",
    instead: "Write package=version.",
    bad: &["FROM a:1\nRUN apk add x\n"],
    good: &["FROM a:1\nRUN apk add x=1\n", "FROM a:1\nRUN apk add -t deps x=1\n", "FROM a:1\nRUN apk add x~1\n", "FROM a:1\nRUN apk add ./x.apk\n"],
    test: |file, out| {
        package::once_a_run(file, out, |_, c| {
            if !package::is_subcommand(c, &["apk"], &["add"]) {
                return None;
            }
            let found = package::packages(c, &["add"], &["-t", "--virtual", "--repository", "-X", "-p", "--root"]);
            let open: Vec<&str> = found.iter().map(|w| w.text.as_str()).filter(|p| !p.contains(['=', '<', '>', '~']) && !p.ends_with(".apk")).collect();
            (!open.is_empty()).then(|| format!("no version for {}", open.join(", ")))
        });
    },
};
