//! Verbs that ask a running monitor: stop, kill, pause, wait, attach; and restart, rename, update.

use stockade_durable as durable;

use crate::client::Client;
use crate::error::EngineError;
use crate::record::{self, Record, Status};
use crate::restart::RestartPolicy;
use crate::spec::LimitSpec;
use crate::start::{StartOptions, Started};
use crate::wire::{Kind, Streams};
use crate::{Engine, names, signals};

/// What `update` changes; `None` leaves it.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpdateRequest {
    /// Fields that are `Some` are changed.
    pub limits: LimitSpec,
    /// Restart policy.
    pub restart: Option<RestartPolicy>,
}

impl Engine {
    /// A connection to the monitor of a container that runs (or waits for its next start).
    fn talk(&self, name: &str) -> Result<(Record, Client), EngineError> {
        let record = self.find(name)?;
        if record.state.status.is_live() {
            match Client::connect(&self.container(&record.spec.id)) {
                Ok(client) => return Ok((record, client)),
                Err(e) => {
                    // It may have ended between the two looks.
                    if self.find(name)?.state.status.is_live() {
                        return Err(e);
                    }
                }
            }
        }
        Err(not_running(name, &self.find(name)?))
    }

    /// Stops a container: its stop signal (or `signal`), then SIGKILL after `seconds` (negative: never; `None`: the
    /// container's own, else 10). Returns when it has ended and is cleaned up. Fine if it does not run.
    pub fn stop(&self, name: &str, signal: Option<i32>, seconds: Option<i64>) -> Result<(), EngineError> {
        let (record, mut client) = match self.talk(name) {
            Ok(pair) => pair,
            Err(EngineError::WrongState { .. }) => return Ok(()),
            Err(e) => return Err(e),
        };
        let mut payload = signal.unwrap_or(0).to_le_bytes().to_vec();
        if let Some(seconds) = seconds {
            payload.extend_from_slice(&seconds.to_le_bytes());
        }
        match client.ask(Kind::Stop, &payload).and_then(|()| client.wait_exit()) {
            // Gone before it could say so: the record has the end.
            Ok(_) | Err(EngineError::MonitorGone | EngineError::System { .. }) => {}
            Err(e) => return Err(e),
        }
        self.emit(&record, "stop", &[]);
        Ok(())
    }

    /// Sends a signal to the container's first process.
    pub fn kill(&self, name: &str, signal: i32) -> Result<(), EngineError> {
        let (_, mut client) = self.talk(name)?;
        if signal != signals::KILL {
            return client.signal(signal);
        }
        // After SIGKILL nothing can come between: docker's `kill` returns when the container is dead.
        client.ask(Kind::Wait, &[])?;
        client.signal(signal)?;
        client.wait_exit().map(drop)
    }

    /// Freezes every process of a container.
    pub fn pause(&self, name: &str) -> Result<(), EngineError> {
        let (_, mut client) = self.talk(name)?;
        client.ask(Kind::Pause, &[])
    }

    /// Lets a frozen container go on.
    pub fn unpause(&self, name: &str) -> Result<(), EngineError> {
        let (_, mut client) = self.talk(name)?;
        client.ask(Kind::Unpause, &[])
    }

    /// Waits for a container's end and returns its exit code; at once if it does not run.
    pub fn wait(&self, name: &str) -> Result<i32, EngineError> {
        let id = self.resolve(name)?;
        let paths = self.container(&id);
        if self.load(&id)?.state.status.is_live()
            && let Ok(mut client) = Client::connect(&paths)
            && client.ask(Kind::Wait, &[]).is_ok()
            && let Some(code) = client.wait_exit()?
        {
            return Ok(code);
        }
        crate::monitor::wait_dead(&paths, std::time::Duration::from_secs(5));
        Ok(self.load(&id)?.state.exit_code)
    }

    /// Attaches to a running container.
    pub fn attach(&self, name: &str, streams: Streams) -> Result<(Record, Client), EngineError> {
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
            _ => return Err(not_running(name, &record)),
        }
        let client = Client::attach(&self.container(&record.spec.id), streams)?;
        self.emit(&record, "attach", &[]);
        Ok((record, client))
    }

    /// Stops and starts again.
    pub fn restart(&self, name: &str, signal: Option<i32>, seconds: Option<i64>) -> Result<Started, EngineError> {
        let mark = self.container(&self.resolve(name)?).restarting();
        durable::write_volatile(&mark, b"", 0o600)?;
        let restarted = self.stop(name, signal, seconds).and_then(|()| self.start(name, &StartOptions::default()));
        let _ = std::fs::remove_file(&mark);
        let started = restarted?;
        self.emit(&self.find(name)?, "restart", &[]);
        Ok(started)
    }

    /// Gives a container another name.
    pub fn rename(&self, name: &str, new: &str) -> Result<(), EngineError> {
        let id = self.resolve(name)?;
        let _lock = self.lock(&id)?;
        let record = self.load_locked(&id)?;
        if record.name == new {
            return Err(EngineError::usage(format!("container {name} has the name `{new}` already")));
        }
        names::reserve(self.root(), new, &id)?;
        if let Err(e) = durable::write(&self.container(&id).name(), new.as_bytes(), 0o644) {
            names::release(self.root(), new, &id);
            return Err(e.into());
        }
        names::release(self.root(), &record.name, &id);
        let record = Record { name: new.to_owned(), ..record };
        self.emit(&record, "rename", &[("oldName", name.to_owned())]);
        Ok(())
    }

    /// Changes limits and restart policy, of a running container at once.
    pub fn update(&self, name: &str, request: &UpdateRequest) -> Result<(), EngineError> {
        let id = self.resolve(name)?;
        let paths = self.container(&id);
        let _lock = self.lock(&id)?;
        let before = self.load_locked(&id)?.spec;
        let mut spec = before.clone();
        let (old, new) = (&mut spec.host.limits, &request.limits);
        for (old, new) in [
            (&mut old.memory_bytes, new.memory_bytes),
            (&mut old.memory_swap_bytes, new.memory_swap_bytes),
            (&mut old.memory_reservation_bytes, new.memory_reservation_bytes),
            (&mut old.cpu_millis, new.cpu_millis),
            (&mut old.cpu_shares, new.cpu_shares),
            (&mut old.pids, new.pids),
        ] {
            if new.is_some() {
                *old = new;
            }
        }
        if let Some(restart) = request.restart {
            if spec.host.auto_remove && restart != RestartPolicy::No {
                return Err(EngineError::usage("a container with --rm cannot have a restart policy"));
            }
            spec.host.restart = restart;
        }
        record::write_spec(&paths, &spec)?;
        if record::monitor_alive(&paths)
            && let Ok(mut client) = Client::connect(&paths)
            && let Err(e @ EngineError::Refused { .. }) = client.ask(Kind::Update, &[])
        {
            // The kernel said no: the record must not promise what is not in force.
            record::write_spec(&paths, &before)?;
            return Err(e);
        }
        Ok(())
    }

    /// As `load`, for a caller that holds the lock (which `bury` would wait for).
    fn load_locked(&self, id: &str) -> Result<Record, EngineError> {
        Record::load(&self.container(id), id)
    }
}

fn not_running(name: &str, record: &Record) -> EngineError {
    EngineError::WrongState {
        name: name.to_owned(),
        status: record.state.status.name().to_owned(),
        hint: ", not running",
    }
}
