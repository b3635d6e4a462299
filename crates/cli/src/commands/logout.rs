//! `stockade logout`

use crate::Outcome;
use crate::context::Context;
use crate::failure::Exit;
use crate::output;
use crate::transfer::RegistryArgs;

/// Arguments of `stockade logout`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The registry [default: docker.io]
    #[arg(value_name = "SERVER")]
    server: Option<String>,
}

/// Forgets credentials.
pub fn run(args: Args, context: &Context) -> Outcome {
    let server = args.server.as_deref().unwrap_or_default();
    let shown = output::printable(if server.is_empty() { "docker.io" } else { server });
    let had = RegistryArgs::default().client(context).logout(server)?;
    let line =
        if had { format!("Removing login credentials for {shown}\n") } else { format!("Not logged in to {shown}\n") };
    output::to_stdout(&line)?;
    Ok(Exit::DONE)
}
