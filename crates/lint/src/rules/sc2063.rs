//! `grep-glob`

use super::{Rule, Severity};
use crate::shell::Word;
use crate::shell::tree::Simple;

pub(super) static RULE: Rule = Rule {
    id: "grep-glob",
    refs: &["SC2063"],
    severity: Severity::Warning,
    default: true,
    finds: "A pattern of file names given to grep.",
    why: "grep reads regular expressions: * repeats what stands before it.",
    instead: "Write .* where anything may stand, or use grep -F.",
    bad: &["RUN grep '*x' f\n", "RUN grep x* f\n"],
    good: &["RUN grep '.*x' f\n", "RUN grep -F '*' f\n", "RUN grep 'a.*b' f\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
                if let Some(word) = pattern(c).filter(|w| w.plain().is_some_and(like_file_names)) {
                    out.shell(word, "this is a pattern of file names, and no regular expression");
                }
            }
        }
    },
};

/// `*…`, or one character and a star.
pub(super) fn like_file_names(pattern: &str) -> bool {
    let mut chars = pattern.chars();
    match (chars.next(), chars.next(), chars.next()) {
        (Some('*'), _, _) => true,
        (Some(c), Some('*'), None) => c != '\\' && c != '.',
        _ => false,
    }
}

/// The pattern of a grep that reads regular expressions.
pub(super) fn pattern(c: &Simple) -> Option<&Word> {
    if !["grep", "egrep"].contains(&c.name()) || c.has_flag('F', "fixed-strings") {
        return None;
    }
    let given = c.arguments().windows(2).find_map(|w| match w {
        [flag, pattern] if ["-e", "--regexp"].contains(&flag.raw.as_str()) => Some(pattern),
        _ => None,
    });
    given.or_else(|| c.operands().next())
}
