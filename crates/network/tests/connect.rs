//! An attached container reaches what it should, and is reached where it is published: on the real kernel.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::os::fd::AsFd as _;

use common::{HOST, PATIENCE, Space, Stage, WORLD, can_run};
use stockade_network::loopback_up;

#[test]
fn a_container_gets_interface_address_route_and_loopback() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let web = stage.container("web", &[]);
    let e = &web.endpoint;
    assert_eq!((e.prefix, e.gateway.to_string().as_str(), e.mtu), (16, "10.77.0.1", 1400));
    let shown = web.space.sh("ip -o addr show dev eth0; ip -o link show dev eth0; ip route; ip -o link show dev lo");
    assert!(shown.contains(&format!("inet {}/16 brd 10.77.255.255", e.ip)), "{shown}");
    assert!(shown.contains("mtu 1400") && shown.contains(&e.mac.to_string()), "{shown}");
    assert!(shown.contains("default via 10.77.0.1 dev eth0"), "{shown}");
    assert!(shown.contains("<LOOPBACK,UP,LOWER_UP>"), "{shown}");
    assert!(!shown.contains("inet6"), "no IPv6 address on eth0: {shown}");
    let gateway = stage.host.serve("10.77.0.1:7000");
    assert!(web.space.ask(&gateway.bound.to_string()).unwrap().ends_with(&e.ip.to_string()));
    stage.detach("web");
}

#[test]
fn going_out_a_container_has_the_hosts_address() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let client = stage.container("client", &[]);
    let server = stage.world.serve("198.51.100.1:7001");
    let answer = client.space.ask(&server.bound.to_string()).unwrap();
    assert!(answer.ends_with(&format!(" {HOST}")), "{answer}");
    stage.detach("client");
}

#[test]
fn containers_reach_each_other_with_and_without_bridge_netfilter() {
    if !can_run() {
        return;
    }
    for call_iptables in ["0", "1"] {
        let stage = Stage::new();
        stage.host.try_sh(&format!("echo {call_iptables} > /proc/sys/net/bridge/bridge-nf-call-iptables"));
        let (a, b) = (stage.container("a", &[]), stage.container("b", &[]));
        let _server = b.space.serve("0.0.0.0:80");
        let answer = a.space.ask(&b.at(80)).unwrap();
        assert!(answer.ends_with(&a.endpoint.ip.to_string()), "seen under its own address: {answer}");
        stage.detach("a");
        stage.detach("b");
    }
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    if !can_run() {
        return;
    }
    for call_iptables in ["0", "1"] {
        let stage = Stage::new();
        stage.host.try_sh(&format!("echo {call_iptables} > /proc/sys/net/bridge/bridge-nf-call-iptables"));
        let web = stage.container("web", &["8080:80"]);
        let other = stage.container("other", &[]);
        let _server = web.space.serve("0.0.0.0:80");
        let from = |space: &Space, address: &str| {
            let answer = space.ask(address).unwrap_or_else(|e| panic!("{address} from {}: {e}", space.name));
            assert!(answer.starts_with(&web.space.name), "{address}: {answer}");
            answer
        };
        from(&stage.host, "127.0.0.1:8080");
        from(&stage.host, "127.1.2.3:8080");
        from(&stage.host, &format!("{HOST}:8080"));
        from(&stage.host, "10.77.0.1:8080");
        let outside = from(&stage.world, &format!("{HOST}:8080"));
        assert!(outside.ends_with(&WORLD.to_string()), "the server sees who really asks: {outside}");
        from(&other.space, &format!("{HOST}:8080"));
        from(&other.space, "10.77.0.1:8080");
        // The container itself, by the host: in and out of the same bridge port.
        from(&web.space, &format!("{HOST}:8080"));
        from(&web.space, "10.77.0.1:8080");
        // `localhost` tries ::1 first: refused at once, so the next address is tried.
        let v6 = stage.host.ask_within("[::1]:8080", PATIENCE).unwrap_err();
        assert_eq!(v6.kind(), std::io::ErrorKind::ConnectionRefused);
        stage.detach("web");
        drop(web.endpoint.reserved);
        assert!(stage.host.ask_within("127.0.0.1:8080", PATIENCE).is_err());
        stage.detach("other");
    }
}

#[test]
fn a_port_published_on_one_address_is_not_on_others() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let web = stage.container("web", &["127.0.0.1:8080:80", "198.51.100.2:8081:80"]);
    let _server = web.space.serve("0.0.0.0:80");
    assert!(stage.host.reaches("127.0.0.1:8080"));
    assert!(stage.host.misses("198.51.100.2:8080"));
    assert!(stage.world.misses("198.51.100.2:8080"));
    assert!(stage.world.reaches("198.51.100.2:8081"));
    assert!(stage.host.misses("127.0.0.1:8081"));
    stage.detach("web");
}

#[test]
fn a_random_port_is_told_and_works() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let web = stage.container("web", &["80"]);
    let _server = web.space.serve("0.0.0.0:80");
    let port = web.endpoint.ports[0].host_port;
    assert!(port >= 1024);
    assert!(stage.world.reaches(&format!("{HOST}:{port}")));
    stage.detach("web");
}

#[test]
fn udp_is_published_even_to_a_client_that_talked_before() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let other = stage.container("keeps-the-network", &[]);
    let client = stage.world.udp("198.51.100.1:5000");
    // Tracked, untranslated: nobody listens yet.
    client.send_to(b"early", (HOST, 5353)).unwrap();
    let dns = stage.container("dns", &["5353:53/udp"]);
    let server = dns.space.udp("0.0.0.0:53");
    client.connect((HOST, 5353)).unwrap();
    client.send(b"late").unwrap();
    let mut buffer = [0; 16];
    let (count, peer) = server.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..count], peer.ip()), (&b"late"[..], WORLD.into()));
    server.send_to(b"answer", peer).unwrap();
    assert_eq!(client.recv(&mut buffer).unwrap(), 6);
    // Its successor gets the port, and the client that never stopped talking.
    stage.detach("dns");
    drop((dns, server));
    let next = stage.container("next", &["5353:53/udp"]);
    let server = next.space.udp("0.0.0.0:53");
    client.send(b"later").unwrap();
    assert_eq!(server.recv_from(&mut buffer).unwrap().0, 5);
    for id in ["next", "keeps-the-network"] {
        stage.detach(id);
    }
    drop(other);
}

#[test]
fn without_a_network_only_the_loopback_is_up() {
    if !can_run() {
        return;
    }
    let space = Space::new("alone");
    space.sh("ip link set lo down");
    loopback_up(space.open().as_fd()).unwrap();
    let _server = space.serve("127.0.0.1:80");
    assert!(space.reaches("127.0.0.1:80"));
}
