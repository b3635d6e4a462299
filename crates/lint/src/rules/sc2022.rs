//! `grep-star`

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "grep-star",
    refs: &["SC2022"],
    severity: Severity::Info,
    default: true,
    finds: "A star after a letter in a pattern of grep.",
    why: "In regular expressions it repeats the letter; in file names it stands for anything.",
    instead: "Write .* where anything is meant.",
    bad: &["RUN grep 'ab*' f\n"],
    good: &["RUN grep 'a.*b' f\n", "RUN grep -F 'ab*' f\n", "RUN grep 'x[0-9]*' f\n"],
    test: |file, out| {
        for script in file.scripts() {
            for (_, c) in script.tree.simple() {
                if let Some(word) = super::sc2063::pattern(c).filter(|w| w.plain().is_some_and(suspicious)) {
                    out.shell(word, "the star repeats the letter before it");
                }
            }
        }
    },
};

/// A letter with a star, and nothing that only regular expressions have.
fn suspicious(pattern: &str) -> bool {
    let starred = |before: &str| before.ends_with(|c: char| c.is_ascii_alphanumeric());
    let stars = || pattern.match_indices('*').map(|(at, _)| pattern.get(..at).unwrap_or(""));
    stars().any(starred) && stars().all(|b| b.is_empty() || starred(b)) && !super::sc2063::like_file_names(pattern)
        && !pattern.contains(['[', ']', '^', '$', '+', '\\'])
}
