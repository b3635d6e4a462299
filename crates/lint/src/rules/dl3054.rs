//! `label-not-spdx`

use super::{Rule, Severity, labels};
use crate::options::LabelType;

pub(super) static RULE: Rule = Rule {
    id: "label-not-spdx",
    refs: &["DL3054"],
    severity: Severity::Warning,
    default: true,
    finds: "A label that must be an SPDX licence expression and cannot be one.",
    why: "Tools that read labels expect one.",
    instead: "Write an identifier of the SPDX list, such as Apache-2.0.",
    bad: &["FROM a:1\nLABEL licence=\"my own\"\n", "FROM a:1\nLABEL licence=\"(MIT\"\n"],
    good: &["FROM a:1\nLABEL licence=MIT\n", "FROM a:1\nLABEL licence=\"Apache-2.0 OR (MIT AND BSD-3-Clause)\"\n"],
    test: |file, out| labels::of_type(file, out, LabelType::Spdx, "no SPDX expression", is_expression),
};

/// The grammar of expressions (SPDX 2.3, annex D): identifiers joined by AND, OR, WITH, with parentheses.
fn is_expression(text: &str) -> bool {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let (mut depth, mut wants_identifier) = (0i32, true);
    for word in spaced.split_whitespace() {
        match word {
            "(" if wants_identifier => depth += 1,
            ")" if !wants_identifier && depth > 0 => depth -= 1,
            "AND" | "OR" | "WITH" if !wants_identifier => wants_identifier = true,
            w if wants_identifier && w.chars().all(|c| c.is_ascii_alphanumeric() || "-.+:".contains(c)) && !["AND", "OR", "WITH"].contains(&w) => wants_identifier = false,
            _ => return false,
        }
    }
    depth == 0 && !wants_identifier
}
