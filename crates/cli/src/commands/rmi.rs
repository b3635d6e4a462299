//! `stockade rmi`

use super::images::{failure, open};
use crate::Outcome;
use crate::container::for_each;
use crate::context::Context;

/// Arguments of `stockade rmi`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove images that containers use, and all names of an id
    #[arg(short, long)]
    force: bool,
    /// Accepted for docker's sake: layers that other images have are never removed
    #[arg(long, hide = true)]
    no_prune: bool,
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Removes images.
pub fn run(args: Args, context: &Context) -> Outcome {
    let store = open(context)?;
    for_each(&args.images, |name| {
        let removed = store.remove(name, args.force).map_err(failure)?;
        let untagged = removed.untagged.iter().map(|name| format!("Untagged: {name}"));
        let deleted = removed.deleted.iter().map(|digest| format!("Deleted: {digest}"));
        Ok(untagged.chain(deleted).collect::<Vec<_>>().join("\n"))
    })
}
