//! The seam for other kinds of isolation: what the engine needs from whatever runs a container's process.
//!
//! There is one implementation, [`Namespaces`]: the sandbox, which confines a process of the host's own kernel. A runtime of
//! micro virtual machines would be another: it gets the same plan, and hands back a process to wait for that stands for the
//! machine, and a network namespace to connect its device to. What the engine does around it (network, files, log, restart,
//! limits by control group) does not depend on which it is.

use stockade_sandbox::{Created, Plan, Process, Running, SandboxError, Stdio, Target};

use crate::EngineError;

/// Runs containers' processes. Each call has the meaning, and the promises on errors, of the sandbox's function of its name.
pub(crate) trait ContainerRuntime: Sync {
    /// Sets up everything of `plan` up to the program, which then waits: [`Created::start`] runs it, and dropping it undoes
    /// all. `stdio` may be `None` only where the plan has a terminal.
    fn create(&self, plan: &Plan, stdio: Option<Stdio>) -> Result<Created, SandboxError>;

    /// Runs another process in a container that runs.
    fn exec(&self, target: &Target, process: &Process, stdio: Option<Stdio>) -> Result<Running, SandboxError>;
}

/// Namespaces, control groups, and the rest of the sandbox.
struct Namespaces;

impl ContainerRuntime for Namespaces {
    fn create(&self, plan: &Plan, stdio: Option<Stdio>) -> Result<Created, SandboxError> {
        stockade_sandbox::create(plan, stdio)
    }

    fn exec(&self, target: &Target, process: &Process, stdio: Option<Stdio>) -> Result<Running, SandboxError> {
        stockade_sandbox::exec(target, process, stdio)
    }
}

/// The runtime of every container and build step.
pub(crate) fn current() -> &'static dyn ContainerRuntime {
    &Namespaces
}

/// Checks a runtime's name (`--runtime`, `--isolation`).
///
/// # Errors
/// All names but those of the one runtime that there is, each with what to use instead.
pub fn check_runtime(name: &str) -> Result<(), EngineError> {
    match name {
        "" | "default" | "stockade" | "namespaces" => Ok(()),
        "vm" | "kata" | "kata-runtime" | "kvm" => Err(EngineError::usage(format!(
            "the runtime `{name}` is not available: there is no virtual machine monitor yet; use --confine strict, the \
             tightest confinement on the host's kernel"
        ))),
        "runc" | "crun" | "runsc" | "youki" | "io.containerd.runc.v2" => Err(EngineError::usage(format!(
            "the runtime `{name}` is not available: stockade is its own runtime, and confines by --confine compat, standard \
             or strict; `stockade-oci` takes the place of runc for other engines"
        ))),
        "hyperv" | "process" => Err(EngineError::usage(format!(
            "the isolation `{name}` is Windows'; use --confine compat, standard or strict"
        ))),
        other => Err(EngineError::usage(format!(
            "there is no runtime `{other}`: leave it out, or choose the confinement by --confine compat, standard or strict"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_runtimes_are_refused_with_what_to_use() {
        for known in ["", "default", "stockade", "namespaces"] {
            check_runtime(known).unwrap();
        }
        let refusal = |name: &str| check_runtime(name).unwrap_err().to_string();
        assert!(refusal("vm").contains("--confine strict"));
        assert!(refusal("runc").contains("stockade-oci"));
        assert!(refusal("hyperv").contains("Windows"));
        assert!(refusal("weather").contains("no runtime `weather`"));
    }
}
