//! Section 5 of the benchmark: how each container runs. One answer a container, from `docker inspect`.

use serde_json::Value;

use super::container_values::*;
pub(crate) use super::container_values::{names_socket, reaches_socket};
use super::{EachCheck, shown};
use crate::docker::facts::Kind;
use crate::model::Degree::{High, Low, Medium};
use crate::model::{Degree, Verdict, meta_of};

/// The capabilities that docker gives every container.
pub(crate) const DOCKER_DEFAULT_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Host directories that a container must not be able to write.
const SENSITIVE_DIRECTORIES: [&str; 8] = ["/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr"];

meta_of!(Containers, (level: u8, effort: Degree, risk: Degree), level: level, effort: effort, risk: risk);

macro_rules! check {
    ($id:literal, [$($r:literal),+], $level:literal, $effort:ident, $risk:ident, $title:literal, $why:literal, $fix:literal, $test:expr) => {
        EachCheck { meta: meta($id, &[$($r),+], $level, $effort, $risk, $title, $why, $fix), test: $test }
    };
}

/// All checks of this section.
#[rustfmt::skip]
pub(crate) static CHECKS: &[EachCheck] = &[
    check!("runs-as-root", ["CIS-4.1"], 1, Medium, Medium, "It does not run as root",
        "A hole in the program gives an intruder root inside.",
        "Give --user, or add USER to the image.", |c, _| {
            let user = c.pointer("/Config/User");
            let name = user.and_then(Value::as_str).unwrap_or("").split(':').next().unwrap_or("");
            if !["", "root", "0"].contains(&name) {
                return Verdict::pass(format!("Config.User: {}", shown(user)));
            }
            match stockade(c, "UserNamespace") {
                Some(range) => Verdict::pass(format!("Config.User: {}; root inside is nobody outside, Stockade.UserNamespace: {}", shown(user), shown(Some(range)))),
                None => Verdict::fail(format!("Config.User: {}", shown(user))),
            }
        }),
    check!("swarm-mode", ["CIS-5.1"], 1, Low, Medium, "Swarm mode is off unless it is needed",
        "Swarm opens ports and services on the host that a single machine does not need.",
        "Leave the swarm: docker swarm leave.", |_, d| match d.info.as_ref() {
            _ if d.kind != Kind::Docker => Verdict::not_applicable("only docker has a swarm mode"),
            Err(why) => Verdict::unknown(why.clone()),
            Ok(info) => {
                let state = info.pointer("/Swarm/LocalNodeState");
                Verdict::of(state.is_none_or(|s| s == "inactive" || s == ""), format!("Swarm.LocalNodeState: {}", shown(state)))
            }
        }),
    check!("no-apparmor-profile", ["CIS-5.2"], 1, Low, Low, "An AppArmor profile confines the container",
        "Without a profile the kernel's path rules do not hold the container back.",
        "Leave docker's default profile on, or name one: --security-opt apparmor=PROFILE.", |c, _| {
            let profile = c.get("AppArmorProfile");
            let text = profile.and_then(Value::as_str).unwrap_or("");
            if text.is_empty() && stockade(c, "Landlock") == Some(&Value::Bool(true)) {
                return Verdict::pass("Stockade.Landlock: true; Landlock confines it in place of AppArmor");
            }
            Verdict::of(!text.is_empty() && text != "unconfined", format!("AppArmorProfile: {}", shown(profile)))
        }),
    check!("no-selinux-options", ["CIS-5.3"], 2, Medium, Medium, "SELinux options are set",
        "Labels keep a process that escapes from touching what is not the container's.",
        "Start the daemon with --selinux-enabled and give --security-opt label=….", |c, d| {
            let label = c.get("ProcessLabel").and_then(Value::as_str).unwrap_or("");
            let options: Vec<String> = options(c).into_iter().filter(|o| o.starts_with("label")).collect();
            let off = options.iter().any(|o| o == "label=disable" || o == "label:disable");
            let evidence = format!("ProcessLabel: {label:?}, HostConfig.SecurityOpt on labels: {}", if options.is_empty() { "none".to_owned() } else { options.join(", ") });
            if d.selinux == Some(false) {
                return Verdict::not_applicable(format!("the kernel has no SELinux; {evidence}"));
            }
            Verdict::of(!off && (!label.is_empty() || !options.is_empty()), evidence)
        }),
    check!("added-capabilities", ["CIS-5.4"], 1, Medium, Medium, "No capability beyond docker's default is added",
        "Each capability is a part of root's power on the host's kernel.",
        "Drop it from --cap-add; give --cap-drop ALL and add back only what fails without.", |c, _| {
            let extra: Vec<String> = added(c).into_iter().filter(|n| !DOCKER_DEFAULT_CAPABILITIES.contains(&n.as_str())).collect();
            let has = stockade(c, "Capabilities").map(|v| format!(", Stockade.Capabilities: {}", shown(Some(v)))).unwrap_or_default();
            Verdict::of(extra.is_empty(), format!("HostConfig.CapAdd: {}{has}", shown(c.pointer("/HostConfig/CapAdd"))))
        }),
    check!("privileged-container", ["CIS-5.5"], 1, Medium, High, "The container is not privileged",
        "A privileged container is root on the host: all capabilities, all devices, no filter.",
        "Leave --privileged out and give the one device or capability that is needed.", |c, _| flag_off(c, "Privileged")),
    check!("sensitive-host-mount", ["CIS-5.6"], 1, Medium, Medium, "No sensitive host directory is mounted writable",
        "Who can write the host's /etc or /usr owns the host.",
        "Mount the one file that is needed, read-only: -v FILE:FILE:ro.", |c, _| {
            let bad: Vec<String> = mounts(c).filter(|m| m.get("RW") == Some(&Value::Bool(true)))
                .filter_map(|m| m.get("Source").and_then(Value::as_str))
                .filter(|s| SENSITIVE_DIRECTORIES.contains(&normal(s).as_str())).map(str::to_owned).collect();
            list_empty("Mounts[].Source (writable)", &bad)
        }),
    check!("sshd-in-container", ["CIS-5.7"], 1, Medium, Low, "No SSH server runs inside",
        "An SSH server is one more door, with its own keys and accounts to keep.",
        "Use exec for a shell inside, and take sshd out of the image.", |c, d| {
            let id = c.get("Id").and_then(Value::as_str).unwrap_or("");
            match d.processes.get(id) {
                None => Verdict::unknown("the container's processes were not listed"),
                Some(Err(why)) => Verdict::unknown(why.clone()),
                Some(Ok(commands)) => {
                    let found: Vec<String> = commands.iter().filter(|p| is_sshd(p)).cloned().collect();
                    list_empty("processes", &found)
                }
            }
        }),
    check!("privileged-host-port", ["CIS-5.8"], 1, Low, Low, "No host port below 1024 is published",
        "Low ports are reserved for services that root has chosen.",
        "Publish on a high port behind a proxy, or accept it for a public web server.", |c, _| {
            let low: Vec<String> = published(c).into_iter().filter(|p| p.port < 1024).map(|p| p.shown).collect();
            list_empty("NetworkSettings.Ports", &low)
        }),
    check!("published-ports", ["CIS-5.9"], 1, Low, Medium, "Only needed ports are published",
        "Every open port is a way in.",
        "Publish port by port with -p, not all with -P.", |c, _| {
            let ports: Vec<String> = published(c).into_iter().map(|p| p.shown).collect();
            if ports.is_empty() { Verdict::pass("no port is published") } else { Verdict::manual(format!("published: {}", ports.join(", "))) }
        }),
    check!("host-network", ["CIS-5.10"], 1, Medium, Medium, "The container has its own network namespace",
        "It could reach every service on the host's loopback and sniff its traffic.",
        "Leave --network host out and publish the ports.", |c, d| own_namespace(c, d, "NetworkMode", "net")),
    check!("no-memory-limit", ["CIS-5.11"], 1, Low, Medium, "Memory is limited",
        "One container can take all memory, and the kernel then kills others.",
        "Give --memory.", |c, _| unless_stockade_limit(c, "MemoryBytes", || positive(c, &["Memory"]))),
    check!("no-cpu-limit", ["CIS-5.12"], 1, Low, Low, "CPU time is shared by rule",
        "One container can take all cores.",
        "Give --cpus or --cpu-shares.", |c, _| unless_stockade_limit(c, "CpuMillis", || positive(c, &["CpuShares", "NanoCpus", "CpuQuota"]))),
    check!("writable-root", ["CIS-5.13"], 1, Medium, Medium, "The root file system is read-only",
        "An intruder can change programs and leave tools behind.",
        "Give --read-only, with --tmpfs or a volume for what must be written.", |c, _| {
            let v = host_config(c, "ReadonlyRootfs");
            Verdict::of(v == Some(&Value::Bool(true)), format!("HostConfig.ReadonlyRootfs: {}", shown(v)))
        }),
    check!("port-on-all-interfaces", ["CIS-5.14"], 1, Low, Low, "Ports are bound to one interface",
        "A port on 0.0.0.0 answers on every network that the host is on.",
        "Name the address: -p 127.0.0.1:8080:80.", |c, _| {
            let wide: Vec<String> = published(c).into_iter().filter(|p| ["", "0.0.0.0", "::"].contains(&p.ip.as_str())).map(|p| p.shown).collect();
            list_empty("NetworkSettings.Ports", &wide)
        }),
    check!("unbounded-restarts", ["CIS-5.15"], 1, Low, Low, "It is restarted at most five times",
        "Endless restarts hide a crash loop and use up the host.",
        "Give --restart on-failure:5.", |c, _| {
            let policy = c.pointer("/HostConfig/RestartPolicy");
            let evidence = format!("HostConfig.RestartPolicy: {}", shown(policy));
            let tries = policy.and_then(|p| p.get("MaximumRetryCount")).and_then(Value::as_i64).unwrap_or(0);
            match policy.and_then(|p| p.get("Name")).and_then(Value::as_str).unwrap_or("") {
                "always" | "unless-stopped" => Verdict::fail(evidence),
                "on-failure" => Verdict::of((1..=5).contains(&tries), evidence),
                _ => Verdict::of(tries <= 5, evidence),
            }
        }),
    check!("host-pid", ["CIS-5.16"], 1, Low, Low, "The container has its own process table",
        "It could see, and with the same user signal, every host process.",
        "Leave --pid host out.", |c, d| own_namespace(c, d, "PidMode", "pid")),
    check!("host-ipc", ["CIS-5.17"], 1, Low, Low, "The container has its own IPC namespace",
        "It could read and write other programs' shared memory.",
        "Leave --ipc host out.", |c, d| own_namespace(c, d, "IpcMode", "ipc")),
    check!("host-devices", ["CIS-5.18"], 1, Low, Medium, "No host device is given",
        "A device node is direct access to hardware or to a disk.",
        "Leave --device out, or give it with :r only.", |c, _| {
            let v = host_config(c, "Devices");
            if is_empty(v) { Verdict::pass("HostConfig.Devices is empty") } else { Verdict::manual(format!("HostConfig.Devices: {}", shown(v))) }
        }),
    check!("default-ulimits", ["CIS-5.19"], 1, Low, Low, "ulimits are chosen where they must differ",
        "The daemon's limits may be too wide or too narrow for this program.",
        "Give --ulimit where the default does not fit.", |c, _| {
            let v = host_config(c, "Ulimits");
            if is_empty(v) { Verdict::manual("HostConfig.Ulimits is empty: the daemon's defaults apply") } else { Verdict::pass(format!("HostConfig.Ulimits: {}", shown(v))) }
        }),
    check!("shared-propagation", ["CIS-5.20"], 1, Low, Low, "No mount propagates back to the host",
        "A mount made inside would appear on the host.",
        "Use rprivate, the default.", |c, _| {
            let bad: Vec<String> = mounts(c).filter(|m| matches!(m.get("Propagation").and_then(Value::as_str), Some("shared" | "rshared")))
                .map(|m| shown(m.get("Source"))).collect();
            list_empty("Mounts[] with shared propagation", &bad)
        }),
    check!("host-uts", ["CIS-5.21"], 1, Low, Low, "The container has its own host name",
        "It could change the host's name.",
        "Leave --uts host out.", |c, d| own_namespace(c, d, "UTSMode", "uts")),
    check!("seccomp-off", ["CIS-5.22"], 1, Low, Medium, "A seccomp filter is on",
        "Without it every system call of the kernel can be attacked.",
        "Leave seccomp=unconfined out.", |c, _| {
            if let Some(name) = stockade(c, "Seccomp") {
                return Verdict::of(name != "unconfined", format!("Stockade.Seccomp: {}", shown(Some(name))));
            }
            let off = options(c).iter().any(|o| o == "seccomp=unconfined" || o == "seccomp:unconfined");
            let privileged = host_config(c, "Privileged") == Some(&Value::Bool(true));
            Verdict::of(!off && !privileged, format!("HostConfig.SecurityOpt: {}{}", shown(c.pointer("/HostConfig/SecurityOpt")),
                if privileged { ", Privileged: true, which switches the filter off" } else { "" }))
        }),
    check!("privileged-exec", ["CIS-5.23"], 1, Medium, Low, "Nobody uses exec with --privileged",
        "It gives root's whole power for one command, past all limits of the container.",
        "Audit docker with auditd and look for exec with --privileged.", |c, d| exec_log(c, d)),
    check!("root-exec", ["CIS-5.24"], 1, Medium, Low, "Nobody uses exec as root",
        "It passes by the user that the image chose.",
        "Audit docker with auditd and look for exec with --user root.", |c, d| exec_log(c, d)),
    check!("foreign-cgroup", ["CIS-5.25"], 1, Low, Low, "The container is in docker's own cgroup",
        "Another parent may have no limits.",
        "Leave --cgroup-parent out.", |c, _| {
            let v = host_config(c, "CgroupParent");
            let text = v.and_then(Value::as_str).unwrap_or("");
            Verdict::of(["", "docker", "/docker"].contains(&text), format!("HostConfig.CgroupParent: {}", shown(v)))
        }),
    check!("may-gain-privileges", ["CIS-5.26"], 1, Low, Medium, "no-new-privileges is set",
        "A setuid program inside could make its caller root.",
        "Give --security-opt no-new-privileges.", |c, d| unless_stockade(c, "NoNewPrivileges", |v| v == &Value::Bool(true), || {
            let here = options(c).iter().any(|o| ["no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"].contains(&o.as_str()));
            let default = d.setting("no-new-privileges", "no-new-privileges").is_some_and(|(v, _)| v == Value::Bool(true));
            let off = options(c).iter().any(|o| ["no-new-privileges=false", "no-new-privileges:false"].contains(&o.as_str()));
            Verdict::of((here || default) && !off, format!("HostConfig.SecurityOpt: {}{}", shown(c.pointer("/HostConfig/SecurityOpt")),
                if default { ", the daemon's default is on" } else { "" }))
        })),
    check!("no-health-check", ["CIS-5.27"], 1, Medium, Low, "Health is checked while it runs",
        "A container that hangs looks alive.",
        "Give --health-cmd, or HEALTHCHECK in the image.", |c, _| {
            let v = c.pointer("/State/Health/Status");
            // Docker has no such field without a check, podman an empty one.
            Verdict::of(v.is_some_and(|s| s != "none" && s != ""), format!("State.Health.Status: {}", shown(v)))
        }),
    check!("stale-image", ["CIS-5.28"], 1, Low, Medium, "The newest image of its tag is used",
        "An old image lacks fixes.",
        "Pull or rebuild, then start it again.", |c, _| Verdict::manual(format!("image {} as of {}", shown(c.pointer("/Config/Image")), shown(c.get("Created"))))),
    check!("no-pids-limit", ["CIS-5.29"], 1, Low, Low, "The number of processes is limited",
        "A fork bomb inside stops the host.",
        "Give --pids-limit.", |c, _| unless_stockade_limit(c, "Pids", || positive(c, &["PidsLimit"]))),
    check!("default-bridge", ["CIS-5.30"], 2, Medium, Low, "Docker's default bridge is not used",
        "All containers on it can talk to each other.",
        "Make a network for each application: docker network create.", |c, _| {
            let on = c.pointer("/NetworkSettings/Networks").and_then(Value::as_object).is_some_and(|n| n.contains_key("bridge"));
            if on { Verdict::manual("NetworkSettings.Networks holds bridge") } else { Verdict::pass("not on the default bridge") }
        }),
    check!("host-userns", ["CIS-5.31"], 1, Low, Low, "The container does not opt out of user namespaces",
        "Root inside would be root on the host.",
        "Leave --userns host out.", |c, _| unless_stockade(c, "UserNamespace", Value::is_object, || mode_not_host(c, "UsernsMode"))),
    check!("docker-socket-mounted", ["CIS-5.32"], 1, Medium, Medium, "No engine's socket is mounted",
        "Who can talk to the daemon is root on the host.",
        "Take the mount out; use a proxy that allows only the calls needed.", |c, _| {
            let binds = host_config(c, "Binds").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
                .map(|b| { let mut parts = b.split(':'); (parts.next().unwrap_or(b), parts.next().unwrap_or("")) });
            let field = |m: &'_ Value, k: &str| m.get(k).and_then(Value::as_str).unwrap_or("").to_owned();
            let mounted = mounts(c).map(|m| (field(m, "Source"), field(m, "Destination")));
            let mut found: Vec<String> = mounted.chain(binds.map(|(s, d)| (s.to_owned(), d.to_owned())))
                .filter(|(s, d)| reaches_socket(s) || names_socket(d)).map(|(s, _)| s).collect();
            found.sort();
            found.dedup();
            list_empty("Mounts[].Source", &found)
        }),
    check!("cap-dac-read-search", ["C.5.3.1"], 1, Low, Medium, "DAC_READ_SEARCH is not added",
        "With it any file of the host's disk can be opened by handle.",
        "Leave --cap-add DAC_READ_SEARCH out.", |c, _| without(c, "DAC_READ_SEARCH")),
    check!("cap-sys-module", ["C.5.3.2"], 1, Low, Medium, "SYS_MODULE is not added",
        "With it code can be loaded into the kernel.",
        "Leave --cap-add SYS_MODULE out.", |c, _| without(c, "SYS_MODULE")),
    check!("cap-sys-admin", ["C.5.3.3"], 1, Low, Medium, "SYS_ADMIN is not added",
        "It allows mounts and much else: close to root on the host.",
        "Leave --cap-add SYS_ADMIN out.", |c, _| without(c, "SYS_ADMIN")),
    check!("cap-sys-ptrace", ["C.5.3.4"], 1, Low, Medium, "SYS_PTRACE is not added",
        "With it other processes' memory can be read and changed.",
        "Leave --cap-add SYS_PTRACE out.", |c, _| without(c, "SYS_PTRACE")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::facts::DockerFacts;
    use crate::model::Answer;
    use serde_json::json;

    fn answer(reference: &str, container: &Value) -> Answer {
        let facts = DockerFacts::offline(vec![], vec![], None);
        let check = CHECKS.iter().find(|c| c.meta.refs.contains(&reference)).unwrap();
        (check.test)(container, &facts).answer
    }

    /// Each row: the reference, a container that fails, and the same made good.
    #[test]
    fn every_weakness_fails_and_its_cure_passes() {
        let rows = [
            ("CIS-5.2", json!({"AppArmorProfile": "unconfined"}), json!({"AppArmorProfile": "docker-default"})),
            (
                "CIS-5.3",
                json!({"HostConfig": {"SecurityOpt": null}}),
                json!({"HostConfig": {"SecurityOpt": ["label=type:x"]}}),
            ),
            (
                "CIS-5.4",
                json!({"HostConfig": {"CapAdd": ["cap_net_admin"]}}),
                json!({"HostConfig": {"CapAdd": ["CHOWN", "cap_kill"]}}),
            ),
            ("CIS-5.5", json!({"HostConfig": {"Privileged": true}}), json!({"HostConfig": {"Privileged": false}})),
            (
                "CIS-5.6",
                json!({"Mounts": [{"Source": "/etc/", "RW": true}]}),
                json!({"Mounts": [{"Source": "/etc", "RW": false}, {"Source": "/srv", "RW": true}]}),
            ),
            (
                "CIS-5.8",
                json!({"NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "", "HostPort": "80"}]}}}),
                json!({"NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "", "HostPort": "1024"}], "443/tcp": null}}}),
            ),
            (
                "CIS-5.10",
                json!({"HostConfig": {"NetworkMode": "host"}}),
                json!({"HostConfig": {"NetworkMode": "bridge"}}),
            ),
            ("CIS-5.11", json!({"HostConfig": {"Memory": 0}}), json!({"HostConfig": {"Memory": 1024}})),
            (
                "CIS-5.12",
                json!({"HostConfig": {"CpuShares": 0, "NanoCpus": 0}}),
                json!({"HostConfig": {"CpuShares": 0, "NanoCpus": 5}}),
            ),
            ("CIS-5.13", json!({"HostConfig": {}}), json!({"HostConfig": {"ReadonlyRootfs": true}})),
            (
                "CIS-5.14",
                json!({"NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}}}),
                json!({"NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}}}),
            ),
            (
                "CIS-5.15",
                json!({"HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 6}}}),
                json!({"HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5}}}),
            ),
            (
                "CIS-5.15",
                json!({"HostConfig": {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}}),
                json!({"HostConfig": {"RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}}}),
            ),
            ("CIS-5.16", json!({"HostConfig": {"PidMode": "host"}}), json!({"HostConfig": {"PidMode": ""}})),
            ("CIS-5.17", json!({"HostConfig": {"IpcMode": "host"}}), json!({"HostConfig": {"IpcMode": "private"}})),
            (
                "CIS-5.20",
                json!({"Mounts": [{"Source": "/x", "Propagation": "rshared"}]}),
                json!({"Mounts": [{"Source": "/x", "Propagation": "rprivate"}]}),
            ),
            ("CIS-5.21", json!({"HostConfig": {"UTSMode": "host"}}), json!({"HostConfig": {"UTSMode": ""}})),
            (
                "CIS-5.22",
                json!({"HostConfig": {"SecurityOpt": ["seccomp=unconfined"]}}),
                json!({"HostConfig": {"SecurityOpt": ["seccomp={}"]}}),
            ),
            (
                "CIS-5.32",
                json!({"Mounts": [{"Source": "/run/containerd/containerd.sock"}]}),
                json!({"Mounts": [{"Source": "/run/app"}]}),
            ),
            ("CIS-5.25", json!({"HostConfig": {"CgroupParent": "/mine"}}), json!({"HostConfig": {"CgroupParent": ""}})),
            ("CIS-5.26", json!({"HostConfig": {}}), json!({"HostConfig": {"SecurityOpt": ["no-new-privileges:true"]}})),
            (
                "CIS-5.27",
                json!({"State": {"Health": {"Status": ""}}}),
                json!({"State": {"Health": {"Status": "healthy"}}}),
            ),
            ("CIS-5.27", json!({"State": {}}), json!({"State": {"Health": {"Status": "starting"}}})),
            ("CIS-5.29", json!({"HostConfig": {"PidsLimit": -1}}), json!({"HostConfig": {"PidsLimit": 100}})),
            ("CIS-5.31", json!({"HostConfig": {"UsernsMode": "host"}}), json!({"HostConfig": {"UsernsMode": ""}})),
            (
                "CIS-5.32",
                json!({"HostConfig": {"Binds": ["/run/docker.sock:/x:ro"]}}),
                json!({"HostConfig": {"Binds": ["/srv:/srv"]}}),
            ),
            ("C.5.3.1", json!({"HostConfig": {"CapAdd": ["ALL"]}}), json!({"HostConfig": {"CapAdd": null}})),
            ("C.5.3.3", json!({"HostConfig": {"Privileged": true}}), json!({"HostConfig": {"CapAdd": ["SYS_PTRACE"]}})),
        ];
        for (reference, bad, good) in &rows {
            assert_eq!(answer(reference, bad), Answer::Fail, "{reference} {bad}");
            assert_eq!(answer(reference, good), Answer::Pass, "{reference} {good}");
        }
    }

    /// Stockade's own containers have on by itself what docker's need an option for.
    #[test]
    fn what_stockade_has_on_counts_with_its_evidence() {
        let inspect = json!({
            "Config": {"User": ""}, "AppArmorProfile": "",
            "HostConfig": {"SecurityOpt": null, "Memory": 0, "PidsLimit": null, "UsernsMode": "private", "CapAdd": null},
            "Stockade": {
                "UserNamespace": {"HostFirst": 1_000_000, "Count": 65536}, "NoNewPrivileges": true, "Seccomp": "standard",
                "Landlock": true, "Limits": {"MemoryBytes": 1 << 30, "Pids": 1024, "CpuMillis": null}, "Capabilities": []
            }
        });
        for reference in ["CIS-4.1", "CIS-5.2", "CIS-5.11", "CIS-5.22", "CIS-5.26", "CIS-5.29", "CIS-5.31"] {
            let facts = DockerFacts { kind: Kind::Stockade, ..DockerFacts::default() };
            let check = CHECKS.iter().find(|c| c.meta.refs.contains(&reference)).unwrap();
            let verdict = (check.test)(&inspect, &facts);
            assert_eq!(verdict.answer, Answer::Pass, "{reference}");
            assert!(verdict.evidence.contains("Stockade."), "{reference}: {}", verdict.evidence);
        }
        let weak = json!({"Config": {"User": ""}, "Stockade": {"UserNamespace": null, "NoNewPrivileges": false, "Seccomp": "unconfined"},
            "HostConfig": {"UsernsMode": "host"}});
        for reference in ["CIS-4.1", "CIS-5.22", "CIS-5.26", "CIS-5.31"] {
            assert_eq!(answer(reference, &weak), Answer::Fail, "{reference}");
        }
    }

    #[test]
    fn what_proc_shows_counts_more_than_what_the_daemon_says() {
        let c = json!({"Id": "abc", "State": {"Pid": 7}, "HostConfig": {"IpcMode": "shareable", "PidMode": ""}});
        let mut facts = DockerFacts::default();
        facts.host_namespaces.insert("abc".into(), ["ipc"].into());
        let verdict = |reference: &str| {
            let check = CHECKS.iter().find(|k| k.meta.refs.contains(&reference)).unwrap();
            (check.test)(&c, &facts)
        };
        let ipc = verdict("CIS-5.17");
        assert_eq!(ipc.answer, Answer::Fail);
        assert!(ipc.evidence.contains("\"shareable\", but /proc/7/ns/ipc is the host's"), "{}", ipc.evidence);
        assert_eq!(verdict("CIS-5.16").answer, Answer::Pass);
        // Only a process that is the container's is looked at.
        let host = crate::host::Host::live().unwrap();
        assert!(host.host_namespaces("no such container", u64::from(std::process::id())).is_empty());
    }

    #[test]
    fn what_was_not_asked_is_unknown_not_clean() {
        assert_eq!(answer("CIS-5.7", &json!({"Id": "abc"})), Answer::Unknown);
        assert_eq!(answer("CIS-5.1", &json!({})), Answer::Unknown);
    }

    #[test]
    fn ssh_servers_are_recognised_and_clients_are_not() {
        for (command, yes) in [
            ("/usr/sbin/sshd -D", true),
            ("sshd: root@pts/0", true),
            ("/bin/sh /usr/sbin/sshd", true),
            ("sh -c sshd", false),
            ("ssh host", false),
            ("/app/sshd-exporter", false),
        ] {
            assert_eq!(is_sshd(command), yes, "{command}");
        }
    }

    #[test]
    fn no_check_panics_on_odd_values() {
        let facts = DockerFacts::offline(vec![], vec![], None);
        for odd in [
            json!(null),
            json!([]),
            json!({"HostConfig": 3, "Mounts": {"a": 1}}),
            json!({"HostConfig": {"CapAdd": {"x": []}, "Memory": "1"}, "NetworkSettings": {"Ports": [1]}}),
        ] {
            for check in CHECKS {
                let _ = (check.test)(&odd, &facts);
            }
        }
    }
}
