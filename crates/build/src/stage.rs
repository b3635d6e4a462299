//! One stage: its base, then its instructions.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use stockade_dockerfile::ast::{Instruction, Kind};
use stockade_dockerfile::expand::Expander;
use stockade_dockerfile::{Diagnostic, Diagnostics, Span, Word};
use stockade_engine::StepStream;
use stockade_image::LayerOptions;

use crate::builder::Build;
use crate::cache::{Record, lookup, remember};
use crate::error::BuildError;
use crate::events::{Finish, StepId};
use crate::history;
use crate::merged::Tree;
use crate::plan::{BaseRef, FromRef, from_ref};
use crate::state::State;

/// Text that instructions come from: the Dockerfile, or a trigger of the base image.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) file: String,
    pub(crate) text: Arc<str>,
    pub(crate) escape: char,
}

/// A stage while it runs.
pub(crate) struct StageRun<'b> {
    pub(crate) build: &'b Build<'b>,
    pub(crate) index: usize,
    pub(crate) state: State,
    pub(crate) origin: Origin,
    /// Number of the next step, and how many there are, for progress lines.
    done: usize,
    total: usize,
}

/// A step that makes a layer.
pub(crate) struct LayerStep {
    /// Cache key.
    pub(crate) key: String,
    /// For the progress line.
    pub(crate) title: String,
    /// For `history`.
    pub(crate) created_by: String,
    /// Other builds with the same key wait for this one and take its result.
    pub(crate) exclusive: bool,
    /// Bytes of files that it will write, where that is known; else 0.
    pub(crate) bytes: u64,
}

/// What a layer step works in.
pub(crate) struct Workplace<'w> {
    /// The new layer.
    pub(crate) upper: &'w Path,
    /// Overlay work directory.
    pub(crate) work: &'w Path,
    /// Scratch space on the same file system.
    pub(crate) scratch: &'w Path,
    /// The step's number for events.
    pub(crate) step: StepId,
}

/// Runs stage `index` to its end.
pub(crate) fn run(build: &Build<'_>, index: usize) -> Result<State, BuildError> {
    let dockerfile = Arc::clone(&build.plan.dockerfile);
    let planned = dockerfile.stages.get(index).ok_or(BuildError::Cancelled)?;
    let instructions = dockerfile.stage_instructions(planned);
    let Some((first, rest)) = instructions.split_first() else { return Ok(State::scratch()) };
    let origin =
        Origin { file: dockerfile.file.clone(), text: Arc::clone(&dockerfile.text), escape: dockerfile.escape };
    let total = 1 + rest.iter().filter(|i| makes_step(&i.kind)).count();
    let mut run = StageRun { build, index, state: State::scratch(), origin, done: 0, total };
    run.base(first)?;
    run.state.ensure_path();
    let triggers = std::mem::take(&mut run.state.config().on_build);
    run.triggers(&triggers)?;
    run.instructions(rest)?;
    Ok(run.state)
}

/// Whether an instruction shows as a step of its own.
fn makes_step(kind: &Kind) -> bool {
    matches!(kind, Kind::Run(_) | Kind::Copy(_) | Kind::Add(_) | Kind::Workdir(_))
}

impl<'b> StageRun<'b> {
    /// `FROM`
    fn base(&mut self, first: &Instruction) -> Result<(), BuildError> {
        let Some(planned) = self.build.plan.stages.get(self.index) else { return Err(BuildError::Cancelled) };
        match &planned.base {
            BaseRef::Scratch => {
                self.done += 1;
                Ok(())
            }
            BaseRef::Stage(index) => {
                self.done += 1;
                let base = self.build.stage(*index, Some(self.index))?;
                self.state = (*base).clone();
                self.state.cmd_given = false;
                Ok(())
            }
            BaseRef::Image(name) => {
                let name = name.clone();
                let step = self.begin(&format!("FROM {name}"));
                let result = self.build.image(&name, step).map_err(|e| self.blame_base(first, e));
                match &result {
                    Ok((_, fresh)) => self.end(step, if *fresh { &Finish::Done } else { &Finish::Cached }),
                    Err(e) => self.end(step, &Finish::Failed(e.to_string())),
                }
                let (base, _) = result?;
                self.state = State {
                    layers: base.layers.clone(),
                    dirs: base.dirs.clone(),
                    image: base.config.clone(),
                    args: Vec::new(),
                    cmd_given: false,
                };
                Ok(())
            }
        }
    }

    /// Adds the place of the `FROM` to an error about its image.
    fn blame_base(&self, first: &Instruction, error: BuildError) -> BuildError {
        match (error, &first.kind) {
            (BuildError::Base(mut e), Kind::From(from)) => {
                e.place = format!("{}:{}", self.origin.file, from.image.span.start);
                BuildError::Base(e)
            }
            (error, _) => error,
        }
    }

    /// Runs the `ONBUILD` triggers of the base.
    fn triggers(&mut self, triggers: &[String]) -> Result<(), BuildError> {
        for text in triggers {
            let file = "ONBUILD trigger of the base image".to_owned();
            let instruction =
                stockade_dockerfile::parse_instruction(text, &file, '\\').map_err(BuildError::Dockerfile)?;
            if matches!(instruction.kind, Kind::Onbuild(_) | Kind::From(_) | Kind::Maintainer(_)) {
                let message = format!("an ONBUILD trigger cannot be `{}`", instruction.name());
                return Err(BuildError::Dockerfile(Diagnostics {
                    file,
                    text: text.as_str().into(),
                    items: vec![Diagnostic::error("onbuild-trigger", instruction.span, message)],
                }));
            }
            self.total += usize::from(makes_step(&instruction.kind));
            let origin = Origin { file, text: text.as_str().into(), escape: '\\' };
            let outer = std::mem::replace(&mut self.origin, origin);
            let result = self.instruction(&instruction);
            self.origin = outer;
            result?;
        }
        Ok(())
    }

    fn instructions(&mut self, instructions: &[Instruction]) -> Result<(), BuildError> {
        for instruction in instructions {
            self.build.cancel.check()?;
            self.instruction(instruction)?;
        }
        Ok(())
    }

    fn instruction(&mut self, instruction: &Instruction) -> Result<(), BuildError> {
        match &instruction.kind {
            Kind::Run(run) => self.run(instruction, run),
            Kind::Copy(copy) => self.copy(instruction, copy),
            Kind::Add(add) => self.add(instruction, add),
            _ => self.metadata(instruction),
        }
    }

    /// An error with a place in the file.
    pub(crate) fn fault(&self, code: &'static str, span: Span, message: impl Into<String>) -> BuildError {
        self.fault_with(Diagnostic::error(code, span, message))
    }

    pub(crate) fn fault_with(&self, diagnostic: Diagnostic) -> BuildError {
        BuildError::Dockerfile(Diagnostics {
            file: self.origin.file.clone(),
            text: Arc::clone(&self.origin.text),
            items: vec![diagnostic],
        })
    }

    /// Shows a warning with its place.
    pub(crate) fn warn(&self, diagnostic: &Diagnostic) {
        self.build.events.warning(diagnostic.render(&self.origin.file, &self.origin.text).trim_end());
    }

    /// Expands a word with the stage's variables.
    pub(crate) fn expand(&self, word: &Word) -> Result<String, BuildError> {
        let lookup = |name: &str| self.state.lookup(name);
        Expander::new(self.origin.escape, &lookup)
            .word(&word.value)
            .map_err(|e| self.fault("expansion", word.span, e.to_string()))
    }

    /// Expands a word to several.
    pub(crate) fn expand_words(&self, word: &Word) -> Result<Vec<String>, BuildError> {
        let lookup = |name: &str| self.state.lookup(name);
        Expander::new(self.origin.escape, &lookup)
            .words(&word.value)
            .map_err(|e| self.fault("expansion", word.span, e.to_string()))
    }

    /// Tells that a step begins.
    pub(crate) fn begin(&mut self, title: &str) -> StepId {
        self.done += 1;
        let label = match self.build.plan.stages.get(self.index) {
            Some(stage) if self.build.plan.order.len() > 1 => format!("{} ", stage.label),
            _ => String::new(),
        };
        let step = self.build.next_step();
        self.build.events.started(step, &format!("[{label}{}/{}] {title}", self.done, self.total.max(self.done)));
        step
    }

    pub(crate) fn end(&self, step: StepId, finish: &Finish) {
        match finish {
            Finish::Cached => self.build.cached.fetch_add(1, Ordering::Relaxed),
            Finish::Done => self.build.executed.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        self.build.events.finished(step, finish);
    }

    /// What a `--from` names, resolved to files. Stages are waited for, images fetched.
    pub(crate) fn files_of(&self, text: &str, span: Span, step: StepId) -> Result<Files<'b>, BuildError> {
        let contexts: Vec<String> = self.build.contexts.keys().cloned().collect();
        match from_ref(&self.build.plan.dockerfile, &contexts, &self.build.images_by_name, text) {
            FromRef::Context(name) => match self.build.contexts.get(&name) {
                Some(context) => Ok(Files::Context(context)),
                None => Err(self.fault("no-context", span, format!("there is no build context `{name}`"))),
            },
            FromRef::Stage(index) if index == self.index => {
                Err(self.fault("own-stage", span, "a stage cannot copy from itself"))
            }
            FromRef::Stage(index) => Ok(Files::Tree(self.build.stage(index, Some(self.index))?.tree())),
            FromRef::Image(name) if name == "scratch" => Ok(Files::Tree(Tree::overlay(Vec::new()))),
            FromRef::Image(name) => {
                let (base, _) = self.build.image(&name, step)?;
                Ok(Files::Tree(Tree::overlay(base.dirs.iter().rev().cloned().collect())))
            }
        }
    }

    /// Makes a layer, or takes it from the cache.
    pub(crate) fn layer_step(
        &mut self,
        id: StepId,
        step: &LayerStep,
        make: &mut dyn FnMut(&StageRun<'b>, &Workplace<'_>) -> Result<(), BuildError>,
    ) -> Result<(), BuildError> {
        let result = self.layer_step_inner(id, step, make);
        match &result {
            Ok(true) => self.end(id, &Finish::Cached),
            Ok(false) => self.end(id, &Finish::Done),
            Err(BuildError::Cancelled) => self.end(id, &Finish::Cancelled),
            Err(e) => self.end(id, &Finish::Failed(e.to_string())),
        }
        result.map(drop)
    }

    fn layer_step_inner(
        &mut self,
        id: StepId,
        step: &LayerStep,
        make: &mut dyn FnMut(&StageRun<'b>, &Workplace<'_>) -> Result<(), BuildError>,
    ) -> Result<bool, BuildError> {
        let build = self.build;
        build.cancel.check()?;
        let no_cache = build.request.no_cache || self.runs_always();
        if !no_cache && let Some(record) = lookup(build.store, &step.key)? {
            self.take(&record, step)?;
            return Ok(true);
        }
        let lock = if step.exclusive && !no_cache { Some(build.lock_key(&step.key)?) } else { None };
        if lock.is_some()
            && let Some(record) = lookup(build.store, &step.key)?
        {
            // Another build made it while this one waited.
            self.take(&record, step)?;
            return Ok(true);
        }
        if !no_cache && let Some(record) = build.imported(&step.key, id)? {
            remember(build.store, &step.key, &record)?;
            self.take(&record, step)?;
            return Ok(true);
        }
        let staging = build.store.staging_dir()?;
        let [upper, work, scratch] = ["upper", "work", "scratch"].map(|name| staging.path().join(name));
        for (dir, mode) in [(&upper, 0o755), (&work, 0o700), (&scratch, 0o700)] {
            std::fs::create_dir(dir).map_err(BuildError::io("create directory", dir))?;
            let mode = rustix::fs::Mode::from_raw_mode(mode);
            rustix::fs::chmod(dir.as_path(), mode).map_err(BuildError::io("set the mode of", dir))?;
        }
        make(self, &Workplace { upper: &upper, work: &work, scratch: &scratch, step: id })?;
        build.cancel.check()?;
        let options = LayerOptions { clamp_mtime: build.epoch, bytes: step.bytes };
        let layer = build.store.layer_from_dir(&upper, &options)?;
        let record = Record { layer, created: build.now(), step: step.title.clone() };
        remember(build.store, &step.key, &record)?;
        self.take(&record, step)?;
        Ok(false)
    }

    /// Whether `--no-cache-filter` names this stage.
    fn runs_always(&self) -> bool {
        let stages = &self.build.request.no_cache_stages;
        let name = self.build.plan.dockerfile.stages.get(self.index).and_then(|s| s.name.as_deref());
        !stages.is_empty()
            && stages
                .iter()
                .any(|wanted| name.is_some_and(|n| n.eq_ignore_ascii_case(wanted)) || *wanted == self.index.to_string())
    }

    fn take(&mut self, record: &Record, step: &LayerStep) -> Result<(), BuildError> {
        self.build.note_used(&step.key, record);
        let dir = self.build.store.layer_dir(&record.layer)?;
        let entry = history::layer(step.created_by.clone(), &record.created);
        self.state.push_layer(record.layer.clone(), dir, entry);
        Ok(())
    }

    /// Passes what a step writes to the events.
    pub(crate) fn output(&self, step: StepId, stream: StepStream, bytes: &[u8]) {
        self.build.events.output(step, stream, bytes);
    }
}

/// Files that an instruction may take.
pub(crate) enum Files<'b> {
    /// A build context: ignore rules hold, owners become root.
    Context(&'b crate::context::Context),
    /// A stage or an image.
    Tree(Tree),
}
