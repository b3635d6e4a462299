//! `unpinned-gem`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "unpinned-gem",
    refs: &["DL3028"],
    severity: Severity::Warning,
    default: true,
    finds: "gem install without versions.",
    why: "Two builds of the same file can differ.",
    instead: "Write gem install name:version.",
    bad: &["FROM a:1\nRUN gem install x\n"],
    good: &["FROM a:1\nRUN gem install x:1\n", "FROM a:1\nRUN gem install x -v 1\n", "FROM a:1\nRUN gem install x --version 1\n"],
    test: |file, out| {
        package::once_a_run(file, out, |_, c| {
            let install = package::is_subcommand(c, &["gem"], &["install", "i"]);
            let versioned = c.has_flag(&["v", "version"]);
            if !install || versioned {
                return None;
            }
            let found = package::packages(c, &["install", "i"], &[]);
            let open: Vec<&str> = found.iter().take_while(|w| w.text != "--").map(|w| w.text.as_str()).filter(|p| !p.contains(':')).collect();
            (!open.is_empty()).then(|| format!("no version for {}", open.join(", ")))
        });
    },
};
