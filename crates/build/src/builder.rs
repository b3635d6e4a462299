//! The whole of a build, from the request to the image.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stockade_config::Settings;
use stockade_durable::{Lock, create_private_dir};
use stockade_engine::StepStream;
use stockade_image::{Digest, Image, ImageConfig, Store};
use stockade_inventory::LayerCache;

use crate::attest::Material;
use crate::base::BaseImage;
use crate::cache::Key;
use crate::cacheio::{self, Source, Used};
use crate::context::{Context, Recipe};
use crate::error::BuildError;
use crate::events::{BuildEvents, Finish, StepId};
use crate::executor::Executor;
use crate::git::{Access, Session};
use crate::history::is_pending;
use crate::output::Output;
use crate::plan::{Plan, PlanInput, is_own_platform, plan};
use crate::reproduce::{self, Reproduction};
use crate::request::{BuildOutcome, BuildRequest, CancelToken, NamedContext, SecretSource};
use crate::scope::{PROXY_ARGS, machine_platform};
use crate::solve::Slots;
use crate::stage;
use crate::state::State;
use crate::walk::lock;

/// Builds images.
pub struct Builder<'b> {
    store: &'b Store,
    executor: &'b dyn Executor,
    settings: &'b Settings,
    inventory: Option<&'b dyn LayerCache>,
    reduce: Option<&'b Reduce<'b>>,
}

/// Makes the image that a build gives of the one that its instructions make, under the same names. What it has to say
/// goes to the function that it is given; its error is words for a person.
pub type Reduce<'b> = dyn Fn(&Image, &mut dyn FnMut(StepStream, &[u8])) -> Result<Image, String> + Sync + 'b;

/// One build while it runs; shared by the threads of its stages.
pub(crate) struct Build<'b> {
    pub(crate) store: &'b Store,
    pub(crate) executor: &'b dyn Executor,
    pub(crate) settings: &'b Settings,
    pub(crate) request: &'b BuildRequest,
    pub(crate) events: &'b dyn BuildEvents,
    pub(crate) plan: Plan,
    pub(crate) context: Context,
    pub(crate) contexts: BTreeMap<String, Context>,
    pub(crate) cancel: CancelToken,
    /// Volatile directory, for secrets.
    pub(crate) run_dir: PathBuf,
    pub(crate) epoch: Option<i64>,
    /// Credentials for Git repositories.
    pub(crate) access: Access,
    /// Git repositories that `ADD` took files from; kept until the build ends.
    pub(crate) checkouts: Mutex<Vec<Context>>,
    /// Caches to take from.
    pub(crate) sources: Vec<Source>,
    /// Results that `--cache-to` may write.
    pub(crate) used: Mutex<Vec<Used>>,
    /// What came from outside.
    pub(crate) materials: Mutex<BTreeSet<Material>>,
    pub(crate) recipe_digest: Digest,
    /// Names of `--build-context` that stand for images.
    pub(crate) images_by_name: BTreeMap<String, String>,
    /// What is known of layers' contents.
    pub(crate) inventory: Option<&'b dyn LayerCache>,
    pub(crate) reduce: Option<&'b Reduce<'b>>,
    /// Manifest of the image that was reduced.
    pub(crate) reduced_from: Mutex<Option<Digest>>,
    pub(crate) cached: AtomicUsize,
    pub(crate) executed: AtomicUsize,
    slots: Slots,
    steps: &'b AtomicUsize,
    images: Mutex<HashMap<String, Arc<BaseImage>>>,
    used_args: Mutex<BTreeSet<String>>,
}

impl<'b> Builder<'b> {
    /// A builder that keeps images in `store` and has steps run by `executor`.
    pub fn new(store: &'b Store, executor: &'b dyn Executor, settings: &'b Settings) -> Builder<'b> {
        Builder { store, executor, settings, inventory: None, reduce: None }
    }

    /// Gives every image to `reduce` before anything is attached to it or written of it.
    #[must_use]
    pub fn with_reduce(mut self, reduce: &'b Reduce<'b>) -> Builder<'b> {
        self.reduce = Some(reduce);
        self
    }

    /// Uses and fills this cache of layers' contents for bills of materials.
    #[must_use]
    pub fn with_inventory(mut self, cache: &'b dyn LayerCache) -> Builder<'b> {
        self.inventory = Some(cache);
        self
    }

    /// Builds twice without cache, and compares the two images.
    ///
    /// Both builds clamp times to the same second: `SOURCE_DATE_EPOCH`, or else the moment at which the first begins.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn check_reproducible(
        &self,
        request: &BuildRequest,
        events: &dyn BuildEvents,
    ) -> Result<(BuildOutcome, Reproduction), BuildError> {
        let mut request = request.clone();
        request.no_cache = true;
        if source_date_epoch(&request)?.is_none() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
            request.source_date_epoch = i64::try_from(now).ok();
        }
        let mut plain = request.clone();
        (plain.tags, plain.outputs, plain.cache_to) = (Vec::new(), Vec::new(), Vec::new());
        plain.attest = crate::request::Attest { sbom: false, provenance: crate::request::Provenance::Off };
        let missing = || BuildError::Usage("--check-reproducible needs an image to be made".to_owned());
        let second = self.build(&plain, events)?.image.ok_or_else(missing)?;
        let outcome = self.build(&request, events)?;
        let first = outcome.image.clone().ok_or_else(missing)?;
        let result = reproduce::compare(self.store, &first, &second)?;
        if first.manifest_digest != second.manifest_digest {
            // It was made for the comparison alone.
            self.store.remove(&second.id.to_string(), false)?;
        }
        Ok((outcome, result))
    }

    /// Builds.
    ///
    /// # Errors
    /// [`BuildError`]; nothing is tagged then, and what was finished stays in the cache.
    pub fn build(&self, request: &BuildRequest, events: &dyn BuildEvents) -> Result<BuildOutcome, BuildError> {
        if let Some(platform) = request.platform.as_deref().filter(|p| !is_own_platform(p)) {
            let own = machine_platform();
            return Err(BuildError::Usage(format!(
                "this machine builds for {own}, not `{platform}`: leave `--platform` out, or build on such a machine"
            )));
        }
        let epoch = source_date_epoch(request)?;
        crate::mounts::sweep_secrets(&self.settings.dirs.run);
        let steps = AtomicUsize::new(0);
        let cancel = match &request.cancel {
            Some(token) => token.clone(),
            None => CancelToken::new()?,
        };
        let access = access(request)?;
        let (cancelled, quiet) = (|| cancel.is_thrown(), |_: &str| {});
        let session = Session { access: &access, cancelled: &cancelled, status: &quiet };
        let open = || Context::open(self.store, &request.context, &session);
        let mut context = match &request.context {
            crate::request::BuildContext::Git(_) => internal(&steps, events, "load the Git repository", open)?,
            _ => open()?,
        };
        let recipe =
            internal(&steps, events, "load build definition from Dockerfile", || context.recipe(&request.dockerfile))?;
        let plan = self.plan(request, &recipe, events)?;
        internal(&steps, events, "load .dockerignore", || context.read_ignore(&recipe))?;
        let contexts = self.contexts(request, &session)?;
        let recipe_digest = Digest::of(&recipe.bytes);
        let warn = |text: &str| events.warning(text);
        let sources = cacheio::open(self.settings, &request.cache_from, &warn, &stockade_registry::Silent);
        let build = Build {
            store: self.store,
            executor: self.executor,
            settings: self.settings,
            request,
            events,
            slots: Slots::new(plan.stages.len()),
            plan,
            context,
            contexts,
            cancel,
            run_dir: self.settings.dirs.run.clone(),
            epoch,
            access,
            checkouts: Mutex::default(),
            sources,
            used: Mutex::default(),
            materials: Mutex::default(),
            recipe_digest,
            images_by_name: images_of(request),
            inventory: self.inventory,
            reduce: self.reduce,
            reduced_from: Mutex::default(),
            cached: AtomicUsize::new(0),
            executed: AtomicUsize::new(0),
            steps: &steps,
            images: Mutex::default(),
            used_args: Mutex::default(),
        };
        build.run()
    }

    fn plan(&self, request: &BuildRequest, recipe: &Recipe, events: &dyn BuildEvents) -> Result<Plan, BuildError> {
        let dockerfile = stockade_dockerfile::parse(&recipe.bytes, &recipe.name).map_err(BuildError::Dockerfile)?;
        for warning in &dockerfile.warnings {
            events.warning(warning.render(&dockerfile.file, &dockerfile.text).trim_end());
        }
        let input = PlanInput {
            build_args: &request.build_args,
            target: request.target.as_deref(),
            contexts: files_of(request),
            images: images_of(request),
            all_stages: false,
        };
        plan(dockerfile, &input)
    }

    fn contexts(&self, request: &BuildRequest, session: &Session<'_>) -> Result<BTreeMap<String, Context>, BuildError> {
        let mut out = BTreeMap::new();
        for (name, context) in &request.build_contexts {
            let opened = match context {
                NamedContext::Dir(dir) => Context::directory(self.store, dir)?,
                NamedContext::Git(text) => Context::git(self.store, text, session)?,
                NamedContext::Image(_) => continue,
            };
            out.insert(name.clone(), opened);
        }
        Ok(out)
    }
}

/// Names of contexts that are files.
fn files_of(request: &BuildRequest) -> Vec<String> {
    let is_files = |c: &NamedContext| !matches!(c, NamedContext::Image(_));
    request.build_contexts.iter().filter(|(_, c)| is_files(c)).map(|(name, _)| name.clone()).collect()
}

/// Names that stand for images.
fn images_of(request: &BuildRequest) -> BTreeMap<String, String> {
    let image = |(name, context): (&String, &NamedContext)| match context {
        NamedContext::Image(image) => Some((name.clone(), image.clone())),
        _ => None,
    };
    request.build_contexts.iter().filter_map(image).collect()
}

/// The secrets that BuildKit knows by name.
fn access(request: &BuildRequest) -> Result<Access, BuildError> {
    let read = |name: &str| match request.secrets.get(name).map(|s| &s.source) {
        None => Ok(None),
        Some(SecretSource::Value(value)) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        Some(SecretSource::File(path)) => {
            std::fs::read_to_string(path).map(Some).map_err(BuildError::io("read the secret", path))
        }
    };
    Ok(Access { token: read("GIT_AUTH_TOKEN")?, header: read("GIT_AUTH_HEADER")? })
}

fn internal<T>(
    steps: &AtomicUsize,
    events: &dyn BuildEvents,
    name: &str,
    work: impl FnOnce() -> Result<T, BuildError>,
) -> Result<T, BuildError> {
    let step = steps.fetch_add(1, Ordering::Relaxed) + 1;
    events.started(step, &format!("[internal] {name}"));
    let result = work();
    let finish = match &result {
        Ok(_) => Finish::Done,
        Err(e) => Finish::Failed(e.to_string()),
    };
    events.finished(step, &finish);
    result
}

/// `SOURCE_DATE_EPOCH` from a build argument or from the request.
fn source_date_epoch(request: &BuildRequest) -> Result<Option<i64>, BuildError> {
    match request.build_args.get("SOURCE_DATE_EPOCH").filter(|v| !v.is_empty()) {
        None => Ok(request.source_date_epoch),
        Some(text) => text
            .parse::<i64>()
            .map(Some)
            .map_err(|_| BuildError::Usage(format!("SOURCE_DATE_EPOCH is seconds since 1970, not `{text}`"))),
    }
}

impl Build<'_> {
    fn run(&self) -> Result<BuildOutcome, BuildError> {
        let contexts = std::iter::once(&self.context).chain(self.contexts.values());
        for (address, checkout) in contexts.filter_map(|c| c.checkout.as_ref()) {
            self.note_material(format!("git+{}", address.shown()), "gitCommit", checkout.commit.clone());
        }
        self.slots.run_all(&self.plan.order, &|index| stage::run(self, index), &|| self.cancel.cancel())?;
        self.context.save();
        let state = self.stage(self.plan.target, None)?;
        self.warn_unused_args();
        let image = self.export(&state)?;
        self.export_cache(&state)?;
        let provenance = image.as_ref().filter(|_| self.request.attest.provenance != crate::request::Provenance::Off);
        Ok(BuildOutcome {
            tags: image.as_ref().map(|i| self.tags_of(i)).unwrap_or_default(),
            provenance: provenance.map(|i| self.predicate(i)),
            image,
            cached_steps: self.cached.load(Ordering::Relaxed),
            executed_steps: self.executed.load(Ordering::Relaxed),
        })
    }

    fn tags_of(&self, _image: &Image) -> Vec<String> {
        self.request.tags.iter().map(|t| t.clone().or_latest().to_string()).collect()
    }

    /// The result of a stage; see [`Slots::get`].
    pub(crate) fn stage(&self, index: usize, waiter: Option<usize>) -> Result<Arc<State>, BuildError> {
        self.slots.get(index, waiter, &|i| stage::run(self, i))
    }

    pub(crate) fn next_step(&self) -> StepId {
        self.steps.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A base image by name, resolved once in a build. The flag says whether it had to be made.
    pub(crate) fn image(&self, name: &str, step: StepId) -> Result<(Arc<BaseImage>, bool), BuildError> {
        // Held while resolving: two stages with the same base must not make it twice.
        let mut images = lock(&self.images);
        if let Some(image) = images.get(name) {
            return Ok((Arc::clone(image), false));
        }
        let (image, fresh) = crate::base::resolve(self, name, step)?;
        self.note_material(format!("pkg:docker/{name}"), "sha256", image.manifest.hex());
        let image = Arc::new(image);
        images.insert(name.to_owned(), Arc::clone(&image));
        Ok((image, fresh))
    }

    pub(crate) fn use_arg(&self, name: &str) {
        lock(&self.used_args).insert(name.to_owned());
    }

    fn warn_unused_args(&self) {
        let used = lock(&self.used_args);
        let known = |name: &str| {
            used.contains(name)
                || self.plan.used_args.iter().any(|a| a == name)
                || PROXY_ARGS.contains(&name)
                || name == "SOURCE_DATE_EPOCH"
                || name.starts_with("BUILDKIT_")
        };
        let unused: Vec<String> =
            self.request.build_args.keys().filter(|n| !known(n)).map(|n| format!("`{n}`")).collect();
        if !unused.is_empty() {
            self.events.warning(&format!("warning: no ARG uses the build argument {}", unused.join(", ")));
        }
    }

    /// Proxy variables for steps: those given as build arguments, else the caller's.
    pub(crate) fn proxies(&self) -> Vec<(String, String)> {
        let given = |name: &&str| self.request.build_args.get(*name).or_else(|| self.request.proxies.get(*name));
        PROXY_ARGS.iter().filter_map(|name| given(name).map(|v| ((*name).to_owned(), v.clone()))).collect()
    }

    /// What every key depends on.
    pub(crate) fn key_common(&self, key: &mut Key) {
        key.field("platform", machine_platform());
        key.field("epoch", self.epoch.map(|e| e.to_string()).unwrap_or_default());
    }

    /// Seconds since 1970: now, or the fixed time of a reproducible build.
    pub(crate) fn now_seconds(&self) -> i64 {
        self.epoch.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
            i64::try_from(now).unwrap_or_default()
        })
    }

    /// The same as RFC 3339.
    pub(crate) fn now(&self) -> String {
        jiff::Timestamp::from_second(self.now_seconds()).map(|t| t.to_string()).unwrap_or_default()
    }

    /// Keeps other builds from running the step with this key at the same time.
    pub(crate) fn lock_key(&self, key: &str) -> Result<Lock, BuildError> {
        let dir = self.store.root().join("build/locks");
        create_private_dir(&dir)?;
        // A few thousand lock files serve for all keys.
        self.wait_exclusive(&dir.join(key.get(..3).unwrap_or("000")))
    }

    /// Waits for a lock, but not longer than the build lives.
    pub(crate) fn wait_exclusive(&self, path: &Path) -> Result<Lock, BuildError> {
        loop {
            if let Some(lock) = Lock::try_exclusive(path)? {
                return Ok(lock);
            }
            self.cancel.check()?;
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn export(&self, state: &State) -> Result<Option<Image>, BuildError> {
        let only_image = [Output::Image];
        let outputs: &[Output] = if self.request.outputs.is_empty() { &only_image } else { &self.request.outputs };
        let mut image: Option<Image> = None;
        for output in outputs {
            let step = self.next_step();
            self.events.started(step, output.describe());
            let result = self.image_for(output, state, &mut image).and_then(|()| {
                crate::output::write(self, output, state, image.as_ref().filter(|_| self.needs_image(output)))
            });
            let finish = match &result {
                Ok(()) => Finish::Done,
                Err(e) => Finish::Failed(e.to_string()),
            };
            self.events.finished(step, &finish);
            result?;
        }
        let image = image.filter(|_| self.request.wants_image());
        if let Some(image) = &image {
            self.attest(image)?;
        }
        Ok(image)
    }

    /// Makes the image when the first output needs it.
    fn image_for(&self, output: &Output, state: &State, image: &mut Option<Image>) -> Result<(), BuildError> {
        if image.is_some() || !self.needs_image(output) {
            return Ok(());
        }
        let config = self.finish_config(state)?;
        let made = self.commit(config, state)?;
        *image = Some(match self.reduce {
            None => made,
            Some(reduce) => self.reduced(&made, reduce)?,
        });
        Ok(())
    }

    /// Files too come of the reduced image.
    pub(crate) fn needs_image(&self, output: &Output) -> bool {
        output.needs_image() || (self.reduce.is_some() && *output != Output::CacheOnly)
    }

    fn reduced(&self, image: &Image, reduce: &Reduce<'_>) -> Result<Image, BuildError> {
        let step = self.next_step();
        self.events.started(step, "keeping what a traced run needs");
        let mut out = |stream, bytes: &[u8]| self.events.output(step, stream, bytes);
        let result = reduce(image, &mut out).map_err(BuildError::Usage);
        let finish = match &result {
            Ok(_) => Finish::Done,
            Err(e) => Finish::Failed(e.to_string()),
        };
        self.events.finished(step, &finish);
        *lock(&self.reduced_from) = Some(image.manifest_digest);
        result
    }

    fn commit(&self, config: ImageConfig, state: &State) -> Result<Image, BuildError> {
        let tags: Vec<_> = self.request.tags.iter().map(|t| t.clone().or_latest()).collect();
        let mut annotations = self.request.annotations.clone();
        annotations.extend(self.inline_records(state));
        Ok(self.store.commit(config, &state.layers, &tags, &annotations)?)
    }

    /// Labels of the command line, and times. A build that changes nothing gives the same image: its time is the one
    /// at which this configuration was first made.
    fn finish_config(&self, state: &State) -> Result<ImageConfig, BuildError> {
        let mut image = state.image.clone();
        image.config.labels.extend(self.request.labels.clone());
        image.created = None;
        let bytes = serde_json::to_vec(&image).map_err(|e| BuildError::Usage(e.to_string()))?;
        let mut key = Key::new("image");
        key.field("config", &bytes);
        self.key_common(&mut key);
        let key = key.finish();
        let known = if self.request.no_cache { None } else { self.store.cache_get(&key) };
        let created = match known.and_then(|b| String::from_utf8(b).ok()) {
            Some(created) => created,
            None => {
                let now = self.now();
                self.store.cache_put(&key, now.as_bytes())?;
                now
            }
        };
        for entry in image.history.iter_mut().filter(|e| is_pending(e)) {
            entry.created = Some(created.clone());
        }
        image.created = Some(created);
        Ok(image)
    }
}
