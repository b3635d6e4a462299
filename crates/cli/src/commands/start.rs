//! `stockade start`

use stockade_engine::{StartOptions, Streams};

use crate::Outcome;
use crate::container::attach::{self, End};
use crate::container::detach_keys::{self, DetachKeys};
use crate::container::{engine, for_each, start_failure, terminal};
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Arguments of `stockade start`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Attach output, and pass signals on
    #[arg(short, long)]
    attach: bool,
    /// Attach input too
    #[arg(short, long)]
    interactive: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS", default_value = detach_keys::DEFAULT)]
    detach_keys: String,
    /// Containers
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Starts containers that were created or have ended.
pub fn run(args: Args, context: &Context) -> Outcome {
    context.need_root("starting a container")?;
    let engine = engine(context)?;
    crate::container::keep_our_program_from(&engine, &args.containers)?;
    if !args.attach && !args.interactive {
        return for_each(&args.containers, |name| {
            let started = engine.start(name, &StartOptions::default())?;
            started.warnings.iter().for_each(|line| crate::output::warn(line));
            Ok(name.to_owned())
        });
    }
    let [name] = args.containers.as_slice() else {
        return Err(Failure::usage("only one container can be attached at a time"));
    };
    let detach_keys = DetachKeys::parse(&args.detach_keys).map_err(Failure::usage)?;
    let spec = engine.find(name)?.spec;
    let stdin = args.interactive && spec.interactive;
    let streams = Streams { stdin, stdout: true, stderr: true };
    let signals = attach::block_signals(spec.tty, true);
    let options = StartOptions { attach: Some(streams), terminal: terminal::size() };
    let started = engine.start(name, &options).map_err(start_failure)?;
    started.warnings.iter().for_each(|line| crate::output::warn(line));
    let Some(client) = started.client else { return Ok(Exit::DONE) };
    let options = attach::Options { tty: spec.tty, stdin, detach_keys, signals };
    match attach::run(client, options)? {
        End::Exit(code) => Ok(super::run::exit(code)),
        End::Detached => Ok(Exit::DONE),
        End::Lost => {
            Err(Failure::new("the container's monitor was killed, and the container with it").with_exit(Exit(137)))
        }
    }
}
