//! Networks come and go without a trace, whatever happens in between: on the real kernel.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::collections::HashSet;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use common::{HOST, Space, Stage, Wish, can_run, has_nft};
use stockade_network::{Attach, MacAddress, Network, NetworkConfig, NetworkError, parse_publish};

/// What may stay in the run directory: the lock, and the cursor that keeps addresses from being used again soon.
const MAY_STAY: [&str; 2] = ["bridge.next", "lock"];

#[test]
fn the_last_detach_leaves_the_host_as_it_was() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let before = stage.host_state();
    let a = stage.container("a", &["8080:80", "127.0.0.1:53:53/udp"]);
    let b = stage.container("b", &["9000-9005:9000-9005"]);
    assert_ne!(stage.host_state(), before);
    assert_eq!(stage.host.sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
    stage.detach("a");
    assert!(stage.host.sh("ip link").contains("sktest0"), "the network stays for the other one");
    stage.detach("b");
    stage.assert_host_is(&before);
    assert_eq!(stage.files(), MAY_STAY);
    drop((a, b));
}

#[test]
fn a_network_that_waits_for_the_next_one_goes_with_the_last() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let before = stage.host_state();
    let moment = Duration::from_millis(300);
    let waits = |id: &str| {
        let network = stage.network();
        stage.host.run(|| network.release(id).unwrap().finish_after(moment).unwrap());
    };
    let a = stage.container("a", &[]);
    thread::scope(|scope| {
        let first = scope.spawn(|| waits("a"));
        // Comes while the first waits, or after it: either way it is connected, and the first takes nothing away from it.
        let b = stage.container("b", &["8080:80"]);
        first.join().unwrap();
        assert!(stage.host.sh("ip link").contains("sktest0"));
        waits("b");
        drop(b);
    });
    stage.assert_host_is(&before);
    assert_eq!(stage.files(), MAY_STAY);
    drop(a);
}

#[test]
fn detach_and_attach_may_be_repeated() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    stage.detach("never-was");
    let first = stage.container("a", &["8080:80"]);
    // The same id again, as after a crash between attach and the container's start: the old one gives way.
    drop(first.endpoint.reserved);
    let second = stage.container("a", &["8080:80"]);
    assert!(!first.space.sh("ip -o link").contains("eth0"));
    let _server = second.space.serve("0.0.0.0:80");
    assert!(stage.world.reaches(&format!("{HOST}:8080")));
    stage.detach("a");
    stage.detach("a");
    assert_eq!(stage.files(), MAY_STAY);
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_left() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let before = stage.host_state();
    let server = stage.host.serve("127.0.0.1:8080");
    match stage.try_container("a", &["8080:80"]) {
        Err(NetworkError::PortInUse { port: 8080, .. }) => {}
        other => panic!("{:?}", other.map(|c| c.endpoint)),
    }
    drop(server);
    stage.assert_host_is(&before);
    let a = stage.container("a", &["8080:80"]);
    assert!(matches!(stage.try_container("b", &["8080:80"]), Err(NetworkError::PortInUse { port: 8080, .. })));
    assert!(stage.host.sh("ss -Hltn").contains(":8080"), "ss shows who has the port");
    stage.detach("a");
    drop(a);
    // Taken, but by one whose process is gone: the port is free for the next even before gc.
    let crashed = stage.container("crashed", &["8080:80"]);
    drop(crashed);
    let next = stage.container("next", &["8080:80"]);
    let _server = next.space.serve("0.0.0.0:80");
    assert!(stage.world.reaches(&format!("{HOST}:8080")));
    stage.detach("crashed");
    assert!(stage.world.reaches(&format!("{HOST}:8080")), "the dead one's end does not unpublish the port");
    stage.detach("next");
    stage.assert_host_is(&before);
}

#[test]
fn a_failure_in_the_container_undoes_everything() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let before = stage.host_state();
    let occupied = Space::new("occupied");
    occupied.sh("ip link add eth0 type veth peer name eth1");
    let network = stage.network();
    let error = stage.host.run(|| network.attach(&Attach::new("a", occupied.open().as_fd()))).unwrap_err();
    assert!(matches!(error, NetworkError::Kernel { .. }), "{error}");
    stage.assert_host_is(&before);
    assert_eq!(stage.files(), MAY_STAY);
}

#[test]
fn twenty_at_once_get_twenty_addresses() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let before = stage.host_state();
    let spaces: Vec<_> = (0..20).map(|n| Space::new(&format!("c{n}"))).collect();
    let ips: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = spaces
            .iter()
            .map(|space| {
                let network = stage.network();
                let stage = &stage;
                let attach = move || {
                    let netns = space.open();
                    stage.host.run(|| network.attach(&Attach::new(&space.name, netns.as_fd()))).unwrap().ip
                };
                scope.spawn(attach)
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(ips.iter().collect::<HashSet<_>>().len(), 20);
    let _server = spaces[0].serve("0.0.0.0:80");
    for space in &spaces[1..] {
        assert!(space.ask(&format!("{}:80", ips[0])).is_ok());
    }
    thread::scope(|scope| {
        for space in &spaces {
            scope.spawn(|| stage.detach(&space.name));
        }
    });
    stage.assert_host_is(&before);
    assert_eq!(stage.files(), MAY_STAY);
}

#[test]
fn gc_takes_away_what_the_dead_left() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let before = stage.host_state();
    let alive = stage.container("alive", &["8080:80"]);
    let dead = stage.container("dead", &["8081:80"]);
    let halfway = stage.container("halfway", &[]);
    // Killed between its steps: kernel without record, record that makes no sense, address without record.
    std::fs::remove_file(stage.run_dir().join("network/bridge/endpoints/halfway.json")).unwrap();
    std::fs::write(stage.run_dir().join("network/bridge/endpoints/torn.json"), "{").unwrap();
    std::fs::write(stage.run_dir().join("network/bridge/addresses/10.77.9.9"), "nobody").unwrap();
    let network = stage.network();
    let collected = stage.host.run(|| network.gc(&|id| id == "alive")).unwrap();
    let ids: HashSet<_> = collected.endpoints.iter().map(String::as_str).collect();
    assert_eq!(ids, HashSet::from(["dead", "torn"]));
    assert_eq!(collected.interfaces, std::slice::from_ref(&halfway.endpoint.host_interface));
    let _server = alive.space.serve("0.0.0.0:80");
    assert!(stage.world.reaches(&format!("{HOST}:8080")), "the living one is untouched");
    if has_nft() {
        let rules = stage.host.sh("nft list ruleset");
        assert!(!rules.contains("8081") && !rules.contains(&halfway.endpoint.ip.to_string()), "{rules}");
    }
    assert_eq!(stage.host.run(|| network.gc(&|id| id == "alive")).unwrap(), Default::default());
    stage.host.run(|| network.gc(&|_| false)).unwrap();
    stage.assert_host_is(&before);
    assert_eq!(stage.files(), MAY_STAY);
    drop((dead, halfway));
}

#[test]
fn a_lost_state_directory_leaves_nothing_that_stands_in_the_way() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let before = stage.host_state();
    let lost = stage.container("lost", &["8080:80"]);
    std::fs::remove_dir_all(stage.run_dir()).unwrap();
    drop(lost.endpoint.reserved);
    let next = stage.container("next", &["8080:80"]);
    let _server = next.space.serve("0.0.0.0:80");
    assert!(stage.host.reaches("127.0.0.1:8080"));
    stage.detach("next");
    stage.assert_host_is(&before);
    drop(next.endpoint.reserved);
    // The same, and nobody starts a container any more.
    let lost = stage.container("lost", &["8080:80"]);
    std::fs::remove_dir_all(stage.run_dir()).unwrap();
    let network = stage.network();
    stage.host.run(|| network.gc(&|_| true)).unwrap();
    stage.assert_host_is(&before);
    drop(lost);
}

#[test]
fn what_others_delete_is_made_again() {
    if !can_run() || !has_nft() {
        return;
    }
    let stage = Stage::new();
    let before = stage.host_state();
    let first = stage.container("first", &["8080:80"]);
    let _server = first.space.serve("0.0.0.0:80");
    let reached = || stage.world.reaches(&format!("{HOST}:8080"));
    let missed = || stage.world.misses(&format!("{HOST}:8080"));
    assert!(reached());
    stage.host.sh("nft flush ruleset");
    assert!(missed());
    let second = stage.container("second", &[]);
    assert!(reached(), "rules of the first are back with the second");
    stage.host.sh("ip link del sktest0");
    assert!(missed());
    let third = stage.container("third", &[]);
    assert!(reached(), "the bridge is back with the third, and the first is connected to it");
    assert!(third.space.reaches(&first.at(80)));
    stage.host.sh("echo 0 > /proc/sys/net/ipv4/ip_forward");
    assert!(missed());
    let fourth = stage.container("fourth", &[]);
    assert!(reached(), "forwarding is back with the fourth");
    stage.host.sh("nft flush ruleset");
    for id in ["first", "second", "third", "fourth"] {
        stage.detach(id);
    }
    stage.assert_host_is(&before);
    drop((second, fourth));
}

#[test]
fn a_host_that_did_not_forward_is_no_router_because_of_us() {
    if !can_run() {
        return;
    }
    for forwarded_before in [false, true] {
        let stage = Stage::new();
        let lan = Space::new("lan");
        stage.host.sh(&format!("ip link add lan0 type veth peer name eth0 netns {}", lan.name));
        stage.host.sh("ip addr add 203.0.113.1/24 dev lan0; ip link set lan0 up");
        lan.sh("ip addr add 203.0.113.9/24 dev eth0; ip link set eth0 up; ip route add default via 203.0.113.1");
        stage.world.sh("ip route add 203.0.113.0/24 via 198.51.100.2");
        if forwarded_before {
            stage.host.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
        }
        stage.host.settle();
        let before = stage.host_state();
        let _server = lan.serve("0.0.0.0:80");
        let routed = |expected: bool| match expected {
            true => stage.world.reaches("203.0.113.9:80"),
            false => !stage.world.misses("203.0.113.9:80"),
        };
        assert_eq!(routed(forwarded_before), forwarded_before);
        let web = stage.container("web", &["8080:80"]);
        let _web = web.space.serve("0.0.0.0:80");
        assert!(lan.reaches("203.0.113.1:8080") && web.space.reaches("203.0.113.9:80"), "containers are served");
        assert_eq!(routed(forwarded_before), forwarded_before, "others as before");
        stage.detach("web");
        stage.assert_host_is(&before);
    }
}

#[test]
fn two_instances_on_one_host_do_not_cut_each_other_off() {
    if !can_run() {
        return;
    }
    let one = Stage::new();
    let mut two = Stage::new();
    // The second has its own state and names, but lives on the first one's host.
    two.host = Space { name: one.host.name.clone() };
    two.config = NetworkConfig {
        bridge: "sktwo0".to_owned(),
        table: "sktwo".to_owned(),
        veth_prefix: "sku".to_owned(),
        subnet: None,
        ..NetworkConfig::default()
    };
    let before = one.host_state();
    let a = one.container("a", &[]);
    let b = two.container("b", &[]);
    let server = one.world.serve("198.51.100.1:80");
    one.detach("a");
    assert!(b.space.reaches(&server.bound.to_string()), "forwarding stays on for the second");
    two.detach("b");
    one.assert_host_is(&before);
    drop((a, server));
    std::mem::forget(two.host);
}

#[test]
fn subnets_that_collide_are_avoided_or_refused() {
    if !can_run() {
        return;
    }
    let mut stage = Stage::new();
    stage.host.sh("ip route add 172.16.0.0/12 via 198.51.100.1; ip route add blackhole 10.89.4.0/24");
    stage.config.subnet = None;
    let a = stage.container("a", &[]);
    let first = a.endpoint.ip.octets();
    assert_eq!(first[..2], [10, 213]);
    stage.detach("a");
    // The next time it is the same one, even if others are free again.
    stage.host.sh("ip route del 172.16.0.0/12");
    let b = stage.container("b", &[]);
    assert_eq!(b.endpoint.ip.octets()[..2], [10, 213]);
    assert_ne!(b.endpoint.ip, a.endpoint.ip, "addresses rest before they are used again");
    stage.detach("b");
    stage.config.subnet = Some("10.89.0.0/16".parse().unwrap());
    let error = stage.try_container("c", &[]).map(|c| c.endpoint).unwrap_err();
    assert!(error.to_string().contains("10.89.4.0/24"), "{error}");
    assert_eq!(stage.files(), MAY_STAY);
}

#[test]
fn a_small_network_runs_full_and_a_wished_address_is_given() {
    if !can_run() {
        return;
    }
    let mut stage = Stage::new();
    stage.config.subnet = Some("10.77.0.0/29".parse().unwrap());
    let mac: MacAddress = "02:aa:bb:cc:dd:ee".parse().unwrap();
    let wished =
        stage.attach("wished", &Wish { ip: Some([10, 77, 0, 4].into()), mac: Some(mac), ..Wish::default() }).unwrap();
    assert_eq!((wished.endpoint.ip, wished.endpoint.mac), ([10, 77, 0, 4].into(), mac));
    let others: Vec<_> = (0..4).map(|n| stage.container(&format!("c{n}"), &[])).collect();
    let _server = wished.space.serve("0.0.0.0:80");
    assert!(others.iter().all(|c| c.space.reaches("10.77.0.4:80")));
    let error = stage.try_container("full", &[]).map(|c| c.endpoint).unwrap_err();
    assert!(matches!(error, NetworkError::Exhausted { .. }), "{error}");
    stage.detach("c2");
    let again = stage.container("again", &[]);
    assert_eq!(again.endpoint.ip, others[2].endpoint.ip);
    let network = stage.network();
    stage.host.run(|| network.gc(&|_| false)).unwrap();
    assert_eq!(stage.files(), MAY_STAY);
}

#[test]
fn a_firewall_of_others_that_may_stand_in_the_way_is_named() {
    if !can_run() || !has_nft() {
        return;
    }
    let stage = Stage::new();
    let quiet = stage.container("quiet", &[]);
    assert!(quiet.endpoint.warnings.is_empty(), "{:?}", quiet.endpoint.warnings);
    stage.detach("quiet");
    stage.host.sh("nft add table ip filter
         nft add chain ip filter FORWARD '{ type filter hook forward priority 0; policy drop; }'");
    let warned = stage.container("warned", &[]);
    assert!(warned.endpoint.warnings[0].contains("`filter/FORWARD`"), "{:?}", warned.endpoint.warnings);
    stage.detach("warned");
}

#[test]
fn killed_at_any_moment_all_is_found_and_removed() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    let before = stage.host_state();
    let space = Space::new("victim");
    let network = stage.network();
    for round in 0..40 {
        let mut child = stage.host.run(|| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", "attaches_and_detaches_until_it_is_killed"])
                .env("STOCKADE_TEST_DIR", stage.dir.path())
                .env("STOCKADE_TEST_NETNS", &space.name)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        });
        // The child needs some milliseconds to start; then every moment counts.
        thread::sleep(Duration::from_micros(4000 + round * 531));
        child.kill().unwrap();
        child.wait().unwrap();
        if round % 4 == 0 {
            // A survivor works on what the killed one left.
            let alive = stage.container("alive", &["8080:80"]);
            let _server = alive.space.serve("0.0.0.0:80");
            assert!(stage.world.reaches(&format!("{HOST}:8080")), "round {round}");
            stage.host.run(|| network.gc(&|id| id == "alive")).unwrap();
            assert!(stage.world.reaches(&format!("{HOST}:8080")), "round {round}");
        }
        stage.host.run(|| network.gc(&|_| false)).unwrap();
        stage.assert_host_is(&before);
    }
}

/// Not a test of its own: the process that the one above kills.
#[test]
#[ignore = "runs until it is killed"]
fn attaches_and_detaches_until_it_is_killed() {
    let (Ok(dir), Ok(name)) = (std::env::var("STOCKADE_TEST_DIR"), std::env::var("STOCKADE_TEST_NETNS")) else {
        eprintln!("skipped: only the test that kills it starts it");
        return;
    };
    let dir = std::path::Path::new(&dir);
    let network = Network::open(&dir.join("run"), &dir.join("root"), Stage::config()).unwrap();
    let netns = std::fs::File::open(format!("/run/netns/{name}")).unwrap();
    let ports = parse_publish("9000-9003:80-83").unwrap();
    loop {
        let _endpoint = network.attach(&Attach { ports: &ports, ..Attach::new("killed", netns.as_fd()) });
        let _ = network.detach("killed");
    }
}

#[test]
fn ids_that_leave_the_state_directory_are_refused() {
    if !can_run() {
        return;
    }
    let stage = Stage::new();
    for id in ["../../etc/passwd", "", "a/b", ".hidden"] {
        let error = stage.try_container(id, &[]).map(|c| c.endpoint).unwrap_err();
        assert!(matches!(error, NetworkError::BadName { .. }), "{error}");
        assert!(stage.network().detach(id).is_err());
    }
}
