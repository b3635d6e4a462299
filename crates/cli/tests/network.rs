//! The network as a container's user sees it.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;

use common::{IMAGE, World, eventually};

fn get(port: &str) -> Option<String> {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).ok()?;
    stream.write_all(b"GET /page HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn a_published_port_answers_and_is_shown() {
    let Some(world) = World::new() else { return };
    world
        .sk(&["run", "-d", "--name", "web", "-p", "127.0.0.1::80", IMAGE, "httpd", "-f", "-p", "80", "-h", "/srv"])
        .ok();
    let shown = world.sk(&["port", "web", "80"]).ok();
    let port = shown.rsplit(':').next().unwrap().to_owned();
    eventually("the server answers", || get(&port).is_some_and(|t| t.contains("from the image")));
    assert!(world.sk(&["ps"]).ok().contains(&format!("127.0.0.1:{port}->80/tcp")));
    assert_eq!(world.field("web", "{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}"), port);
    // The port is taken: a second container is told so and leaves nothing.
    let ran =
        world.sk(&["run", "--name", "second", "-p", &format!("127.0.0.1:{port}:80"), IMAGE, "true"]).fails_with(125);
    assert!(ran.err.contains(&port), "{}", ran.err);
    assert_eq!(world.sk(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "web");
    world.sk(&["rm", "-f", "web"]).ok();
    assert!(get(&port).is_none());
    world.leaves_nothing();
}

#[test]
fn modes_and_names() {
    let Some(world) = World::new() else { return };
    let run =
        |options: &[&str], script: &str| world.sk(&[&["run", "--rm"], options, &[IMAGE, "sh", "-c", script]].concat());
    assert_eq!(run(&["--network", "none"], "ls /sys/class/net").ok(), "lo");
    assert!(run(&["--network", "host"], "ls /sys/class/net").ok().lines().count() >= 2);
    let hosts = run(&["--add-host", "db:10.9.8.7", "-h", "me"], "cat /etc/hosts").ok();
    assert!(hosts.contains("10.9.8.7\tdb") && hosts.contains("\tme"), "{hosts}");
    let resolv = run(&["--dns", "9.9.9.9", "--dns-search", "example.org"], "cat /etc/resolv.conf").ok();
    assert!(resolv.contains("nameserver 9.9.9.9") && resolv.contains("example.org"), "{resolv}");
    world.sk(&["run", "-d", "--name", "first", IMAGE, "sleep", "1000"]).ok();
    let address = world.field("first", "{{.NetworkSettings.IPAddress}}");
    let shared = run(&["--network", "container:first"], "ip addr show eth0").ok();
    assert!(shared.contains(&address), "{shared}");
}
