//! An image at a registry, read without storing it: its documents, and its layers as streams.

use std::io::Read;

use stockade_image::{Descriptor, Digest, ImageConfig, Reference};

use crate::blob::BlobReader;
use crate::client::Client;
use crate::error::{RegistryError, Result};
use crate::places::{Place, candidates};
use crate::progress::Progress;
use crate::pull::PullOptions;

/// An image as a registry has it. Nothing of it is on disk.
#[derive(Debug, Clone)]
pub struct RemoteImage {
    /// Digest of the document that the name leads to: of the index, where there is one.
    pub digest: Digest,
    /// Digest of the configuration: the image's id.
    pub id: Digest,
    /// The configuration, verified against [`Self::id`].
    pub config: ImageConfig,
    /// The compressed layers, lowest first; as many as the configuration has diff ids.
    pub layers: Vec<Descriptor>,
    /// The full name, where a short name was found in another registry than docker.io.
    pub found_as: Option<Reference>,
    places: Vec<Place>,
}

impl Client {
    /// Finds an image as [`Client::pull`] does, and reads its documents.
    ///
    /// Errors: as [`Client::pull`].
    pub fn remote_image(
        &self,
        reference: &Reference,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<RemoteImage> {
        let mut tried: Vec<(String, RegistryError)> = Vec::new();
        for candidate in candidates(reference, &self.transport.options)? {
            for at in 0..candidate.places.len() {
                let mut places = candidate.places.clone();
                places.rotate_left(at);
                let Some(place) = places.first() else { continue };
                match self.documents(place, reference, options, progress) {
                    Ok((digest, id, config, layers)) => {
                        let found_as = candidate.found_as.clone();
                        return Ok(RemoteImage { digest, id, config, layers, found_as, places });
                    }
                    Err(e) if e.is_of_place() => tried.push((place.name.clone(), e)),
                    Err(e) => return Err(e),
                }
            }
        }
        if tried.len() == 1
            && let Some((_, only)) = tried.pop()
        {
            return Err(only);
        }
        let tried = tried.into_iter().map(|(place, e)| (place, e.to_string())).collect();
        Err(RegistryError::Nowhere { name: reference.to_string(), tried })
    }

    /// The compressed bytes of a layer, from its beginning. Cut connections are continued. The digest is for the caller
    /// to verify. `None` if there is no such layer.
    pub fn layer_stream<'c>(
        &'c self,
        image: &'c RemoteImage,
        layer: usize,
        progress: &'c dyn Progress,
    ) -> Option<Box<dyn Read + Send + 'c>> {
        let promised = image.layers.get(layer)?;
        Some(Box::new(BlobReader::new(self, &image.places, promised.digest, promised.size, 0, progress)))
    }
}
