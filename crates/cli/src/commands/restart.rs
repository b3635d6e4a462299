//! `stockade restart`

use crate::Outcome;
use crate::container::{engine, for_each};
use crate::context::Context;

/// Arguments of `stockade restart`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Seconds until SIGKILL; -1 waits for ever [default: the container's, else 10]
    #[arg(short = 't', long = "timeout", alias = "time", value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<i64>,
    /// Signal instead of the container's stop signal
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<String>,
    /// Containers
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Stops containers and starts them again.
pub fn run(args: Args, context: &Context) -> Outcome {
    let signal = args.signal.as_deref().map(stockade_engine::signals::parse).transpose()?;
    context.need_root("restarting a container")?;
    let engine = engine(context)?;
    crate::container::keep_our_program_from(&engine, &args.containers)?;
    for_each(&args.containers, |name| {
        let started = engine.restart(name, signal, args.timeout)?;
        started.warnings.iter().for_each(|line| crate::output::warn(line));
        Ok(name.to_owned())
    })
}
