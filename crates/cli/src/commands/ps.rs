//! `stockade ps`

use serde_json::{Value, json};
use stockade_engine::spec::MountType;
use stockade_engine::{Engine, Record, Status, clock, id};

use crate::Outcome;
use crate::container::engine;
use crate::container::filter::ContainerFilters;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::Table;
use crate::{go_template, human, output};

/// Arguments of `stockade ps`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show containers that do not run too
    #[arg(short, long)]
    all: bool,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Do not cut ids and commands
    #[arg(long)]
    no_trunc: bool,
    /// Show those that fit: status=exited, name=web, label=a=b, …
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// `json`, `table TEMPLATE` or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show the last so many, running or not
    #[arg(short = 'n', long, value_name = "NUMBER", allow_negative_numbers = true)]
    last: Option<i64>,
    /// Show the last one, running or not
    #[arg(short, long)]
    latest: bool,
    /// Show the size of their own files
    #[arg(short, long)]
    size: bool,
}

/// Lists containers, newest first.
pub fn run(args: Args, context: &Context) -> Outcome {
    let engine = engine(context)?;
    let filters = ContainerFilters::new(&args.filter, &engine)?;
    let (records, damaged) = engine.list()?;
    for error in damaged {
        Failure::from(error).print();
    }
    let limit = if args.latest { Some(1) } else { args.last.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0) };
    let all = args.all || limit.is_some() || filters.wants_all();
    let chosen = records
        .into_iter()
        .filter(|r| all || r.state.status.is_live())
        .filter(|r| filters.fit(r, &engine))
        .take(limit.unwrap_or(usize::MAX));
    if args.quiet {
        let ids: String =
            chosen.map(|r| format!("{}\n", if args.no_trunc { &r.spec.id } else { id::short(&r.spec.id) })).collect();
        output::to_stdout(&ids)?;
        return Ok(Exit::DONE);
    }
    let with_size = args.size || args.format.as_deref().is_some_and(|f| f.contains(".Size"));
    let rows: Vec<Value> = chosen.map(|r| row(&r, &engine, &args, with_size)).collect();
    if let Some(format) = args.format.as_deref().filter(|f| *f != "table") {
        output::to_stdout(&go_template::render_rows(format, &rows)?)?;
        return Ok(Exit::DONE);
    }
    let mut header = vec!["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"];
    let mut fields = vec!["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"];
    if args.size {
        header.push("SIZE");
        fields.push("Size");
    }
    let mut table = Table::new(header);
    for row in &rows {
        table.row(fields.iter().map(|f| row.get(*f).and_then(Value::as_str).unwrap_or_default()));
    }
    table.print()?;
    Ok(Exit::DONE)
}

/// Docker's names of the columns.
fn row(record: &Record, engine: &Engine, args: &Args, with_size: bool) -> Value {
    let spec = &record.spec;
    let command = spec.args().join(" ");
    let command = if args.no_trunc { command } else { cut(&command, 20) };
    let created = clock::parse(&spec.created);
    let labels: Vec<String> = spec.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mounts: Vec<&str> = spec
        .host
        .mounts
        .iter()
        .filter(|m| m.kind != MountType::Tmpfs)
        .map(|m| if args.no_trunc || m.source.len() < 64 { m.source.as_str() } else { id::short(&m.source) })
        .collect();
    let size = if with_size { human::size(engine.own_bytes(&spec.id)) } else { String::new() };
    json!({
        "ID": if args.no_trunc { spec.id.as_str() } else { id::short(&spec.id) },
        "Image": spec.image_name,
        "Command": format!("\"{command}\""),
        "CreatedAt": created.map(|t| t.to_string()).unwrap_or_default(),
        "RunningFor": created.map(human::ago).unwrap_or_default(),
        "State": record.state.status.name(),
        "Status": status(record, engine),
        "Ports": ports(record),
        "Names": record.name,
        "Labels": labels.join(","),
        "Mounts": mounts.join(","),
        "Networks": spec.host.network.to_string(),
        "LocalVolumes": spec.host.mounts.iter().filter(|m| m.kind == MountType::Volume).count().to_string(),
        "Size": size,
    })
}

fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length - 1).chain(['…']).collect()
}

/// `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`.
fn status(record: &Record, engine: &Engine) -> String {
    let state = &record.state;
    let since = |text: &str| {
        let now = jiff::Timestamp::now().as_second();
        clock::parse(text).map_or_else(String::new, |t| human::duration(now - t.as_second()))
    };
    match state.status {
        Status::Created => "Created".to_owned(),
        Status::Running => match engine.health(record) {
            Some(health) if health.status == "starting" => {
                format!("Up {} (health: starting)", since(&state.started_at))
            }
            Some(health) => format!("Up {} ({})", since(&state.started_at), health.status),
            None => format!("Up {}", since(&state.started_at)),
        },
        Status::Paused => format!("Up {} (Paused)", since(&state.started_at)),
        Status::Restarting => format!("Restarting ({}) {} ago", state.exit_code, since(&state.finished_at)),
        Status::Exited => format!("Exited ({}) {} ago", state.exit_code, since(&state.finished_at)),
    }
}

/// `0.0.0.0:8080->80/tcp, 443/tcp`
fn ports(record: &Record) -> String {
    if !record.is_running() {
        return String::new();
    }
    let published = record.state.endpoint.as_ref().map(|e| e.ports.as_slice()).unwrap_or_default();
    let mut parts: Vec<String> = published
        .iter()
        .map(|p| {
            let ip = if p.host_ip.is_ipv6() { format!("[{}]", p.host_ip) } else { p.host_ip.to_string() };
            format!("{ip}:{}->{}/{}", p.host_port, p.container_port, p.protocol)
        })
        .collect();
    let is_published = |text: &str| published.iter().any(|p| format!("{}/{}", p.container_port, p.protocol) == text);
    parts.extend(record.spec.exposed.iter().filter(|p| !is_published(p)).cloned());
    parts.join(", ")
}
