//! `find-pattern`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "find-pattern",
    refs: &["SC2061"],
    severity: Severity::Warning,
    default: true,
    finds: "A pattern for find outside quotes.",
    why: "The shell expands it before find sees it.",
    instead: "Quote it: -name '*.txt'.",
    bad: &["RUN find . -name *.txt\n"],
    good: &["RUN find . -name '*.txt'\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        let names = ["-name", "-iname", "-path", "-ipath", "-wholename", "-iwholename", "-regex", "-iregex"];
        for pair in c.arguments().windows(2).filter(|_| c.name() == "find") {
            if let [flag, word] = pair && names.contains(&flag.text.as_str()) && (word.has_glob() || script::has_bracket(word)) {
                out.shell(word, "the shell expands this before find sees it");
            }
        }
            }
        }
    },
};
