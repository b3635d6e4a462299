//! `docs/rules.md`, made from the code: `stockade lint --list --format markdown > docs/rules.md`.

use std::fmt::Write as _;

/// The page: every rule with what it finds, why, and what to do.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Rules of `stockade lint`\n\n\
         Made from the code by `stockade lint --list --format markdown`; change the code, not this page. `DL…` are hadolint's\n\
         ids, names in CamelCase BuildKit's checks, `CIS-…` sections of the CIS Docker Benchmark. `stockade lint --explain ID` shows\n\
         examples.\n\n\
         | rule | references | severity | finds | why | instead |\n|---|---|---|---|---|---|\n",
    );
    for rule in crate::all() {
        let severity = if rule.default {
            rule.severity.name().to_owned()
        } else {
            format!("{}, off by default", rule.severity.name())
        };
        let cell = |s: &str| s.replace('|', "\\|");
        let _ = writeln!(
            text,
            "| `{}` | {} | {severity} | {} | {} | {} |",
            rule.id,
            rule.refs.join(", "),
            cell(rule.finds),
            cell(rule.why),
            cell(rule.instead)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_in_the_repository_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rules.md");
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            page == super::markdown(),
            "docs/rules.md is old: stockade lint --list --format markdown > docs/rules.md"
        );
    }
}
