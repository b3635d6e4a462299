//! `/etc/hosts` and `/etc/hostname` of a container.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::str::FromStr;

use crate::error::NetworkError;

/// What an additional name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostTarget {
    /// An address.
    Address(IpAddr),
    /// `host-gateway`: the host, as the container sees it.
    Gateway,
}

/// An additional line of `/etc/hosts` (`--add-host`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraHost {
    /// The name.
    pub name: String,
    /// Its address.
    pub target: HostTarget,
}

impl FromStr for ExtraHost {
    type Err = NetworkError;

    /// Reads docker's `NAME:ADDRESS` and `NAME=ADDRESS`; an IPv6 address may stand in brackets, and
    /// `host-gateway` means the host.
    fn from_str(text: &str) -> Result<ExtraHost, NetworkError> {
        let bad = || NetworkError::BadAddress {
            text: text.to_owned(),
            expected: "a host entry such as `db:10.0.0.7` or `host.docker.internal:host-gateway`",
        };
        // A name has neither sign, so the first one ends it even before an IPv6 address.
        let split = text.find([':', '=']).ok_or_else(bad)?;
        let (name, target) = (&text[..split], &text[split + 1..]);
        if !is_host_name(name) {
            return Err(bad());
        }
        let bare = target.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(target);
        let target = match bare {
            "host-gateway" => HostTarget::Gateway,
            _ => HostTarget::Address(bare.parse().map_err(|_| bad())?),
        };
        Ok(ExtraHost { name: name.to_owned(), target })
    }
}

/// A name that cannot break the line it stands on: letters, digits, `-`, `_`, `.`, at most 253 bytes (RFC 1035).
pub(crate) fn is_host_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 253 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// The text of `/etc/hosts`: loopback, the additional names in the order given, then the container's own
/// name. `ip` is the container's address, `None` without a network (its name then stands for the loopback).
/// `gateway` is what `host-gateway` means; entries that need one are left out where there is none.
/// Names that are not host names are left out too, so no value can add a line of its own.
pub fn hosts_file(hostname: &str, ip: Option<IpAddr>, gateway: Option<IpAddr>, extra: &[ExtraHost]) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n",
    );
    for host in extra.iter().filter(|h| is_host_name(&h.name)) {
        let address = match host.target {
            HostTarget::Address(address) => Some(address),
            HostTarget::Gateway => gateway,
        };
        if let Some(address) = address {
            let _ = writeln!(text, "{address}\t{}", host.name);
        }
    }
    if is_host_name(hostname) {
        let own = ip.map_or_else(|| "127.0.1.1".to_owned(), |ip| ip.to_string());
        match hostname.split_once('.') {
            Some((short, _)) if !short.is_empty() => {
                let _ = writeln!(text, "{own}\t{hostname} {short}");
            }
            _ => {
                let _ = writeln!(text, "{own}\t{hostname}");
            }
        }
    }
    text
}

/// The text of `/etc/hostname`.
pub fn hostname_file(hostname: &str) -> String {
    format!("{}\n", hostname.lines().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_has_loopback_extras_and_the_containers_own_name() {
        let extra: Vec<ExtraHost> = ["db:10.0.0.7", "v6=[fd00::7]", "six:fd00::8", "host.docker.internal:host-gateway"]
            .iter()
            .map(|t| t.parse().unwrap())
            .collect();
        let text = hosts_file("web.example.org", Some([10, 89, 0, 2].into()), Some([10, 89, 0, 1].into()), &extra);
        insta::assert_snapshot!(text, @r"
        127.0.0.1	localhost
        ::1	localhost ip6-localhost ip6-loopback
        fe00::	ip6-localnet
        ff00::	ip6-mcastprefix
        ff02::1	ip6-allnodes
        ff02::2	ip6-allrouters
        10.0.0.7	db
        fd00::7	v6
        fd00::8	six
        10.89.0.1	host.docker.internal
        10.89.0.2	web.example.org web
        ");
    }

    #[test]
    fn a_name_cannot_add_a_line() {
        for bad in
            ["", "a", "a:", ":1.2.3.4", "a b:1.2.3.4", "a\n6.6.6.6 bank:1.2.3.4", "a:1.2.3.4\n6.6.6.6 bank", "a:host"]
        {
            assert!(bad.parse::<ExtraHost>().is_err(), "{bad:?}");
        }
        let text = hosts_file("x\n6.6.6.6 bank", None, None, &[]);
        assert!(!text.contains("6.6.6.6"), "{text}");
    }

    #[test]
    fn without_a_network_the_own_name_is_the_loopback() {
        assert!(hosts_file("box", None, None, &[]).ends_with("127.0.1.1\tbox\n"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_parses_or_fails(text: String) { let _ = text.parse::<ExtraHost>(); }
    }
}
