//! The blobs of a check.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;

use super::{Checked, Damage, Depth, Repair};
use crate::config::Descriptor;
use crate::digest::Digest;
use crate::error::Result;
use crate::layer::HashingWriter;
use crate::store::Store;
use crate::store::collect::digests_in;

impl Store {
    /// Sizes of all blobs that are as they should be, as far as `depth` looks.
    pub(super) fn check_blobs(&self, depth: Depth, checked: &mut Checked) -> Result<HashMap<Digest, u64>> {
        let dir = self.layout_dir().join("blobs/sha256");
        let mut good = HashMap::new();
        for digest in digests_in(&dir)? {
            checked.blobs += 1;
            let path = self.blob_path(&digest);
            let looked = match depth {
                Depth::Quick => fs::metadata(&path).map(|m| (digest, m.len())),
                Depth::Deep => File::open(&path).and_then(hash),
            };
            let why = match looked {
                Ok((actual, size)) if actual == digest => {
                    good.insert(digest, size);
                    continue;
                }
                Ok((actual, _)) => format!("its content has the digest {actual}"),
                // Another process may have removed it since it was listed.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => format!("it cannot be read: {e}"),
            };
            checked.damages.push(Damage {
                what: format!("blob {digest}"),
                why,
                advice: format!("remove `{}`, then pull, load or build its image again", path.display()),
                repair: Repair::RemoveBlob { blob: digest },
            });
        }
        self.strangers(&dir, "a blob", &mut checked.damages);
        Ok(good)
    }

    /// Whether a blob that was not listed is whole: it came since, or it was damaged all along. One that is made on
    /// demand is as good as the directory, which the check of layers looks at.
    pub(super) fn is_good_blob(&self, promised: &Descriptor) -> bool {
        if self.on_demand(&promised.digest).is_some_and(|meta| meta.blob.size == promised.size) {
            return true;
        }
        File::open(self.blob_path(&promised.digest))
            .and_then(hash)
            .is_ok_and(|found| found == (promised.digest, promised.size))
    }
}

fn hash(mut file: File) -> io::Result<(Digest, u64)> {
    let mut writer = HashingWriter::new(io::sink());
    io::copy(&mut file, &mut writer)?;
    let (_, digest, size) = writer.finish();
    Ok((digest, size))
}
