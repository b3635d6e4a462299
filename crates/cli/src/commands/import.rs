//! `stockade import`

use std::fs::File;
use std::io;

use stockade_image::Reference;

use super::images::{failure, open};
use crate::Outcome;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

/// Arguments of `stockade import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Dockerfile instruction that sets what a container runs, such as 'CMD ["/bin/sh"]'
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// What it is, for the history
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Tar of a root file system, plain or compressed; `-` is standard input
    file: String,
    /// Name of the image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
}

/// Makes an image of one layer from a root file system.
pub fn run(args: Args, context: &Context) -> Outcome {
    let name = args.name.as_deref().map(Reference::parse).transpose()?;
    if args.file.contains("://") {
        return Err(Failure::usage(format!("`{}` is a URL: import reads files", args.file))
            .hint(format!("curl -fL {} | stockade import - NAME", args.file)));
    }
    let message = args.message.unwrap_or_else(|| format!("Imported from {}", args.file));
    let store = open(context)?;
    let image = if args.file == "-" {
        store.import(io::stdin(), &args.change, Some(&message), name.as_ref())
    } else {
        let file = File::open(&args.file).map_err(|e| Failure::new(format!("cannot open `{}`: {e}", args.file)))?;
        store.import(file, &args.change, Some(&message), name.as_ref())
    };
    output::to_stdout(&format!("{}\n", image.map_err(failure)?.id))?;
    Ok(Exit::DONE)
}
