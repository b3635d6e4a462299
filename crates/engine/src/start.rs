//! `start`: forks the monitor and hears from it.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use stockade_durable::Lock;
use stockade_sandbox::process;

use crate::client::Client;
use crate::error::{EngineError, system_error};
use crate::monitor::{self, Inheritance, Report};
use crate::record::{self, Record};
use crate::wire::Streams;
use crate::{Engine, id};

/// How to start.
#[derive(Debug, Clone, Copy, Default)]
pub struct StartOptions {
    /// Attach these streams from before the first byte.
    pub attach: Option<Streams>,
    /// Size of the terminal, columns and rows; (0, 0) leaves it unset.
    pub terminal: (u16, u16),
}

/// A container that was started.
#[derive(Debug)]
pub struct Started {
    /// The attached client, when streams were asked for.
    pub client: Option<Client>,
    /// What is worth telling the user.
    pub warnings: Vec<String>,
    /// It was running before.
    pub already: bool,
}

/// How long a monitor that has just recorded an end may take to be gone.
const LAST_MONITOR_PATIENCE: Duration = Duration::from_secs(15);

impl Engine {
    /// Starts a container that does not run. One that does is left alone ([`Started::already`]).
    ///
    /// The caller must have a single thread: it forks the monitor.
    ///
    /// # Errors
    /// [`EngineError::Start`] with docker's exit code when the program could not be run.
    pub fn start(&self, name: &str, options: &StartOptions) -> Result<Started, EngineError> {
        let id = self.resolve(name)?;
        let paths = self.container(&id);
        let lock = self.lock(&id)?;
        let record = Record::load(&paths, &id)?;
        if record.state.status.is_live() {
            drop(lock);
            let client = match options.attach {
                Some(streams) => Some(Client::attach(&paths, streams)?),
                None => None,
            };
            return Ok(Started { client, warnings: Vec::new(), already: true });
        }
        let alive = Lock::exclusive_within(&paths.monitor(), LAST_MONITOR_PATIENCE)?;
        // The lock of a former run directory (before a reboot) may have been taken: the state is what counts.
        let fresh_record = Record::load(&paths, &id)?;
        let restart = fresh_record.stale || fresh_record.state.status != record::Status::Created;
        let pair = || UnixStream::pair().map_err(system_error("make a socket pair"));
        let (mut from_monitor, report) = pair()?;
        // The request is in the socket before the monitor looks: nothing that the container writes is missed.
        let (client, theirs) = match options.attach {
            Some(streams) => {
                let (ours, theirs) = pair()?;
                (Some(Client::with_stream(ours, streams)?), Some(theirs))
            }
            None => (None, None),
        };
        let mut keep = vec![alive.file().as_fd(), report.as_fd()];
        keep.extend(theirs.as_ref().map(AsFd::as_fd));
        process::fork_detached(&keep, || {
            monitor::run(Inheritance {
                engine: self.clone(),
                record: fresh_record,
                lock: &alive,
                report: &report,
                foreground: theirs.as_ref(),
                terminal: options.terminal,
                restart,
            })
        })?;
        // From here on the monitor alone holds these.
        drop(keep);
        drop((alive, report, theirs));
        let mut bytes = Vec::new();
        from_monitor.read_to_end(&mut bytes).map_err(system_error("hear from the monitor"))?;
        drop(lock);
        let report: Report = serde_json::from_slice(&bytes).map_err(|_| EngineError::Start {
            message: format!("the monitor of container {} died while it was starting", id::short(&id)),
            exit_code: 125,
        })?;
        if let Some(message) = report.error {
            return Err(EngineError::Start { message, exit_code: report.exit_code });
        }
        Ok(Started { client, warnings: report.warnings, already: false })
    }
}
