//! `stockade kill`

use crate::Outcome;
use crate::container::{engine, for_each};
use crate::context::Context;

/// Arguments of `stockade kill`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Signal to send
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL")]
    signal: String,
    /// Containers
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Sends a signal to containers.
pub fn run(args: Args, context: &Context) -> Outcome {
    let signal = stockade_engine::signals::parse(&args.signal)?;
    let engine = engine(context)?;
    for_each(&args.containers, |name| {
        engine.kill(name, signal)?;
        Ok(name.to_owned())
    })
}
