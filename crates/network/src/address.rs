//! Addresses: an IPv4 subnet, and the hardware address that belongs to an IPv4 address.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::NetworkError;

/// First two octets of every hardware address that Stockade gives: locally administered, unicast (bits of the
/// first octet: IEEE 802-2014, 8.4.4.1), and different from docker's `02:42` so that the two are told apart.
const MAC_PREFIX: [u8; 2] = [0x02, 0x5d];

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// The address that belongs to `ip`: two different addresses in a network never share one, and the same
    /// address always has the same one, so neighbours' caches stay right after a restart.
    pub fn for_ip(ip: Ipv4Addr) -> MacAddress {
        let [a, b, c, d] = ip.octets();
        MacAddress([MAC_PREFIX[0], MAC_PREFIX[1], a, b, c, d])
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<MacAddress, NetworkError> {
        let bad =
            || NetworkError::BadAddress { text: text.to_owned(), expected: "six hex pairs such as 02:5d:0a:59:00:02" };
        let mut octets = [0u8; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(bad)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        if parts.next().is_some() { Err(bad()) } else { Ok(MacAddress(octets)) }
    }
}

impl Serialize for MacAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<MacAddress, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An IPv4 network with room for containers: prefix length 8 to 29, host bits zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet {
    network: u32,
    prefix: u8,
}

impl Subnet {
    /// The network of `prefix` bits that holds `address`. Fails outside /8 to /29: a larger one is a mistake
    /// in writing, a smaller one has no room for a gateway and containers.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Result<Subnet, NetworkError> {
        if !(8..=29).contains(&prefix) {
            return Err(NetworkError::BadAddress {
                text: format!("{address}/{prefix}"),
                expected: "a subnet with a prefix length from 8 to 29",
            });
        }
        Ok(Subnet { network: u32::from(address) & mask_of(prefix), prefix })
    }

    /// Prefix length in bits.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// First address, the one that names the network.
    pub fn network(self) -> Ipv4Addr {
        self.network.into()
    }

    /// Netmask, as in 255.255.0.0.
    pub fn mask(self) -> Ipv4Addr {
        mask_of(self.prefix).into()
    }

    /// Last address of the network.
    pub fn broadcast(self) -> Ipv4Addr {
        (self.network | !mask_of(self.prefix)).into()
    }

    /// The bridge's own address: the first host address.
    pub fn gateway(self) -> Ipv4Addr {
        (self.network + 1).into()
    }

    /// How many addresses containers can have: all but network, gateway and broadcast.
    pub fn capacity(self) -> u32 {
        !mask_of(self.prefix) - 2
    }

    /// The container address of index `n`, from 0 below [`Subnet::capacity`] (it wraps beyond).
    pub fn container_address(self, n: u32) -> Ipv4Addr {
        (self.network + 2 + n % self.capacity()).into()
    }

    /// The index of a container's address; `None` for the gateway, the ends and addresses outside.
    pub fn container_index(self, address: Ipv4Addr) -> Option<u32> {
        let address = u32::from(address);
        if address & mask_of(self.prefix) != self.network {
            return None;
        }
        (address - self.network).checked_sub(2).filter(|n| *n < self.capacity())
    }

    /// Whether `address` lies inside.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask_of(self.prefix) == self.network
    }

    /// Whether this network and `address/prefix` share an address. A default route (prefix 0) counts too:
    /// leave it out before asking.
    pub fn overlaps(self, address: Ipv4Addr, prefix: u8) -> bool {
        let shorter = mask_of(self.prefix.min(prefix));
        self.network & shorter == u32::from(address) & shorter
    }
}

fn mask_of(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network(), self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Subnet, NetworkError> {
        let bad =
            || NetworkError::BadAddress { text: text.to_owned(), expected: "an IPv4 subnet such as 10.89.0.0/16" };
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let address: Ipv4Addr = address.parse().map_err(|_| bad())?;
        Subnet::new(address, prefix.parse().map_err(|_| bad())?)
    }
}

impl Serialize for Subnet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subnet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Subnet, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_keeps_ends_and_gateway_from_containers() {
        let net: Subnet = "192.168.229.77/29".parse().unwrap();
        assert_eq!(net.to_string(), "192.168.229.72/29");
        assert_eq!(net.gateway(), Ipv4Addr::new(192, 168, 229, 73));
        assert_eq!(net.capacity(), 5);
        let all: Vec<_> = (0..net.capacity()).map(|n| net.container_address(n)).collect();
        assert_eq!(all.first(), Some(&Ipv4Addr::new(192, 168, 229, 74)));
        assert_eq!(all.last(), Some(&Ipv4Addr::new(192, 168, 229, 78)));
        assert_eq!(net.broadcast(), Ipv4Addr::new(192, 168, 229, 79));
        for (n, ip) in all.iter().enumerate() {
            assert_eq!(net.container_index(*ip), Some(n as u32));
        }
        assert_eq!(net.container_index(net.gateway()), None);
        assert_eq!(net.container_index(net.broadcast()), None);
        assert_eq!(net.container_address(net.capacity()), net.container_address(0));
    }

    #[test]
    fn overlap_is_seen_from_both_sides() {
        let net: Subnet = "10.89.0.0/16".parse().unwrap();
        assert!(net.overlaps(Ipv4Addr::new(10, 89, 7, 0), 24));
        assert!(net.overlaps(Ipv4Addr::new(10, 0, 0, 0), 8));
        assert!(!net.overlaps(Ipv4Addr::new(10, 90, 0, 0), 16));
        assert!(net.overlaps(Ipv4Addr::new(10, 89, 1, 1), 32));
    }

    #[test]
    fn bad_subnets_are_refused_with_the_text() {
        for text in ["10.0.0.0", "10.0.0.0/31", "10.0.0/8", "10.0.0.0/7", "x/8", "10.0.0.0/-1", ""] {
            let error = text.parse::<Subnet>().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn mac_addresses_are_derived_and_round_trip() {
        let mac = MacAddress::for_ip(Ipv4Addr::new(172, 29, 0, 2));
        assert_eq!(mac.to_string(), "02:5d:ac:1d:00:02");
        assert_eq!(mac.to_string().parse::<MacAddress>().unwrap(), mac);
        for bad in
            ["02:5d:ac:1d:00", "02:5d:ac:1d:00:02:03", "02-5d-ac-1d-00-02", "2:5d:ac:1d:0:2", "+2:5d:ac:1d:00:02:"]
        {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_parses_or_fails(text: String) {
            let _ = text.parse::<Subnet>();
            let _ = text.parse::<MacAddress>();
        }
    }
}
