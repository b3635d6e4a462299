//! `commit`: a container's changes become a layer of a new image.

use stockade_image::{Image, LayerOptions, Reference};

use crate::error::{EngineError, io_error};
use crate::{Engine, clock, copy};

/// What `commit` records.
#[derive(Debug, Clone, Default)]
pub struct CommitRequest {
    /// Name of the image.
    pub name: Option<Reference>,
    /// `-a`
    pub author: Option<String>,
    /// `-m`
    pub message: Option<String>,
    /// Freeze the container meanwhile, if it runs.
    pub pause: bool,
}

impl Engine {
    /// Makes an image of a container's present files and its configuration.
    pub fn commit(&self, name: &str, request: &CommitRequest) -> Result<Image, EngineError> {
        let record = self.find(name)?;
        let store = self.store()?;
        let base = record
            .spec
            .image
            .parse()
            .ok()
            .and_then(|id| store.get(&id).ok().flatten())
            .ok_or_else(|| EngineError::NoSuchImage { name: record.spec.image_name.clone() })?;
        let staging = store.staging_dir()?;
        let dir = staging.path().join("fs");
        std::fs::create_dir(&dir).map_err(io_error("create directory", &dir))?;
        let frozen = request.pause && record.state.status == crate::Status::Running && self.pause(name).is_ok();
        let copied = copy::layer(&self.container(&record.spec.id).upper(), &dir);
        if frozen {
            self.unpause(name)?;
        }
        copied?;
        let layer = store.layer_from_dir(&dir, &LayerOptions::default())?;
        let mut layers = store.layers(&base)?;
        let mut config = base.config.clone();
        let spec = &record.spec;
        config.created = Some(clock::now());
        config.author.clone_from(&request.author);
        config.config.env.clone_from(&spec.env);
        config.config.labels.clone_from(&spec.labels);
        config.config.user.clone_from(&spec.user);
        config.config.working_dir.clone_from(&spec.cwd);
        config.config.entrypoint = Some(spec.entrypoint.clone()).filter(|e| !e.is_empty());
        config.config.cmd = Some(spec.command.clone()).filter(|c| !c.is_empty());
        config.rootfs.diff_ids.push(layer.diff_id);
        config.history.push(stockade_image::History {
            created: config.created.clone(),
            created_by: Some(spec.args().join(" ")),
            comment: request.message.clone(),
            author: request.author.clone(),
            ..stockade_image::History::default()
        });
        layers.push(layer);
        let names: Vec<Reference> = request.name.iter().cloned().collect();
        let image = store.commit(config, &layers, &names, &std::collections::BTreeMap::new())?;
        self.emit(&record, "commit", &[("imageID", image.id.to_string())]);
        Ok(image)
    }

    /// Bytes of a container's own files.
    pub fn own_bytes(&self, id: &str) -> u64 {
        crate::disk_bytes(&self.container(id).upper())
    }
}
