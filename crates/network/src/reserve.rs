//! Holding the host's ports: a bound socket for each published port.
//!
//! Packets for a published port are redirected before they reach a socket, so the sockets here never see one.
//! They exist so that a port in use is noticed before the container starts, so that nobody else takes it
//! while it runs, and so that `ss -l` shows it.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with, sockopt};

use crate::endpoint::Published;
use crate::error::NetworkError;
use crate::publish::{PortMapping, Protocol};

/// Binds every port of `ports` in the calling thread's network namespace.
/// Returns what was published, in the order asked for, and the sockets to keep. All or nothing.
pub(crate) fn reserve(ports: &[PortMapping]) -> Result<(Vec<Published>, Vec<OwnedFd>), NetworkError> {
    let mut seen = HashSet::new();
    for port in ports {
        let host_ip = host_ip(port)?;
        if let (Some(host_port), None) = (port.host_port, port.host_port_last)
            && !seen.insert((port.protocol, host_ip, host_port))
        {
            return Err(NetworkError::PublishedTwice { host_ip, port: host_port, protocol: port.protocol });
        }
    }
    let mut published = Vec::with_capacity(ports.len());
    let mut sockets = Vec::with_capacity(ports.len());
    for port in ports {
        let host_ip = host_ip(port)?;
        let (socket, host_port) = hold_one_of(host_ip, port)?;
        sockets.push(socket);
        published.push(Published { host_ip, host_port, container_port: port.container_port, protocol: port.protocol });
    }
    Ok((published, sockets))
}

fn host_ip(port: &PortMapping) -> Result<IpAddr, NetworkError> {
    match port.host_ip {
        None => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Some(host_ip @ IpAddr::V6(_)) => Err(NetworkError::Ipv6Publish { host_ip }),
        Some(v4) => Ok(v4),
    }
}

/// Holds the port, or the first free one of its range.
fn hold_one_of(host_ip: IpAddr, port: &PortMapping) -> Result<(OwnedFd, u16), NetworkError> {
    let first = port.host_port.unwrap_or(0);
    let mut next = first;
    loop {
        match hold(host_ip, next, port.protocol) {
            Err(NetworkError::PortInUse { .. }) if port.host_port_last.is_some_and(|last| next < last) => next += 1,
            other => return other,
        }
    }
}

fn hold(host_ip: IpAddr, port: u16, protocol: Protocol) -> Result<(OwnedFd, u16), NetworkError> {
    bound_socket(host_ip, port, protocol).map_err(|errno| match errno {
        Errno::ADDRINUSE => NetworkError::PortInUse { host_ip, port, protocol },
        errno => NetworkError::PortRefused { host_ip, port, protocol, source: errno.into() },
    })
}

fn bound_socket(host_ip: IpAddr, port: u16, protocol: Protocol) -> Result<(OwnedFd, u16), Errno> {
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let socket = socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None)?;
    if protocol == Protocol::Tcp {
        // Connections of an earlier owner that are still in TIME_WAIT do not block a listener; for UDP the
        // option would mean sharing the port.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, &SocketAddr::new(host_ip, port))?;
    if protocol == Protocol::Tcp {
        listen(&socket, 1)?;
    }
    let bound: SocketAddr = getsockname(&socket)?.try_into().map_err(|_| Errno::AFNOSUPPORT)?;
    Ok((socket, bound.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_held_until_its_socket_closes() {
        let any: PortMapping = "127.0.0.1::80".parse().unwrap();
        let (published, sockets) = reserve(std::slice::from_ref(&any)).unwrap();
        let port = published[0].host_port;
        assert_ne!(port, 0);
        let same = PortMapping { host_port: Some(port), ..any };
        match reserve(std::slice::from_ref(&same)) {
            Err(NetworkError::PortInUse { port: named, .. }) => assert_eq!(named, port),
            other => panic!("{other:?}"),
        }
        drop(sockets);
        reserve(&[same]).unwrap();
    }

    #[test]
    fn the_first_free_port_of_a_range_is_taken() {
        let any: PortMapping = "127.0.0.1::80".parse().unwrap();
        let (published, _held) = reserve(std::slice::from_ref(&any)).unwrap();
        let first = published[0].host_port;
        let range = PortMapping { host_port: Some(first), host_port_last: first.checked_add(50), ..any.clone() };
        let (from_range, _too) = reserve(std::slice::from_ref(&range)).unwrap();
        assert!(from_range[0].host_port > first);
        let full = PortMapping { host_port_last: Some(first), ..range };
        assert!(matches!(reserve(&[full]), Err(NetworkError::PortInUse { .. })));
    }

    #[test]
    fn udp_ports_are_not_shared() {
        let any: PortMapping = "127.0.0.1::53/udp".parse().unwrap();
        let (published, _held) = reserve(std::slice::from_ref(&any)).unwrap();
        let same = PortMapping { host_port: Some(published[0].host_port), ..any };
        assert!(matches!(reserve(&[same]), Err(NetworkError::PortInUse { .. })));
    }

    #[test]
    fn twice_the_same_and_foreign_addresses_are_refused() {
        let port: PortMapping = "127.0.0.1:18080:80".parse().unwrap();
        assert!(matches!(reserve(&[port.clone(), port]), Err(NetworkError::PublishedTwice { port: 18080, .. })));
        assert!(matches!(reserve(&["[::1]:18080:80".parse().unwrap()]), Err(NetworkError::Ipv6Publish { .. })));
        assert!(matches!(reserve(&["203.0.113.9:18080:80".parse().unwrap()]), Err(NetworkError::PortRefused { .. })));
    }
}
