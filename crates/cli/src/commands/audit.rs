//! `stockade audit`

use std::path::{Path, PathBuf};

use serde_json::Value;
use stockade_audit::docker::api::Api;
use stockade_audit::docker::facts::DockerFacts;
use stockade_audit::host::Host;
use stockade_audit::select::{self, Selection, Waiver};
use stockade_audit::{Answer, CheckResult, Report, Subjects, checks, compose, kubernetes};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::{Outcome, output};

/// Arguments of `stockade audit`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Targets:\n  host                 the host and its daemon's files\n  docker | podman      a daemon, its images and running containers\n  image NAME…          images of the docker daemon\n  container NAME…      containers of the docker daemon\n  compose FILE…        Compose files\n  kubernetes FILE…     Kubernetes files (`-` is standard input)\nWithout a target: host and docker, as far as they are present.\n\nExit codes: 0 nothing failed, 3 something failed, 4 something could not be decided (with --strict)."
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
    /// A mounted or unpacked host image, instead of this host
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
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
    Markdown,
}

/// Gathers facts, runs the checks, prints the report.
pub fn run(args: Args, _context: &Context) -> Outcome {
    if args.list {
        return list(args.format);
    }
    let selection = Selection { only: args.only.clone(), skip: args.skip.clone(), level: Some(args.level) };
    let every: Vec<_> = checks::all().chain(compose::all()).chain(kubernetes::all()).collect();
    selection
        .verify(every.into_iter())
        .map_err(|e| Failure::from(e).with_exit(Exit::USAGE).hint("`stockade audit --list` shows all checks"))?;
    let mut report = gather(&args)?;
    selection.apply(&mut report);
    if let Some(path) = &args.waivers {
        let today = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
        for complaint in select::waive(&mut report, &waivers(path)?, &today) {
            output::warn(&complaint);
        }
    }
    if let Some(path) = &args.baseline {
        select::since_baseline(&mut report, &read_json(path)?);
    }
    match args.format {
        Format::Json => output::json(&report)?,
        Format::Table => output::to_stdout(&table(&report, args.all))?,
        Format::Markdown => output::to_stdout(&markdown(&report, args.all))?,
    }
    Ok(match (report.count(Answer::Fail), report.count(Answer::Unknown)) {
        (0, 0) => Exit::DONE,
        (0, _) if args.strict => Exit::UNDECIDED,
        (0, _) => Exit::DONE,
        _ => Exit::POLICY,
    })
}

fn gather(args: &Args) -> Result<Report, Failure> {
    let offline = !args.container_json.is_empty() || !args.image_json.is_empty() || args.daemon_json.is_some();
    let mut words = args.target.iter().map(String::as_str);
    let target = words.next();
    let names: Vec<&str> = words.collect();
    if offline {
        if target.is_some() {
            return Err(Failure::usage(
                "--container-json, --image-json and --daemon-json take no target: they are audited alone",
            ));
        }
        return offline_report(args);
    }
    let need_names = |what: &str| {
        if names.is_empty() {
            Err(Failure::usage(format!("`audit {what}` needs at least one name or file")))
        } else {
            Ok(())
        }
    };
    let no_names = |what: &str| match names.first() {
        Some(extra) => Err(Failure::usage(format!("`audit {what}` takes no names, but got `{extra}`"))),
        None => Ok(()),
    };
    match target {
        Some(what @ ("compose" | "kubernetes" | "k8s")) => {
            need_names(what)?;
            files_report(what, &names)
        }
        Some(what @ ("image" | "container")) => {
            need_names(what)?;
            named_report(args, what, &names)
        }
        Some(what @ ("docker" | "podman")) => {
            no_names(what)?;
            let host = open_host(args)?;
            let facts = DockerFacts::gather(&socket(args, what)?, &host).map_err(|e| {
                Failure::from(e).hint(format!("is the {what} service running? -H unix://PATH names another socket"))
            })?;
            Ok(checks::run(&Subjects { host: Some(&host), docker: Some(&facts), daemon: true }))
        }
        None | Some("host") => {
            no_names("host")?;
            let host = open_host(args)?;
            let facts = match DockerFacts::gather(&socket(args, "docker")?, &host) {
                Ok(facts) => Some(facts),
                Err(e) => {
                    // Without a target a missing daemon is no failure: there is nothing to audit there.
                    if args.host.is_some() {
                        return Err(e.into());
                    }
                    output::warn(&format!("no docker daemon is audited: {e}"));
                    None
                }
            };
            let docker = facts.as_ref().filter(|_| target.is_none());
            Ok(checks::run(&Subjects { host: Some(&host), docker, daemon: true }))
        }
        Some(other) => {
            let known = ["host", "docker", "podman", "image", "container", "compose", "kubernetes"];
            let near =
                stockade_config::nearest(other, known).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            Err(Failure::usage(format!("`{other}` is no target of audit{near}"))
                .hint(format!("targets: {}", known.join(", "))))
        }
    }
}

fn open_host(args: &Args) -> Result<Host, Failure> {
    match &args.host_root {
        Some(root) => {
            Host::at(root).map_err(|e| Failure::new(format!("cannot open host root `{}`: {e}", root.display())))
        }
        None => Ok(Host::live()?),
    }
}

fn socket(args: &Args, what: &str) -> Result<Api, Failure> {
    let default = if what == "podman" { "unix:///run/podman/podman.sock" } else { "unix:///run/docker.sock" };
    let from_environment = std::env::var("DOCKER_HOST").ok().filter(|h| !h.is_empty() && what != "podman");
    let text = args.host.clone().or(from_environment).unwrap_or_else(|| default.to_owned());
    match text.strip_prefix("unix://").or_else(|| text.starts_with('/').then_some(text.as_str())) {
        Some(path) => Ok(Api::new(Path::new(path))),
        None => Err(Failure::usage(format!("cannot audit `{text}`: only unix sockets are supported"))
            .hint("run the audit on the daemon's own host, with -H unix://PATH")),
    }
}

fn offline_report(args: &Args) -> Result<Report, Failure> {
    let lists = |paths: &[PathBuf]| -> Result<Vec<Value>, Failure> {
        let mut out = Vec::new();
        for path in paths {
            match read_json(path)? {
                Value::Array(list) => out.extend(list),
                one => out.push(one),
            }
        }
        Ok(out)
    };
    let config = args.daemon_json.as_ref().map(|p| Ok::<_, Failure>((p.clone(), read_json(p)?))).transpose()?;
    let daemon = config.is_some();
    let facts = DockerFacts::offline(lists(&args.container_json)?, lists(&args.image_json)?, config);
    let mut report = checks::run(&Subjects { host: None, docker: Some(&facts), daemon });
    if daemon {
        // A daemon.json alone says nothing about the swarm or what piles up.
        report.checks.retain(|c| {
            matches!(
                c.meta.section,
                stockade_audit::Section::Daemon | stockade_audit::Section::Containers | stockade_audit::Section::Images
            )
        });
        report.recount();
    }
    Ok(report)
}

fn named_report(args: &Args, what: &str, names: &[&str]) -> Result<Report, Failure> {
    let api = socket(args, "docker")?;
    let (mut containers, mut images) = (Vec::new(), Vec::new());
    for name in names {
        let clean: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || ":._-/@".contains(*c)).collect();
        let (path, list) = if what == "image" { ("images", &mut images) } else { ("containers", &mut containers) };
        list.push(api.get(&format!("/{path}/{clean}/json"))?);
    }
    let facts = DockerFacts::offline(containers, images, None);
    Ok(checks::run(&Subjects { host: None, docker: Some(&facts), daemon: false }))
}

fn files_report(what: &str, names: &[&str]) -> Result<Report, Failure> {
    let mut all: Vec<CheckResult> = Vec::new();
    for name in names {
        let bytes = read_file(Path::new(name))?;
        let checked = if what == "compose" { compose::check(name, &bytes) } else { kubernetes::check(name, &bytes) };
        let results = checked.map_err(|e| Failure::new(format!("cannot audit `{name}`: {e}")))?;
        if results.is_empty() {
            output::warn(&format!("{name}: no workload in it"));
        }
        all.extend(results);
    }
    Ok(Report::new(all))
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let limit = stockade_audit::yaml::MAX_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let result = if path == Path::new("-") {
        std::io::stdin().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|f| f.take(limit).read_to_end(&mut bytes))
    };
    result.map_err(|e| Failure::new(format!("cannot read `{}`: {e}", path.display())))?;
    Ok(bytes)
}

fn read_json(path: &Path) -> Result<Value, Failure> {
    serde_json::from_slice(&read_file(path)?)
        .map_err(|e| Failure::new(format!("cannot read `{}`: not JSON: {e}", path.display())))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WaiverFile {
    waiver: Vec<Waiver>,
}

fn waivers(path: &Path) -> Result<Vec<Waiver>, Failure> {
    let text = String::from_utf8_lossy(&read_file(path)?).into_owned();
    let file: WaiverFile = toml::from_str(&text)
        .map_err(|e| Failure::usage(format!("cannot read waivers `{}`: {}", path.display(), e.message())))?;
    Ok(file.waiver)
}

fn shown(report: &Report, all: bool) -> impl Iterator<Item = &CheckResult> {
    report
        .checks
        .iter()
        .filter(move |c| all || matches!(c.result, Answer::Fail | Answer::Unknown) || c.waived.is_some())
}

fn word(check: &CheckResult) -> &'static str {
    match check.result {
        _ if check.waived.is_some() => "WAIVED",
        Answer::Fail => "FAIL",
        Answer::Unknown => "UNKNOWN",
        Answer::Manual => "MANUAL",
        Answer::Pass => "PASS",
        Answer::NotApplicable => "N/A",
    }
}

fn table(report: &Report, all: bool) -> String {
    use std::fmt::Write as _;
    let style = output::Style::stdout();
    let mut text = String::new();
    let mut subject = "";
    for check in shown(report, all) {
        if check.subject != subject {
            subject = &check.subject;
            let _ = writeln!(
                text,
                "{}{}",
                if text.is_empty() { "" } else { "\n" },
                style.bold(&output::printable(subject))
            );
        }
        let word = format!("{:<8}", word(check));
        let colored = match check.result {
            _ if check.waived.is_some() => style.dim(&word),
            Answer::Fail => style.red(&word),
            Answer::Unknown | Answer::Manual => style.yellow(&word),
            _ => style.green(&word),
        };
        let reference = check.meta.refs.first().unwrap_or(&check.meta.id);
        let _ = writeln!(
            text,
            "  {colored} {reference:<12} {}  {}",
            check.meta.title,
            style.dim(&format!("[{}]", check.meta.id))
        );
        let _ = writeln!(text, "           {}", output::printable(&check.evidence));
        if let Some(reason) = &check.waived {
            let _ = writeln!(text, "           waived: {}", output::printable(reason));
        } else if check.result == Answer::Fail {
            let _ = writeln!(text, "           why: {} fix: {}", check.meta.why, check.meta.fix);
        }
    }
    let count = |a| report.count(a);
    let score =
        report.score.map_or_else(|| "no score: nothing could be decided".to_owned(), |s| format!("score {s} of 100"));
    let _ = writeln!(
        text,
        "{}{}: {} passed, {} failed, {} unknown, {} for a person to decide, {} not applicable{}",
        if text.is_empty() { "" } else { "\n" },
        style.bold(&score),
        count(Answer::Pass),
        count(Answer::Fail),
        count(Answer::Unknown),
        count(Answer::Manual),
        count(Answer::NotApplicable),
        if all { "" } else { "; --all shows everything" }
    );
    text
}

fn markdown(report: &Report, all: bool) -> String {
    let cell = |s: &str| output::printable(s).replace('|', "\\|");
    let mut text = String::from("| result | check | subject | evidence | fix |\n|---|---|---|---|---|\n");
    for c in shown(report, all) {
        let refs = c.meta.refs.join(", ");
        text.push_str(&format!(
            "| {} | {} ({refs}) | {} | {} | {} |\n",
            word(c),
            c.meta.id,
            cell(&c.subject),
            cell(&c.evidence),
            cell(c.meta.fix)
        ));
    }
    text
}

fn list(format: Format) -> Outcome {
    let every: Vec<_> = checks::all().chain(compose::all()).chain(kubernetes::all()).collect();
    if format == Format::Json {
        output::json(&serde_json::json!({ "schema": "stockade.audit-checks/v1", "checks": every }))?;
        return Ok(Exit::DONE);
    }
    if format == Format::Markdown {
        output::to_stdout(&stockade_audit::docs::markdown())?;
        return Ok(Exit::DONE);
    }
    let mut table = output::Table::new(["ID", "REFERENCES", "LEVEL", "TITLE"]).shrink(3);
    for meta in every {
        table.row([meta.id.to_owned(), meta.refs.join(", "), meta.level.to_string(), meta.title.to_owned()]);
    }
    table.print()?;
    Ok(Exit::DONE)
}
