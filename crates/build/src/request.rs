//! What a caller asks for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use stockade_engine::{Cancel, Level, NetMode};
use stockade_image::{Image, Reference};

use crate::error::BuildError;
use crate::output::Output;

/// One build.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// Where `COPY` and `ADD` take files from.
    pub context: BuildContext,
    /// The Dockerfile.
    pub dockerfile: DockerfileSource,
    /// Names of the result.
    pub tags: Vec<Reference>,
    /// `--build-arg`, in order.
    pub build_args: BTreeMap<String, String>,
    /// Name or number of the stage to build; `None`: the last.
    pub target: Option<String>,
    /// Run every step, and write the cache anew.
    pub no_cache: bool,
    /// Labels of the result, over those of the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// Network of steps that do not say.
    pub network: NetMode,
    /// Confinement of steps.
    pub level: Level,
    /// Whether base images are fetched anew.
    pub pull: Pull,
    /// `--secret`, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// `--add-host`: (name, address).
    pub extra_hosts: Vec<(String, String)>,
    /// `--ssh`: sockets of agents, by id.
    pub ssh: BTreeMap<String, PathBuf>,
    /// `--build-context`, by name.
    pub build_contexts: BTreeMap<String, NamedContext>,
    /// `--platform`, as written; only this machine's is accepted.
    pub platform: Option<String>,
    /// `--mirror`: the archive that base images are made from, before all that settings and the host say.
    pub mirror: Option<String>,
    /// What becomes of the result; nothing listed means an image.
    pub outputs: Vec<Output>,
    /// `--annotation`: annotations of the image's manifest.
    pub annotations: BTreeMap<String, String>,
    /// `--no-cache-filter`: stages whose steps all run.
    pub no_cache_stages: Vec<String>,
    /// Where results of steps may be taken from, besides the store.
    pub cache_from: Vec<CacheFrom>,
    /// Where results of steps are written to, besides the store.
    pub cache_to: Vec<CacheTo>,
    /// What is attached to the image.
    pub attest: Attest,
    /// Proxy variables (`http_proxy` …) of the caller, given to steps but not to the image or the cache.
    pub proxies: BTreeMap<String, String>,
    /// Clamps times to this many seconds since 1970; the build argument `SOURCE_DATE_EPOCH` wins.
    pub source_date_epoch: Option<i64>,
    /// Ends the build early.
    pub cancel: Option<CancelToken>,
}

impl BuildRequest {
    /// A build of a directory with its own `Dockerfile`, everything else at its default.
    pub fn new(context: PathBuf) -> BuildRequest {
        BuildRequest {
            context: BuildContext::Dir(context),
            dockerfile: DockerfileSource::Default,
            tags: Vec::new(),
            build_args: BTreeMap::new(),
            target: None,
            no_cache: false,
            labels: BTreeMap::new(),
            network: NetMode::Bridge,
            level: Level::Standard,
            pull: Pull::Missing,
            secrets: BTreeMap::new(),
            extra_hosts: Vec::new(),
            ssh: BTreeMap::new(),
            build_contexts: BTreeMap::new(),
            platform: None,
            mirror: None,
            outputs: Vec::new(),
            annotations: BTreeMap::new(),
            no_cache_stages: Vec::new(),
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            attest: Attest::default(),
            proxies: BTreeMap::new(),
            source_date_epoch: None,
            cancel: None,
        }
    }
}

impl BuildRequest {
    /// Whether an image in the store is asked for.
    pub fn wants_image(&self) -> bool {
        self.outputs.is_empty() || self.outputs.contains(&Output::Image)
    }
}

/// What a name of `--build-context` stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// A directory.
    Dir(PathBuf),
    /// A Git repository, as the main context names one.
    Git(String),
    /// An image; `FROM` takes the name, too.
    Image(String),
}

/// Where results of steps come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheFrom {
    /// A directory that [`CacheTo::Local`] wrote.
    Local(PathBuf),
    /// What [`CacheTo::Registry`] pushed, or an image that was built with [`CacheTo::Inline`].
    Registry(Reference),
}

/// Where results of steps go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheTo {
    /// An OCI image layout in this directory.
    Local {
        /// Where.
        dir: PathBuf,
        /// How much.
        mode: CacheMode,
    },
    /// A manifest at a registry.
    Registry {
        /// Where.
        reference: Reference,
        /// How much.
        mode: CacheMode,
    },
    /// In the image's own manifest: its layers are the cache.
    Inline,
}

/// How much is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// The layers of the result.
    #[default]
    Min,
    /// The layers of all stages.
    Max,
}

/// What is attached to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attest {
    /// A list of what is in it (CycloneDX and SPDX).
    pub sbom: bool,
    /// How it was built (SLSA).
    pub provenance: Provenance,
}

impl Default for Attest {
    fn default() -> Attest {
        Attest { sbom: true, provenance: Provenance::Min }
    }
}

/// How much the statement about a build tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Provenance {
    /// No statement.
    Off,
    /// The Dockerfile's and the base images' digests, and the parameters; not the values of build arguments.
    #[default]
    Min,
    /// Also the values of build arguments, and the Dockerfile itself.
    Max,
}

/// Where files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildContext {
    /// A directory.
    Dir(PathBuf),
    /// A tar file, plain or compressed; it is unpacked for the time of the build.
    Tar {
        /// The file.
        file: PathBuf,
        /// Where it came from, for messages.
        name: String,
    },
    /// A Git repository: `URL#REF:DIRECTORY`. The secret `GIT_AUTH_TOKEN` opens private ones.
    Git(String),
    /// No files (`docker build - < Dockerfile`).
    Empty,
}

/// Which Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileSource {
    /// `Dockerfile` in the context.
    Default,
    /// This path: tried as it stands, then within the context.
    Path(PathBuf),
    /// These bytes (from standard input), with a name for messages.
    Bytes(Vec<u8>),
}

/// `--pull`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pull {
    /// Only what the store lacks.
    #[default]
    Missing,
    /// Always ask for a newer one.
    Always,
    /// Never fetch or make anything.
    Never,
}

/// A secret's value. It is not printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Where the value is.
    pub source: SecretSource,
}

/// Where a secret's value is.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file, read when a step needs it.
    File(PathBuf),
    /// The value itself.
    Value(Vec<u8>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.source {
            SecretSource::File(path) => write!(f, "Secret(file {})", path.display()),
            SecretSource::Value(_) => f.write_str("Secret(value)"),
        }
    }
}

/// A switch that ends a build from another thread.
#[derive(Debug, Clone)]
pub struct CancelToken {
    thrown: Arc<AtomicBool>,
    step: Arc<Cancel>,
}

impl CancelToken {
    /// A switch not yet thrown.
    pub fn new() -> Result<CancelToken, BuildError> {
        Ok(CancelToken { thrown: Arc::default(), step: Cancel::new()? })
    }

    /// Throws it: running steps are killed, no other begins.
    pub fn cancel(&self) {
        self.thrown.store(true, Ordering::SeqCst);
        self.step.cancel();
    }

    pub(crate) fn is_thrown(&self) -> bool {
        self.thrown.load(Ordering::SeqCst)
    }

    pub(crate) fn for_step(&self) -> Arc<Cancel> {
        Arc::clone(&self.step)
    }

    pub(crate) fn check(&self) -> Result<(), BuildError> {
        if self.is_thrown() { Err(BuildError::Cancelled) } else { Ok(()) }
    }
}

/// A finished build.
#[derive(Debug, Clone)]
pub struct BuildOutcome {
    /// The image, for outputs that make one.
    pub image: Option<Image>,
    /// Names it was given, in familiar form.
    pub tags: Vec<String>,
    /// SLSA's provenance predicate of the image, unless it was not wanted.
    pub provenance: Option<serde_json::Value>,
    /// Steps taken from the cache.
    pub cached_steps: usize,
    /// Steps that ran.
    pub executed_steps: usize,
}
