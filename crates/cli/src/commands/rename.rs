//! `stockade rename`

use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::Exit;

/// Arguments of `stockade rename`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Container
    container: String,
    /// Its new name
    new_name: String,
}

/// Gives a container another name.
pub fn run(args: Args, context: &Context) -> Outcome {
    engine(context)?.rename(&args.container, &args.new_name)?;
    Ok(Exit::DONE)
}
