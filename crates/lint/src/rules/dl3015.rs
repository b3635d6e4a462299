//! `apt-recommends`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "apt-recommends",
    refs: &["DL3015", "CIS-4.3"],
    severity: Severity::Info,
    default: true,
    finds: "apt-get install with recommended packages.",
    why: "They make the image larger, and each is one more thing to update.",
    instead: "Give --no-install-recommends.",
    bad: &["FROM a:1\nRUN apt-get install -y x=1\n"],
    good: &["FROM a:1\nRUN apt-get install -y --no-install-recommends x=1\n", "FROM a:1\nRUN apt-get install -y -o APT::Install-Recommends=false x=1\n"],
    test: |file, out| {
        for run in file.runs() {
            let found = run.commands.iter().find(|c| {
                let off = c.has_flag(&["no-install-recommends"]) || c.arguments().iter().any(|w| w.text.contains("APT::Install-Recommends=false") || w.text.contains("APT::Install-Recommends=0"));
                package::is_subcommand(c, &["apt-get"], &["install"]) && !off
            });
            if let Some(c) = found {
                out.command(c, "installs recommended packages, too");
                if let Some(word) = package::subcommand(c, &["install"]) {
                    out.insert(word.end, " --no-install-recommends");
                }
            }
        }
    },
};
