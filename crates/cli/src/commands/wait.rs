//! `stockade wait`

use crate::Outcome;
use crate::container::{engine, for_each};
use crate::context::Context;

/// Arguments of `stockade wait`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Containers
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Waits for the end of each container and prints its exit code.
pub fn run(args: Args, context: &Context) -> Outcome {
    let engine = engine(context)?;
    for_each(&args.containers, |name| Ok(engine.wait(name)?.to_string()))
}
