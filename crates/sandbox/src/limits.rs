//! Resource limits and the out-of-memory score of a new process, set from outside.

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit as Limit, prlimit};

use crate::error::{Result, errno};
use crate::{Process, Rlimit, SandboxError};

/// Sets the limits of `process` on the process `pid`, which has not run anything of the container's yet.
pub(crate) fn apply(pid: i32, process: &Process) -> Result<()> {
    for limit in &process.rlimits {
        set(pid, limit).map_err(|source| SandboxError::Rlimit { name: limit.name.clone(), source })?;
    }
    if let Some(score) = process.oom_score_adj {
        let path = format!("/proc/{pid}/oom_score_adj");
        std::fs::write(&path, score.to_string())
            .map_err(|e| SandboxError::path("lower or raise the score in", path)(errno(&e)))?;
    }
    Ok(())
}

fn set(pid: i32, limit: &Rlimit) -> Result<(), Errno> {
    let resource = resource(&limit.name).ok_or(Errno::INVAL)?;
    // The kernel's RLIM_INFINITY is the largest number; rustix says None.
    let bound = |value: u64| (value != u64::MAX).then_some(value);
    let new = Limit { current: bound(limit.soft), maximum: bound(limit.hard) };
    prlimit(Pid::from_raw(pid), resource, new).map(drop)
}

/// The resource by its `RLIMIT_` name in lower case (getrlimit(2)).
pub(crate) fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::As,
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return None,
    })
}
