//! `format-arguments`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "format-arguments",
    refs: &["SC2183"],
    severity: Severity::Warning,
    default: true,
    finds: "printf with more or fewer arguments than its format has places.",
    why: "Missing ones are empty, and the format is used again for those left over.",
    instead: "Give as many as the format asks for.",
    bad: &["RUN printf '%s %s\\n' a\n", "RUN printf 'a%sb'\n"],
    good: &["RUN printf '%s\\n' a\n", "RUN printf '%s' a b\n", "RUN printf '%s %s' \"$@\"\n", "RUN printf '%%'\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        let mut operands = c.operands();
        if let Some(format) = operands.next().filter(|f| c.name() == "printf" && !c.has_flag('v', "") && !f.expands) {
            let given: Vec<_> = operands.collect();
            let open = given.iter().any(|w| w.pieces.iter().any(|p| p.splits()) || w.has_glob() || script::has_braces(w) || w.variables().any(|(_, n, r)| n == "@" || r.starts_with("[@")));
            let places = script::format_places(&format.text).filter(|p| *p > 0 && !open);
            if places.is_some_and(|p| given.is_empty() || given.len() % p != 0) {
                out.shell(format, "the number of arguments does not fit the format");
            }
        }
            }
        }
    },
};
