//! Where base images come from: an alias, the local store, a registry, or the distribution's signed archive.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use stockade_base::{BaseName, BaseRequest, ConfigureRunner, MirrorChoice, Phase, Progress};
use stockade_engine::{NetMode, StepRequest, StepStream};
use stockade_image::config::ContainerConfig;
use stockade_image::{Digest, History, Image, ImageConfig, Layer, LayerOptions, Reference, RootFs, Store};

use crate::builder::Build;
use crate::error::BuildError;
use crate::events::StepId;
use crate::registry;
use crate::request::Pull;
use crate::scope::machine;

/// A base image, ready to stand on.
#[derive(Debug, Clone)]
pub(crate) struct BaseImage {
    /// Lowest first.
    pub(crate) layers: Vec<Layer>,
    /// Unpacked, lowest first.
    pub(crate) dirs: Vec<PathBuf>,
    pub(crate) config: ImageConfig,
    /// Digest of the manifest.
    pub(crate) manifest: Digest,
}

/// No way led to the image.
#[derive(Debug, thiserror::Error)]
pub struct NoBase {
    /// As the Dockerfile writes it.
    pub name: String,
    /// `FILE:LINE:COL` of the `FROM`, when it is known.
    pub place: String,
    /// What was tried, and what came of it, in order.
    pub tried: Vec<(String, String)>,
}

impl std::fmt::Display for NoBase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        write!(f, "the base image `{}` cannot be had; tried ", self.name)?;
        for (index, (what, why)) in self.tried.iter().enumerate() {
            let lead = if index == 0 { "" } else { "; " };
            write!(f, "{lead}{what}: {why}")?;
        }
        Ok(())
    }
}

impl NoBase {
    /// What a person can do, one way a line.
    pub fn ways_out(&self) -> Vec<String> {
        let key = self.name.split([':', '@']).next().unwrap_or(&self.name);
        let instead = if key == "debian" { "my-base:1" } else { "debian:bookworm" };
        vec![
            format!("a registry that has `{}`, reachable from this machine ([[registry]] in stockade.toml)", self.name),
            format!("a file: `stockade load < IMAGE.tar`, or `stockade image import ROOTFS.tar {}`", self.name),
            format!(
                "another base under this name, in stockade.toml beside the Dockerfile: `[base]` with `{key} = \"{instead}\"`"
            ),
        ]
    }
}

/// Aliases may point to aliases, but not for ever.
const MAX_ALIASES: usize = 8;

/// Finds or makes the image. The flag says that it was made now.
pub(crate) fn resolve(build: &Build<'_>, name: &str, step: StepId) -> Result<(BaseImage, bool), BuildError> {
    let mut tried = Vec::new();
    let real = alias(build, name, &mut tried);
    let base = BaseName::parse(&real);
    if build.request.pull != Pull::Always {
        let canonical = base.as_ref().ok().and_then(Option::as_ref).map(BaseName::canonical);
        if let Some(image) = find(build.store, &real, canonical.as_deref())? {
            return Ok((ready(build.store, &image)?, false));
        }
        tried.push(("the local store".to_owned(), format!("it has no `{real}`")));
    }
    if build.request.pull == Pull::Never {
        tried.push(("nothing else".to_owned(), "pulling is off (`--pull=never`)".to_owned()));
        return Err(no_base(name, tried));
    }
    // A distribution's image is made from its signed archive, unless the settings name a registry for it.
    let registry_first = !matches!(base, Ok(Some(_))) || registry::is_configured(build.settings, &real);
    if registry_first && let Some(pulled) = pull(build, &real, step, &mut tried)? {
        return Ok((pulled, true));
    }
    let base = match base {
        Ok(Some(base)) => base,
        Ok(None) => {
            let why = "only `debian`, `ubuntu`, `stockade/static`, `stockade/base` and `stockade/debug` images can be made from one";
            tried.push(("a distribution's archive".to_owned(), why.to_owned()));
            return Err(no_base(name, tried));
        }
        Err(e) => {
            tried.push(("a distribution's archive".to_owned(), chain(&e)));
            return Err(no_base(name, tried));
        }
    };
    let failed = match make(build, &real, &base, step) {
        Ok(made) => return Ok((made, true)),
        Err(BuildError::Base(e)) => e,
        Err(e) => return Err(e),
    };
    tried.extend(failed.tried.clone());
    if !registry_first && let Some(pulled) = pull(build, &real, step, &mut tried)? {
        let why = failed.tried.iter().map(|(what, why)| format!("{what}: {why}")).collect::<Vec<_>>().join("; ");
        build
            .events
            .warning(&format!("warning: `{real}` was pulled from a registry, because it could not be made ({why})"));
        return Ok((pulled, true));
    }
    Err(no_base(name, tried))
}

fn pull(
    build: &Build<'_>,
    name: &str,
    step: StepId,
    tried: &mut Vec<(String, String)>,
) -> Result<Option<BaseImage>, BuildError> {
    match registry::pull(build, name, step)? {
        Ok(image) => ready(build.store, &image).map(Some),
        Err(places) => {
            tried.extend(places);
            Ok(None)
        }
    }
}

fn no_base(name: &str, tried: Vec<(String, String)>) -> BuildError {
    BuildError::Base(Box::new(NoBase { name: name.to_owned(), place: String::new(), tried }))
}

/// Follows `[base]` aliases. `ubuntu` and `ubuntu:latest` are the same key.
fn alias(build: &Build<'_>, name: &str, tried: &mut Vec<(String, String)>) -> String {
    let mut current = name.to_owned();
    for _ in 0..MAX_ALIASES {
        let plain = current.strip_suffix(":latest").unwrap_or(&current).to_owned();
        let aliases = &build.settings.base;
        let Some(target) = aliases.get(&current).or_else(|| aliases.get(&plain)).filter(|t| **t != current) else {
            break;
        };
        tried.push((format!("the alias `{current}` of [base]"), format!("it means `{target}`")));
        current = target.clone();
    }
    current
}

fn find(store: &Store, name: &str, canonical: Option<&str>) -> Result<Option<Image>, BuildError> {
    match store.resolve(name) {
        Ok(Some(image)) => return Ok(Some(image)),
        Ok(None) => {}
        Err(stockade_image::ImageError::InvalidReference { text, reason }) => {
            return Err(BuildError::Usage(format!("`{text}` is not an image name: {reason}")));
        }
        Err(e) => return Err(e.into()),
    }
    match canonical {
        Some(canonical) => Ok(store.resolve(canonical)?),
        None => Ok(None),
    }
}

fn ready(store: &Store, image: &Image) -> Result<BaseImage, BuildError> {
    let mut dirs = store.layer_dirs(image)?;
    dirs.reverse();
    Ok(BaseImage { layers: store.layers(image)?, dirs, config: image.config.clone(), manifest: image.manifest_digest })
}

/// Makes the image from the archive, or waits for another process that does.
fn make(build: &Build<'_>, name: &str, base: &BaseName, step: StepId) -> Result<BaseImage, BuildError> {
    let canonical = base.canonical();
    let locks = build.store.root().join("build/locks");
    stockade_durable::create_private_dir(&locks)?;
    let file = locks.join(format!("base-{}", Digest::of(canonical.as_bytes()).short()));
    let waiting = stockade_durable::Lock::try_exclusive(&file)?;
    let _lock = match waiting {
        Some(lock) => lock,
        None => {
            build.events.status(step, "waiting for another build that makes this base");
            let lock = build.wait_exclusive(&file)?;
            if let Some(image) = find(build.store, name, Some(&canonical))? {
                return ready(build.store, &image);
            }
            lock
        }
    };
    let staging = build.store.staging_dir()?;
    let root = staging.path().join("root");
    fs::create_dir(&root).map_err(BuildError::io("create directory", &root))?;
    let mode = rustix::fs::Mode::from_raw_mode(0o755);
    rustix::fs::chmod(&root, mode).map_err(BuildError::io("set the mode of", &root))?;

    let mirror = &build.settings.mirror;
    let mut request = BaseRequest::new(base.clone(), build.store.root().join("build/archive"), root.clone());
    request.keyring = mirror.keyring.clone();
    request.mirror = MirrorChoice {
        flag: build.request.mirror.clone(),
        config_debian: mirror.debian.clone(),
        config_debian_security: mirror.debian_security.clone(),
        config_ubuntu: mirror.ubuntu.clone(),
    };
    let mut runner = Runner { build, step };
    let mut progress = Shown { build, step, phase: Phase::Index, done: 0, total: None, shown: u64::MAX };
    let result = stockade_base::bootstrap(&request, &mut runner, &mut progress).map_err(|e| {
        if build.cancel.is_thrown() {
            return BuildError::Cancelled;
        }
        no_base(name, vec![(format!("the archive of {}", base.distro), chain(&e))])
    })?;
    for warning in &result.warnings {
        build.events.warning(&format!("warning: {canonical}: {warning}"));
    }
    build.cancel.check()?;
    let layer = build
        .store
        .layer_from_dir(&root, &LayerOptions { clamp_mtime: Some(result.release_date), ..LayerOptions::default() })?;
    let config = config(&result, &layer, &canonical);
    let mut names = vec![canonical.as_str(), name].into_iter().map(Reference::parse).collect::<Result<Vec<_>, _>>()?;
    names = names.into_iter().map(Reference::or_latest).collect();
    names.dedup();
    let image = build.store.commit(config, &[layer], &names, &std::collections::BTreeMap::new())?;
    ready(build.store, &image)
}

fn config(result: &stockade_base::BaseResult, layer: &Layer, canonical: &str) -> ImageConfig {
    let created = jiff::Timestamp::from_second(result.release_date).map(|t| t.to_string()).ok();
    let (architecture, variant) = machine();
    ImageConfig {
        created: created.clone(),
        architecture: architecture.to_owned(),
        variant: (!variant.is_empty()).then(|| variant.to_owned()),
        os: "linux".to_owned(),
        config: ContainerConfig {
            env: result.env.clone(),
            cmd: (!result.cmd.is_empty()).then(|| result.cmd.clone()),
            labels: result.labels.clone(),
            user: result.user.clone(),
            working_dir: result.working_dir.clone(),
            ..ContainerConfig::default()
        },
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![layer.diff_id] },
        history: vec![History {
            created,
            created_by: Some(format!("{canonical}: {} packages of the signed archive", result.packages)),
            comment: Some("stockade base".to_owned()),
            ..History::default()
        }],
        ..ImageConfig::default()
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

/// Runs maintainer scripts as build steps without network.
struct Runner<'r> {
    build: &'r Build<'r>,
    step: StepId,
}

impl ConfigureRunner for Runner<'_> {
    fn run(&mut self, root: &Path, args: &[String], env: &[String]) -> Result<i32, Box<dyn Error + Send + Sync>> {
        let request = StepRequest {
            upper: root.to_owned(),
            args: args.to_vec(),
            env: env.to_vec(),
            cwd: "/".to_owned(),
            network: NetMode::None,
            level: self.build.request.level,
            cancel: Some(self.build.cancel.for_step()),
            ..StepRequest::default()
        };
        let mut out = |stream: StepStream, bytes: &[u8]| self.build.events.output(self.step, stream, bytes);
        Ok(self.build.executor.run(&request, &mut out)?)
    }
}

/// Bootstrap progress as lines of the step.
struct Shown<'s> {
    build: &'s Build<'s>,
    step: StepId,
    phase: Phase,
    done: u64,
    total: Option<u64>,
    /// What was last shown, so that not every block becomes an event.
    shown: u64,
}

impl Shown<'_> {
    fn show(&mut self) {
        let text = match (self.phase, self.total) {
            (Phase::Download, Some(total)) => {
                format!("{} {:.1}/{:.1} MB", self.phase.describe(), megabytes(self.done), megabytes(total))
            }
            (phase, Some(total)) => format!("{} {}/{total}", phase.describe(), self.done),
            (phase, None) => phase.describe().to_owned(),
        };
        self.build.events.status(self.step, &text);
    }
}

#[allow(clippy::cast_precision_loss)] // shown with one decimal
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

impl Progress for Shown<'_> {
    fn phase(&mut self, phase: Phase, total: Option<u64>) {
        (self.phase, self.total, self.done, self.shown) = (phase, total, 0, 0);
        self.show();
    }

    fn advance(&mut self, amount: u64) {
        self.done += amount;
        let grain = self.total.map_or(1, |t| (t / 50).max(1));
        if self.done / grain != self.shown {
            self.shown = self.done / grain;
            self.show();
        }
    }

    fn note(&mut self, text: &str) {
        self.build.events.output(self.step, StepStream::Stderr, format!("{text}\n").as_bytes());
    }
}
