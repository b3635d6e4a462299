//! `inspect`: a container in docker's field names, with ours under `Stockade`.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Map, Value, json};
use stockade_network::PortMapping;

use crate::error::EngineError;
use crate::monitor::HealthState;
use crate::plan::{capabilities, host_memory_bytes, seccomp_policy};
use crate::record::{Record, Status};
use crate::spec::{MountType, SeccompChoice, Shared, Spec};
use crate::{Engine, Level, volume};

impl Engine {
    /// A container as `docker inspect` shows it. `size` adds the bytes of its own layer.
    pub fn inspect(&self, name: &str, size: bool) -> Result<Value, EngineError> {
        let record = self.find(name)?;
        let mut value = self.describe(&record)?;
        if size && let Some(object) = value.as_object_mut() {
            let own = crate::disk_bytes(&self.container(&record.spec.id).upper());
            object.insert("SizeRw".into(), json!(own));
        }
        Ok(value)
    }

    /// What the last health checks said; `None` without a health check.
    pub fn health(&self, record: &Record) -> Option<HealthState> {
        record.spec.health.as_ref()?;
        if !record.state.status.is_live() {
            return None;
        }
        let bytes = fs::read(self.container(&record.spec.id).health()).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn describe(&self, record: &Record) -> Result<Value, EngineError> {
        let spec = &record.spec;
        let paths = self.container(&spec.id);
        let args = spec.args();
        let (path, rest) = args.split_first().map_or((String::new(), Vec::new()), |(p, r)| (p.clone(), r.to_vec()));
        Ok(json!({
            "Id": spec.id,
            "Created": spec.created,
            "Path": path,
            "Args": rest,
            "State": self.state(record),
            "Image": spec.image,
            "ResolvConfPath": paths.resolv_conf(),
            "HostnamePath": paths.hostname(),
            "HostsPath": paths.hosts(),
            "LogPath": if spec.host.log.none { String::new() } else { paths.log().display().to_string() },
            "Name": format!("/{}", record.name),
            "RestartCount": record.state.restart_count,
            "Driver": "overlay",
            "Platform": "linux",
            "MountLabel": "",
            "ProcessLabel": "",
            "AppArmorProfile": "",
            "ExecIDs": null,
            "HostConfig": host_config(spec),
            "GraphDriver": {
                "Name": "overlay",
                "Data": {
                    "LowerDir": spec.lower.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(":"),
                    "UpperDir": paths.upper(),
                    "WorkDir": paths.work(),
                },
            },
            "Mounts": self.mounts(spec),
            "Config": config(spec),
            "NetworkSettings": network(record),
            "Stockade": confinement(record)?,
        }))
    }

    fn state(&self, record: &Record) -> Value {
        let state = &record.state;
        let mut value = json!({
            "Status": state.status.name(),
            "Running": record.is_running(),
            "Paused": state.status == Status::Paused,
            "Restarting": state.status == Status::Restarting,
            "OOMKilled": state.oom_killed,
            "Dead": false,
            "Pid": state.pid,
            "ExitCode": state.exit_code,
            "Error": state.error,
            "StartedAt": state.started_at,
            "FinishedAt": state.finished_at,
        });
        if let (Some(health), Some(object)) = (self.health(record), value.as_object_mut()) {
            object.insert("Health".into(), serde_json::to_value(health).unwrap_or_default());
        }
        value
    }

    fn mounts(&self, spec: &Spec) -> Value {
        let mounts = spec.host.mounts.iter().map(|mount| {
            let mut object = Map::new();
            object.insert("Type".into(), mount.kind.name().into());
            let source = match mount.kind {
                MountType::Volume => {
                    object.insert("Name".into(), mount.source.clone().into());
                    volume::data(self.root(), &mount.source).display().to_string()
                }
                MountType::Bind => mount.source.clone(),
                MountType::Tmpfs => String::new(),
            };
            object.insert("Source".into(), source.into());
            object.insert("Destination".into(), mount.target.clone().into());
            if mount.kind == MountType::Volume {
                object.insert("Driver".into(), "local".into());
            }
            object.insert("Mode".into(), mount.options.clone().into());
            object.insert("RW".into(), (!mount.readonly).into());
            let propagation = match mount.kind {
                MountType::Bind if mount.propagation.is_empty() => "rprivate",
                _ => mount.propagation.as_str(),
            };
            object.insert("Propagation".into(), propagation.into());
            Value::Object(object)
        });
        Value::Array(mounts.collect())
    }
}

fn config(spec: &Spec) -> Value {
    let list = |list: &[String]| if list.is_empty() { Value::Null } else { json!(list) };
    let set = |keys: &[String]| {
        let map: Map<String, Value> = keys.iter().map(|k| (k.clone(), json!({}))).collect();
        if map.is_empty() { Value::Null } else { Value::Object(map) }
    };
    let attached = |name: &str| spec.attach.iter().any(|s| s == name);
    let mut value = json!({
        "Hostname": spec.hostname_in_force(),
        "Domainname": spec.domainname,
        "User": spec.user,
        "AttachStdin": attached("stdin"),
        "AttachStdout": attached("stdout"),
        "AttachStderr": attached("stderr"),
        "ExposedPorts": set(&spec.exposed),
        "Tty": spec.tty,
        "OpenStdin": spec.interactive,
        "StdinOnce": spec.interactive,
        "Env": spec.env,
        "Cmd": list(&spec.command),
        "Image": spec.image_name,
        "Volumes": set(&spec.image_volumes),
        "WorkingDir": spec.cwd,
        "Entrypoint": list(&spec.entrypoint),
        "Labels": spec.labels,
    });
    if let Some(object) = value.as_object_mut() {
        if !spec.stop_signal.is_empty() {
            object.insert("StopSignal".into(), spec.stop_signal.clone().into());
        }
        if let Some(seconds) = spec.stop_timeout {
            object.insert("StopTimeout".into(), seconds.into());
        }
        if let Some(health) = &spec.health {
            object.insert("Healthcheck".into(), serde_json::to_value(health).unwrap_or_default());
        }
    }
    value
}

fn host_config(spec: &Spec) -> Value {
    let host = &spec.host;
    let confine = &spec.confine;
    let limits = &host.limits;
    let binds: Vec<String> = host
        .mounts
        .iter()
        .filter(|m| m.kind != MountType::Tmpfs && !m.anonymous)
        .map(|m| format!("{}:{}{}", m.source, m.target, if m.readonly { ":ro" } else { "" }))
        .collect();
    let tmpfs: BTreeMap<&str, &str> = host
        .mounts
        .iter()
        .filter(|m| m.kind == MountType::Tmpfs)
        .map(|m| (m.target.as_str(), m.options.as_str()))
        .collect();
    let shared = |shared: &Shared, private: &str| match shared {
        Shared::Private => private.to_owned(),
        other => other.to_string(),
    };
    let swap = match limits.memory_swap_bytes {
        Some(u64::MAX) => json!(-1),
        other => json!(other.unwrap_or(0)),
    };
    json!({
        "Binds": if binds.is_empty() { Value::Null } else { json!(binds) },
        "ContainerIDFile": host.cid_file,
        "LogConfig": {
            "Type": if host.log.none { "none" } else { "json-file" },
            "Config": { "max-size": host.log.max_bytes.to_string(), "max-file": host.log.max_files.to_string() },
        },
        "NetworkMode": host.network.to_string(),
        "PortBindings": port_bindings(&host.publish),
        "RestartPolicy": { "Name": host.restart.name(), "MaximumRetryCount": host.restart.limit() },
        "AutoRemove": host.auto_remove,
        "CapAdd": null_if_empty(&confine.cap_add),
        "CapDrop": null_if_empty(&confine.cap_drop),
        "CgroupnsMode": if confine.cgroupns_host { "host" } else { "private" },
        "Dns": host.dns,
        "DnsOptions": host.dns_options,
        "DnsSearch": host.dns_search,
        "ExtraHosts": null_if_empty(&host.extra_hosts),
        "GroupAdd": null_if_empty(&host.group_add),
        "IpcMode": shared(&confine.ipc, "private"),
        "OomScoreAdj": host.oom_score_adj.unwrap_or(0),
        "PidMode": shared(&confine.pid, ""),
        "Privileged": confine.privileged,
        "PublishAllPorts": host.publish_all,
        "ReadonlyRootfs": confine.read_only,
        "SecurityOpt": security_options(spec),
        "Tmpfs": tmpfs,
        "UTSMode": if confine.uts_host { "host" } else { "" },
        "UsernsMode": if confine.id_range.is_none() { "host" } else { "private" },
        "ShmSize": host.shm_bytes.unwrap_or(stockade_sandbox::defaults::SHM_BYTES),
        "Sysctls": host.sysctls,
        "Runtime": "stockade",
        "CpuShares": limits.cpu_shares.unwrap_or(0),
        "Memory": limits.memory_bytes.unwrap_or(0),
        "MemorySwap": swap,
        "MemoryReservation": limits.memory_reservation_bytes.unwrap_or(0),
        "NanoCpus": limits.cpu_millis.unwrap_or(0).saturating_mul(1_000_000),
        "PidsLimit": limits.pids,
        "Devices": host.devices.iter().map(|(from, to, access)| {
            json!({ "PathOnHost": from, "PathInContainer": to, "CgroupPermissions": access })
        }).collect::<Vec<_>>(),
        "Ulimits": host.ulimits.iter().map(|(name, soft, hard)| {
            json!({ "Name": name, "Soft": signed(*soft), "Hard": signed(*hard) })
        }).collect::<Vec<_>>(),
        "Init": host.init,
    })
}

/// Docker writes "no limit" as -1.
fn signed(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(-1)
}

fn null_if_empty(list: &[String]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}

fn security_options(spec: &Spec) -> Value {
    let mut options = Vec::new();
    if spec.confine.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    match &spec.confine.seccomp {
        SeccompChoice::Level => {}
        SeccompChoice::Unconfined => options.push("seccomp=unconfined".to_owned()),
        SeccompChoice::Own(policy) => options.push(format!("seccomp={}", policy.name)),
    }
    null_if_empty(&options)
}

fn port_bindings(publish: &[PortMapping]) -> Value {
    let mut map: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for port in publish {
        map.entry(format!("{}/{}", port.container_port, port.protocol)).or_default().push(json!({
            "HostIp": port.host_ip.map(|ip| ip.to_string()).unwrap_or_default(),
            "HostPort": port.host_port.map(|p| p.to_string()).unwrap_or_default(),
        }));
    }
    json!(map)
}

fn network(record: &Record) -> Value {
    let spec = &record.spec;
    let mut ports: Map<String, Value> = Map::new();
    for port in &spec.exposed {
        ports.insert(port.clone(), Value::Null);
    }
    let endpoint = record.state.endpoint.as_ref();
    for port in endpoint.map(|e| e.ports.as_slice()).unwrap_or_default() {
        let entry = ports.entry(format!("{}/{}", port.container_port, port.protocol)).or_insert(Value::Null);
        let binding = json!({ "HostIp": port.host_ip.to_string(), "HostPort": port.host_port.to_string() });
        match entry {
            Value::Array(list) => list.push(binding),
            other => *other = json!([binding]),
        }
    }
    let ip = endpoint.map(|e| e.ip.to_string()).unwrap_or_default();
    let gateway = endpoint.map(|e| e.gateway.to_string()).unwrap_or_default();
    let prefix = endpoint.map_or(0, |e| e.prefix);
    let mac = endpoint.map(|e| e.mac.clone()).unwrap_or_default();
    let mut networks = Map::new();
    networks.insert(
        spec.host.network.to_string(),
        json!({ "IPAddress": ip, "IPPrefixLen": prefix, "Gateway": gateway, "MacAddress": mac }),
    );
    json!({
        "Bridge": "",
        "SandboxKey": if record.state.pid > 0 { format!("/proc/{}/ns/net", record.state.pid) } else { String::new() },
        "Ports": ports,
        "Gateway": gateway,
        "IPAddress": ip,
        "IPPrefixLen": prefix,
        "MacAddress": mac,
        "Networks": networks,
    })
}

/// Each control as it is in force, and what the options gave away.
fn confinement(record: &Record) -> Result<Value, EngineError> {
    let spec = &record.spec;
    let confine = &spec.confine;
    // Root's set: the widest that the level gives. What a user gets is a part of it.
    let root = spec.user.is_empty() || spec.user == "root" || spec.user == "0" || spec.user.starts_with("0:");
    let capabilities = capabilities(confine, u32::from(!root))?;
    let limits = crate::unprivileged::limits(&spec.host.limits, confine.level)
        .unwrap_or_else(|_| spec.host.limits.in_force(confine.level, host_memory_bytes()));
    Ok(json!({
        "Confinement": confine.level.to_string(),
        "VerifyImage": confine.verify,
        "Weakened": confine.weakened,
        "UserNamespace": confine.id_range.map(user_namespace),
        "Rootless": stockade_sandbox::rootless::active().is_some(),
        "Capabilities": capabilities.names(),
        "NoNewPrivileges": confine.no_new_privileges,
        "Seccomp": seccomp_policy(confine, capabilities).map_or("unconfined".to_owned(), |p| p.name),
        "Landlock": confine.level != Level::Compat && !confine.privileged,
        "Limits": {
            "MemoryBytes": limits.memory_bytes,
            "Pids": limits.pids,
            "CpuMillis": limits.cpu_millis,
        },
        "Monitor": { "Pid": record.state.monitor_pid },
        "StoppedByHand": record.state.stopped_by_hand,
    }))
}

/// The ids of a container on the host.
fn user_namespace(first: u32) -> Value {
    match stockade_sandbox::rootless::active() {
        // Root inside is the user; the others are the user's subordinate ids.
        Some(user) => {
            let count: u64 = user.id_map.uid.iter().map(|r| u64::from(r.count)).sum();
            json!({ "HostFirst": user.host_uid, "Count": count })
        }
        None => json!({ "HostFirst": first, "Count": crate::ranges::RANGE_LENGTH }),
    }
}
