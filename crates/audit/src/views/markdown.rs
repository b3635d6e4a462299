//! A Markdown table, for pull requests and wikis.

use std::fmt::Write as _;

use super::{shown, summary, word};
use crate::model::Report;

/// The report as a table.
pub fn markdown(report: &Report, all: bool) -> String {
    let mut text = format!(
        "# Audit\n\n{}\n\n| result | check | subject | evidence | fix |\n|---|---|---|---|---|\n",
        cell(&summary(report))
    );
    for c in shown(report, all) {
        let fix = c.waived.as_ref().map_or_else(|| c.meta.fix.to_owned(), |reason| format!("waived: {reason}"));
        let _ = writeln!(
            text,
            "| {} | `{}` ({}) | {} | {} | {} |",
            word(c),
            c.meta.id,
            c.meta.refs.join(", "),
            cell(&c.subject),
            cell(&c.evidence),
            cell(&fix)
        );
    }
    text
}

/// Text in a cell: nothing of it is markup.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\t' => out.push(' '),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_five_cells_whatever_the_text() {
        let text = markdown(&crate::views::tests::report(), true);
        for line in text.lines().filter(|l| l.starts_with('|')) {
            let bars = line.replace("\\|", "").matches('|').count();
            assert_eq!(bars, 6, "{line}");
        }
        assert!(text.contains("WAIVED") && text.contains("waived: we \\<need\\> it"));
    }
}
