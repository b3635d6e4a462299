//! `apk-cache-kept`

use super::{Rule, Severity, package};

pub(super) static RULE: Rule = Rule {
    id: "apk-cache-kept",
    refs: &["DL3019"],
    severity: Severity::Info,
    default: true,
    finds: "apk add that leaves its index in the layer.",
    why: "It adds megabytes, and is old the next day.",
    instead: "Give --no-cache.",
    bad: &["FROM a:1\nRUN apk add x=1\n"],
    good: &["FROM a:1\nRUN apk add --no-cache x=1\n", "FROM a:1\nRUN --mount=type=cache,target=/var/cache/apk apk add x=1\n"],
    test: |file, out| {
        for run in file.runs() {
            if run.mounted("/var/cache/apk") {
                continue;
            }
            if let Some(c) = run.commands.iter().find(|c| package::is_subcommand(c, &["apk"], &["add"]) && !c.has_flag(&["no-cache"])) {
                out.command(c, "the index stays in the layer");
                if let Some(word) = package::subcommand(c, &["add"]) {
                    out.insert(word.end, " --no-cache");
                }
            }
        }
    },
};
