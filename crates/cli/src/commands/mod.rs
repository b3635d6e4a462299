//! One file for each verb: its arguments, and the call that they become.
//!
//! To add a verb: a file here with `pub struct Args` (clap) and `pub fn run(args: Args, context: &Context) -> Outcome`,
//! and one line in the table below.

use crate::Outcome;
use crate::context::Context;

macro_rules! commands {
    ($($(#[$attribute:meta])* $variant:ident = $module:ident,)*) => {
        $(mod $module;)*

        /// All verbs.
        #[derive(Debug, clap::Subcommand)]
        pub enum Command {
            $($(#[$attribute])* $variant($module::Args),)*
        }

        impl Command {
            /// Runs the chosen verb.
            pub fn run(self, context: &Context) -> Outcome {
                match self {
                    $(Command::$variant(args) => $module::run(args, context),)*
                }
            }
        }
    };
}

commands! {
    /// Connect the terminal to a running container
    Attach = attach,
    /// Make a container without starting it
    Create = create,
    /// Run another process in a running container
    Exec = exec,
    /// Send a signal to containers
    Kill = kill,
    /// Show what a container wrote
    Logs = logs,
    /// Freeze containers
    Pause = pause,
    /// Give a container another name
    Rename = rename,
    /// Stop containers and start them again
    Restart = restart,
    /// Remove containers
    Rm = rm,
    /// Make a container and start it
    Run = run,
    /// Start containers that were created or have ended
    Start = start,
    /// Stop containers
    Stop = stop,
    /// Let frozen containers go on
    Unpause = unpause,
    /// Wait for the end of containers and print their exit codes
    Wait = wait,
    /// Show the version
    /// Check how safe a host, its daemons, images, containers and files are
    Audit = audit,
    /// Find known vulnerabilities in an image, a directory or an archive
    Scan = scan,
    /// Show the version
    Version = version,
}
