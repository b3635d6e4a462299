//! `stockade export`

use std::fs::File;
use std::io::{self, IsTerminal};

use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Arguments of `stockade export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    /// Container
    container: String,
}

/// Writes a container's files as a tar.
pub fn run(args: Args, context: &Context) -> Outcome {
    context.need_root("exporting a container")?;
    let engine = engine(context)?;
    match &args.output {
        Some(path) => {
            let temporary = format!("{path}.part");
            let mut file =
                File::create(&temporary).map_err(|e| Failure::new(format!("cannot create `{temporary}`: {e}")))?;
            let done = engine
                .export(&args.container, &mut |tar| io::copy(tar, &mut file).map(drop))
                .map_err(Failure::from)
                .and_then(|()| Ok(std::fs::rename(&temporary, path)?));
            if done.is_err() {
                let _ = std::fs::remove_file(&temporary);
            }
            done?;
        }
        None if io::stdout().is_terminal() => {
            return Err(Failure::usage("a tar on the terminal helps nobody; use -o FILE or a pipe"));
        }
        None => engine.export(&args.container, &mut |tar| io::copy(tar, &mut io::stdout().lock()).map(drop))?,
    }
    Ok(Exit::DONE)
}
