//! Reads images from an archive, in whichever form it is.

use std::io::Read;

use super::staged::StagedArchive;
use crate::error::{ImageError, Result};
use crate::store::{Image, Store};

impl Store {
    /// Loads all images of an archive: docker's form (of any version since 1.10) or an OCI image layout, plain or
    /// compressed. Gives them in the archive's order. Images and digests stay what they were: the id is the digest of
    /// the configuration's own bytes, and every layer must have the digest that the configuration tells.
    ///
    /// Errors: `Malformed` if it is no image archive, `DigestMismatch`, `Truncated`, `NoSpace`. Images before the one
    /// that failed have been loaded.
    pub fn load(&self, reader: impl Read + Send) -> Result<Vec<Image>> {
        let archive = StagedArchive::read(self, reader)?;
        if archive.has("index.json") && archive.has("oci-layout") {
            return super::oci::load(self, &archive);
        }
        if archive.has("manifest.json") {
            return super::docker::load(self, &archive);
        }
        if archive.has("repositories") {
            return Err(ImageError::Unsupported {
                what: "image archive".into(),
                reason: "it is of a docker older than 1.10; load it with docker and save it again".into(),
            });
        }
        let reason = "it has neither `manifest.json` nor `index.json`; a root file system is read by `import`";
        Err(ImageError::malformed("image archive", reason))
    }
}
