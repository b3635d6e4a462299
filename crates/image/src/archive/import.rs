//! Makes an image of a root file system tar.

use std::collections::BTreeMap;
use std::io::Read;

use super::apply_change;
use crate::config::{ContainerConfig, History, ImageConfig};
use crate::error::Result;
use crate::reference::Reference;
use crate::store::{Image, Store, host_architecture};

impl Store {
    /// Makes an image of one layer from a root file system tar, plain or compressed. `changes` are Dockerfile
    /// instructions that set what a container runs (see [`apply_change`]).
    ///
    /// Errors: `BadChange` before anything is read; those of [`Store::layer_from_tar`].
    pub fn import(
        &self,
        reader: impl Read + Send,
        changes: &[String],
        message: Option<&str>,
        name: Option<&Reference>,
    ) -> Result<Image> {
        let mut container = ContainerConfig::default();
        for change in changes {
            apply_change(&mut container, change)?;
        }
        let layer = self.layer_from_tar(reader)?;
        let created = Some(jiff::Timestamp::now().to_string());
        let config = ImageConfig {
            created: created.clone(),
            architecture: host_architecture().to_owned(),
            os: "linux".to_owned(),
            config: container,
            history: vec![History {
                created,
                comment: Some(message.unwrap_or("Imported from a root file system").to_owned()),
                ..History::default()
            }],
            ..ImageConfig::default()
        };
        let names: Vec<Reference> = name.cloned().map(Reference::or_latest).into_iter().collect();
        self.commit(config, &[layer], &names, &BTreeMap::new())
    }
}
