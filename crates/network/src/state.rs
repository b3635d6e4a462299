//! What is known about a network, on disk.
//!
//! ```text
//! <run>/network/lock                      held by whoever changes anything below
//! <run>/network/forwarding.json           present while we have switched IP forwarding on
//! <run>/network/<name>.next               index of the address to try next
//! <run>/network/<name>/network.json       subnet
//! <run>/network/<name>/addresses/<ip>     one a taken address; holds the endpoint's id
//! <run>/network/<name>/endpoints/<id>.json
//! <root>/network/<name>.json              the subnet used last
//! ```
//! A record is written before the kernel is told and removed after the kernel has forgotten, so whatever the
//! kernel holds for us after a crash has a record to find it by.

use std::fs;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stockade_durable::{Lock, create_private_dir, write_volatile};

use crate::address::{MacAddress, Subnet};
use crate::endpoint::Published;
use crate::error::NetworkError;

/// A network that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NetworkRecord {
    pub(crate) subnet: Subnet,
    /// Largest packet in bytes.
    pub(crate) mtu: u32,
    /// Version of the rules in the kernel; another one means that they are written anew.
    pub(crate) ruleset: u32,
    /// Whether frames on the bridge are checked for false senders.
    pub(crate) layer2: bool,
    /// Chains of others that drop forwarded packets unless told otherwise.
    #[serde(default)]
    pub(crate) droppers: Vec<String>,
}

/// An endpoint: all that is needed to set up, or find, what the kernel holds for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EndpointRecord {
    pub(crate) id: String,
    pub(crate) ip: Ipv4Addr,
    pub(crate) mac: MacAddress,
    /// Name of the veth's end on the host.
    pub(crate) host_interface: String,
    pub(crate) ports: Vec<Published>,
    pub(crate) block_metadata: bool,
}

/// What we changed to make the host forward packets, to change it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ForwardingRecord {
    /// `conf/all/accept_redirects` before: the kernel changes it along with forwarding.
    pub(crate) accept_redirects: String,
    /// Interfaces that forwarded even before.
    pub(crate) forwarding: Vec<String>,
    /// Interfaces that were there before: packets do not pass between them.
    pub(crate) links: Vec<String>,
    /// nftables tables that were there before.
    pub(crate) tables: Vec<(u8, String)>,
}

/// The subnet that a network had last.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    subnet: Subnet,
}

/// The directories of one network.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// `<run>/network`
    base: PathBuf,
    /// `<run>/network/<name>`
    dir: PathBuf,
    /// `<run>/network/<name>.next`
    next: PathBuf,
    /// `<root>/network/<name>.json`
    remembered: PathBuf,
}

impl State {
    pub(crate) fn new(run_dir: &Path, root_dir: &Path, name: &str) -> State {
        let base = run_dir.join("network");
        State {
            dir: base.join(name),
            next: base.join(format!("{name}.next")),
            base,
            remembered: root_dir.join("network").join(format!("{name}.json")),
        }
    }

    /// Takes the lock that every change needs.
    pub(crate) fn lock(&self) -> Result<Lock, NetworkError> {
        create_private_dir(&self.base)?;
        Ok(Lock::exclusive(&self.base.join("lock"))?)
    }

    /// Whether anything at all was ever set up here. Needs no lock.
    pub(crate) fn exists(&self) -> bool {
        self.dir.exists()
    }

    /// Whether a network other than this one exists.
    pub(crate) fn others_exist(&self) -> bool {
        let Ok(entries) = fs::read_dir(&self.base) else { return false };
        entries.flatten().any(|e| e.path() != self.dir && e.path().is_dir())
    }

    pub(crate) fn network(&self) -> Result<Option<NetworkRecord>, NetworkError> {
        read_record(&self.dir.join("network.json"))
    }

    pub(crate) fn set_network(&self, record: &NetworkRecord) -> Result<(), NetworkError> {
        for part in ["addresses", "endpoints"] {
            create_private_dir(&self.dir.join(part))?;
        }
        self.update_network(record)
    }

    /// Like [`State::set_network`] where the directories are known to exist.
    pub(crate) fn update_network(&self, record: &NetworkRecord) -> Result<(), NetworkError> {
        write_record(&self.dir.join("network.json"), record)
    }

    /// Removes all there is about the network.
    pub(crate) fn clear(&self) -> Result<(), NetworkError> {
        tolerate_missing(fs::remove_dir_all(&self.dir), "remove", &self.dir)
    }

    pub(crate) fn endpoint(&self, id: &str) -> Result<Option<EndpointRecord>, NetworkError> {
        read_record(&self.endpoint_path(id))
    }

    pub(crate) fn set_endpoint(&self, record: &EndpointRecord) -> Result<(), NetworkError> {
        write_record(&self.endpoint_path(&record.id), record)
    }

    pub(crate) fn remove_endpoint(&self, id: &str) -> Result<(), NetworkError> {
        let path = self.endpoint_path(id);
        tolerate_missing(fs::remove_file(&path), "remove", &path)
    }

    fn endpoint_path(&self, id: &str) -> PathBuf {
        self.dir.join("endpoints").join(format!("{id}.json"))
    }

    /// Ids of all endpoints, in no order.
    pub(crate) fn endpoint_ids(&self) -> Result<Vec<String>, NetworkError> {
        let names = list(&self.dir.join("endpoints"))?;
        Ok(names.into_iter().filter_map(|n| n.strip_suffix(".json").map(str::to_owned)).collect())
    }

    /// Whether there is no endpoint.
    pub(crate) fn is_empty(&self) -> Result<bool, NetworkError> {
        Ok(self.endpoint_ids()?.is_empty())
    }

    /// When an endpoint came or went last: differs whenever one did in between.
    pub(crate) fn last_change(&self) -> Option<SystemTime> {
        fs::metadata(self.dir.join("endpoints")).and_then(|m| m.modified()).ok()
    }

    /// All endpoints; a damaged record counts as none: [`crate::Network::gc`] removes it.
    pub(crate) fn endpoints(&self) -> Result<Vec<EndpointRecord>, NetworkError> {
        let ids = self.endpoint_ids()?;
        Ok(ids.iter().filter_map(|id| self.endpoint(id).ok().flatten()).collect())
    }

    /// Takes an address for `id`; false if somebody has it.
    pub(crate) fn take_address(&self, ip: Ipv4Addr, id: &str) -> Result<bool, NetworkError> {
        let path = self.address_path(ip);
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => file.write_all(id.as_bytes()).map(|()| true).map_err(state_error("write", &path)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(state_error("create", &path)(e)),
        }
    }

    pub(crate) fn free_address(&self, ip: Ipv4Addr) -> Result<(), NetworkError> {
        let path = self.address_path(ip);
        tolerate_missing(fs::remove_file(&path), "remove", &path)
    }

    /// Index of the address to try next; 0 where nothing is known.
    pub(crate) fn next_index(&self) -> u32 {
        fs::read_to_string(&self.next).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0)
    }

    /// Remembers the index to try next, even when the network has gone. It is advice only: written in place,
    /// and a failure means that an address is used again sooner.
    pub(crate) fn set_next_index(&self, index: u32) {
        let _ = fs::write(&self.next, format!("{index:<10}\n"));
    }

    /// Frees addresses whose endpoint has no record, or a record of another address.
    pub(crate) fn free_orphaned_addresses(&self) -> Result<(), NetworkError> {
        for name in list(&self.dir.join("addresses"))? {
            let Ok(ip) = name.parse::<Ipv4Addr>() else { continue };
            let path = self.address_path(ip);
            let id = fs::read_to_string(&path).unwrap_or_default();
            let used = !id.is_empty() && self.endpoint(&id).ok().flatten().is_some_and(|e| e.ip == ip);
            if !used {
                self.free_address(ip)?;
            }
        }
        Ok(())
    }

    fn address_path(&self, ip: Ipv4Addr) -> PathBuf {
        self.dir.join("addresses").join(ip.to_string())
    }

    pub(crate) fn forwarding(&self) -> Result<Option<ForwardingRecord>, NetworkError> {
        read_record(&self.base.join("forwarding.json"))
    }

    pub(crate) fn set_forwarding(&self, record: Option<&ForwardingRecord>) -> Result<(), NetworkError> {
        let path = self.base.join("forwarding.json");
        match record {
            Some(record) => write_record(&path, record),
            None => tolerate_missing(fs::remove_file(&path), "remove", &path),
        }
    }

    /// The subnet that the network had before the last reboot or the last time it was empty.
    pub(crate) fn remembered_subnet(&self) -> Option<Subnet> {
        let bytes = fs::read(&self.remembered).ok()?;
        Some(serde_json::from_slice::<Remembered>(&bytes).ok()?.subnet)
    }

    /// Remembers the subnet; a failure only means that another one may be chosen next time.
    pub(crate) fn remember_subnet(&self, subnet: Subnet) {
        if self.remembered_subnet() == Some(subnet) {
            return;
        }
        if let (Some(dir), Ok(json)) = (self.remembered.parent(), serde_json::to_vec(&Remembered { subnet }))
            && create_private_dir(dir).is_ok()
        {
            // Not worth waiting for the disk: after a power cut another free subnet does as well.
            let _ = write_volatile(&self.remembered, &json, 0o600);
        }
    }
}

fn list(dir: &Path) -> Result<Vec<String>, NetworkError> {
    match fs::read_dir(dir) {
        Ok(entries) => Ok(entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(state_error("list", dir)(e)),
    }
}

fn read_record<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, NetworkError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| NetworkError::Damaged { path: path.to_owned(), source }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(state_error("read", path)(e)),
    }
}

fn write_record<T: Serialize>(path: &Path, record: &T) -> Result<(), NetworkError> {
    let json = serde_json::to_vec(record).map_err(|source| NetworkError::Damaged { path: path.to_owned(), source })?;
    Ok(write_volatile(path, &json, 0o600)?)
}

fn tolerate_missing(result: io::Result<()>, what: &'static str, path: &Path) -> Result<(), NetworkError> {
    match result {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(state_error(what, path)(e)),
        _ => Ok(()),
    }
}

fn state_error<'p>(what: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> NetworkError + 'p {
    move |source| NetworkError::State { what, path: path.to_owned(), source }
}
