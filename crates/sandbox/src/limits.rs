//! Resource limits and the out-of-memory score of a new process, set from outside.

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit as Limit, prlimit};

use crate::error::{Result, errno};
use crate::sys::task;
use crate::{Process, Rlimit, SandboxError};

/// Whether there is anything for [`apply`] to do.
pub(crate) fn any(process: &Process) -> bool {
    let extra = &process.extra;
    !process.rlimits.is_empty()
        || process.oom_score_adj.is_some()
        || extra.scheduler.is_some()
        || extra.io_priority.is_some()
        || !extra.processors.is_empty()
}

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
    let extra = &process.extra;
    if !extra.processors.is_empty() {
        let mut set = rustix::thread::CpuSet::new();
        for number in extra.processors.iter().filter(|n| (**n as usize) < rustix::thread::CpuSet::MAX_CPU) {
            set.set(*number as usize);
        }
        rustix::thread::sched_setaffinity(Pid::from_raw(pid), &set)
            .map_err(SandboxError::system("set the processors of the new process"))?;
    }
    if let Some(scheduler) = &extra.scheduler {
        task::set_scheduler(pid, scheduler).map_err(SandboxError::system("set the scheduling of the new process"))?;
    }
    if let Some(priority) = extra.io_priority {
        task::set_io_priority(pid, priority)
            .map_err(SandboxError::system("set the I/O priority of the new process"))?;
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
