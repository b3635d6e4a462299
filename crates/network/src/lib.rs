//! Bridge, veth, NAT and port publishing by netlink.
//!
//! [`Network`] connects a container's network namespace to a bridge on the host, and takes the connection
//! away again without a trace. Everything is spoken to the kernel in-process: links, addresses and routes by
//! `rtnetlink(7)`, the firewall by `nf_tables` batches. No other program is started and no daemon holds state: what is known is in
//! small files under `<run>/network/`, and each of them may outlive its writer (see [`Network::gc`]).
//!
//! The host side of everything here is the network namespace of the calling thread.
#![forbid(unsafe_code)]

mod address;
mod config;
mod endpoint;
mod error;
mod firewall;
mod forwarding;
mod ipam;
mod names;
mod netlink;
mod netns;
mod network;
pub mod pasta;
mod publish;
mod reserve;
mod resolv;
mod setup;
mod setup_lock;
mod state;
mod sysctl;

pub use address::{MacAddress, Subnet};
pub use config::{Mode, NetworkConfig};
pub use endpoint::{Attach, Endpoint, Published};
pub use error::NetworkError;
pub use names::{ExtraHost, HostTarget, hostname_file, hosts_file};
pub use network::{Collected, Network, Released, loopback_up};
pub use publish::{PortMapping, Protocol, parse_publish};
pub use resolv::{DnsOptions, HostResolver, ResolvConf, resolv_conf};
