//! Reports of `lint` in all formats.

use serde::Serialize;
use stockade_lint::{Finding, Severity};

use super::{Format, Linted, reports};
use crate::failure::Failure;
use crate::output::{self, Style};

#[derive(Serialize)]
struct JsonFinding<'f> {
    file: &'f str,
    #[serde(flatten)]
    finding: &'f Finding,
}

/// Everything that was found, in one format.
pub fn render(format: Format, results: &[Linted], style: Style) -> Result<String, Failure> {
    Ok(match format {
        Format::Text => results.iter().map(|l| text(l, style)).collect(),
        Format::Json => {
            let findings: Vec<_> = each(results).map(|(l, finding)| JsonFinding { file: &l.name, finding }).collect();
            let errors: Vec<_> = results.iter().flat_map(json_errors).collect();
            let all = serde_json::json!({"schema": stockade_lint::SCHEMA, "findings": findings, "errors": errors});
            serde_json::to_string_pretty(&all)? + "\n"
        }
        Format::Sarif => serde_json::to_string_pretty(&reports::sarif(results))? + "\n",
        Format::Gitlab => serde_json::to_string_pretty(&reports::gitlab(results))? + "\n",
        Format::Codeclimate => reports::issues(results).iter().map(|i| format!("{}\0", reports::codeclimate(i))).collect(),
        Format::Sonarqube => serde_json::to_string_pretty(&reports::sonarqube(results))? + "\n",
        Format::Checkstyle => reports::checkstyle(results),
        Format::Junit => reports::junit(results),
        Format::Github => reports::issues(results).iter().map(reports::github).collect(),
        Format::Gnu => reports::issues(results).iter().map(reports::gnu).collect(),
        Format::Markdown => return Err(Failure::usage("--format markdown goes with --list")),
    })
}

fn each(results: &[Linted]) -> impl Iterator<Item = (&Linted, &Finding)> {
    results.iter().flat_map(|l| l.report.findings.iter().map(move |f| (l, f)))
}

fn json_errors(l: &Linted) -> impl Iterator<Item = serde_json::Value> + '_ {
    l.report.diagnostics.errors().map(|d| {
        serde_json::json!({
            "file": l.name, "id": d.code, "line": d.span.start.line, "column": d.span.start.column,
            "end_line": d.span.end.line, "end_column": d.span.end.column, "message": d.message,
        })
    })
}

/// For people: each finding with its line, carets under the place, and what to do.
pub fn text(linted: &Linted, style: Style) -> String {
    let mut out = String::new();
    for diagnostic in linted.report.diagnostics.errors() {
        out.push_str(&diagnostic.render(&linted.name, &linted.text));
    }
    for f in &linted.report.findings {
        let severity = match f.severity {
            Severity::Error => style.red("error"),
            Severity::Warning => style.yellow("warning"),
            other => style.bold(other.name()),
        };
        let reference = f.refs.first().map(|r| format!(" {r}")).unwrap_or_default();
        out.push_str(&format!(
            "{}:{}:{}: {severity}: {} [{}{reference}]\n",
            linted.name,
            f.line,
            f.column,
            output::printable(&f.message),
            f.id
        ));
        let line = linted.text.lines().nth(f.line.saturating_sub(1) as usize).unwrap_or("");
        let shown: String = line.chars().take(160).map(|c| if c == '\t' { ' ' } else { c }).collect();
        let start = f.column.saturating_sub(1) as usize;
        let end = if f.end_line == f.line { f.end_column.saturating_sub(1) as usize } else { line.chars().count() };
        let carets = end.saturating_sub(start).clamp(1, 160usize.saturating_sub(start).max(1));
        out.push_str(&format!(
            "{:>5} | {}\n      | {}{}\n",
            f.line,
            output::printable(&shown),
            " ".repeat(start.min(160)),
            style.red(&"^".repeat(carets))
        ));
        out.push_str(&format!("      = {}{}\n", f.advice, if f.fix.is_some() { " (--fix does it)" } else { "" }));
    }
    out
}

