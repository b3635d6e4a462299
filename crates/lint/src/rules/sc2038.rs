//! `find-xargs`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "find-xargs",
    refs: &["SC2038"],
    severity: Severity::Warning,
    default: true,
    finds: "find piped to xargs without -print0 and -0.",
    why: "Names with spaces and quotes fall apart.",
    instead: "Use -exec … {} +, or -print0 with xargs -0.",
    bad: &["RUN find . | xargs rm\n"],
    good: &["RUN find . -print0 | xargs -0 rm\n", "RUN find . -exec rm {} +\n", "RUN find . | sort | xargs rm\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (left, right) in script::pipes(&script.tree) {
                let safe = left.arguments().iter().any(|w| ["-print0", "-printf", "-fprintf", "-exec"].contains(&w.text.as_str()))
                    || right.arguments().iter().any(|w| w.text == "--null" || w.text.starts_with("--delimiter"))
                    || right.has_flag('0', "null") || right.has_flag('d', "delimiter");
                if left.name() == "find" && right.name() == "xargs" && !safe {
                    script::whole(out, left, "names with spaces fall apart in xargs");
                }
            }
        }
    },
};
