//! The registry step of finding a base image.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use stockade_config::Settings;
use stockade_image::{Digest, Image, Reference};
use stockade_registry::{BlobState, Progress, RegistryError, resolve_and_pull};

use crate::builder::Build;
use crate::error::BuildError;
use crate::events::StepId;

/// Whether the settings name a registry that this name may come from.
pub(crate) fn is_configured(settings: &Settings, name: &str) -> bool {
    let Ok(reference) = name.parse::<Reference>() else { return false };
    let short = reference.registry.is_none();
    settings.registries.iter().any(|r| (r.search && short) || r.host.eq_ignore_ascii_case(reference.domain()))
}

/// Pulls the image. The inner error is what was tried, and what came of it.
///
/// Errors: `Usage` if the name is none, `Cancelled`, and what is wrong on this machine.
pub(crate) fn pull(
    build: &Build<'_>,
    name: &str,
    step: StepId,
) -> Result<Result<Image, Vec<(String, String)>>, BuildError> {
    let reference = name
        .parse::<Reference>()
        .map_err(|e| BuildError::Usage(format!("the base image `{name}` cannot be used: {e}")))?;
    let domain = reference.domain().to_owned();
    build.events.status(step, &format!("asking {domain} for {}", reference.clone().or_latest()));
    let shown = Shown::new(build, step);
    match resolve_and_pull(&reference, build.settings, build.store, &shown) {
        Ok(pulled) => {
            build.events.status(step, &format!("pulled from {}, digest {}", pulled.host, pulled.digest));
            Ok(Ok(pulled.image))
        }
        Err(RegistryError::Cancelled) => Err(BuildError::Cancelled),
        Err(RegistryError::Store(e)) => Err(e.into()),
        Err(RegistryError::Durable(e)) => Err(e.into()),
        Err(RegistryError::Nowhere { tried, .. }) => {
            Ok(Err(tried.into_iter().map(|(host, why)| (format!("the registry {host}"), why)).collect()))
        }
        Err(e) => Ok(Err(vec![(format!("the registry {domain}"), e.to_string())])),
    }
}

/// A transfer as lines of the step.
pub(crate) struct Shown<'s> {
    build: &'s Build<'s>,
    step: StepId,
    /// Bytes done and promised, by blob.
    blobs: Mutex<HashMap<Digest, (u64, u64)>>,
}

impl<'s> Shown<'s> {
    pub(crate) fn new(build: &'s Build<'s>, step: StepId) -> Shown<'s> {
        Shown { build, step, blobs: Mutex::default() }
    }
}

impl Progress for Shown<'_> {
    fn blob(&self, digest: &Digest, state: BlobState) {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let before = blobs.get(digest).copied();
        match (state, before) {
            (BlobState::Queued(size), _) => drop(blobs.insert(*digest, (0, size))),
            (BlobState::Transfer(done, size), Some(_)) => drop(blobs.insert(*digest, (done, size))),
            (BlobState::Exists | BlobState::Done, Some((_, size))) => drop(blobs.insert(*digest, (size, size))),
            (BlobState::Retrying(why), _) => {
                let text = format!("{}: trying again: {why}\n", digest.short());
                return self.build.events.output(self.step, stockade_engine::StepStream::Stderr, text.as_bytes());
            }
            _ => return,
        }
        let (done, size) = blobs.values().fold((0, 0), |(done, size), blob| (done + blob.0, size + blob.1));
        // One event for each hundredth.
        let grain = (size / 100).max(1);
        let was = done.saturating_sub(blobs.get(digest).map_or(0, |b| b.0)) + before.map_or(0, |b| b.0);
        if was / grain != done / grain {
            self.build.events.status(self.step, &format!("pulling {}/{} MB", done / 1_000_000, size / 1_000_000));
        }
    }

    fn note(&self, text: &str) {
        self.build.events.warning(&format!("warning: {text}"));
    }

    fn cancelled(&self) -> bool {
        self.build.cancel.is_thrown()
    }
}
