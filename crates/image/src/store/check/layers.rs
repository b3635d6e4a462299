//! The unpacked layers of a check.

use std::fs::File;
use std::os::fd::AsFd;

use super::{Checked, Damage, Depth, Repair};
use crate::digest::Digest;
use crate::error::{ImageError, Result};
use crate::layer::{Ingested, Keep, differences, ingest};
use crate::store::Store;
use crate::store::collect::digests_in;
use crate::store::layers::{Meta, check_digests};
use crate::store::session::Staging;

impl Store {
    pub(super) fn check_layers(&self, depth: Depth, checked: &mut Checked) -> Result<()> {
        let dir = self.root().join("layers");
        for diff_id in digests_in(&dir)? {
            checked.layers += 1;
            let path = self.layer_path(&diff_id);
            let why = match self.meta(&diff_id) {
                Ok(Some(meta)) if meta.diff_id != diff_id => "its facts belong to another layer".to_owned(),
                Ok(Some(meta)) if path.join("fs").is_dir() => match depth {
                    Depth::Quick => continue,
                    Depth::Deep => match self.compare_layer(&meta)? {
                        None => continue,
                        Some(why) => why,
                    },
                },
                Ok(Some(_)) => "its directory is missing".to_owned(),
                Ok(None) => "its facts (meta.json) are missing".to_owned(),
                Err(e) => e.to_string(),
            };
            if !path.exists() {
                // Another process removed it meanwhile.
                continue;
            }
            checked.damages.push(Damage {
                what: format!("unpacked layer {diff_id}"),
                why,
                advice: match self.on_demand(&diff_id).filter(|m| self.stored_blob_size(&m.blob.digest).is_none()) {
                    Some(_) => "nothing else has its content: build, pull or load its image again".to_owned(),
                    None => format!("remove `{}`; it is unpacked again when it is needed", path.display()),
                },
                repair: Repair::UnpackAgain { layer: diff_id },
            });
        }
        self.strangers(&dir, "a layer", &mut checked.damages);
        Ok(())
    }

    /// Unpacks the layer's blob once more and tells how the directory differs from that. A blob that is missing or
    /// damaged says nothing about the directory: the check of blobs and images tells of it.
    pub(in crate::store) fn compare_layer(&self, meta: &Meta) -> Result<Option<String>> {
        if meta.blob_on_demand && self.stored_blob_size(&meta.blob.digest).is_none() {
            return Ok(match self.pack_again(meta, std::io::sink()) {
                Ok(()) => None,
                Err(ImageError::DigestMismatch { actual, .. }) => Some(format!("its content has the digest {actual}")),
                Err(e) => Some(e.to_string()),
            });
        }
        let Ok(Some((staging, _))) = self.unpack_aside(meta) else { return Ok(None) };
        self.compare_with(meta, &staging)
    }

    /// How the layer's directory differs from its blob, which was unpacked to `staging`.
    pub(in crate::store) fn compare_with(&self, meta: &Meta, staging: &Staging) -> Result<Option<String>> {
        let wanted = staging.path().join("fs");
        let found = self.layer_path(&meta.diff_id).join("fs");
        let open = |path: &std::path::Path| File::open(path).map_err(ImageError::on("open", path));
        let Ok(found) = open(&found) else { return Ok(None) };
        let any_owner = !rustix::process::geteuid().is_root() || stockade_durable::single_id();
        match differences(open(&wanted)?.as_fd(), found.as_fd(), any_owner) {
            Ok(told) if told.is_empty() => Ok(None),
            Ok(told) => Ok(Some(told.join(", "))),
            Err(e) => Ok(Some(e.to_string())),
        }
    }

    /// A layer's blob, unpacked to a private directory. `None` if the blob is not there, an error if it is damaged.
    pub(in crate::store) fn unpack_aside(&self, meta: &Meta) -> Result<Option<(Staging, Ingested)>> {
        let blob = match self.open_stored_blob(&meta.blob.digest) {
            Err(ImageError::MissingBlob { .. }) => return Ok(None),
            other => other?,
        };
        let staging = Staging::new(self.session()?)?;
        let root = self.make_layer_root(&staging)?;
        let found = ingest(blob, Keep::Nothing, root.as_fd(), &self.unpack_options())?;
        check_digests(&found, &meta.blob.digest, &meta.diff_id)?;
        Ok(Some((staging, found)))
    }

    /// Whether the layer's directory is there.
    pub(super) fn is_unpacked(&self, diff_id: &Digest) -> bool {
        self.layer_path(diff_id).join("fs").is_dir()
    }
}
