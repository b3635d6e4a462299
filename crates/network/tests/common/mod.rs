//! A small world of network namespaces for the tests: a host, the world outside, containers. The real host's
//! network is not touched, so tests run side by side.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and a test may fail")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use stockade_network::{
    Attach, Endpoint, MacAddress, Network, NetworkConfig, NetworkError, PortMapping, parse_publish,
};

/// Long enough for a connection that works, on a busy machine too.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Short enough to wait for a connection that must not work.
pub const REFUSAL: Duration = Duration::from_millis(700);

/// The host's address outside, and its neighbour's.
pub const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
pub const WORLD: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Whether the tests can run; says why not.
pub fn can_run() -> bool {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: network namespaces need root");
        return false;
    }
    if Command::new("ip").arg("-V").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: the test makes its world with ip(8) (Debian: iproute2)");
        return false;
    }
    true
}

/// Whether `nft` is there, which some tests use to look or to weaken a defence; says if not.
pub fn has_nft() -> bool {
    let found = Command::new("nft").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("partly skipped: nft(8) is not installed (Debian: nftables)");
    }
    found
}

/// A network namespace, deleted when dropped.
pub struct Space {
    pub name: String,
}

impl Space {
    pub fn new(what: &str) -> Space {
        let name = format!("skt{}-{}-{what}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let made = Command::new("ip").args(["netns", "add", &name]).status().unwrap();
        assert!(made.success(), "ip netns add {name}");
        let space = Space { name };
        // A new namespace starts with the settings of the real host, whatever they are.
        space.sh("ip link set lo up; cd /proc/sys/net/ipv4; echo 0 > ip_forward; echo 1 > conf/all/accept_redirects");
        space
    }

    pub fn open(&self) -> File {
        File::open(format!("/run/netns/{}", self.name)).unwrap()
    }

    /// Runs `work` on a thread inside.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let netns = self.open();
        thread::scope(|scope| {
            scope
                .spawn(move || {
                    move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                    work()
                })
                .join()
                .unwrap_or_else(|p| std::panic::resume_unwind(p))
        })
    }

    /// Waits until the kernel has noticed that its links are up.
    pub fn settle(&self) {
        self.sh("while ip route show table all | grep -q linkdown; do sleep 0.01; done");
    }

    /// Runs a shell script inside and returns what it printed; it must succeed.
    pub fn sh(&self, script: &str) -> String {
        let (text, good) = self.try_sh(script);
        assert!(good, "in {}: {script}\n{text}", self.name);
        text
    }

    pub fn try_sh(&self, script: &str) -> (String, bool) {
        let out = self.run(|| Command::new("sh").args(["-ec", script]).output().unwrap());
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        (text, out.status.success())
    }

    /// Serves TCP connections inside until dropped: each is told who it is from here, as `NAME ADDRESS`.
    pub fn serve(&self, address: &str) -> Server {
        let name = self.name.clone();
        let listener = self.run(|| TcpListener::bind(address)).unwrap_or_else(|e| panic!("bind {address}: {e}"));
        let bound = listener.local_addr().unwrap();
        let stop = listener.try_clone().unwrap();
        let thread = thread::spawn(move || {
            for connection in listener.incoming() {
                let Ok(mut connection) = connection else { break };
                let peer = connection.peer_addr().map(|p| p.ip().to_string()).unwrap_or_default();
                let _ = connection.write_all(format!("{name} {peer}").as_bytes());
            }
        });
        Server { stop, bound, thread: Some(thread) }
    }

    /// Connects from inside and returns what the server says.
    pub fn ask(&self, address: &str) -> std::io::Result<String> {
        self.ask_within(address, PATIENCE)
    }

    pub fn ask_within(&self, address: &str, patience: Duration) -> std::io::Result<String> {
        let address: SocketAddr = address.parse().unwrap();
        self.run(|| {
            let mut connection = TcpStream::connect_timeout(&address, patience)?;
            connection.set_read_timeout(Some(patience))?;
            let mut answer = String::new();
            connection.read_to_string(&mut answer)?;
            Ok(answer)
        })
    }

    /// Whether a connection gets through to a server, which is expected: waits long for it.
    pub fn reaches(&self, address: &str) -> bool {
        self.ask_within(address, PATIENCE).is_ok_and(|a| !a.is_empty())
    }

    /// Whether a connection does not get through to a server, which is expected: waits for it only so long.
    pub fn misses(&self, address: &str) -> bool {
        !self.ask_within(address, REFUSAL).is_ok_and(|a| !a.is_empty())
    }

    /// Binds a UDP socket inside.
    pub fn udp(&self, address: &str) -> UdpSocket {
        let socket = self.run(|| UdpSocket::bind(address)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// A listening server.
pub struct Server {
    stop: TcpListener,
    pub bound: SocketAddr,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ends the accept(2) that the thread waits in.
        let _ = rustix::net::shutdown(&self.stop, rustix::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A host with a neighbour outside, and a Stockade network to test on it.
pub struct Stage {
    pub host: Space,
    pub world: Space,
    pub dir: tempfile::TempDir,
    pub config: NetworkConfig,
}

impl Stage {
    pub fn new() -> Stage {
        let (host, world) = (Space::new("host"), Space::new("world"));
        host.sh(&format!("ip link add uplink0 mtu 1400 type veth peer name out0 netns {}", world.name));
        host.sh(
            "ip addr add 198.51.100.2/24 dev uplink0; ip link set uplink0 up; ip route add default via 198.51.100.1",
        );
        world.sh("ip addr add 198.51.100.1/24 dev out0; ip link set out0 mtu 1400 up");
        host.settle();
        Stage { host, world, dir: tempfile::tempdir().unwrap(), config: Stage::config() }
    }

    /// The network's names in the tests.
    pub fn config() -> NetworkConfig {
        NetworkConfig {
            bridge: "sktest0".to_owned(),
            table: "sktest".to_owned(),
            veth_prefix: "skt".to_owned(),
            subnet: Some("10.77.0.0/16".parse().unwrap()),
            ..NetworkConfig::default()
        }
    }

    pub fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub fn network(&self) -> Network {
        Network::open(&self.run_dir(), &self.dir.path().join("root"), self.config.clone()).unwrap()
    }

    /// Makes a container and attaches it.
    pub fn container(&self, id: &str, ports: &[&str]) -> Container {
        self.try_container(id, ports).unwrap()
    }

    pub fn try_container(&self, id: &str, ports: &[&str]) -> Result<Container, NetworkError> {
        self.attach(
            id,
            &Wish { ports: ports.iter().flat_map(|p| parse_publish(p).unwrap()).collect(), ..Wish::default() },
        )
    }

    pub fn attach(&self, id: &str, wish: &Wish) -> Result<Container, NetworkError> {
        let space = Space::new("container");
        let netns = space.open();
        let network = self.network();
        let attach = Attach {
            ports: &wish.ports,
            block_metadata: !wish.metadata,
            ip: wish.ip,
            mac: wish.mac,
            ..Attach::new(id, netns.as_fd())
        };
        let endpoint = self.host.run(|| network.attach(&attach))?;
        Ok(Container { id: id.to_owned(), space, endpoint })
    }

    pub fn detach(&self, id: &str) {
        let network = self.network();
        self.host.run(|| network.detach(id)).unwrap();
    }

    /// All that a network could leave on the host, as text.
    pub fn host_state(&self) -> String {
        let mut text = self.host.sh("ip -o -d addr; ip route show table all; ip rule; cat /proc/net/dev | cut -d: -f1");
        text += &self
            .host
            .sh("grep -r . /proc/sys/net/ipv4/conf /proc/sys/net/ipv4/ip_forward 2>/dev/null | grep -v stable_secret");
        if has_nft() {
            text += &self.host.sh("nft list ruleset");
        }
        // The host's own links get their IPv6 addresses when they like.
        let own =
            |l: &str| ["uplink0", "lan0"].iter().any(|n| l.contains(n)) && (l.contains("fe80") || l.contains("ff00"));
        text.lines().filter(|l| !own(l)).collect::<Vec<_>>().join("\n")
    }

    /// Fails with the lines that are not as they were.
    pub fn assert_host_is(&self, before: &str) {
        let after = self.host_state();
        let only = |a: &str, b: &str| a.lines().filter(|l| !b.lines().any(|m| m == *l)).collect::<Vec<_>>().join("\n");
        let (gone, new) = (only(before, &after), only(&after, before));
        assert!(gone.is_empty() && new.is_empty(), "gone:\n{gone}\nnew:\n{new}");
    }

    /// Files that are left in the run directory.
    pub fn files(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.run_dir().join("network")) else { return Vec::new() };
        let mut names: Vec<_> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// What a container asks for.
#[derive(Default)]
pub struct Wish {
    pub ports: Vec<PortMapping>,
    pub metadata: bool,
    pub ip: Option<Ipv4Addr>,
    pub mac: Option<MacAddress>,
}

/// An attached namespace.
pub struct Container {
    pub id: String,
    pub space: Space,
    pub endpoint: Endpoint,
}

impl Container {
    pub fn at(&self, port: u16) -> String {
        format!("{}:{port}", self.endpoint.ip)
    }
}
