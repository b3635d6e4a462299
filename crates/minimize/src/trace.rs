//! Runs commands in a plain root and tells which of its files were opened, by their access times.
//!
//! The kernel notes when a file was read, executed or mapped, a link followed, a directory listed. Under `relatime` it
//! does so whenever the last access lies before the last change, so a time long ago is always replaced. What is only
//! looked at (`stat(2)`) leaves no trace.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};

use rustix::fs::{AtFlags, CWD, StatVfsMountFlags, Timespec, Timestamps, UTIME_OMIT, statvfs, utimensat};
use stockade_engine::{Cancel, Engine, EngineError, StepRequest, StepStream};
use stockade_image::config::ContainerConfig;

use crate::Request;
use crate::error::MinimizeError;

/// The access time of what was not opened: one second after 1970 began.
const LONG_AGO: i64 = 1;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with exit code 0.
    Done,
    /// It was still running at the end of its time.
    Stopped,
    /// With another exit code. Only of a trial run: a traced run that fails is an error.
    Failed(i32),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Done => f.write_str("ended well"),
            Ending::Stopped => f.write_str("ran until it was stopped"),
            Ending::Failed(code) => write!(f, "failed with exit code {code}"),
        }
    }
}

/// Runs commands of one image.
pub struct Runner<'r> {
    pub engine: &'r Engine,
    pub config: &'r ContainerConfig,
    pub request: &'r Request,
}

impl Runner<'_> {
    /// Runs a command in `root` as a container of the image would, until it ends or its time is over.
    pub fn run(
        &self,
        command: &[String],
        root: &Path,
        out: &mut dyn FnMut(StepStream, &[u8]),
    ) -> Result<Ending, MinimizeError> {
        let shown = || command.join(" ");
        let start = |source| MinimizeError::Start { command: shown(), source };
        let cancel = Cancel::new().map_err(start)?;
        let step = StepRequest {
            upper: root.to_owned(),
            args: command.to_vec(),
            env: self.environment(root),
            cwd: self.config.working_dir.clone(),
            user: self.config.user.clone(),
            hostname: "stockade-trace".to_owned(),
            network: self.request.network.clone(),
            level: self.request.level,
            cancel: Some(Arc::clone(&cancel)),
            ..StepRequest::default()
        };
        let (done, waiting) = channel::<()>();
        let limit = self.request.limit;
        let result = std::thread::scope(|scope| {
            scope.spawn(move || {
                if waiting.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                    cancel.cancel();
                }
            });
            let result = self.engine.run_step(&step, out);
            drop(done);
            result
        });
        match result {
            Ok(0) => Ok(Ending::Done),
            Err(EngineError::Cancelled) => Ok(Ending::Stopped),
            Ok(code) => Ok(Ending::Failed(code)),
            Err(source) => Err(start(source)),
        }
    }

    /// The image's environment, with the HOME that a container would have.
    fn environment(&self, root: &Path) -> Vec<String> {
        let mut env = self.config.env.clone();
        if !env.iter().any(|variable| variable.starts_with("HOME=")) {
            let spec = if self.config.user.is_empty() { "0" } else { &self.config.user };
            if let Ok(user) = stockade_sandbox::resolve_user_in(&[root.to_owned()], spec) {
                env.push(format!("HOME={}", user.home));
            }
        }
        env
    }
}

/// Sets the access times of everything in `root`.
pub fn age(root: &Path) -> Result<(), MinimizeError> {
    let mounted = statvfs(root).map_err(|e| MinimizeError::on("look at", root)(e.into()))?;
    if mounted.f_flag.intersects(StatVfsMountFlags::NOATIME | StatVfsMountFlags::NODIRATIME) {
        return Err(MinimizeError::NoAccessTimes { path: root.to_owned() });
    }
    let times = Timestamps {
        last_access: Timespec { tv_sec: LONG_AGO, tv_nsec: 0 },
        last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    };
    walk(root, &mut |path, _| {
        utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|e| MinimizeError::on("set the time of", path)(e.into()))
    })
}

/// Paths below `root` that were opened since [`age`].
pub fn touched(root: &Path) -> Result<BTreeSet<PathBuf>, MinimizeError> {
    let mut found = BTreeSet::new();
    walk(root, &mut |path, accessed| {
        if accessed != LONG_AGO
            && let Ok(path) = path.strip_prefix(root)
        {
            found.insert(path.to_owned());
        }
        Ok(())
    })?;
    Ok(found)
}

/// Calls `see` with every path below `root` and its access time, which the walk itself has not changed yet; with a
/// directory after all that is in it.
fn walk(root: &Path, see: &mut dyn FnMut(&Path, i64) -> Result<(), MinimizeError>) -> Result<(), MinimizeError> {
    let entries = fs::read_dir(root).map_err(MinimizeError::on("read", root))?;
    for entry in entries {
        let path = entry.map_err(MinimizeError::on("read", root))?.path();
        let meta = fs::symlink_metadata(&path).map_err(MinimizeError::on("look at", &path))?;
        if meta.is_dir() {
            walk(&path, see)?;
        }
        see(&path, meta.atime())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_followed_or_listed_is_told_and_what_is_looked_at_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("listed")).unwrap();
        fs::create_dir_all(at("plain")).unwrap();
        for name in ["read", "looked", "plain/target"] {
            fs::write(at(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("plain/target", at("link")).unwrap();
        match age(dir.path()) {
            Err(MinimizeError::NoAccessTimes { .. }) => return,
            other => other.unwrap(),
        }
        assert_eq!(touched(dir.path()).unwrap(), BTreeSet::new());
        age(dir.path()).unwrap();
        fs::read(at("read")).unwrap();
        fs::read(at("link")).unwrap();
        fs::metadata(at("looked")).unwrap();
        assert_eq!(fs::read_dir(at("listed")).unwrap().count(), 0);
        let found: Vec<String> = touched(dir.path()).unwrap().iter().map(|p| p.display().to_string()).collect();
        assert_eq!(found, ["link", "listed", "plain/target", "read"]);
    }
}
