//! What a report may have beside vulnerabilities: credentials, weak settings, drift, dependency chains; as plain text.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use super::text::{Paint, columns, count, cut, printable};
use crate::report::{Drift, FileChange, PackageEntry, ScanReport};

/// Rows of one section; the rest is counted.
const MAX_ROWS: usize = 20;
/// Chains of dependents shown for one package, and their length.
const MAX_CHAINS: usize = 3;
const MAX_CHAIN: usize = 8;

/// Where something is, for people: the path, its line, and what brought it.
pub(super) fn place(path: &str, line: u32) -> String {
    if line > 0 { format!("{path}:{line}") } else { path.to_owned() }
}

/// Credentials, weak settings and drift, each with a title; nothing where there is none.
pub(super) fn tables(out: &mut String, report: &ScanReport, paint: Paint) {
    secrets(out, report, paint);
    weaknesses(out, report, paint);
    if let Some(drift) = &report.drift {
        tell_drift(out, drift, paint);
    }
}

fn write_rows(out: &mut String, rows: Vec<Vec<String>>, all: usize) {
    for cells in columns(&rows) {
        let _ = writeln!(out, "{}", cells.concat().trim_end());
    }
    if let Some(more) = all.checked_sub(MAX_ROWS).filter(|m| *m > 0) {
        let _ = writeln!(out, "… and {more} more (`--format json` lists all)");
    }
}

fn secrets(out: &mut String, report: &ScanReport, paint: Paint) {
    if report.secrets.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{} {}", paint.bold("Credentials:"), count(report.secrets.len(), "credential"));
    let mut rows = vec![["WHERE", "WHAT", "BEGINS", "BROUGHT BY"].map(str::to_owned).to_vec()];
    rows.extend(report.secrets.iter().take(MAX_ROWS).map(|s| {
        let deleted = if s.deleted { " (deleted above, still in the layer below)" } else { "" };
        vec![
            format!("{}{deleted}", printable(&place(&s.path, s.line))),
            printable(&s.title),
            printable(&s.hint),
            cut(&printable(s.instruction.as_deref().unwrap_or("-")), 40),
        ]
    }));
    write_rows(out, rows, report.secrets.len());
}

fn weaknesses(out: &mut String, report: &ScanReport, paint: Paint) {
    if report.weaknesses.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", paint.bold("Weak settings:"));
    let mut all: Vec<_> = report.weaknesses.iter().collect();
    all.sort_by_key(|w| std::cmp::Reverse(w.severity));
    let mut rows = vec![["SEVERITY", "CHECK", "WHERE", "WHAT TO DO"].map(str::to_owned).to_vec()];
    rows.extend(all.iter().take(MAX_ROWS).map(|w| {
        let seen = if w.path.is_empty() { &w.evidence } else { &w.path };
        vec![w.severity.word().to_owned(), printable(&w.id), cut(&printable(seen), 60), printable(&w.fix)]
    }));
    write_rows(out, rows, all.len());
}

/// One line about drift: `2 packages differ, 3 files added (1 program), 1 deleted`.
pub(super) fn drift_summary(drift: &Drift) -> String {
    let of = |change: FileChange| drift.files.iter().filter(|f| f.change == change).count();
    let programs = drift.files.iter().filter(|f| f.executable).count();
    let mut parts = vec![count(drift.packages.len(), "package")];
    for (change, word) in
        [(FileChange::Added, "added"), (FileChange::Changed, "changed"), (FileChange::Deleted, "deleted")]
    {
        parts.push(format!("{} {word}", count(of(change), "file")));
    }
    if programs > 0 {
        parts.push(format!("{programs} of them programs"));
    }
    if drift.more_files > 0 {
        parts.push(format!("{} more", count(drift.more_files, "file")));
    }
    parts.join(", ")
}

fn tell_drift(out: &mut String, drift: &Drift, paint: Paint) {
    if drift.is_empty() {
        let _ = writeln!(out, "\nThe container has changed nothing of its image.");
        return;
    }
    let _ = writeln!(out, "\n{} {}", paint.bold("Different from the image:"), drift_summary(drift));
    let mut rows: Vec<Vec<String>> = drift
        .packages
        .iter()
        .take(MAX_ROWS)
        .map(|p| {
            let change = match (&p.from, &p.to) {
                (Some(from), Some(to)) => format!("{from} → {to}"),
                (None, Some(to)) => format!("installed {to}"),
                (Some(from), None) => format!("removed {from}"),
                (None, None) => String::new(),
            };
            vec!["  package".to_owned(), printable(&p.name), printable(&change)]
        })
        .collect();
    rows.extend(drift.files.iter().take(MAX_ROWS).map(|f| {
        let word = match f.change {
            FileChange::Added => "added",
            FileChange::Changed => "changed",
            FileChange::Deleted => "deleted",
        };
        let kind = if f.executable { "  program" } else { "  file" };
        vec![kind.to_owned(), printable(&f.path), word.to_owned()]
    }));
    for cells in columns(&rows) {
        let _ = writeln!(out, "{}", cells.concat().trim_end());
    }
    let shown = drift.packages.len().min(MAX_ROWS) + drift.files.len().min(MAX_ROWS);
    let all = drift.packages.len() + drift.files.len() + drift.more_files;
    if all > shown {
        let _ = writeln!(out, "  … and {} more (`--format json` lists all)", all - shown);
    }
}

/// Who needs the packages with findings: chains from a package that nobody needs down to the affected one.
pub fn dependency_tree(report: &ScanReport) -> String {
    let mut needed_by: BTreeMap<(&str, &str), Vec<&PackageEntry>> = BTreeMap::new();
    for package in &report.packages {
        for name in &package.depends {
            needed_by.entry((package.kind.purl_type(), name)).or_default().push(package);
        }
    }
    let mut affected: Vec<(&str, &str, &str)> = report
        .open_findings()
        .map(|f| (f.package.kind.purl_type(), f.package.name.as_str(), f.package.version.as_str()))
        .collect();
    affected.sort_unstable();
    affected.dedup();
    let mut out = String::new();
    for (kind, name, version) in affected {
        let chains = chains(&needed_by, kind, name);
        let _ = writeln!(out, "{} {} ({kind})", printable(name), printable(version));
        for chain in &chains {
            let _ = writeln!(out, "  needed by {}", chain.iter().map(|n| printable(n)).collect::<Vec<_>>().join(" ← "));
        }
        if chains.is_empty() {
            let _ = writeln!(out, "  nothing that is listed says that it needs it");
        }
    }
    if out.is_empty() { "no package has a finding\n".to_owned() } else { out }
}

/// The shortest chains, nearest dependent first.
fn chains<'r>(
    needed_by: &BTreeMap<(&str, &str), Vec<&'r PackageEntry>>,
    kind: &str,
    name: &'r str,
) -> Vec<Vec<&'r str>> {
    let mut found: Vec<Vec<&str>> = Vec::new();
    let mut queue: VecDeque<Vec<&str>> = VecDeque::from([vec![name]]);
    let mut seen = std::collections::BTreeSet::from([name]);
    while let Some(chain) = queue.pop_front() {
        let last = chain.last().copied().unwrap_or_default();
        let dependents: Vec<&str> = needed_by
            .get(&(kind, last))
            .into_iter()
            .flatten()
            .map(|p| p.name.as_str())
            .filter(|n| seen.insert(n))
            .collect();
        if (dependents.is_empty() || chain.len() > MAX_CHAIN) && chain.len() > 1 {
            found.push(chain.get(1..).unwrap_or_default().to_vec());
        }
        if found.len() >= MAX_CHAINS || chain.len() > MAX_CHAIN {
            break;
        }
        for dependent in dependents {
            let mut next = chain.clone();
            next.push(dependent);
            queue.push_back(next);
        }
    }
    found
}
