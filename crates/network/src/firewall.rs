//! The rules, and what each container adds to them.
//!
//! Rules are written once a network; a container only adds elements to sets and maps. As `nft list ruleset`
//! would show them (the subnet is an example):
//!
//! ```text
//! table inet stockade {
//!   map published    { type inet_proto . inet_service : ipv4_addr . inet_service }               # -p 8080:80
//!   map published_on { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service }   # -p 127.0.0.1:8080:80
//!   set no_metadata  { type ipv4_addr }           # containers kept from the cloud's metadata
//!   set host_links   { type ifname }              # only if we switched forwarding on
//!   chain guard { type filter hook prerouting priority raw
//!     iifname "lo" accept
//!     ip daddr 127.0.0.0/8 drop                   # the host's loopback is for the host alone
//!     ip saddr 127.0.0.0/8 drop
//!     iifname != "stockade0" accept
//!     meta nfproto != ipv4 drop
//!     ip saddr != 172.29.0.0/16 drop              # no false sender, whatever the layer below does
//!     ip saddr @no_metadata goto metadata }
//!   chain metadata                                # link-local and the like, but name servers
//!   chain incoming { type nat hook prerouting priority dstnat; fib daddr type local jump publish }
//!   chain local    { type nat hook output priority dstnat; fib daddr type local jump publish }
//!   chain publish  { dnat by @published_on; dnat by @published }
//!   chain forward { type filter hook forward priority filter
//!     iifname "stockade0" accept
//!     oifname "stockade0" ct state established,related accept
//!     oifname "stockade0" ct status dnat accept
//!     oifname "stockade0" drop                    # nobody outside reaches a port that is not published
//!     iifname @host_links oifname @host_links drop }  # forwarding is for containers, the host is no router
//!   chain outgoing { type nat hook postrouting priority srcnat
//!     ip saddr 172.29.0.0/16 oifname != "stockade0" masquerade
//!     oifname "stockade0" ip saddr 127.0.0.0/8 masquerade                # the host by localhost
//!     oifname "stockade0" ip saddr 172.29.0.0/16 ct status dnat masquerade } } # a container by the host
//! table bridge stockade {
//!   set senders { type ifname . ether_addr . ipv4_addr }
//!   chain senders { type filter hook prerouting priority -300
//!     iifname != "skv*" accept
//!     ether type ip  iifname . ether saddr . ip saddr @senders accept
//!     ether type arp (both senders that it names) @senders accept
//!     drop } }                                    # no IPv6, no router advertisement, nothing else
//! ```

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::address::Subnet;
use crate::config::NetworkConfig;
use crate::error::NetworkError;
use crate::netlink::nft::{
    BaseChain, DataType, Element, Family, Hook, Rule, Set, Table, Transaction, Verdict, interface_field,
};
use crate::netlink::socket::Socket;
use crate::state::EndpointRecord;

/// Version of the rules below: a network that was set up with another one gets them anew.
pub(crate) const RULESET: u32 = 1;

const PUBLISHED: Set =
    Set { name: "published", key: &[DataType::Protocol, DataType::Port], data: &[DataType::Ipv4, DataType::Port] };
const PUBLISHED_ON: Set = Set {
    name: "published_on",
    key: &[DataType::Protocol, DataType::Ipv4, DataType::Port],
    data: &[DataType::Ipv4, DataType::Port],
};
const NO_METADATA: Set = Set { name: "no_metadata", key: &[DataType::Ipv4], data: &[] };
/// Name of the set that a table has exactly if its network switched forwarding on.
pub(crate) const HOST_LINKS_SET: &str = "host_links";
const HOST_LINKS: Set = Set { name: HOST_LINKS_SET, key: &[DataType::Interface], data: &[] };
const SENDERS: Set = Set { name: "senders", key: &[DataType::Interface, DataType::Ether, DataType::Ipv4], data: &[] };

const LOOPBACK: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(127, 0, 0, 0), Ipv4Addr::new(255, 0, 0, 0));

/// Where clouds answer questions about the machine, with its credentials among the answers: all link-local
/// addresses (169.254.169.254 of most, 169.254.170.2 of ECS tasks), Alibaba's, and Oracle's old one.
pub(crate) const METADATA: [(Ipv4Addr, Ipv4Addr); 3] = [
    (Ipv4Addr::new(169, 254, 0, 0), Ipv4Addr::new(255, 255, 0, 0)),
    (Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::BROADCAST),
    (Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::BROADCAST),
];

const ETHER_IPV4: u16 = 0x0800;
const ETHER_ARP: u16 = 0x0806;

/// Elements sent in one transaction at most: some hundred KiB is what a socket takes.
const ELEMENTS_AT_ONCE: usize = 1000;

/// The rules of one network.
#[derive(Debug)]
pub(crate) struct Firewall<'a> {
    socket: Socket,
    config: &'a NetworkConfig,
}

/// Elements by table and set.
#[derive(Debug, Default)]
struct Elements {
    published: Vec<Element>,
    published_on: Vec<Element>,
    no_metadata: Vec<Element>,
    senders: Vec<Element>,
}

impl Elements {
    fn of(endpoint: &EndpointRecord) -> Elements {
        let mut elements = Elements::default();
        let ip = endpoint.ip.octets();
        for port in &endpoint.ports {
            let protocol = [port.protocol.number()];
            let (host_port, target) = (port.host_port.to_be_bytes(), port.container_port.to_be_bytes());
            match port.host_ip {
                IpAddr::V4(Ipv4Addr::UNSPECIFIED) => {
                    elements.published.push(Element::key(&[&protocol, &host_port]).to(&[&ip, &target]));
                }
                IpAddr::V4(host_ip) => elements
                    .published_on
                    .push(Element::key(&[&protocol, &host_ip.octets(), &host_port]).to(&[&ip, &target])),
                // Refused when the port was reserved.
                IpAddr::V6(_) => {}
            }
        }
        if endpoint.block_metadata {
            elements.no_metadata.push(Element::key(&[&ip]));
        }
        elements.senders.push(Element::key(&[&interface_field(&endpoint.host_interface), &endpoint.mac.0, &ip]));
        elements
    }

    fn append(&mut self, mut other: Elements) {
        self.published.append(&mut other.published);
        self.published_on.append(&mut other.published_on);
        self.no_metadata.append(&mut other.no_metadata);
        self.senders.append(&mut other.senders);
    }

    /// Should two records still claim one port, one of them has it; a batch with both would fail as a whole.
    fn one_owner_each(&mut self) {
        for elements in [&mut self.published, &mut self.published_on] {
            let by_key: BTreeMap<Vec<u8>, Vec<u8>> = elements.drain(..).map(|e| (e.key, e.data)).collect();
            elements.extend(by_key.into_iter().map(|(key, data)| Element { key, data }));
        }
    }
}

impl<'a> Firewall<'a> {
    pub(crate) fn open(config: &'a NetworkConfig) -> Result<Firewall<'a>, NetworkError> {
        Ok(Firewall { socket: Socket::netfilter()?, config })
    }

    pub(crate) fn into_socket(self) -> OwnedFd {
        self.socket.into_inner()
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    fn inet(&self) -> Table<'a> {
        Table { family: Family::Inet, name: &self.config.table }
    }

    fn bridge(&self) -> Table<'a> {
        Table { family: Family::Bridge, name: &self.config.table }
    }

    /// Writes all rules anew, with the elements of `endpoints`.
    /// `host_links`: the interfaces that packets must not pass between, if that is our business.
    /// Returns whether the kernel can check frames on the bridge; without that, containers could send in each
    /// other's name.
    pub(crate) fn write(
        &self,
        subnet: Subnet,
        host_links: Option<&[String]>,
        endpoints: &[EndpointRecord],
    ) -> Result<bool, NetworkError> {
        let layer2 = match self.write_rules(subnet, host_links, true) {
            Ok(()) => true,
            Err(e) if [Errno::OPNOTSUPP, Errno::AFNOSUPPORT, Errno::NOENT].into_iter().any(|n| e.is_errno(n)) => {
                self.write_rules(subnet, host_links, false)?;
                false
            }
            Err(e) => return Err(e),
        };
        let mut elements = Elements::default();
        for endpoint in endpoints {
            elements.append(Elements::of(endpoint));
        }
        elements.one_owner_each();
        self.add_elements(&elements, layer2)?;
        Ok(layer2)
    }

    /// Tries as if there were none first: to replace rules makes the kernel wait until nobody uses the old ones.
    fn write_rules(&self, subnet: Subnet, host_links: Option<&[String]>, layer2: bool) -> Result<(), NetworkError> {
        match self.rules(subnet, host_links, layer2, false).commit(&self.socket) {
            Err(e) if e.is_errno(Errno::EXIST) => self.rules(subnet, host_links, layer2, true).commit(&self.socket),
            other => other,
        }
    }

    fn add_elements(&self, elements: &Elements, layer2: bool) -> Result<(), NetworkError> {
        let inet = self.inet();
        let mut sets = vec![
            (inet, PUBLISHED.name, &elements.published),
            (inet, PUBLISHED_ON.name, &elements.published_on),
            (inet, NO_METADATA.name, &elements.no_metadata),
        ];
        if layer2 {
            sets.push((self.bridge(), SENDERS.name, &elements.senders));
        }
        let total: usize = sets.iter().map(|(_, _, e)| e.len()).sum();
        if total <= ELEMENTS_AT_ONCE {
            let mut transaction = Transaction::new();
            for (table, set, elements) in sets {
                transaction.add_elements(table, set, elements);
            }
            return transaction.commit(&self.socket);
        }
        for (table, set, elements) in sets {
            for some in elements.chunks(ELEMENTS_AT_ONCE) {
                let mut transaction = Transaction::new();
                transaction.add_elements(table, set, some);
                transaction.commit(&self.socket)?;
            }
        }
        Ok(())
    }

    /// Adds a container. False if the rules are not what they should be and have to be written anew: somebody
    /// flushed them, or a dead container's port is still there.
    pub(crate) fn add(&self, endpoint: &EndpointRecord, layer2: bool) -> Result<bool, NetworkError> {
        known_or(self.add_elements(&Elements::of(endpoint), layer2))
    }

    /// Takes a container out; false if the rules have to be written anew.
    pub(crate) fn remove(&self, endpoint: &EndpointRecord, layer2: bool) -> Result<bool, NetworkError> {
        let elements = Elements::of(endpoint);
        let inet = self.inet();
        let mut transaction = Transaction::new();
        transaction.delete_elements(inet, PUBLISHED.name, &elements.published);
        transaction.delete_elements(inet, PUBLISHED_ON.name, &elements.published_on);
        transaction.delete_elements(inet, NO_METADATA.name, &elements.no_metadata);
        if layer2 {
            transaction.delete_elements(self.bridge(), SENDERS.name, &elements.senders);
        }
        known_or(transaction.commit(&self.socket))
    }

    /// Removes all rules, whether there are any or not.
    pub(crate) fn destroy(&self) -> Result<(), NetworkError> {
        let destroy = |tables: &[Table<'_>]| {
            let mut transaction = Transaction::new();
            for table in tables {
                // Adding first makes the deletion of a missing table succeed.
                transaction.add_table(*table);
                transaction.delete_table(*table);
            }
            transaction.commit(&self.socket)
        };
        // A kernel without the bridge family refuses the pair.
        destroy(&[self.inet(), self.bridge()]).or_else(|_| destroy(&[self.inet()]))
    }

    fn rules(&self, subnet: Subnet, host_links: Option<&[String]>, layer2: bool, replace: bool) -> Transaction {
        let mut transaction = Transaction::new();
        let inet = self.inet();
        for table in [Some(inet), layer2.then(|| self.bridge())].into_iter().flatten() {
            if replace {
                // Adding first makes the deletion of a missing table succeed.
                transaction.add_table(table);
                transaction.delete_table(table);
            }
            transaction.create_table(table);
        }
        for set in [PUBLISHED, PUBLISHED_ON, NO_METADATA] {
            transaction.add_set(inet, &set);
        }
        if let Some(links) = host_links {
            transaction.add_set(inet, &HOST_LINKS);
            let elements: Vec<_> = links.iter().map(|l| Element::key(&[&interface_field(l)])).collect();
            transaction.add_elements(inet, HOST_LINKS.name, &elements);
        }
        for (name, base) in [
            ("metadata", None),
            ("publish", None),
            ("guard", Some(BaseChain { kind: "filter", hook: Hook::Prerouting, priority: -300 })),
            ("incoming", Some(BaseChain { kind: "nat", hook: Hook::Prerouting, priority: -100 })),
            ("local", Some(BaseChain { kind: "nat", hook: Hook::Output, priority: -100 })),
            ("forward", Some(BaseChain { kind: "filter", hook: Hook::Forward, priority: 0 })),
            ("outgoing", Some(BaseChain { kind: "nat", hook: Hook::Postrouting, priority: 100 })),
        ] {
            transaction.add_chain(inet, name, base);
        }
        self.guard_rules(&mut transaction, subnet);
        self.publish_rules(&mut transaction);
        self.forward_rules(&mut transaction, host_links.is_some());
        self.outgoing_rules(&mut transaction, subnet);
        if layer2 {
            self.layer2_rules(&mut transaction);
        }
        transaction
    }

    fn guard_rules(&self, transaction: &mut Transaction, subnet: Subnet) {
        let inet = self.inet();
        let bridge = self.config.bridge.as_str();
        let mut guard = |rule: &dyn Fn(&mut Rule<'_, '_>)| transaction.add_rule(inet, "guard", rule);
        guard(&|r| r.in_by("lo").verdict(Verdict::Accept));
        guard(&|r| r.ipv4().destination_in(LOOPBACK.0, LOOPBACK.1).verdict(Verdict::Drop));
        guard(&|r| r.ipv4().source_in(LOOPBACK.0, LOOPBACK.1).verdict(Verdict::Drop));
        guard(&|r| r.not_in_by(bridge).verdict(Verdict::Accept));
        guard(&|r| r.not_ipv4().verdict(Verdict::Drop));
        guard(&|r| r.ipv4().source_outside(subnet).verdict(Verdict::Drop));
        guard(&|r| r.ipv4().source_of_set(NO_METADATA.name).verdict(Verdict::Goto("metadata")));
        // Some clouds answer DNS on the same addresses.
        for protocol in [6, 17] {
            transaction.add_rule(inet, "metadata", |r| r.destination_port(protocol, 53).verdict(Verdict::Accept));
        }
        for (network, mask) in METADATA {
            transaction.add_rule(inet, "metadata", |r| r.ipv4().destination_in(network, mask).verdict(Verdict::Drop));
        }
    }

    fn publish_rules(&self, transaction: &mut Transaction) {
        let inet = self.inet();
        for chain in ["incoming", "local"] {
            transaction.add_rule(inet, chain, |r| r.ipv4().for_this_host().verdict(Verdict::Jump("publish")));
        }
        transaction.add_rule(inet, "publish", |r| r.translate_by_address(PUBLISHED_ON.name));
        transaction.add_rule(inet, "publish", |r| r.translate_by_port(PUBLISHED.name));
    }

    fn forward_rules(&self, transaction: &mut Transaction, guard_host: bool) {
        let inet = self.inet();
        let bridge = self.config.bridge.as_str();
        let mut forward = |rule: &dyn Fn(&mut Rule<'_, '_>)| transaction.add_rule(inet, "forward", rule);
        forward(&|r| r.in_by(bridge).verdict(Verdict::Accept));
        forward(&|r| r.out_by(bridge).known_connection().verdict(Verdict::Accept));
        forward(&|r| r.out_by(bridge).translated().verdict(Verdict::Accept));
        forward(&|r| r.out_by(bridge).verdict(Verdict::Drop));
        if guard_host {
            forward(&|r| r.between_interfaces_of(HOST_LINKS.name).verdict(Verdict::Drop));
        }
    }

    fn outgoing_rules(&self, transaction: &mut Transaction, subnet: Subnet) {
        let inet = self.inet();
        let bridge = self.config.bridge.as_str();
        let (network, mask) = (subnet.network(), subnet.mask());
        let mut outgoing = |rule: &dyn Fn(&mut Rule<'_, '_>)| transaction.add_rule(inet, "outgoing", rule);
        outgoing(&|r| r.not_out_by(bridge).ipv4().source_in(network, mask).masquerade());
        outgoing(&|r| r.out_by(bridge).ipv4().source_in(LOOPBACK.0, LOOPBACK.1).masquerade());
        outgoing(&|r| r.out_by(bridge).ipv4().source_in(network, mask).translated().masquerade());
    }

    fn layer2_rules(&self, transaction: &mut Transaction) {
        let table = self.bridge();
        transaction.add_set(table, &SENDERS);
        let base = BaseChain { kind: "filter", hook: Hook::Prerouting, priority: -300 };
        transaction.add_chain(table, "senders", Some(base));
        let mut senders = |rule: &dyn Fn(&mut Rule<'_, '_>)| transaction.add_rule(table, "senders", rule);
        senders(&|r| r.not_in_by_prefix(&self.config.veth_prefix).verdict(Verdict::Accept));
        senders(&|r| r.ether_type(ETHER_IPV4).ip_sender_of_set(SENDERS.name).verdict(Verdict::Accept));
        senders(&|r| r.ether_type(ETHER_ARP).arp_sender_of_set(SENDERS.name).verdict(Verdict::Accept));
        senders(&|r| r.verdict(Verdict::Drop));
    }
}

/// Whether a change of elements went through, or failed because the rules are not what they should be.
fn known_or(result: Result<(), NetworkError>) -> Result<bool, NetworkError> {
    match result {
        Ok(()) => Ok(true),
        Err(e) if [Errno::NOENT, Errno::EXIST, Errno::BUSY].into_iter().any(|n| e.is_errno(n)) => Ok(false),
        Err(e) => Err(e),
    }
}
