//! `indirect-exit-code`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "indirect-exit-code",
    refs: &["SC2181"],
    severity: Severity::Style,
    default: true,
    finds: "A comparison of $? with 0.",
    why: "It is easy to put a command between; the command itself can be asked.",
    instead: "Write if COMMAND; then ….",
    bad: &["RUN ls; if [ $? -eq 0 ]; then ls; fi\n"],
    good: &["RUN if ls; then ls; fi\n", "RUN ls; echo $?\n", "RUN ls; [ $? -eq 3 ]\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
        if matches!(c.name(), "[") {
            let words = c.arguments();
            for (i, word) in words.iter().enumerate() {
                let is_code = matches!(word.pieces.as_slice(), [one] if one.text == "$?");
                let near = |offset: usize| words.get(i + offset).map_or("", |w| w.text.as_str());
                let compares = ["-eq", "-ne", "=", "!=", "==", "-gt"].contains(&near(1)) && near(2) == "0";
                if is_code && compares && let Some(piece) = word.pieces.first() {
                    out.at(piece.start, piece.end, "the command itself can be asked");
                }
            }
        }
            }
        }
    },
};
