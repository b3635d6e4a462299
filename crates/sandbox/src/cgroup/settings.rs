//! Settings by file, as the OCI runtime specification's `linux.resources` asks for them.

use std::path::Path;

use rustix::io::Errno;

use super::{Cgroup, failed, write};
use crate::error::Result;
use crate::{CgroupSetting, SandboxError};

impl Cgroup {
    /// Writes settings in order, in whichever hierarchy has the controller. One that the kernel finds out of order (a
    /// memory limit above the old limit of memory and swap) is tried again after the others.
    ///
    /// A running container gets a group in the hierarchy of a controller that it had no use for before.
    pub fn apply(&self, settings: &[CgroupSetting]) -> Result<()> {
        let mut later = Vec::new();
        for setting in settings {
            match self.set(setting) {
                Err(SandboxError::Cgroup { source: Errno::INVAL | Errno::BUSY, .. }) => later.push(setting),
                other => other?,
            }
        }
        later.into_iter().try_for_each(|setting| self.set(setting))
    }

    fn set(&self, setting: &CgroupSetting) -> Result<()> {
        let unsupported = |why: String| SandboxError::Unsupported { what: setting.name.clone(), why };
        let layout = &self.layout;
        let core = setting.v2_controller.is_empty();
        let in_v2 = layout.unified_controllers.contains(&setting.v2_controller) || (core && setting.v2.is_some());
        let (hierarchy, file) = if in_v2 {
            let file = setting.v2.as_ref().ok_or_else(|| unsupported("cgroup v2 has no such setting".to_owned()))?;
            (layout.unified.as_ref(), file)
        } else {
            let found = layout.v1.iter().find(|h| !setting.v1_controller.is_empty() && h.has(setting.v1_controller));
            let Some(hierarchy) = found else {
                let name = [setting.v1_controller, &setting.v2_controller].into_iter().find(|n| !n.is_empty());
                let name = name.unwrap_or("cgroup v2");
                return Err(unsupported(format!("this machine has no usable `{name}` cgroup controller for it")));
            };
            let file = setting.v1.as_ref();
            (Some(hierarchy), file.ok_or_else(|| unsupported("cgroup v1 has no such setting".to_owned()))?)
        };
        let hierarchy = hierarchy.ok_or_else(|| unsupported("no cgroup v2 tree is mounted".to_owned()))?;
        let dir = match self.existing().find(|(h, _)| std::ptr::eq(*h, hierarchy)) {
            Some((_, dir)) => dir,
            None => {
                let dir = self.make_in(hierarchy)?;
                for pid in self.pids()? {
                    match write(&dir.join("cgroup.procs"), &pid.to_string()) {
                        Ok(()) | Err(Errno::SRCH) => {}
                        Err(e) => return Err(failed("move a process to", &dir)(e)),
                    }
                }
                dir
            }
        };
        let (file, value) = file;
        if file.contains('/') || file.starts_with('.') {
            return Err(unsupported(format!("`{file}` is not the name of a control file")));
        }
        let path = dir.join(file);
        match write(&path, value) {
            Ok(()) => Ok(()),
            Err(Errno::NOENT) => Err(unsupported(format!("this kernel has no `{file}` in `{}`", dir.display()))),
            Err(e) => Err(failed("write the setting", &path)(e)),
        }
    }
}

/// A new group of the v1 cpuset controller has no processors and takes no process until it has some.
pub(super) fn inherit_cpuset(place: &Path, path: &str) {
    let read = |dir: &Path, file: &str| std::fs::read_to_string(dir.join(file)).unwrap_or_default();
    let mut above = place.to_path_buf();
    for part in path.split('/').filter(|p| !p.is_empty()) {
        let dir = above.join(part);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if dir.join("cgroup.procs").exists() && read(&dir, file).trim().is_empty() {
                // What cannot be inherited is noticed when the process joins.
                let _ = write(&dir.join(file), read(&above, file).trim());
            }
        }
        above = dir;
    }
}
