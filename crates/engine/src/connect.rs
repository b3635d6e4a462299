//! How a container is connected: by the bridge as root, by pasta otherwise.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use stockade_network::pasta::{self, Pasta, Wanted};
use stockade_network::{Attach, Endpoint, PortMapping};
use stockade_sandbox::rootless;

use crate::Engine;
use crate::error::EngineError;
use crate::record::EndpointState;

/// A connection. Dropped, it gives its ports back.
pub(crate) enum Connection {
    Bridge(Endpoint),
    Pasta(Pasta),
}

/// What is to be connected.
pub(crate) struct Place<'a> {
    /// Container id, or holder of a build step.
    pub id: &'a str,
    pub netns: BorrowedFd<'a>,
    pub ports: &'a [PortMapping],
    pub block_metadata: bool,
    /// Volatile directory of the container.
    pub run: &'a Path,
}

/// Name of the file that tells which pasta is a container's, inside its volatile directory.
const PASTA: &str = "pasta.pid";

impl Connection {
    pub fn make(engine: &Engine, place: &Place<'_>) -> Result<Connection, EngineError> {
        let Place { id, netns, ports, block_metadata, run } = *place;
        if rootless::active().is_some() {
            let wanted = Wanted { netns, ports, block_metadata, pid_file: &run.join(PASTA) };
            return Ok(Connection::Pasta(Pasta::start(&wanted)?));
        }
        let attach = Attach { ports, block_metadata, ..Attach::new(id, netns) };
        Ok(Connection::Bridge(engine.network()?.attach(&attach)?))
    }

    /// The container's address and its default route.
    pub fn addresses(&self) -> (IpAddr, IpAddr) {
        match self {
            Connection::Bridge(e) => (IpAddr::V4(e.ip), IpAddr::V4(e.gateway)),
            Connection::Pasta(p) => (IpAddr::V4(p.ip), IpAddr::V4(p.gateway)),
        }
    }

    /// What is worth telling the user.
    pub fn warnings(&self) -> &[String] {
        match self {
            Connection::Bridge(endpoint) => &endpoint.warnings,
            Connection::Pasta(_) => &[],
        }
    }

    pub fn state(&self) -> EndpointState {
        match self {
            Connection::Bridge(endpoint) => EndpointState {
                ip: endpoint.ip,
                prefix: endpoint.prefix,
                gateway: endpoint.gateway,
                mac: endpoint.mac.to_string(),
                host_interface: endpoint.host_interface.clone(),
                ports: endpoint.ports.clone(),
            },
            Connection::Pasta(pasta) => EndpointState {
                ip: pasta.ip,
                prefix: pasta.prefix,
                gateway: pasta.gateway,
                mac: String::new(),
                host_interface: String::new(),
                ports: pasta.ports.clone(),
            },
        }
    }
}

/// Takes away what a process that was killed left of its container's connection.
pub(crate) fn disconnect(engine: &Engine, id: &str, run: &Path) -> Result<(), EngineError> {
    if rootless::active().is_some() {
        pasta::end_leftover(&run.join(PASTA));
        return Ok(());
    }
    Ok(engine.network()?.detach(id)?)
}
