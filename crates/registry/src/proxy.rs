//! Which proxy leads to which host: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, as curl and Go read them.

use std::fmt;
use std::net::IpAddr;

use stockade_config::Environment;

use crate::address::Origin;

/// Proxies of the environment. `Debug` does not show them: their addresses may hold passwords.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For https.
    pub https: Option<String>,
    /// For http.
    pub http: Option<String>,
    /// Hosts that are reached directly: names, `.suffixes`, addresses, networks, `*`.
    pub direct: Vec<String>,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |p: &Option<String>| p.as_ref().map(|_| "…");
        f.debug_struct("Proxies")
            .field("https", &set(&self.https))
            .field("http", &set(&self.http))
            .field("direct", &self.direct)
            .finish()
    }
}

impl Proxies {
    /// Reads the variables; lower-case names win, as curl has it.
    pub fn from_environment(environment: &dyn Environment) -> Proxies {
        let get = |name: &str| environment.get(&name.to_ascii_lowercase()).or_else(|| environment.get(name));
        let all = get("ALL_PROXY");
        Proxies {
            https: get("HTTPS_PROXY").or_else(|| all.clone()),
            http: get("HTTP_PROXY").or(all),
            direct: get("NO_PROXY")
                .map(|list| list.split([',', ' ']).filter(|e| !e.is_empty()).map(str::to_ascii_lowercase).collect())
                .unwrap_or_default(),
        }
    }

    /// The proxy for an origin, `None` to connect directly. This machine's own addresses are never asked of a proxy.
    pub(crate) fn of(&self, origin: &Origin) -> Option<&str> {
        let proxy = if origin.https { self.https.as_deref() } else { self.http.as_deref() }?;
        let (host, port) = split_port(&origin.authority);
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let own = host == "localhost" || address.is_some_and(|a| a.is_loopback());
        let port = port.unwrap_or(if origin.https { "443" } else { "80" });
        (!own && !self.direct.iter().any(|entry| covers(entry, host, port, address))).then_some(proxy)
    }
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn covers(entry: &str, host: &str, port: &str, address: Option<IpAddr>) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some(address) = address {
        if let Ok(same) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
            return same == address;
        }
        if let Some((network, bits)) = entry.split_once('/')
            && let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>())
        {
            return in_network(address, network, bits);
        }
    }
    let (name, wanted_port) = split_port(entry);
    if wanted_port.is_some_and(|wanted| wanted != port) {
        return false;
    }
    let name = name.strip_prefix('*').unwrap_or(name);
    let bare = name.strip_prefix('.').unwrap_or(name);
    let below = host.strip_suffix(bare).is_some_and(|rest| rest.ends_with('.'));
    !bare.is_empty() && ((host == bare && !name.starts_with('.')) || below)
}

fn in_network(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let shifted = |value: u128, width: u32| value.checked_shr(width.saturating_sub(bits)).unwrap_or(0);
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => shifted(a.to_bits().into(), 32) == shifted(n.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => shifted(a.to_bits(), 128) == shifted(n.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct_hosts_are_recognised() {
        let direct =
            ["internal.example", ".corp.example", "10.0.0.0/8", "192.0.2.7", "r.example:5000", "*.wild.example"];
        let proxies = Proxies {
            https: Some("http://me:secret@proxy:3128".into()),
            http: None,
            direct: direct.map(str::to_owned).to_vec(),
        };
        let via = |host: &str| proxies.of(&Origin::new(true, host)).is_some();
        for host in
            ["registry.example", "corp.example", "r.example", "r.example:5001", "192.0.2.8", "xinternal.example"]
        {
            assert!(via(host), "{host}");
        }
        for host in [
            "internal.example",
            "a.internal.example",
            "a.corp.example",
            "10.9.8.7:5000",
            "192.0.2.7",
            "r.example:5000",
            "a.wild.example",
            "localhost:5000",
            "127.0.0.1",
            "[::1]:5000",
        ] {
            assert!(!via(host), "{host}");
        }
        assert!(proxies.of(&Origin::new(false, "registry.example")).is_none());
        assert!(!format!("{proxies:?}").contains("secret"));
    }
}
