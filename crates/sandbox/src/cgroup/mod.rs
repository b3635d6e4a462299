//! Groups of processes with counters and limits: one interface over cgroup v1, v2 and hybrid machines.
//!
//! A container's group has the same relative path in every hierarchy in use. Which those are is decided per controller
//! from what is mounted (see [`layout`]): a controller in the v2 tree is used there, otherwise in its v1 hierarchy. The
//! v2 tree is always used when mounted, even without controllers: it kills and freezes groups at once, counts CPU time,
//! and a process can be born into it.

mod control;
mod create;
mod devices;
#[cfg(test)]
mod fake;
mod layout;
mod settings;
mod stats;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::io::Errno;

pub(crate) use create::{Membership, Request};
use layout::{Hierarchy, Layout};
pub use stats::Stats;

use crate::SandboxError;
use crate::error::{Result, errno};

/// How long [`Cgroup::remove`] and [`Cgroup::kill`] wait for dying processes to leave.
const PATIENCE: Duration = Duration::from_secs(10);

/// One container's group: the same relative path in every hierarchy that is used.
#[derive(Debug, Clone)]
pub struct Cgroup {
    path: String,
    layout: Arc<Layout>,
    /// Where the group is in each of the layout's hierarchies, looked up at most once: containers never move.
    dirs: OnceLock<Arc<[Option<PathBuf>]>>,
}

/// A directory of the group, for the container's view of it.
pub(crate) struct View {
    /// Controller names, the first being the hierarchy's; empty when this is the only hierarchy, a v2 tree.
    pub(crate) names: Vec<String>,
    pub(crate) dir: PathBuf,
}

impl Cgroup {
    /// The group at `path` relative to the hierarchies' roots, whether it exists or not.
    pub fn open(path: &str) -> Cgroup {
        Self::open_in(Layout::current(), path)
    }

    fn open_in(layout: Arc<Layout>, path: &str) -> Cgroup {
        // `..` would leave the hierarchy.
        let parts = path.split('/').filter(|p| !matches!(*p, "" | "." | ".."));
        Cgroup { path: parts.collect::<Vec<_>>().join("/"), layout, dirs: OnceLock::new() }
    }

    /// The group at `path` of a container whose first process is `pid`. Without root, groups are below the one in which
    /// the container was started, which need not be ours.
    pub fn of(path: &str, pid: i32) -> Cgroup {
        let group = Self::open(path);
        if crate::rootless::active().is_some() && !group.path.is_empty() {
            let memberships = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let found: Arc<[Option<PathBuf>]> = layout::Layout::of(&memberships)
                .hierarchies()
                .map(|h| h.own.clone().filter(|dir| dir.ends_with(&group.path)))
                .collect();
            if found.iter().any(Option::is_some) {
                let _ = group.dirs.set(found);
            }
        }
        group
    }

    /// Whether a limit that needs `controller` can be set on a new group.
    pub fn can_limit(controller: &str) -> bool {
        let layout = Layout::current();
        let Some((hierarchy, v2)) = layout.controller(controller) else { return false };
        if crate::rootless::active().is_none() {
            return true;
        }
        let writable =
            |dir: &Path| rustix::fs::access(dir, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
        hierarchy.places().any(|place| {
            let offered = !v2
                || read(&place.join("cgroup.controllers"))
                    .is_ok_and(|list| list.split_whitespace().any(|c| c == controller));
            offered && writable(place) && (!v2 || writable(&place.join("cgroup.procs")))
        })
    }

    /// The relative path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the group exists in any hierarchy, now.
    pub fn exists(&self) -> bool {
        self.layout.hierarchies().any(|h| find(h, &self.path).is_some())
    }

    /// The existing directories, in the order of the layout's hierarchies. A hierarchy may not let us make groups at its
    /// top (a container, a delegated subtree): they are below our own group then.
    fn dirs(&self) -> Arc<[Option<PathBuf>]> {
        if let Some(known) = self.dirs.get() {
            return Arc::clone(known);
        }
        let found: Arc<[Option<PathBuf>]> = self.layout.hierarchies().map(|h| find(h, &self.path)).collect();
        // A group that does not exist yet is looked for again next time.
        if found.iter().any(Option::is_some) {
            let _ = self.dirs.set(Arc::clone(&found));
        }
        found
    }

    /// Hierarchies in which the group exists, with its directory.
    fn existing(&self) -> impl Iterator<Item = (&Hierarchy, PathBuf)> {
        let dirs = self.dirs();
        self.layout.hierarchies().enumerate().filter_map(move |(at, h)| Some((h, dirs.get(at)?.clone()?)))
    }

    fn unified(&self) -> Option<PathBuf> {
        self.existing().find(|(h, _)| h.controllers.is_empty()).map(|(_, dir)| dir)
    }

    /// The directory that has `controller`, and whether it is a v2 one.
    fn with_controller(&self, controller: &str) -> Option<(PathBuf, bool)> {
        let (wanted, v2) = self.layout.controller(controller)?;
        self.existing().find(|(h, _)| std::ptr::eq(*h, wanted)).map(|(_, dir)| (dir, v2))
    }

    /// All directories of the group that exist.
    pub(crate) fn view(&self) -> Vec<View> {
        let alone = self.layout.v1.is_empty();
        self.existing()
            .map(|(h, dir)| {
                let names = match h.controllers.as_slice() {
                    _ if alone => Vec::new(),
                    [] => vec!["unified".to_owned()],
                    several => several.to_vec(),
                };
                View { names, dir }
            })
            .collect()
    }

    /// Ids of all processes in the group and below it.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        if let Some((_, dir)) = self.existing().next() {
            control::pids_below(&dir, &mut pids).map_err(failed("list processes", &dir))?;
        }
        Ok(pids)
    }

    /// Removes the group and those below it from every hierarchy. Not an error if it is gone. Processes that are just
    /// dying are waited for; a group that stays in use is an error with `EBUSY`.
    pub fn remove(&self) -> Result<()> {
        if self.path.is_empty() {
            return Ok(());
        }
        for hierarchy in self.layout.hierarchies() {
            for place in hierarchy.places() {
                let dir = place.join(&self.path);
                if !remove_group(&dir).map_err(failed("remove the group", &dir))? {
                    continue;
                }
                // Parents that this made empty, for example the directory of all containers.
                for parent in dir.ancestors().skip(1).take_while(|p| *p != place) {
                    if std::fs::remove_dir(parent).is_err() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

fn find(hierarchy: &Hierarchy, path: &str) -> Option<PathBuf> {
    hierarchy.places().map(|place| place.join(path)).find(|dir| dir.is_dir())
}

/// Groups directly below `prefix`, as paths for [`Cgroup::open`]; for garbage collection.
pub fn list_under(prefix: &str) -> Vec<String> {
    list_under_in(Layout::current(), prefix)
}

fn list_under_in(layout: Arc<Layout>, prefix: &str) -> Vec<String> {
    let parent = Cgroup::open_in(layout, prefix);
    let mut found = std::collections::BTreeSet::new();
    for dir in parent.layout.hierarchies().flat_map(Hierarchy::places).map(|place| place.join(&parent.path)) {
        found.extend(subgroups(&dir).iter().filter_map(|group| {
            let name = group.file_name()?.to_str()?;
            Some(if parent.path.is_empty() { name.to_owned() } else { format!("{}/{name}", parent.path) })
        }));
    }
    found.into_iter().collect()
}

fn subgroups(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

/// Whether there was one to remove.
fn remove_group(dir: &Path) -> Result<bool, Errno> {
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        match std::fs::remove_dir(dir) {
            Ok(()) => return Ok(true),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(false),
            // Groups below, or processes on their way out.
            Err(e) if e.kind() == ErrorKind::ResourceBusy && start.elapsed() < PATIENCE => {
                for group in subgroups(dir) {
                    remove_group(&group)?;
                }
                if !control::has_only_dying(dir) {
                    return Err(Errno::BUSY);
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(20));
            }
            Err(e) => return Err(errno(&e)),
        }
    }
}

fn failed<'p>(what: &'static str, path: &'p Path) -> impl FnOnce(Errno) -> SandboxError + 'p {
    move |source| SandboxError::Cgroup { what, path: path.to_owned(), source }
}

fn read(path: &Path) -> Result<String, Errno> {
    std::fs::read_to_string(path).map_err(|e| errno(&e))
}

/// Writes a control file, which exists already.
fn write(path: &Path, value: &str) -> Result<(), Errno> {
    let mut file = std::fs::OpenOptions::new().write(true).open(path).map_err(|e| errno(&e))?;
    std::io::Write::write_all(&mut file, value.as_bytes()).map_err(|e| errno(&e))
}

/// `key value` lines, as in memory.events.
fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.trim_start_matches([' ', '=']).trim().parse().ok())
}
