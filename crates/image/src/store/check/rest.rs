//! What else a check looks at: leases, the build cache, names that do not belong, leftovers of crashes.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Damage, Repair};
use crate::digest::Digest;
use crate::error::Result;
use crate::store::Store;
use crate::store::cache;
use crate::store::leases::LeaseFile;

/// How old a temporary file must be before it is a leftover and not another process's work.
const LEFTOVER_AGE: Duration = Duration::from_secs(600);

impl Store {
    pub(super) fn check_rest(&self, damages: &mut Vec<Damage>) -> Result<()> {
        self.check_leases(damages)?;
        for (subject, path, why) in self.damaged_referrers() {
            damages.push(Damage {
                what: format!("what is attached to {}", subject.short()),
                why,
                advice: "remove the list; build, pull or attach again".into(),
                repair: Repair::RemovePath { path },
            });
        }
        for path in self.cache_files()? {
            if !cache::is_whole(&path) && path.exists() {
                damages.push(Damage {
                    what: format!("build cache entry `{}`", path.display()),
                    why: "its content does not have the digest that it names: a crash cut it".into(),
                    advice: "remove it; the step runs again when it is needed".into(),
                    repair: Repair::RemovePath { path },
                });
            }
        }
        for dir in ["image", "image/blobs/sha256", "layers", "leases", "cache", "locks", "referrers"] {
            self.leftovers(&self.root().join(dir), damages);
        }
        Ok(())
    }

    /// A container's lease must name content that is there.
    fn check_leases(&self, damages: &mut Vec<Damage>) -> Result<()> {
        for (holder, path, file) in self.lease_entries()? {
            let what = format!("lease of {}", holder.get(..12).unwrap_or(&holder));
            let Some(file) = file else {
                damages.push(Damage {
                    what,
                    why: "it cannot be read: a crash cut it".into(),
                    advice: "remove it; the container keeps no image from being removed until it is started".into(),
                    repair: Repair::RemovePath { path },
                });
                continue;
            };
            let missing = self.missing_of(&file);
            if let Some(first) = missing.first().filter(|_| path.exists()) {
                damages.push(Damage {
                    what,
                    why: format!("{} of its image's blobs and layers are missing, the first is {first}", missing.len()),
                    advice: "pull, load or build the image again, and make the container anew".into(),
                    repair: Repair::Nothing,
                });
            }
        }
        Ok(())
    }

    /// Content of a lease that is neither there nor can be made again.
    fn missing_of(&self, file: &LeaseFile) -> Vec<Digest> {
        let (diff_ids, blobs) = file.content.split_at(file.content.len() / 2);
        let has_blob = |digest: &Digest| self.blob_size(digest).is_some();
        let mut missing: Vec<Digest> =
            [file.image, file.manifest].iter().chain(blobs).filter(|digest| !has_blob(digest)).copied().collect();
        let gone = |(diff_id, blob): &(&Digest, &Digest)| !self.is_unpacked(diff_id) && !has_blob(blob);
        missing.extend(diff_ids.iter().zip(blobs).filter(gone).map(|(diff_id, _)| *diff_id));
        missing
    }

    /// Names in a directory of digests that are none.
    pub(super) fn strangers(&self, dir: &Path, kind: &str, damages: &mut Vec<Damage>) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let temporary = name.starts_with(stockade_durable::TEMPORARY_PREFIX);
            if !temporary && format!("sha256:{name}").parse::<Digest>().is_err() {
                damages.push(Damage {
                    what: format!("`{}`", entry.path().display()),
                    why: format!("it is not named as {kind}"),
                    advice: "remove it if you did not put it there".into(),
                    repair: Repair::Nothing,
                });
            }
        }
    }

    /// Temporary files whose writer is long gone.
    fn leftovers(&self, dir: &Path, damages: &mut Vec<Damage>) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(changed) = entry.metadata().and_then(|m| m.modified()) else { continue };
            let age = SystemTime::now().duration_since(changed).unwrap_or_default();
            if name.starts_with(stockade_durable::TEMPORARY_PREFIX) && age >= LEFTOVER_AGE {
                damages.push(Damage {
                    what: format!("leftover `{}`", entry.path().display()),
                    why: "a process that wrote it was killed".into(),
                    advice: "remove it".into(),
                    repair: Repair::RemovePath { path: entry.path() },
                });
            }
        }
    }
}
