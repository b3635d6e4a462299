//! A configuration becomes a plan for the sandbox. Whatever cannot be honoured is refused by name, before anything is
//! made.

mod linux;
mod mounts;
mod process;
mod resources;
mod seccomp;

use std::path::Path;
use std::time::Duration;

use stockade_sandbox::{CgroupPlan, Extra, Hook, Hooks, Limits, Plan, Root, caps};

use crate::spec::{self, Spec};
use crate::{OciError, Result};

pub use mounts::option_names;
pub use process::{process, state_text};
pub use resources::settings;
pub use seccomp::{ACTIONS, ARCHITECTURES, FLAGS, OPERATORS, policy};

/// A plan, and what was noticed on the way.
#[derive(Debug)]
pub struct Translated {
    /// What the sandbox is to do.
    pub plan: Plan,
    /// For the log: what the specification says shall be a warning.
    pub warnings: Vec<String>,
}

/// Everything beside the configuration that the plan needs.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The bundle's directory, absolute.
    pub bundle: &'a Path,
    /// Size of the terminal if the configuration has none: columns, rows.
    pub terminal: (u16, u16),
    /// How many descriptors after the standard streams are handed on.
    pub keep_descriptors: u32,
    /// Keep the session keyring.
    pub keep_keyring: bool,
}

/// Translates. `spec` must have a process.
pub fn plan(spec: &Spec, around: &Surroundings<'_>) -> Result<Translated> {
    refuse_other_platforms(spec)?;
    version(&spec.oci_version)?;
    let mut warnings = Vec::new();
    let none = spec::Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&none);
    linux::refuse(linux)?;
    let process = spec.process.as_ref().ok_or_else(|| OciError::config("process", "is missing"))?;
    let namespaces = linux::namespaces(linux)?;
    let id_map = linux::id_map(linux, &namespaces)?;
    let mut process = self::process(process, Some(linux), around.terminal, &mut warnings)?;
    process.extra.keep_descriptors = around.keep_descriptors;
    process.extra.keep_keyring = around.keep_keyring;
    let names = linux::names(spec, &namespaces)?;
    let (settings, device_rules) = match &linux.resources {
        Some(resources) => (resources::settings(resources)?, resources::device_rules(resources)?),
        None => (Vec::new(), Vec::new()),
    };
    let own_devices = spec.mounts.iter().any(|m| mounts::is_bind(m) && m.destination.trim_end_matches('/') == "/dev");
    let own_mounts = id_map.is_some() && process.capabilities.bounding.contains(caps::SYS_ADMIN);
    Ok(Translated {
        plan: Plan {
            id: around.id.to_owned(),
            root: root(spec, around.bundle)?,
            mounts: mounts::mounts(&spec.mounts, around.bundle)?,
            namespaces,
            id_map,
            hostname: names.0,
            domainname: names.1,
            process,
            masked_paths: linux.masked_paths.clone().unwrap_or_default(),
            readonly_paths: linux.readonly_paths.clone().unwrap_or_default(),
            devices: Vec::new(),
            sysctls: linux.sysctl.iter().map(|(name, value)| (dotted(name), value.clone())).collect(),
            cgroup: CgroupPlan { path: cgroup_path(linux, around.id), limits: Limits::default() },
            seccomp: linux.seccomp.as_ref().map(seccomp::policy).transpose()?,
            landlock: false,
            init: false,
            extra: Extra {
                furnish_dev: !own_devices,
                nodes: linux::nodes(linux)?,
                time_offsets: linux::time_offsets(linux)?,
                root_propagation: linux::root_propagation(linux)?,
                own_mounts,
                hooks: hooks(spec, around)?,
                settings,
                // A user namespace of a user can make no node, and opens those of the host as the user may.
                device_rules: Some(device_rules).filter(|_| stockade_sandbox::rootless::active().is_none()),
                gate: None,
            },
        },
        warnings,
    })
}

/// Hooks to run while the container is made.
fn hooks(spec: &Spec, around: &Surroundings<'_>) -> Result<Hooks> {
    let Some(hooks) = &spec.hooks else { return Ok(Hooks::default()) };
    let list = |name: &str, list: &Option<Vec<spec::Hook>>| self::hook_list(name, list.as_deref());
    let mut create_runtime = list("prestart", &hooks.prestart)?;
    create_runtime.extend(list("createRuntime", &hooks.create_runtime)?);
    // Checked now: an error after the container has run helps nobody.
    list("poststart", &hooks.poststart)?;
    list("poststop", &hooks.poststop)?;
    Ok(Hooks {
        create_runtime,
        create_container: list("createContainer", &hooks.create_container)?,
        start_container: list("startContainer", &hooks.start_container)?,
        state: state_text(spec, around.id, around.bundle),
    })
}

/// Hooks as the sandbox runs them.
pub fn hook_list(name: &str, hooks: Option<&[spec::Hook]>) -> Result<Vec<Hook>> {
    let hook = |(at, hook): (usize, &spec::Hook)| {
        let what = |field: &str| format!("hooks.{name}[{at}].{field}");
        if !hook.path.starts_with('/') {
            return Err(OciError::config(what("path"), "must be an absolute path"));
        }
        let timeout = match hook.timeout {
            None => None,
            Some(seconds) => match u64::try_from(seconds) {
                Ok(seconds) if seconds > 0 => Some(Duration::from_secs(seconds)),
                _ => return Err(OciError::config(what("timeout"), "must be greater than zero")),
            },
        };
        Ok(Hook {
            path: hook.path.clone().into(),
            args: hook.args.clone().unwrap_or_default(),
            env: hook.env.clone().unwrap_or_default(),
            timeout,
        })
    };
    hooks.unwrap_or_default().iter().enumerate().map(hook).collect()
}

fn root(spec: &Spec, bundle: &Path) -> Result<Root> {
    let root = spec.root.as_ref().ok_or_else(|| OciError::config("root", "is missing"))?;
    if root.path.is_empty() {
        return Err(OciError::config("root.path", "is empty"));
    }
    let path = bundle.join(&root.path);
    if !path.is_dir() {
        return Err(OciError::config("root.path", format!("is not a directory: {}", path.display())));
    }
    Ok(Root::Bundle { path, readonly: root.readonly })
}

/// Relative to the root of each hierarchy.
pub(crate) fn cgroup_path(linux: &spec::Linux, id: &str) -> String {
    match linux.cgroups_path.as_deref() {
        Some(path) if !path.trim_matches('/').is_empty() => path.trim_matches('/').to_owned(),
        // Directly below the top: a directory for all of them would be made and removed with each.
        _ => format!("stockade-oci-{id}"),
    }
}

/// `net/ipv4/ip_forward` is another way to write `net.ipv4.ip_forward`.
fn dotted(name: &str) -> String {
    match (name.find('.'), name.find('/')) {
        (None, Some(_)) => name.replace('/', "."),
        _ => name.to_owned(),
    }
}

fn refuse_other_platforms(spec: &Spec) -> Result<()> {
    for (name, value) in [("windows", &spec.windows), ("solaris", &spec.solaris), ("vm", &spec.vm), ("zos", &spec.zos)]
    {
        if value.as_ref().is_some_and(|v| !v.is_null()) {
            return Err(OciError::unsupported(name, "this is a runtime for Linux containers; leave it out"));
        }
    }
    Ok(())
}

/// The version must be one of the first major version (`config.md`, "Specification version").
fn version(version: &str) -> Result<()> {
    let bad = |why: &str| Err(OciError::config("ociVersion", format!("`{version}` {why}")));
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Option<Vec<u64>> = core.split('.').map(|n| n.parse().ok()).collect();
    match numbers.as_deref() {
        Some([1, _, _]) => Ok(()),
        Some([_, _, _]) => bad("is a version of the specification that is not supported; 1.x is"),
        _ => bad("is not a semantic version"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_first_major_one_are_taken() {
        for good in ["1.0.0", "1.0.2-dev", "1.2.0", "1.99.3+x"] {
            version(good).unwrap();
        }
        for bad in ["", "1", "1.0", "2.0.0", "0.9.0", "x.y.z"] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sysctl_names_may_be_written_as_paths() {
        assert_eq!(dotted("net/ipv4/conf/eth0.1/mtu"), "net/ipv4/conf/eth0.1/mtu");
        assert_eq!(dotted("net/ipv4/ip_forward"), "net.ipv4.ip_forward");
        assert_eq!(dotted("net.core.somaxconn"), "net.core.somaxconn");
    }

    #[test]
    fn other_platforms_are_refused_by_name() {
        let spec = Spec { oci_version: "1.0.0".into(), vm: Some(serde_json::json!({})), ..Spec::default() };
        let around = Surroundings {
            id: "x",
            bundle: Path::new("/"),
            terminal: (0, 0),
            keep_descriptors: 0,
            keep_keyring: false,
        };
        assert!(plan(&spec, &around).unwrap_err().to_string().contains("`vm`"));
    }
}
