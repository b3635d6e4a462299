//! `echo-escapes`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "echo-escapes",
    refs: &["SC2028"],
    severity: Severity::Info,
    default: true,
    finds: "An escape sequence given to echo.",
    why: "Some shells' echo expands it, others print it as it stands.",
    instead: "Use printf.",
    bad: &["RUN echo \"a\\nb\"\n", "RUN echo 'a\\tb'\n"],
    good: &["RUN printf 'a\\nb'\n", "RUN echo \"a\\$b\"\n", "RUN echo \"a\\cb\"\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        let expands = c.arguments().first().is_some_and(|w| w.text.starts_with('-') && w.text.contains('e'));
        if c.name() == "echo" && !expands {
            for word in c.arguments().iter().filter(|w| script::has_escape(w)) {
                out.shell(word, "echo may or may not expand this");
            }
        }
            }
        }
    },
};
