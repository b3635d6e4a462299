//! The whole of a build, from the request to the image.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stockade_config::Settings;
use stockade_durable::{Lock, create_private_dir};
use stockade_image::{Image, ImageConfig, Store};

use crate::base::BaseImage;
use crate::cache::Key;
use crate::context::{Context, Recipe};
use crate::error::BuildError;
use crate::events::{BuildEvents, Finish, StepId};
use crate::executor::Executor;
use crate::history::is_pending;
use crate::output::Output;
use crate::plan::{Plan, PlanInput, is_own_platform, plan};
use crate::request::{BuildOutcome, BuildRequest, CancelToken};
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
}

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
        Builder { store, executor, settings }
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
        let steps = AtomicUsize::new(0);
        let mut context = Context::open(self.store, &request.context)?;
        let recipe =
            internal(&steps, events, "load build definition from Dockerfile", || context.recipe(&request.dockerfile))?;
        let plan = self.plan(request, &recipe, events)?;
        internal(&steps, events, "load .dockerignore", || context.read_ignore(&recipe))?;
        let contexts = self.contexts(request)?;
        let cancel = match &request.cancel {
            Some(token) => token.clone(),
            None => CancelToken::new()?,
        };
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
            contexts: request.build_contexts.keys().cloned().collect(),
            all_stages: false,
        };
        plan(dockerfile, &input)
    }

    fn contexts(&self, request: &BuildRequest) -> Result<BTreeMap<String, Context>, BuildError> {
        let mut out = BTreeMap::new();
        for (name, dir) in &request.build_contexts {
            out.insert(name.clone(), Context::directory(self.store, dir)?);
        }
        Ok(out)
    }
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
        self.slots.run_all(&self.plan.order, &|index| stage::run(self, index), &|| self.cancel.cancel())?;
        self.context.save();
        let state = self.stage(self.plan.target, None)?;
        self.warn_unused_args();
        let image = self.export(&state)?;
        Ok(BuildOutcome {
            tags: image.as_ref().map(|i| self.tags_of(i)).unwrap_or_default(),
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
        let step = self.next_step();
        self.events.started(step, self.request.output.describe());
        let result = self.finish_config(state).and_then(|config| {
            let needs_image = self.request.output.needs_image();
            let image = if needs_image { Some(self.commit(config, state)?) } else { None };
            crate::output::write(self, state, image.as_ref())?;
            Ok(image)
        });
        let finish = match &result {
            Ok(_) => Finish::Done,
            Err(e) => Finish::Failed(e.to_string()),
        };
        self.events.finished(step, &finish);
        let image = result?;
        Ok(image.filter(|_| matches!(self.request.output, Output::Image)))
    }

    fn commit(&self, config: ImageConfig, state: &State) -> Result<Image, BuildError> {
        let tags: Vec<_> = self.request.tags.iter().map(|t| t.clone().or_latest()).collect();
        Ok(self.store.commit(config, &state.layers, &tags, &BTreeMap::new())?)
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
