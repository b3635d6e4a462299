//! Markdown, for comments on changes and for wikis.

use super::sections::{drift_summary, place};
use super::text::{by_severity, count};
use crate::matching::Status;
use crate::report::{Finding, ScanReport};
use std::fmt::Write as _;
use stockade_advisory_db::names::canonical_url;

/// The report as GitHub-flavoured Markdown.
pub fn markdown(report: &ScanReport) -> String {
    let mut out = String::new();
    let os = report.target.os.as_ref().map_or(String::new(), |os| format!(", {}", os.name));
    let _ = writeln!(out, "## Vulnerabilities in `{}`\n", code(&report.target.name));
    let open: Vec<&Finding> = report.open_findings().collect();
    let severities = by_severity(open.iter().map(|f| f.severity));
    let found = if open.is_empty() {
        "No known vulnerability".to_owned()
    } else {
        format!("{} ({severities})", count(open.len(), "finding"))
    };
    let _ = writeln!(out, "{found} in {}{}.", count(report.packages.len(), "package"), text(&os));
    if !open.is_empty() {
        out.push_str("\n| severity | id | package | installed | fixed in |\n| --- | --- | --- | --- | --- |\n");
        for f in &open {
            let id = canonical_url(&f.id).map_or_else(|| text(&f.id), |url| format!("[{}]({url})", text(&f.id)));
            let mark = if f.known_exploited() { " **exploited**" } else { "" };
            let doubt = if f.status == Status::Unknown { " (not known whether affected)" } else { "" };
            let fixed = if f.fixed.is_empty() {
                "–".to_owned()
            } else {
                f.fixed.iter().map(|v| format!("`{}`", code(v))).collect::<Vec<_>>().join(", ")
            };
            let _ = writeln!(
                out,
                "| {}{mark}{doubt} | {id} | `{}` | `{}` | {fixed} |",
                f.severity,
                code(&f.package.name),
                code(&f.package.version)
            );
        }
    }
    if !report.secrets.is_empty() {
        out.push_str("\n### Credentials\n\n| where | what | begins |\n| --- | --- | --- |\n");
        for s in &report.secrets {
            let deleted = if s.deleted { " (deleted above)" } else { "" };
            let _ = writeln!(
                out,
                "| `{}`{deleted} | {} | `{}` |",
                code(&place(&s.path, s.line)),
                text(&s.title),
                code(&s.hint)
            );
        }
    }
    if !report.weaknesses.is_empty() {
        out.push_str("\n### Weak settings\n\n| severity | check | where | what to do |\n| --- | --- | --- | --- |\n");
        for w in &report.weaknesses {
            let seen = if w.path.is_empty() { &w.evidence } else { &w.path };
            let _ = writeln!(out, "| {} | {} | `{}` | {} |", w.severity, text(&w.id), code(seen), text(&w.fix));
        }
    }
    if let Some(drift) = &report.drift {
        let _ = writeln!(out, "\n**Different from the image:** {}", text(&drift_summary(drift)));
    }
    if !report.unknown.is_empty() {
        out.push_str("\n**Not known, so the result is incomplete:**\n\n");
        for unknown in &report.unknown {
            let place = if unknown.path.is_empty() { String::new() } else { format!("`{}`: ", code(&unknown.path)) };
            let _ = writeln!(out, "- {place}{}", text(&unknown.why));
        }
    }
    for note in &report.notes {
        let _ = writeln!(out, "\n{}", text(note));
    }
    let used: Vec<String> =
        report.database.coverage.iter().map(|c| format!("{} until {}", c.ecosystem, c.until)).collect();
    let _ = writeln!(out, "\n<sub>Facts: {}. Database of {}.</sub>", text(&used.join(", ")), report.database.built);
    out
}

/// Text that must not become markup or leave its table cell.
fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Text inside a code span within a table cell.
fn code(raw: &str) -> String {
    raw.chars().map(|c| if c.is_control() || c == '`' { ' ' } else { c }).collect::<String>().replace('|', "\\|")
}
