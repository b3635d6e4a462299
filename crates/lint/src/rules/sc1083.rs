//! `literal-brace`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "literal-brace",
    refs: &["SC1083"],
    severity: Severity::Warning,
    default: true,
    finds: "A brace that is neither quoted nor part of an expansion.",
    why: "It is taken as a plain character, which is seldom meant.",
    instead: "Quote it, or put a semicolon before a brace that closes a group.",
    bad: &["RUN echo }\n", "RUN curl -o {x} y\n"],
    good: &["RUN find . -exec ls {} \\;\n", "RUN echo \"{x}\"\n", "RUN { ls; }\n", "RUN echo {a,b} ${X}\n", "RUN git show HEAD@{1}\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        for word in c.words.iter().skip(1) {
            for (start, _) in script::lone_braces(word, file.options.as_hadolint) {
                out.at(start, start + 1, "this brace is a plain character");
            }
        }
            }
        }
    },
};
