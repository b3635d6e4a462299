//! The table: findings by what can be done about them, then by severity; below it what to do, and what is not known.
//!
//! A clean table must not look like a promise: age and limits of the facts are always printed.

use super::sections;
use super::text::{Paint, by_severity, columns, count, cut, printable};
use crate::matching::Status;
use crate::report::{Finding, ScanReport};
use crate::severity::Severity;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How to print.
#[derive(Debug, Clone, Copy, Default)]
pub struct TableOptions {
    /// Use escape codes for colour.
    pub color: bool,
    /// Width of the terminal in columns; `None` cuts nothing.
    pub width: Option<usize>,
    /// The day of reading: whether the release's support is over.
    pub today: Option<jiff::civil::Date>,
}

/// Rows under "What to do" and "Not known": beyond this the rest is counted.
const MAX_ADVICE: usize = 12;
/// Binary packages named beside their source package.
const MAX_BINARIES: usize = 3;

/// The report for people.
pub fn table(report: &ScanReport, options: &TableOptions) -> String {
    let paint = Paint(options.color);
    let mut out = String::new();
    head(&mut out, report, options);
    let open: Vec<&Finding> = report.open_findings().collect();
    let rows = merge(&open);
    for group in [Group::Fixable, Group::NoFix, Group::Undecided] {
        let members: Vec<&Row<'_>> = rows.iter().filter(|r| r.group() == group).collect();
        if !members.is_empty() {
            section(&mut out, group.title(), &members, options);
        }
    }
    advice(&mut out, report, &rows, paint);
    sections::tables(&mut out, report, paint);
    foot(&mut out, report, &rows, paint);
    out
}

/// What is known of how vulnerable code is reached: facts to sort by, which hide nothing.
fn reach(out: &mut String, rows: &[Row<'_>]) {
    let mut tell = |fact: fn(&Finding) -> Option<bool>, words: fn(usize, &str) -> String| {
        let answers: Vec<bool> = rows.iter().filter_map(|r| r.all.iter().filter_map(|f| fact(f)).max()).collect();
        if !answers.is_empty() {
            let yes = answers.iter().filter(|answer| **answer).count();
            let _ = writeln!(out, "\n{}", words(yes, &count(answers.len(), "finding")));
        }
    };
    tell(
        |f| f.in_entry_point,
        |yes, all| {
            format!(
                "The entry point loads files of the package at its start for {yes} of {all}; what it opens later is not known."
            )
        },
    );
    tell(
        |f| f.symbols_linked,
        |yes, all| format!("The Go program holds a vulnerable function for {yes} of {all} that name functions."),
    );
}

/// What can be done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Fixable,
    NoFix,
    Undecided,
}

impl Group {
    fn title(self) -> &'static str {
        match self {
            Group::Fixable => "Fixed by an upgrade",
            Group::NoFix => "No fix is known",
            Group::Undecided => "Not known whether affected",
        }
    }
}

/// One vulnerability in one component, with the packages built from it.
struct Row<'r> {
    first: &'r Finding,
    all: Vec<&'r Finding>,
    binaries: Vec<&'r str>,
}

fn merge<'r>(findings: &[&'r Finding]) -> Vec<Row<'r>> {
    let mut rows: Vec<Row<'r>> = Vec::new();
    let mut place: BTreeMap<(&str, &str, &str, &str), usize> = BTreeMap::new();
    for finding in findings {
        // Packages of one source with one version share a row; language packages share one when only the path differs.
        let key = (
            finding.id.as_str(),
            finding.component(),
            finding.package.version.as_str(),
            finding.package.kind.purl_type(),
        );
        match place.get(&key).and_then(|i| rows.get_mut(*i)) {
            Some(row) => {
                row.all.push(finding);
                if !row.binaries.contains(&finding.package.name.as_str()) {
                    row.binaries.push(&finding.package.name);
                }
            }
            None => {
                place.insert(key, rows.len());
                rows.push(Row { first: finding, all: vec![*finding], binaries: vec![&finding.package.name] });
            }
        }
    }
    rows
}

impl Row<'_> {
    fn group(&self) -> Group {
        match (self.first.status, self.first.is_fixable()) {
            (Status::Unknown, _) => Group::Undecided,
            (_, true) => Group::Fixable,
            (_, false) => Group::NoFix,
        }
    }

    fn package(&self) -> String {
        let component = printable(self.first.component());
        if self.binaries.len() == 1 && self.binaries.first() == Some(&self.first.component()) {
            return component;
        }
        let mut names: Vec<String> = self.binaries.iter().take(MAX_BINARIES).map(|b| printable(b)).collect();
        if self.binaries.len() > MAX_BINARIES {
            names.push(format!("+{}", self.binaries.len() - MAX_BINARIES));
        }
        format!("{component} ({})", names.join(", "))
    }

    fn severity(&self) -> String {
        let mut text = self.first.severity.word().to_owned();
        if self.first.known_exploited() {
            text.push_str(", exploited");
        }
        if self.first.linked == Some(false) {
            text.push_str(", code not linked in");
        } else if self.first.symbols_linked == Some(false) {
            text.push_str(", function not linked in");
        }
        if let Some(word) = &self.first.informational {
            text.push_str(", ");
            text.push_str(word);
        }
        text
    }
}

fn head(out: &mut String, report: &ScanReport, options: &TableOptions) {
    let paint = Paint(options.color);
    let target = &report.target;
    let mut parts = vec![paint.bold(&printable(&target.name))];
    match &target.os {
        Some(os) if !os.name.is_empty() => parts.push(printable(&os.name)),
        Some(os) => parts.push(printable(format!("{} {}", os.id, os.version).trim())),
        None => {}
    }
    parts.push(count(report.packages.len(), "package"));
    let _ = writeln!(out, "{}", parts.join(" · "));
    if let Some(drift) = report.drift.as_ref().filter(|d| !d.is_empty()) {
        let _ =
            writeln!(out, "{}", paint.warn(&format!("Different from its image: {}", sections::drift_summary(drift))));
    }
    let eol = target.os.as_ref().and_then(|os| os.eol.as_ref());
    if let (Some(eol), Some(today)) = (eol, options.today)
        && eol.parse::<jiff::civil::Date>().is_ok_and(|day| day < today)
    {
        let words = format!("Security support of this release ended on {eol}: new vulnerabilities get no fix.");
        let _ = writeln!(out, "{}", paint.warn(&words));
    }
}

fn section(out: &mut String, title: &str, members: &[&Row<'_>], options: &TableOptions) {
    let paint = Paint(options.color);
    let _ = writeln!(
        out,
        "\n{} {}",
        paint.bold(&format!("{title}:")),
        by_severity(members.iter().map(|r| r.first.severity))
    );
    let layers = members.iter().any(|r| r.first.instruction.is_some());
    let mut rows: Vec<Vec<String>> =
        vec![["SEVERITY", "ID", "PACKAGE", "INSTALLED", "FIXED IN"].map(str::to_owned).to_vec()];
    if layers && let Some(header) = rows.first_mut() {
        header.push("BROUGHT BY".to_owned());
    }
    for row in members {
        let f = row.first;
        let fixed = match (&f.note, f.fixed.is_empty()) {
            (Some(note), true) => format!("- ({note})"),
            (None, true) => "-".to_owned(),
            (_, false) => f.fixed.iter().map(|v| printable(v)).collect::<Vec<_>>().join(", "),
        };
        let mut cells = vec![
            row.severity(),
            printable(&f.id),
            cut(&row.package(), 48),
            cut(&printable(&f.package.version), 32),
            fixed,
        ];
        if layers {
            cells.push(cut(&printable(f.instruction.as_deref().unwrap_or("-")), 40));
        }
        rows.push(cells);
    }
    for (index, cells) in columns(&rows).into_iter().enumerate() {
        let line: String = match (index.checked_sub(1).and_then(|i| members.get(i)), cells.split_first()) {
            (Some(row), Some((severity, rest))) => {
                let line = fit(&format!("{severity}{}", rest.concat()), options.width);
                // Colour after cutting, so that the codes are never cut.
                match line.strip_prefix(severity.as_str()) {
                    Some(rest) => format!("{}{rest}", paint.severity(row.first.severity, severity)),
                    None => line,
                }
            }
            _ => paint.dim(&fit(&cells.concat(), options.width)),
        };
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

fn fit(line: &str, width: Option<usize>) -> String {
    width.map_or_else(|| line.to_owned(), |w| cut(line, w))
}

/// What an upgrade of one component fixes.
struct Upgrade<'r> {
    component: &'r str,
    to: String,
    severities: Vec<Severity>,
}

/// Upgrades by what they fix, worst first. For a component that several findings give different fixed versions for,
/// the one that the most demanding finding needs.
fn upgrades<'r>(rows: &'r [Row<'r>]) -> Vec<Upgrade<'r>> {
    let mut found: BTreeMap<(&str, &str, &str), Upgrade<'r>> = BTreeMap::new();
    for row in rows.iter().filter(|r| r.first.status == Status::Affected) {
        let f = row.first;
        let Some(fix) = f.fixed.first() else { continue };
        let order = f.advisories.first().and_then(|a| crate::version::Order::of_ecosystem(&a.ecosystem));
        let key = (f.component(), f.package.kind.purl_type(), f.package.version.as_str());
        let entry = found.entry(key).or_insert_with(|| Upgrade {
            component: f.component(),
            to: fix.clone(),
            severities: Vec::new(),
        });
        entry.severities.push(f.severity);
        if order.is_some_and(|o| o.compare(fix, &entry.to).is_ok_and(|c| c == std::cmp::Ordering::Greater)) {
            entry.to.clone_from(fix);
        }
    }
    let mut all: Vec<Upgrade<'r>> = found.into_values().collect();
    all.sort_by(|a, b| {
        let worst = |u: &Upgrade<'_>| u.severities.iter().max().copied().unwrap_or_default();
        worst(b).cmp(&worst(a)).then(b.severities.len().cmp(&a.severities.len())).then(a.component.cmp(b.component))
    });
    all
}

/// What a new base image would fix: what an upgrade fixes and the base's layers brought.
fn new_base(report: &ScanReport, rows: &[Row<'_>]) -> Option<Vec<String>> {
    let base = report.base.as_ref()?;
    let of_base = |f: &Finding| f.layer.as_deref().is_some_and(|l| base.layers.iter().any(|known| known == l));
    let fixed: Vec<Severity> = rows
        .iter()
        .filter(|r| r.first.status == Status::Affected && r.first.is_fixable() && of_base(r.first))
        .map(|r| r.first.severity)
        .collect();
    (!fixed.is_empty()).then(|| {
        let fixes = format!("fixes {}: {}", fixed.len(), by_severity(fixed.iter().copied()));
        vec![format!("  update the base image {}", printable(&base.name)), fixes]
    })
}

fn advice(out: &mut String, report: &ScanReport, rows: &[Row<'_>], paint: Paint) {
    let all = upgrades(rows);
    if all.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", paint.bold("What to do:"));
    let mut lines: Vec<Vec<String>> = new_base(report, rows).into_iter().collect();
    lines.extend(all.iter().take(MAX_ADVICE).map(|u| {
        let fixes = format!("fixes {}: {}", u.severities.len(), by_severity(u.severities.iter().copied()));
        vec![format!("  upgrade {} to {}", printable(u.component), printable(&u.to)), fixes]
    }));
    for line in columns(&lines) {
        let _ = writeln!(out, "{}", line.concat());
    }
    if let Some(more) = all.len().checked_sub(MAX_ADVICE).filter(|m| *m > 0) {
        let _ = writeln!(out, "  … and {}", count(more, "more upgrade"));
    }
}

fn foot(out: &mut String, report: &ScanReport, rows: &[Row<'_>], paint: Paint) {
    if rows.is_empty() {
        let _ = writeln!(out, "\nNo known vulnerability in {}.", count(report.packages.len(), "package"));
    }
    let ignored = report.findings.iter().filter(|f| f.ignored.is_some()).count();
    let ruled_out = report.findings.iter().filter(|f| f.status == Status::NotAffected).count();
    for (n, words) in [(ignored, "ignored by choice"), (ruled_out, "ruled out by a statement")] {
        if n > 0 {
            let _ = writeln!(out, "\n{} {words}.", count(n, "finding"));
        }
    }
    reach(out, rows);
    if !report.unknown.is_empty() {
        let _ = writeln!(out, "\n{}", paint.warn("Not known, so the result is incomplete:"));
        for unknown in report.unknown.iter().take(MAX_ADVICE) {
            let place = if unknown.path.is_empty() { String::new() } else { format!("{}: ", printable(&unknown.path)) };
            let _ = writeln!(out, "  - {place}{}", printable(&unknown.why));
        }
        if let Some(more) = report.unknown.len().checked_sub(MAX_ADVICE).filter(|m| *m > 0) {
            let _ = writeln!(out, "  … and {more} more (`--format json` lists all)");
        }
    }
    for note in &report.notes {
        let _ = writeln!(out, "\nNote: {}", printable(note));
    }
    let used: Vec<String> =
        report.database.coverage.iter().map(|c| format!("{} until {}", c.ecosystem, c.until)).collect();
    let facts = if used.is_empty() { "none were used".to_owned() } else { used.join(", ") };
    let _ = writeln!(
        out,
        "\n{}",
        paint.dim(&format!("Facts: {facts}. Database of {}; `stockade db update` renews it.", report.database.built))
    );
}
