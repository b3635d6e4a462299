//! Which address a container gets.

use std::net::Ipv4Addr;

use crate::error::NetworkError;
use crate::state::{NetworkRecord, State};

/// Takes the next free address of the network for `id`. Addresses are handed out in turn, even over the life
/// of a network, so that one just freed rests: the kernel and the neighbours remember connections of its last
/// owner for a while. The caller holds the lock.
pub(crate) fn allocate(state: &State, network: &NetworkRecord, id: &str) -> Result<Ipv4Addr, NetworkError> {
    let subnet = network.subnet;
    let start = state.next_index();
    for step in 0..subnet.capacity() {
        let index = start.wrapping_add(step) % subnet.capacity();
        let ip = subnet.container_address(index);
        if state.take_address(ip, id)? {
            state.set_next_index((index + 1) % subnet.capacity());
            return Ok(ip);
        }
    }
    Err(NetworkError::Exhausted { subnet })
}

/// Takes the address that was asked for.
pub(crate) fn claim(state: &State, network: &NetworkRecord, id: &str, ip: Ipv4Addr) -> Result<(), NetworkError> {
    let refused = |reason: String| NetworkError::AddressRefused { ip, reason };
    if network.subnet.container_index(ip).is_none() {
        return Err(refused(format!("it is no container address of {}", network.subnet)));
    }
    if state.take_address(ip, id)? { Ok(()) } else { Err(refused("another container has it".to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(dir: &tempfile::TempDir, subnet: &str) -> (State, NetworkRecord) {
        let state = State::new(dir.path(), dir.path(), "n");
        let record = NetworkRecord {
            subnet: subnet.parse().unwrap(),
            mtu: 1500,
            ruleset: 1,
            layer2: true,
            droppers: Vec::new(),
        };
        state.set_network(&record).unwrap();
        (state, record)
    }

    #[test]
    fn addresses_are_given_in_turn_and_never_twice() {
        let dir = tempfile::tempdir().unwrap();
        let (state, record) = network(&dir, "10.9.8.0/29");
        let all: Vec<_> = (0..5).map(|n| allocate(&state, &record, &format!("c{n}")).unwrap()).collect();
        assert_eq!(all, (2..7).map(|n| Ipv4Addr::new(10, 9, 8, n)).collect::<Vec<_>>());
        assert!(matches!(allocate(&state, &record, "c5"), Err(NetworkError::Exhausted { .. })));
        state.free_address(all[3]).unwrap();
        assert_eq!(allocate(&state, &record, "c6").unwrap(), all[3]);
    }

    #[test]
    fn a_freed_address_rests_until_the_others_had_their_turn() {
        let dir = tempfile::tempdir().unwrap();
        let (state, record) = network(&dir, "10.9.8.0/29");
        let first = allocate(&state, &record, "a").unwrap();
        state.free_address(first).unwrap();
        assert_ne!(allocate(&state, &record, "b").unwrap(), first);
    }

    #[test]
    fn only_free_addresses_of_the_subnet_can_be_claimed() {
        let dir = tempfile::tempdir().unwrap();
        let (state, record) = network(&dir, "10.9.8.0/24");
        claim(&state, &record, "a", [10, 9, 8, 77].into()).unwrap();
        for (ip, reason) in
            [([10, 9, 8, 77], "another container"), ([10, 9, 8, 1], "10.9.8.0/24"), ([10, 9, 9, 2], "10.9.8.0/24")]
        {
            let error = claim(&state, &record, "b", ip.into()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn addresses_without_an_endpoint_are_freed() {
        let dir = tempfile::tempdir().unwrap();
        let (state, record) = network(&dir, "10.9.8.0/24");
        let ip = allocate(&state, &record, "crashed").unwrap();
        state.free_orphaned_addresses().unwrap();
        claim(&state, &record, "b", ip).unwrap();
    }
}
