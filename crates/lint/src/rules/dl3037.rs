//! `unpinned-zypper`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "unpinned-zypper",
    refs: &["DL3037"],
    severity: Severity::Warning,
    default: true,
    finds: "zypper install without versions.",
    why: "Two builds of the same file can differ.",
    instead: "Write package=version.",
    bad: &["FROM a:1\nRUN zypper -n install x\n"],
    good: &["FROM a:1\nRUN zypper -n install x=1\n", "FROM a:1\nRUN zypper -n install \"x>=1\"\n", "FROM a:1\nRUN zypper -n install x.rpm\n"],
    test: |file, out| {
        package::once_a_run(file, out, |_, c| {
            if !package::is_subcommand(c, &["zypper"], &["install", "in"]) {
                return None;
            }
            let found = package::packages(c, &["install", "in"], &[]);
            let open: Vec<&str> = found.iter().map(|w| w.text.as_str()).filter(|p| !p.contains(['=', '<', '>', '~']) && !p.ends_with(".rpm")).collect();
            (!open.is_empty()).then(|| format!("no version for {}", open.join(", ")))
        });
    },
};
