//! `create`: a request becomes a container on disk, complete or not at all.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use stockade_image::{Image, Store};

use crate::error::{EngineError, io_error};
use crate::paths::ContainerPaths;
use crate::request::CreateRequest;
use crate::spec::{MountType, Shared, Spec};
use crate::{Engine, NetMode, id, names, ranges, record, resolve, volume};

/// A container that was created.
#[derive(Debug, Clone)]
pub struct Created {
    /// Full id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What its options give away, one line each, for stderr.
    pub weakened: Vec<String>,
}

impl Engine {
    /// Makes a container from a request. Nothing is left behind when it fails.
    pub fn create(&self, request: &CreateRequest) -> Result<Created, EngineError> {
        self.prepare()?;
        let store = self.store()?;
        let image =
            store.resolve(&request.image)?.ok_or_else(|| EngineError::NoSuchImage { name: request.image.clone() })?;
        let request = self.with_ids(request)?;
        let id = id::new_id()?;
        let mut spec = resolve::resolve(&request, &image, &id, &[self.root(), self.run_dir()])?;
        let paths = self.container(&id);
        let _lock = self.lock_new(&id)?;
        let result = self.furnish(&request, &store, &image, &mut spec, &paths);
        match result {
            Ok(name) => {
                crate::events::emit(self.root(), &spec, &name, "create", &[]);
                Ok(Created { id, name, weakened: spec.confine.weakened })
            }
            Err(e) => {
                self.undo_create(&store, &spec, &paths);
                Err(e)
            }
        }
    }

    /// Everything that a container is, in an order in which a crash leaves only what `gc` recognises:
    /// the directory first, `config.json` last.
    fn furnish(
        &self,
        request: &CreateRequest,
        store: &Store,
        image: &Image,
        spec: &mut Spec,
        paths: &ContainerPaths,
    ) -> Result<String, EngineError> {
        make_dir(&paths.dir, 0o700)?;
        let name = match &request.name {
            Some(name) => {
                names::reserve(self.root(), name, &spec.id)?;
                name.clone()
            }
            None => names::reserve_random(self.root(), &spec.id)?,
        };
        write_plain(&paths.name(), name.as_bytes())?;
        store.use_image(image, &spec.id)?;
        spec.lower = store.layer_dirs(image)?;
        if spec.host.mounts.iter().any(|m| m.kind == MountType::Volume) {
            // A volume may be filled from the image, before anything starts.
            store.verify_layers(&spec.lower, spec.confine.verify)?;
        }
        if resolve::wants_user_namespace(request) {
            spec.confine.id_range = Some(ranges::reserve(self.root(), &spec.id)?);
        }
        // The root directory of the container: its mode is what `/` has inside.
        make_dir(&paths.upper(), 0o755)?;
        make_dir(&paths.work(), 0o700)?;
        for file in [paths.hostname(), paths.hosts(), paths.resolv_conf()] {
            write_plain(&file, b"")?;
        }
        self.furnish_mounts(spec)?;
        record::write_spec(paths, spec)?;
        Ok(name)
    }

    fn furnish_mounts(&self, spec: &mut Spec) -> Result<(), EngineError> {
        let lower = spec.lower.clone();
        for mount in &mut spec.host.mounts {
            match mount.kind {
                MountType::Volume => {
                    if mount.source.is_empty() {
                        mount.source = id::new_id()?;
                        mount.anonymous = true;
                    }
                    let fresh = volume::ensure(self.root(), &mount.source, mount.anonymous)?;
                    if fresh && !mount.no_copy {
                        volume::fill(self.root(), &mount.source, &lower, &mount.target)?;
                    }
                }
                MountType::Bind => bind_source(&mount.source, mount.create_source)?,
                MountType::Tmpfs => {}
            }
        }
        Ok(())
    }

    fn undo_create(&self, store: &Store, spec: &Spec, paths: &ContainerPaths) {
        for mount in spec.host.mounts.iter().filter(|m| m.kind == MountType::Volume && m.anonymous) {
            let _ = volume::remove(self.root(), &mount.source);
        }
        if let Some(first) = spec.confine.id_range {
            ranges::release(self.root(), first, &spec.id);
        }
        let _ = store.release(&spec.id);
        if let Ok(name) = fs::read_to_string(paths.name()) {
            names::release(self.root(), &name, &spec.id);
        }
        let _ = fs::remove_dir_all(&paths.dir);
        let _ = fs::remove_dir_all(&paths.run);
    }

    /// Names of other containers become ids.
    fn with_ids(&self, request: &CreateRequest) -> Result<CreateRequest, EngineError> {
        let mut request = request.clone();
        if let Some(NetMode::Container(name)) = &mut request.network {
            *name = self.resolve(name)?;
        }
        for shared in [&mut request.pid, &mut request.ipc] {
            if let Shared::Container(name) = shared {
                *name = self.resolve(name)?;
            }
        }
        Ok(request)
    }
}

fn make_dir(path: &Path, mode: u32) -> Result<(), EngineError> {
    fs::DirBuilder::new().mode(mode).create(path).map_err(io_error("create directory", path))?;
    // The caller's umask must not decide what the container sees.
    if mode & 0o077 != 0 {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(io_error("set the mode of", path))?;
    }
    Ok(())
}

/// Files that the container reads: 0644 whatever the umask.
fn write_plain(path: &Path, bytes: &[u8]) -> Result<(), EngineError> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, bytes).map_err(io_error("write", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).map_err(io_error("set the mode of", path))
}

/// Docker makes the missing source of `-v`, and refuses that of `--mount`.
fn bind_source(source: &str, create: bool) -> Result<(), EngineError> {
    let path = Path::new(source);
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    if !create {
        return Err(EngineError::usage(format!(
            "the source `{source}` of a bind mount does not exist; create it first"
        )));
    }
    fs::create_dir_all(path).map_err(io_error("create directory", path))
}
