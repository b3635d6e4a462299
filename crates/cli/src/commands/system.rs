//! `stockade system`: the whole of what Stockade keeps: check it, weigh it, clean it, describe it.

mod check;
mod df;
pub(super) mod info;
mod kernel;
mod prune;

use crate::Outcome;
use crate::context::Context;

/// Arguments of `stockade system`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Verify the store, and mend it: exit code 1 if something is wrong
    Check(check::Args),
    /// Show how much disk images, containers, volumes and the build cache take
    Df(df::Args),
    /// Show what happened and happens
    Events(super::events::Args),
    /// Describe this host and what Stockade keeps on it
    Info(info::Args),
    /// Remove what nothing uses: stopped containers, images without a name, unused build cache
    Prune(prune::Args),
}

pub(super) use check::Args as CheckArgs;
pub(super) use check::run as run_check;

/// Runs the verb.
pub fn run(args: Args, context: &Context) -> Outcome {
    match args.verb {
        Verb::Check(args) => check::run(args, context),
        Verb::Df(args) => df::run(&args, context),
        Verb::Events(args) => super::events::run(args, context),
        Verb::Info(args) => info::run(args, context),
        Verb::Prune(args) => prune::run(&args, context),
    }
}
