//! Links, addresses and routes (rtnetlink(7), `linux/if_link.h`, `linux/if_bridge.h`).

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::message::{ACK, Attributes, Batch, CREATE, DUMP, EXCL, Message, REPLACE, Writer, text_of, u32_of};
use super::socket::Socket;
use crate::address::MacAddress;
use crate::error::NetworkError;

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const SETLINK: u16 = 19;
const NEWADDR: u16 = 20;
const GETADDR: u16 = 22;
const NEWROUTE: u16 = 24;
const GETROUTE: u16 = 26;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_OPERSTATE: u16 = 16;
const OPERSTATE_UP: u8 = 6;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const VETH_INFO_PEER: u16 = 1;
const IFLA_BR_FORWARD_DELAY: u16 = 1;
const IFLA_BR_MCAST_SNOOPING: u16 = 23;
const IFLA_BRPORT_STATE: u16 = 1;
const PORT_FORWARDING: u8 = 3;
const IFLA_BRPORT_HAIRPIN: u16 = 4;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;

const AF_INET: u8 = 2;
const AF_INET6: u16 = 10;
const IFF_UP: u32 = 1;
/// Lengths of `struct ifinfomsg`, `struct ifaddrmsg`, `struct rtmsg` in bytes.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

/// `lo` has this index in every namespace.
pub(crate) const LOOPBACK_INDEX: u32 = 1;

/// What a link message tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mtu: u32,
    /// `bridge`, `veth`, …; empty for hardware and loopback.
    pub(crate) kind: String,
    /// Whether packets can leave by it (RFC 2863, `operstate`).
    pub(crate) works: bool,
    /// Whether it is a bridge port that forwards frames.
    pub(crate) forwards: bool,
}

impl Link {
    fn read(message: &Message<'_>) -> Option<Link> {
        let index = u32_of(message.body.get(4..8)?)?;
        let attributes = message.attributes(LINK_HEADER);
        let info = attributes.find(IFLA_LINKINFO).map(Attributes::of);
        let port = info.as_ref().and_then(|i| i.find(IFLA_INFO_SLAVE_DATA)).map(Attributes::of);
        Some(Link {
            index,
            name: text_of(attributes.find(IFLA_IFNAME)?),
            mtu: attributes.find(IFLA_MTU).and_then(u32_of).unwrap_or(0),
            kind: info.and_then(|i| i.find(IFLA_INFO_KIND)).map(text_of).unwrap_or_default(),
            works: attributes.find(IFLA_OPERSTATE) == Some(&[OPERSTATE_UP]),
            forwards: port.and_then(|p| p.find(IFLA_BRPORT_STATE)) == Some(&[PORT_FORWARDING]),
        })
    }
}

/// A route or an own address of the host, as far as collisions and the way out matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) destination: Ipv4Addr,
    /// Prefix length in bits; 0 for a default route.
    pub(crate) prefix: u8,
    /// Index of the interface that packets leave by, if it is one.
    pub(crate) out: Option<u32>,
    pub(crate) metric: u32,
}

/// Every link of the namespace.
pub(crate) fn links(socket: &Socket) -> Result<Vec<Link>, NetworkError> {
    let mut all = Vec::new();
    socket.query(
        "list network interfaces",
        GETLINK,
        DUMP,
        |w| w.raw(&[0; LINK_HEADER]),
        |m| all.extend(Link::read(m)),
    )?;
    Ok(all)
}

/// The link of this name, `None` if there is none.
pub(crate) fn link_by_name(socket: &Socket, name: &str) -> Result<Option<Link>, NetworkError> {
    find_link(socket, |w| {
        w.raw(&[0; LINK_HEADER]);
        w.text(IFLA_IFNAME, name);
    })
}

/// The link of this index, `None` if there is none.
pub(crate) fn link_by_index(socket: &Socket, index: u32) -> Result<Option<Link>, NetworkError> {
    find_link(socket, |w| w.raw(&link_header(index, 0, 0)))
}

fn find_link(socket: &Socket, body: impl FnOnce(&mut Writer<'_>)) -> Result<Option<Link>, NetworkError> {
    let mut found = None;
    match socket.query("look up a network interface", GETLINK, 0, body, |m| found = Link::read(m)) {
        Err(e) if e.is_errno(rustix::io::Errno::NODEV) => Ok(None),
        Err(e) => Err(e),
        Ok(()) => Ok(found),
    }
}

/// Every IPv4 route of the main, local and other tables, then every IPv4 address as the route of its subnet.
pub(crate) fn routes(socket: &Socket) -> Result<Vec<Route>, NetworkError> {
    let mut all = Vec::new();
    let mut header = [0; ROUTE_HEADER];
    header[0] = AF_INET;
    socket.query("list routes", GETROUTE, DUMP, |w| w.raw(&header), |m| all.extend(read_route(m)))?;
    let mut header = [0; ADDRESS_HEADER];
    header[0] = AF_INET;
    socket.query(
        "list addresses",
        GETADDR,
        DUMP,
        |w| w.raw(&header),
        |m| {
            let prefix = m.body.get(1).copied();
            let address = m.attributes(ADDRESS_HEADER).find(IFA_ADDRESS).and_then(ip_of);
            if let (Some(prefix), Some(destination)) = (prefix, address) {
                all.push(Route { destination, prefix, out: None, metric: 0 });
            }
        },
    )?;
    Ok(all)
}

fn read_route(message: &Message<'_>) -> Option<Route> {
    let attributes = message.attributes(ROUTE_HEADER);
    Some(Route {
        destination: attributes.find(RTA_DST).and_then(ip_of).unwrap_or(Ipv4Addr::UNSPECIFIED),
        prefix: *message.body.get(1)?,
        out: attributes.find(RTA_OIF).and_then(u32_of),
        metric: attributes.find(RTA_PRIORITY).and_then(u32_of).unwrap_or(0),
    })
}

fn ip_of(value: &[u8]) -> Option<Ipv4Addr> {
    value.first_chunk::<4>().map(|b| Ipv4Addr::from(*b))
}

/// `struct ifinfomsg` for any family.
fn link_header(index: u32, flags: u32, change: u32) -> [u8; LINK_HEADER] {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

/// Creates a bridge, down. It forwards at once (no spanning tree) and floods multicast: tracking group members
/// costs timers and tells containers about each other.
pub(crate) fn create_bridge(batch: &mut Batch, name: &str, mac: MacAddress, mtu: u32) {
    batch.request(format!("create bridge `{name}`"), NEWLINK, ACK | CREATE | EXCL, |w| {
        w.raw(&link_header(0, 0, 0));
        w.text(IFLA_IFNAME, name);
        w.bytes(IFLA_ADDRESS, &mac.0);
        w.u32(IFLA_MTU, mtu);
        w.nest(IFLA_LINKINFO, |w| {
            w.text(IFLA_INFO_KIND, "bridge");
            w.nest(IFLA_INFO_DATA, |w| {
                w.u32(IFLA_BR_FORWARD_DELAY, 0);
                w.u8(IFLA_BR_MCAST_SNOOPING, 0);
            });
        });
    });
}

/// The two ends of a veth pair.
#[derive(Debug)]
pub(crate) struct VethPair<'a> {
    /// Name on the host.
    pub(crate) host: &'a str,
    /// Name in the container.
    pub(crate) inside: &'a str,
    /// The container's namespace.
    pub(crate) netns: BorrowedFd<'a>,
    /// Hardware address in the container.
    pub(crate) mac: MacAddress,
    /// Largest packet in bytes.
    pub(crate) mtu: u32,
}

/// Creates a veth pair, down, with one end in another namespace from its birth.
/// One queue each: more would cost memory a container's traffic does not need.
pub(crate) fn create_veth(batch: &mut Batch, pair: &VethPair<'_>) {
    batch.request(format!("create veth pair `{}`", pair.host), NEWLINK, ACK | CREATE | EXCL, |w| {
        w.raw(&link_header(0, 0, 0));
        w.text(IFLA_IFNAME, pair.host);
        w.u32(IFLA_MTU, pair.mtu);
        w.u32(IFLA_NUM_TX_QUEUES, 1);
        w.u32(IFLA_NUM_RX_QUEUES, 1);
        w.nest(IFLA_LINKINFO, |w| {
            w.text(IFLA_INFO_KIND, "veth");
            w.nest(IFLA_INFO_DATA, |w| {
                w.nest(VETH_INFO_PEER, |w| {
                    w.raw(&link_header(0, 0, 0));
                    w.text(IFLA_IFNAME, pair.inside);
                    w.bytes(IFLA_ADDRESS, &pair.mac.0);
                    w.u32(IFLA_MTU, pair.mtu);
                    w.u32(IFLA_NUM_TX_QUEUES, 1);
                    w.u32(IFLA_NUM_RX_QUEUES, 1);
                    w.u32(IFLA_NET_NS_FD, pair.netns.as_raw_fd() as u32);
                });
            });
        });
    });
}

/// Keeps a link of the host from ever having an IPv6 address of its own.
pub(crate) fn no_ipv6_address(batch: &mut Batch, name: &str) {
    batch.request(format!("configure `{name}`"), SETLINK, ACK, |w| {
        w.raw(&link_header(0, 0, 0));
        w.text(IFLA_IFNAME, name);
        w.nest(IFLA_AF_SPEC, |w| w.nest(AF_INET6, |w| w.u8(IFLA_INET6_ADDR_GEN_MODE, ADDR_GEN_MODE_NONE)));
    });
}

/// Puts a link under a bridge and brings it up.
pub(crate) fn join_bridge(batch: &mut Batch, name: &str, bridge_index: u32) {
    batch.request(format!("connect `{name}` to the bridge"), SETLINK, ACK, |w| {
        w.raw(&link_header(0, IFF_UP, IFF_UP));
        w.text(IFLA_IFNAME, name);
        w.u32(IFLA_MASTER, bridge_index);
    });
}

/// Lets a bridge port send frames back where they came from: a container that reaches itself through a
/// published port needs it when bridged frames go through the firewall (`bridge-nf-call-iptables`).
pub(crate) fn hairpin(batch: &mut Batch, name: &str) {
    batch.request(format!("set hairpin mode on `{name}`"), NEWLINK, ACK, |w| {
        w.raw(&link_header(0, 0, 0));
        w.text(IFLA_IFNAME, name);
        w.nest(IFLA_LINKINFO, |w| {
            w.text(IFLA_INFO_SLAVE_KIND, "bridge");
            w.nest(IFLA_INFO_SLAVE_DATA, |w| w.u8(IFLA_BRPORT_HAIRPIN, 1));
        });
    });
}

/// Brings a link up.
pub(crate) fn link_up(batch: &mut Batch, what: impl Into<String>, index: u32) {
    batch.request(what, SETLINK, ACK, |w| w.raw(&link_header(index, IFF_UP, IFF_UP)));
}

/// Deletes a link; a veth's other end goes with it. By index, which is never used twice: a name may already be
/// somebody else's.
pub(crate) fn delete_link(batch: &mut Batch, link: &Link) {
    batch.request(format!("delete interface `{}`", link.name), DELLINK, ACK, |w| w.raw(&link_header(link.index, 0, 0)));
}

/// Gives a link an address; fine if it has it.
pub(crate) fn set_address(batch: &mut Batch, index: u32, ip: Ipv4Addr, prefix: u8, broadcast: Ipv4Addr) {
    batch.request(format!("add address {ip}/{prefix}"), NEWADDR, ACK | CREATE | REPLACE, |w| {
        let mut header = [0; ADDRESS_HEADER];
        header[0] = AF_INET;
        header[1] = prefix;
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        w.raw(&header);
        w.bytes(IFA_LOCAL, &ip.octets());
        w.bytes(IFA_ADDRESS, &ip.octets());
        w.bytes(IFA_BROADCAST, &broadcast.octets());
    });
}

/// A route that says that there is no way.
pub(crate) fn add_unreachable(batch: &mut Batch, network: Ipv4Addr, prefix: u8) {
    batch.request(format!("make {network}/{prefix} unreachable"), NEWROUTE, ACK | CREATE | REPLACE, |w| {
        // As below, but for the type: unreachable.
        w.raw(&[AF_INET, prefix, 0, 0, 254, 4, 0, 7, 0, 0, 0, 0]);
        w.bytes(RTA_DST, &network.octets());
    });
}

/// Adds the default route to the main table.
pub(crate) fn add_default_route(batch: &mut Batch, index: u32, gateway: Ipv4Addr) {
    batch.request(format!("add the default route by {gateway}"), NEWROUTE, ACK | CREATE | EXCL, |w| {
        // family, dst_len, src_len, tos, table main, protocol static, scope universe, type unicast, flags
        w.raw(&[AF_INET, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0]);
        w.bytes(RTA_GATEWAY, &gateway.octets());
        w.u32(RTA_OIF, index);
    });
}
