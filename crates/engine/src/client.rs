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
        Ok(Client { stream, decoder: Decoder::default() })
    }

    /// Connects and attaches.
    pub(crate) fn attach(paths: &ContainerPaths, streams: Streams) -> Result<Client, EngineError> {
        let client = Client::connect(paths)?;
        Client::with_stream(client.stream, streams)
    }

    /// Attaches through a stream whose other end a monitor has or will have.
    pub(crate) fn with_stream(stream: UnixStream, streams: Streams) -> Result<Client, EngineError> {
        let client = Client { stream, decoder: Decoder::default() };
        client.send(Kind::Attach, &[streams.to_byte()])?;
        Ok(client)
    }

    fn send(&self, kind: Kind, payload: &[u8]) -> Result<(), EngineError> {
        wire::send(&self.stream, kind, payload).map_err(system_error("talk to the container's monitor"))
    }

    /// Sends input; long input in pieces.
    pub fn input(&self, bytes: &[u8]) -> Result<(), EngineError> {
        bytes.chunks(wire::MAX_PAYLOAD).try_for_each(|piece| self.send(Kind::Stdin, piece))
    }

    /// Says that there is no more input.
    pub fn input_end(&self) -> Result<(), EngineError> {
        self.send(Kind::StdinEnd, &[])
    }

    /// Tells the size of the terminal.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<(), EngineError> {
        let [a, b] = columns.to_le_bytes();
        let [c, d] = rows.to_le_bytes();
        self.send(Kind::Resize, &[a, b, c, d])
    }

    /// Goes, and leaves the container's input open.
    pub fn detach(&self) -> Result<(), EngineError> {
        self.send(Kind::Detach, &[])
    }

    /// Forwards a signal without waiting for the answer (which [`Client::next`] skips).
    pub fn forward_signal(&self, signal: i32) -> Result<(), EngineError> {
        self.send(Kind::Signal, &signal.to_le_bytes())
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

    /// The next message; `None` when the monitor is gone without a word.
    pub fn next(&mut self) -> Result<Option<Message>, EngineError> {
        loop {
            let message = match self.receive()? {
                None => return Ok(None),
                Some((Kind::Stdout, bytes)) => Message::Stdout(bytes),
                Some((Kind::Stderr, bytes)) => Message::Stderr(bytes),
                Some((Kind::Exit, code)) => Message::Exit(wire::as_i32(&code).unwrap_or(255)),
                Some(_) => continue,
            };
            return Ok(Some(message));
        }
    }

    /// Whether a message can be taken without waiting for the socket.
    pub fn has_buffered(&self) -> bool {
        self.decoder.has_whole_frame()
    }

    /// Waits for the exit code; output is dropped. `None` when the monitor died.
    pub(crate) fn wait_exit(&mut self) -> Result<Option<i32>, EngineError> {
        loop {
            match self.next()? {
                Some(Message::Exit(code)) => return Ok(Some(code)),
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
