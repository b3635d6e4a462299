//! From typed flags to the engine's request.

use stockade_engine::CreateRequest;
use stockade_engine::spec::{LogOptions, SeccompChoice};
use stockade_image::config::Healthcheck;
use stockade_network::parse_publish;

use super::flags::{ContainerFlags, HealthFlags};
use super::{env, mounts, refused, values};
use crate::failure::Failure;
use crate::output;

/// Resolves what the flags say. `image_and_command` is never empty (clap).
pub fn request(flags: &ContainerFlags, image_and_command: &[String]) -> Result<CreateRequest, Failure> {
    let (image, command) = match image_and_command {
        [image, command @ ..] => (image, command),
        [] => return Err(Failure::usage("the image is missing")),
    };
    if image.starts_with('-') {
        return Err(Failure::usage(refused::explain(image, KNOWN)));
    }
    platform(flags.platform.as_deref())?;
    let mut publish = Vec::new();
    for text in &flags.network.publish {
        publish.extend(parse_publish(text).map_err(|e| Failure::from(e).with_exit(crate::failure::Exit::USAGE))?);
    }
    let mut all_mounts = Vec::new();
    for text in &flags.storage.volume {
        all_mounts.push(mounts::volume(text)?);
    }
    for text in &flags.storage.mount {
        all_mounts.push(mounts::mount(text)?);
    }
    for text in &flags.storage.tmpfs {
        all_mounts.push(mounts::tmpfs(text)?);
    }
    let mut request = CreateRequest {
        image: image.clone(),
        name: flags.name.clone(),
        command: command.to_vec(),
        entrypoint: flags.entrypoint.clone(),
        env: env::environment(&flags.env_file, &flags.env)?,
        workdir: flags.workdir.clone(),
        user: flags.user.clone(),
        hostname: flags.hostname.clone(),
        domainname: flags.domainname.clone(),
        tty: flags.tty,
        interactive: flags.interactive,
        attach: flags.attach.iter().map(|s| s.to_ascii_lowercase()).collect(),
        labels: env::labels(&flags.label_file, &flags.label)?,
        network: flags.network.network.clone(),
        publish,
        publish_all: flags.network.publish_all,
        expose: flags.network.expose.clone(),
        dns: flags.network.dns.clone(),
        dns_search: flags.network.dns_search.clone(),
        dns_options: flags.network.dns_option.clone(),
        extra_hosts: flags.network.add_host.clone(),
        mounts: all_mounts,
        limits: values::limits(&flags.resources)?,
        restart: flags.restart,
        auto_remove: flags.rm,
        init: flags.init,
        stop_signal: flags.stop_signal.clone(),
        stop_timeout: flags.stop_timeout,
        health: health(&flags.health)?,
        no_health: flags.health.no_healthcheck,
        shm_bytes: flags.storage.shm_size.as_deref().map(|t| values::bytes("--shm-size", t)).transpose()?,
        group_add: flags.confine.group_add.clone(),
        oom_score_adj: flags.resources.oom_score_adj,
        log: log(flags)?,
        detach_keys: flags.detach_keys.clone(),
        cid_file: flags.cidfile.clone().unwrap_or_default(),
        level: flags.confine.confine,
        privileged: flags.confine.privileged,
        cap_add: flags.confine.cap_add.clone(),
        cap_drop: flags.confine.cap_drop.clone(),
        read_only: flags.storage.read_only.then_some(true),
        userns_host: values::host_only("--userns", flags.confine.userns.as_deref())?,
        pid: values::shared("--pid", flags.confine.pid.as_deref())?,
        ipc: values::shared("--ipc", flags.confine.ipc.as_deref())?,
        uts_host: values::host_only("--uts", flags.confine.uts.as_deref())?,
        cgroupns_host: values::host_only("--cgroupns", flags.confine.cgroupns.as_deref())?,
        ..CreateRequest::default()
    };
    for text in &flags.resources.ulimit {
        request.ulimits.push(values::ulimit(text)?);
    }
    for text in &flags.resources.sysctl {
        let (name, value) = values::sysctl(text)?;
        request.sysctls.insert(name, value);
    }
    for text in &flags.storage.device {
        request.devices.push(values::device(text)?);
    }
    for name in [&flags.confine.runtime, &flags.confine.isolation].into_iter().flatten() {
        stockade_engine::check_runtime(name)?;
    }
    for text in &flags.confine.security_opt {
        security_option(text, &mut request)?;
    }
    Ok(request)
}

/// Long names for "did you mean".
const KNOWN: &[&str] = &[
    "add-host",
    "attach",
    "cap-add",
    "cap-drop",
    "cgroupns",
    "cidfile",
    "confine",
    "cpu-period",
    "cpu-quota",
    "cpu-shares",
    "cpus",
    "detach",
    "detach-keys",
    "device",
    "dns",
    "dns-option",
    "dns-search",
    "domainname",
    "entrypoint",
    "env",
    "env-file",
    "expose",
    "group-add",
    "health-cmd",
    "health-interval",
    "health-retries",
    "health-start-interval",
    "health-start-period",
    "health-timeout",
    "help",
    "hostname",
    "init",
    "interactive",
    "ipc",
    "isolation",
    "label",
    "label-file",
    "log-driver",
    "log-opt",
    "memory",
    "memory-reservation",
    "memory-swap",
    "mount",
    "name",
    "network",
    "no-healthcheck",
    "oom-score-adj",
    "pid",
    "pids-limit",
    "platform",
    "privileged",
    "publish",
    "publish-all",
    "pull",
    "quiet",
    "read-only",
    "restart",
    "rm",
    "runtime",
    "security-opt",
    "shm-size",
    "sig-proxy",
    "stop-signal",
    "stop-timeout",
    "sysctl",
    "tmpfs",
    "tty",
    "ulimit",
    "user",
    "userns",
    "uts",
    "verify-image",
    "volume",
    "workdir",
];

fn platform(asked: Option<&str>) -> Result<(), Failure> {
    let Some(asked) = asked else { return Ok(()) };
    let own = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let arch = asked.strip_prefix("linux/").unwrap_or(asked);
    let arch = match arch {
        "x86_64" => "amd64",
        "aarch64" | "arm64/v8" => "arm64",
        other => other,
    };
    if arch == own {
        return Ok(());
    }
    Err(Failure::usage(format!("--platform {asked}: this machine runs linux/{own} only; leave the option out")))
}

fn log(flags: &ContainerFlags) -> Result<LogOptions, Failure> {
    let mut log = LogOptions { none: flags.log_driver == "none", ..LogOptions::default() };
    for option in &flags.log_opt {
        match option.split_once('=') {
            Some(("max-size", value)) => log.max_bytes = values::bytes("--log-opt max-size", value)?.max(1),
            Some(("max-file", value)) => {
                let files = value.parse().ok().filter(|n| (1..=1000).contains(n));
                log.max_files =
                    files.ok_or_else(|| Failure::usage(format!("--log-opt max-file: `{value}` is not 1 to 1000")))?;
            }
            _ => {
                return Err(Failure::usage(format!(
                    "--log-opt {option} is not supported; use max-size=10m and max-file=3"
                )));
            }
        }
    }
    Ok(log)
}

fn health(flags: &HealthFlags) -> Result<Option<Healthcheck>, Failure> {
    let time = |option: &str, text: &Option<String>| text.as_deref().map_or(Ok(0), |t| values::nanoseconds(option, t));
    let health = Healthcheck {
        test: flags.health_cmd.iter().flat_map(|c| ["CMD-SHELL".to_owned(), c.clone()]).collect(),
        interval: time("--health-interval", &flags.health_interval)?,
        timeout: time("--health-timeout", &flags.health_timeout)?,
        start_period: time("--health-start-period", &flags.health_start_period)?,
        start_interval: time("--health-start-interval", &flags.health_start_interval)?,
        retries: flags.health_retries.unwrap_or(0),
    };
    Ok((health != Healthcheck::default()).then_some(health))
}

fn security_option(text: &str, request: &mut CreateRequest) -> Result<(), Failure> {
    let (key, value) = text.split_once('=').or_else(|| text.split_once(':')).unwrap_or((text, ""));
    match (key, value) {
        ("no-new-privileges", "" | "true") => request.no_new_privileges = Some(true),
        ("no-new-privileges", "false") => request.no_new_privileges = Some(false),
        ("seccomp", "unconfined") => request.seccomp = SeccompChoice::Unconfined,
        ("seccomp", "builtin" | "default") => request.seccomp = SeccompChoice::Level,
        ("seccomp", path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|e| Failure::usage(format!("--security-opt {text}: cannot read `{path}`: {e}")))?;
            if text.len() > stockade_engine::seccomp_file::MAX_BYTES {
                return Err(Failure::usage(format!("--security-opt: `{path}` is too long for a seccomp profile")));
            }
            request.seccomp_profile = Some((path.to_owned(), text));
        }
        ("systempaths", "unconfined") => request.system_paths_open = true,
        ("apparmor", _) if !std::path::Path::new("/sys/kernel/security/apparmor").exists() => {
            output::warn(&format!("--security-opt {text} does nothing here: this kernel has no AppArmor"));
        }
        ("label", _) if !std::path::Path::new("/sys/fs/selinux/enforce").exists() => {
            output::warn(&format!("--security-opt {text} does nothing here: this host has no SELinux"));
        }
        _ => {
            return Err(Failure::usage(format!(
                "--security-opt {text} is not supported; use no-new-privileges, seccomp=FILE, seccomp=unconfined or systempaths=unconfined"
            )));
        }
    }
    Ok(())
}
