//! Compose files: the benchmark's container checks on what a service asks for. Source: the Compose Specification.

use crate::checks::containers::{names_socket, reaches_socket};
use crate::checks::images::looks_secret;
use crate::kubernetes::moving_tag;
use crate::model::Degree::{Low, Medium};
use crate::model::{Answer, CheckResult, Degree, Meta, Verdict, meta_of};
use crate::yaml::{Node, YamlError, parse};

struct ServiceCheck {
    meta: Meta,
    test: fn(&Node, &mut Vec<String>),
}

meta_of!(Compose, (risk: Degree), level: 1, effort: Low, risk: risk);

macro_rules! check {
    ($id:literal, $r:literal, $risk:ident, $title:literal, $why:literal, $fix:literal, $test:expr) => {
        ServiceCheck { meta: meta($id, &[$r], $risk, $title, $why, $fix), test: $test }
    };
}

/// All checks of services.
#[rustfmt::skip]
static CHECKS: &[ServiceCheck] = &[
    check!("compose-privileged", "CIS-5.5", Medium, "Not privileged", "A privileged container is root on the host.",
        "Take privileged: true out.", |s, f| not_value(s, "privileged", "true", f)),
    check!("compose-docker-socket", "CIS-5.32", Medium, "No engine's socket is mounted", "Who can talk to the daemon is root on the host.",
        "Take the mount out.", |s, f| for v in volumes(s) { if reaches_socket(&v.source) || names_socket(&v.target) { f.push(v.shown()); } }),
    check!("compose-host-network", "CIS-5.10", Medium, "Own network namespace", "It could reach every service on the host's loopback.",
        "Take network_mode: host out.", |s, f| not_value(s, "network_mode", "host", f)),
    check!("compose-host-pid", "CIS-5.16", Low, "Own process table", "It could see every host process.",
        "Take pid: host out.", |s, f| not_value(s, "pid", "host", f)),
    check!("compose-host-ipc", "CIS-5.17", Low, "Own IPC namespace", "It could read other programs' shared memory.",
        "Take ipc: host out.", |s, f| not_value(s, "ipc", "host", f)),
    check!("compose-host-uts", "CIS-5.21", Low, "Own host name", "It could change the host's name.",
        "Take uts: host out.", |s, f| not_value(s, "uts", "host", f)),
    check!("compose-host-userns", "CIS-5.31", Low, "User namespaces are not left", "Root inside would be root on the host.",
        "Take userns_mode: host out.", |s, f| not_value(s, "userns_mode", "host", f)),
    check!("compose-added-capabilities", "CIS-5.4", Medium, "No capability beyond the default is added", "Each capability is a part of root's power.",
        "Take it out of cap_add.", |s, f| for c in strings(s, "cap_add") {
            let name = c.1.to_ascii_uppercase();
            if !crate::checks::containers::DOCKER_DEFAULT_CAPABILITIES.contains(&name.strip_prefix("CAP_").unwrap_or(&name)) { f.push(format!("line {}: cap_add {}", c.0, c.1)); }
        }),
    check!("compose-keeps-capabilities", "CIS-5.4", Medium, "All capabilities are dropped first", "Most programs need none.",
        "Set cap_drop: [ALL] and add back only what fails without.", |s, f| if !strings(s, "cap_drop").iter().any(|c| c.1.eq_ignore_ascii_case("all")) {
            f.push(format!("line {}: cap_drop lacks ALL", s.line));
        }),
    check!("compose-may-gain-privileges", "CIS-5.26", Low, "no-new-privileges is set", "A setuid program inside could make its caller root.",
        "Add security_opt: [no-new-privileges:true].", |s, f| {
            let good = ["no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"];
            if !strings(s, "security_opt").iter().any(|o| good.contains(&o.1.as_str())) { f.push(format!("line {}: security_opt lacks no-new-privileges", s.line)); }
        }),
    check!("compose-seccomp-off", "CIS-5.22", Medium, "The seccomp filter is on", "Every system call of the kernel can be attacked.",
        "Take seccomp:unconfined out.", |s, f| option_is(s, "seccomp", f)),
    check!("compose-apparmor-off", "CIS-5.2", Low, "AppArmor is on", "The kernel's path rules do not hold the container back.",
        "Take apparmor:unconfined out.", |s, f| option_is(s, "apparmor", f)),
    check!("compose-writable-root", "CIS-5.13", Medium, "The root file system is read-only", "An intruder can change programs.",
        "Set read_only: true, with tmpfs for what must be written.", |s, f| if s.get("read_only").and_then(Node::boolean) != Some(true) {
            f.push(format!("line {}: read_only is not true", s.line));
        }),
    check!("compose-root-user", "CIS-4.1", Medium, "The user is not root", "A hole in the program gives an intruder root inside.",
        "Set user to a number that is not 0.", |s, f| {
            let user = s.get("user");
            let name = user.and_then(Node::text).unwrap_or("").split(':').next().unwrap_or("");
            if ["", "root", "0"].contains(&name) { f.push(format!("line {}: user {}", user.map_or(s.line, |u| u.line), user.map_or("not set".to_owned(), Node::shown))); }
        }),
    check!("compose-secret-in-environment", "CIS-4.10", Low, "No secret is written in the file", "Whoever reads the file has the secret.",
        "Use secrets:, or ${NAME} from the environment.", |s, f| for (line, name, value) in environment(s) {
            if looks_secret(&name) && !value.is_empty() && !value.contains('$') { f.push(format!("line {line}: environment {name}")); }
        }),
    check!("compose-moving-image-tag", "CIS-5.28", Low, "The image is named exactly", "The same file starts something else tomorrow.",
        "Name a version, or better a digest.", |s, f| if let Some(i) = s.get("image")
            && i.text().is_some_and(|t| !t.contains('$') && moving_tag(t)) { f.push(format!("line {}: image {}", i.line, i.shown())); }),
    check!("compose-port-on-all-interfaces", "CIS-5.14", Low, "Ports are bound to one interface", "A port on 0.0.0.0 answers on every network.",
        "Name the address: \"127.0.0.1:8080:80\".", |s, f| for p in ports(s) { if ["", "0.0.0.0", "::", "[::]"].contains(&p.ip.as_str()) { f.push(p.shown()); } }),
    check!("compose-privileged-port", "CIS-5.8", Low, "No host port below 1024", "Low ports are reserved for services that root has chosen.",
        "Publish on a high port.", |s, f| for p in ports(s) { if p.port.is_some_and(|n| n < 1024) { f.push(p.shown()); } }),
    check!("compose-no-memory-limit", "CIS-5.11", Low, "Memory is limited", "One container can take all memory.",
        "Set mem_limit.", |s, f| limit(s, &["mem_limit"], "memory", f)),
    check!("compose-no-cpu-limit", "CIS-5.12", Low, "CPU time is limited", "One container can take all cores.",
        "Set cpus.", |s, f| limit(s, &["cpus", "cpu_shares", "cpu_quota"], "cpus", f)),
    check!("compose-no-pids-limit", "CIS-5.29", Low, "The number of processes is limited", "A fork bomb inside stops the host.",
        "Set pids_limit.", |s, f| limit(s, &["pids_limit"], "pids", f)),
    check!("compose-sensitive-host-mount", "CIS-5.6", Medium, "No sensitive host directory is mounted", "Who can write the host's /etc or /usr owns the host.",
        "Mount the one file that is needed, read-only.", |s, f| for v in volumes(s) {
            let source = v.source.trim_end_matches('/');
            let source = if source.is_empty() && v.source.starts_with('/') { "/" } else { source };
            if ["/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr"].contains(&source) { f.push(v.shown()); }
        }),
    check!("compose-devices", "CIS-5.18", Medium, "No host device is given", "A device node is direct access to hardware.",
        "Take devices out.", |s, f| for d in strings(s, "devices") { f.push(format!("line {}: devices {}", d.0, d.1)); }),
    check!("compose-shared-propagation", "CIS-5.20", Low, "No mount propagates back to the host", "A mount made inside would appear on the host.",
        "Use rprivate.", |s, f| for v in volumes(s) { if ["shared", "rshared"].contains(&v.propagation.as_str()) { f.push(v.shown()); } }),
    check!("compose-health-check-off", "CIS-5.27", Low, "The health check is on", "A container that hangs looks alive.",
        "Take disable: true out, or give a test.", |s, f| if let Some(h) = s.get("healthcheck") {
            let test = h.get("test");
            let none = test.is_some_and(|t| t.text() == Some("NONE") || t.list().first().and_then(Node::text) == Some("NONE"));
            if h.get("disable").and_then(Node::boolean) == Some(true) || none { f.push(format!("line {}: healthcheck is off", h.line)); }
        }),
    check!("compose-unbounded-restarts", "CIS-5.15", Low, "Restarted at most five times after failures", "Endless restarts hide a crash loop.",
        "Set restart: on-failure:5.", |s, f| if let Some(r) = s.get("restart") {
            // `always` and `unless-stopped` are what services of a server need; a count over five is a mistake.
            let n = r.text().and_then(|t| t.strip_prefix("on-failure:")).and_then(|n| n.parse::<u64>().ok());
            if n.is_some_and(|n| n > 5) { f.push(format!("line {}: restart {}", r.line, r.shown())); }
        }),
    check!("compose-foreign-cgroup", "CIS-5.25", Low, "In docker's own cgroup", "Another parent may have no limits.",
        "Take cgroup_parent out.", |s, f| if let Some(c) = s.get("cgroup_parent").filter(|c| !c.is_null()) { f.push(format!("line {}: cgroup_parent {}", c.line, c.shown())); }),
];

fn not_value(service: &Node, key: &str, bad: &str, faults: &mut Vec<String>) {
    if let Some(v) = service.get(key).filter(|v| v.text().is_some_and(|t| t.eq_ignore_ascii_case(bad))) {
        faults.push(format!("line {}: {key}: {}", v.line, v.shown()));
    }
}

fn strings(service: &Node, key: &str) -> Vec<(usize, String)> {
    let list = service.get(key).map(Node::list).unwrap_or_default();
    list.iter().map(|n| (n.line, n.text().map_or_else(|| n.shown(), str::to_owned))).collect()
}

fn option_is(service: &Node, name: &str, faults: &mut Vec<String>) {
    for (line, option) in strings(service, "security_opt") {
        if option == format!("{name}:unconfined") || option == format!("{name}=unconfined") {
            faults.push(format!("line {line}: security_opt {option}"));
        }
    }
}

fn limit(service: &Node, keys: &[&str], deploy: &str, faults: &mut Vec<String>) {
    let set = |n: Option<&Node>| n.and_then(Node::text).is_some_and(|t| t != "0" && t != "-1");
    if !keys.iter().any(|k| set(service.get(k))) && !set(service.at(&["deploy", "resources", "limits", deploy])) {
        faults.push(format!("line {}: neither {} nor deploy.resources.limits.{deploy}", service.line, keys.join(", ")));
    }
}

/// A volume of a service, from the short or the long form.
pub(crate) struct Volume {
    line: usize,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) propagation: String,
}

impl Volume {
    fn shown(&self) -> String {
        format!("line {}: volume {}:{}", self.line, self.source, self.target)
    }
}

/// Volumes of a service, in the order of the file.
pub(crate) fn volumes(service: &Node) -> Vec<Volume> {
    let list = service.get("volumes").map(Node::list).unwrap_or_default();
    list.iter()
        .map(|v| match v.text() {
            Some(text) => {
                let mut parts = text.split(':');
                let source = parts.next().unwrap_or("").to_owned();
                let target = parts.next().unwrap_or("").to_owned();
                let options = parts.next().unwrap_or("");
                let propagation =
                    options.split(',').find(|o| ["shared", "rshared"].contains(o)).unwrap_or("").to_owned();
                // `- /data` alone is an anonymous volume, not a host directory.
                Volume {
                    line: v.line,
                    source: if target.is_empty() { String::new() } else { source },
                    target,
                    propagation,
                }
            }
            None => {
                let field = |path: &[&str]| v.at(path).and_then(Node::text).unwrap_or("").to_owned();
                let bind = field(&["type"]) == "bind" || field(&["source"]).starts_with('/');
                let source = if bind { field(&["source"]) } else { String::new() };
                Volume {
                    line: v.line,
                    source,
                    target: field(&["target"]),
                    propagation: field(&["bind", "propagation"]),
                }
            }
        })
        .collect()
}

fn environment(service: &Node) -> Vec<(usize, String, String)> {
    let Some(env) = service.get("environment") else { return Vec::new() };
    let listed = env.list().iter().filter_map(|n| {
        let (name, value) = n.text()?.split_once('=')?;
        Some((n.line, name.to_owned(), value.to_owned()))
    });
    let mapped = env.map().iter().map(|(k, v)| (v.line, k.clone(), v.text().unwrap_or("").to_owned()));
    listed.chain(mapped).collect()
}

/// A published port of a service.
pub(crate) struct Port {
    line: usize,
    pub(crate) ip: String,
    port: Option<u32>,
    text: String,
}

impl Port {
    fn shown(&self) -> String {
        format!("line {}: port {}", self.line, self.text)
    }
}

/// Published ports: short form `[IP:][HOST:]CONTAINER[/PROTOCOL]`, long form `published`, `host_ip`.
pub(crate) fn ports(service: &Node) -> Vec<Port> {
    let list = service.get("ports").map(Node::list).unwrap_or_default();
    list.iter()
        .map(|p| match p.text() {
            Some(text) => {
                let bare = text.split('/').next().unwrap_or("");
                let mut parts = bare.rsplitn(3, ':');
                let _container = parts.next();
                let host = parts.next();
                let ip = parts.next().unwrap_or("").to_owned();
                let port = host.and_then(|h| h.split('-').next()).and_then(|h| h.parse().ok());
                Port { line: p.line, ip, port, text: text.to_owned() }
            }
            None => {
                let field = |k: &str| p.get(k).and_then(Node::text).unwrap_or("").to_owned();
                let port = field("published").split('-').next().and_then(|n| n.parse().ok());
                Port {
                    line: p.line,
                    ip: field("host_ip"),
                    port,
                    text: format!("{}:{}", field("published"), field("target")),
                }
            }
        })
        .collect()
}

/// Most services of a file: real ones have dozens.
const MAX_SERVICES: usize = 5_000;

/// Faults in one line; the first ones where they are many.
pub(crate) fn joined(faults: &[String]) -> String {
    const SHOWN: usize = 20;
    let shown = faults.get(..SHOWN.min(faults.len())).unwrap_or_default().join("; ");
    match faults.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

/// Every check of Compose files there is.
pub fn all() -> impl Iterator<Item = &'static Meta> {
    CHECKS.iter().map(|c| &c.meta)
}

/// Checks every service of a file.
pub fn check(file: &str, bytes: &[u8]) -> Result<Vec<CheckResult>, YamlError> {
    let documents = parse(bytes)?;
    let services = documents.iter().find_map(|d| d.get("services"));
    let Some(services) = services.filter(|s| !s.map().is_empty()) else {
        let line = documents.first().map_or(1, |d| d.line);
        return Err(YamlError { line, column: 1, message: "no `services:`: this is no Compose file".to_owned() });
    };
    let mut out = Vec::new();
    if services.map().len() > MAX_SERVICES {
        let message = format!("more than {MAX_SERVICES} services");
        return Err(YamlError { line: services.line, column: 1, message });
    }
    for (name, service) in services.map() {
        for check in CHECKS {
            let mut faults = Vec::new();
            (check.test)(service, &mut faults);
            let verdict = Verdict {
                answer: if faults.is_empty() { Answer::Pass } else { Answer::Fail },
                evidence: if faults.is_empty() {
                    format!("line {}: nothing against it", service.line)
                } else {
                    joined(&faults)
                },
            };
            out.push(CheckResult::new(&check.meta, format!("{file}: {name}"), verdict));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const GOOD: &str = "services:
  web:
    image: nginx:1.27
    user: \"1000\"
    read_only: true
    cap_drop: [ALL]
    security_opt: [\"no-new-privileges:true\"]
    mem_limit: 1g
    cpus: 1
    pids_limit: 100
";

    fn failing(yaml: &str) -> BTreeSet<&'static str> {
        let results = check("c.yaml", yaml.as_bytes()).unwrap();
        results.iter().filter(|r| r.result == Answer::Fail).map(|r| r.meta.id).collect()
    }

    #[test]
    fn a_good_service_passes_and_each_weakness_fails_its_own_check() {
        assert_eq!(failing(GOOD), BTreeSet::new());
        for (line, expected) in [
            ("privileged: true", "compose-privileged"),
            ("volumes: [\"/run/docker.sock:/x:ro\"]", "compose-docker-socket"),
            ("volumes: [{type: bind, source: /var/run/docker.sock, target: /x}]", "compose-docker-socket"),
            ("volumes: [\"/etc/:/host\"]", "compose-sensitive-host-mount"),
            ("volumes: [\"/:/host\"]", "compose-sensitive-host-mount"),
            ("volumes: [\"./a:/b:rshared\"]", "compose-shared-propagation"),
            ("network_mode: host", "compose-host-network"),
            ("pid: \"host\"", "compose-host-pid"),
            ("ipc: host", "compose-host-ipc"),
            ("uts: host", "compose-host-uts"),
            ("userns_mode: host", "compose-host-userns"),
            ("cap_add: [NET_ADMIN]", "compose-added-capabilities"),
            ("environment: {DB_PASSWORD: hunter2}", "compose-secret-in-environment"),
            ("environment: [API_KEY=abc]", "compose-secret-in-environment"),
            ("ports: [\"8080:80\"]", "compose-port-on-all-interfaces"),
            ("ports: [\"127.0.0.1:80:80\"]", "compose-privileged-port"),
            ("ports: [{target: 80, published: \"443\", host_ip: 127.0.0.1}]", "compose-privileged-port"),
            ("devices: [/dev/sda]", "compose-devices"),
            ("healthcheck: {disable: true}", "compose-health-check-off"),
            ("restart: on-failure:9", "compose-unbounded-restarts"),
            ("cgroup_parent: /x", "compose-foreign-cgroup"),
        ] {
            assert_eq!(failing(&format!("{GOOD}    {line}\n")), BTreeSet::from([expected]), "{line}");
        }
        for (from, to, expected) in [
            ("nginx:1.27", "nginx:latest", "compose-moving-image-tag"),
            ("user: \"1000\"", "user: root", "compose-root-user"),
            ("read_only: true", "read_only: false", "compose-writable-root"),
            ("[ALL]", "[KILL]", "compose-keeps-capabilities"),
            ("no-new-privileges:true", "label:x", "compose-may-gain-privileges"),
            ("mem_limit: 1g", "x-a: 1", "compose-no-memory-limit"),
            ("cpus: 1", "x-a: 1", "compose-no-cpu-limit"),
            ("pids_limit: 100", "pids_limit: -1", "compose-no-pids-limit"),
        ] {
            assert_eq!(failing(&GOOD.replace(from, to)), BTreeSet::from([expected]), "{to}");
        }
    }

    #[test]
    fn harmless_neighbours_pass() {
        for line in [
            "environment: {DB_PASSWORD_FILE: /run/secrets/x, TOKEN: \"${TOKEN}\"}",
            "volumes: [\"/data\", \"named:/var\", \"./x:/etc\"]",
            "restart: on-failure:5",
            "ports: [\"127.0.0.1:8080:80\"]",
            "cap_add: [CHOWN]",
        ] {
            assert_eq!(failing(&format!("{GOOD}    {line}\n")), BTreeSet::new(), "{line}");
        }
    }

    #[test]
    fn another_file_is_refused() {
        assert!(check("f", b"kind: Pod\n").is_err());
    }
}
