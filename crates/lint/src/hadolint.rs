//! What hadolint keeps of all findings (`Options::as_hadolint`).
//!
//! It gives each script to ShellCheck and keeps one finding an instruction: the last by place; of several at the same place
//! the mildest, then the one with the highest number. Source: hadolint 2.15.1's answers.

use stockade_dockerfile::ast::Dockerfile;

use crate::model::Finding;

/// Takes out rules that hadolint does not have, and of each instruction's shell findings all but the one it shows.
pub(crate) fn choose(dockerfile: &Dockerfile, findings: &mut Vec<Finding>) {
    findings.retain(|f| number(f).is_some());
    let (mut scripts, others): (Vec<Finding>, Vec<Finding>) =
        findings.drain(..).partition(|f| number(f).is_some_and(|n| n.starts_with("SC")));
    *findings = others;
    scripts.sort_by(|a, b| order(a).cmp(&order(b)));
    let spans: Vec<(u32, u32)> = dockerfile.instructions.iter().map(|i| (i.span.start.line, i.span.end.line)).collect();
    let holder = |f: &Finding| {
        let after = spans.partition_point(|(start, _)| *start <= f.line);
        after.checked_sub(1).and_then(|i| spans.get(i)).map_or(f.line, |(start, _)| *start)
    };
    let mut scripts = scripts.into_iter().peekable();
    while let Some(finding) = scripts.next() {
        if scripts.peek().is_none_or(|next| holder(next) != holder(&finding)) {
            findings.push(finding);
        }
    }
}

fn order(f: &Finding) -> (u32, u32, crate::Severity, Option<&'static str>) {
    (f.line, f.column, f.severity, number(f))
}

/// Its number in hadolint.
fn number(f: &Finding) -> Option<&'static str> {
    f.refs.iter().copied().find(|r| r.starts_with("DL") || r.starts_with("SC"))
}
