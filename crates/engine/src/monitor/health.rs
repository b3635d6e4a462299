//! Health checks: a command in the container at intervals, and what its exit codes mean together.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};
use stockade_image::config::Healthcheck;
use stockade_sandbox::{Running, Stdio};

use super::Monitor;
use super::peer::nonblocking;
use crate::error::{EngineError, system_error};
use crate::exec::ExecRequest;
use crate::paths::ContainerPaths;
use crate::record::{Record, Status};
use crate::{clock, signals};

/// Docker's defaults.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u64 = 3;
/// Output of a check that is kept, in bytes (docker's number).
const OUTPUT_LIMIT: usize = 4096;
/// Results that are kept (docker's number).
const RESULTS: usize = 5;

/// What `inspect` shows under `State.Health`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HealthState {
    /// `starting`, `healthy`, `unhealthy`.
    pub status: String,
    /// Failures in a row.
    pub failing_streak: u64,
    /// The last results, oldest first.
    pub log: VecDeque<HealthResult>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HealthResult {
    /// RFC 3339.
    pub start: String,
    /// RFC 3339.
    pub end: String,
    /// 0 healthy, 1 unhealthy, -1 took too long or could not run.
    pub exit_code: i32,
    /// What it wrote, cut.
    pub output: String,
}

/// The checks of a running container.
pub(super) struct Health {
    args: Vec<String>,
    interval: Duration,
    start_interval: Duration,
    timeout: Duration,
    retries: u64,
    start_period_until: Instant,
    next_at: Instant,
    check: Option<Check>,
    state: HealthState,
    paths: ContainerPaths,
}

/// A check that runs.
struct Check {
    running: Running,
    output: Option<OwnedFd>,
    text: Vec<u8>,
    started: String,
    deadline: Instant,
}

impl Health {
    pub fn new(config: &Healthcheck, paths: &ContainerPaths) -> Health {
        let or = |nanos: u64, default| if nanos == 0 { default } else { Duration::from_nanos(nanos) };
        let now = Instant::now();
        let interval = or(config.interval, INTERVAL);
        let start_period = Duration::from_nanos(config.start_period);
        let start_interval = or(config.start_interval, START_INTERVAL);
        let first = if start_period.is_zero() { interval } else { start_interval.min(interval) };
        let health = Health {
            args: arguments(&config.test),
            interval,
            start_interval,
            timeout: or(config.timeout, TIMEOUT),
            retries: if config.retries == 0 { RETRIES } else { config.retries },
            start_period_until: now + start_period,
            next_at: now + first,
            check: None,
            state: HealthState { status: "starting".to_owned(), ..HealthState::default() },
            paths: paths.clone(),
        };
        health.write();
        health
    }

    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let Some(check) = &self.check else { return Vec::new() };
        std::iter::once(check.running.pidfd()).chain(check.output.as_ref().map(AsFd::as_fd)).collect()
    }

    pub fn deadline(&self) -> Option<Instant> {
        Some(self.check.as_ref().map_or(self.next_at, |c| c.deadline))
    }

    /// The container ended: a check that runs ended with it.
    pub fn abort(self) {
        if let Some(mut check) = self.check {
            let _ = stockade_sandbox::process::send_signal(check.running.pidfd(), signals::KILL);
            let _ = check.running.wait();
        }
    }

    fn write(&self) {
        if let Ok(bytes) = serde_json::to_vec(&self.state) {
            let _ = stockade_durable::write_volatile(&self.paths.health(), &bytes, 0o600);
        }
    }

    /// Takes a result in. Answers the new status when it changed.
    fn record(&mut self, result: HealthResult, now: Instant) -> Option<String> {
        let good = result.exit_code == 0;
        self.state.log.push_back(result);
        while self.state.log.len() > RESULTS {
            self.state.log.pop_front();
        }
        let before = self.state.status.clone();
        if good {
            self.state.failing_streak = 0;
            "healthy".clone_into(&mut self.state.status);
        } else {
            let still_starting = before == "starting" && now < self.start_period_until;
            if !still_starting {
                self.state.failing_streak += 1;
            }
            if self.state.failing_streak >= self.retries {
                "unhealthy".clone_into(&mut self.state.status);
            }
        }
        let starting = self.state.status == "starting" && now < self.start_period_until;
        self.next_at = now + if starting { self.start_interval.min(self.interval) } else { self.interval };
        self.write();
        (self.state.status != before).then(|| self.state.status.clone())
    }
}

/// `CMD` runs as it is, `CMD-SHELL` through the image's `/bin/sh`.
fn arguments(test: &[String]) -> Vec<String> {
    match test {
        [kind, rest @ ..] if kind == "CMD" => rest.to_vec(),
        [kind, line, ..] if kind == "CMD-SHELL" => vec!["/bin/sh".into(), "-c".into(), line.clone()],
        other => other.to_vec(),
    }
}

impl Monitor {
    /// Looks after the health check: starts one when it is time, and takes in one that ended.
    pub(super) fn health_tick(&mut self, now: Instant) {
        let Some(mut health) = self.health.take() else { return };
        if let Some(mut check) = health.check.take() {
            match check.turn(now) {
                None => health.check = Some(check),
                Some(result) => {
                    if let Some(status) = health.record(result, now) {
                        self.emit(&format!("health_status: {status}"), &[]);
                    }
                }
            }
        } else if now >= health.next_at && self.state.status == Status::Running && !self.has_exited() {
            let started = clock::now();
            match self.start_check(&health, now) {
                Ok(check) => health.check = Some(check),
                Err(e) => {
                    let result = HealthResult { start: started, end: clock::now(), exit_code: -1, output: e.chain() };
                    if let Some(status) = health.record(result, now) {
                        self.emit(&format!("health_status: {status}"), &[]);
                    }
                }
            }
        } else if now >= health.next_at {
            // Paused: the next chance comes an interval later.
            health.next_at = now + health.interval;
        }
        self.health = Some(health);
    }

    fn has_exited(&self) -> bool {
        self.live.as_ref().is_none_or(|l| l.exit.is_some())
    }

    fn start_check(&self, health: &Health, now: Instant) -> Result<Check, EngineError> {
        let record = Record { spec: self.spec.clone(), name: String::new(), state: self.state.clone(), stale: false };
        let failed = || system_error("make a pipe for a health check");
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(failed())?;
        nonblocking(&ours).map_err(failed())?;
        let stderr = theirs.try_clone().map_err(system_error("copy a descriptor"))?;
        let stdin = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(system_error("open /dev/null"))?;
        let request = ExecRequest { command: health.args.clone(), ..ExecRequest::default() };
        let running =
            self.engine.exec_process(&record, &request, Some(Stdio { stdin, stdout: theirs, stderr }), None)?;
        Ok(Check {
            running,
            output: Some(ours),
            text: Vec::new(),
            started: clock::now(),
            deadline: now + health.timeout,
        })
    }
}

impl Check {
    /// Reads what it wrote; a result when it ended or took too long.
    fn turn(&mut self, now: Instant) -> Option<HealthResult> {
        self.read();
        let code = match self.running.try_wait() {
            Ok(None) if now < self.deadline => return None,
            Ok(None) => {
                let _ = stockade_sandbox::process::send_signal(self.running.pidfd(), signals::KILL);
                let _ = self.running.wait();
                -1
            }
            Ok(Some(status)) => status.code,
            Err(_) => -1,
        };
        self.read();
        let output = if code == -1 {
            "Health check exceeded its timeout".to_owned()
        } else {
            String::from_utf8_lossy(&self.text).into_owned()
        };
        Some(HealthResult { start: self.started.clone(), end: clock::now(), exit_code: code, output })
    }

    fn read(&mut self) {
        let Some(fd) = &self.output else { return };
        let mut bytes = [0u8; 1024];
        loop {
            match rustix::io::read(fd, &mut bytes) {
                Ok(0) => break,
                Ok(n) => {
                    let room = OUTPUT_LIMIT.saturating_sub(self.text.len());
                    self.text.extend_from_slice(bytes.get(..n.min(room)).unwrap_or_default());
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => break,
            }
        }
        self.output = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(config: &Healthcheck) -> (tempfile::TempDir, Health) {
        let dir = tempfile::tempdir().unwrap();
        let paths = ContainerPaths { dir: dir.path().to_owned(), run: dir.path().to_owned() };
        let health = Health::new(config, &paths);
        (dir, health)
    }

    fn result(exit_code: i32) -> HealthResult {
        HealthResult { start: String::new(), end: String::new(), exit_code, output: String::new() }
    }

    #[test]
    fn three_failures_in_a_row_are_unhealthy_and_one_success_heals() {
        let (_dir, mut health) = health(&Healthcheck::default());
        let now = Instant::now();
        assert_eq!(health.record(result(0), now).as_deref(), Some("healthy"));
        assert_eq!(health.record(result(1), now), None);
        assert_eq!(health.record(result(1), now), None);
        assert_eq!(health.record(result(1), now).as_deref(), Some("unhealthy"));
        assert_eq!(health.record(result(0), now).as_deref(), Some("healthy"));
        assert_eq!(health.state.failing_streak, 0);
        for _ in 0..10 {
            health.record(result(0), now);
        }
        assert_eq!(health.state.log.len(), RESULTS);
    }

    #[test]
    fn failures_while_starting_do_not_count() {
        let config = Healthcheck { start_period: 60_000_000_000, retries: 1, ..Healthcheck::default() };
        let (_dir, mut health) = health(&config);
        let now = Instant::now();
        assert_eq!(health.record(result(1), now), None);
        assert_eq!(health.state.failing_streak, 0);
        let later = now + Duration::from_secs(61);
        assert_eq!(health.record(result(1), later).as_deref(), Some("unhealthy"));
    }

    #[test]
    fn shell_form_runs_through_the_shell() {
        let words = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(arguments(&words(&["CMD", "a", "b"])), words(&["a", "b"]));
        assert_eq!(arguments(&words(&["CMD-SHELL", "a && b"])), words(&["/bin/sh", "-c", "a && b"]));
    }
}
