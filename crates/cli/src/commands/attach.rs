//! `stockade attach`

use stockade_engine::Streams;

use crate::Outcome;
use crate::container::attach::{self, End};
use crate::container::detach_keys::{self, DetachKeys};
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Arguments of `stockade attach`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Do not pass input on
    #[arg(long)]
    no_stdin: bool,
    /// Pass signals on to the container
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sig_proxy: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS", default_value = detach_keys::DEFAULT)]
    detach_keys: String,
    /// Container
    container: String,
}

/// Connects the terminal to a running container.
pub fn run(args: Args, context: &Context) -> Outcome {
    let detach_keys = DetachKeys::parse(&args.detach_keys).map_err(Failure::usage)?;
    context.need_root("attaching to a container")?;
    let engine = engine(context)?;
    let spec = engine.find(&args.container)?.spec;
    let stdin = spec.interactive && !args.no_stdin;
    let signals = attach::block_signals(spec.tty, args.sig_proxy);
    let (record, client) = engine.attach(&args.container, Streams { stdin, stdout: true, stderr: true })?;
    let options = attach::Options { tty: record.spec.tty, stdin, detach_keys, signals };
    match attach::run(client, options)? {
        End::Exit(code) => Ok(super::run::exit(code)),
        End::Detached => Ok(Exit::DONE),
        End::Lost => {
            Err(Failure::new("the container's monitor was killed, and the container with it").with_exit(Exit(137)))
        }
    }
}
