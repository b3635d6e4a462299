//! JUnit XML, which CI servers show as tests: one suite a subject, one case a check.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{escaped, word};
use crate::model::{Answer, CheckResult, Report};

/// The report as JUnit XML. Failures are failures, what could not be decided is an error, what a person must decide or
/// does not apply is skipped.
pub fn junit(report: &Report) -> String {
    let mut suites: BTreeMap<&str, Vec<&CheckResult>> = BTreeMap::new();
    for check in &report.checks {
        suites.entry(&check.subject).or_default().push(check);
    }
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"stockade audit\" tests=\"{}\" failures=\"{}\" errors=\"{}\">\n",
        report.checks.len(),
        report.count(Answer::Fail),
        report.count(Answer::Unknown)
    );
    for (subject, checks) in suites {
        let count = |answer| checks.iter().filter(|c| c.result == answer && c.waived.is_none()).count();
        let skipped = checks.len() - count(Answer::Fail) - count(Answer::Unknown) - count(Answer::Pass);
        let _ = writeln!(
            text,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{skipped}\">",
            escaped(subject),
            checks.len(),
            count(Answer::Fail),
            count(Answer::Unknown)
        );
        for check in checks {
            case(&mut text, check);
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(text: &mut String, check: &CheckResult) {
    let _ = write!(
        text,
        "    <testcase classname=\"{}\" name=\"{} {}\"",
        escaped(check.meta.id),
        escaped(check.meta.refs.first().unwrap_or(&"")),
        escaped(check.meta.title)
    );
    let evidence = escaped(&check.evidence);
    let _ = match (check.result, &check.waived) {
        (_, Some(reason)) => {
            writeln!(text, "><skipped message=\"waived: {}\"/></testcase>", escaped(reason))
        }
        (Answer::Pass, _) => writeln!(text, "/>"),
        (Answer::Fail, _) => writeln!(
            text,
            "><failure message=\"{evidence}\">{} Fix: {}</failure></testcase>",
            escaped(check.meta.why),
            escaped(check.meta.fix)
        ),
        (Answer::Unknown, _) => writeln!(text, "><error message=\"{evidence}\"/></testcase>"),
        (Answer::Manual | Answer::NotApplicable, _) => {
            writeln!(text, "><skipped message=\"{}: {evidence}\"/></testcase>", word(check))
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_close_and_text_is_escaped() {
        let text = junit(&crate::views::tests::report());
        let closed = text.matches("</testcase>").count()
            + text.lines().filter(|l| l.contains("<testcase ") && l.ends_with("\"/>")).count();
        assert_eq!(text.matches("<testcase ").count(), closed);
        assert_eq!(text.matches("<testsuite ").count(), text.matches("</testsuite>").count());
        assert!(text.contains("container &lt;b&gt;&amp;\u{fffd}[31m&quot;x&#39;|`"));
        assert!(!text.contains('\u{1b}') && text.contains("waived: we &lt;need&gt; it"));
    }
}
