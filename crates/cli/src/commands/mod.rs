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
    /// Show the version
    /// Check how safe a host, its daemons, images, containers and files are
    Audit = audit,
    /// Show the version
    Version = version,
}
