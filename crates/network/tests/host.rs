//! The real host's network: out to the distribution's archive by name, and in by a published port.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, can_run};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use stockade_network::{Attach, DnsOptions, HostResolver, Mode, Network, NetworkConfig, resolv_conf};

/// The public archive; where it is behind a mirror, its name leads there.
const ARCHIVE: &str = "deb.debian.org";

/// A process in a user namespace with a network namespace of its own, like a container's.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Option<Sleeper> {
        let child = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "sleep", "60"])
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let sleeper = Sleeper(child);
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let start = Instant::now();
        // Until unshare(1) has done its work.
        while std::fs::read_link(sleeper.path()).is_ok_and(|n| n == own) || !sleeper.sleeps() {
            if start.elapsed() > PATIENCE {
                return None;
            }
            thread::sleep(Duration::from_millis(2));
        }
        Some(sleeper)
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    fn sleeps(&self) -> bool {
        std::fs::read_to_string(format!("/proc/{}/comm", self.0.id())).is_ok_and(|c| c.trim() == "sleep")
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn within<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        scope
            .spawn(move || {
                move_into_link_name_space(netns, Some(LinkNameSpaceType::Network)).unwrap();
                work()
            })
            .join()
            .unwrap_or_else(|p| std::panic::resume_unwind(p))
    })
}

/// Status line of the archive's front page.
fn get_archive() -> std::io::Result<String> {
    let address = (ARCHIVE, 80).to_socket_addrs()?.find(|a| a.is_ipv4());
    let address = address.ok_or_else(|| std::io::Error::other("no IPv4 address"))?;
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE * 2))?;
    write!(connection, "GET /debian/dists/stable/Release HTTP/1.1\r\nHost: {ARCHIVE}\r\nConnection: close\r\n\r\n")?;
    let mut start = [0; 32];
    connection.read_exact(&mut start)?;
    Ok(String::from_utf8_lossy(&start).lines().next().unwrap_or_default().to_owned())
}

#[test]
fn a_container_gets_files_from_the_archive_and_serves_a_port() {
    if !can_run() {
        return;
    }
    let Some(container) = Sleeper::start() else {
        eprintln!("skipped: unshare(1) cannot make a user namespace here");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let network = Network::open(&dir.path().join("run"), dir.path(), NetworkConfig::default()).unwrap();
    assert_ne!(network.config().bridge, "stockade0", "another state directory has names of its own");
    let netns = File::open(container.path()).unwrap();
    let ports = ["127.0.0.1::80".parse().unwrap()];
    let endpoint = network.attach(&Attach { ports: &ports, ..Attach::new("one", netns.as_fd()) }).unwrap();

    let listener = within(netns.as_fd(), || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80))).unwrap();
    let server = thread::spawn(move || listener.accept().and_then(|(mut c, _)| c.write_all(b"hello")));
    let port = endpoint.ports[0].host_port;
    let reached = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).and_then(|mut connection| {
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut text = String::new();
        connection.read_to_string(&mut text).map(|_| text)
    });

    let host = HostResolver::read();
    let resolver = resolv_conf(Mode::Bridge, &DnsOptions::default(), &host);
    let from_host = get_archive();
    let from_container = within(netns.as_fd(), get_archive);
    network.detach("one").unwrap();
    let links = Command::new("ip").args(["-o", "link"]).output().unwrap().stdout;

    assert_eq!(reached.unwrap(), "hello");
    let _ = server.join();
    assert!(!String::from_utf8_lossy(&links).contains(&network.config().bridge));
    match from_host {
        Ok(status) if resolver.text.lines().any(|l| host.resolv_conf.contains(l)) => {
            assert_eq!(from_container.unwrap(), status);
        }
        Ok(_) => eprintln!("partly skipped: the host's name server listens on its loopback only"),
        Err(e) => eprintln!("partly skipped: {ARCHIVE} is not reached from here: {e}"),
    }
}
