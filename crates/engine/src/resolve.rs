//! A request and an image become a specification. Pure: nothing is made or changed here.

use std::collections::BTreeMap;
use std::path::Path;

use stockade_image::Image;
use stockade_image::config::{ContainerConfig, Healthcheck};

use crate::error::EngineError;
use crate::request::CreateRequest;
use crate::spec::{ConfineSpec, HostSpec, MountSpec, MountType, SeccompChoice, Spec};
use crate::weaken::weakened;
use crate::{Level, NetMode, clock, plan, seccomp_file, signals};

/// Docker's PATH for images that set none.
pub(crate) const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Resolves everything that needs neither the disk nor other containers: names in [`NetMode::Container`] and
/// [`crate::spec::Shared::Container`] are ids already.
pub(crate) fn resolve(
    request: &CreateRequest,
    image: &Image,
    id: &str,
    own_state: &[&Path],
) -> Result<Spec, EngineError> {
    check(request)?;
    let config = &image.config.config;
    let (entrypoint, command) = command_line(request, config)?;
    let strict = request.level == Level::Strict;
    let network = request.network.clone().unwrap_or({
        // Strict has no network unless something is published.
        if strict && request.publish.is_empty() && !request.publish_all { NetMode::None } else { NetMode::Bridge }
    });
    if !request.publish.is_empty() && network != NetMode::Bridge {
        return Err(EngineError::usage(format!(
            "ports are published on the bridge only, and the network is `{network}`; leave out -p or use `--network bridge`"
        )));
    }
    let mut labels = config.labels.clone();
    labels.extend(request.labels.clone());
    let stop_signal = request.stop_signal.clone().or_else(|| config.stop_signal.clone()).unwrap_or_default();
    if !stop_signal.is_empty() {
        signals::parse(&stop_signal)?;
    }
    let cwd = request.workdir.clone().unwrap_or_else(|| config.working_dir.clone());
    if !cwd.is_empty() && !cwd.starts_with('/') {
        return Err(EngineError::usage(format!("the working directory `{cwd}` must be an absolute path")));
    }
    Ok(Spec {
        id: id.to_owned(),
        created: clock::now(),
        image: image.id.to_string(),
        image_name: request.image.clone(),
        lower: Vec::new(),
        entrypoint,
        command,
        env: environment(request, config),
        cwd,
        user: request.user.clone().unwrap_or_else(|| config.user.clone()),
        hostname: request.hostname.clone().unwrap_or_default(),
        domainname: request.domainname.clone().unwrap_or_default(),
        tty: request.tty,
        interactive: request.interactive,
        attach: request.attach.clone(),
        labels,
        stop_signal,
        stop_timeout: request.stop_timeout,
        health: health(request, config)?,
        exposed: exposed(request, config)?,
        image_volumes: config.volumes.keys().cloned().collect(),
        host: host(request, config, network)?,
        confine: confine(request, own_state)?,
    })
}

fn check(request: &CreateRequest) -> Result<(), EngineError> {
    if request.level == Level::Strict {
        let mut missing = Vec::new();
        if request.limits.memory_bytes.is_none() {
            missing.push("--memory");
        }
        if request.limits.pids.is_none() {
            missing.push("--pids-limit");
        }
        if !missing.is_empty() {
            return Err(EngineError::usage(format!("`--confine strict` must be given {}", missing.join(" and "))));
        }
    }
    if request.auto_remove && request.restart != crate::restart::RestartPolicy::No {
        return Err(EngineError::usage("--rm and --restart contradict each other; leave out one"));
    }
    if let Some(bytes) = request.limits.memory_bytes
        && bytes != 0
        && bytes < MIN_MEMORY_BYTES
    {
        return Err(EngineError::usage("--memory must be at least 6m"));
    }
    if let (Some(all), Some(memory)) = (request.limits.memory_swap_bytes, request.limits.memory_bytes)
        && all < memory
    {
        return Err(EngineError::usage(
            "--memory-swap counts memory and swap together, so it must not be below --memory",
        ));
    }
    if request.limits.memory_swap_bytes.is_some_and(|n| n != u64::MAX && n != 0)
        && request.limits.memory_bytes.is_none()
    {
        return Err(EngineError::usage("--memory-swap needs --memory beside it"));
    }
    if let Some(score) = request.oom_score_adj
        && !(-1000..=1000).contains(&score)
    {
        return Err(EngineError::usage(format!("--oom-score-adj {score} is outside -1000 to 1000")));
    }
    for (option, name) in [("--hostname", &request.hostname), ("--domainname", &request.domainname)] {
        // It goes into /etc/hosts and into prompts (gethostname(2): 64 bytes).
        let bad = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '#' | '/');
        if let Some(name) = name.as_deref().filter(|name| name.len() > 64 || name.contains(bad)) {
            let shown = name.escape_debug();
            return Err(EngineError::usage(format!(
                "{option} `{shown}` is no name of a host: up to 64 bytes, no blanks, control characters, `#` or `/`"
            )));
        }
    }
    if request.hostname.is_some() && request.uts_host {
        return Err(EngineError::usage("--hostname and --uts host contradict each other; leave out one"));
    }
    Ok(())
}

/// Docker's smallest memory limit: below it no program starts.
const MIN_MEMORY_BYTES: u64 = 6 << 20;

fn command_line(request: &CreateRequest, config: &ContainerConfig) -> Result<(Vec<String>, Vec<String>), EngineError> {
    let entrypoint = match &request.entrypoint {
        Some(own) if own.is_empty() => Vec::new(),
        Some(own) => vec![own.clone()],
        None => config.entrypoint.clone().unwrap_or_default(),
    };
    // The image's CMD are the arguments of the image's ENTRYPOINT: another entrypoint does not get them.
    let command = if !request.command.is_empty() {
        request.command.clone()
    } else if request.entrypoint.is_some() {
        Vec::new()
    } else {
        config.cmd.clone().unwrap_or_default()
    };
    if entrypoint.is_empty() && command.is_empty() {
        return Err(EngineError::usage(format!(
            "image `{}` names no command; give one after the image, such as `sh`",
            request.image
        )));
    }
    Ok((entrypoint, command))
}

/// Image's variables first, later ones replace earlier ones of the same name in place.
fn environment(request: &CreateRequest, config: &ContainerConfig) -> Vec<String> {
    let mut env: Vec<String> = Vec::new();
    let key = |pair: &str| pair.split_once('=').map_or(pair, |(k, _)| k).to_owned();
    let mut put = |pair: &str| {
        let name = key(pair);
        match env.iter_mut().find(|old| key(old) == name) {
            Some(old) => pair.clone_into(old),
            None => env.push(pair.to_owned()),
        }
    };
    put(DEFAULT_PATH);
    if request.tty {
        put("TERM=xterm");
    }
    for pair in config.env.iter().chain(&request.env) {
        put(pair);
    }
    env
}

fn exposed(request: &CreateRequest, config: &ContainerConfig) -> Result<Vec<String>, EngineError> {
    let mut ports: BTreeMap<String, ()> = BTreeMap::new();
    for text in config.exposed_ports.keys().chain(&request.expose) {
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let bad = || EngineError::usage(format!("`{text}` is no port to expose; write `80`, `80/udp` or `8000-8010`"));
        let (first, last): (u16, u16) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
        if first == 0 || last < first {
            return Err(bad());
        }
        for port in first..=last {
            ports.insert(format!("{port}/{}", protocol.to_ascii_lowercase()), ());
        }
    }
    for port in &request.publish {
        ports.insert(format!("{}/{}", port.container_port, port.protocol), ());
    }
    Ok(ports.into_keys().collect())
}

fn health(request: &CreateRequest, config: &ContainerConfig) -> Result<Option<Healthcheck>, EngineError> {
    if request.no_health {
        if request.health.is_some() {
            return Err(EngineError::usage("--no-healthcheck and --health-… contradict each other; leave out one"));
        }
        return Ok(None);
    }
    let mut health = config.healthcheck.clone().unwrap_or_default();
    if let Some(own) = &request.health {
        if !own.test.is_empty() {
            health.test.clone_from(&own.test);
        }
        for (target, value) in [
            (&mut health.interval, own.interval),
            (&mut health.timeout, own.timeout),
            (&mut health.start_period, own.start_period),
            (&mut health.start_interval, own.start_interval),
            (&mut health.retries, own.retries),
        ] {
            if value != 0 {
                *target = value;
            }
        }
    }
    let none = health.test.first().is_none_or(|t| t == "NONE");
    Ok((!none).then_some(health))
}

fn host(request: &CreateRequest, config: &ContainerConfig, network: NetMode) -> Result<HostSpec, EngineError> {
    Ok(HostSpec {
        network,
        publish: request.publish.clone(),
        publish_all: request.publish_all,
        dns: request.dns.clone(),
        dns_search: request.dns_search.clone(),
        dns_options: request.dns_options.clone(),
        extra_hosts: request.extra_hosts.clone(),
        mounts: mounts(request, config)?,
        limits: request.limits,
        restart: request.restart,
        auto_remove: request.auto_remove,
        init: request.init,
        ulimits: request.ulimits.clone(),
        shm_bytes: request.shm_bytes,
        sysctls: request.sysctls.clone(),
        devices: request.devices.clone(),
        group_add: request.group_add.clone(),
        oom_score_adj: request.oom_score_adj,
        log: request.log,
        detach_keys: request.detach_keys.clone(),
        cid_file: request.cid_file.clone(),
    })
}

/// The user's mounts, then an anonymous volume for each path that the image declares and nobody mounted.
/// Parents before children, so that one does not hide the other.
fn mounts(request: &CreateRequest, config: &ContainerConfig) -> Result<Vec<MountSpec>, EngineError> {
    let mut mounts = request.mounts.clone();
    for path in config.volumes.keys() {
        let path = clean(path);
        if path != "/" && !mounts.iter().any(|m| clean(&m.target) == path) {
            mounts.push(MountSpec { kind: MountType::Volume, target: path, anonymous: true, ..MountSpec::default() });
        }
    }
    for mount in &mut mounts {
        mount.target = clean(&mount.target);
        if mount.target == "/" {
            return Err(EngineError::usage("nothing can be mounted on `/` of a container"));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    for mount in &mounts {
        if !seen.insert(mount.target.clone()) {
            return Err(EngineError::usage(format!("two mounts have the same target `{}`", mount.target)));
        }
    }
    mounts.sort_by_key(|m| m.target.matches('/').count());
    Ok(mounts)
}

/// Without double and trailing slashes, and with `..` taken as text: inside the container nothing is above `/`.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

fn confine(request: &CreateRequest, own_state: &[&Path]) -> Result<ConfineSpec, EngineError> {
    let level = request.level;
    let mut confine = ConfineSpec {
        level,
        weakened: weakened(request, own_state),
        id_range: None,
        verify: request.verify,
        privileged: request.privileged,
        cap_add: request.cap_add.clone(),
        cap_drop: request.cap_drop.clone(),
        no_new_privileges: request.no_new_privileges.unwrap_or(level != Level::Compat && !request.privileged),
        seccomp: request.seccomp.clone(),
        system_paths_open: request.system_paths_open || request.privileged,
        read_only: request.read_only.unwrap_or(level == Level::Strict),
        pid: request.pid.clone(),
        ipc: request.ipc.clone(),
        uts_host: request.uts_host,
        cgroupns_host: request.cgroupns_host,
    };
    // Refuses unknown capability names now, not at the start.
    let capabilities = plan::capabilities(&confine, 0).map_err(|e| EngineError::usage(e.to_string()))?;
    if let Some((name, text)) = &request.seccomp_profile {
        confine.seccomp = SeccompChoice::Own(seccomp_file::read(name, text, capabilities).map_err(EngineError::usage)?);
    }
    Ok(confine)
}

/// Whether the container gets a user id range of its own.
pub(crate) fn wants_user_namespace(request: &CreateRequest) -> bool {
    // Without root, a container in the user's own namespace could change its mounts: each gets one below that.
    let always = stockade_sandbox::rootless::active().is_some();
    !request.userns_host && (always || (request.level != Level::Compat && !request.privileged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stockade_image::config::{Empty, ImageConfig};
    use stockade_image::{Descriptor, Digest, Manifest};

    fn image(config: ContainerConfig) -> Image {
        Image {
            id: Digest::of(b"config"),
            manifest_digest: Digest::of(b"manifest"),
            config: ImageConfig { config, ..ImageConfig::default() },
            manifest: manifest(),
            names: Vec::new(),
            size: 0,
            created: None,
        }
    }

    fn manifest() -> Manifest {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"x","config":{},"layers":[]}}"#,
            serde_json::to_string(&descriptor()).unwrap()
        );
        serde_json::from_str(&text).unwrap()
    }

    fn descriptor() -> Descriptor {
        let text = format!(r#"{{"mediaType":"x","digest":"{}","size":1}}"#, Digest::of(b"x"));
        serde_json::from_str(&text).unwrap()
    }

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    fn spec(request: &CreateRequest, config: ContainerConfig) -> Result<Spec, EngineError> {
        resolve(request, &image(config), &"a".repeat(64), &[])
    }

    fn web() -> ContainerConfig {
        ContainerConfig {
            entrypoint: Some(words(&["server"])),
            cmd: Some(words(&["--port", "80"])),
            env: words(&["A=image", "PATH=/own"]),
            user: "www".into(),
            exposed_ports: [("80/tcp".to_owned(), Empty {})].into(),
            volumes: [("/data".to_owned(), Empty {})].into(),
            ..ContainerConfig::default()
        }
    }

    #[test]
    fn entrypoint_and_command_follow_dockers_table() {
        let args = |request: CreateRequest| spec(&request, web()).unwrap().args().join(" ");
        assert_eq!(args(CreateRequest::default()), "server --port 80");
        assert_eq!(args(CreateRequest { command: words(&["-v"]), ..Default::default() }), "server -v");
        assert_eq!(
            args(CreateRequest { entrypoint: Some("sh".into()), command: words(&["-c", "x"]), ..Default::default() }),
            "sh -c x"
        );
        assert_eq!(args(CreateRequest { entrypoint: Some("sh".into()), ..Default::default() }), "sh");
        let cleared = CreateRequest { entrypoint: Some(String::new()), ..Default::default() };
        assert!(spec(&cleared, web()).unwrap_err().is_usage());
        assert!(spec(&CreateRequest::default(), ContainerConfig::default()).unwrap_err().is_usage());
    }

    #[test]
    fn variables_replace_earlier_ones_in_place() {
        let request = CreateRequest { env: words(&["A=mine", "B=2"]), tty: true, ..Default::default() };
        assert_eq!(spec(&request, web()).unwrap().env, ["PATH=/own", "TERM=xterm", "A=mine", "B=2"]);
    }

    #[test]
    fn image_volumes_are_anonymous_unless_mounted() {
        let made = spec(&CreateRequest::default(), web()).unwrap();
        assert!(matches!(made.host.mounts.as_slice(), [m] if m.anonymous && m.target == "/data"));
        let own = MountSpec {
            source: "named".into(),
            target: "/data/".into(),
            kind: MountType::Volume,
            ..MountSpec::default()
        };
        let request = CreateRequest { mounts: vec![own.clone()], ..Default::default() };
        let made = spec(&request, web()).unwrap();
        assert!(matches!(made.host.mounts.as_slice(), [m] if !m.anonymous && m.source == "named"));
        let twice = CreateRequest { mounts: vec![own.clone(), own], ..Default::default() };
        assert!(spec(&twice, web()).unwrap_err().is_usage());
    }

    #[test]
    fn strict_has_no_network_unless_something_is_published() {
        let limits = crate::spec::LimitSpec { memory_bytes: Some(64 << 20), pids: Some(9), ..Default::default() };
        let strict = CreateRequest { level: Level::Strict, limits, ..Default::default() };
        let made = spec(&strict, web()).unwrap();
        assert_eq!(made.host.network, NetMode::None);
        assert!(made.confine.read_only && made.confine.no_new_privileges);
        let published = CreateRequest { publish: vec!["80:80".parse().unwrap()], ..strict.clone() };
        assert_eq!(spec(&published, web()).unwrap().host.network, NetMode::Bridge);
        let unlimited = CreateRequest { limits: Default::default(), ..strict };
        let error = spec(&unlimited, web()).unwrap_err().to_string();
        assert!(error.contains("--memory") && error.contains("--pids-limit"), "{error}");
    }

    #[test]
    fn contradictions_are_usage_errors() {
        let port = || vec!["80:80".parse().unwrap()];
        for request in [
            CreateRequest { network: Some(NetMode::None), publish: port(), ..Default::default() },
            CreateRequest { workdir: Some("relative".into()), ..Default::default() },
            CreateRequest { stop_signal: Some("NOPE".into()), ..Default::default() },
            CreateRequest { expose: words(&["0"]), ..Default::default() },
            CreateRequest { cap_add: words(&["NO_SUCH"]), ..Default::default() },
            CreateRequest { oom_score_adj: Some(2000), ..Default::default() },
            CreateRequest { no_health: true, health: Some(Healthcheck::default()), ..Default::default() },
        ] {
            assert!(spec(&request, web()).unwrap_err().is_usage(), "{request:?}");
        }
    }

    #[test]
    fn paths_are_cleaned_as_text() {
        for (from, to) in [("/a//b/", "/a/b"), ("/a/../../b", "/b"), ("/", "/"), ("a/./b", "/a/b")] {
            assert_eq!(clean(from), to);
        }
    }
}
