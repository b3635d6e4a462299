//! `stockade unpause`

use crate::Outcome;
use crate::container::{engine, for_each};
use crate::context::Context;

/// Arguments of `stockade unpause`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Containers
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Lets frozen containers go on.
pub fn run(args: Args, context: &Context) -> Outcome {
    let engine = engine(context)?;
    for_each(&args.containers, |name| {
        engine.unpause(name)?;
        Ok(name.to_owned())
    })
}
