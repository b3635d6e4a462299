//! `stockade tag`

use stockade_image::Reference;

use super::images::{failure, find, open};
use crate::Outcome;
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Arguments of `stockade tag`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name or id of the image
    source: String,
    /// The name to give it
    target: String,
}

/// Gives an image another name.
pub fn run(args: Args, context: &Context) -> Outcome {
    let name = Reference::parse(&args.target)?.or_latest();
    if name.digest.is_some() {
        return Err(Failure::usage(format!("`{}` holds a digest: a name to give is NAME[:TAG]", args.target)));
    }
    let store = open(context)?;
    let image = find(&store, &args.source)?;
    store.tag(&image.id, &name).map_err(failure)?;
    Ok(Exit::DONE)
}
