//! `RUN --mount=type=ssh`: a way from a step to the person's ssh agent.
//!
//! The agent's own socket is not given to the step. A socket of ours passes on two kinds of requests, "which keys are
//! there" and "sign this" (draft-ietf-sshm-ssh-agent, sections 3.5 and 3.6), and answers all others with a failure: a
//! step cannot add, remove or lock keys.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::BuildError;

/// Longest message of the protocol, in bytes (OpenSSH's limit).
const MAX_MESSAGE: usize = 256 << 10;
/// Connections of one step at the same time.
const MAX_CONNECTIONS: usize = 64;
/// `SSH_AGENT_FAILURE`
const FAILURE: u8 = 5;
/// `SSH_AGENTC_REQUEST_IDENTITIES`, `SSH_AGENTC_SIGN_REQUEST`
const ALLOWED: [u8; 2] = [11, 13];

/// The step's socket; gone when this is dropped.
pub(crate) struct AgentSocket {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl AgentSocket {
    /// Makes the socket at `path`, with this owner and mode, and passes its requests on to `agent`.
    pub(crate) fn open(path: &Path, agent: &Path, owner: (u32, u32), mode: u32) -> Result<AgentSocket, BuildError> {
        // Now, and not when the step asks: a missing agent is the caller's mistake.
        UnixStream::connect(agent).map_err(BuildError::io("connect to the ssh agent at", agent))?;
        let (listener, _dir) = listen(path).map_err(BuildError::io("create the socket", path))?;
        stockade_durable::owned_io(std::os::unix::fs::chown(path, Some(owner.0), Some(owner.1)))
            .map_err(BuildError::io("set the owner of", path))?;
        let mode = rustix::fs::Mode::from_raw_mode(mode);
        rustix::fs::chmod(path, mode).map_err(BuildError::io("set the mode of", path))?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (stop, agent) = (Arc::clone(&stop), agent.to_owned());
            move || serve(&listener, &agent, &stop)
        });
        Ok(AgentSocket { path: path.to_owned(), stop, thread: Some(thread) })
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread out of its wait.
        let woken = through_directory(&self.path, |short| UnixStream::connect(short)).is_ok();
        let _ = fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

/// Calls `work` with a short path to the same file: paths of sockets have 107 bytes at most (unix(7)).
fn through_directory<T>(path: &Path, work: impl FnOnce(&Path) -> std::io::Result<T>) -> std::io::Result<(T, fs::File)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(std::io::ErrorKind::InvalidInput.into());
    };
    let dir = fs::File::open(parent)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
    work(&short).map(|value| (value, dir))
}

fn listen(path: &Path) -> std::io::Result<(UnixListener, fs::File)> {
    through_directory(path, |short| UnixListener::bind(short))
}

fn serve(listener: &UnixListener, agent: &Path, stop: &AtomicBool) {
    let open = Arc::new(AtomicUsize::new(0));
    for client in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        };
        if open.fetch_add(1, Ordering::SeqCst) >= MAX_CONNECTIONS {
            open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (agent, counted) = (agent.to_owned(), Arc::clone(&open));
        // Ends with the client, which ends with the step.
        std::thread::spawn(move || {
            if let Ok(upstream) = UnixStream::connect(&agent) {
                let _ = relay(client, upstream);
            }
            counted.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// One request after the other, each with its answer.
fn relay(mut client: impl Read + Write, mut agent: impl Read + Write) -> std::io::Result<()> {
    while let Some(request) = message(&mut client)? {
        let answer = match request.first() {
            Some(kind) if ALLOWED.contains(kind) => {
                send(&mut agent, &request)?;
                message(&mut agent)?.unwrap_or_else(|| vec![FAILURE])
            }
            _ => vec![FAILURE],
        };
        send(&mut client, &answer)?;
    }
    Ok(())
}

fn message(input: &mut impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut head = [0u8; 4];
    match input.read_exact(&mut head) {
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if length == 0 || length > MAX_MESSAGE {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    Ok(Some(body))
}

fn send(output: &mut impl Write, body: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(body.len()).map_err(|_| std::io::ErrorKind::InvalidData)?;
    output.write_all(&length.to_be_bytes())?;
    output.write_all(body)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent that answers every request with 12 and its own bytes.
    fn echo(path: &Path) {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    while let Ok(Some(body)) = message(&mut stream) {
                        send(&mut stream, &[&[12], body.as_slice()].concat()).unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn keys_are_listed_and_used_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let agent = dir.path().join("agent");
        echo(&agent);
        // Longer than a socket's path may be.
        let deep = dir.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        let path = deep.join("socket");
        let owner = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let socket = AgentSocket::open(&path, &agent, owner, 0o600).unwrap();
        let (mut client, _dir) = through_directory(&path, |p| UnixStream::connect(p)).unwrap();
        let mut ask = |body: &[u8]| {
            send(&mut client, body).unwrap();
            message(&mut client).unwrap().unwrap()
        };
        assert_eq!(ask(&[11]), [12, 11]);
        assert_eq!(ask(&[13, 1, 2]), [12, 13, 1, 2]);
        // Remove all keys; lock the agent; add a key.
        for forbidden in [19, 22, 17, 25, 27] {
            assert_eq!(ask(&[forbidden]), [FAILURE]);
        }
        drop(client);
        drop(socket);
        assert!(!path.exists());
        assert!(AgentSocket::open(&path, &dir.path().join("none"), owner, 0o600).is_err());
    }
}
