//! `test-a`

use super::{Rule, Severity, script};

pub(super) static RULE: Rule = Rule {
    id: "test-a",
    refs: &["SC2331"],
    severity: Severity::Style,
    default: true,
    finds: "-a as a test for a file.",
    why: "The name is old, and means `and` elsewhere.",
    instead: "Write -e.",
    bad: &["SHELL [\"/bin/bash\", \"-c\"]\nRUN [ -a x ]\n"],
    good: &["SHELL [\"/bin/bash\", \"-c\"]\nRUN [ -e x ]\n", "RUN [ \"$X\" -a \"$Y\" ]\n"],
    test: |file, out| {
        for script in file.scripts() {
            for words in script::test_words_of_each(&script.tree) {
                let flag = words.first().filter(|w| w.raw == "!").map_or(words.first(), |_| words.get(1));
                if let Some(word) = flag.filter(|w| w.raw == "-a") {
                    out.shell(word, "-a is an old name of -e");
                    out.replace(word.start, word.end, "-e");
                }
            }
        }
    },
};
