//! Making the host forward packets for containers, and only for them, and changing that back.

use crate::config::NetworkConfig;
use crate::error::NetworkError;
use crate::firewall::HOST_LINKS_SET;
use crate::netlink::nft;
use crate::netlink::route::{self, Link};
use crate::netlink::socket::Socket;
use crate::state::{ForwardingRecord, State};
use crate::sysctl;

const IP_FORWARD: &str = "ipv4/ip_forward";
const ACCEPT_REDIRECTS: &str = "ipv4/conf/all/accept_redirects";

/// Whether the host forwards packets.
pub(crate) fn is_on() -> Result<bool, NetworkError> {
    Ok(sysctl::read(IP_FORWARD).map_err(|e| NetworkError::kernel("read net.ipv4.ip_forward", e))? != "0")
}

/// Switches IP forwarding on if it is off, and remembers what to change back.
/// Returns the record if forwarding is on because of us: then packets that have nothing to do with containers
/// must not profit.
///
/// An instance of Stockade with another state directory may have switched it on already: its table shows that,
/// and then this network keeps a record too, so that the last of them switches it off.
pub(crate) fn enable(
    state: &State,
    config: &NetworkConfig,
    route: &Socket,
    netfilter: &Socket,
) -> Result<Option<ForwardingRecord>, NetworkError> {
    let on = is_on()?;
    if let Some(earlier) = state.forwarding()? {
        if !on {
            sysctl::write(IP_FORWARD, "1")?;
        }
        return Ok(Some(earlier));
    }
    let siblings = nft::tables_with_set(netfilter, HOST_LINKS_SET)?;
    if on && siblings.is_empty() {
        return Ok(None);
    }
    let record = take_record(config, route, netfilter, on, &siblings)?;
    state.set_forwarding(Some(&record))?;
    if !on {
        sysctl::write(IP_FORWARD, "1")?;
    }
    Ok(Some(record))
}

fn take_record(
    config: &NetworkConfig,
    route: &Socket,
    netfilter: &Socket,
    on: bool,
    siblings: &[String],
) -> Result<ForwardingRecord, NetworkError> {
    let links: Vec<_> = route::links(route)?.into_iter().filter(|l| is_hosts_own(l, config)).map(|l| l.name).collect();
    let tables = nft::tables(netfilter)?.into_iter().filter(|(_, name)| !siblings.contains(name)).collect();
    Ok(match on {
        // What was before the sibling, the sibling knows; the kernel's own values are the likely answer.
        true => ForwardingRecord { accept_redirects: String::new(), forwarding: Vec::new(), links, tables },
        false => ForwardingRecord {
            accept_redirects: sysctl::read(ACCEPT_REDIRECTS).unwrap_or_default(),
            forwarding: links.iter().filter(|l| forwards(l)).cloned().collect(),
            links,
            tables,
        },
    })
}

/// Switches IP forwarding off again if it was us who switched it on and nobody seems to need it: an nftables
/// table of somebody else that came since then is the sign of another program that forwards.
pub(crate) fn restore(state: &State, config: &NetworkConfig, netfilter: &Socket) -> Result<(), NetworkError> {
    let Some(record) = state.forwarding()? else { return Ok(()) };
    let newcomers =
        nft::tables(netfilter)?.into_iter().any(|table| table.1 != config.table && !record.tables.contains(&table));
    if !newcomers {
        sysctl::write(IP_FORWARD, "0")?;
        for link in &record.forwarding {
            // The interface may be gone.
            let _ = sysctl::write(&format!("ipv4/conf/{link}/forwarding"), "1");
        }
        if !record.accept_redirects.is_empty() {
            sysctl::write(ACCEPT_REDIRECTS, &record.accept_redirects)?;
        }
    }
    state.set_forwarding(None)
}

/// Makes a record again that was lost with the state directory: a table of ours with the set of the host's
/// interfaces tells that there was one. What it said is lost, so only forwarding itself goes back.
pub(crate) fn recover(state: &State, config: &NetworkConfig, netfilter: &Socket) -> Result<(), NetworkError> {
    let lost = state.forwarding().unwrap_or_default().is_none()
        && nft::tables_with_set(netfilter, HOST_LINKS_SET)?.contains(&config.table);
    if lost {
        let record = ForwardingRecord { tables: nft::tables(netfilter)?, ..ForwardingRecord::default() };
        state.set_forwarding(Some(&record))?;
    }
    Ok(())
}

/// Interfaces between which the host must not become a router. A bridge is left out: frames that merely cross
/// it look as if they were forwarded from the bridge to itself where `bridge-nf-call-iptables` is on.
fn is_hosts_own(link: &Link, config: &NetworkConfig) -> bool {
    link.index != route::LOOPBACK_INDEX && link.kind != "bridge" && !link.name.starts_with(&config.veth_prefix)
}

fn forwards(link: &str) -> bool {
    sysctl::read(&format!("ipv4/conf/{link}/forwarding")).is_ok_and(|v| v == "1")
}
