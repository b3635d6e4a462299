//! A network: containers are attached to it and detached from it.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::io::Errno;

use crate::address::MacAddress;
use crate::config::{NetworkConfig, check_name};
use crate::endpoint::{Attach, Endpoint, Published};
use crate::error::NetworkError;
use crate::netlink::message::Batch;
use crate::netlink::route::{self, Link, VethPair};
use crate::netlink::socket::Socket;
use crate::netns;
use crate::publish::Protocol;
use crate::reserve::reserve;
use crate::setup::{Ready, Setup};
use crate::state::{EndpointRecord, NetworkRecord, State};
use crate::{ipam, sysctl};

/// Name of the interface in the container.
const INSIDE: &str = "eth0";

/// How long to wait for the kernel to notice a link. It is no failure if it takes longer, only a lost frame.
const LINK_PATIENCE: Duration = Duration::from_millis(100);

/// How long a network without a container is somebody's who is about to take it away.
const SETTLED: Duration = Duration::from_secs(2);

/// What [`Network::gc`] removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Ids of the containers whose connection was taken away.
    pub endpoints: Vec<String>,
    /// Host interfaces that belonged to nothing.
    pub interfaces: Vec<String>,
}

/// A bridge network of the host.
///
/// The first [`Network::attach`] makes bridge, rules and settings, the last [`Network::detach`] removes them.
/// Every method may be called by several processes at once, and again after a crash at any point.
#[derive(Debug)]
pub struct Network {
    config: NetworkConfig,
    state: State,
}

impl Network {
    /// Prepares to use the network; touches neither disk nor kernel.
    /// `run_dir` is Stockade's volatile directory (`/run/stockade`), `root_dir` the lasting one, which remembers the
    /// subnet. Fails on names that cannot be used.
    ///
    /// The kernel knows a bridge by its name alone, so two state directories must not use the same one: with
    /// another `run_dir` than `/run/stockade`, the default names get an ending made from its path.
    pub fn open(run_dir: &Path, root_dir: &Path, config: NetworkConfig) -> Result<Network, NetworkError> {
        let config = config.distinct_for(run_dir);
        config.check()?;
        Ok(Network { state: State::new(run_dir, root_dir, &config.name), config })
    }

    /// The configuration in use.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Connects a container: an interface `eth0` with an address and a default route in its namespace, the
    /// loopback up, its ports reserved and published. A connection that `id` still has is taken away first.
    /// On failure nothing is left.
    ///
    /// Keep [`Endpoint::reserved`] open as long as the container runs.
    ///
    /// # Errors
    /// [`NetworkError::PortInUse`] before anything is changed; [`NetworkError::Kernel`] with the words of the step
    /// that failed.
    pub fn attach(&self, attach: &Attach<'_>) -> Result<Endpoint, NetworkError> {
        check_name("container", attach.id, 128)?;
        let (ports, reserved) = reserve(attach.ports)?;
        let lock = self.state.lock()?;
        let setup = Setup::open(&self.config, &self.state)?;
        if let Some(old) = self.state.endpoint(attach.id).unwrap_or_default() {
            self.remove(&setup, &old)?;
        }
        let connected = setup.ensure().and_then(|ready| self.connect(&setup, ready, attach, ports));
        if connected.is_err() {
            // That error tells why; what cannot be undone now is undone by gc.
            let _ = self.undo(&setup, attach.id);
        }
        drop(lock);
        connected.map(|endpoint| Endpoint { reserved, kept: Some(setup.firewall.into_socket()), ..endpoint })
    }

    fn connect(
        &self,
        setup: &Setup<'_>,
        ready: Ready,
        attach: &Attach<'_>,
        ports: Vec<Published>,
    ) -> Result<Endpoint, NetworkError> {
        let Ready { record: mut network, bridge } = ready;
        let ip = match attach.ip {
            Some(ip) => ipam::claim(&self.state, &network, attach.id, ip).map(|()| ip)?,
            None => ipam::allocate(&self.state, &network, attach.id)?,
        };
        let record = EndpointRecord {
            id: attach.id.to_owned(),
            ip,
            mac: attach.mac.unwrap_or_else(|| MacAddress::for_ip(ip)),
            host_interface: format!("{}{:08x}", self.config.veth_prefix, u32::from(ip)),
            ports,
            block_metadata: attach.block_metadata,
        };
        self.state.set_endpoint(&record)?;
        // Before the link: from its first frame on it is known who may send what.
        if !setup.firewall.add(&record, network.layer2)? {
            setup.take_ports_over(&record)?;
            network.layer2 = setup.write_rules(&network)?;
            self.state.update_network(&network)?;
        }
        create_link(setup, &network, &record, bridge, attach.netns)?;
        configure_inside(&network, &record, attach.netns)?;
        wait_for_link(setup, &record, bridge)?;
        for port in record.ports.iter().filter(|p| p.protocol == Protocol::Udp) {
            crate::netlink::conntrack::forget_udp_port(setup.firewall.socket(), port.host_port)?;
        }
        Ok(endpoint_of(&self.config, network, record))
    }

    fn undo(&self, setup: &Setup<'_>, id: &str) -> Result<(), NetworkError> {
        match self.state.endpoint(id)? {
            Some(record) => self.remove(setup, &record)?,
            None => self.state.free_orphaned_addresses()?,
        }
        if self.state.is_empty()? { setup.destroy() } else { Ok(()) }
    }

    fn remove(&self, setup: &Setup<'_>, record: &EndpointRecord) -> Result<(), NetworkError> {
        setup.forget(record)?.map_or(Ok(()), |link| setup.delete(&link))
    }

    /// Takes a container's connection away: its addresses, ports and rules are free when this returns, and with
    /// the last container the whole network is gone. Fine if there is none.
    ///
    /// This is [`Network::release`] and [`Released::finish`]; whoever has somebody waiting calls them one by one.
    pub fn detach(&self, id: &str) -> Result<(), NetworkError> {
        self.release(id)?.finish()
    }

    /// The quick part of [`Network::detach`], about a millisecond: address, ports and rules are free when this returns.
    /// What remains is the kernel's slow part, which takes it some ten milliseconds; nobody has to wait for that, but
    /// somebody has to do it, else it is left to [`Network::gc`].
    pub fn release(&self, id: &str) -> Result<Released<'_>, NetworkError> {
        check_name("container", id, 128)?;
        let mut released = Released { network: self, work: None, change: None };
        if !self.state.exists() {
            return Ok(released);
        }
        let _lock = self.state.lock()?;
        let setup = Setup::open(&self.config, &self.state)?;
        let link = match self.state.endpoint(id)? {
            Some(record) => setup.forget(&record)?,
            None => None,
        };
        released.work = Some((setup, link));
        released.change = self.state.last_change();
        Ok(released)
    }

    /// Whether [`Network::gc`] would find something, as far as the state directory tells: cheap, no kernel is asked.
    pub fn has_leftovers(&self, live: &dyn Fn(&str) -> bool) -> bool {
        self.state.exists()
            && self.state.endpoint_ids().is_ok_and(|ids| {
                // Just now empty: whoever left last is about to take it away.
                let settled =
                    || self.state.last_change().and_then(|t| t.elapsed().ok()).is_none_or(|age| age > SETTLED);
                if ids.is_empty() { settled() } else { ids.iter().any(|id| !live(id)) }
            })
    }

    /// Takes away the connections of all containers whose id `live` denies, and everything in the kernel and on disk
    /// that belongs to no connection: what crashed or killed processes left.
    pub fn gc(&self, live: &dyn Fn(&str) -> bool) -> Result<Collected, NetworkError> {
        let mut collected = Collected::default();
        let setup = Setup::open(&self.config, &self.state)?;
        if !self.state.exists() && !setup.is_in_kernel()? {
            return Ok(collected);
        }
        let _lock = self.state.lock()?;
        for id in self.state.endpoint_ids()? {
            if live(&id) {
                continue;
            }
            match self.state.endpoint(&id) {
                Ok(Some(record)) => self.remove(&setup, &record)?,
                // Damaged or gone: its address and its interface are found below.
                _ => self.state.remove_endpoint(&id)?,
            }
            collected.endpoints.push(id);
        }
        self.state.free_orphaned_addresses()?;
        let known = self.state.endpoints()?;
        for link in setup.interfaces()? {
            if !known.iter().any(|e| e.host_interface == link.name) {
                setup.delete(&link)?;
                collected.interfaces.push(link.name);
            }
        }
        if known.is_empty() {
            setup.destroy()?;
        } else if !collected.interfaces.is_empty() {
            // An interface without a record had rules without a record.
            let ready = setup.ensure()?;
            setup.write_rules(&ready.record)?;
        }
        Ok(collected)
    }
}

/// What [`Network::release`] left to do.
#[derive(Debug)]
#[must_use = "the interface stays until `finish` deletes it"]
pub struct Released<'a> {
    network: &'a Network,
    /// The firewall's socket is in there too: to close it waits until the kernel has let go of old rules.
    work: Option<(Setup<'a>, Option<Link>)>,
    /// When endpoints had changed last, at the release.
    change: Option<SystemTime>,
}

impl Released<'_> {
    /// Deletes the interface, and the network if nobody is connected any more. Others need not wait for the
    /// first: a container that starts meanwhile finds the network in place, and then it stays.
    pub fn finish(self) -> Result<(), NetworkError> {
        self.finish_after(Duration::ZERO)
    }

    /// As [`Released::finish`], but an empty network is left in place for a moment: to make it again is most of what the
    /// next container would wait for. If somebody was connected meanwhile, the last of those takes it away.
    pub fn finish_after(self, moment: Duration) -> Result<(), NetworkError> {
        let Some((setup, link)) = self.work else { return Ok(()) };
        if let Some(link) = link {
            setup.delete(&link)?;
        }
        if !moment.is_zero() && self.network.state.is_empty()? {
            thread::sleep(moment);
            if self.network.state.last_change() != self.change {
                return Ok(());
            }
        }
        let state = &self.network.state;
        let lock = state.lock()?;
        let result = if state.exists() && state.is_empty()? { setup.destroy() } else { Ok(()) };
        drop(lock);
        result
    }
}

fn create_link(
    setup: &Setup<'_>,
    network: &NetworkRecord,
    record: &EndpointRecord,
    bridge: u32,
    netns: BorrowedFd<'_>,
) -> Result<(), NetworkError> {
    let host = record.host_interface.as_str();
    let mut batch = Batch::default();
    route::create_veth(&mut batch, &VethPair { host, inside: INSIDE, netns, mac: record.mac, mtu: network.mtu });
    match setup.route.execute(&batch) {
        // A pair of the same name has no record, else its address were taken: it is a leftover.
        Err(e) if e.is_errno(Errno::EXIST) => {
            let leftover = setup.interface(host)?.ok_or(e)?;
            setup.delete(&leftover)?;
            setup.route.execute(&batch)?;
        }
        other => other?,
    }
    let mut batch = Batch::default();
    if sysctl::has_ipv6() {
        route::no_ipv6_address(&mut batch, host);
    }
    route::join_bridge(&mut batch, host, bridge);
    if !record.ports.is_empty() {
        route::hairpin(&mut batch, host);
    }
    setup.route.execute(&batch)
}

/// Waits until the kernel has noticed that both ends are up. It does so in its own time, and a frame that comes
/// first is lost: a whole second of waiting for whoever sent it, because that is when ARP asks again.
/// Newer kernels catch up when they are asked (6.8, "synchronize link-watch when carrier is queried").
fn wait_for_link(setup: &Setup<'_>, record: &EndpointRecord, bridge: u32) -> Result<(), NetworkError> {
    let start = Instant::now();
    while start.elapsed() < LINK_PATIENCE {
        let port = route::link_by_name(&setup.route, &record.host_interface)?;
        let bridge = route::link_by_index(&setup.route, bridge)?;
        if port.is_some_and(|p| p.forwards) && bridge.is_some_and(|b| b.works) {
            break;
        }
        thread::sleep(Duration::from_micros(200));
    }
    Ok(())
}

fn configure_inside(
    network: &NetworkRecord,
    record: &EndpointRecord,
    netns: BorrowedFd<'_>,
) -> Result<(), NetworkError> {
    // The socket belongs to the namespace that it was opened in, so the thread is back home at once.
    let socket = netns::within(netns, || {
        if sysctl::has_ipv6() {
            // There is no IPv6 network; what the interface would say in it is dropped at the bridge anyway.
            sysctl::write(&format!("ipv6/conf/{INSIDE}/disable_ipv6"), "1")?;
        }
        Socket::route()
    })?;
    let link = route::link_by_name(&socket, INSIDE)?
        .ok_or_else(|| NetworkError::kernel(format!("find `{INSIDE}` in the container"), Errno::NODEV))?;
    let mut batch = Batch::default();
    route::link_up(&mut batch, "bring up the loopback interface in the container", route::LOOPBACK_INDEX);
    route::set_address(&mut batch, link.index, record.ip, network.subnet.prefix(), network.subnet.broadcast());
    route::link_up(&mut batch, format!("bring up `{INSIDE}` in the container"), link.index);
    route::add_default_route(&mut batch, link.index, network.subnet.gateway());
    socket.execute(&batch)
}

fn endpoint_of(config: &NetworkConfig, network: NetworkRecord, record: EndpointRecord) -> Endpoint {
    let mut warnings = Vec::new();
    if !network.layer2 {
        warnings.push(
            "this kernel has no nftables for bridges (CONFIG_NF_TABLES_BRIDGE): containers can send in each other's name"
                .to_owned(),
        );
    }
    if let Some(chain) = network.droppers.first() {
        warnings.push(format!(
            "another firewall drops forwarded packets (nftables chain `{chain}`): if the container has no network, let \
             interface `{}` through there",
            config.bridge
        ));
    }
    Endpoint {
        ip: record.ip,
        prefix: network.subnet.prefix(),
        gateway: network.subnet.gateway(),
        mac: record.mac,
        interface: INSIDE.to_owned(),
        host_interface: record.host_interface,
        bridge: config.bridge.clone(),
        mtu: network.mtu,
        ports: record.ports,
        warnings,
        reserved: Vec::new(),
        kept: None,
    }
}

/// Brings the loopback interface up in a namespace that is not attached to a network (`--network none`).
pub fn loopback_up(netns: BorrowedFd<'_>) -> Result<(), NetworkError> {
    let socket = netns::within_for_anybody(netns, Socket::route)?;
    let mut batch = Batch::default();
    route::link_up(&mut batch, "bring up the loopback interface in the container", route::LOOPBACK_INDEX);
    socket.execute(&batch)
}
