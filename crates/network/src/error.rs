//! What can go wrong when a container is connected.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::address::Subnet;
use crate::publish::Protocol;

/// An error of this room: it names the thing, the cause, and where there is one the next step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A port of the host is taken, by another container or by a program on the host.
    #[error(
        "port {port}/{protocol} on {host_ip} is already in use; publish another port, or stop what listens there (`ss -lnp` names it)"
    )]
    PortInUse {
        /// Address of the host.
        host_ip: IpAddr,
        /// Port of the host.
        port: u16,
        /// Protocol.
        protocol: Protocol,
    },
    /// A port of the host cannot be listened on for another reason: the address is not the host's, say.
    #[error("cannot listen on {host_ip} port {port}/{protocol}{}", port_advice(.source))]
    PortRefused {
        /// Address of the host.
        host_ip: IpAddr,
        /// Port of the host, 0 for any.
        port: u16,
        /// Protocol.
        protocol: Protocol,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// One port was asked for twice in one command.
    #[error(
        "port {port}/{protocol} on {host_ip} is published twice; each port of the host leads to one port of a container"
    )]
    PublishedTwice {
        /// Address of the host.
        host_ip: IpAddr,
        /// Port of the host.
        port: u16,
        /// Protocol.
        protocol: Protocol,
    },
    /// The text of a `-p` option does not parse.
    #[error(
        "cannot publish `{text}`: {reason}; write [HOST_IP:][HOST_PORT:]CONTAINER_PORT[/tcp|/udp], for example 8080:80"
    )]
    BadPublish {
        /// The option's value.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An IPv6 address of the host was asked for.
    #[error(
        "cannot publish on the IPv6 address {host_ip}: containers have IPv4 addresses only; leave the address out, or give an IPv4 one"
    )]
    Ipv6Publish {
        /// The address.
        host_ip: IpAddr,
    },
    /// `--network` with something unknown.
    #[error("unknown network `{text}`; choose bridge, host or none")]
    UnknownMode {
        /// What was given.
        text: String,
    },
    /// A name that cannot be used.
    #[error(
        "{what} name `{text}` cannot be used: 1 to {most} letters, digits, `_`, `.` or `-`, not starting with `.` or `-`"
    )]
    BadName {
        /// What it names.
        what: &'static str,
        /// The name.
        text: String,
        /// Greatest length in bytes.
        most: usize,
    },
    /// An address, subnet or host entry does not parse.
    #[error("`{text}` is not {expected}")]
    BadAddress {
        /// What was given.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Every address is taken.
    #[error("no free address in {subnet} for another container; remove containers, or configure a larger subnet")]
    Exhausted {
        /// The network's subnet.
        subnet: Subnet,
    },
    /// A requested address cannot be had.
    #[error("address {ip} cannot be given to the container: {reason}")]
    AddressRefused {
        /// The address.
        ip: std::net::Ipv4Addr,
        /// Why not.
        reason: String,
    },
    /// No subnet is free of collisions with the host's routes.
    #[error(
        "every subnet that could be used for containers ({tried}) collides with a route or name server of this host; configure one that is free"
    )]
    NoFreeSubnet {
        /// The candidates, comma separated.
        tried: String,
    },
    /// The configured subnet collides with a route of the host.
    #[error("subnet {subnet} collides with the host's route to {route}; configure another subnet")]
    SubnetTaken {
        /// The subnet asked for.
        subnet: Subnet,
        /// The colliding route or address.
        route: String,
    },
    /// Without root the network is pasta's, which is not there.
    #[error(
        "without root a container's network needs `pasta` (Debian's package `passt`), which is not installed; install it, or use `--network none` or `--network host`"
    )]
    NoPasta,
    /// pasta could not do its work.
    #[error("pasta cannot connect the container: {why}")]
    Pasta {
        /// Its own words.
        why: String,
    },
    /// The kernel refused a request.
    #[error("cannot {what}{}", advice(.source))]
    Kernel {
        /// What was being done, as a verb phrase.
        what: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The kernel's answer was not understood.
    #[error("cannot {what}: the kernel's netlink answer is malformed at {at}")]
    Malformed {
        /// What was being done, as a verb phrase.
        what: String,
        /// Which part.
        at: &'static str,
    },
    /// A state file cannot be read or written.
    #[error("cannot {what} `{path}`")]
    State {
        /// What was being done, as a verb phrase.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A state file does not hold what it should.
    #[error("`{path}` is damaged; remove it, then start the container that it belongs to again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where it stops making sense.
        #[source]
        source: serde_json::Error,
    },
    /// A lock or an atomic write failed.
    #[error(transparent)]
    Durable(#[from] stockade_durable::DurableError),
}

/// Ports below a limit are root's.
fn port_advice(source: &io::Error) -> String {
    if source.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    let first = first.trim();
    format!(
        " (ports below {} are root's: publish a higher one, or `sysctl net.ipv4.ip_unprivileged_port_start=PORT`)",
        if first.is_empty() { "1024" } else { first }
    )
}

/// The next step for a kernel refusal whose cause is known.
fn advice(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(1 | 13) => {
            " (root, or CAP_NET_ADMIN and CAP_SYS_ADMIN, is needed; `--network host` and `--network none` work without)"
        }
        Some(93 | 95 | 97) => " (this kernel lacks the feature: nf_tables, veth and bridge are needed)",
        _ => "",
    }
}

impl NetworkError {
    pub(crate) fn kernel(what: impl Into<String>, source: impl Into<io::Error>) -> NetworkError {
        NetworkError::Kernel { what: what.into(), source: source.into() }
    }

    /// Whether the kernel answered with this error number.
    pub(crate) fn is_errno(&self, errno: rustix::io::Errno) -> bool {
        matches!(self, NetworkError::Kernel { source, .. } if source.raw_os_error() == Some(errno.raw_os_error()))
    }
}
