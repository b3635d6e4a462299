//! `RUN --mount`

use std::fs;
use std::path::{Path, PathBuf};

use stockade_dockerfile::ast::Run;
use stockade_dockerfile::expand::Expander;
use stockade_dockerfile::mount::{Mount, MountType, Sharing};
use stockade_dockerfile::{Diagnostic, Span};
use stockade_durable::{Lock, create_private_dir, temporary_name};
use stockade_image::Digest;
use stockade_sandbox::{Mount as StepMount, MountFlags, MountKind};

use crate::attributes::Which;
use crate::cache::Key;
use crate::error::BuildError;
use crate::events::StepId;
use crate::merged::split;
use crate::place::{Place, Rules};
use crate::request::SecretSource;
use crate::run::write_script;
use crate::ssh::AgentSocket;
use crate::stage::{Files, StageRun, Workplace};
use crate::state::absolute;
use crate::stubs::is_root;
use crate::walk::{Entry, look_into, walk};

/// A mount that a step asks for, with what its result depends on.
pub(crate) struct Wanted {
    mount: Mount,
    /// Absolute.
    target: String,
    /// For `bind`, and for `cache` with `from`: the files.
    entries: Vec<Entry>,
    /// Owners are kept (stage or image), or root's (context).
    faithful: bool,
    span: Span,
}

impl Wanted {
    /// Secrets, and what is in a cache, are no part of a key: only that they are mounted.
    pub(crate) fn describe(&self, key: &mut Key) {
        let m = &self.mount;
        key.field("mount", m.kind.name()).field("target", &self.target);
        key.field("id", m.id.as_deref().unwrap_or_default());
        key.field(
            "options",
            format!("{} {:?} {:?} {:?} {:?} {:?}", m.readonly, m.size_bytes, m.mode, m.uid, m.gid, m.env),
        );
        for entry in &self.entries {
            entry.describe(key, self.faithful);
        }
    }
}

/// Mounts that are ready. What they stand on is removed when this is dropped.
pub(crate) struct Prepared {
    pub(crate) mounts: Vec<StepMount>,
    /// `NAME=value` of secrets that a step wants as variables.
    pub(crate) env: Vec<String>,
    /// Where mounts are, for taking the mount points out of the layer.
    pub(crate) targets: Vec<String>,
    _agents: Vec<AgentSocket>,
    _locks: Vec<Lock>,
    _secrets: Option<SecretDir>,
}

/// A directory for secrets below the volatile directory (memory), removed on drop. Its lock is held as long: what a
/// killed build left is what nobody holds.
struct SecretDir {
    dir: PathBuf,
    lock_path: PathBuf,
    _lock: Lock,
}

impl SecretDir {
    fn create(run_dir: &Path) -> Result<SecretDir, BuildError> {
        let base = run_dir.join(SECRETS);
        create_private_dir(&base)?;
        let name = temporary_name();
        let lock_path = base.join(format!("{name}.lock"));
        let lock = Lock::exclusive(&lock_path)?;
        let dir = base.join(name);
        create_private_dir(&dir)?;
        Ok(SecretDir { dir, lock_path, _lock: lock })
    }
}

impl Drop for SecretDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// Where secrets are for the time of a step, below the volatile directory.
const SECRETS: &str = "build-secrets";

/// Removes the secrets of builds that were killed.
pub(crate) fn sweep_secrets(run_dir: &Path) {
    let base = run_dir.join(SECRETS);
    for entry in fs::read_dir(&base).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".lock")) else {
            continue;
        };
        // Held by a living build, or gone in the meantime: not ours.
        let Ok(Some(_lock)) = Lock::try_exclusive(&path) else { continue };
        let _ = fs::remove_dir_all(base.join(name));
        let _ = fs::remove_file(&path);
    }
}

impl StageRun<'_> {
    /// Reads the flags; finds the files of bind mounts.
    pub(crate) fn wanted_mounts(&self, run: &Run, step: StepId) -> Result<Vec<Wanted>, BuildError> {
        let mut out = Vec::new();
        for (number, flag) in run.mounts.iter().enumerate() {
            let lookup = |name: &str| self.state.lookup(name);
            let mut expand =
                |text: &str| Expander::new(self.origin.escape, &lookup).word(text).map_err(|e| e.to_string());
            let mount = flag.resolve(&mut expand).map_err(|words| self.fault("mount", flag.span(), words))?;
            out.push(self.wanted(mount, number, flag.span(), step)?);
        }
        Ok(out)
    }

    fn wanted(&self, mount: Mount, number: usize, span: Span, step: StepId) -> Result<Wanted, BuildError> {
        let default = match mount.kind {
            MountType::Secret => format!("/run/secrets/{}", secret_id(&mount)),
            MountType::Ssh => format!("/run/buildkit/ssh_agent.{number}"),
            _ => String::new(),
        };
        let text = mount.target.as_deref().unwrap_or(&default);
        let target = absolute(self.state.workdir(), text);
        if is_root(&target) {
            return Err(self.fault("mount", span, "a mount cannot cover the root directory"));
        }
        let mut wanted = Wanted { mount, target, entries: Vec::new(), faithful: false, span };
        let has_files = wanted.mount.kind == MountType::Bind
            || (wanted.mount.kind == MountType::Cache && wanted.mount.from.is_some());
        if has_files {
            self.find_files(&mut wanted, step)?;
        }
        Ok(wanted)
    }

    fn find_files(&self, wanted: &mut Wanted, step: StepId) -> Result<(), BuildError> {
        let files = match &wanted.mount.from {
            Some(from) => self.files_of(from, wanted.span, step)?,
            None => Files::Context(&self.build.context),
        };
        let (tree, context) = match &files {
            Files::Context(context) => (context.tree(), Some(*context)),
            Files::Tree(tree) => (tree.clone(), None),
        };
        wanted.faithful = context.is_none();
        let source = wanted.mount.source.clone().unwrap_or_default();
        let resolved = self.resolve_source(&tree, absolute("/", &source).as_bytes(), &source, wanted.span)?;
        let Some(node) = resolved.node else {
            if source.is_empty() || wanted.mount.kind == MountType::Cache {
                return Ok(());
            }
            let place = if context.is_some() { "the build context" } else { "where it is to be taken from" };
            return Err(self.fault("missing-source", wanted.span, format!("`{source}` is not in {place}")));
        };
        let ignore = context.map(|c| &c.ignore).filter(|i| !i.is_empty());
        let mut entries = walk(&tree, node, &resolved.parts.join(&b'/'), ignore)?;
        let none = crate::statcache::StatCache::none();
        let which = if context.is_some() { Which::User } else { Which::All };
        look_into(&mut entries, context.map_or(&none, |c| c.stat_cache()), which)?;
        wanted.entries = entries;
        Ok(())
    }

    /// Makes everything that the sandbox will mount.
    pub(crate) fn prepare_mounts(
        &self,
        wanted: &[Wanted],
        script: Option<&(String, String)>,
        place: &Workplace<'_>,
    ) -> Result<Prepared, BuildError> {
        let mut ready = Prepared {
            mounts: Vec::new(),
            env: Vec::new(),
            targets: Vec::new(),
            _agents: Vec::new(),
            _locks: Vec::new(),
            _secrets: None,
        };
        for (number, want) in wanted.iter().enumerate() {
            match want.mount.kind {
                MountType::Bind => {
                    let source = self.materialise(want, &place.scratch.join(format!("bind-{number}")))?;
                    ready.push(bind(source, &want.target, want.mount.readonly));
                }
                MountType::Cache => {
                    let (source, lock) = self.cache_dir(want)?;
                    ready._locks.extend(lock);
                    ready.push(bind(source, &want.target, want.mount.readonly));
                }
                MountType::Tmpfs => ready.push(StepMount {
                    kind: MountKind::Tmpfs { size_bytes: want.mount.size_bytes, mode: 0o755 },
                    target: want.target.clone(),
                    flags: MountFlags { nosuid: true, nodev: true, ..MountFlags::default() },
                }),
                MountType::Secret => self.secret(want, &mut ready)?,
                MountType::Ssh => self.agent(want, &mut ready)?,
            }
        }
        if let Some((name, text)) = script {
            let dir = place.scratch.join("pipes");
            make_dir(&dir, 0o755)?;
            write_script(&dir, name, text)?;
            ready.push(bind(dir, "/dev/pipes", true));
        }
        Ok(ready)
    }

    /// A private copy of the files: what a step writes there is gone afterwards.
    fn materialise(&self, want: &Wanted, at: &Path) -> Result<PathBuf, BuildError> {
        make_dir(at, 0o755)?;
        let owner = if want.faithful { None } else { Some((0, 0)) };
        let rules = Rules { owner, faithful: want.faithful, ..Rules::default() };
        let mut writer = Place::new(at, &[], rules);
        let target = vec![b"files".to_vec()];
        let put = writer.put_tree(&want.entries, &target, false).and_then(|()| writer.finish());
        put.map_err(|e| self.blame(e, want.span))?;
        let files = at.join("files");
        if want.entries.is_empty() {
            make_dir(&files, 0o755)?;
        }
        Ok(files)
    }

    /// The directory of a cache mount, locked as its sharing mode asks.
    fn cache_dir(&self, want: &Wanted) -> Result<(PathBuf, Option<Lock>), BuildError> {
        let id = want.mount.id.clone().unwrap_or_else(|| want.target.clone());
        let name = Digest::of(id.as_bytes()).hex();
        let base = self.build.store.root().join("build/mounts").join(name);
        create_private_dir(&base)?;
        let lock_of = |n: usize| base.join(format!("{n}.lock"));
        let (number, lock) = match want.mount.sharing {
            Sharing::Shared => (0, Some(Lock::shared(&lock_of(0))?)),
            Sharing::Locked => (0, Some(self.build.wait_exclusive(&lock_of(0))?)),
            Sharing::Private => {
                let mut number = 0;
                loop {
                    if let Some(lock) = Lock::try_exclusive(&lock_of(number))? {
                        break (number, Some(lock));
                    }
                    number += 1;
                }
            }
        };
        let dir = base.join(number.to_string());
        if !dir.exists() {
            self.seed_cache(want, &base, &dir)?;
        }
        Ok((dir, lock))
    }

    /// Makes a new cache directory, from the files of `from` if there are any.
    fn seed_cache(&self, want: &Wanted, base: &Path, dir: &Path) -> Result<(), BuildError> {
        let fresh = base.join(temporary_name());
        let made = self.materialise(want, &fresh)?;
        if want.entries.is_empty() {
            let mode = rustix::fs::Mode::from_raw_mode(want.mount.mode.unwrap_or(0o755));
            let (uid, gid) = (want.mount.uid.unwrap_or(0), want.mount.gid.unwrap_or(0));
            stockade_durable::owned_io(std::os::unix::fs::chown(&made, Some(uid), Some(gid)))
                .map_err(BuildError::io("set the owner of", &made))?;
            rustix::fs::chmod(&made, mode).map_err(BuildError::io("set the mode of", &made))?;
        }
        // Another step with a shared cache may have been first; its directory stays.
        match fs::rename(&made, dir) {
            Err(e) if !dir.exists() => return Err(BuildError::io("create", dir)(e)),
            _ => {}
        }
        let _ = fs::remove_dir_all(&fresh);
        Ok(())
    }

    fn secret(&self, want: &Wanted, ready: &mut Prepared) -> Result<(), BuildError> {
        let id = secret_id(&want.mount);
        let value = match self.build.request.secrets.get(&id).map(|s| &s.source) {
            Some(SecretSource::Value(value)) => value.clone(),
            Some(SecretSource::File(path)) => fs::read(path).map_err(BuildError::io("read the secret", path))?,
            None if want.mount.required => {
                return Err(self.fault_with(
                    Diagnostic::error(
                        "no-secret",
                        want.span,
                        format!("the step needs the secret `{id}`, which was not given"),
                    )
                    .help(format!("give it with `--secret id={id},src=FILE` or `--secret id={id},env=NAME`")),
                ));
            }
            None => return Ok(()),
        };
        if let Some(name) = &want.mount.env {
            let text = String::from_utf8(value.clone()).map_err(|_| {
                self.fault("secret", want.span, format!("the secret `{id}` is no text, so it cannot be a variable"))
            })?;
            ready.env.push(format!("{name}={text}"));
            if want.mount.target.is_none() {
                return Ok(());
            }
        }
        let dir = ready.secret_dir(&self.build.run_dir)?;
        let file = dir.join(ready.mounts.len().to_string());
        let m = &want.mount;
        stockade_durable::write_volatile(&file, &value, 0o600)?;
        let given = std::os::unix::fs::chown(&file, Some(m.uid.unwrap_or(0)), Some(m.gid.unwrap_or(0)));
        stockade_durable::owned_io(given).map_err(BuildError::io("set the owner of", &file))?;
        let mode = rustix::fs::Mode::from_raw_mode(m.mode.unwrap_or(0o400));
        rustix::fs::chmod(&file, mode).map_err(BuildError::io("set the mode of", &file))?;
        ready.push(bind(file, &want.target, true));
        Ok(())
    }
}

impl StageRun<'_> {
    /// A socket that leads to the person's ssh agent, for the time of the step.
    fn agent(&self, want: &Wanted, ready: &mut Prepared) -> Result<(), BuildError> {
        let id = want.mount.id.as_deref().unwrap_or("default");
        let Some(agent) = self.build.request.ssh.get(id) else {
            if !want.mount.required {
                return Ok(());
            }
            return Err(self.fault_with(
                Diagnostic::error(
                    "no-ssh",
                    want.span,
                    format!("the step needs the ssh agent `{id}`, which was not given"),
                )
                .help(format!("give it with `--ssh {id}` (the agent of SSH_AUTH_SOCK) or `--ssh {id}=SOCKET`")),
            ));
        };
        let m = &want.mount;
        let owner = (m.uid.unwrap_or(0), m.gid.unwrap_or(0));
        let file = ready.secret_dir(&self.build.run_dir)?.join(format!("agent-{}", ready.mounts.len()));
        ready._agents.push(AgentSocket::open(&file, agent, owner, m.mode.unwrap_or(0o600))?);
        if !ready.env.iter().any(|e| e.starts_with("SSH_AUTH_SOCK=")) {
            ready.env.push(format!("SSH_AUTH_SOCK={}", want.target));
        }
        ready.push(bind(file, &want.target, false));
        Ok(())
    }
}

impl Prepared {
    fn push(&mut self, mount: StepMount) {
        self.targets.push(mount.target.clone());
        self.mounts.push(mount);
    }

    fn secret_dir(&mut self, run_dir: &Path) -> Result<PathBuf, BuildError> {
        if self._secrets.is_none() {
            self._secrets = Some(SecretDir::create(run_dir)?);
        }
        Ok(self._secrets.as_ref().map(|d| d.dir.clone()).unwrap_or_default())
    }
}

fn secret_id(mount: &Mount) -> String {
    let named = mount.id.clone().or_else(|| mount.source.clone());
    let from_target = || {
        let parts = split(mount.target.as_deref().unwrap_or_default().as_bytes());
        parts.last().map(|p| String::from_utf8_lossy(p).into_owned()).unwrap_or_default()
    };
    named.unwrap_or_else(from_target)
}

fn bind(source: PathBuf, target: &str, readonly: bool) -> StepMount {
    StepMount {
        kind: MountKind::Bind { source, recursive: false, idmapped: true },
        target: target.to_owned(),
        flags: MountFlags { readonly, nosuid: true, nodev: true, ..MountFlags::default() },
    }
}

fn make_dir(path: &Path, mode: u32) -> Result<(), BuildError> {
    fs::create_dir_all(path).map_err(BuildError::io("create directory", path))?;
    let mode = rustix::fs::Mode::from_raw_mode(mode);
    rustix::fs::chmod(path, mode).map_err(BuildError::io("set the mode of", path))
}
