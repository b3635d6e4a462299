//! `stockade audit`

mod fix;
mod gather;
mod table;

pub use gather::image_facts;

use std::path::{Path, PathBuf};

use stockade_audit::select::{self, Selection, Waiver};
use stockade_audit::{Answer, Report, checks, compose, history, kubernetes, views};

use crate::context::{Context, GlobalArgs};
use crate::failure::{Exit, Failure};
use crate::{Outcome, output};

/// Arguments of `stockade audit`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Targets:\n  host                 the host, its kernel and its daemon's files\n  docker               the docker daemon, its images and running containers\n  podman               podman's files and socket, its images and running containers\n  containerd           containerd's files and configuration\n  stockade             Stockade's own state, images and containers\n  image NAME…          images: of Stockade's store (with their files), else of docker\n  container NAME…      containers: Stockade's, else docker's\n  compose FILE…        Compose files\n  kubernetes FILE…     Kubernetes files (`-` is standard input)\nWithout a target: everything that is present.\n\n--fix without ids makes the changes that can break nothing; others are made when their check is named. It shows all\nchanges first and asks; --undo takes the last fix back byte for byte.\n\nExit codes: 0 nothing failed, 3 something failed, 4 something could not be decided (with --strict)."
)]
pub struct Args {
    /// What to audit, and names or files where the target takes them
    #[arg(value_name = "TARGET")]
    target: Vec<String>,
    /// Daemon's socket [default: $DOCKER_HOST, or the target's usual one]
    #[arg(short = 'H', long, value_name = "unix://PATH")]
    host: Option<String>,
    /// Output of `docker inspect CONTAINER…`: audit it without a daemon
    #[arg(long, value_name = "FILE")]
    container_json: Vec<PathBuf>,
    /// Output of `docker image inspect IMAGE…`: audit it without a daemon
    #[arg(long, value_name = "FILE")]
    image_json: Vec<PathBuf>,
    /// A daemon.json: audit it without a daemon
    #[arg(long, value_name = "FILE")]
    daemon_json: Option<PathBuf>,
    /// A mounted or unpacked host image, instead of this host (`--root DIR` is understood so where DIR has an os-release)
    #[arg(long = "host-root", value_name = "DIR")]
    host_root: Option<PathBuf>,
    /// Only these checks: ids (host-pid), references (CIS-5.4) or whole sections (CIS-5)
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    only: Vec<String>,
    /// Not these checks
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    skip: Vec<String>,
    /// Profile: 1 for everyone, 2 with defence in depth
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=2), default_value_t = 2)]
    level: u8,
    /// Accepted failures: a TOML file of [[waiver]] with id, reason, and optionally subject and until
    #[arg(long, value_name = "FILE")]
    waivers: Option<PathBuf>,
    /// An earlier report (--format json): show only what changed since
    #[arg(long, value_name = "FILE", conflicts_with = "since")]
    baseline: Option<PathBuf>,
    /// Show only what changed since a report kept with --record: `last`, an age (7d, 12h) or a date
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Keep this report in Stockade's state, for a later --since
    #[arg(long)]
    record: bool,
    /// Cure what failed: all that breaks nothing, or the named checks
    #[arg(long, value_name = "ID", num_args = 0.., value_delimiter = ',')]
    fix: Option<Vec<String>>,
    /// Make the changes of --fix without asking
    #[arg(short, long, requires = "fix")]
    yes: bool,
    /// Take a fix back: the last one, or the numbered one
    #[arg(long, value_name = "N", num_args = 0..=1, conflicts_with_all = ["fix", "target"])]
    undo: Option<Option<u64>>,
    /// With --undo: overwrite files that were changed since the fix
    #[arg(long, requires = "undo")]
    force: bool,
    /// Exit with 4 if something could not be decided
    #[arg(long)]
    strict: bool,
    /// Show checks that passed or do not apply, too
    #[arg(short, long)]
    all: bool,
    /// List all checks instead of running them
    #[arg(long)]
    list: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Write the report to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Table,
    /// The whole report, `stockade.audit/v1`
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// JUnit XML
    Junit,
    /// One self-contained page
    Html,
    /// A Markdown table
    Markdown,
}

impl Args {
    /// `audit --root DIR` of a directory with a host's files in it means that host, not a place for our state.
    pub fn adopt_root(&mut self, global: &mut GlobalArgs) {
        let is_host = |dir: &PathBuf| ["etc/os-release", "usr/lib/os-release"].iter().any(|f| dir.join(f).exists());
        if self.host_root.is_none() && global.root.as_ref().is_some_and(is_host) {
            self.host_root = global.root.take();
        }
    }
}

/// Gathers facts, runs the checks, prints the report; or fixes, or undoes.
pub fn run(args: Args, context: &Context) -> Outcome {
    if args.list {
        return list(args.format);
    }
    if let Some(number) = args.undo {
        return fix::undo(number, args.force, context);
    }
    let every: Vec<_> = checks::all().chain(compose::all()).chain(kubernetes::all()).collect();
    let known = |names: &[String]| {
        let selection = Selection { only: names.to_vec(), ..Selection::default() };
        selection
            .verify(every.iter().copied())
            .map_err(|e| Failure::from(e).with_exit(Exit::USAGE).hint("`stockade audit --list` shows all checks"))
    };
    known(&args.only)?;
    known(&args.skip)?;
    known(args.fix.as_deref().unwrap_or_default())?;
    let selection = Selection { only: args.only.clone(), skip: args.skip.clone(), level: Some(args.level) };
    let mut gathered = gather::gather(&args, context)?;
    selection.apply(&mut gathered.report);
    if let Some(path) = &args.waivers {
        let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
        for complaint in select::waive(&mut gathered.report, &waivers(path)?, &today) {
            output::warn(&complaint);
        }
    }
    if let Some(chosen) = &args.fix {
        return fix::fix(chosen, args.yes, &args, gathered, context);
    }
    let gather::Gathered { mut report, docker, engines, .. } = gathered;
    compare(&mut report, &args, context)?;
    print(&report, &args)?;
    if args.target.first().is_some_and(|t| t == "container") && args.format == Format::Table && args.output.is_none() {
        let all: Vec<_> = docker.iter().chain(&engines).collect();
        output::to_stdout(&fix::lines(&stockade_audit::fix::commands(&report, &all)))?;
    }
    Ok(exit(&report, args.strict))
}

/// Keeps the report, and leaves what changed since another one.
fn compare(report: &mut Report, args: &Args, context: &Context) -> Result<(), Failure> {
    let kept = state(context).join("history");
    let now = jiff::Timestamp::now().as_second();
    let earlier = match (&args.baseline, &args.since) {
        (Some(path), _) => Some(gather::read_json(path)?),
        (None, Some(when)) => Some(history::since(&kept, when, now).map_err(|e| {
            let usage = matches!(e, history::HistoryError::When { .. });
            Failure::from(e).with_exit(if usage { Exit::USAGE } else { Exit::FAILED })
        })?),
        (None, None) => None,
    };
    if args.record {
        let path = history::record(&kept, report, now)?;
        output::to_stderr(&format!("report kept: {}\n", path.display()));
    }
    if let Some(earlier) = earlier {
        select::since_baseline(report, &earlier);
    }
    Ok(())
}

/// Where audits keep reports and journals.
fn state(context: &Context) -> PathBuf {
    context.settings.dirs.root.join("audit")
}

fn exit(report: &Report, strict: bool) -> Exit {
    match (report.count(Answer::Fail), report.count(Answer::Unknown)) {
        (0, 0) => Exit::DONE,
        (0, _) if strict => Exit::UNDECIDED,
        (0, _) => Exit::DONE,
        _ => Exit::POLICY,
    }
}

fn print(report: &Report, args: &Args) -> Result<(), Failure> {
    let pretty = |value: &serde_json::Value| serde_json::to_string_pretty(value).map(|t| t + "\n");
    let text = match args.format {
        Format::Table => table::table(report, args.all),
        Format::Json => serde_json::to_string_pretty(report)? + "\n",
        Format::Sarif => pretty(&views::sarif(report, env!("CARGO_PKG_VERSION"), args.all))?,
        Format::Junit => views::junit(report),
        Format::Html => {
            let what = if args.target.is_empty() { "everything".to_owned() } else { args.target.join(" ") };
            let when = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
            views::html(report, &format!("Audit of {what}, {when}"))
        }
        Format::Markdown => views::markdown(report, args.all),
    };
    match &args.output {
        None => output::to_stdout(&text),
        Some(path) => {
            std::fs::write(path, text).map_err(|e| Failure::new(format!("cannot write `{}`: {e}", path.display())))
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WaiverFile {
    waiver: Vec<Waiver>,
}

fn waivers(path: &Path) -> Result<Vec<Waiver>, Failure> {
    let text = String::from_utf8_lossy(&gather::read_file(path)?).into_owned();
    let file: WaiverFile = toml::from_str(&text)
        .map_err(|e| Failure::usage(format!("cannot read waivers `{}`: {}", path.display(), e.message())))?;
    Ok(file.waiver)
}

fn list(format: Format) -> Outcome {
    let every: Vec<_> = checks::all().chain(compose::all()).chain(kubernetes::all()).collect();
    match format {
        Format::Json => {
            output::json(&serde_json::json!({ "schema": "stockade.audit-checks/v1", "checks": every }))?;
        }
        Format::Markdown => output::to_stdout(&stockade_audit::docs::markdown())?,
        _ => {
            let mut table = output::Table::new(["ID", "REFERENCES", "LEVEL", "FIX", "TITLE"]).shrink(4);
            for meta in every {
                let fixable = if stockade_audit::fix::is_known(meta.id) { "yes" } else { "" };
                table.row([
                    meta.id.to_owned(),
                    meta.refs.join(", "),
                    meta.level.to_string(),
                    fixable.to_owned(),
                    meta.title.to_owned(),
                ]);
            }
            table.print()?;
        }
    }
    Ok(Exit::DONE)
}
