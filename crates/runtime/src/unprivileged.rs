//! Without root: the process makes itself root of a user namespace of its user, as the rest of Stockade does, and executes
//! itself again there.

use std::path::PathBuf;

use stockade_oci::{OciError, Outer};
use stockade_sandbox::rootless;

/// The directory of volatile state: `$STOCKADE_RUN`, /run/stockade for root, below `$XDG_RUNTIME_DIR` for others.
pub(crate) fn run_directory() -> PathBuf {
    if let Some(dir) = std::env::var_os("STOCKADE_RUN") {
        return PathBuf::from(dir);
    }
    let user = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if rustix::process::geteuid().is_root() && !rootless::in_namespace_of_a_user() {
        return PathBuf::from("/run/stockade");
    }
    let data = || {
        let home = user("HOME").unwrap_or_else(|| PathBuf::from("/"));
        user("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share")).join("stockade/stockade-run")
    };
    user("XDG_RUNTIME_DIR").map_or_else(data, |dir| dir.join("stockade"))
}

/// Makes this process root of a namespace, unless it is root of one already or `wanted` (`--rootless`) says not to. Does
/// not come back where it does: the program starts again there.
pub(crate) fn become_root_of_a_namespace(wanted: &str) -> Result<(), String> {
    let failed = |e: stockade_sandbox::SandboxError| OciError::from(e).chain();
    if rustix::process::geteuid().is_root() {
        if wanted == "true" && !rootless::in_namespace_of_a_user() {
            return Err(
                "--rootless true is for ordinary users: root has nothing to gain by it; leave it out".to_owned()
            );
        }
        return Ok(());
    }
    if wanted == "false" {
        let uid = rustix::process::geteuid().as_raw();
        return Err(format!("this is user {uid}, and --rootless false asks for root's rights; leave it out"));
    }
    rootless::enter(&run_directory()).map_err(failed)?;
    stockade_sandbox::process::run_again().map_err(failed)
}

/// Lets later calls find the namespace in which the container `pid` was made.
pub(crate) fn remember(pid: i32) {
    if outer().is_some() {
        rootless::register_below(&run_directory(), pid);
    }
}

/// What the ids of our namespace are outside, if we made it.
pub(crate) fn outer() -> Option<Outer> {
    rootless::active()?;
    rootless::entered(&run_directory()).map(|(uid, gid)| Outer { uid, gid })
}
