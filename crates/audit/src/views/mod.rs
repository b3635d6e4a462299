//! The report in other people's forms. Each view is made from the one [`Report`]; all text in it may come from a hostile
//! daemon or file and is escaped for its form.

mod html;
mod junit;
mod markdown;
mod sarif;

pub use html::html;
pub use junit::junit;
pub use markdown::markdown;
pub use sarif::sarif;

use crate::model::{Answer, CheckResult, Report};

/// The word for a result that people read.
pub fn word(check: &CheckResult) -> &'static str {
    match check.result {
        _ if check.waived.is_some() => "WAIVED",
        Answer::Fail => "FAIL",
        Answer::Unknown => "UNKNOWN",
        Answer::Manual => "MANUAL",
        Answer::Pass => "PASS",
        Answer::NotApplicable => "N/A",
    }
}

/// What a view shows: everything, or what somebody should look at.
pub fn shown(report: &Report, all: bool) -> impl Iterator<Item = &CheckResult> {
    let worth = |c: &CheckResult| matches!(c.result, Answer::Fail | Answer::Unknown) || c.waived.is_some();
    report.checks.iter().filter(move |c| all || worth(c))
}

/// One line that says how it stands.
pub fn summary(report: &Report) -> String {
    let score =
        report.score.map_or_else(|| "no score: nothing could be decided".to_owned(), |s| format!("score {s} of 100"));
    let waived = report.checks.iter().filter(|c| c.waived.is_some()).count();
    let waived = if waived > 0 { format!(", {waived} waived") } else { String::new() };
    format!(
        "{score}: {} passed, {} failed, {} unknown, {} for a person to decide, {} not applicable{waived}",
        report.count(Answer::Pass),
        report.count(Answer::Fail),
        report.count(Answer::Unknown),
        report.count(Answer::Manual),
        report.count(Answer::NotApplicable),
    )
}

/// A file and a line that an answer rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Path as the audit was given it, or absolute on the host.
    pub file: String,
    /// 1-based.
    pub line: usize,
}

/// The places that a result names: lines of a Compose or Kubernetes file, or `/path:LINE:` at the start of the evidence.
pub fn places(check: &CheckResult) -> Vec<Place> {
    if matches!(check.meta.section, crate::Section::Compose | crate::Section::Kubernetes) {
        let Some((file, _)) = check.subject.rsplit_once(": ") else { return Vec::new() };
        let lines =
            check.evidence.split("; ").filter_map(|part| part.strip_prefix("line ")?.split(':').next()?.parse().ok());
        return lines.map(|line| Place { file: file.to_owned(), line }).collect();
    }
    let mut parts = check.evidence.splitn(3, ':');
    let (file, line) = (parts.next().unwrap_or(""), parts.next().and_then(|l| l.trim().parse().ok()));
    match line {
        Some(line) if file.starts_with('/') && !file.contains(' ') => vec![Place { file: file.to_owned(), line }],
        _ => Vec::new(),
    }
}

/// XML and HTML text: markup characters as references, control characters as U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::docker::facts::DockerFacts;
    use crate::{Subjects, checks, compose};
    use serde_json::json;

    /// A report with every kind of answer, a waiver and hostile text.
    pub(crate) fn report() -> Report {
        let container = json!({"Name": "/<b>&\u{1b}[31m\"x'|`", "HostConfig": {"Privileged": true, "PidMode": "host"}});
        let facts = DockerFacts::offline(vec![container], vec![], None);
        let mut report = checks::run(&Subjects { engines: vec![&facts], ..Subjects::default() });
        report.checks.extend(compose::check("a b.yaml", b"services:\n  web:\n    privileged: true\n").unwrap());
        if let Some(c) = report.checks.iter_mut().find(|c| c.meta.id == "host-pid") {
            c.waived = Some("we <need> it".to_owned());
        }
        report.recount();
        report
    }

    #[test]
    fn places_come_from_files_and_evidence() {
        let report = report();
        let of = |id: &str| places(report.checks.iter().find(|c| c.meta.id == id).unwrap());
        assert_eq!(of("compose-privileged"), [Place { file: "a b.yaml".to_owned(), line: 3 }]);
        assert_eq!(of("host-pid"), []);
    }

    #[test]
    fn markup_and_control_characters_are_escaped() {
        assert_eq!(escaped("<a href=\"x\">&'\u{1b}\n"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\u{fffd} ");
    }

    #[test]
    fn the_summary_counts_waivers_apart() {
        let text = summary(&report());
        assert!(text.starts_with("score ") && text.ends_with(", 1 waived"), "{text}");
    }
}
