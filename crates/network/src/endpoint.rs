//! A container's connection: what is asked for, and what it got.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::address::MacAddress;
use crate::publish::{PortMapping, Protocol};

/// What [`crate::Network::attach`] needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Attach<'a> {
    /// The container's id: letters, digits, `_`, `.`, `-`, at most 128 bytes.
    pub id: &'a str,
    /// The container's network namespace, as in `/proc/PID/ns/net`.
    pub netns: BorrowedFd<'a>,
    /// Ports to publish.
    pub ports: &'a [PortMapping],
    /// Whether the cloud's metadata addresses are out of reach (confinement `standard` and up).
    pub block_metadata: bool,
    /// An address of the subnet to have instead of the next free one.
    pub ip: Option<Ipv4Addr>,
    /// A hardware address to have instead of the one that belongs to the IP address.
    pub mac: Option<MacAddress>,
}

impl<'a> Attach<'a> {
    /// A connection with the next free address, no published port, and metadata addresses blocked.
    pub fn new(id: &'a str, netns: BorrowedFd<'a>) -> Attach<'a> {
        Attach { id, netns, ports: &[], block_metadata: true, ip: None, mac: None }
    }
}

/// A published port, as it is: the host's port is known even if any was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Published {
    /// Address of the host that is listened on; 0.0.0.0 for all.
    pub host_ip: IpAddr,
    /// Port of the host.
    pub host_port: u16,
    /// Port of the container.
    pub container_port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

/// A container's connection. It serialises without the reserved ports, which only a living process can hold.
#[derive(Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address of the container.
    pub ip: Ipv4Addr,
    /// Prefix length of the subnet in bits.
    pub prefix: u8,
    /// Address of the bridge: the container's default route, and the host as the container sees it.
    pub gateway: Ipv4Addr,
    /// Hardware address of the container's interface.
    pub mac: MacAddress,
    /// Name of the interface in the container.
    pub interface: String,
    /// Name of its other end on the host.
    pub host_interface: String,
    /// Name of the bridge on the host.
    pub bridge: String,
    /// Largest packet in bytes, taken from the host's way out.
    pub mtu: u32,
    /// Published ports.
    pub ports: Vec<Published>,
    /// What could not be set up as it should be, one sentence each, for the person who started the container.
    pub warnings: Vec<String>,
    /// Sockets that hold the published ports on the host. They answer nothing (packets never reach them);
    /// as long as they are open nobody else gets the port, and `ss -l` shows it.
    #[serde(skip)]
    pub reserved: Vec<OwnedFd>,
    /// The socket that spoke to the firewall. To close it may wait some ten milliseconds for other containers'
    /// old rules to go, which would be in the way of this one's start.
    #[serde(skip)]
    #[expect(dead_code, reason = "held for its life time")]
    pub(crate) kept: Option<OwnedFd>,
}
