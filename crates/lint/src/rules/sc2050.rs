//! `constant-comparison`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "constant-comparison",
    refs: &["SC2050"],
    severity: Severity::Warning,
    default: true,
    finds: "A comparison of two constants.",
    why: "It is always true, or never: perhaps a $ is missing.",
    instead: "Compare a variable, or leave the test out.",
    bad: &["RUN [ x = y ]\n", "RUN [ x != y ]\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN [[ x == y ]]\n"],
    good: &["RUN [ \"$X\" = y ]\n", "RUN [ -n \"$X\" ]\n", "SHELL [\"/bin/bash\", \"-c\"]\nRUN [[ $X == y* ]]\n"],
    test: |file, out| {
        for script in file.scripts() {
            for three in script::bracket_words(&script.tree).flat_map(|words| words.windows(3)) {
                let [left, operator, right] = three else { continue };
                let compares = ["=", "==", "!=", "<", ">", "\\<", "\\>", "-eq", "-ne", "-lt", "-le", "-gt", "-ge"].contains(&operator.raw.as_str());
                let constant = |w: &crate::shell::Word| w.plain().is_some() && !w.has_glob() && !script::has_bracket(w);
                if compares && constant(left) && constant(right) {
                    out.shell(operator, "both sides are constant");
                }
            }
        }
    },
};
