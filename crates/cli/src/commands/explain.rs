//! `stockade explain`: what a container may do and why; or why a vulnerability was found in a target, or why not: the
//! records, the comparison, the file, the layer, and what would fix it.

mod container;

use std::fmt::Write as _;
use std::path::PathBuf;

use stockade_advisory::matching::MatchOptions;
use stockade_advisory::report::{Finding, PackageEntry, ScanReport};
use stockade_advisory::{AdvisoryError, AdvisoryRecord, Database, EventKind};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::scanner::{self, ScanOptions, Spec};
use crate::{Outcome, output};

/// Arguments of `stockade explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A container, an image, or the id of a vulnerability or advisory: `CVE-2024-3094`, `GHSA-…`, `DSA-…`
    #[arg(value_name = "CONTAINER|IMAGE|ID")]
    id: String,
    /// The target, as `stockade scan` takes it; without one the records of the database are shown
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// Use this advisory database
    #[arg(long, value_name = "PATH")]
    db: Option<PathBuf>,
    /// Explain the image at this level: compat, standard or strict
    #[arg(long, value_name = "LEVEL", conflicts_with = "target")]
    confine: Option<stockade_engine::Level>,
    /// `text` or `json` (containers and images)
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    format: String,
}

/// Affected packages of a record that are listed; the rest is counted.
const MAX_AFFECTED: usize = 12;

/// Looks it up and tells.
pub fn run(args: Args, context: &Context) -> Outcome {
    let json = args.format == "json";
    if args.target.is_none() && args.db.is_none()
        && let Some(found) = container::find(&args.id, args.confine, context)?
    {
        return container::print(&found, json);
    }
    if json {
        let why = format!("--format json is for containers and images, and there is none of the name `{}`", args.id);
        return Err(Failure::usage(why).hint("`stockade ps -a` and `stockade images` list them"));
    }
    let database = scanner::open_database(context, args.db.as_deref())?;
    let records = records(&database, &args.id)?;
    let mut text = String::new();
    if let Some(target) = &args.target {
        let spec = Spec::parse(context, target);
        let options = ScanOptions { matching: MatchOptions { kernel_headers: true }, ..ScanOptions::default() };
        let report = scanner::scan(context, &spec, &database, &options)?;
        in_target(&mut text, &args.id, &report, &records);
    }
    if records.is_empty() {
        let built = database.status()?.built;
        let why = format!("the database of {built} has no record of `{}`", args.id);
        if args.target.is_none() {
            return Err(
                Failure::new(why).hint("`stockade db status` shows what it covers, `stockade db update` renews it")
            );
        }
        let _ = writeln!(text, "{why}.");
    }
    for (source, record) in &records {
        tell(&mut text, source, record);
    }
    output::to_stdout(&output::printable_lines(&text))?;
    Ok(Exit::DONE)
}

/// The records that have this id or are about it, each with the name of its source.
fn records(database: &Database, id: &str) -> Result<Vec<(String, AdvisoryRecord)>, AdvisoryError> {
    let reader = database.reader()?;
    let sources = reader.sources()?;
    let mut indexes = reader.records_named(id)?;
    if indexes.is_empty() {
        // Ids are written in capitals by their publishers, and not always by people.
        indexes = reader.records_named(&id.to_ascii_uppercase())?;
    }
    let described = reader.describe(&indexes)?;
    Ok(described
        .into_iter()
        .map(|(n, record)| (sources.get(n as usize).map_or(String::new(), |s| s.source.name.clone()), record))
        .collect())
}

fn in_target(text: &mut String, id: &str, report: &ScanReport, records: &[(String, AdvisoryRecord)]) {
    let found: Vec<&Finding> = report.findings.iter().filter(|f| f.has_id(id)).collect();
    let _ = writeln!(text, "{} in {}:\n", id, report.target.name);
    for finding in &found {
        explain(text, finding);
    }
    if !found.is_empty() {
        return;
    }
    let near = |p: &PackageEntry| {
        records.iter().any(|(_, r)| r.affected.iter().any(|a| a.name == p.component() || a.name == p.name))
    };
    let installed: Vec<&PackageEntry> = report.packages.iter().filter(|p| near(p)).collect();
    if installed.is_empty() {
        let _ = writeln!(text, "  not found: none of the {} packages is one that it is about\n", report.packages.len());
    }
    for package in installed {
        let version = package.source.as_ref().map_or(&package.version, |s| &s.version);
        let _ = writeln!(
            text,
            "  not found: {} {version} ({}) is not in an affected range of this target's release",
            package.component(),
            package.path
        );
    }
    for unknown in &report.unknown {
        let _ = writeln!(text, "  but: {}", unknown.why);
    }
    text.push('\n');
}

fn explain(text: &mut String, f: &Finding) {
    let _ = writeln!(text, "  {} {} ({})", f.package.name, f.package.version, f.package.purl);
    let mut line = |key: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "    {key:<12}{value}");
        }
    };
    for advisory in &f.advisories {
        line(
            "because",
            &format!("{}: {} says {} for {}", advisory.why, advisory.source, advisory.id, advisory.ecosystem),
        );
    }
    line("file", &f.path);
    line("layer", f.layer.as_deref().unwrap_or_default());
    line("brought by", f.instruction.as_deref().unwrap_or_default());
    let by = if f.severity_source.is_empty() { "nobody rates it" } else { &f.severity_source };
    line("severity", &format!("{} ({by})", f.severity));
    for rating in &f.cvss {
        line("CVSS", &format!("{} {} {}", rating.version, rating.score, rating.vector));
    }
    if let Some(exploited) = &f.exploited {
        let since = exploited.added.as_deref().map_or(String::new(), |d| format!(", listed since {d}"));
        let ransomware = if exploited.ransomware { ", used by ransomware" } else { "" };
        line("exploited", &format!("yes{since}{ransomware}"));
    }
    if let Some(epss) = f.epss {
        line(
            "EPSS",
            &format!(
                "{:.2} % within 30 days, higher than {:.0} % of all",
                epss.probability * 100.0,
                epss.percentile * 100.0
            ),
        );
    }
    if !f.imports.is_empty() {
        line("matters if", &format!("these are in use: {}", f.imports.join("; ")));
        match f.linked {
            Some(true) => line("linked", "yes: the program holds code of at least one of them"),
            Some(false) => line("linked", "no: the linker kept no code of any of them in this program"),
            None => {}
        }
        match f.symbols_linked {
            Some(true) => line("function", "the program holds at least one of the functions named"),
            Some(false) => line("function", "the program holds none of the functions named"),
            None => {}
        }
    }
    match f.in_entry_point {
        Some(true) => line("at start", "yes: the entry point loads a file of the package when it starts"),
        Some(false) => line("at start", "no: the entry point loads no file of the package when it starts; it may later"),
        None => {}
    }
    if let Some(statement) = f.vex.as_ref().or(f.ignored.as_ref()) {
        line("statement", &format!("{}: {} ({})", statement.by, statement.status, statement.reason));
    }
    match f.fixed.first() {
        Some(version) => line("to fix it", &format!("upgrade {} to {version} or later", f.component())),
        None => line(
            "to fix it",
            &format!("no fixed version is known{}", f.note.as_ref().map_or(String::new(), |n| format!(" ({n})"))),
        ),
    }
    text.push('\n');
}

fn tell(text: &mut String, source: &str, record: &AdvisoryRecord) {
    let _ = writeln!(text, "{} ({source})", record.id);
    let names: Vec<&str> = record.aliases.iter().chain(&record.upstream).map(String::as_str).collect();
    if !names.is_empty() {
        let _ = writeln!(text, "  also   {}", names.join(", "));
    }
    for affected in record.affected.iter().take(MAX_AFFECTED) {
        let ranges: Vec<String> = affected.ranges.iter().map(|events| range(events)).collect();
        let _ = writeln!(text, "  about  {} {}: {}", affected.ecosystem, affected.name, ranges.join("; or "));
    }
    if let Some(more) = record.affected.len().checked_sub(MAX_AFFECTED).filter(|m| *m > 0) {
        let _ = writeln!(text, "  … and {more} more");
    }
    for url in &record.references {
        let _ = writeln!(text, "  see    {url}");
    }
    text.push('\n');
}

fn range(events: &[stockade_advisory::Event]) -> String {
    let words = events.iter().map(|e| match e.kind {
        EventKind::Introduced if e.version == "0" => "all versions".to_owned(),
        EventKind::Introduced => format!("from {}", e.version),
        EventKind::Fixed => format!("before {}", e.version),
        EventKind::LastAffected => format!("up to {}", e.version),
        EventKind::Limit => format!("looked at before {}", e.version),
        EventKind::Exact => e.version.clone(),
    });
    words.collect::<Vec<_>>().join(" ")
}
