//! `stockade oci`: the OCI runtime command line of the `runtime` room, as a verb of the whole program.
//!
//! A large program is slow to start, and every container costs two starts: where the small program `stockade-oci` of the
//! same build lies beside this one, it does the work.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::Outcome;
use crate::context::Context;
use crate::failure::Exit;

pub use stockade_runtime::invocation;

/// Arguments of `stockade oci`, as the list of all commands knows them.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// A verb of the OCI runtime command line, and its arguments; `stockade oci --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    rest: Vec<OsString>,
}

/// Runs it, where it was not recognised before.
pub fn run(args: Args, _context: &Context) -> Outcome {
    Ok(Exit(stockade_runtime::execute(args.rest)))
}

/// As [`run`], for `main`.
pub fn main(args: Vec<OsString>) -> ExitCode {
    if let Some(program) = small_program() {
        let name = OsString::from(stockade_runtime::NAME_OF_THIS_BUILD);
        // Where it cannot be executed (no rights over mounts, no static program), this one does the work.
        let _ = stockade_sandbox::process::run_program_from_readonly_mount(
            &program,
            std::iter::once(name).chain(args.iter().cloned()).collect(),
        );
    }
    ExitCode::from(stockade_runtime::execute(args))
}

/// `stockade-oci` in the directory of this program, if it is another program than this.
fn small_program() -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt;
    const OURS: &str = "/proc/self/exe";
    let program = std::fs::read_link(OURS).ok()?.with_file_name("stockade-oci");
    let identity = |facts: std::fs::Metadata| (facts.dev(), facts.ino());
    let other = std::fs::metadata(&program).ok().filter(std::fs::Metadata::is_file).map(identity)?;
    (other != std::fs::metadata(OURS).ok().map(identity)?).then_some(program)
}
