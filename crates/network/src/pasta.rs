//! The network of a container without root: `pasta` of the package `passt`, one process a container.
//!
//! An ordinary user may not add interfaces to the host's network. pasta makes a tap device *in* the container's network
//! and speaks for the container through ordinary sockets of the user's. Source: pasta(1).
//!
//! What differs from the bridge: containers reach each other only by published ports, and a server sees the host's
//! address as its client's.

use std::io::Read as _;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::endpoint::Published;
use crate::error::NetworkError;
use crate::firewall::METADATA;
use crate::netlink::message::Batch;
use crate::netlink::route;
use crate::netlink::socket::Socket;
use crate::publish::{PortMapping, Protocol};
use crate::{netns, reserve};

/// Networks to choose from, each /24: the first is what user-mode stacks usually have, the others for hosts that are in
/// such a network themselves.
const CANDIDATES: [Ipv4Addr; 4] = [
    Ipv4Addr::new(10, 0, 2, 0),
    Ipv4Addr::new(10, 41, 87, 0),
    Ipv4Addr::new(172, 31, 253, 0),
    Ipv4Addr::new(192, 168, 253, 0),
];
const PREFIX: u8 = 24;
/// How long pasta may take to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is to be connected.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The container's network namespace.
    pub netns: BorrowedFd<'a>,
    /// Ports to publish.
    pub ports: &'a [PortMapping],
    /// Whether the cloud's metadata addresses are out of reach.
    pub block_metadata: bool,
    /// Where pasta writes its process id once it is ready; see [`end_leftover`].
    pub pid_file: &'a Path,
}

/// A running pasta. It ends when this is dropped.
#[derive(Debug)]
pub struct Pasta {
    child: Child,
    pid_file: PathBuf,
    _place: NamespaceFile,
    /// Address of the container.
    pub ip: Ipv4Addr,
    /// Length of its network's prefix, in bits.
    pub prefix: u8,
    /// Its default route. Nobody answers there: the host's loopback is out of reach.
    pub gateway: Ipv4Addr,
    /// Published ports.
    pub ports: Vec<Published>,
}

/// The program, where it is installed.
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/bin", "/bin"].map(PathBuf::from));
    places.filter(|dir| dir.is_absolute()).map(|dir| dir.join("pasta")).find(|p| p.is_file())
}

impl Pasta {
    /// Connects a namespace. Returns when the interface is there and the ports are listened on.
    ///
    /// # Errors
    /// [`NetworkError::NoPasta`] where it is not installed; [`NetworkError::PortInUse`] and its like for ports.
    pub fn start(wanted: &Wanted<'_>) -> Result<Pasta, NetworkError> {
        let program = program().ok_or(NetworkError::NoPasta)?;
        // Held for a moment, to find free ports and to say what is wrong with others: pasta's own words are few.
        let (ports, held) = reserve::reserve(wanted.ports)?;
        drop(held);
        let network = choose()?.octets();
        let host = |last| Ipv4Addr::new(network[0], network[1], network[2], last);
        let (ip, gateway) = (host(100), host(2));
        let _ = std::fs::remove_file(wanted.pid_file);
        let place = NamespaceFile::make(wanted.pid_file.with_extension("netns"), wanted.netns)?;
        let mut command = Command::new(&program);
        command
            .args(["--foreground", "--quiet", "--ipv4-only", "--config-net", "--no-map-gw", "--ns-ifname", "eth0"])
            .args(["--tcp-ns", "none", "--udp-ns", "none", "--netmask", &PREFIX.to_string()])
            .args(["--address", &ip.to_string(), "--gateway", &gateway.to_string()])
            .arg("--pid")
            .arg(wanted.pid_file)
            .arg("--netns")
            .arg(&place.0)
            .args(specs(&ports));
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| NetworkError::kernel(format!("start `{}`", program.display()), e))?;
        let mut pasta =
            Pasta { child, pid_file: wanted.pid_file.to_owned(), _place: place, ip, prefix: PREFIX, gateway, ports };
        pasta.await_ready()?;
        // Nobody reads it any more; a full pipe must not stop it.
        drop(pasta.child.stderr.take());
        if wanted.block_metadata {
            block_metadata(wanted.netns)?;
        }
        Ok(pasta)
    }

    fn await_ready(&mut self) -> Result<(), NetworkError> {
        let until = Instant::now() + PATIENCE;
        loop {
            if std::fs::metadata(&self.pid_file).is_ok_and(|m| m.len() > 0) {
                return Ok(());
            }
            let ended = self.child.try_wait().map_err(|e| NetworkError::kernel("wait for pasta", e))?;
            if ended.is_some() || Instant::now() >= until {
                let _ = self.child.kill();
                let mut words = String::new();
                if let Some(stderr) = self.child.stderr.take() {
                    let _ = stderr.take(8 << 10).read_to_string(&mut words);
                }
                return Err(NetworkError::Pasta { why: reason(&words, ended.is_some()) });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Pasta {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.pid_file);
    }
}

/// The namespace as a file in our mount namespace. pasta may not look into the /proc entries of processes with more
/// rights than it keeps, and newer ones inherit no descriptors.
#[derive(Debug)]
struct NamespaceFile(PathBuf);

impl NamespaceFile {
    fn make(path: PathBuf, netns: BorrowedFd<'_>) -> Result<NamespaceFile, NetworkError> {
        std::fs::write(&path, b"").map_err(|source| NetworkError::State {
            what: "make the file",
            path: path.clone(),
            source,
        })?;
        let file = NamespaceFile(path);
        rustix::mount::mount_bind(format!("/proc/self/fd/{}", netns.as_raw_fd()), &file.0)
            .map_err(|e| NetworkError::kernel("give the container's network namespace a name", e))?;
        Ok(file)
    }
}

impl Drop for NamespaceFile {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Ends the pasta of a monitor that was killed: the process that `pid_file` names, if it is one that was given this file.
pub fn end_leftover(pid_file: &Path) {
    let Ok(text) = std::fs::read_to_string(pid_file) else { return };
    let Some(pid) = text.trim().parse().ok().filter(|n| *n > 0).and_then(Pid::from_raw) else { return };
    // The descriptor first: after it, the process that we look at is the one that we end.
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let arguments = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    if arguments.split(|b| *b == 0).any(|word| word == pid_file.as_os_str().as_encoded_bytes()) {
        let _ = pidfd_send_signal(pidfd.as_fd(), Signal::KILL);
    }
    let _ = std::fs::remove_file(pid_file);
    let _ = std::fs::remove_file(pid_file.with_extension("netns"));
}

/// pasta's port options. Without one it would forward what it finds.
fn specs(ports: &[Published]) -> Vec<String> {
    let mut words = Vec::new();
    for (option, protocol) in [("--tcp-ports", Protocol::Tcp), ("--udp-ports", Protocol::Udp)] {
        let list: Vec<String> = ports
            .iter()
            .filter(|p| p.protocol == protocol)
            .map(|p| format!("{}/{}:{}", p.host_ip, p.host_port, p.container_port))
            .collect();
        if list.is_empty() {
            words.extend([option.to_owned(), "none".to_owned()]);
        }
        for spec in list {
            words.extend([option.to_owned(), spec]);
        }
    }
    words
}

/// The first network that the host has no route into and no name server in.
fn choose() -> Result<Ipv4Addr, NetworkError> {
    let routes = route::routes(&Socket::route()?)?;
    let servers = crate::HostResolver::read().servers();
    let mask = |prefix: u8| u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    let free = |network: &&Ipv4Addr| {
        let overlaps = |other: Ipv4Addr, prefix: u8| {
            let common = mask(prefix.min(PREFIX));
            u32::from(**network) & common == u32::from(other) & common
        };
        !routes.iter().any(|r| r.prefix > 0 && overlaps(r.destination, r.prefix))
            && !servers.iter().any(|s| matches!(s, std::net::IpAddr::V4(v4) if overlaps(*v4, 32)))
    };
    // Where all are taken the first serves as well as any: only what the host has there is out of reach.
    Ok(CANDIDATES.iter().find(free).copied().unwrap_or(CANDIDATES[0]))
}

/// A firewall of the container's own is not needed for this: routes that end nowhere do it.
fn block_metadata(netns: BorrowedFd<'_>) -> Result<(), NetworkError> {
    let socket = netns::within_for_anybody(netns, Socket::route)?;
    let mut batch = Batch::default();
    for (network, mask) in METADATA {
        let prefix = u8::try_from(u32::from(mask).count_ones()).unwrap_or(32);
        route::add_unreachable(&mut batch, network, prefix);
    }
    socket.execute(&batch)
}

/// The last line that pasta wrote, without its complaints about a missing syslog.
fn reason(words: &str, ended: bool) -> String {
    let last = words.lines().map(str::trim).rfind(|l| !l.is_empty() && !l.contains("syslog"));
    let text = match last {
        Some(line) => line.to_owned(),
        None if ended => "it ended without a word".to_owned(),
        None => "it was not ready in time".to_owned(),
    };
    if text.contains("tun") {
        format!(
            "{text}; it needs /dev/net/tun, readable and writable for you (`chmod 666 /dev/net/tun`, as udev sets it)"
        )
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn published(host_port: u16, protocol: Protocol) -> Published {
        Published { host_ip: IpAddr::V4(Ipv4Addr::LOCALHOST), host_port, container_port: 80, protocol }
    }

    #[test]
    fn nothing_is_forwarded_that_was_not_asked_for() {
        assert_eq!(specs(&[]).join(" "), "--tcp-ports none --udp-ports none");
        let ports = [published(8080, Protocol::Tcp), published(53, Protocol::Udp), published(8081, Protocol::Tcp)];
        assert_eq!(
            specs(&ports).join(" "),
            "--tcp-ports 127.0.0.1/8080:80 --tcp-ports 127.0.0.1/8081:80 --udp-ports 127.0.0.1/53:80"
        );
    }

    #[test]
    fn the_reason_is_its_last_word() {
        assert_eq!(reason("a\nbad thing\nFailed to send 5 bytes to syslog\n\n", true), "bad thing");
        assert!(reason("Failed to open tun socket in namespace\n", true).contains("/dev/net/tun"));
        assert!(reason("", false).contains("in time"));
    }

    #[test]
    fn a_pid_file_that_names_somebody_else_ends_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        std::fs::write(&file, other.id().to_string()).unwrap();
        end_leftover(&file);
        assert!(!file.exists());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
        for text in ["", "x", "-1", "0"] {
            std::fs::write(&file, text).unwrap();
            end_leftover(&file);
        }
    }
}
