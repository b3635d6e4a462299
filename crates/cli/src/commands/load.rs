//! `stockade load`

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use super::images::{failure, open};
use crate::Outcome;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

/// Arguments of `stockade load`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read this file instead of standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Print nothing but ids
    #[arg(short, long)]
    quiet: bool,
}

/// Reads images from an archive of `stockade save`, `docker save` or any OCI tool.
pub fn run(args: Args, context: &Context) -> Outcome {
    let store = open(context)?;
    let images = match &args.input {
        Some(path) => {
            let file = File::open(path).map_err(|e| Failure::new(format!("cannot open `{}`: {e}", path.display())))?;
            store.load(file)
        }
        None if io::stdin().is_terminal() => {
            return Err(Failure::usage("there is no archive on the terminal; use -i FILE or a pipe"));
        }
        None => store.load(io::stdin()),
    };
    for image in images.map_err(failure)? {
        let text = match image.names.as_slice() {
            _ if args.quiet => format!("{}\n", image.id),
            [] => format!("Loaded image ID: {}\n", image.id),
            names => names.iter().map(|name| format!("Loaded image: {name}\n")).collect(),
        };
        output::to_stdout(&text)?;
    }
    Ok(Exit::DONE)
}
