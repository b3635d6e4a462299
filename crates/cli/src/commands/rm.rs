//! `stockade rm`

use crate::Outcome;
use crate::container::{engine, for_each};
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `stockade rm`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Kill running containers; missing ones are no error
    #[arg(short, long)]
    force: bool,
    /// Remove their anonymous volumes too
    #[arg(short, long)]
    volumes: bool,
    /// Not supported: containers are linked by --network container:NAME
    #[arg(short, long, hide = true)]
    link: bool,
    /// Containers
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Removes containers.
pub fn run(args: Args, context: &Context) -> Outcome {
    if args.link {
        return Err(Failure::usage(
            "rm --link is not supported: there are no links; share with --network container:NAME",
        ));
    }
    context.need_root("removing a container")?;
    let engine = engine(context)?;
    for_each(&args.containers, |name| match engine.remove(name, args.force, args.volumes) {
        Ok(()) => Ok(name.to_owned()),
        Err(stockade_engine::EngineError::NoSuchContainer { .. }) if args.force => Ok(String::new()),
        Err(e) => Err(e.into()),
    })
}
