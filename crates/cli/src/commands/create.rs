//! `stockade create`

use super::run::CidFile;
use crate::Outcome;
use crate::container::flags::{ContainerFlags, ImageAndCommand};
use crate::container::{ask_gate, verify_of, engine, request, start_failure};
use crate::context::Context;
use crate::failure::Exit;
use crate::output;

/// Arguments of `stockade create`.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    flags: ContainerFlags,
    #[command(flatten)]
    rest: ImageAndCommand,
}

/// Makes a container and prints its id.
pub fn run(args: Args, context: &Context) -> Outcome {
    let mut asked = request::request(&args.flags, &args.rest.image_and_command)?;
    asked.verify = verify_of(context, args.flags.confine.verify_image.as_deref());
    context.need_root("creating a container")?;
    super::pull::ensure(context, &asked.image, &args.flags.pull, args.flags.quiet)?;
    ask_gate(context, &asked.image, args.flags.confine.policy.as_deref())?;
    let cid_file = CidFile::reserve(args.flags.cidfile.as_deref())?;
    let created = engine(context)?.create(&asked).map_err(start_failure)?;
    for line in &created.weakened {
        output::warn(line);
    }
    cid_file.write(&created.id)?;
    output::to_stdout(&format!("{}\n", created.id))?;
    Ok(Exit::DONE)
}
