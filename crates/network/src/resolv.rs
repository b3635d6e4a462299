//! `/etc/resolv.conf` of a container.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use crate::config::Mode;
use crate::names::is_host_name;

/// Most name servers that the C library asks (`MAXNS`, resolv.conf(5)).
const MAX_SERVERS: usize = 3;

/// Asked when the host has no name server that a container can reach. These are the two that docker uses
/// as well, so behaviour is what people know; the note says that it happened.
const FALLBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)), IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4))];

/// Where systemd-resolved writes the name servers it asks itself (systemd-resolved.service(8)).
const SYSTEMD_UPSTREAM: &str = "/run/systemd/resolve/resolv.conf";

/// `--dns`, `--dns-search`, `--dns-option`: each list, if not empty, replaces the host's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsOptions {
    /// Name servers.
    pub servers: Vec<IpAddr>,
    /// Search domains; a single `.` means none.
    pub search: Vec<String>,
    /// Options such as `ndots:2`.
    pub options: Vec<String>,
}

/// What the host's resolver files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostResolver {
    /// Text of `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Text of systemd-resolved's file with the upstream servers, where there is one.
    pub upstream: Option<String>,
}

impl HostResolver {
    /// Reads the host's files. A missing one counts as empty: then the fallback is used, and said.
    pub fn read() -> HostResolver {
        HostResolver::read_from(Path::new("/etc/resolv.conf"), Path::new(SYSTEMD_UPSTREAM))
    }

    fn read_from(resolv_conf: &Path, upstream: &Path) -> HostResolver {
        let text = |path: &Path| std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).ok();
        HostResolver { resolv_conf: text(resolv_conf).unwrap_or_default(), upstream: text(upstream) }
    }

    /// The name servers, in order, as the host asks them.
    pub(crate) fn servers(&self) -> Vec<IpAddr> {
        Parsed::read(&self.resolv_conf).servers
    }
}

/// The text of a `resolv.conf`, and what is worth telling about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// The file's text.
    pub text: String,
    /// A sentence when the container asks other name servers than the host; show it once.
    pub note: Option<String>,
}

/// Makes the container's `resolv.conf`.
///
/// With the host's namespace the host's file is right as it is. In a namespace of its own, a server on the
/// loopback (127.0.0.53 of systemd-resolved, dnsmasq) cannot be reached: the servers behind it are used where
/// systemd-resolved tells them, else public ones, with a note. Link-local servers (`fe80::1%eth0`) and IPv6 ones are left out:
/// the container has neither that interface nor an IPv6 address.
pub fn resolv_conf(mode: Mode, dns: &DnsOptions, host: &HostResolver) -> ResolvConf {
    let plain = dns == &DnsOptions::default();
    if mode == Mode::Host && plain {
        return ResolvConf { text: host.resolv_conf.clone(), note: None };
    }
    let from_host = Parsed::read(&host.resolv_conf);
    let (servers, note) = match (dns.servers.is_empty(), mode) {
        (false, _) => (dns.servers.clone(), None),
        (true, Mode::Bridge) => reachable_servers(&from_host, host.upstream.as_deref()),
        (true, Mode::Host) => (from_host.servers, None),
        // Nothing can be asked; a server in the file would only turn an error at once into a wait.
        (true, Mode::None) => (Vec::new(), None),
    };
    let search = match dns.search.as_slice() {
        [] => from_host.search,
        [dot] if dot == "." => Vec::new(),
        given => given.to_vec(),
    };
    let options = if dns.options.is_empty() { from_host.options } else { dns.options.clone() };
    ResolvConf { text: render(&servers, &search, &options), note }
}

fn reachable_servers(host: &Parsed, upstream: Option<&str>) -> (Vec<IpAddr>, Option<String>) {
    let reachable = |servers: &[IpAddr]| -> Vec<IpAddr> {
        servers.iter().copied().filter(|ip| ip.is_ipv4() && !ip.is_loopback() && !ip.is_unspecified()).collect()
    };
    let direct = reachable(&host.servers);
    if !direct.is_empty() {
        return (direct, None);
    }
    let behind = upstream.map(|text| reachable(&Parsed::read(text).servers)).unwrap_or_default();
    if !behind.is_empty() {
        return (behind, None);
    }
    let note = "the host has no name server that a container can reach, so the public servers 8.8.8.8 and 8.8.4.4 \
                are asked; give others with --dns";
    (FALLBACK.to_vec(), Some(note.to_owned()))
}

fn render(servers: &[IpAddr], search: &[String], options: &[String]) -> String {
    let mut text = String::new();
    for server in servers.iter().take(MAX_SERVERS) {
        let _ = writeln!(text, "nameserver {server}");
    }
    let line = |text: &mut String, keyword: &str, words: Vec<&str>| {
        if !words.is_empty() {
            let _ = writeln!(text, "{keyword} {}", words.join(" "));
        }
    };
    line(&mut text, "search", search.iter().map(String::as_str).filter(|s| is_host_name(s)).collect());
    let option = |o: &&str| !o.is_empty() && o.bytes().all(|b| b.is_ascii_graphic());
    line(&mut text, "options", options.iter().map(String::as_str).filter(option).collect());
    text
}

/// What a resolv.conf(5) holds, without what only concerns its own host.
#[derive(Debug, Default)]
struct Parsed {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    options: Vec<String>,
}

impl Parsed {
    fn read(text: &str) -> Parsed {
        let mut parsed = Parsed::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                // An address with a zone (`fe80::1%eth0`) does not parse, and is useless elsewhere.
                Some("nameserver") => parsed.servers.extend(words.next().and_then(|w| w.parse::<IpAddr>().ok())),
                // The last of `search` and `domain` counts (resolv.conf(5)).
                Some("search" | "domain") => {
                    parsed.search = words.filter(|w| *w != ".").map(str::to_owned).collect();
                }
                Some("options") => parsed.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> HostResolver {
        HostResolver { resolv_conf: text.to_owned(), upstream: None }
    }

    #[test]
    fn the_hosts_servers_are_kept_and_options_too() {
        let host = host(
            "# made by hand\nnameserver 10.255.255.53\nnameserver fd00::53\nsearch corp.example\noptions ndots:2 edns0\n",
        );
        let got = resolv_conf(Mode::Bridge, &DnsOptions::default(), &host);
        assert_eq!(got.text, "nameserver 10.255.255.53\nsearch corp.example\noptions ndots:2 edns0\n");
        assert_eq!(got.note, None);
    }

    #[test]
    fn a_loopback_stub_is_replaced_by_what_is_behind_it() {
        let mut host = host("nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n");
        host.upstream = Some("nameserver 192.168.1.1\nnameserver fe80::1%eth0\n".to_owned());
        let got = resolv_conf(Mode::Bridge, &DnsOptions::default(), &host);
        assert_eq!(got.text, "nameserver 192.168.1.1\noptions edns0 trust-ad\n");
        assert_eq!(got.note, None);
    }

    #[test]
    fn public_servers_are_the_last_resort_and_it_is_said() {
        for text in ["nameserver 127.0.0.1\n", "", "nameserver ::1\nnameserver fe80::1%eth0"] {
            let got = resolv_conf(Mode::Bridge, &DnsOptions::default(), &host(text));
            assert_eq!(got.text, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
            assert!(got.note.unwrap().contains("--dns"));
        }
    }

    #[test]
    fn host_mode_takes_the_file_as_it_is() {
        let text = "nameserver 127.0.0.53 # stub\n";
        assert_eq!(resolv_conf(Mode::Host, &DnsOptions::default(), &host(text)).text, text);
    }

    #[test]
    fn given_values_replace_the_hosts_and_cannot_add_lines() {
        let dns = DnsOptions {
            servers: vec!["1.1.1.1".parse().unwrap(), "127.0.0.1".parse().unwrap()],
            search: vec!["a.example".into(), "b\nnameserver 6.6.6.6".into()],
            options: vec!["ndots:1".into(), "x\nnameserver 6.6.6.6".into()],
        };
        let got = resolv_conf(Mode::Bridge, &dns, &host("nameserver 10.0.0.1\nsearch old\noptions old\n"));
        assert_eq!(got.text, "nameserver 1.1.1.1\nnameserver 127.0.0.1\nsearch a.example\noptions ndots:1\n");
        let none = DnsOptions { search: vec![".".into()], ..DnsOptions::default() };
        assert_eq!(
            resolv_conf(Mode::Bridge, &none, &host("nameserver 10.0.0.1\nsearch old")).text,
            "nameserver 10.0.0.1\n"
        );
    }

    #[test]
    fn at_most_three_servers_are_written() {
        let got = resolv_conf(
            Mode::Bridge,
            &DnsOptions::default(),
            &host("nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4"),
        );
        assert_eq!(got.text.lines().count(), 3);
    }

    proptest::proptest! {
        #[test]
        fn any_file_makes_a_file(text: String, upstream: Option<String>) {
            let host = HostResolver { resolv_conf: text, upstream };
            for mode in [Mode::None, Mode::Host, Mode::Bridge] {
                let _ = resolv_conf(mode, &DnsOptions::default(), &host);
            }
        }
    }
}
