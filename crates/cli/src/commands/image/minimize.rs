//! `stockade image minimize`

use std::time::Duration;

use serde::Serialize;
use stockade_advisory::Status;
use stockade_engine::{Level, NetMode, StepStream};
use stockade_image::{Image, Reference, Store};
use stockade_minimize::{Minimized, Request, minimize};

use super::super::images::find;
use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Table};
use crate::scanner::{self, ScanOptions};
use crate::{human, words};

/// Arguments of `stockade image minimize`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    trace: TraceArgs,
    /// Name of the result [default: the image's with `-minimal`]
    #[arg(short, long, value_name = "NAME")]
    tag: Vec<String>,
    /// `table` or `json`
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// What to minimize
    image: String,
}

/// How to find out what is needed.
#[derive(Debug, Clone, clap::Args)]
pub struct TraceArgs {
    /// A command to trace instead of the image's own, with its arguments in one word; may be repeated
    #[arg(long, value_name = "CMD")]
    run: Vec<String>,
    /// Seconds after which a run is stopped, which is how the trace of a server ends
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 10)]
    limit: u64,
    /// Keep this path whatever the trace says; `*` is any part of a name, `**` any part of a path
    #[arg(long, value_name = "PATH")]
    keep: Vec<String>,
    /// Network of the runs: none, default or host
    #[arg(long = "trace-network", value_name = "MODE", default_value = "none")]
    network: String,
}

impl TraceArgs {
    /// As given to `build`, everything else at its default.
    pub fn of(run: Vec<String>, keep: Vec<String>) -> TraceArgs {
        TraceArgs { run, limit: 10, keep, network: "none".to_owned() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// What became of the image.
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    image: String,
    id: String,
    runs: Vec<String>,
    before: Side,
    after: Side,
    removed_packages: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Side {
    bytes: u64,
    files: usize,
    packages: usize,
    findings: usize,
}

/// Makes the minimal image and tells what it saved.
pub fn run(args: &Args, context: &Context) -> Outcome {
    let store = Store::open(&context.settings.dirs.root)?;
    let image = find(&store, &args.image)?;
    let names = match args.tag.is_empty() {
        false => args.tag.iter().map(|t| Reference::parse(t)).collect::<Result<Vec<_>, _>>()?,
        true => vec![default_name(&image)?],
    };
    // What the runs say is not this command's answer.
    let mut out = |_: StepStream, bytes: &[u8]| output::to_stderr(&output::printable_lines(&String::from_utf8_lossy(bytes)));
    let (minimal, report) = make(context, &store, &image, &args.trace, names, &mut out)?;
    match args.format {
        Format::Json => output::json(&report)?,
        Format::Table => show(&report, &minimal)?,
    }
    Ok(Exit::DONE)
}

fn default_name(image: &Image) -> Result<Reference, Failure> {
    let name = image.names.first().ok_or_else(|| Failure::usage("the image has no name; give the result one with -t"))?;
    let mut name = Reference::parse(name)?.or_latest();
    name.tag = name.tag.map(|tag| format!("{tag}-minimal"));
    Ok(name)
}

/// Minimizes an image under new names.
fn make(
    context: &Context,
    store: &Store,
    image: &Image,
    trace: &TraceArgs,
    names: Vec<Reference>,
    out: &mut dyn FnMut(StepStream, &[u8]),
) -> Result<(Minimized, Report), Failure> {
    context.need_root("tracing a run")?;
    let runs = trace.run.iter().map(|line| words::split(line).map_err(Failure::usage)).collect::<Result<Vec<_>, _>>()?;
    let request = Request {
        runs,
        limit: Duration::from_secs(trace.limit.clamp(1, 24 * 3600)),
        keep: trace.keep.clone(),
        network: trace.network.parse::<NetMode>().map_err(Failure::usage)?,
        level: Level::Standard,
        names,
    };
    let engine = engine(context)?;
    let minimal = minimize(store, &engine, image, &request, out)?;
    let side = |image: &Image, files| -> Result<Side, Failure> {
        let database = scanner::open_database(context, None)?;
        let id = image.id.to_string();
        let report = scanner::scan_image(context, store, image, &id, &database, &ScanOptions::default())?;
        let findings = report.findings.iter().filter(|f| f.status == Status::Affected).count();
        Ok(Side { bytes: image.size, files, packages: report.packages.len(), findings })
    };
    let report = Report {
        schema: "stockade.minimize/v1",
        image: minimal.image.names.first().cloned().unwrap_or_else(|| minimal.image.id.short()),
        id: minimal.image.id.to_string(),
        runs: minimal.endings.iter().map(ToString::to_string).collect(),
        before: side(image, minimal.files_before)?,
        after: side(&minimal.image, minimal.files_after)?,
        removed_packages: minimal.removed_packages.clone(),
    };
    Ok((minimal, report))
}

fn show(report: &Report, minimal: &Minimized) -> Result<(), Failure> {
    let mut table = Table::new(["", "SIZE", "FILES", "PACKAGES", "FINDINGS"]);
    for (name, side) in [("before", &report.before), ("after", &report.after)] {
        table.row([
            name.to_owned(),
            human::size(side.bytes),
            side.files.to_string(),
            side.packages.to_string(),
            side.findings.to_string(),
        ]);
    }
    let runs = report.runs.join(", ");
    output::to_stdout(&format!(
        "{}made {} {}; the traced run {runs}, and so it did on the minimal files\n",
        table.render(output::terminal_width()),
        minimal.image.id.short(),
        report.image
    ))
}

/// For `build --minimize`: the minimal image, under the names of the one that was built, and what is to be said.
pub fn of_build(
    context: &Context,
    store: &Store,
    image: &Image,
    trace: &TraceArgs,
    out: &mut dyn FnMut(StepStream, &[u8]),
) -> Result<(Image, String), Failure> {
    let names = image.names.iter().map(|n| Reference::parse(n)).collect::<Result<Vec<_>, _>>()?;
    let (minimal, report) = make(context, store, image, trace, names, out)?;
    let words = format!(
        "minimized: {} -> {}, {} -> {} files, {} -> {} packages, {} -> {} findings\n",
        human::size(report.before.bytes),
        human::size(report.after.bytes),
        report.before.files,
        report.after.files,
        report.before.packages,
        report.after.packages,
        report.before.findings,
        report.after.findings,
    );
    Ok((minimal.image, words))
}
