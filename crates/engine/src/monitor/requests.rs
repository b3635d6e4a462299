//! What clients ask of a running monitor.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use stockade_sandbox::process;

use super::Monitor;
use super::peer::Peer;
use crate::error::EngineError;
use crate::record::{Record, Status};
use crate::signals;
use crate::wire::{self, Kind, Streams};

/// Seconds between the stop signal and SIGKILL when nothing else was said (docker's number).
pub(crate) const DEFAULT_STOP_SECONDS: i64 = 10;

impl Monitor {
    /// Handles what the peers sent, and lets those go that are gone.
    pub(super) fn peers_after_events(&mut self) {
        let mut peers = std::mem::take(&mut self.peers);
        for peer in &mut peers {
            while let Some((kind, payload)) = peer.next_request() {
                self.request(peer, kind, &payload);
            }
            peer.flush();
            if peer.gone {
                self.on_gone(peer);
            }
        }
        // Those who joined while we were busy are kept too.
        peers.append(&mut self.peers);
        peers.retain(|p| !p.gone && (!p.leaving || p.has_output()));
        self.peers = peers;
    }

    /// A client that goes without a word ends the input that it alone gave (docker's `StdinOnce`).
    fn on_gone(&mut self, peer: &Peer) {
        let gave_input = peer.foreground && peer.streams.is_some_and(|s| s.stdin) && !peer.detached;
        if gave_input && !self.spec.tty {
            self.end_input();
        }
    }

    fn end_input(&mut self) {
        let Some(live) = &mut self.live else { return };
        if live.streams.terminal.is_some() {
            // Ctrl-D: a terminal has no other end of input.
            live.input.push(4);
        } else {
            live.input_ends = true;
        }
        self.feed_input();
    }

    fn request(&mut self, peer: &mut Peer, kind: Kind, payload: &[u8]) {
        match kind {
            Kind::Attach => {
                peer.streams = Some(Streams::from_byte(payload.first().copied().unwrap_or(0)));
                peer.push(Kind::Ok, &[]);
            }
            Kind::Stdin => {
                if let Some(live) = &mut self.live
                    && peer.streams.is_some_and(|s| s.stdin)
                    && self.spec.interactive
                    && !live.input_ends
                {
                    live.input.extend_from_slice(payload);
                    self.feed_input();
                }
            }
            Kind::StdinEnd => {
                if self.spec.interactive {
                    self.end_input();
                }
            }
            Kind::Detach => {
                peer.detached = true;
                peer.leaving = true;
            }
            Kind::Resize => {
                if let (Some(columns), Some(rows)) = (wire::as_u16(payload, 0), wire::as_u16(payload, 2)) {
                    self.resize(columns, rows);
                }
            }
            Kind::Signal => {
                let result = match wire::as_i32(payload) {
                    Some(signal) => self.kill(signal),
                    None => Err(EngineError::usage("a signal request without a signal")),
                };
                peer.answer(result);
            }
            Kind::Stop => {
                let signal = wire::as_i32(payload).filter(|n| *n != 0).unwrap_or_else(|| self.stop_signal());
                let seconds = wire::as_i64(payload, 4);
                self.state.stopped_by_hand = true;
                peer.waiting = true;
                peer.push(Kind::Ok, &[]);
                self.begin_stop(signal, seconds);
            }
            Kind::Wait => {
                peer.waiting = true;
                peer.push(Kind::Ok, &[]);
            }
            Kind::Pause => {
                let result = self.pause();
                peer.answer(result);
            }
            Kind::Unpause => {
                let result = self.unpause();
                peer.answer(result);
            }
            Kind::Update => {
                let result = self.update();
                peer.answer(result);
            }
            // Only we send these.
            Kind::Stdout | Kind::Stderr | Kind::Exit | Kind::Ok | Kind::Error => peer.gone = true,
        }
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.terminal = (columns, rows);
        if let Some(terminal) = self.live.as_ref().and_then(|l| l.streams.terminal.as_ref()) {
            let size = rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            let _ = rustix::termios::tcsetwinsize(terminal, size);
        }
    }

    pub(super) fn stop_signal(&self) -> i32 {
        signals::parse(&self.spec.stop_signal).unwrap_or(signals::TERM)
    }

    /// `stop`: the signal now, SIGKILL when the time is over. Negative seconds wait for ever.
    pub(super) fn begin_stop(&mut self, signal: i32, seconds: Option<i64>) {
        if self.live.is_none() {
            return;
        }
        self.thaw_for_signal();
        self.send_signal(signal);
        let seconds = seconds.or(self.spec.stop_timeout).unwrap_or(DEFAULT_STOP_SECONDS);
        self.kill_at = u64::try_from(seconds).ok().map(|s| Instant::now() + Duration::from_secs(s));
    }

    /// `kill`. Docker's rule: SIGKILL and the stop signal also put the restart policy to rest.
    fn kill(&mut self, signal: i32) -> Result<(), EngineError> {
        if self.live.is_none() {
            if signal == signals::KILL || signal == self.stop_signal() {
                self.state.stopped_by_hand = true;
                return Ok(());
            }
            return Err(self.not_running());
        }
        if signal == signals::KILL || signal == self.stop_signal() {
            self.state.stopped_by_hand = true;
            self.thaw_for_signal();
        }
        self.send_signal(signal);
        self.emit("kill", &[("signal", signal.to_string())]);
        Ok(())
    }

    pub(super) fn send_signal(&self, signal: i32) {
        if let Some(live) = &self.live {
            let _ = process::send_signal(live.running.pidfd().as_fd(), signal);
        }
    }

    /// A frozen process acts on no signal.
    fn thaw_for_signal(&mut self) {
        if self.state.status == Status::Paused {
            let _ = self.unpause();
        }
    }

    fn not_running(&self) -> EngineError {
        EngineError::WrongState {
            name: self.name(),
            status: self.state.status.name().to_owned(),
            hint: ", not running",
        }
    }

    fn pause(&mut self) -> Result<(), EngineError> {
        if self.state.status != Status::Running {
            return Err(self.not_running());
        }
        self.cgroup().freeze().map_err(crate::unprivileged::no_freezer)?;
        self.state.status = Status::Paused;
        self.write_state();
        self.emit("pause", &[]);
        Ok(())
    }

    fn unpause(&mut self) -> Result<(), EngineError> {
        if self.state.status != Status::Paused {
            return Err(EngineError::WrongState {
                name: self.name(),
                status: self.state.status.name().to_owned(),
                hint: ", not paused",
            });
        }
        self.cgroup().thaw()?;
        self.state.status = Status::Running;
        self.write_state();
        self.emit("unpause", &[]);
        Ok(())
    }

    /// `update` wrote a new specification: limits and restart policy of it are taken over.
    fn update(&mut self) -> Result<(), EngineError> {
        let spec = Record::load(&self.paths, &self.spec.id)?.spec;
        if self.live.is_some() && spec.host.limits != self.spec.host.limits {
            let limits = crate::unprivileged::limits(&spec.host.limits, spec.confine.level)?;
            self.cgroup().update(&limits)?;
        }
        self.spec.host.limits = spec.host.limits;
        self.spec.host.restart = spec.host.restart;
        self.emit("update", &[]);
        Ok(())
    }
}
