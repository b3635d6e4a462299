//! JUnit XML: one suite a component, one failed case a finding, for continuous integration that knows nothing else.

use super::sections::place;
use crate::report::{Finding, ScanReport};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The report as JUnit XML. What is not known is a suite of its own with skipped cases.
pub fn junit(report: &ScanReport) -> String {
    let mut suites: BTreeMap<(String, String), Vec<&Finding>> = BTreeMap::new();
    for finding in report.open_findings() {
        suites.entry((finding.component().to_owned(), finding.package.version.clone())).or_default().push(finding);
    }
    let total: usize = suites.values().map(Vec::len).sum::<usize>() + report.secrets.len() + report.weaknesses.len();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites name=\"{}\" tests=\"{}\" failures=\"{total}\">",
        escape(&report.target.name),
        total + report.unknown.len()
    );
    for ((component, version), findings) in &suites {
        let name = escape(&format!("{component} {version}"));
        let _ =
            writeln!(out, "  <testsuite name=\"{name}\" tests=\"{0}\" failures=\"{0}\" skipped=\"0\">", findings.len());
        for f in findings {
            let fixed = if f.fixed.is_empty() {
                "no fixed version is known".to_owned()
            } else {
                format!("fixed in {}", f.fixed.join(", "))
            };
            let exploited = if f.known_exploited() { ", known to be exploited" } else { "" };
            let _ = writeln!(
                out,
                "    <testcase classname=\"{}\" name=\"{} [{}]\">",
                escape(&f.package.name),
                escape(&f.id),
                f.severity
            );
            let _ = writeln!(
                out,
                "      <failure type=\"{}\" message=\"{}\">{}</failure>",
                f.severity,
                escape(&format!("{} {}{exploited}: {fixed}", f.package.name, f.package.version)),
                escape(&f.references.join("\n"))
            );
            out.push_str("    </testcase>\n");
        }
        out.push_str("  </testsuite>\n");
    }
    let secrets: Vec<[String; 3]> = report
        .secrets
        .iter()
        .map(|s| [place(&s.path, s.line), s.rule.clone(), format!("{}: {}", s.title, s.hint)])
        .collect();
    let weaknesses: Vec<[String; 3]> = report
        .weaknesses
        .iter()
        .map(|w| [w.path.clone(), w.id.clone(), format!("{}: {}", w.evidence, w.fix)])
        .collect();
    for (name, cases) in [("credentials", secrets), ("weak settings", weaknesses)] {
        suite(&mut out, name, &cases);
    }
    if !report.unknown.is_empty() {
        let _ = writeln!(
            out,
            "  <testsuite name=\"not known\" tests=\"{0}\" failures=\"0\" skipped=\"{0}\">",
            report.unknown.len()
        );
        for unknown in &report.unknown {
            let _ = writeln!(
                out,
                "    <testcase classname=\"{}\" name=\"{}\"><skipped message=\"{}\"/></testcase>",
                escape(&unknown.what),
                escape(if unknown.path.is_empty() { &unknown.why } else { &unknown.path }),
                escape(&unknown.why)
            );
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// A suite of failed cases: class name, name, message.
fn suite(out: &mut String, name: &str, cases: &[[String; 3]]) {
    if cases.is_empty() {
        return;
    }
    let _ = writeln!(out, "  <testsuite name=\"{name}\" tests=\"{0}\" failures=\"{0}\" skipped=\"0\">", cases.len());
    for [class, name, message] in cases {
        let _ = writeln!(
            out,
            "    <testcase classname=\"{}\" name=\"{}\"><failure message=\"{}\"/></testcase>",
            escape(class),
            escape(name),
            escape(message)
        );
    }
    out.push_str("  </testsuite>\n");
}

/// Text for XML 1.0: special characters are escaped, characters that XML cannot hold become U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
