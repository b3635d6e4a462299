//! Named volumes: directories under `<root>/volumes/<name>/`, the content in `_data`, as docker lays them out.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stockade_durable as durable;

use crate::error::{EngineError, io_error};
use crate::spec::MountType;
use crate::{Engine, clock, copy, events, names, paths};

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name: 64 hex digits for an anonymous one.
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Made by a container for itself.
    #[serde(default)]
    pub anonymous: bool,
    /// Directory with the content; not stored.
    #[serde(skip)]
    pub mountpoint: PathBuf,
}

fn dir(root: &Path, name: &str) -> PathBuf {
    paths::volumes(root).join(name)
}

/// Where a volume's content is.
pub(crate) fn data(root: &Path, name: &str) -> PathBuf {
    dir(root, name).join("_data")
}

fn check(name: &str) -> Result<(), EngineError> {
    names::check(name).map_err(|_| EngineError::Volume {
        message: format!("`{name}` is no volume name: letters, digits, `_`, `.`, `-`, and the first one a letter or digit; a host directory is given by its absolute path"),
    })
}

/// Makes a volume unless it exists. Answers whether its content is empty and it may be filled from an image.
pub(crate) fn ensure(root: &Path, name: &str, anonymous: bool) -> Result<bool, EngineError> {
    check(name)?;
    if !data(root, name).is_dir() {
        make(root, name, anonymous, BTreeMap::new())?;
    }
    let path = data(root, name);
    let mut entries = fs::read_dir(&path).map_err(io_error("list", &path))?;
    Ok(entries.next().is_none())
}

/// Makes a volume; fine if another process does so at the same time.
fn make(root: &Path, name: &str, anonymous: bool, labels: BTreeMap<String, String>) -> Result<(), EngineError> {
    let parent = paths::volumes(root);
    durable::create_private_dir(&parent)?;
    let staging = parent.join(durable::temporary_name());
    let volume = Volume { name: name.to_owned(), created: clock::now(), labels, anonymous, mountpoint: PathBuf::new() };
    let made = (|| {
        fs::create_dir_all(staging.join("_data"))?;
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(staging.join("_data"), fs::Permissions::from_mode(0o755))?;
        fs::write(staging.join("meta.json"), serde_json::to_vec(&volume).map_err(std::io::Error::other)?)?;
        fs::rename(&staging, dir(root, name))
    })();
    match made {
        Ok(()) => {
            events::emit_for(root, "volume", name, "", "create", BTreeMap::from([("driver".into(), "local".into())]));
            Ok(())
        }
        Err(e) => {
            let _ = fs::remove_dir_all(&staging);
            if data(root, name).is_dir() { Ok(()) } else { Err(io_error("create volume", &dir(root, name))(e)) }
        }
    }
}

/// Copies what the image has at `target` into an empty volume, as docker does for named and anonymous ones.
pub(crate) fn fill(root: &Path, name: &str, lower: &[PathBuf], target: &str) -> Result<(), EngineError> {
    copy::from_layers(lower, target, &data(root, name))
}

/// Removes a volume's directory. Whether somebody uses it is the caller's question.
pub(crate) fn remove(root: &Path, name: &str) -> Result<(), EngineError> {
    let dir = dir(root, name);
    let grave = paths::volumes(root).join(durable::temporary_name());
    match fs::rename(&dir, &grave) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io_error("remove volume", &dir)(e)),
    }
    fs::remove_dir_all(&grave).map_err(io_error("remove", &grave))?;
    events::emit_for(root, "volume", name, "", "destroy", BTreeMap::from([("driver".into(), "local".into())]));
    Ok(())
}

impl Engine {
    /// Makes a volume; `None` makes up a name. One of this name that exists is returned as it is (docker's rule).
    pub fn volume_create(&self, name: Option<&str>, labels: BTreeMap<String, String>) -> Result<Volume, EngineError> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => crate::id::new_id()?,
        };
        check(&name)?;
        if !data(self.root(), &name).is_dir() {
            make(self.root(), &name, false, labels)?;
        }
        self.volume(&name)
    }

    /// A volume by name.
    pub fn volume(&self, name: &str) -> Result<Volume, EngineError> {
        check(name)?;
        let none = || EngineError::Volume { message: format!("no such volume: {name}") };
        if !data(self.root(), name).is_dir() {
            return Err(none());
        }
        let meta = fs::read(dir(self.root(), name).join("meta.json")).unwrap_or_default();
        // A volume whose description was lost is still a volume.
        let mut volume = serde_json::from_slice::<Volume>(&meta).unwrap_or_else(|_| Volume {
            name: String::new(),
            created: clock::NEVER.to_owned(),
            labels: BTreeMap::new(),
            anonymous: false,
            mountpoint: PathBuf::new(),
        });
        name.clone_into(&mut volume.name);
        volume.mountpoint = data(self.root(), name);
        Ok(volume)
    }

    /// All volumes by name.
    pub fn volumes(&self) -> Result<Vec<Volume>, EngineError> {
        let parent = paths::volumes(self.root());
        let entries = match fs::read_dir(&parent) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(io_error("list", &parent)(e)),
        };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|e| e.file_name().into_string().ok()).filter(|n| check(n).is_ok()).collect();
        names.sort();
        Ok(names.iter().filter_map(|n| self.volume(n).ok()).collect())
    }

    /// Ids of the containers that mount a volume.
    pub fn volume_users(&self, name: &str) -> Result<Vec<String>, EngineError> {
        let (records, _) = self.list()?;
        Ok(records
            .into_iter()
            .filter(|r| r.spec.host.mounts.iter().any(|m| m.kind == MountType::Volume && m.source == name))
            .map(|r| r.spec.id)
            .collect())
    }

    /// Removes a volume that no container uses.
    pub fn volume_remove(&self, name: &str, force: bool) -> Result<(), EngineError> {
        if let Err(e) = self.volume(name) {
            return if force { Ok(()) } else { Err(e) };
        }
        let users = self.volume_users(name)?;
        if !users.is_empty() {
            let ids = users.iter().map(|id| crate::id::short(id)).collect::<Vec<_>>().join(", ");
            return Err(EngineError::Volume {
                message: format!("volume {name} is in use by {ids}; remove the container first"),
            });
        }
        remove(self.root(), name)
    }

    /// Removes the volumes that no container uses: anonymous ones, or all. Returns names and bytes.
    pub fn volume_prune(&self, all: bool) -> Result<(Vec<String>, u64), EngineError> {
        let mut removed = Vec::new();
        let mut bytes = 0;
        for volume in self.volumes()? {
            if (all || volume.anonymous) && self.volume_users(&volume.name)?.is_empty() {
                bytes += crate::usage::disk_bytes(&volume.mountpoint);
                remove(self.root(), &volume.name)?;
                removed.push(volume.name);
            }
        }
        Ok((removed, bytes))
    }
}
