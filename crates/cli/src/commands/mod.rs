//! One file for each verb: its arguments, and the call that they become.
//!
//! To add a verb: a file here with `pub struct Args` (clap) and `pub fn run(args: Args, context: &Context) -> Outcome`,
//! and one line in the table below.

use crate::Outcome;
use crate::context::Context;

pub use audit::image_facts;

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
    /// Make an image of a container's files
    Commit = commit,
    /// Container verbs by their long names, and prune
    Container = container,
    /// Copy files between a container and the host
    Cp = cp,
    /// Base images made from a distribution's signed archive: list, make, keep up to date
    Base = base,
    /// Build an image from a Dockerfile
    Build = build,
    /// Show and remove the build cache
    Builder = builder,
    /// Make a container without starting it
    Create = create,
    /// Show which files of its image a container changed
    Diff = diff,
    /// Show what happened and happens
    Events = events,
    /// Run another process in a running container
    Exec = exec,
    /// Write a container's files as a tar
    Export = export,
    /// Show what made each layer of an image
    History = history,
    /// Image verbs by their long names, and prune
    Image = image,
    /// List images
    Images = images,
    /// Make an image from a tar of a root file system
    Import = import,
    /// Describe this host and what Stockade keeps on it
    Info = info,
    /// Show everything about containers, images and volumes
    Inspect = inspect,
    /// Send a signal to containers
    Kill = kill,
    /// Read images from an archive
    Load = load,
    /// Check credentials with a registry and keep them
    Login = login,
    /// Forget the credentials of a registry
    Logout = logout,
    /// Show what a container wrote
    Logs = logs,
    /// Make, show and push lists of images for several platforms
    Manifest = manifest,
    /// Run containers from OCI bundles, as runc does: for dockerd, containerd and others
    Oci = oci,
    /// Freeze containers
    Pause = pause,
    /// Show where a container's ports are on the host
    Port = port,
    /// List containers
    Ps = ps,
    /// Bring an image from a registry
    Pull = pull,
    /// Send an image to a registry
    Push = push,
    /// Give a container another name
    Rename = rename,
    /// Stop containers and start them again
    Restart = restart,
    /// Remove containers
    Rm = rm,
    /// Remove images
    Rmi = rmi,
    /// Make a container and start it
    Run = run,
    /// Write images to an archive
    Save = save,
    /// Find images at a registry
    Search = search,
    /// Start containers that were created or have ended
    Start = start,
    /// Show what containers use
    Stats = stats,
    /// Stop containers
    Stop = stop,
    /// Check, weigh, clean and describe all that Stockade keeps
    System = system,
    /// Give an image another name
    Tag = tag,
    /// Show the processes of a container
    Top = top,
    /// Let frozen containers go on
    Unpause = unpause,
    /// Change limits and restart policy of containers
    Update = update,
    /// Make, show and remove volumes
    Volume = volume,
    /// Wait for the end of containers and print their exit codes
    Wait = wait,
    /// Check how safe a host, its daemons, images, containers and files are
    Audit = audit,
    /// Show and renew the advisory database
    Db = db,
    /// Say what a container may do and why, or why a vulnerability was found in a target
    Explain = explain,
    /// List what is inside an image, a directory or an archive as a bill of materials
    Sbom = sbom,
    /// Find known vulnerabilities in an image, a directory or an archive
    Scan = scan,
    /// Look again and again, and say what is new
    Watch = watch,
    /// Check Dockerfiles for what is unwise, and mend it
    Lint = lint,
    /// Show the version
    Version = version,
}

impl Command {
    /// Whether the verb deals with what only root may do, if only with files of containers' users. The others look at the
    /// host as the user who asks, or need nobody's rights.
    pub fn touches_containers(&self) -> bool {
        !matches!(
            self,
            Command::Audit(_)
                | Command::Db(_)
                | Command::Lint(_)
                | Command::Login(_)
                | Command::Logout(_)
                | Command::Oci(_)
                | Command::Search(_)
                | Command::Version(_)
        )
    }
}

pub use lint::before_verb as before_lint;
pub use oci::{invocation as oci_invocation, main as oci_main};
