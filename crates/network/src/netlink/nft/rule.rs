//! Rules: the expressions that nf_tables runs, and the few matches this room builds from them.
//!
//! Expressions work on 32-bit registers. A match loads into register 0 and compares; a rule goes on only
//! while its comparisons hold.

use std::net::Ipv4Addr;

use super::set::interface_field;
use crate::address::Subnet;
use crate::netlink::message::Writer;

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;

/// Number of the first 32-bit register (`NFT_REG32_00`).
const REGISTER_0: u32 = 8;
/// The register that a verdict is written to.
const VERDICT_REGISTER: u32 = 0;

const NETWORK_HEADER: u32 = 1;
const LINK_HEADER: u32 = 0;
const TRANSPORT_HEADER: u32 = 2;

const META_PROTOCOL: u32 = 1;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
/// Bits `established` and `related` of `ct state`.
const STATE_KNOWN: u32 = 2 | 4;
/// `IPS_DST_NAT`: the destination was translated.
const STATUS_DNAT: u32 = 1 << 5;
const FIB_ADDRTYPE: u32 = 3;
const FIB_DADDR: u32 = 2;
const RTN_LOCAL: u32 = 2;

const EQUAL: u32 = 0;
const DIFFERENT: u32 = 1;

/// What happens to the packet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict<'a> {
    /// This base chain lets it pass.
    Accept,
    /// It is gone.
    Drop,
    /// Run another chain, then come back.
    Jump(&'a str),
    /// Run another chain, do not come back.
    Goto(&'a str),
}

/// A rule under construction: matches in order, then what to do.
pub(crate) struct Rule<'w, 'b> {
    writer: &'w mut Writer<'b>,
}

impl<'w, 'b> Rule<'w, 'b> {
    pub(super) fn new(writer: &'w mut Writer<'b>) -> Rule<'w, 'b> {
        Rule { writer }
    }

    /// Came in by this interface.
    pub(crate) fn in_by(&mut self, name: &str) -> &mut Self {
        self.meta(0, META_IIFNAME).compare(EQUAL, &interface_field(name))
    }

    /// Came in by another interface.
    pub(crate) fn not_in_by(&mut self, name: &str) -> &mut Self {
        self.meta(0, META_IIFNAME).compare(DIFFERENT, &interface_field(name))
    }

    /// Came in by an interface whose name does not start like this.
    pub(crate) fn not_in_by_prefix(&mut self, prefix: &str) -> &mut Self {
        self.meta(0, META_IIFNAME).compare(DIFFERENT, prefix.as_bytes())
    }

    /// Goes out by this interface.
    pub(crate) fn out_by(&mut self, name: &str) -> &mut Self {
        self.meta(0, META_OIFNAME).compare(EQUAL, &interface_field(name))
    }

    /// Goes out by another interface.
    pub(crate) fn not_out_by(&mut self, name: &str) -> &mut Self {
        self.meta(0, META_OIFNAME).compare(DIFFERENT, &interface_field(name))
    }

    /// Came in by, and goes out by, interfaces that are in the set.
    pub(crate) fn between_interfaces_of(&mut self, set: &str) -> &mut Self {
        self.meta(0, META_IIFNAME).lookup(set, None).meta(0, META_OIFNAME).lookup(set, None)
    }

    /// Is IPv4 (tables of family inet).
    pub(crate) fn ipv4(&mut self) -> &mut Self {
        self.meta(0, META_NFPROTO).compare(EQUAL, &[2])
    }

    /// Is not IPv4 (tables of family inet).
    pub(crate) fn not_ipv4(&mut self) -> &mut Self {
        self.meta(0, META_NFPROTO).compare(DIFFERENT, &[2])
    }

    /// The frame carries this EtherType (tables of family bridge).
    pub(crate) fn ether_type(&mut self, number: u16) -> &mut Self {
        self.meta(0, META_PROTOCOL).compare(EQUAL, &number.to_be_bytes())
    }

    /// IPv4 source lies in the subnet. Ask [`Rule::ipv4`] first.
    pub(crate) fn source_in(&mut self, network: Ipv4Addr, mask: Ipv4Addr) -> &mut Self {
        self.masked(12, mask).compare(EQUAL, &network.octets())
    }

    /// IPv4 source lies outside the subnet. Ask [`Rule::ipv4`] first.
    pub(crate) fn source_outside(&mut self, subnet: Subnet) -> &mut Self {
        self.masked(12, subnet.mask()).compare(DIFFERENT, &subnet.network().octets())
    }

    /// IPv4 destination lies in the subnet. Ask [`Rule::ipv4`] first.
    pub(crate) fn destination_in(&mut self, network: Ipv4Addr, mask: Ipv4Addr) -> &mut Self {
        self.masked(16, mask).compare(EQUAL, &network.octets())
    }

    /// IPv4 source is in the set. Ask [`Rule::ipv4`] first.
    pub(crate) fn source_of_set(&mut self, set: &str) -> &mut Self {
        self.payload(0, NETWORK_HEADER, 12, 4).lookup(set, None)
    }

    /// The transport protocol has this number and the destination port is this one.
    pub(crate) fn destination_port(&mut self, protocol: u8, port: u16) -> &mut Self {
        self.meta(0, META_L4PROTO)
            .compare(EQUAL, &[protocol])
            .payload(0, TRANSPORT_HEADER, 2, 2)
            .compare(EQUAL, &port.to_be_bytes())
    }

    /// Belongs to a connection that was let through before.
    pub(crate) fn known_connection(&mut self) -> &mut Self {
        self.ct(CT_STATE).any_bit(STATE_KNOWN)
    }

    /// Belongs to a connection whose destination was translated.
    pub(crate) fn translated(&mut self) -> &mut Self {
        self.ct(CT_STATUS).any_bit(STATUS_DNAT)
    }

    /// Is for an address of the host.
    pub(crate) fn for_this_host(&mut self) -> &mut Self {
        self.expression("fib", |w| {
            w.be32(1, REGISTER_0);
            w.be32(2, FIB_ADDRTYPE);
            w.be32(3, FIB_DADDR);
        })
        .compare(EQUAL, &RTN_LOCAL.to_ne_bytes())
    }

    /// Interface, Ethernet source and IPv4 source are in the set together.
    pub(crate) fn ip_sender_of_set(&mut self, set: &str) -> &mut Self {
        self.sender_of_set(set, (LINK_HEADER, 6), (NETWORK_HEADER, 12))
    }

    /// An Ethernet ARP packet about IPv4, sent and signed by a sender that is in the set
    /// (offsets: RFC 826 with 6 and 4 byte addresses).
    pub(crate) fn arp_sender_of_set(&mut self, set: &str) -> &mut Self {
        self.payload(0, NETWORK_HEADER, 0, 6).compare(EQUAL, &[0, 1, 8, 0, 6, 4]);
        self.sender_of_set(set, (LINK_HEADER, 6), (NETWORK_HEADER, 14));
        self.sender_of_set(set, (NETWORK_HEADER, 8), (NETWORK_HEADER, 14))
    }

    fn sender_of_set(&mut self, set: &str, mac: (u32, u32), ip: (u32, u32)) -> &mut Self {
        self.meta(0, META_IIFNAME).payload(4, mac.0, mac.1, 6).payload(6, ip.0, ip.1, 4).lookup(set, None)
    }

    /// Translates the destination to what the map says for protocol and port; goes on if it says nothing.
    pub(crate) fn translate_by_port(&mut self, map: &str) {
        self.meta(0, META_L4PROTO).payload(1, TRANSPORT_HEADER, 2, 2).lookup(map, Some(0)).destination_nat();
    }

    /// Translates the destination to what the map says for protocol, address and port.
    pub(crate) fn translate_by_address(&mut self, map: &str) {
        self.meta(0, META_L4PROTO)
            .payload(1, NETWORK_HEADER, 16, 4)
            .payload(2, TRANSPORT_HEADER, 2, 2)
            .lookup(map, Some(0))
            .destination_nat();
    }

    /// Gives the packet the address of the interface that it leaves by.
    pub(crate) fn masquerade(&mut self) {
        self.expression("masq", |_| {});
    }

    /// Decides.
    pub(crate) fn verdict(&mut self, verdict: Verdict<'_>) {
        let (code, chain): (i32, _) = match verdict {
            Verdict::Drop => (0, None),
            Verdict::Accept => (1, None),
            Verdict::Jump(chain) => (-3, Some(chain)),
            Verdict::Goto(chain) => (-4, Some(chain)),
        };
        self.expression("immediate", |w| {
            w.be32(1, VERDICT_REGISTER);
            w.nest(2, |w| {
                w.nest(NFTA_DATA_VERDICT, |w| {
                    w.be32(NFTA_VERDICT_CODE, code as u32);
                    if let Some(chain) = chain {
                        w.text(NFTA_VERDICT_CHAIN, chain);
                    }
                });
            });
        });
    }

    /// Registers 0 and 1 hold address and port to translate to.
    fn destination_nat(&mut self) {
        self.expression("nat", |w| {
            w.be32(1, 1); // NFT_NAT_DNAT
            w.be32(2, 2); // NFPROTO_IPV4
            w.be32(3, REGISTER_0);
            w.be32(5, REGISTER_0 + 1);
        });
    }

    fn meta(&mut self, register: u32, key: u32) -> &mut Self {
        self.expression("meta", |w| {
            w.be32(1, REGISTER_0 + register);
            w.be32(2, key);
        })
    }

    fn ct(&mut self, key: u32) -> &mut Self {
        self.expression("ct", |w| {
            w.be32(1, REGISTER_0);
            w.be32(2, key);
        })
    }

    fn payload(&mut self, register: u32, base: u32, offset: u32, length: u32) -> &mut Self {
        self.expression("payload", |w| {
            w.be32(1, REGISTER_0 + register);
            w.be32(2, base);
            w.be32(3, offset);
            w.be32(4, length);
        })
    }

    fn compare(&mut self, operation: u32, value: &[u8]) -> &mut Self {
        self.expression("cmp", |w| {
            w.be32(1, REGISTER_0);
            w.be32(2, operation);
            w.nest(3, |w| w.bytes(NFTA_DATA_VALUE, value));
        })
    }

    /// Register 0 becomes itself AND `mask`.
    fn mask(&mut self, mask: [u8; 4]) -> &mut Self {
        self.expression("bitwise", |w| {
            w.be32(1, REGISTER_0);
            w.be32(2, REGISTER_0);
            w.be32(3, 4);
            w.nest(4, |w| w.bytes(NFTA_DATA_VALUE, &mask));
            w.nest(5, |w| w.bytes(NFTA_DATA_VALUE, &[0; 4]));
        })
    }

    fn masked(&mut self, offset: u32, mask: Ipv4Addr) -> &mut Self {
        self.payload(0, NETWORK_HEADER, offset, 4).mask(mask.octets())
    }

    fn any_bit(&mut self, bits: u32) -> &mut Self {
        self.mask(bits.to_ne_bytes()).compare(DIFFERENT, &[0; 4])
    }

    /// The key starts at register 0; in a map the value is written from register `to` on.
    fn lookup(&mut self, set: &str, to: Option<u32>) -> &mut Self {
        self.expression("lookup", |w| {
            w.text(1, set);
            w.be32(2, REGISTER_0);
            if let Some(to) = to {
                w.be32(3, REGISTER_0 + to);
            }
        })
    }

    fn expression(&mut self, name: &str, data: impl FnOnce(&mut Writer<'_>)) -> &mut Self {
        self.writer.nest(NFTA_LIST_ELEM, |w| {
            w.text(NFTA_EXPR_NAME, name);
            w.nest(NFTA_EXPR_DATA, data);
        });
        self
    }
}
