//! `stockade logs`

use stockade_engine::LogQuery;

use crate::Outcome;
use crate::container::attach::write_all;
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::human::parse_time;
use crate::output::harmless;

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
    /// Let what was written drive this terminal: without it only colours do, and other control sequences are shown. Into a
    /// pipe or file everything is written as it is
    #[arg(long)]
    raw: bool,
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
        let mut text = entry.log.clone();
        if args.timestamps {
            text.insert_str(0, &format!("{} ", entry.time));
        }
        // A program may write what it likes; who reads its log has not agreed to obey it.
        let text = if args.raw || !rustix::termios::isatty(fd) { text.into_bytes() } else { harmless(text.as_bytes()) };
        failed = write_all(fd, &text).err();
        failed.is_none()
    })?;
    match failed {
        Some(failure) => Err(failure),
        None => Ok(Exit::DONE),
    }
}
