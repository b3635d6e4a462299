//! `stockade stats`

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stockade_engine::{Engine, Record, Usage, id};

use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::Table;
use crate::{go_template, human, output};

/// Time between two looks: CPU shares are measured over it.
const INTERVAL: Duration = Duration::from_secs(1);

/// Arguments of `stockade stats`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show containers that do not run too
    #[arg(short, long)]
    all: bool,
    /// Print once and end
    #[arg(long)]
    no_stream: bool,
    /// Do not cut ids
    #[arg(long)]
    no_trunc: bool,
    /// `json`, `table TEMPLATE` or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Containers [default: all that run]
    containers: Vec<String>,
}

/// A look at one container.
struct Look {
    record: Record,
    usage: Option<Usage>,
    at: Instant,
}

/// Shows what containers use.
pub fn run(args: Args, context: &Context) -> Outcome {
    let engine = engine(context)?;
    let mut before = look(&engine, &args)?;
    let live = !args.no_stream && std::io::stdout().is_terminal();
    loop {
        std::thread::sleep(INTERVAL);
        let now = look(&engine, &args)?;
        let rows: Vec<Value> =
            now.iter().map(|l| row(l, before.iter().find(|b| b.record.spec.id == l.record.spec.id), &args)).collect();
        if live {
            // Home and clear: the table stands still.
            output::to_stdout("\u{1b}[H\u{1b}[J")?;
        }
        print(&rows, args.format.as_deref())?;
        if args.no_stream {
            return Ok(Exit::DONE);
        }
        before = now;
    }
}

fn look(engine: &Engine, args: &Args) -> Result<Vec<Look>, Failure> {
    let records: Vec<Record> = if args.containers.is_empty() {
        engine.list()?.0.into_iter().filter(|r| args.all || r.is_running()).collect()
    } else {
        args.containers.iter().map(|name| engine.find(name)).collect::<Result<_, _>>()?
    };
    // One that ends between the two looks has no counters.
    Ok(records
        .into_iter()
        .map(|record| Look { usage: engine.usage(&record.spec.id).ok(), record, at: Instant::now() })
        .collect())
}

/// Docker's names of the columns.
fn row(now: &Look, before: Option<&Look>, args: &Args) -> Value {
    let spec = &now.record.spec;
    let usage = now.usage.unwrap_or_default();
    let counters = usage.cgroup;
    let limit = counters.memory_limit_bytes.unwrap_or_else(host_memory);
    let id = if args.no_trunc { spec.id.as_str() } else { id::short(&spec.id) };
    json!({
        "Container": id,
        "ID": id,
        "Name": now.record.name,
        "CPUPerc": cpu_share(now, before),
        "MemUsage": format!("{} / {}", human::binary_size(counters.memory_bytes), human::binary_size(limit)),
        "MemPerc": percent(counters.memory_bytes, limit),
        "NetIO": format!("{} / {}", human::size(usage.received_bytes), human::size(usage.sent_bytes)),
        "BlockIO": format!("{} / {}", human::size(counters.io_read_bytes), human::size(counters.io_write_bytes)),
        "PIDs": counters.pids.to_string(),
    })
}

/// Percent of one core between the two looks.
fn cpu_share(now: &Look, before: Option<&Look>) -> String {
    let (Some(usage), Some(before)) = (now.usage, before) else { return "0.00%".into() };
    let Some(former) = before.usage else { return "0.00%".into() };
    let spent = usage.cgroup.cpu_ns.saturating_sub(former.cgroup.cpu_ns);
    percent(spent, u64::try_from(now.at.saturating_duration_since(before.at).as_nanos()).unwrap_or(u64::MAX))
}

fn percent(part: u64, whole: u64) -> String {
    let hundredths = if whole == 0 { 0 } else { u128::from(part) * 10_000 / u128::from(whole) };
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

fn host_memory() -> u64 {
    let info = rustix::system::sysinfo();
    u64::from(info.mem_unit).saturating_mul(info.totalram)
}

fn print(rows: &[Value], format: Option<&str>) -> Result<(), Failure> {
    if let Some(format) = format.filter(|f| *f != "table") {
        return output::to_stdout(&go_template::render_rows(format, rows)?);
    }
    let mut table =
        Table::new(["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"]);
    for row in rows {
        let fields = ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];
        table.row(fields.map(|f| row.get(f).and_then(Value::as_str).unwrap_or_default().to_owned()));
    }
    output::to_stdout(&table.render(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_have_two_places_and_no_division_by_zero() {
        assert_eq!(percent(1, 3), "33.33%");
        assert_eq!(percent(3, 2), "150.00%");
        assert_eq!(percent(1, 0), "0.00%");
    }
}
