//! Making a network exist, and making it go away.

use std::net::{IpAddr, Ipv4Addr};

use rustix::io::Errno;

use crate::address::{MacAddress, Subnet};
use crate::config::NetworkConfig;
use crate::endpoint::Published;
use crate::error::NetworkError;
use crate::firewall::{Firewall, RULESET};
use crate::forwarding;
use crate::netlink::conntrack;
use crate::netlink::message::Batch;
use crate::netlink::nft;
use crate::netlink::route::{self, Link, Route};
use crate::netlink::socket::Socket;
use crate::publish::Protocol;
use crate::resolv::HostResolver;
use crate::setup_lock::SetupLock;
use crate::state::{EndpointRecord, NetworkRecord, State};
use crate::sysctl;

/// Subnets to choose from: private (RFC 1918), none of docker's, podman's or libvirt's defaults, and two small
/// ones for hosts where all of 10/8 and 172.16/12 is routed away.
const CANDIDATES: [(Ipv4Addr, u8); 7] = [
    (Ipv4Addr::new(172, 29, 0, 0), 16),
    (Ipv4Addr::new(10, 89, 0, 0), 16),
    (Ipv4Addr::new(172, 30, 0, 0), 16),
    (Ipv4Addr::new(10, 213, 0, 0), 16),
    (Ipv4Addr::new(10, 147, 0, 0), 16),
    (Ipv4Addr::new(192, 168, 229, 0), 24),
    (Ipv4Addr::new(192, 168, 213, 0), 24),
];

/// Largest packet where the host has no way out that would tell, in bytes (Ethernet).
const DEFAULT_MTU: u32 = 1500;

/// The version of rules that are not all there yet.
const UNFINISHED: u32 = 0;

/// A subnet of fewer addresses gives one away again while the kernel may still know connections of its last owner.
const SOON_REUSED: u32 = 4096;

/// The kernel side of a network.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) config: &'a NetworkConfig,
    pub(crate) state: &'a State,
    pub(crate) route: Socket,
    pub(crate) firewall: Firewall<'a>,
}

/// A network that is ready for containers.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) record: NetworkRecord,
    /// Interface index of the bridge.
    pub(crate) bridge: u32,
}

impl<'a> Setup<'a> {
    pub(crate) fn open(config: &'a NetworkConfig, state: &'a State) -> Result<Setup<'a>, NetworkError> {
        Ok(Setup { config, state, route: Socket::route()?, firewall: Firewall::open(config)? })
    }

    /// Makes the network exist, whole: a first container creates it, a later one finds it, and what somebody
    /// else removed in between is made again.
    pub(crate) fn ensure(&self) -> Result<Ready, NetworkError> {
        // A damaged record is as good as none: everything is made anew.
        let Some(record) = self.state.network().unwrap_or_default() else {
            return self.create();
        };
        match route::link_by_name(&self.route, &self.config.bridge)? {
            Some(bridge) if record.ruleset == RULESET && forwarding::is_on()? => {
                Ok(Ready { record, bridge: bridge.index })
            }
            _ => self.repair(record),
        }
    }

    fn create(&self) -> Result<Ready, NetworkError> {
        let _alone = SetupLock::take();
        self.remove_leftovers()?;
        let routes = route::routes(&self.route)?;
        let subnet = self.choose_subnet(&routes)?;
        let mtu = self.mtu_of_way_out(&routes)?;
        let droppers = nft::chains_that_drop_forwarded(self.firewall.socket())?;
        let record = NetworkRecord { subnet, mtu, ruleset: UNFINISHED, layer2: true, droppers };
        // Known before it exists, so that a crash from here on is cleaned up.
        self.state.set_network(&record)?;
        let bridge = self.create_bridge(&record)?;
        self.state.remember_subnet(subnet);
        self.finish(record, bridge)
    }

    fn finish(&self, mut record: NetworkRecord, bridge: u32) -> Result<Ready, NetworkError> {
        self.configure_bridge(&record, bridge)?;
        record.layer2 = self.write_rules(&record)?;
        record.ruleset = RULESET;
        self.state.update_network(&record)?;
        Ok(Ready { record, bridge })
    }

    /// The bridge is gone, the rules are of another version, forwarding is off, or a crash left something half done:
    /// makes all of it right around the living endpoints.
    fn repair(&self, record: NetworkRecord) -> Result<Ready, NetworkError> {
        let _alone = SetupLock::take();
        let bridge = match route::link_by_name(&self.route, &self.config.bridge)? {
            Some(bridge) => bridge.index,
            None => self.create_bridge(&record)?,
        };
        for endpoint in self.state.endpoints()? {
            let mut batch = Batch::default();
            route::join_bridge(&mut batch, &endpoint.host_interface, bridge);
            match self.route.execute(&batch) {
                // The container is dying; gc will see to it.
                Err(e) if e.is_errno(Errno::NODEV) => {}
                other => other?,
            }
        }
        self.finish(record, bridge)
    }

    /// Takes ports away from the records of other endpoints that still claim them: whoever holds the sockets that
    /// reserve a port proves that its earlier owner is dead, only not yet cleaned up.
    pub(crate) fn take_ports_over(&self, owner: &EndpointRecord) -> Result<(), NetworkError> {
        let same =
            |a: &Published, b: &Published| (a.protocol, a.host_ip, a.host_port) == (b.protocol, b.host_ip, b.host_port);
        for mut other in self.state.endpoints()?.into_iter().filter(|e| e.id != owner.id) {
            let before = other.ports.len();
            other.ports.retain(|p| !owner.ports.iter().any(|o| same(o, p)));
            if other.ports.len() != before {
                self.state.set_endpoint(&other)?;
            }
        }
        Ok(())
    }

    /// Writes all rules with all endpoints; the bridge exists. Returns whether senders are checked.
    pub(crate) fn write_rules(&self, record: &NetworkRecord) -> Result<bool, NetworkError> {
        let forwarding = forwarding::enable(self.state, self.config, &self.route, self.firewall.socket())?;
        let links = forwarding.as_ref().map(|f| f.links.as_slice());
        self.firewall.write(record.subnet, links, &self.state.endpoints()?)
    }

    fn create_bridge(&self, record: &NetworkRecord) -> Result<u32, NetworkError> {
        let name = &self.config.bridge;
        let gateway = record.subnet.gateway();
        let mut batch = Batch::default();
        route::create_bridge(&mut batch, name, MacAddress::for_ip(gateway), record.mtu);
        if sysctl::has_ipv6() {
            route::no_ipv6_address(&mut batch, name);
        }
        self.route.execute(&batch)?;
        let link = route::link_by_name(&self.route, name)?;
        Ok(link.ok_or_else(|| NetworkError::kernel(format!("find bridge `{name}`"), Errno::NODEV))?.index)
    }

    /// Gives the bridge what it needs; fine if it has some of that.
    fn configure_bridge(&self, record: &NetworkRecord, index: u32) -> Result<(), NetworkError> {
        let name = &self.config.bridge;
        // Before it is up: the host may speak to containers from 127.0.0.1; the firewall keeps the reverse out.
        sysctl::write(&format!("ipv4/conf/{name}/route_localnet"), "1")?;
        let subnet = record.subnet;
        let mut batch = Batch::default();
        route::set_address(&mut batch, index, subnet.gateway(), subnet.prefix(), subnet.broadcast());
        route::link_up(&mut batch, format!("bring up bridge `{name}`"), index);
        self.route.execute(&batch)
    }

    fn choose_subnet(&self, routes: &[Route]) -> Result<Subnet, NetworkError> {
        let collision =
            |subnet: Subnet| routes.iter().find(|r| r.prefix > 0 && subnet.overlaps(r.destination, r.prefix));
        if let Some(subnet) = self.config.subnet {
            return match collision(subnet) {
                None => Ok(subnet),
                Some(r) => Err(NetworkError::SubnetTaken { subnet, route: format!("{}/{}", r.destination, r.prefix) }),
            };
        }
        // A name server that is reached by the default route must not end up inside the subnet.
        let servers = HostResolver::read().servers();
        let hides_server = |subnet: Subnet| servers.iter().any(|s| matches!(s, IpAddr::V4(ip) if subnet.contains(*ip)));
        let candidates = CANDIDATES.iter().filter_map(|(ip, prefix)| Subnet::new(*ip, *prefix).ok());
        let candidates: Vec<_> = self.state.remembered_subnet().into_iter().chain(candidates).collect();
        candidates.iter().copied().find(|s| collision(*s).is_none() && !hides_server(*s)).ok_or_else(|| {
            let tried = candidates.iter().map(Subnet::to_string).collect::<Vec<_>>().join(", ");
            NetworkError::NoFreeSubnet { tried }
        })
    }

    fn mtu_of_way_out(&self, routes: &[Route]) -> Result<u32, NetworkError> {
        let defaults = routes.iter().filter(|r| r.prefix == 0);
        let Some(index) = defaults.min_by_key(|r| r.metric).and_then(|r| r.out) else {
            return Ok(DEFAULT_MTU);
        };
        let link = route::link_by_index(&self.route, index)?;
        Ok(link.map_or(DEFAULT_MTU, |l| l.mtu).clamp(576, 65535))
    }

    /// Removes what an earlier life of this network left in the kernel when its state directory vanished.
    fn remove_leftovers(&self) -> Result<(), NetworkError> {
        for link in self.interfaces()? {
            self.delete(&link)?;
        }
        match route::link_by_name(&self.route, &self.config.bridge)? {
            Some(link) if link.kind != "bridge" => Err(NetworkError::kernel(
                format!("create bridge `{}`: an interface of that name is there and is no bridge", link.name),
                Errno::EXIST,
            )),
            Some(link) => self.delete(&link),
            None => Ok(()),
        }
    }

    /// Whether the kernel holds a network of our name.
    pub(crate) fn is_in_kernel(&self) -> Result<bool, NetworkError> {
        Ok(route::link_by_name(&self.route, &self.config.bridge)?.is_some_and(|l| l.kind == "bridge"))
    }

    /// The host's ends of our veth pairs.
    pub(crate) fn interfaces(&self) -> Result<Vec<Link>, NetworkError> {
        let ours = |name: &str| {
            let rest = name.strip_prefix(&self.config.veth_prefix);
            rest.is_some_and(|r| r.len() == 8 && r.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        let links = route::links(&self.route)?;
        Ok(links.into_iter().filter(|l| l.kind == "veth" && ours(&l.name)).collect())
    }

    /// The host's end of one veth pair, if it is there.
    pub(crate) fn interface(&self, name: &str) -> Result<Option<Link>, NetworkError> {
        Ok(route::link_by_name(&self.route, name)?.filter(|l| l.kind == "veth"))
    }

    /// Deletes an interface; fine if it is gone. The kernel takes some ten milliseconds for that.
    pub(crate) fn delete(&self, link: &Link) -> Result<(), NetworkError> {
        let mut batch = Batch::default();
        route::delete_link(&mut batch, link);
        match self.route.execute(&batch) {
            Err(e) if e.is_errno(Errno::NODEV) => Ok(()),
            other => other,
        }
    }

    /// Takes an endpoint out of the rules and out of the state. What is left is its interface, which is returned
    /// for the caller to delete.
    pub(crate) fn forget(&self, endpoint: &EndpointRecord) -> Result<Option<Link>, NetworkError> {
        let record = self.state.network().unwrap_or_default();
        let intact = match &record {
            Some(record) => self.firewall.remove(endpoint, record.layer2)?,
            None => true,
        };
        self.state.remove_endpoint(&endpoint.id)?;
        self.state.free_address(endpoint.ip)?;
        if let (false, Some(record)) = (intact, &record) {
            // The record is gone, so its elements are too.
            self.write_rules(record)?;
        }
        if record.is_some_and(|r| leads_on(&r, endpoint)) {
            conntrack::forget(self.firewall.socket(), endpoint.ip)?;
        }
        self.interface(&endpoint.host_interface)
    }

    /// Removes the network with all that it changed on the host. There are no endpoints any more.
    pub(crate) fn destroy(&self) -> Result<(), NetworkError> {
        let _alone = SetupLock::take();
        self.remove_leftovers()?;
        forwarding::recover(self.state, self.config, self.firewall.socket())?;
        self.firewall.destroy()?;
        if !self.state.others_exist() {
            forwarding::restore(self.state, self.config, self.firewall.socket())?;
        }
        self.state.clear()
    }
}

/// Whether tracked connections of a dead container could lead somebody astray: UDP clients that go on sending
/// to its port of the host, or anybody once its address is given away again, which takes long in a large subnet.
/// To look for them costs the kernel a walk through its whole table, about ten milliseconds.
fn leads_on(network: &NetworkRecord, endpoint: &EndpointRecord) -> bool {
    network.subnet.capacity() < SOON_REUSED || endpoint.ports.iter().any(|p| p.protocol == Protocol::Udp)
}
