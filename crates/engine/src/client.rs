//! The other end of a monitor's socket: what verbs ask, and the attached stream.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use crate::error::{EngineError, io_error, system_error};
use crate::monitor::socket_path;
use crate::paths::ContainerPaths;
use crate::wire::{self, Decoder, Kind, Streams};

/// A connection to a container's monitor.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    decoder: Decoder,
    /// Frames that the monitor has not taken yet.
    queue: Vec<u8>,
}

/// What an attached client hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Bytes of standard output (or of the terminal).
    Stdout(Vec<u8>),
    /// Bytes of standard error.
    Stderr(Vec<u8>),
    /// The container ended with this exit code, and is cleaned up.
    Exit(i32),
}

impl Client {
    /// Connects to the monitor that serves the container.
    ///
    /// # Errors
    /// `NotFound` and `ConnectionRefused` when there is none: the caller looks at the record again.
    pub(crate) fn connect(paths: &ContainerPaths) -> Result<Client, EngineError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&paths.run, flags, Mode::empty()).map_err(io_error("open", &paths.run))?;
        let stream =
            UnixStream::connect(socket_path(&dir)).map_err(io_error("reach the monitor through", &paths.run))?;
        Ok(Client { stream, decoder: Decoder::default(), queue: Vec::new() })
    }

    /// Connects and attaches.
    pub(crate) fn attach(paths: &ContainerPaths, streams: Streams) -> Result<Client, EngineError> {
        let client = Client::connect(paths)?;
        Client::with_stream(client.stream, streams)
    }

    /// Attaches through a stream whose other end a monitor has or will have.
    pub(crate) fn with_stream(stream: UnixStream, streams: Streams) -> Result<Client, EngineError> {
        let client = Client { stream, decoder: Decoder::default(), queue: Vec::new() };
        client.send(Kind::Attach, &[streams.to_byte()])?;
        Ok(client)
    }

    fn send(&self, kind: Kind, payload: &[u8]) -> Result<(), EngineError> {
        wire::send(&self.stream, kind, payload).map_err(system_error("talk to the container's monitor"))
    }

    /// Queues input. Queue more only when [`Client::flush`] has emptied the queue, so that it stays small.
    pub fn input(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(wire::MAX_PAYLOAD) {
            wire::push(&mut self.queue, Kind::Stdin, piece);
        }
    }

    /// Queues the end of input.
    pub fn input_end(&mut self) {
        wire::push(&mut self.queue, Kind::StdinEnd, &[]);
    }

    /// Queues the size of the terminal.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        let [a, b] = columns.to_le_bytes();
        let [c, d] = rows.to_le_bytes();
        wire::push(&mut self.queue, Kind::Resize, &[a, b, c, d]);
    }

    /// Queues a signal for the container's first process.
    pub fn forward_signal(&mut self, signal: i32) {
        wire::push(&mut self.queue, Kind::Signal, &signal.to_le_bytes());
    }

    /// Goes, and leaves the container's input open.
    pub fn detach(mut self) -> Result<(), EngineError> {
        wire::push(&mut self.queue, Kind::Detach, &[]);
        let queue = std::mem::take(&mut self.queue);
        use std::io::Write;
        self.stream.write_all(&queue).map_err(system_error("talk to the container's monitor"))
    }

    /// Sends what the socket takes without waiting. Answers whether the queue is empty.
    ///
    /// Waiting here could be for ever: the monitor may be waiting for us to take output.
    pub fn flush(&mut self) -> Result<bool, EngineError> {
        use rustix::net::{SendFlags, send};
        while !self.queue.is_empty() {
            match send(self.stream.as_fd(), &self.queue, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(n) => {
                    self.queue.drain(..n);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(false),
                Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => {
                    // It is going; its last words are still to be read.
                    self.queue.clear();
                }
                Err(e) => return Err(system_error("talk to the container's monitor")(e)),
            }
        }
        Ok(true)
    }

    /// Whether something waits to be sent: poll for writing then.
    pub fn wants_to_send(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes what has come, without waiting. Answers whether the monitor is still there.
    pub fn receive_now(&mut self) -> Result<bool, EngineError> {
        use rustix::net::{RecvFlags, recv};
        let mut bytes = [0u8; 32 << 10];
        loop {
            match recv(self.stream.as_fd(), bytes.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((0, _)) | Err(rustix::io::Errno::CONNRESET) => return Ok(false),
                Ok((n, _)) => {
                    self.decoder.feed(bytes.get(..n).unwrap_or_default());
                    return Ok(true);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(true),
                Err(e) => return Err(system_error("hear from the container's monitor")(e)),
            }
        }
    }

    /// The next message that has come whole; `None` when there is none yet.
    pub fn message(&mut self) -> Result<Option<Message>, EngineError> {
        loop {
            match self.decoder.next().map_err(system_error("understand the container's monitor"))? {
                None => return Ok(None),
                Some((Some(Kind::Stdout), bytes)) => return Ok(Some(Message::Stdout(bytes.to_vec()))),
                Some((Some(Kind::Stderr), bytes)) => return Ok(Some(Message::Stderr(bytes.to_vec()))),
                Some((Some(Kind::Exit), code)) => return Ok(Some(Message::Exit(wire::as_i32(code).unwrap_or(255)))),
                Some(_) => {}
            }
        }
    }

    /// Sends the container a signal.
    pub(crate) fn signal(&mut self, signal: i32) -> Result<(), EngineError> {
        self.ask(Kind::Signal, &signal.to_le_bytes())
    }

    /// Asks and hears the answer; output that comes between is dropped.
    pub(crate) fn ask(&mut self, kind: Kind, payload: &[u8]) -> Result<(), EngineError> {
        self.send(kind, payload)?;
        loop {
            match self.receive()? {
                Some((Kind::Ok, _)) => return Ok(()),
                Some((Kind::Error, words)) => {
                    return Err(EngineError::Refused { message: String::from_utf8_lossy(&words).into_owned() });
                }
                Some(_) => {}
                None => return Err(EngineError::MonitorGone),
            }
        }
    }

    fn receive(&mut self) -> Result<Option<(Kind, Vec<u8>)>, EngineError> {
        match wire::receive(&mut self.stream, &mut self.decoder) {
            Ok(frame) => Ok(frame),
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(None),
            Err(e) => Err(system_error("hear from the container's monitor")(e)),
        }
    }

    /// Waits for the exit code; output is dropped. `None` when the monitor died.
    pub(crate) fn wait_exit(&mut self) -> Result<Option<i32>, EngineError> {
        loop {
            match self.receive()? {
                Some((Kind::Exit, code)) => return Ok(Some(wire::as_i32(&code).unwrap_or(255))),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Waits until the monitor closes the connection, at most so long.
    pub(crate) fn wait_gone(&mut self, patience: Duration) {
        let _ = self.stream.set_read_timeout(Some(patience));
        while let Ok(Some(_)) = self.receive() {}
        let _ = self.stream.set_read_timeout(None);
    }

    /// To poll for messages.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
