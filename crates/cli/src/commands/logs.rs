//! `stockade logs`

use stockade_engine::LogQuery;

use crate::Outcome;
use crate::container::attach::write_all;
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::human::parse_time;

/// Arguments of `stockade logs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Wait for more until the container ends
    #[arg(short, long)]
    follow: bool,
    /// Not older than this time or duration
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Not newer than this time or duration
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only the last so many lines
    #[arg(short = 'n', long, value_name = "LINES", default_value = "all", allow_hyphen_values = true)]
    tail: String,
    /// Show when each line was written
    #[arg(short, long)]
    timestamps: bool,
    /// Show labels and variables named in the log options
    #[arg(long)]
    details: bool,
    /// Container
    container: String,
}

/// Prints what a container wrote: its output to stdout, its errors to stderr.
pub fn run(args: Args, context: &Context) -> Outcome {
    let time = |text: &Option<String>| text.as_deref().map(parse_time).transpose().map_err(Failure::usage);
    let query = LogQuery {
        // As docker: `all`, a negative number and nonsense are everything.
        tail: args.tail.parse::<usize>().ok(),
        since: time(&args.since)?,
        until: time(&args.until)?,
        follow: args.follow,
    };
    let mut failed = None;
    engine(context)?.logs(&args.container, &query, &mut |entry| {
        let fd = if entry.stream == "stderr" { rustix::stdio::stderr() } else { rustix::stdio::stdout() };
        let written = if args.timestamps {
            write_all(fd, format!("{} {}", entry.time, entry.log).as_bytes())
        } else {
            write_all(fd, entry.log.as_bytes())
        };
        failed = written.err();
        failed.is_none()
    })?;
    match failed {
        Some(failure) => Err(failure),
        None => Ok(Exit::DONE),
    }
}
