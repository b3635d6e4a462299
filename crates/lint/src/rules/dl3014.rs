//! `apt-without-yes`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "apt-without-yes",
    refs: &["DL3014"],
    severity: Severity::Warning,
    default: true,
    finds: "apt-get install that would ask.",
    why: "Nobody answers in a build: the step fails.",
    instead: "Give it -y.",
    bad: &["FROM a:1\nRUN apt-get install x=1\n"],
    good: &["FROM a:1\nRUN apt-get install -y x=1\n", "FROM a:1\nRUN apt-get -qq install x=1\n", "FROM a:1\nRUN apt-get install --assume-yes x=1\n", "FROM a:1\nRUN apt-get -q -q install x=1\n", "FROM a:1\nRUN apt-get install -q=2 x=1\n"],
    test: |file, out| {
        for run in file.runs() {
            let asks = run.commands.iter().find(|c| {
                let quiet = c.flags().iter().filter(|f| *f == "q").count() >= 2 || c.arguments().iter().any(|w| w.text == "-q=2" || w.text.starts_with("-qq"));
                package::is_subcommand(c, &["apt-get"], &["install"]) && !c.has_flag(&["y", "yes", "assume-yes"]) && !quiet && c.flags().iter().filter(|f| *f == "quiet").count() < 2
            });
            if let Some(c) = asks {
                out.command(c, "apt-get install would ask");
                if let Some(word) = package::subcommand(c, &["install"]) {
                    out.insert(word.end, " -y");
                }
            }
        }
    },
};
