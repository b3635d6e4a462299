//! `stockade base`: base images made from a distribution's signed archive.

mod standing;
mod timer;
mod update;

use stockade_image::Store;

use super::build::base::{can_be_made, make};
use crate::Outcome;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Table};

/// Arguments of `stockade base`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show which images stand on which base, and how old it is
    #[command(visible_alias = "ls")]
    List,
    /// Make a base image: debian:SUITE[-slim], ubuntu:SUITE, stockade/static, stockade/base, stockade/debug
    Make {
        /// Print the name of the image and nothing else
        #[arg(short, long)]
        quiet: bool,
        /// Its name
        name: String,
    },
    /// Tell which images stand on an outdated base or have fixes waiting in the archive; --apply rebuilds them
    Update(update::Args),
    /// Print systemd units that run `base update --apply` every day
    Timer(timer::Args),
}

/// Runs the verb.
pub fn run(args: Args, context: &Context) -> Outcome {
    match args.verb {
        Verb::List => list(context),
        Verb::Make { quiet, name } => {
            if !can_be_made(&name) {
                return Err(Failure::usage(format!("`{name}` cannot be made from an archive"))
                    .hint("write debian:SUITE, ubuntu:SUITE, stockade/static, stockade/base or stockade/debug"));
            }
            make(context, &name, None, true, quiet)?;
            output::to_stdout(&format!("{name}\n"))?;
            Ok(Exit::DONE)
        }
        Verb::Update(args) => update::run(&args, context),
        Verb::Timer(args) => timer::run(&args, context),
    }
}

fn list(context: &Context) -> Outcome {
    let store = Store::open(&context.settings.dirs.root)?;
    let mut table = Table::new(["IMAGE", "BASE", "ARCHIVE OF", "MADE FROM"]).shrink(3);
    for image in store.list()? {
        let Some(base) = standing::Standing::of(&image) else { continue };
        table.row([base.image, base.name.canonical(), base.date, base.mirror]);
    }
    table.print()?;
    Ok(Exit::DONE)
}
