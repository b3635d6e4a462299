//! The handle that every verb hangs on.

use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stockade_config::Settings;
use stockade_durable::{Lock, create_private_dir};
use stockade_image::Store;
use stockade_network::{Network, NetworkConfig};

use crate::error::{EngineError, io_error};
use crate::paths::{self, ContainerPaths};
use crate::record::Record;
use crate::{id, names};

/// Access to the containers under one root directory. Cheap to open, safe to share between threads.
#[derive(Debug, Clone)]
pub struct Engine {
    root: PathBuf,
    run: PathBuf,
    network: NetworkConfig,
    /// Name servers of the configuration, for containers that name none.
    pub(crate) dns: Vec<IpAddr>,
}

/// How long a verb waits for another verb on the same container.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

impl Engine {
    /// Uses the directories and the network of `settings`.
    pub fn open(settings: &Settings) -> Result<Engine, EngineError> {
        let mut engine = Engine::at(&settings.dirs.root, &settings.dirs.run);
        engine.network = network_config(&settings.network.bridge);
        if let Some(subnet) = &settings.network.subnet {
            engine.network.subnet = Some(subnet.parse()?);
        }
        for server in &settings.network.dns {
            let address = server
                .parse()
                .map_err(|_| EngineError::usage(format!("`{server}` in `[network] dns` is no IP address")))?;
            engine.dns.push(address);
        }
        Ok(engine)
    }

    /// Uses `root` for what must survive a reboot, `run` for what must not, and the default network.
    pub fn at(root: &Path, run: &Path) -> Engine {
        Engine { root: root.to_owned(), run: run.to_owned(), network: NetworkConfig::default(), dns: Vec::new() }
    }

    /// Directory of durable state.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Directory of volatile state.
    pub fn run_dir(&self) -> &Path {
        &self.run
    }

    /// The image store.
    pub fn store(&self) -> Result<Store, EngineError> {
        Ok(Store::open(&self.root)?)
    }

    pub(crate) fn network(&self) -> Result<Network, EngineError> {
        Ok(Network::open(&self.run, &self.root, self.network.clone())?)
    }

    /// Makes the directories that containers need.
    pub(crate) fn prepare(&self) -> Result<(), EngineError> {
        for dir in [paths::containers(&self.root), paths::names(&self.root), paths::id_ranges(&self.root)] {
            if !dir.is_dir() {
                create_private_dir(&dir)?;
            }
        }
        Ok(())
    }

    pub(crate) fn container(&self, id: &str) -> ContainerPaths {
        ContainerPaths::new(&self.root, &self.run, id)
    }

    /// Ids of all containers, in no order.
    pub(crate) fn ids(&self) -> Result<Vec<String>, EngineError> {
        let dir = paths::containers(&self.root);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io_error("list", &dir)(e)),
        };
        Ok(entries.flatten().filter_map(|e| e.file_name().into_string().ok()).filter(|n| id::is_full(n)).collect())
    }

    /// The full id of a container by id, name or the beginning of an id (docker's order).
    ///
    /// # Errors
    /// [`EngineError::NoSuchContainer`], [`EngineError::Ambiguous`].
    pub fn resolve(&self, name: &str) -> Result<String, EngineError> {
        let none = || EngineError::NoSuchContainer { name: name.to_owned() };
        let exists = |id: &str| paths::containers(&self.root).join(id).is_dir();
        if id::is_full(name) {
            return if exists(name) { Ok(name.to_owned()) } else { Err(none()) };
        }
        let name = name.strip_prefix('/').unwrap_or(name);
        if let Some(id) = names::lookup(&self.root, name)
            && exists(&id)
        {
            return Ok(id);
        }
        if !id::is_hex(name) {
            return Err(none());
        }
        let mut fits: Vec<String> = self.ids()?.into_iter().filter(|id| id.starts_with(name)).collect();
        match (fits.pop(), fits.len()) {
            (None, _) => Err(none()),
            (Some(only), 0) => Ok(only),
            (Some(one), _) => {
                fits.truncate(4);
                fits.push(one);
                fits.sort();
                let candidates = fits.iter().map(|id| id::short(id)).collect::<Vec<_>>().join(", ");
                Err(EngineError::Ambiguous { name: name.to_owned(), candidates })
            }
        }
    }

    /// A container by its full id. What a dead monitor left is cleaned up on the way.
    pub(crate) fn load(&self, id: &str) -> Result<Record, EngineError> {
        let record = Record::load(&self.container(id), id)?;
        if record.stale {
            self.bury(id)?;
            return Record::load(&self.container(id), id);
        }
        Ok(record)
    }

    /// A container by name, id or the beginning of an id.
    pub fn find(&self, name: &str) -> Result<Record, EngineError> {
        let id = self.resolve(name)?;
        match self.load(&id) {
            Err(EngineError::NoSuchContainer { .. }) => Err(EngineError::NoSuchContainer { name: name.to_owned() }),
            other => other,
        }
    }

    /// All containers, newest first. Records that cannot be read are returned beside them, not hidden.
    pub fn list(&self) -> Result<(Vec<Record>, Vec<EngineError>), EngineError> {
        let mut records = Vec::new();
        let mut damaged = Vec::new();
        for id in self.ids()? {
            match self.load(&id) {
                // Removed meanwhile, or still being created.
                Err(EngineError::NoSuchContainer { .. }) => {}
                Err(e @ EngineError::Damaged { .. }) => damaged.push(e),
                Err(e) => return Err(e),
                Ok(record) => records.push(record),
            }
        }
        records.sort_by(|a, b| b.spec.created.cmp(&a.spec.created).then_with(|| a.spec.id.cmp(&b.spec.id)));
        Ok((records, damaged))
    }

    /// Keeps other verbs away from a container.
    ///
    /// # Errors
    /// [`EngineError::NoSuchContainer`] when it was removed, also while waiting.
    pub(crate) fn lock(&self, id: &str) -> Result<Lock, EngineError> {
        let gone = || EngineError::NoSuchContainer { name: id::short(id).to_owned() };
        let paths = self.container(id);
        if !paths.dir.is_dir() {
            return Err(gone());
        }
        let lock = self.lock_new(id)?;
        if !paths.dir.is_dir() {
            // Waiting for the lock made the volatile directory anew.
            let _ = fs::remove_dir_all(&paths.run);
            return Err(gone());
        }
        Ok(lock)
    }

    /// As [`Self::lock`], for a container that is about to exist.
    pub(crate) fn lock_new(&self, id: &str) -> Result<Lock, EngineError> {
        let paths = self.container(id);
        loop {
            create_private_dir(&paths.run)?;
            let lock = match Lock::exclusive_within(&paths.lock(), LOCK_PATIENCE) {
                Ok(lock) => lock,
                // The directory went away with a container that was removed at this moment.
                Err(stockade_durable::DurableError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            // A lock on a file that was unlinked meanwhile keeps nobody away.
            if let (Ok(held), Ok(there)) = (lock.file().metadata(), fs::metadata(paths.lock()))
                && (held.ino(), held.dev()) == (there.ino(), there.dev())
            {
                return Ok(lock);
            }
        }
    }
}

/// The network of a bridge: everything else that is named on the host is derived from the bridge's name, so that
/// two bridges share nothing.
fn network_config(bridge: &str) -> NetworkConfig {
    let default = NetworkConfig::default();
    if bridge == default.bridge {
        return default;
    }
    // FNV-1a, 16 bits of it: tells apart the handful of bridges that one host has.
    let hash = bridge.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    NetworkConfig {
        name: bridge.to_owned(),
        bridge: bridge.to_owned(),
        table: format!("stockade-{bridge}"),
        veth_prefix: format!("sk{:04x}", (hash >> 16) ^ (hash & 0xffff)),
        subnet: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> (tempfile::TempDir, Engine) {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::at(&dir.path().join("root"), &dir.path().join("run"));
        engine.prepare().unwrap();
        (dir, engine)
    }

    #[test]
    fn containers_are_found_by_id_name_and_prefix() {
        let (_dir, engine) = world();
        let a = format!("ab{}", "0".repeat(62));
        let b = format!("ac{}", "0".repeat(62));
        for id in [&a, &b] {
            fs::create_dir(paths::containers(engine.root()).join(id)).unwrap();
        }
        names::reserve(engine.root(), "web", &a).unwrap();
        assert_eq!(engine.resolve("web").unwrap(), a);
        assert_eq!(engine.resolve("/web").unwrap(), a);
        assert_eq!(engine.resolve(&b).unwrap(), b);
        assert_eq!(engine.resolve("ab").unwrap(), a);
        assert!(matches!(engine.resolve("a"), Err(EngineError::Ambiguous { .. })));
        for missing in ["nope", "ff", "../web", ""] {
            assert!(matches!(engine.resolve(missing), Err(EngineError::NoSuchContainer { .. })), "{missing}");
        }
    }

    #[test]
    fn bridges_share_no_name_on_the_host() {
        let (a, b) = (network_config("br-a"), network_config("br-b"));
        assert_ne!(a.veth_prefix, b.veth_prefix);
        assert_ne!(a.table, b.table);
        assert!(a.veth_prefix.len() <= 7);
        assert_eq!(network_config("stockade0").veth_prefix, NetworkConfig::default().veth_prefix);
    }
}
