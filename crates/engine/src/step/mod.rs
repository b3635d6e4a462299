//! Build steps: one command in the sandbox, its output streamed, nothing left behind.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use stockade_sandbox::{Limits, Mount};

use crate::{Engine, EngineError, Level, NetMode, ranges};

mod helper;
mod parent;
mod stubs;

pub(crate) use helper::clean_up_holder;

/// One command to run while building an image.
#[derive(Debug, Clone, Default)]
pub struct StepRequest {
    /// Lower directories, topmost first. Empty: `upper` itself is the whole root (as for `FROM scratch` and for
    /// configuring a bootstrapped base), and `work` is not used.
    pub lower: Vec<PathBuf>,
    /// Receives what the step changes, with container ids on disk. Must exist.
    pub upper: PathBuf,
    /// Overlay work directory, on the same file system as `upper`. Must exist.
    pub work: PathBuf,
    /// Program and arguments; the program is looked up in the PATH of `env` inside.
    pub args: Vec<String>,
    /// `NAME=value`. Nothing of the caller's environment is passed on.
    pub env: Vec<String>,
    /// Working directory inside, absolute; empty is `/`. Created when missing.
    pub cwd: String,
    /// `USER` as an image gives it: name or number, with optional group; empty is root.
    pub user: String,
    /// Host name; empty is `stockade-build`.
    pub hostname: String,
    /// Network of the step.
    pub network: NetMode,
    /// Mounts besides the usual ones (`RUN --mount`).
    pub mounts: Vec<Mount>,
    /// Confinement. At `standard` and `strict` the step has its own user id range and the capabilities of a build
    /// inside it; `compat` has no user namespace.
    pub level: Level,
    /// Limits; `None` fields take the level's defaults.
    pub limits: Limits,
    /// Lines for /etc/hosts as docker's `--add-host`: (`name`, `address`).
    pub extra_hosts: Vec<(String, String)>,
    /// Cancels the step from another thread.
    pub cancel: Option<Arc<Cancel>>,
}

/// Which stream of a step a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A switch that one thread throws and a running step obeys at once.
#[derive(Debug)]
pub struct Cancel {
    event: OwnedFd,
}

impl Cancel {
    /// A switch not yet thrown.
    pub fn new() -> Result<Arc<Cancel>, EngineError> {
        let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
        rustix::event::eventfd(0, flags)
            .map(|event| Arc::new(Cancel { event }))
            .map_err(|e| EngineError::System { what: "make an event descriptor", source: e.into() })
    }

    /// Throws the switch. It stays thrown.
    pub fn cancel(&self) {
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }
}

impl AsFd for Cancel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Engine {
    /// Runs one build step to its end and returns its exit code (128+n when signal n killed it).
    ///
    /// `out` is called on this thread with what the step writes, as it comes. Callable from several threads at once:
    /// each call works through a helper process of its own, which removes the step's cgroup, network and processes
    /// even when the calling process is killed.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] after [`Cancel::cancel`]; else what kept the step from starting, 126 and 127 as
    /// [`EngineError::exit_code`].
    pub fn run_step(&self, request: &StepRequest, out: &mut dyn FnMut(StepStream, &[u8])) -> Result<i32, EngineError> {
        if let NetMode::Container(name) = &request.network {
            return Err(EngineError::usage(format!("a build step cannot join the network of container {name}")));
        }
        if request.args.is_empty() {
            return Err(EngineError::usage("a build step without a command"));
        }
        self.prepare()?;
        let holder = holder()?;
        let stubs = stubs::Stubs::before(request);
        let range = ranges::reserve(self.root(), &holder)?;
        let result = parent::run(self, request, &holder, range, out);
        // The helper did all this already, unless it was killed.
        helper::clean_up(self, &holder, request);
        ranges::release(self.root(), range, &holder);
        stubs.remove();
        result
    }
}

/// `build-PID-STARTTIME-RANDOM`: names the step's cgroup, endpoint and id range, and tells whether its caller lives.
fn holder() -> Result<String, EngineError> {
    let pid = i32::try_from(std::process::id()).unwrap_or(0);
    let start = stockade_sandbox::process::start_time(pid).unwrap_or(0);
    let unique = crate::id::new_id()?;
    Ok(format!("build-{pid}-{start}-{}", crate::id::short(&unique)))
}

/// Whether the process that reserved something as `build-PID-STARTTIME-…` is alive. Other holders are none of ours.
pub(crate) fn holder_alive(holder: &str) -> bool {
    let mut fields = holder.strip_prefix("build-").unwrap_or_default().split('-');
    let (Some(Ok(pid)), Some(Ok(start))) = (fields.next().map(str::parse::<i32>), fields.next().map(str::parse::<u64>))
    else {
        return false;
    };
    stockade_sandbox::process::start_time(pid) == Some(start)
}
