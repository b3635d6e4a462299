//! The report for people.

use std::fmt::Write as _;

use stockade_audit::views::{shown, summary, word};
use stockade_audit::{Answer, Report, fix};

use crate::output;

/// What failed or is not known, by subject; everything with `all`.
pub fn table(report: &Report, all: bool) -> String {
    let style = output::Style::stdout();
    let mut text = String::new();
    let mut subject = "";
    for check in shown(report, all) {
        if check.subject != subject {
            subject = &check.subject;
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{gap}{}", style.bold(&output::printable(subject)));
        }
        let word = format!("{:<8}", word(check));
        let colored = match check.result {
            _ if check.waived.is_some() => style.dim(&word),
            Answer::Fail => style.red(&word),
            Answer::Unknown | Answer::Manual => style.yellow(&word),
            _ => style.green(&word),
        };
        let reference = check.meta.refs.first().unwrap_or(&check.meta.id);
        let id = style.dim(&format!("[{}]", check.meta.id));
        let _ = writeln!(text, "  {colored} {reference:<12} {}  {id}", check.meta.title);
        let _ = writeln!(text, "           {}", output::printable(&check.evidence));
        if let Some(reason) = &check.waived {
            let _ = writeln!(text, "           waived: {}", output::printable(reason));
        } else if check.result == Answer::Fail {
            let _ = writeln!(text, "           why: {} fix: {}", check.meta.why, check.meta.fix);
        }
    }
    let fixable = report.checks.iter().filter(|c| c.fails() && fix::is_known(c.meta.id)).count();
    let gap = if text.is_empty() { "" } else { "\n" };
    let _ = writeln!(
        text,
        "{gap}{}{}{}",
        style.bold(&summary(report)),
        if all { "" } else { "; --all shows everything" },
        if fixable > 0 { format!("; --fix knows a cure for {fixable}") } else { String::new() }
    );
    text
}
