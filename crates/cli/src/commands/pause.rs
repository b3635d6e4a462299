//! `stockade pause`

use crate::Outcome;
use crate::container::{engine, for_each};
use crate::context::Context;

/// Arguments of `stockade pause`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Containers
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Freezes containers.
pub fn run(args: Args, context: &Context) -> Outcome {
    let engine = engine(context)?;
    for_each(&args.containers, |name| {
        engine.pause(name)?;
        Ok(name.to_owned())
    })
}
