//! `stockade diff`

use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::Exit;
use crate::output;

/// Arguments of `stockade diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Container
    container: String,
}

/// Shows which files of its image a container added (A), changed (C) and deleted (D).
pub fn run(args: Args, context: &Context) -> Outcome {
    let changes = engine(context)?.diff(&args.container)?;
    let text: String =
        changes.iter().map(|c| format!("{} {}\n", c.kind.letter(), output::printable(&c.path))).collect();
    output::to_stdout(&text)?;
    Ok(Exit::DONE)
}
