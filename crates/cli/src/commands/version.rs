//! `stockade version`

use serde_json::json;

use crate::context::Context;
use crate::failure::Exit;
use crate::{Outcome, go_template, output};

/// Arguments of `stockade version`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `json`, or a Go template such as '{{.Client.Version}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Prints what this binary is and what it runs on.
pub fn run(args: Args, _context: &Context) -> Outcome {
    let uname = rustix::system::uname();
    let facts = json!({
        "schema": "stockade.version/v1",
        "Client": {
            "Version": env!("CARGO_PKG_VERSION"),
            "Os": "linux",
            "Arch": std::env::consts::ARCH,
            "KernelVersion": uname.release().to_string_lossy(),
        }
    });
    match args.format.as_deref() {
        None => output::to_stdout(&format!(
            "stockade {}\n  OS/Arch: linux/{}\n  Kernel:  {}\n",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::ARCH,
            uname.release().to_string_lossy()
        ))?,
        Some("json") => output::json(&facts)?,
        Some(template) => output::to_stdout(&(go_template::Template::parse(template)?.render(&facts)? + "\n"))?,
    }
    Ok(Exit::DONE)
}
