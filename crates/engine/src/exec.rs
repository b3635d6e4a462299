//! `exec`: another process in a running container, with the container's confinement.

use std::os::fd::OwnedFd;

use stockade_sandbox::{Running, Stdio, Target, resolve_user_in};

use crate::error::EngineError;
use crate::plan::{add_default, capabilities, process, seccomp_policy};
use crate::record::{Record, Status};
use crate::{Engine, paths, ranges};

/// What `exec` asks for.
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Beyond the container's own, `NAME=value`.
    pub env: Vec<String>,
    /// `-w`; `None` takes the container's.
    pub workdir: Option<String>,
    /// `-u`; `None` takes the container's.
    pub user: Option<String>,
    /// `--privileged`: all capabilities and no filter. Inside a user namespace these reach no further than it.
    pub privileged: bool,
}

/// A process that `exec` started. It is a child of the caller.
#[derive(Debug)]
pub struct ExecProcess {
    /// Wait on it, or poll its pidfd.
    pub running: Running,
    /// Our side of the terminal, when there is one.
    pub terminal: Option<OwnedFd>,
}

impl Engine {
    /// Runs a process in the container `name`. `stdio` is `None` with a `terminal` (columns, rows).
    ///
    /// # Errors
    /// [`EngineError::WrongState`] when the container does not run; 126 and 127 by [`EngineError::exit_code`].
    pub fn exec(
        &self,
        name: &str,
        request: &ExecRequest,
        stdio: Option<Stdio>,
        terminal: Option<(u16, u16)>,
    ) -> Result<ExecProcess, EngineError> {
        let record = self.find(name)?;
        match record.state.status {
            Status::Running => {}
            Status::Paused => {
                return Err(EngineError::WrongState {
                    name: name.to_owned(),
                    status: "paused".to_owned(),
                    hint: "; unpause it first",
                });
            }
            other => {
                return Err(EngineError::WrongState {
                    name: name.to_owned(),
                    status: other.name().to_owned(),
                    hint: ", not running; start it first",
                });
            }
        }
        let mut running = self.exec_process(&record, request, stdio, terminal)?;
        self.emit(&record, &format!("exec_start: {}", request.command.join(" ")), &[]);
        let terminal = running.take_terminal();
        Ok(ExecProcess { running, terminal })
    }

    /// As [`Engine::exec`], for a record that is known to run.
    pub(crate) fn exec_process(
        &self,
        record: &Record,
        request: &ExecRequest,
        stdio: Option<Stdio>,
        terminal: Option<(u16, u16)>,
    ) -> Result<Running, EngineError> {
        let spec = &record.spec;
        let upper = self.container(&spec.id).upper();
        let mut layers = vec![upper.clone()];
        layers.extend(spec.lower.iter().cloned());
        let user = match &request.user {
            Some(user) => resolve_user_in(&layers, user)?,
            None => crate::monitor::resolve_user(spec, &upper)?,
        };
        crate::unprivileged::check_user(&user, spec.confine.id_range.map(ranges::id_map).as_ref())?;
        let mut confine = spec.confine.clone();
        confine.privileged |= request.privileged;
        let capabilities = capabilities(&confine, user.uid)?;
        let mut process = process(spec, &user, capabilities, terminal);
        process.args.clone_from(&request.command);
        for pair in &request.env {
            let name = pair.split_once('=').map_or(pair.as_str(), |(n, _)| n);
            process.env.retain(|old| old.split_once('=').is_none_or(|(n, _)| n != name));
            process.env.push(pair.clone());
        }
        if terminal.is_some() {
            add_default(&mut process.env, "TERM", "xterm");
        }
        if let Some(workdir) = &request.workdir {
            process.cwd.clone_from(workdir);
        }
        if request.privileged {
            process.no_new_privileges = false;
        }
        let target = Target {
            pid: record.state.pid,
            id_map: confine.id_range.map(ranges::id_map),
            cgroup: paths::cgroup(&spec.id),
            seccomp: seccomp_policy(&confine, capabilities),
            landlock: confine.level != crate::Level::Compat && !confine.privileged,
        };
        Ok(crate::runtime::current().exec(&target, &process, stdio)?)
    }
}
