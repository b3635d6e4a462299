//! Formats for other programs. Errors of syntax are issues in all of them: a file that cannot be read is not clean.

use serde_json::{Value, json};
use stockade_lint::Severity;

use super::Linted;

/// A finding or an error of syntax, as reports need it.
pub struct Issue<'r> {
    file: &'r str,
    id: &'r str,
    refs: &'r [&'r str],
    severity: Severity,
    message: &'r str,
    /// Line and column, from 1; the end is after the last character.
    start: (u32, u32),
    end: (u32, u32),
}

/// All issues, file by file, each by place.
pub fn issues(results: &[Linted]) -> Vec<Issue<'_>> {
    results.iter().flat_map(of_file).collect()
}

fn of_file(l: &Linted) -> impl Iterator<Item = Issue<'_>> {
    let errors = l.report.diagnostics.errors().map(|d| Issue {
        file: &l.name,
        id: d.code,
        refs: &["DL1000"],
        severity: Severity::Error,
        message: &d.message,
        start: (d.span.start.line, d.span.start.column),
        end: (d.span.end.line, d.span.end.column),
    });
    let findings = l.report.findings.iter().map(|f| Issue {
        file: &l.name,
        id: f.id,
        refs: f.refs,
        severity: f.severity,
        message: &f.message,
        start: (f.line, f.column),
        end: (f.end_line, f.end_column),
    });
    errors.chain(findings)
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info | Severity::Style => "note",
    }
}

/// SARIF 2.1.0. Columns count characters, and the report says so.
pub fn sarif(results: &[Linted]) -> Value {
    let rules: Vec<_> = stockade_lint::all()
        .iter()
        .map(|r| {
            json!({
                "id": r.id, "shortDescription": {"text": r.finds}, "fullDescription": {"text": r.why},
                "help": {"text": r.instead}, "defaultConfiguration": {"level": level(r.severity), "enabled": r.default},
                "properties": {"tags": r.refs},
            })
        })
        .collect();
    let found: Vec<_> = issues(results)
        .iter()
        .map(|i| {
            json!({
                "ruleId": i.id, "level": level(i.severity), "message": {"text": i.message},
                "locations": [{"physicalLocation": {
                    "artifactLocation": {"uri": uri(i.file)},
                    "region": {"startLine": i.start.0, "startColumn": i.start.1, "endLine": i.end.0, "endColumn": i.end.1},
                }}],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "stockade lint", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": found,
        }],
    })
}

/// A file name as a relative URI reference (RFC 3986): everything but unreserved characters and slashes is escaped.
fn uri(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for b in name.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~/".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// One issue as the Code Climate specification has it.
pub fn codeclimate(i: &Issue<'_>) -> Value {
    let severity = match i.severity {
        Severity::Error => "blocker",
        Severity::Warning => "major",
        Severity::Info => "info",
        Severity::Style => "minor",
    };
    json!({
        "type": "issue", "check_name": i.id, "description": i.message, "categories": ["Bug Risk"], "severity": severity,
        "fingerprint": fingerprint(i),
        "location": {"path": i.file, "lines": {"begin": i.start.0, "end": i.end.0}},
    })
}

/// Stable across runs, so that tools can tell old findings from new ones. FNV-1a, 64 bits.
fn fingerprint(i: &Issue<'_>) -> String {
    let identity = format!("{}:{}:{}:{}:{}", i.file, i.id, i.start.0, i.start.1, i.message);
    let hash = identity.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// GitLab's code quality report: the same issues in an array.
pub fn gitlab(results: &[Linted]) -> Value {
    issues(results).iter().map(codeclimate).collect()
}

/// SonarQube's generic issue format; its columns count from 0.
pub fn sonarqube(results: &[Linted]) -> Value {
    let found: Vec<_> = issues(results)
        .iter()
        .map(|i| {
            let (severity, kind) = match i.severity {
                Severity::Error => ("CRITICAL", "BUG"),
                Severity::Warning => ("MAJOR", "CODE_SMELL"),
                Severity::Info => ("MINOR", "CODE_SMELL"),
                Severity::Style => ("INFO", "CODE_SMELL"),
            };
            // A range must not be empty.
            let end = if i.end > i.start { i.end } else { (i.start.0, i.start.1 + 1) };
            json!({
                "engineId": "stockade lint", "ruleId": i.id, "severity": severity, "type": kind,
                "primaryLocation": {"message": i.message, "filePath": i.file, "textRange": {
                    "startLine": i.start.0, "startColumn": i.start.1.saturating_sub(1),
                    "endLine": end.0, "endColumn": end.1.saturating_sub(1),
                }},
            })
        })
        .collect();
    json!({ "issues": found })
}

fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // Not characters of XML 1.0, or changed by its reader.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Checkstyle's XML, version 4.3.
pub fn checkstyle(results: &[Linted]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<checkstyle version=\"4.3\">\n");
    for l in results {
        out.push_str(&format!("  <file name=\"{}\">\n", xml(&l.name)));
        for i in of_file(l) {
            let severity = if i.severity == Severity::Style { "info" } else { i.severity.name() };
            out.push_str(&format!(
                "    <error line=\"{}\" column=\"{}\" severity=\"{severity}\" message=\"{}\" source=\"{}\"/>\n",
                i.start.0,
                i.start.1,
                xml(i.message),
                i.id
            ));
        }
        out.push_str("  </file>\n");
    }
    out.push_str("</checkstyle>\n");
    out
}

/// JUnit XML: a suite a file, a failing case an issue; a file without issues is one passing case.
pub fn junit(results: &[Linted]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"stockade lint\">\n");
    for l in results {
        let found: Vec<_> = of_file(l).collect();
        let name = xml(&l.name);
        let (tests, failures) = (found.len().max(1), found.len());
        out.push_str(&format!("  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\">\n"));
        if found.is_empty() {
            out.push_str(&format!("    <testcase classname=\"{name}\" name=\"all rules\"/>\n"));
        }
        for i in found {
            let message = xml(i.message);
            out.push_str(&format!(
                "    <testcase classname=\"{name}\" name=\"{} {}:{}\"><failure type=\"{}\" message=\"{message}\">{name}:{}:{}: {message}</failure></testcase>\n",
                i.id, i.start.0, i.start.1, i.severity.name(), i.start.0, i.start.1
            ));
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// `FILE:LINE:COLUMN: severity: message [id]` (GNU coding standards, "Formatting Error Messages").
pub fn gnu(i: &Issue<'_>) -> String {
    let reference = i.refs.first().map(|r| format!(" {r}")).unwrap_or_default();
    let plain = crate::output::printable;
    format!(
        "{}:{}:{}: {}: {} [{}{reference}]\n",
        plain(i.file),
        i.start.0,
        i.start.1,
        i.severity.name(),
        plain(i.message),
        i.id
    )
}

/// `::warning file=…,line=…::message`; percent, line breaks and separators are escaped as workflow commands want it.
pub fn github(i: &Issue<'_>) -> String {
    let data = |s: &str| s.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |s: &str| data(s).replace(':', "%3A").replace(',', "%2C");
    let kind = match i.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        _ => "notice",
    };
    format!(
        "::{kind} file={},line={},endLine={},col={},endColumn={},title={}::{}\n",
        property(i.file),
        i.start.0,
        i.end.0,
        i.start.1,
        i.end.1,
        property(i.id),
        data(i.message)
    )
}
