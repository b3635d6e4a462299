//! `stockade scan`: what is wrong with what is inside.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use stockade_advisory::ignore::{self, IgnoreList};
use stockade_advisory::matching::MatchOptions;
use stockade_advisory::report::views::{self, TableOptions};
use stockade_advisory::report::{Finding, ScanReport};
use stockade_advisory::vex::Vex;
use stockade_advisory::{Severity, Status};
use stockade_config::GateSettings;
use stockade_image::Store;
use stockade_inventory::Options;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::go_template::Template;
use crate::scanner::{self, RemoteArgs, ScanOptions, Spec};
use crate::{Outcome, output};

mod base;

/// What stands for `--config` without a value: a directory is no configuration file.
const BARE: &str = ".";

/// Arguments of `stockade scan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Targets without a prefix: an image of the store, else a path, told by its content.\n\
    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 findings over --fail-on, 4 something is not known (--strict), or N of --exit-code.")]
pub struct Args {
    /// An image or a path, also with a prefix: `image:NAME`, `registry:NAME` (not pulled), `docker:NAME` (of a Docker
    /// daemon), `container:NAME`, `docker-archive:FILE` (or `-`: stdin), `oci:DIR|TAR`, `dir:ROOT` (a root directory),
    /// `fs:DIR` (a source tree), `sbom:FILE` (CycloneDX, SPDX), `file:FILE` (a jar, a binary, a lock file)
    #[arg(value_name = "TARGET", required_unless_present_any = ["rootfs", "all"])]
    target: Option<String>,
    /// Scan all images of the store and show one line for each; after an update of the database nothing is read again
    #[arg(long, conflicts_with_all = ["target", "rootfs", "diff", "output"])]
    all: bool,
    /// Show only what this other target does not have too: an older image, or the base image
    #[arg(long, value_name = "TARGET")]
    diff: Option<String>,
    /// Scan this root directory
    #[arg(long, value_name = "ROOT", conflicts_with = "target")]
    rootfs: Option<PathBuf>,
    /// How to print the report
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write the report to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show only these: one severity and everything worse, or a list such as `high,critical`
    #[arg(short, long, value_name = "SEVERITY", value_parser = Severities::parse)]
    severity: Option<Severities>,
    /// Show only findings that a newer version fixes
    #[arg(long)]
    ignore_unfixed: bool,
    /// Exit with this code when there are findings (after the filters)
    #[arg(long, value_name = "N", default_value_t = 0)]
    exit_code: u8,
    /// Exit with 3 when a finding or weak setting is at least this severe, for `exploited` ones, or for `secrets`
    #[arg(long, value_name = "SEVERITY|exploited|secrets", value_parser = FailOn::parse)]
    fail_on: Vec<FailOn>,
    /// Exit with 4 when anything is not known
    #[arg(long)]
    strict: bool,
    /// Findings to ignore, instead of `.stockadeignore` in the working directory
    #[arg(long, value_name = "FILE")]
    ignore_file: Option<PathBuf>,
    /// VEX document (OpenVEX, CycloneDX, CSAF) with statements about findings; may be given several times
    #[arg(long, value_name = "FILE")]
    vex: Vec<PathBuf>,
    /// Use this advisory database: a file of `db build`, or advisories as `db build --from` reads them
    #[arg(long, value_name = "PATH")]
    db: Option<PathBuf>,
    /// Also match packages that hold only the kernel's headers
    #[arg(long)]
    kernel_headers: bool,
    /// Also look for credentials: in files (those deleted in an upper layer too), environment and history
    #[arg(long)]
    secrets: bool,
    /// Also look for weak settings: of the image's configuration, modes of files, shared host keys, empty passwords
    #[arg(long)]
    checks: bool,
    /// Without a value the same as `--checks`; with one, as everywhere, the configuration file
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = BARE)]
    config: Option<PathBuf>,
    /// Judge by the rules of this file (the keys of `[gate]`), or by `[gate]` of stockade.toml with the word `config`: exit
    /// code 3 for what is over it, 4 when it cannot be decided
    #[arg(long, value_name = "FILE|config")]
    gate: Option<PathBuf>,
    /// Print the report through this Go template, or the one in `@FILE`; the fields are those of `--format json`
    #[arg(long, value_name = "TEMPLATE", conflicts_with_all = ["format", "json"])]
    template: Option<String>,
    /// The Dockerfile that made the image: findings name its lines
    #[arg(long, value_name = "DOCKERFILE")]
    file: Option<PathBuf>,
    /// Leave out what comes from the base image: the one of `--file`, else the image of the store with most layers below
    #[arg(long)]
    exclude_base: bool,
    /// Print which packages need those with findings, instead of the report
    #[arg(long, conflicts_with_all = ["format", "json", "template"])]
    dependency_tree: bool,
    /// Read everything again and keep nothing
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Formats of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Table,
    /// The whole report, `stockade.scan/v1`
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// CycloneDX 1.6 with vulnerabilities and their analysis (VEX)
    Cyclonedx,
    /// SPDX 2.3, with vulnerabilities as references
    Spdx,
    /// GitLab's container scanning report
    Gitlab,
    /// JUnit XML
    Junit,
    /// OpenVEX: a statement for each finding
    Openvex,
    /// CSAF 2.0, profile VEX
    CsafVex,
    /// Markdown
    Markdown,
    /// One self-contained page
    Html,
}

/// Which severities are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Severities(Vec<Severity>);

impl Severities {
    fn parse(text: &str) -> Result<Severities, String> {
        let named: Vec<Severity> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        Ok(Severities(match named.as_slice() {
            [least] => Severity::ALL.into_iter().filter(|s| s >= least).collect(),
            _ => named,
        }))
    }
}

/// What makes a scan fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailOn {
    Least(Severity),
    Exploited,
    Secrets,
}

impl FailOn {
    fn parse(text: &str) -> Result<FailOn, String> {
        if text == "exploited" || text == "kev" {
            return Ok(FailOn::Exploited);
        }
        if text == "secrets" {
            return Ok(FailOn::Secrets);
        }
        text.parse().map(FailOn::Least)
    }

    fn holds(self, finding: &Finding) -> bool {
        finding.counts()
            && match self {
                FailOn::Least(least) => finding.severity >= least,
                FailOn::Exploited => finding.known_exploited(),
                FailOn::Secrets => false,
            }
    }

    /// How much of a report makes it fail.
    fn count(self, report: &ScanReport) -> usize {
        report.findings.iter().filter(|f| self.holds(f)).count()
            + match self {
                FailOn::Secrets => report.secrets.len(),
                FailOn::Least(least) => report.weaknesses.iter().filter(|w| w.severity >= least).count(),
                FailOn::Exploited => 0,
            }
    }
}

impl Args {
    /// Whether `--config` asks for weak settings: the name that the option has elsewhere.
    pub fn config_means_checks(&self) -> bool {
        self.config.as_deref() == Some(Path::new(BARE))
    }

    fn options(&self) -> ScanOptions {
        ScanOptions {
            matching: MatchOptions { kernel_headers: self.kernel_headers },
            inventory: Options { secrets: self.secrets, checks: self.checks || self.config_means_checks(), ..Options::default() },
            no_cache: self.no_cache,
        }
    }

    /// The rules to judge by, if there are any.
    fn gate(&self, context: &Context) -> Result<Option<GateSettings>, Failure> {
        match &self.gate {
            None => Ok(None),
            Some(word) if word == Path::new("config") => Ok(Some(context.settings.gate.clone())),
            Some(file) => Ok(Some(GateSettings::from_file(file)?)),
        }
    }
}

/// Scans and prints.
pub fn run(args: Args, context: &Context) -> Outcome {
    if args.all {
        return scan_all(&args, context);
    }
    let spec = match (&args.rootfs, &args.target) {
        (Some(root), _) => Spec::Root(root.clone()),
        (None, Some(target)) => Spec::parse(context, target).reached(&args.remote)?,
        (None, None) => return Err(Failure::usage("name an image or a path to scan")),
    };
    let other = args.diff.as_deref().map(|other| Spec::parse(context, other).reached(&args.remote)).transpose()?;
    args.remote.check(&[Some(&spec), other.as_ref()].into_iter().flatten().collect::<Vec<_>>())?;
    let gate = args.gate(context)?;
    let database = scanner::open_database(context, args.db.as_deref())?;
    let options = args.options();
    let mut report = scanner::scan(context, &spec, &database, &options)?;
    let today = scanner::today();
    report.say_age(today);
    for path in &args.vex {
        apply_vex(path, &mut report)?;
    }
    for remark in ignore_findings(args.ignore_file.as_deref(), &mut report)? {
        output::warn(&remark);
    }
    if let Some(other) = &other {
        let other = scanner::scan(context, other, &database, &options)?;
        subtract(&mut report, &other);
    }
    if matches!(spec, Spec::Image(_)) && !report.findings.is_empty() {
        base::find(context, &mut report)?;
    }
    if args.exclude_base || args.file.is_some() {
        base::apply(context, &mut report, args.file.as_deref(), args.exclude_base)?;
    }
    let failing = args.fail_on.iter().map(|rule| rule.count(&report)).max().unwrap_or(0);
    let judged = gate.map(|gate| (gate, report.clone()));
    filter(&mut report, &args);
    print(&report, &args)?;
    say_summary(&report);
    // The gate sees what the filters hide.
    let verdict = judged.map_or(Exit::DONE, |(gate, whole)| crate::gate::judge_by(&gate, &whole, today));
    Ok(if verdict == Exit::DONE { exit(&report, failing, &args) } else { verdict })
}

/// Leaves the findings that the other report does not have. A vulnerability of a component is the same one in another
/// version of it.
fn subtract(report: &mut ScanReport, other: &ScanReport) {
    let key = |f: &Finding| (f.id.clone(), f.package.kind, f.component().to_owned());
    let of = |r: &ScanReport| r.open_findings().map(key).collect::<BTreeSet<_>>();
    let (ours, theirs) = (of(report), of(other));
    report.findings.retain(|f| !theirs.contains(&key(f)));
    report.notes.push(format!(
        "against {}: {} new, {} in both, {} gone",
        other.target.name,
        ours.difference(&theirs).count(),
        ours.intersection(&theirs).count(),
        theirs.difference(&ours).count()
    ));
}

/// One line for each image of the store, or all reports as JSON.
fn scan_all(args: &Args, context: &Context) -> Outcome {
    let store = Store::open(&context.settings.dirs.root)?;
    let database = scanner::open_database(context, args.db.as_deref())?;
    let options = args.options();
    let mut reports = Vec::new();
    for image in store.list()? {
        let name = image.names.first().cloned().unwrap_or_else(|| image.id.to_string());
        let mut report = scanner::scan_image(context, &store, &image, &name, &database, &options)?;
        report.say_age(scanner::today());
        filter(&mut report, args);
        reports.push(report);
    }
    if args.json || args.format == Format::Json {
        output::json(&serde_json::json!({"schema": "stockade.scan-all/v1", "reports": reports}))?;
    } else {
        let mut table = output::Table::new([
            "IMAGE",
            "PACKAGES",
            "CRITICAL",
            "HIGH",
            "MEDIUM",
            "LOW",
            "UNRATED",
            "EXPLOITED",
            "FIXABLE",
            "NEW",
            "NOT KNOWN",
        ]);
        for report in &reports {
            table.row(numbers(report));
        }
        table.print()?;
        for line in reports.iter().filter_map(news_line) {
            output::to_stdout(&line)?;
        }
    }
    let failing =
        reports.iter().flat_map(|r| args.fail_on.iter().map(|rule| rule.count(r))).max().unwrap_or(0);
    let worst = reports.iter().map(|r| exit(r, failing, args)).find(|e| *e != Exit::DONE);
    Ok(worst.unwrap_or(Exit::DONE))
}

/// What newer facts brought for an image, by name; `None` for nothing.
pub fn news_line(report: &ScanReport) -> Option<String> {
    const NAMED: usize = 10;
    let news = report.news.as_ref().filter(|n| !n.added.is_empty())?;
    let mut items: Vec<String> =
        news.added.iter().take(NAMED).map(|n| format!("{} ({})", n.id, n.component)).collect();
    if news.added.len() > NAMED {
        items.push(format!("{} more", news.added.len() - NAMED));
    }
    let line = format!("{}: new since the facts of {}: {}", report.target.name, news.since, items.join(", "));
    Some(format!("{}\n", output::printable(&line)))
}

fn numbers(report: &ScanReport) -> Vec<String> {
    let count = |wanted: &dyn Fn(&Finding) -> bool| distinct(report, wanted).to_string();
    let mut row = vec![report.target.name.clone(), report.packages.len().to_string()];
    for severity in [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Unknown] {
        row.push(count(&|f| f.severity == severity));
    }
    let new = report.news.as_ref().map_or_else(|| "-".to_owned(), |n| n.added.len().to_string());
    row.extend([count(&|f| f.known_exploited()), count(&Finding::is_fixable), new, report.unknown.len().to_string()]);
    row
}

/// How many vulnerabilities count: as in the table, once for all packages built from one source.
fn distinct(report: &ScanReport, wanted: &dyn Fn(&Finding) -> bool) -> usize {
    let found = report.open_findings().filter(|f| wanted(f));
    found.map(|f| (f.id.as_str(), f.component(), f.package.version.as_str())).collect::<BTreeSet<_>>().len()
}

fn apply_vex(path: &Path, report: &mut ScanReport) -> Result<(), Failure> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| Failure::usage(format!("cannot read `{shown}`: {e}")))?;
    let vex = Vex::parse(&shown, &bytes).map_err(|e| Failure::usage(e.to_string()))?;
    if vex.apply(report) == 0 {
        output::warn(&format!("`{shown}` has no statement about a finding of this target"));
    }
    Ok(())
}

fn ignore_findings(given: Option<&Path>, report: &mut ScanReport) -> Result<Vec<String>, Failure> {
    let path = given.unwrap_or(Path::new(ignore::FILE_NAME));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && given.is_none() => return Ok(Vec::new()),
        Err(e) => return Err(Failure::usage(format!("cannot read `{}`: {e}", path.display()))),
    };
    let list = IgnoreList::parse(&path.display().to_string(), &text).map_err(|e| Failure::usage(e.to_string()))?;
    Ok(list.apply(report, scanner::today()))
}

fn filter(report: &mut ScanReport, args: &Args) {
    let all = report.findings.len();
    report.findings.retain(|f| {
        args.severity.as_ref().is_none_or(|s| s.0.contains(&f.severity)) && (!args.ignore_unfixed || f.is_fixable())
    });
    let hidden = all - report.findings.len();
    if hidden > 0 {
        let noun = if hidden == 1 { "finding is" } else { "findings are" };
        report.notes.push(format!("{hidden} more {noun} hidden by --severity or --ignore-unfixed"));
    }
}

fn print(report: &ScanReport, args: &Args) -> Result<(), Failure> {
    let to_terminal = args.output.is_none();
    let now = jiff::Timestamp::now();
    let pretty = |value: &serde_json::Value| serde_json::to_string_pretty(value).map(|text| text + "\n");
    if let Some(template) = &args.template {
        return deliver(args, &rendered(template, report)?);
    }
    if args.dependency_tree {
        return deliver(args, &views::dependency_tree(report));
    }
    if args.json || args.format == Format::Json {
        // Written as it is made: the text of many findings is larger than they are.
        return scanner::write_with(args.output.as_deref(), |out| {
            serde_json::to_writer_pretty(&mut *out, report)?;
            std::io::Write::write_all(out, b"\n")
        });
    }
    let stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let text = match args.format {
        Format::Json => String::new(),
        Format::Table => {
            let color = to_terminal && output::Style::stdout().is_on();
            let width = if to_terminal { output::terminal_width() } else { None };
            views::table(report, &TableOptions { color, width, today: Some(scanner::today()) })
        }
        Format::Sarif => pretty(&views::sarif(report))?,
        Format::Cyclonedx => {
            pretty(&views::cyclonedx(report, &stamp, &scanner::random_uuid()))?
        }
        Format::Spdx => pretty(&views::spdx(report, &stamp, &scanner::random_uuid()))?,
        Format::Gitlab => {
            let time = now.strftime("%Y-%m-%dT%H:%M:%S").to_string();
            pretty(&views::gitlab(report, &time, &time))?
        }
        Format::Openvex => {
            pretty(&views::openvex(report, &stamp, &format!("urn:uuid:{}", scanner::random_uuid())))?
        }
        Format::CsafVex => pretty(&views::csaf(report, &stamp, &format!("stockade-{}", scanner::random_uuid())))?,
        Format::Junit => views::junit(report),
        Format::Markdown => views::markdown(report),
        Format::Html => views::html(report),
    };
    deliver(args, &text)
}

fn deliver(args: &Args, text: &str) -> Result<(), Failure> {
    match &args.output {
        None => output::to_stdout(text),
        Some(path) => scanner::write_output(path, text.as_bytes()),
    }
}

/// The report through a Go template, as docker's `--format` knows it.
fn rendered(template: &str, report: &ScanReport) -> Result<String, Failure> {
    let text = match template.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|e| Failure::usage(format!("cannot read the template `{file}`: {e}")))?,
        None => template.to_owned(),
    };
    let mut out = Template::parse(&text)?.render(&serde_json::to_value(report)?)?;
    if !out.ends_with('\n') {
        out.push('\n');
    }
    Ok(out)
}

/// One line on stderr: what was scanned, what was found, and whether the answer is whole.
fn say_summary(report: &ScanReport) {
    let open = distinct(report, &|_| true);
    let marked = [
        (distinct(report, &|f| f.severity == Severity::Critical), "critical"),
        (distinct(report, &|f| f.known_exploited()), "known to be exploited"),
    ];
    let marked: Vec<String> = marked.iter().filter(|(n, _)| *n > 0).map(|(n, words)| format!("{n} {words}")).collect();
    let marked = if marked.is_empty() { String::new() } else { format!(" ({})", marked.join(", ")) };
    let more = [(report.secrets.len(), "credential"), (report.weaknesses.len(), "weak setting")];
    let more: String = more
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, noun)| format!(", {n} {noun}{}", if *n == 1 { "" } else { "s" }))
        .collect();
    let incomplete = match report.unknown.len() {
        0 => String::new(),
        1 => ", 1 thing is not known: the result is incomplete".to_owned(),
        n => format!(", {n} things are not known: the result is incomplete"),
    };
    let packages = report.packages.len();
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    output::to_stderr(&format!(
        "scanned {packages} package{}, {open} finding{}{marked}{more}{incomplete}\n",
        plural(packages),
        plural(open)
    ));
}

fn exit(report: &ScanReport, failing: usize, args: &Args) -> Exit {
    let found = report.open_findings().any(|f| f.status == Status::Affected) || !report.secrets.is_empty();
    if failing > 0 {
        Exit::POLICY
    } else if args.exit_code != 0 && found {
        Exit(args.exit_code)
    } else if args.strict && !report.unknown.is_empty() {
        Exit::UNDECIDED
    } else {
        Exit::DONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_severity_means_it_and_worse_and_a_list_exactly_these() {
        assert_eq!(Severities::parse("high").unwrap().0, [Severity::Critical, Severity::High]);
        assert_eq!(Severities::parse("HIGH,unknown").unwrap().0, [Severity::High, Severity::Unknown]);
        assert!(Severities::parse("bad").is_err());
    }

    fn args(line: &[&str]) -> Args {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        clap::Parser::try_parse_from([&["scan"], line].concat()).map(|l: Line| l.args).unwrap()
    }

    fn report(severity: &str, status: &str, unknown: bool) -> ScanReport {
        let finding = serde_json::json!({"id": "CVE-2026-1", "aliases": [], "package": {"name": "x", "version": "1", "purl": "", "type": "deb"},
            "path": "", "layer": null, "instruction": null, "status": status, "severity": severity, "cvss": [], "fixed": [], "known_exploited": false,
            "epss": null, "vex": null});
        let mut unknowns = Vec::new();
        if unknown {
            unknowns.push(serde_json::json!({"what": "os", "path": "", "why": "w"}));
        }
        serde_json::from_value(serde_json::json!({"schema": "stockade.scan/v1", "target": {"name": "t", "kind": "image", "digest": null, "os": null},
            "scanner": {"name": "stockade", "version": "0"}, "database": {"built": "", "digest": "", "sources": []}, "packages": [],
            "findings": [finding], "unknown": unknowns}))
        .unwrap()
    }

    fn code(line: &[&str], report: &ScanReport) -> u8 {
        let args = args(line);
        let failing = args.fail_on.iter().map(|rule| rule.count(report)).max().unwrap_or(0);
        let mut report = report.clone();
        filter(&mut report, &args);
        exit(&report, failing, &args).0
    }

    #[test]
    fn exit_codes() {
        let high = report("high", "affected", true);
        assert_eq!(code(&["t"], &high), 0);
        assert_eq!(code(&["t", "--exit-code", "7"], &high), 7);
        assert_eq!(code(&["t", "--exit-code", "7", "--severity", "critical"], &high), 0);
        assert_eq!(code(&["t", "--exit-code", "7", "--ignore-unfixed"], &high), 0);
        assert_eq!(code(&["t", "--fail-on", "high", "--severity", "critical"], &high), 3);
        assert_eq!(code(&["t", "--fail-on", "critical", "--fail-on", "exploited"], &high), 0);
        assert_eq!(code(&["t", "--strict"], &high), 4);
        assert_eq!(code(&["t", "--strict"], &report("high", "affected", false)), 0);
        assert_eq!(code(&["t", "--exit-code", "7"], &report("high", "not_affected", false)), 0);
    }

    #[test]
    fn config_alone_looks_for_weak_settings() {
        assert!(args(&["--config", "t"]).options().inventory.checks);
        assert!(!args(&["--config=/etc/stockade.toml", "t"]).options().inventory.checks);
    }

    #[test]
    fn a_difference_leaves_what_is_new() {
        let mut new = report("high", "affected", false);
        let old = report("high", "affected", false);
        let mut added = new.findings[0].clone();
        std::sync::Arc::make_mut(&mut added.facts).id = "CVE-2026-2".into();
        new.findings.push(added);
        subtract(&mut new, &old);
        assert_eq!(new.findings.len(), 1);
        assert_eq!(new.notes, ["against t: 1 new, 1 in both, 0 gone"]);
    }
}
