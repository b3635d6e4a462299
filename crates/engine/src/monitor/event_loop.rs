//! The loop: wait for whatever comes first, and handle it.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use stockade_sandbox::process;

use super::Monitor;
use super::peer::Peer;
use crate::log::Stream;
use crate::record::Status;
use crate::signals;
use crate::wire::Kind;

/// Output read at once, in bytes.
const CHUNK: usize = 16 << 10;
/// How long nothing must happen before memory is given back.
pub(super) const QUIET: Duration = Duration::from_millis(500);
/// Input kept for the container before its client is no longer read, in bytes.
const INPUT_LIMIT: usize = 64 << 10;

/// What a descriptor in the poll set stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Listener,
    Signals,
    Process,
    Stdin,
    Stdout,
    Stderr,
    Terminal,
    Peer(usize),
    Health,
}

impl Monitor {
    /// Serves until the container has ended for good.
    pub(super) fn serve(&mut self) {
        loop {
            let ready = self.wait();
            if !ready.is_empty() {
                self.shrink_at = Some(Instant::now() + QUIET);
            } else if self.shrink_at.is_some_and(|at| at <= Instant::now()) {
                // Nothing happens: what the last events needed is not needed now.
                self.shrink_at = None;
                process::shrink_resident();
            }
            for (source, events) in ready {
                self.handle(source, events);
            }
            self.peers_after_events();
            let now = Instant::now();
            if self.kill_at.is_some_and(|at| at <= now) {
                self.kill_at = None;
                self.send_signal(signals::KILL);
            }
            self.health_tick(now);
            if self.live.as_ref().is_some_and(|live| live.exit.is_some()) {
                self.drain();
                if !self.ended() {
                    return;
                }
            }
            if !self.restart_due(now) {
                return;
            }
        }
    }

    /// Starts again when it is time. Answers whether the monitor goes on.
    fn restart_due(&mut self, now: Instant) -> bool {
        if self.live.is_some() {
            return true;
        }
        if self.state.stopped_by_hand {
            // Stopped while it waited for its next start.
            self.state.status = Status::Exited;
            self.state.monitor_pid = 0;
            self.write_state();
            return false;
        }
        if self.restart_at.is_none_or(|at| at > now) {
            return true;
        }
        self.restart_at = None;
        self.state.restart_count += 1;
        match self.launch() {
            Ok(_) => true,
            Err(e) => {
                let code = i32::from(e.exit_code());
                self.log.take(Stream::Stderr, format!("stockade: cannot restart: {}\n", e.chain()).as_bytes());
                if self.policy().wants_restart(code, self.state.restart_count) {
                    self.state.error = e.chain();
                    self.write_state();
                    self.restart_at = Some(Instant::now() + self.backoff.after(Duration::ZERO));
                    return true;
                }
                self.could_not_start(&e);
                false
            }
        }
    }

    /// Waits for the next event or deadline.
    fn wait(&self) -> Vec<(Source, PollFlags)> {
        let (sources, mut fds) = self.poll_set();
        let timeout = self.next_deadline().map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            // One millisecond more, so that the deadline has passed when the wait is over.
            let left = left + Duration::from_millis(1);
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
            // Out of kernel memory: try again, but do not spin.
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
        let ready = |fd: &PollFd<'_>| fd.revents();
        sources.into_iter().zip(fds.iter().map(ready)).filter(|(_, events)| !events.is_empty()).collect()
    }

    fn poll_set(&self) -> (Vec<Source>, Vec<PollFd<'_>>) {
        let mut set: Vec<(Source, PollFd<'_>)> = Vec::with_capacity(8 + self.peers.len());
        let watch = |fd, flags| PollFd::from_borrowed_fd(fd, flags);
        set.push((Source::Listener, watch(self.listener.as_fd(), PollFlags::IN)));
        set.push((Source::Signals, watch(self.signals.as_fd(), PollFlags::IN)));
        let output_waits = self.peers.iter().any(|p| p.streams.is_some() && p.is_full());
        let mut input_waits = false;
        if let Some(live) = &self.live {
            set.push((Source::Process, watch(live.running.pidfd(), PollFlags::IN)));
            input_waits = live.input.len() >= INPUT_LIMIT;
            if let Some(fd) = live.streams.stdin.as_ref().filter(|_| !live.input.is_empty()) {
                set.push((Source::Stdin, watch(fd.as_fd(), PollFlags::OUT)));
            }
            if let Some(fd) = live.streams.stdout.as_ref().filter(|_| !output_waits) {
                set.push((Source::Stdout, watch(fd.as_fd(), PollFlags::IN)));
            }
            if let Some(fd) = live.streams.stderr.as_ref().filter(|_| !output_waits) {
                set.push((Source::Stderr, watch(fd.as_fd(), PollFlags::IN)));
            }
            if let Some(fd) = &live.streams.terminal {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::IN, !output_waits && !live.streams.terminal_silent);
                flags.set(PollFlags::OUT, !live.input.is_empty());
                // A hung-up terminal reports that whatever is asked for.
                if !flags.is_empty() {
                    set.push((Source::Terminal, watch(fd.as_fd(), flags)));
                }
            }
        }
        if let Some(health) = &self.health {
            for fd in health.descriptors() {
                set.push((Source::Health, watch(fd, PollFlags::IN)));
            }
        }
        for (index, peer) in self.peers.iter().enumerate() {
            let mut flags = PollFlags::empty();
            let holds_back = input_waits && peer.streams.is_some_and(|s| s.stdin);
            flags.set(PollFlags::IN, !holds_back && !peer.leaving);
            flags.set(PollFlags::OUT, peer.has_output());
            set.push((Source::Peer(index), watch(peer.fd(), flags)));
        }
        set.into_iter().unzip()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let restart = self.restart_at.filter(|_| self.live.is_none());
        let health = self.health.as_ref().and_then(|h| h.deadline());
        [self.kill_at, restart, health, self.shrink_at].into_iter().flatten().min()
    }

    fn handle(&mut self, source: Source, events: PollFlags) {
        match source {
            Source::Listener => self.accept(),
            Source::Signals => self.on_signals(),
            Source::Process => self.on_process(),
            Source::Stdin => self.feed_input(),
            Source::Stdout | Source::Stderr => {
                self.read_output(source);
            }
            Source::Terminal => {
                if events.contains(PollFlags::OUT) {
                    self.feed_input();
                }
                self.read_output(source);
            }
            // Looked at every time the loop turns.
            Source::Health => {}
            Source::Peer(index) => {
                if let Some(peer) = self.peers.get_mut(index) {
                    if events.contains(PollFlags::OUT) {
                        peer.flush();
                    }
                    if events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                        peer.receive();
                    }
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if let Ok(peer) = Peer::new(stream, false) {
                self.peers.push(peer);
            }
        }
    }

    /// The machine shuts down, or somebody found the monitor and sent it a signal: end the container in good order.
    /// Signals from terminals are for the client, not for us.
    fn on_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.next_signal() {
            if signal.number == signals::TERM {
                self.state.stopped_by_hand = true;
                let stop = self.stop_signal();
                self.begin_stop(stop, None);
            }
        }
    }

    fn on_process(&mut self) {
        if let Some(live) = &mut self.live
            && live.exit.is_none()
            && let Ok(Some(status)) = live.running.try_wait()
        {
            live.exit = Some(status);
        }
    }

    /// Reads once. Answers whether there may be more.
    fn read_output(&mut self, source: Source) -> bool {
        let Some(live) = &mut self.live else { return false };
        let ours = &mut live.streams;
        let (slot, stream, kind) = match source {
            Source::Stdout => (&mut ours.stdout, Stream::Stdout, Kind::Stdout),
            Source::Stderr => (&mut ours.stderr, Stream::Stderr, Kind::Stderr),
            _ => (&mut ours.terminal, Stream::Stdout, Kind::Stdout),
        };
        let Some(fd) = slot else { return false };
        let mut bytes = [0u8; CHUNK];
        match rustix::io::read(&*fd, &mut bytes) {
            Ok(n) if n > 0 => {
                let bytes = bytes.get(..n).unwrap_or_default();
                self.log.take(stream, bytes);
                for peer in &mut self.peers {
                    let wants = peer.streams.is_some_and(|s| if kind == Kind::Stdout { s.stdout } else { s.stderr });
                    if wants && !peer.leaving {
                        peer.push(kind, bytes);
                        peer.flush();
                    }
                }
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => false,
            // End of a pipe; EIO: nobody has the terminal open any more.
            _ => {
                if source == Source::Terminal {
                    ours.terminal_silent = true;
                } else {
                    *slot = None;
                }
                false
            }
        }
    }

    /// The process has ended: kill what it left, then take all output that is still in the pipes.
    fn drain(&mut self) {
        // With a pid namespace of its own nothing is left by now; without one, something may hold the pipes open.
        let _ = self.cgroup().kill();
        for source in [Source::Stdout, Source::Stderr, Source::Terminal] {
            while self.read_output(source) {}
        }
    }

    /// Writes what waits for the container's input.
    pub(super) fn feed_input(&mut self) {
        let Some(live) = &mut self.live else { return };
        let Some(fd) = live.streams.stdin.as_ref().or(live.streams.terminal.as_ref()) else {
            live.input.clear();
            return;
        };
        while !live.input.is_empty() {
            match rustix::io::write(fd, &live.input) {
                Ok(n) => {
                    live.input.drain(..n);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // It closed its input: what comes is thrown away, as with any pipe.
                Err(_) => {
                    live.input.clear();
                    live.streams.stdin = None;
                    break;
                }
            }
        }
        if live.input.is_empty() {
            live.input.shrink_to(4 << 10);
            if live.input_ends {
                live.streams.stdin = None;
            }
        }
    }

    /// Waits for sockets to take their output, until `until` at the latest.
    pub(super) fn flush_peers(&mut self, until: Instant) {
        for peer in &mut self.peers {
            peer.flush();
        }
        self.peers.retain(Peer::has_output);
        if self.peers.is_empty() {
            return;
        }
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut fds: Vec<PollFd<'_>> =
            self.peers.iter().map(|p| PollFd::from_borrowed_fd(p.fd(), PollFlags::OUT)).collect();
        let _ = poll(&mut fds, Some(&timeout));
    }
}
