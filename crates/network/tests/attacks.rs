//! What a container, or a neighbour of the host, tries and must not achieve. Each attack is also played against a
//! weakened setup (rules flushed with `nft`), where it succeeds: so the test would notice if it no longer tested anything.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::time::Duration;

use common::{Container, HOST, REFUSAL, Space, Stage, Wish, can_run, has_nft};

/// Makes packets for 127.0.0.1 leave the namespace by `gateway` on `device`, as a program with raw sockets could.
fn send_loopback_out(space: &Space, gateway: &str, device: &str) {
    space.sh(&format!(
        "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
         ip addr del 127.0.0.1/8 dev lo
         ip route add 127.0.0.1 via {gateway} dev {device}"
    ));
}

#[test]
fn the_hosts_loopback_is_out_of_a_containers_reach() {
    if !can_run() || !has_nft() {
        return;
    }
    let stage = Stage::new();
    let evil = stage.container("evil", &[]);
    let _secret = stage.host.serve("127.0.0.1:9999");
    send_loopback_out(&evil.space, "10.77.0.1", "eth0");
    assert!(evil.space.misses("127.0.0.1:9999"));
    let all = stage.host.serve("0.0.0.0:9998");
    assert!(evil.space.reaches("10.77.0.1:9998"), "what the host serves to all is allowed");
    drop(all);
    stage.host.sh("nft flush chain inet sktest guard");
    assert!(evil.space.reaches("127.0.0.1:9999"), "the attack itself works");
    stage.detach("evil");
}

#[test]
fn a_port_for_localhost_only_is_not_for_the_hosts_neighbours() {
    if !can_run() || !has_nft() {
        return;
    }
    let stage = Stage::new();
    let web = stage.container("web", &["127.0.0.1:8080:80"]);
    let _server = web.space.serve("0.0.0.0:80");
    send_loopback_out(&stage.world, &HOST.to_string(), "out0");
    assert!(stage.world.misses("127.0.0.1:8080"));
    assert!(stage.host.reaches("127.0.0.1:8080"));
    stage.host.sh("nft flush chain inet sktest guard");
    assert!(stage.world.reaches("127.0.0.1:8080"), "the attack itself works");
    stage.detach("web");
}

#[test]
fn an_unpublished_port_is_not_for_the_hosts_neighbours() {
    if !can_run() || !has_nft() {
        return;
    }
    let stage = Stage::new();
    let web = stage.container("web", &["8080:80"]);
    let _server = web.space.serve("0.0.0.0:80");
    let _debug = web.space.serve("0.0.0.0:6060");
    stage.world.sh("ip route add 10.77.0.0/16 via 198.51.100.2");
    assert!(stage.world.misses(&web.at(6060)));
    assert!(stage.world.reaches(&format!("{HOST}:8080")));
    stage.host.sh("nft flush chain inet sktest forward");
    assert!(stage.world.reaches(&web.at(6060)), "the attack itself works");
    stage.detach("web");
}

#[test]
fn the_clouds_metadata_is_kept_from_containers_but_not_its_name_server() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    stage.world.sh("ip addr add 169.254.169.254/32 dev lo; ip addr add 100.100.100.200/32 dev lo; ip addr add 169.254.170.2/32 dev lo");
    let _metadata = stage.world.serve("0.0.0.0:80");
    let _dns = stage.world.serve("0.0.0.0:53");
    let kept = stage.container("kept", &[]);
    let compat = stage.attach("compat", &Wish { metadata: true, ..Wish::default() }).unwrap();
    for address in ["169.254.169.254:80", "169.254.170.2:80", "100.100.100.200:80"] {
        assert!(kept.space.misses(address), "{address}");
        assert!(compat.space.reaches(address), "{address}");
        assert!(stage.host.reaches(address), "{address}");
    }
    assert!(kept.space.reaches("169.254.169.254:53"));
    assert!(kept.space.reaches("198.51.100.1:80"), "the neighbour itself is in reach");
    // Somebody on the host answers for the cloud (kube2iam and the like redirect on the host).
    stage.host.sh("ip addr add 169.254.169.254/32 dev lo");
    let _proxy = stage.host.serve("169.254.169.254:81");
    assert!(kept.space.misses("169.254.169.254:81"));
    for id in ["kept", "compat"] {
        stage.detach(id);
    }
}

fn udp_from(evil: &Container, source: &str, target: &std::net::UdpSocket) -> bool {
    target.set_read_timeout(Some(REFUSAL)).unwrap();
    let socket = evil.space.udp(&format!("{source}:0"));
    let _ = socket.send_to(b"x", target.local_addr().unwrap());
    target.recv_from(&mut [0; 8]).is_ok()
}

#[test]
fn a_container_cannot_send_in_anothers_name() {
    if !can_run() || !has_nft() {
        return;
    }
    let stage = Stage::new();
    let (evil, victim) = (stage.container("evil", &[]), stage.container("victim", &[]));
    let target = stage.host.udp("10.77.0.1:7000");
    assert!(udp_from(&evil, &evil.endpoint.ip.to_string(), &target));
    let false_name = victim.endpoint.ip.to_string();
    evil.space.sh(&format!("ip addr add {false_name}/32 dev eth0; ip addr add 10.77.200.200/32 dev eth0"));
    assert!(!udp_from(&evil, &false_name, &target));
    assert!(!udp_from(&evil, "10.77.200.200", &target));
    // To another container: through the bridge only, past all rules of the IP layer.
    evil.space.sh(&format!("ip addr del {false_name}/32 dev eth0"));
    let peer = victim.space.udp(&format!("{false_name}:7000"));
    assert!(udp_from(&evil, &evil.endpoint.ip.to_string(), &peer));
    assert!(!udp_from(&evil, "10.77.200.200", &peer));
    stage.host.sh("nft flush chain bridge sktest senders");
    assert!(udp_from(&evil, "10.77.200.200", &peer), "the attack itself works");
    for id in ["evil", "victim"] {
        stage.detach(id);
    }
}

#[test]
fn a_container_cannot_take_anothers_hardware_address() {
    if !can_run() || !has_nft() {
        return;
    }
    let stage = Stage::new();
    let (evil, victim) = (stage.container("evil", &[]), stage.container("victim", &[]));
    let _server = victim.space.serve("0.0.0.0:80");
    assert!(stage.host.reaches(&victim.at(80)));
    let own = evil.endpoint.mac;
    evil.space.sh(&format!("ip link set eth0 address {}", victim.endpoint.mac));
    let target = stage.host.udp("10.77.0.1:7000");
    assert!(!udp_from(&evil, &evil.endpoint.ip.to_string(), &target));
    assert!(stage.host.reaches(&victim.at(80)), "the bridge still knows where the victim is");
    evil.space.sh(&format!("ip link set eth0 address {own}"));
    assert!(udp_from(&evil, &evil.endpoint.ip.to_string(), &target));
    for id in ["evil", "victim"] {
        stage.detach(id);
    }
}

#[test]
fn a_container_cannot_answer_arp_for_others() {
    if !can_run() || !has_nft() {
        return;
    }
    let stage = Stage::new();
    let (evil, victim) = (stage.container("evil", &[]), stage.container("victim", &[]));
    // An address that nobody has: whoever answers for it is lying.
    evil.space.sh("ip addr add 10.77.99.99/32 dev eth0");
    let asked = |space: &Space| {
        space.try_sh("ip neigh flush all");
        space.misses("10.77.99.99:1");
        space.sh("ip neigh show 10.77.99.99")
    };
    let evil_mac = evil.endpoint.mac.to_string();
    let answer = asked(&victim.space);
    assert!(!answer.contains(&evil_mac), "{answer}");
    // Announcements unasked for, about the gateway.
    victim.space.sh("echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_accept");
    evil.space.sh("echo 2 > /proc/sys/net/ipv4/conf/eth0/arp_notify; ip addr add 10.77.0.1/32 dev eth0; ip link set eth0 down; ip link set eth0 up");
    std::thread::sleep(Duration::from_millis(50));
    let answer = victim.space.sh("ip neigh show 10.77.0.1");
    assert!(!answer.contains(&evil_mac), "{answer}");
    stage.host.sh("nft flush chain bridge sktest senders");
    let answer = asked(&victim.space);
    assert!(answer.contains(&evil_mac), "the attack itself works: {answer}");
    for id in ["evil", "victim"] {
        stage.detach(id);
    }
}

#[test]
fn ipv6_between_containers_is_dropped_so_no_router_can_be_played() {
    if !can_run() || !has_nft() {
        return;
    }
    let stage = Stage::new();
    if !std::path::Path::new("/proc/sys/net/ipv6").exists() {
        eprintln!("skipped: this kernel has no IPv6");
        return;
    }
    let (evil, victim) = (stage.container("evil", &[]), stage.container("victim", &[]));
    assert_eq!(victim.space.sh("cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6").trim(), "1");
    // Both want IPv6, as root in a container could: the bridge still carries none of it.
    for (container, address) in [(&evil, "fd99::1"), (&victim, "fd99::2")] {
        container.space.sh(&format!(
            "echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6; ip addr add {address}/64 dev eth0 nodad"
        ));
    }
    let _server = victim.space.serve("[fd99::2]:80");
    assert!(evil.space.misses("[fd99::2]:80"));
    stage.host.sh("nft flush chain bridge sktest senders; nft flush chain inet sktest guard");
    assert!(evil.space.ask("[fd99::2]:80").is_ok(), "the attack itself works");
    for id in ["evil", "victim"] {
        stage.detach(id);
    }
}

#[test]
fn a_name_that_resolves_to_loopback_leads_to_the_containers_own() {
    if !can_run() {
        return;
    }
    // DNS rebinding: the name server of an attacker answers 127.0.0.1 or the bridge's address.
    let stage = Stage::new();
    let web = stage.container("web", &[]);
    let _admin = stage.host.serve("127.0.0.1:9000");
    assert!(web.space.misses("127.0.0.1:9000"), "127.0.0.1 is the container itself");
    assert!(web.space.misses("10.77.0.1:9000"), "what listens on the host's loopback does not on the bridge");
    stage.detach("web");
}
