//! `rm`, and the cleaning up that every other end needs: after it nothing of the container is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stockade_durable as durable;
use stockade_sandbox::cgroup::Cgroup;

use crate::client::Client;
use crate::connect;
use crate::error::{EngineError, io_error};
use crate::paths::{self, ContainerPaths};
use crate::record::{self, Record, Status};
use crate::spec::MountType;
use crate::{Engine, events, id, monitor, names, ranges, signals, unprivileged, volume};

/// How long a killed container may take to be gone before its monitor is killed too.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// How old a temporary directory must be before it is taken for a crashed process's.
const SWEEP_AGE: Duration = Duration::from_secs(600);

impl Engine {
    /// Removes a container. `force` kills a running one first; `volumes` also removes its anonymous volumes.
    ///
    /// # Errors
    /// [`EngineError::WrongState`] when it runs and `force` is not set.
    pub fn remove(&self, name: &str, force: bool, volumes: bool) -> Result<(), EngineError> {
        let id = self.resolve(name)?;
        let paths = self.container(&id);
        let lock = self.lock(&id)?;
        let record = match Record::load(&paths, &id) {
            Ok(record) => Some(record),
            // A damaged or half-made record goes only by force: its fields cannot say what else is to be removed.
            Err(e @ EngineError::Damaged { .. }) if !force => return Err(e),
            Err(EngineError::NoSuchContainer { .. }) if !paths.dir.is_dir() => {
                return Err(EngineError::NoSuchContainer { name: name.to_owned() });
            }
            Err(_) => None,
        };
        if record::monitor_alive(&paths) {
            if !force && record.as_ref().is_some_and(|r| r.state.status.is_live()) {
                let status = record.map_or("running", |r| r.state.status.name());
                return Err(EngineError::WrongState {
                    name: name.to_owned(),
                    status: status.to_owned(),
                    hint: "; stop it first, or use -f",
                });
            }
            self.end_monitor(&paths, &id)?;
        }
        let auto = record.as_ref().is_some_and(|r| r.spec.host.auto_remove);
        let result = self.erase(&id, record.as_ref(), volumes || auto);
        // Still locked: who waits for the lock finds the file gone and looks again.
        let _ = fs::remove_dir_all(&paths.run);
        drop(lock);
        self.gc();
        result
    }

    /// Kills the container through its monitor, and the monitor if it does not answer.
    fn end_monitor(&self, paths: &ContainerPaths, id: &str) -> Result<(), EngineError> {
        let until = Instant::now() + KILL_PATIENCE;
        // A monitor that is only just starting has no socket yet: ask again.
        while record::monitor_alive(paths) && Instant::now() < until {
            if let Ok(mut client) = Client::connect(paths)
                && client.ask(crate::wire::Kind::Wait, &[]).is_ok()
                && client.signal(signals::KILL).is_ok()
            {
                client.wait_gone(KILL_PATIENCE);
            }
            monitor::wait_dead(paths, Duration::from_millis(5));
        }
        if !monitor::wait_dead(paths, Duration::ZERO) {
            monitor::kill(paths);
            if !monitor::wait_dead(paths, KILL_PATIENCE) {
                return Err(EngineError::Refused {
                    message: format!("the monitor of container {} cannot be killed", id::short(id)),
                });
            }
        }
        Ok(())
    }

    /// Takes away everything that belongs to a container whose monitor is gone (or is the caller).
    /// Every step may have been done before.
    pub(crate) fn erase(&self, id: &str, record: Option<&Record>, volumes: bool) -> Result<(), EngineError> {
        self.release_runtime(id, record)?;
        remove_tree(&self.bury_files(id, record, volumes)?)
    }

    /// The part of [`Engine::erase`] that is on disk, for the monitor, which let go of the kernel's part before. When it
    /// returns the container is gone for everybody; its files are in the returned directory and still to be removed.
    pub(crate) fn bury_files(&self, id: &str, record: Option<&Record>, volumes: bool) -> Result<PathBuf, EngineError> {
        let paths = self.container(id);
        let name = fs::read_to_string(paths.name()).unwrap_or_default();
        if let Some(record) = record {
            events::emit(self.root(), &record.spec, &record.name, "destroy", &[]);
        }
        // From here on it is gone for everybody who looks; a crash leaves a temporary directory to sweep.
        let grave = paths::containers(self.root()).join(durable::temporary_name());
        match fs::rename(&paths.dir, &grave) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(io_error("remove", &paths.dir)(e)),
        }
        names::release(self.root(), &name, id);
        if let Some(first) = record.and_then(|r| r.spec.confine.id_range) {
            ranges::release(self.root(), first, id);
        }
        if let Ok(store) = self.store() {
            store.release(id)?;
        }
        if volumes && let Some(record) = record {
            for mount in &record.spec.host.mounts {
                if mount.kind == MountType::Volume && mount.anonymous {
                    volume::remove(self.root(), &mount.source)?;
                }
            }
        }
        Ok(grave)
    }

    /// Kills what runs in the container's cgroup and takes away the group and the network endpoint.
    pub(crate) fn release_runtime(&self, id: &str, record: Option<&Record>) -> Result<(), EngineError> {
        let paths = self.container(id);
        if record.is_some_and(|r| r.stale) {
            unprivileged::kill_leftover(&record::read_state(&paths));
        }
        Self::release_cgroup(id)?;
        if record.is_none_or(|r| r.spec.host.network == crate::NetMode::Bridge) {
            connect::disconnect(self, id, &paths.run)?;
        }
        Ok(())
    }

    /// Kills what runs in the container's cgroup and takes away the group.
    pub(crate) fn release_cgroup(id: &str) -> Result<(), EngineError> {
        let cgroup = Cgroup::open(&paths::cgroup(id));
        cgroup.kill()?;
        cgroup.remove()?;
        Ok(())
    }

    /// A container's monitor died: what it left is cleaned up and the record says so.
    pub(crate) fn bury(&self, id: &str) -> Result<(), EngineError> {
        let paths = self.container(id);
        let lock = match self.lock(id) {
            Ok(lock) => lock,
            Err(EngineError::NoSuchContainer { .. }) => return Ok(()),
            Err(e) => return Err(e),
        };
        let record = match Record::load(&paths, id) {
            Ok(record) if record.stale => record,
            // Somebody else did it meanwhile.
            _ => return Ok(()),
        };
        let code = [("exitCode", record.state.exit_code.to_string())];
        events::emit(self.root(), &record.spec, &record.name, "die", &code);
        if record.spec.host.auto_remove {
            let result = self.erase(id, Some(&record), true);
            let _ = fs::remove_dir_all(&paths.run);
            drop(lock);
            return result;
        }
        self.release_runtime(id, Some(&record))?;
        record::write_state(&paths, &record.state, true)
    }

    /// Cheap reconciliation: what crashed processes left behind under our directories and in the kernel.
    /// Errors are not reported: the next call tries again.
    pub fn gc(&self) {
        let containers = paths::containers(self.root());
        durable::sweep(&containers, SWEEP_AGE);
        durable::sweep(&paths::volumes(self.root()), SWEEP_AGE);
        durable::sweep(&self.root().join("leases"), SWEEP_AGE);
        for id in self.ids().unwrap_or_default() {
            self.gc_container(&id);
        }
        let exists = |id: &str| containers.join(id).is_dir();
        for (first, holder) in ranges::all(self.root()) {
            if !exists(&holder) && !crate::step::holder_alive(&holder) && self.unclaimed(&holder) {
                if holder.starts_with("build-") {
                    crate::step::clean_up_holder(self, &holder, true);
                }
                ranges::release(self.root(), first, &holder);
            }
        }
        self.gc_names_and_leases();
        self.gc_run_dirs();
        self.gc_network();
    }

    /// Connections of containers and steps that are gone, and a network that nobody is connected to.
    fn gc_network(&self) {
        if stockade_sandbox::rootless::active().is_some() {
            return;
        }
        let Ok(network) = self.network() else { return };
        let containers = paths::containers(self.root());
        let live = |id: &str| containers.join(id).is_dir() || crate::step::holder_alive(id) || !self.unclaimed(id);
        if network.has_leftovers(&live) {
            let _ = network.gc(&live);
        }
    }

    /// Names and image leases of containers that are gone: a process was killed between two steps of a removal.
    fn gc_names_and_leases(&self) {
        let gone =
            |id: &str| id::is_full(id) && !paths::containers(self.root()).join(id).is_dir() && self.unclaimed(id);
        for entry in fs::read_dir(paths::names(self.root())).into_iter().flatten().flatten() {
            let holder = fs::read_link(entry.path()).ok().and_then(|t| t.to_str().map(str::to_owned));
            if holder.is_some_and(|id| gone(&id)) {
                let _ = fs::remove_file(entry.path());
            }
        }
        let Ok(store) = self.store() else { return };
        for lease in store.leases().unwrap_or_default() {
            if gone(&lease.holder) {
                let _ = store.release(&lease.holder);
            }
        }
    }

    fn gc_container(&self, id: &str) {
        let paths = self.container(id);
        match Record::load(&paths, id) {
            Ok(record) if record.stale => {
                let _ = self.bury(id);
            }
            // `--rm` whose monitor was killed between the end and the removal.
            Ok(record)
                if record.state.status == Status::Exited
                    && record.spec.host.auto_remove
                    && !paths.restarting().exists() =>
            {
                if !record::monitor_alive(&paths)
                    && let Ok(lock) = self.lock(id)
                {
                    let _ = self.erase(id, Some(&record), true);
                    let _ = fs::remove_dir_all(&paths.run);
                    drop(lock);
                }
            }
            // Created half, by a process that holds no lock any more.
            Err(EngineError::NoSuchContainer { .. }) if paths.dir.is_dir() => {
                let _ = durable::create_private_dir(&paths.run);
                if let Ok(Some(_lock)) = durable::Lock::try_exclusive(&paths.lock())
                    && !paths.config().exists()
                    && self.erase(id, None, false).is_ok()
                {
                    let _ = fs::remove_dir_all(&paths.run);
                }
            }
            _ => {}
        }
    }

    /// Whether no process is creating the container `id` right now.
    fn unclaimed(&self, id: &str) -> bool {
        let lock = self.container(id).lock();
        !lock.exists() || matches!(durable::Lock::try_exclusive(&lock), Ok(Some(_)))
    }

    /// Volatile directories of containers that are gone.
    fn gc_run_dirs(&self) {
        let Ok(entries) = fs::read_dir(self.run_dir().join("containers")) else { return };
        for entry in entries.flatten() {
            let Ok(id) = entry.file_name().into_string() else { continue };
            let paths = self.container(&id);
            if paths.dir.is_dir() {
                continue;
            }
            // Held while the directory goes: a process that is just creating this container waits, and looks again.
            if let Ok(Some(_lock)) = durable::Lock::try_exclusive(&paths.lock())
                && !paths.dir.is_dir()
                && !record::monitor_alive(&paths)
            {
                let _ = fs::remove_dir_all(&paths.run);
            }
        }
    }
}

/// Removes a tree, and tells which path would not go.
pub(crate) fn remove_tree(path: &Path) -> Result<(), EngineError> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(io_error("remove", path)(e)),
    }
}
