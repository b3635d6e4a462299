//! The text of `-p`: which port of the host leads to which port of the container.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::NetworkError;

/// A transport protocol whose ports can be published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, the one meant when none is given.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Protocol number in an IP header (IANA).
    pub(crate) fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// One port to publish, as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortMapping {
    /// Address of the host to listen on; `None`: all (IPv4) addresses.
    pub host_ip: Option<IpAddr>,
    /// Port of the host; `None`: any free one.
    pub host_port: Option<u16>,
    /// Last port of a range that starts at `host_port`: any free one of them will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port_last: Option<u16>,
    /// Port in the container.
    pub container_port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

impl FromStr for PortMapping {
    type Err = NetworkError;

    /// Reads a `-p` value that means a single port; ranges go through [`parse_publish`].
    fn from_str(text: &str) -> Result<PortMapping, NetworkError> {
        let mut all = parse_publish(text)?;
        match (all.pop(), all.is_empty()) {
            (Some(one), true) => Ok(one),
            _ => Err(bad(text, "a range of ports is given where one port is wanted")),
        }
    }
}

impl fmt::Display for PortMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host_ip {
            Some(IpAddr::V6(ip)) => write!(f, "[{ip}]:")?,
            Some(ip) => write!(f, "{ip}:")?,
            None => {}
        }
        match (self.host_port, self.host_port_last, self.host_ip) {
            (Some(port), Some(last), _) => write!(f, "{port}-{last}:")?,
            (Some(port), None, _) => write!(f, "{port}:")?,
            (None, _, Some(_)) => f.write_str(":")?,
            (None, _, None) => {}
        }
        write!(f, "{}/{}", self.container_port, self.protocol)
    }
}

/// Reads a `-p`/`--publish` value in each of docker's forms (docker's "Publish a port" reference):
/// `CP`, `HP:CP`, `IP:HP:CP`, `IP::CP`, each port also a range `A-B` of the same length on both sides, or a range
/// on the host's side alone, of which any free port will do; with an optional `/tcp` or `/udp`. IPv6 addresses
/// stand in brackets.
///
/// Returns one mapping a port, in order. Errors: [`NetworkError::BadPublish`] with the text and the reason.
pub fn parse_publish(text: &str) -> Result<Vec<PortMapping>, NetworkError> {
    let (ports, protocol) = match text.rsplit_once('/') {
        Some((ports, protocol)) => (ports, parse_protocol(text, protocol)?),
        None => (text, Protocol::Tcp),
    };
    let (host_ip, host, container) = split_parts(text, ports)?;
    let container = parse_range(text, "container", container)?;
    let host = match host {
        None | Some("") => None,
        Some(range) => Some(parse_range(text, "host", range)?),
    };
    let count = container.clone().count();
    let host_count = host.as_ref().map_or(count, |h| h.clone().count());
    if host_count != count && count != 1 {
        return Err(bad(text, "the ranges of host and container ports differ in length"));
    }
    let any_of = host.as_ref().filter(|_| host_count != count).map(|h| *h.end());
    let mappings = container.enumerate().map(|(n, container_port)| PortMapping {
        host_ip,
        // Port 0 asks for any free port, as in bind(2).
        host_port: host.as_ref().and_then(|h| h.clone().nth(n)).filter(|p| *p != 0),
        host_port_last: any_of,
        container_port,
        protocol,
    });
    let mappings: Vec<_> = mappings.collect();
    if mappings.iter().any(|m| m.container_port == 0) {
        return Err(bad(text, "0 is no port of a container"));
    }
    Ok(mappings)
}

fn bad(text: &str, reason: impl Into<String>) -> NetworkError {
    NetworkError::BadPublish { text: text.to_owned(), reason: reason.into() }
}

fn parse_protocol(text: &str, protocol: &str) -> Result<Protocol, NetworkError> {
    match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Err(bad(text, "sctp ports cannot be published, only tcp and udp")),
        other => Err(bad(text, format!("`{other}` is no protocol"))),
    }
}

/// Host address, host port or range, container port or range.
type Parts<'t> = (Option<IpAddr>, Option<&'t str>, &'t str);

fn split_parts<'t>(text: &str, ports: &'t str) -> Result<Parts<'t>, NetworkError> {
    let ip = |ip: &str| ip.parse::<IpAddr>().map(Some).map_err(|_| bad(text, format!("`{ip}` is no IP address")));
    if let Some(rest) = ports.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or_else(|| bad(text, "`]` is missing"))?;
        let rest = rest.strip_prefix(':').ok_or_else(|| bad(text, "a `:` must follow the address"))?;
        return match rest.split(':').collect::<Vec<_>>()[..] {
            [container] => Ok((ip(address)?, None, container)),
            [host, container] => Ok((ip(address)?, Some(host), container)),
            _ => Err(bad(text, "it has too many colons")),
        };
    }
    match ports.split(':').collect::<Vec<_>>()[..] {
        [container] => Ok((None, None, container)),
        [host, container] => Ok((None, Some(host), container)),
        ["", host, container] => Ok((None, Some(host), container)),
        [address, host, container] => Ok((ip(address)?, Some(host), container)),
        _ => Err(bad(text, "it has too many colons; an IPv6 address stands in brackets")),
    }
}

fn parse_range(text: &str, side: &str, range: &str) -> Result<RangeInclusive<u16>, NetworkError> {
    let port = |port: &str| -> Result<u16, NetworkError> {
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let value = if digits { port.parse().ok() } else { None };
        value.ok_or_else(|| match port {
            "" => bad(text, format!("the {side} port is missing")),
            _ => bad(text, format!("`{port}` is no port number (0 to 65535)")),
        })
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(range)?, port(range)?),
    };
    if first > last || (first == 0 && last != 0) {
        return Err(bad(text, format!("`{range}` is no range from a lower port to a higher one")));
    }
    Ok(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (Option<String>, Option<u16>, u16, Protocol) {
        let m: PortMapping = text.parse().unwrap();
        (m.host_ip.map(|ip| ip.to_string()), m.host_port, m.container_port, m.protocol)
    }

    #[test]
    fn each_of_dockers_forms_is_read() {
        use Protocol::{Tcp, Udp};
        assert_eq!(one("80"), (None, None, 80, Tcp));
        assert_eq!(one("8080:80"), (None, Some(8080), 80, Tcp));
        assert_eq!(one("127.0.0.1:8080:80"), (Some("127.0.0.1".into()), Some(8080), 80, Tcp));
        assert_eq!(one("127.0.0.1::80"), (Some("127.0.0.1".into()), None, 80, Tcp));
        assert_eq!(one("127.0.0.1:0:80/udp"), (Some("127.0.0.1".into()), None, 80, Udp));
        assert_eq!(one("53:53/UDP"), (None, Some(53), 53, Udp));
        assert_eq!(one("[::1]:80:80"), (Some("::1".into()), Some(80), 80, Tcp));
        assert_eq!(one("[::1]::80"), (Some("::1".into()), None, 80, Tcp));
        assert_eq!(one(":8080:80"), (None, Some(8080), 80, Tcp));
    }

    #[test]
    fn ranges_are_paired_in_order() {
        let all = parse_publish("0.0.0.0:8000-8002:80-82/udp").unwrap();
        let pairs: Vec<_> = all.iter().map(|m| (m.host_port, m.container_port)).collect();
        assert_eq!(pairs, [(Some(8000), 80), (Some(8001), 81), (Some(8002), 82)]);
        assert!(all.iter().all(|m| m.protocol == Protocol::Udp));
        assert_eq!(parse_publish("7000-7009").unwrap().len(), 10);
        let any: PortMapping = "127.0.0.1:8000-8010:80".parse().unwrap();
        assert_eq!((any.host_port, any.host_port_last, any.container_port), (Some(8000), Some(8010), 80));
        assert_eq!(parse_publish("1-65535:1-65535").unwrap().len(), 65535);
    }

    #[test]
    fn wrong_ones_are_refused_with_the_text_and_the_reason() {
        for (text, reason) in [
            ("", "the container port is missing"),
            ("80:", "the container port is missing"),
            ("x:80", "`x` is no port number"),
            ("8080:+80", "`+80` is no port number"),
            ("65536", "`65536` is no port number"),
            ("0", "0 is no port of a container"),
            ("80/sctp", "sctp ports cannot be published"),
            ("80/quic", "`quic` is no protocol"),
            ("8000-8001:80-82", "differ in length"),
            ("90-80", "no range"),
            ("localhost:80:80", "`localhost` is no IP address"),
            ("::1:80:80", "brackets"),
            ("[::1:80", "`]` is missing"),
            ("[::1]80", "`:` must follow"),
            ("1.2.3.4:1:2:3", "too many colons"),
        ] {
            let error = parse_publish(text).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(&format!("`{text}`")), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_parses_or_fails(text: String) { let _ = parse_publish(&text); }

        #[test]
        fn near_misses_parse_or_fail(text in r"[\[\]0-9:./a-p-]{0,24}") { let _ = parse_publish(&text); }

        #[test]
        fn what_is_shown_reads_back(
            a: Option<[u8; 4]>, hp in proptest::option::of(1u16..), more in 0u16..9, cp in 1u16.., udp: bool,
        ) {
            let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
            let host_port_last = hp.and_then(|p| p.checked_add(more)).filter(|_| more > 0);
            let host_ip = a.map(IpAddr::from);
            let mapping = PortMapping { host_ip, host_port: hp, host_port_last, container_port: cp, protocol };
            proptest::prop_assert_eq!(mapping.to_string().parse::<PortMapping>().unwrap(), mapping);
        }
    }
}
