//! `stockade top`

use jiff::Timestamp;
use stockade_engine::ProcessRow;

use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::Table;

/// Clock ticks a second in /proc (`USER_HZ`, 100 on every Linux we run on).
const TICKS: u64 = 100;

/// Arguments of `stockade top`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Container
    container: String,
    /// Not supported: the columns are those of `ps -ef`
    #[arg(num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    options: Vec<String>,
}

/// Shows the processes of a container, in the host's numbers.
pub fn run(args: Args, context: &Context) -> Outcome {
    if !args.options.is_empty() && args.options != ["-ef"] {
        return Err(Failure::usage(format!(
            "top shows the columns of `ps -ef` only, not of `ps {}`; for others use `stockade exec {} ps …`",
            args.options.join(" "),
            args.container
        )));
    }
    let rows = engine(context)?.top(&args.container)?;
    let boot = boot_time();
    let mut table = Table::new(["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    for row in rows {
        table.row([
            row.uid.to_string(),
            row.pid.to_string(),
            row.ppid.to_string(),
            share(&row, boot).to_string(),
            started(&row, boot),
            terminal(row.tty),
            cpu_time(row.cpu_ticks),
            row.command,
        ]);
    }
    table.print()?;
    Ok(Exit::DONE)
}

/// Unix seconds of the boot (proc_stat(5) `btime`).
fn boot_time() -> i64 {
    std::fs::read_to_string("/proc/stat")
        .ok()
        .and_then(|t| t.lines().find_map(|l| l.strip_prefix("btime ")?.trim().parse().ok()))
        .unwrap_or(0)
}

fn start_second(row: &ProcessRow, boot: i64) -> i64 {
    boot.saturating_add(i64::try_from(row.start_ticks / TICKS).unwrap_or(0))
}

/// Percent of one core since the start.
fn share(row: &ProcessRow, boot: i64) -> u64 {
    let alive = u64::try_from(Timestamp::now().as_second() - start_second(row, boot)).unwrap_or(0);
    row.cpu_ticks.checked_div(alive).unwrap_or(0).min(99)
}

/// `12:34`, in the local time of the host.
fn started(row: &ProcessRow, boot: i64) -> String {
    let Ok(time) = Timestamp::from_second(start_second(row, boot)) else { return "?".into() };
    let local = jiff::tz::TimeZone::system().to_datetime(time);
    format!("{:02}:{:02}", local.hour(), local.minute())
}

fn cpu_time(ticks: u64) -> String {
    let seconds = ticks / TICKS;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Device 136 is /dev/pts.
fn terminal(device: i32) -> String {
    let device = u32::try_from(device).unwrap_or(0);
    let (major, minor) = (device >> 8 & 0xfff, (device & 0xff) | (device >> 12 & 0xfff00));
    if (136..144).contains(&major) { format!("pts/{minor}") } else { "?".to_owned() }
}
