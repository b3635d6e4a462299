//! An image at a registry: its layers go through the analysers while they come, and nothing of it is stored.

use std::io::{self, Read};

use stockade_image::{Digest, LayerReader, Reference};
use stockade_inventory::{LayerSource, Options, read_layers};
use stockade_registry::{BlobState, PullOptions};

use super::layers;
use super::list::{Listing, merged, of_image, target};
use super::target::Remote;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

/// Says what a person should know, and shows no bars: a scan's output is its report.
struct Quiet;

impl stockade_registry::Progress for Quiet {
    fn blob(&self, digest: &Digest, state: BlobState) {
        if let BlobState::Retrying(why) = state {
            output::warn(&output::printable(&format!("blob {}: {why}", digest.short())));
        }
    }

    fn note(&self, text: &str) {
        output::warn(&output::printable(text));
    }
}

/// Lists what is in an image at a registry. Layers that an earlier scan has read are not transferred.
pub fn list(context: &Context, remote: &Remote, options: &Options) -> Result<Listing, Failure> {
    let reference = Reference::parse(&remote.name)?;
    let client = remote.registry.client(context);
    let image = client.remote_image(&reference, &PullOptions { platform: remote.platform.clone() }, &Quiet)?;
    let sources: Vec<LayerSource<'_>> = image
        .config
        .rootfs
        .diff_ids
        .iter()
        .enumerate()
        .map(|(index, diff_id)| {
            let (client, image) = (&client, &image);
            LayerSource {
                diff_id: diff_id.to_string(),
                open: Box::new(move || {
                    let stream = client
                        .layer_stream(image, index, &Quiet)
                        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the manifest names no such layer"))?;
                    Ok(Box::new(LayerReader::new(stream).map_err(io::Error::other)?) as Box<dyn Read + Send>)
                }),
                dir: None,
            }
        })
        .collect();
    let cache = layers::Cache::new(context);
    let inventory = merged(&read_layers(&sources, Some(&cache), options)?, &image.config, options);
    let shown = image.found_as.as_ref().map_or_else(|| remote.name.clone(), ToString::to_string);
    Ok(of_image(inventory, &image.config, target(&shown, "registry", Some(image.id.to_string())), options))
}
