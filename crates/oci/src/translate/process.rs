//! `process`: who runs what with which rights.

use std::path::Path;

use stockade_sandbox::{Capabilities, CapabilitySets, Process, ProcessExtra, Rlimit, Scheduler};

use crate::spec::{self, Linux, Spec};
use crate::{OciError, Result};

/// Translates a process. `linux` gives what belongs to all processes of a container. Warnings are added to `warnings`.
pub fn process(
    process: &spec::Process,
    linux: Option<&Linux>,
    terminal: (u16, u16),
    warnings: &mut Vec<String>,
) -> Result<Process> {
    refuse(process)?;
    let args = process.args.clone().unwrap_or_default();
    if args.is_empty() {
        return Err(OciError::config("process.args", "needs at least the program"));
    }
    if !process.cwd.starts_with('/') {
        return Err(OciError::config("process.cwd", format!("`{}` is not an absolute path", process.cwd)));
    }
    let size = process.console_size.map_or(terminal, |size| (size.width, size.height));
    Ok(Process {
        args,
        env: process.env.clone().unwrap_or_default(),
        cwd: process.cwd.clone(),
        uid: process.user.uid,
        gid: process.user.gid,
        groups: process.user.additional_gids.clone().unwrap_or_default(),
        umask: process.user.umask,
        capabilities: process.capabilities.as_ref().map_or_else(CapabilitySets::default, |c| sets(c, warnings)),
        no_new_privileges: process.no_new_privileges,
        rlimits: rlimits(process)?,
        oom_score_adj: process.oom_score_adj,
        terminal: process.terminal.then_some(size),
        extra: ProcessExtra {
            personality: linux.and_then(|l| l.personality.as_ref()).map(personality).transpose()?,
            scheduler: process.scheduler.as_ref().map(scheduler).transpose()?,
            io_priority: process.io_priority.as_ref().map(io_priority).transpose()?,
            label: label(process)?,
            ..ProcessExtra::default()
        },
    })
}

fn refuse(process: &spec::Process) -> Result<()> {
    if process.command_line.as_deref().is_some_and(|c| !c.is_empty()) {
        return Err(OciError::unsupported("process.commandLine", "it is for Windows; use process.args"));
    }
    if process.user.username.as_ref().is_some_and(|u| !u.is_null() && u.as_str() != Some("")) {
        return Err(OciError::unsupported("process.user.username", "it is for Windows; use uid and gid"));
    }
    Ok(())
}

/// Names that the kernel does not know are left out with a warning (`config.md`, "capabilities").
fn sets(names: &spec::Capabilities, warnings: &mut Vec<String>) -> CapabilitySets {
    let mut set = |list: &Option<Vec<String>>| {
        list.iter().flatten().fold(Capabilities::NONE, |set, name| match Capabilities::parse(name) {
            Ok(one) => set.with(one),
            Err(_) => {
                warnings.push(format!("capability `{name}` is unknown and left out"));
                set
            }
        })
    };
    let mut sets = CapabilitySets {
        bounding: set(&names.bounding),
        effective: set(&names.effective),
        permitted: set(&names.permitted),
        inheritable: set(&names.inheritable),
        ambient: set(&names.ambient),
    };
    let possible = Capabilities(sets.permitted.0 & sets.inheritable.0);
    let impossible = sets.ambient.without(possible);
    if impossible != Capabilities::NONE {
        let names = impossible.names().join(", ");
        warnings.push(format!("ambient capabilities {names} are left out: they are not permitted and inheritable"));
        sets.ambient = Capabilities(sets.ambient.0 & possible.0);
    }
    sets
}

fn rlimits(process: &spec::Process) -> Result<Vec<Rlimit>> {
    let mut limits: Vec<Rlimit> = Vec::new();
    for (at, limit) in process.rlimits.iter().flatten().enumerate() {
        let what = || format!("process.rlimits[{at}].type");
        let name = limit.kind.strip_prefix("RLIMIT_").map(str::to_ascii_lowercase);
        let name = name.ok_or_else(|| OciError::config(what(), format!("`{}` is not RLIMIT_…", limit.kind)))?;
        if limits.iter().any(|l| l.name == name) {
            return Err(OciError::config(what(), format!("`{}` is there twice", limit.kind)));
        }
        limits.push(Rlimit { name, soft: limit.soft, hard: limit.hard });
    }
    Ok(limits)
}

fn personality(personality: &spec::Personality) -> Result<u32> {
    if personality.flags.as_ref().is_some_and(|f| !f.is_empty()) {
        return Err(OciError::unsupported("linux.personality.flags", "the specification defines none; leave them out"));
    }
    match personality.domain.as_str() {
        "LINUX" => Ok(0),
        "LINUX32" => Ok(8),
        other => Err(OciError::config("linux.personality.domain", format!("`{other}` is neither LINUX nor LINUX32"))),
    }
}

fn scheduler(scheduler: &spec::Scheduler) -> Result<Scheduler> {
    let bad = |field: &str, value: &str| {
        OciError::config(format!("process.scheduler.{field}"), format!("`{value}` is unknown"))
    };
    let policy = match scheduler.policy.as_str() {
        "SCHED_OTHER" => 0,
        "SCHED_FIFO" => 1,
        "SCHED_RR" => 2,
        "SCHED_BATCH" => 3,
        "SCHED_ISO" => 4,
        "SCHED_IDLE" => 5,
        "SCHED_DEADLINE" => 6,
        other => return Err(bad("policy", other)),
    };
    let flag = |name: &String| match name.as_str() {
        "SCHED_FLAG_RESET_ON_FORK" => Ok(0x01),
        "SCHED_FLAG_RECLAIM" => Ok(0x02),
        "SCHED_FLAG_DL_OVERRUN" => Ok(0x04),
        "SCHED_FLAG_KEEP_POLICY" => Ok(0x08),
        "SCHED_FLAG_KEEP_PARAMS" => Ok(0x10),
        "SCHED_FLAG_UTIL_CLAMP_MIN" => Ok(0x20),
        "SCHED_FLAG_UTIL_CLAMP_MAX" => Ok(0x40),
        other => Err(bad("flags", other)),
    };
    let flags = scheduler.flags.iter().map(flag).try_fold(0, |all, one: Result<u64>| one.map(|bit| all | bit))?;
    Ok(Scheduler {
        policy,
        flags,
        nice: scheduler.nice,
        priority: u32::try_from(scheduler.priority).map_err(|_| bad("priority", &scheduler.priority.to_string()))?,
        runtime: scheduler.runtime,
        deadline: scheduler.deadline,
        period: scheduler.period,
    })
}

fn io_priority(priority: &spec::IoPriority) -> Result<u16> {
    const CLASS_SHIFT: u16 = 13;
    let class: u16 = match priority.class.as_str() {
        "IOPRIO_CLASS_RT" => 1,
        "IOPRIO_CLASS_BE" => 2,
        "IOPRIO_CLASS_IDLE" => 3,
        other => return Err(OciError::config("process.ioPriority.class", format!("`{other}` is unknown"))),
    };
    let level = u16::try_from(priority.priority).ok().filter(|p| *p < 8);
    let level = level.ok_or_else(|| OciError::config("process.ioPriority.priority", "must be 0 to 7"))?;
    Ok(class << CLASS_SHIFT | level)
}

/// What is to be written to /proc/self/attr/exec.
fn label(process: &spec::Process) -> Result<Option<String>> {
    let given = |value: &Option<String>| value.clone().filter(|v| !v.is_empty());
    let has = |file: &str| Path::new(file).exists();
    match (given(&process.apparmor_profile), given(&process.selinux_label)) {
        (Some(_), _) if !has("/sys/module/apparmor/parameters/enabled") => {
            Err(OciError::unsupported("process.apparmorProfile", "this kernel has no AppArmor; leave it out"))
        }
        (Some(profile), _) => Ok(Some(format!("exec {profile}"))),
        (None, Some(_)) if !has("/sys/fs/selinux/status") => {
            Err(OciError::unsupported("process.selinuxLabel", "this kernel has no SELinux; leave it out"))
        }
        (None, label) => Ok(label),
    }
}

/// The state that hooks read, up to the status: see [`stockade_sandbox::Hooks::state`].
pub fn state_text(spec: &Spec, id: &str, bundle: &Path) -> String {
    let state = serde_json::json!({
        "ociVersion": crate::SPEC_VERSION,
        "id": id,
        "bundle": bundle,
        "annotations": spec.annotations,
    });
    let text = state.to_string();
    text.strip_suffix('}').unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process_with(change: impl FnOnce(&mut spec::Process)) -> Result<(Process, Vec<String>)> {
        let mut spec = spec::Process { args: Some(vec!["sh".into()]), cwd: "/".into(), ..spec::Process::default() };
        change(&mut spec);
        let mut warnings = Vec::new();
        process(&spec, None, (80, 24), &mut warnings).map(|p| (p, warnings))
    }

    #[test]
    fn unknown_capabilities_are_warnings() {
        let (process, warnings) = process_with(|p| {
            p.capabilities = Some(spec::Capabilities {
                permitted: Some(vec!["CAP_KILL".into(), "CAP_MAGIC".into()]),
                ambient: Some(vec!["CAP_KILL".into()]),
                ..spec::Capabilities::default()
            });
        })
        .unwrap();
        assert_eq!(process.capabilities.permitted.names(), ["CAP_KILL"]);
        assert_eq!(process.capabilities.ambient, Capabilities::NONE);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
    }

    #[test]
    fn mistakes_are_named() {
        let error = |change: fn(&mut spec::Process)| process_with(change).unwrap_err().to_string();
        assert!(error(|p| p.args = None).contains("process.args"));
        assert!(error(|p| p.cwd = "tmp".into()).contains("process.cwd"));
        assert!(error(|p| p.rlimits = Some(vec![spec::Rlimit::default()])).contains("process.rlimits[0]"));
        let twice = |p: &mut spec::Process| {
            let limit = spec::Rlimit { kind: "RLIMIT_CORE".into(), soft: 1, hard: 1 };
            p.rlimits = Some(vec![limit.clone(), limit]);
        };
        assert!(error(twice).contains("twice"));
        let class = |p: &mut spec::Process| {
            p.io_priority = Some(spec::IoPriority { class: "IOPRIO_CLASS_BE".into(), priority: 9 });
        };
        assert!(error(class).contains("0 to 7"));
    }

    #[test]
    fn scheduling_and_priorities_have_the_kernels_numbers() {
        let (process, _) = process_with(|p| {
            p.io_priority = Some(spec::IoPriority { class: "IOPRIO_CLASS_IDLE".into(), priority: 4 });
            p.scheduler = Some(spec::Scheduler {
                policy: "SCHED_BATCH".into(),
                nice: 5,
                flags: vec!["SCHED_FLAG_RESET_ON_FORK".into()],
                ..spec::Scheduler::default()
            });
        })
        .unwrap();
        assert_eq!(process.extra.io_priority, Some(3 << 13 | 4));
        let scheduler = process.extra.scheduler.unwrap();
        assert_eq!((scheduler.policy, scheduler.nice, scheduler.flags), (3, 5, 1));
    }
}
