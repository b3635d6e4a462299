//! Kubernetes files: the Pod Security Standards (baseline and restricted), and what the NSA/CISA hardening guide adds for
//! workloads. Source: <https://kubernetes.io/docs/concepts/security/pod-security-standards/>.

use crate::model::Degree::{Low, Medium};
use crate::model::{Answer, CheckResult, Degree, Meta, Verdict, meta_of};
use crate::yaml::{Node, YamlError, parse};

/// Capabilities that baseline lets a container add.
pub(crate) const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Kernel settings that are namespaced and harmless to others.
pub(crate) const SAFE_SYSCTLS: [&str; 14] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv4.tcp_notsent_lowat",
    "net.ipv4.tcp_slow_start_after_idle",
];

/// Volume types that restricted allows.
const RESTRICTED_VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// One pod, or the template of one.
struct Pod<'n> {
    spec: &'n Node,
    metadata: Option<&'n Node>,
    /// Containers with the name of their list.
    containers: Vec<(&'static str, &'n Node)>,
}

impl<'n> Pod<'n> {
    fn name_of(container: &'n Node) -> &'n str {
        container.get("name").and_then(Node::text).unwrap_or("unnamed")
    }

    fn windows(&self) -> bool {
        self.spec.at(&["os", "name"]).and_then(Node::text) == Some("windows")
    }

    /// `hostUsers: false`: root inside is nobody outside.
    fn user_namespace(&self) -> bool {
        self.spec.get("hostUsers").and_then(Node::boolean) == Some(false)
    }

    /// Pod's and containers' values of a field of the security context, with where they stand.
    fn security(&self, path: &[&str]) -> Vec<(String, Option<&'n Node>)> {
        let mut full = vec!["securityContext"];
        full.extend(path);
        let mut out = vec![("pod".to_owned(), self.spec.at(&full))];
        out.extend(self.containers.iter().map(|(_, c)| (Self::name_of(c).to_owned(), c.at(&full))));
        out
    }

    fn container_security(&self, path: &[&str]) -> Vec<(String, Option<&'n Node>)> {
        self.security(path).split_off(1)
    }
}

/// What is wrong, each with its line.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, line: usize, what: impl std::fmt::Display) {
        self.0.push(format!("line {line}: {what}"));
    }
}

struct PodCheck {
    meta: Meta,
    test: fn(&Pod<'_>, &mut Faults),
}

meta_of!(Kubernetes, (level: u8, risk: Degree), level: level, effort: Low, risk: risk);

macro_rules! check {
    ($id:literal, [$($r:literal),+], $level:literal, $risk:ident, $title:literal, $why:literal, $fix:literal, $test:expr) => {
        PodCheck { meta: meta($id, &[$($r),+], $level, $risk, $title, $why, $fix), test: $test }
    };
}

/// All checks of pods. Level 1 is baseline, level 2 restricted and beyond.
#[rustfmt::skip]
static CHECKS: &[PodCheck] = &[
    check!("pod-windows-host-process", ["PSS:baseline:windowsHostProcess"], 1, Medium, "No Windows host process",
        "It runs with the node's rights.", "Take windowsOptions.hostProcess out.", |p, f| {
            for (who, v) in p.security(&["windowsOptions", "hostProcess"]) { must_not_be_true(&who, "hostProcess", v, f); }
        }),
    check!("pod-host-namespaces", ["PSS:baseline:hostNamespaces", "NSA-host-namespaces"], 1, Medium, "The pod has its own namespaces",
        "It could see the node's processes and traffic.", "Take hostNetwork, hostPID and hostIPC out.", |p, f| {
            for key in ["hostNetwork", "hostPID", "hostIPC"] { must_not_be_true("pod", key, p.spec.get(key), f); }
        }),
    check!("pod-privileged", ["PSS:baseline:privileged", "NSA-privileged"], 1, Medium, "No container is privileged",
        "A privileged container is root on the node.", "Take privileged: true out.", |p, f| {
            for (who, v) in p.container_security(&["privileged"]) { must_not_be_true(&who, "privileged", v, f); }
        }),
    check!("pod-capabilities", ["PSS:baseline:capabilities"], 1, Medium, "No capability beyond the default is added",
        "Each capability is a part of root's power on the node's kernel.", "Take it out of capabilities.add.", |p, f| {
            for (who, v) in p.container_security(&["capabilities", "add"]) {
                for c in v.map(Node::list).unwrap_or_default() {
                    let name = c.text().unwrap_or("");
                    if !BASELINE_CAPABILITIES.contains(&name) { f.add(c.line, format_args!("{who}: adds {}", c.shown())); }
                }
            }
        }),
    check!("pod-host-path", ["PSS:baseline:hostPathVolumes", "NSA-host-path"], 1, Medium, "No directory of the node is mounted",
        "Files of the node can be read or changed.", "Use a persistent volume, a config map or a secret.", |p, f| {
            for v in p.spec.get("volumes").map(Node::list).unwrap_or_default() {
                if let Some(h) = v.get("hostPath").filter(|h| !h.is_null()) {
                    f.add(h.line, format_args!("volume {}: hostPath {}", v.get("name").map_or(String::new(), Node::shown), h.get("path").map_or(String::new(), Node::shown)));
                }
            }
        }),
    check!("pod-host-ports", ["PSS:baseline:hostPorts"], 1, Medium, "No port of the node is used",
        "It passes by services and network policies.", "Use a Service.", |p, f| {
            for (_, c) in &p.containers {
                for port in c.get("ports").map(Node::list).unwrap_or_default() {
                    if let Some(h) = port.get("hostPort").filter(|h| h.integer() != Some(0) && !h.is_null()) {
                        f.add(h.line, format_args!("{}: hostPort {}", Pod::name_of(c), h.shown()));
                    }
                }
            }
        }),
    check!("pod-probe-host", ["PSS:baseline:hostProbesAndHostLifecycle"], 1, Low, "Probes and hooks reach the pod alone",
        "The kubelet can be made to send requests to other hosts.", "Take host out of the probe or hook.", |p, f| {
            for (_, c) in &p.containers {
                let handlers = [&["livenessProbe"][..], &["readinessProbe"], &["startupProbe"], &["lifecycle", "postStart"], &["lifecycle", "preStop"]];
                for path in handlers {
                    let Some(handler) = c.at(path) else { continue };
                    for kind in ["httpGet", "tcpSocket"] {
                        if let Some(h) = handler.at(&[kind, "host"]).filter(|h| h.text().is_some_and(|t| !t.is_empty())) {
                            f.add(h.line, format_args!("{}: {}.{kind}.host {}", Pod::name_of(c), path.join("."), h.shown()));
                        }
                    }
                }
            }
        }),
    check!("pod-apparmor", ["PSS:baseline:appArmorProfile"], 1, Low, "AppArmor is not switched off",
        "The kernel's path rules do not hold the container back.", "Use RuntimeDefault or Localhost.", |p, f| {
            for (who, v) in p.security(&["appArmorProfile", "type"]) { must_be_one_of(&who, "appArmorProfile.type", v, &["RuntimeDefault", "Localhost"], f); }
            for (key, v) in p.metadata.and_then(|m| m.get("annotations")).map(Node::map).unwrap_or_default() {
                if key.starts_with("container.apparmor.security.beta.kubernetes.io/") {
                    let t = v.text().unwrap_or("");
                    if !(t.is_empty() || t == "runtime/default" || t.starts_with("localhost/")) { f.add(v.line, format_args!("annotation {key}: {t}")); }
                }
            }
        }),
    check!("pod-selinux", ["PSS:baseline:seLinuxOptions"], 1, Low, "SELinux labels are a container's",
        "Another type, user or role may reach the node's files.", "Use one of the container types, and no user or role.", |p, f| {
            for (who, v) in p.security(&["seLinuxOptions", "type"]) {
                if v.is_some_and(|v| v.text() != Some("")) { must_be_one_of(&who, "seLinuxOptions.type", v, &["container_t", "container_init_t", "container_kvm_t", "container_engine_t"], f); }
            }
            for key in ["user", "role"] {
                for (who, v) in p.security(&["seLinuxOptions", key]) {
                    if let Some(v) = v.filter(|v| v.text().is_some_and(|t| !t.is_empty())) { f.add(v.line, format_args!("{who}: seLinuxOptions.{key} {}", v.shown())); }
                }
            }
        }),
    check!("pod-proc-mount", ["PSS:baseline:procMount", "PSS:restricted:procMount"], 1, Low, "/proc is masked as usual",
        "Unmasked files in /proc change or tell about the kernel.", "Use procMount: Default, or hostUsers: false.", |p, f| {
            if p.user_namespace() { return; }
            for (who, v) in p.container_security(&["procMount"]) { must_be_one_of(&who, "procMount", v, &["Default"], f); }
        }),
    check!("pod-seccomp-off", ["PSS:baseline:seccompProfile"], 1, Medium, "The seccomp filter is not switched off",
        "Every system call of the kernel can be attacked.", "Use RuntimeDefault or Localhost.", |p, f| {
            for (who, v) in p.security(&["seccompProfile", "type"]) { must_be_one_of(&who, "seccompProfile.type", v, &["RuntimeDefault", "Localhost"], f); }
        }),
    check!("pod-sysctls", ["PSS:baseline:sysctls"], 1, Medium, "Only safe kernel settings are changed",
        "Others change the node for everybody.", "Take the sysctl out.", |p, f| {
            for s in p.spec.at(&["securityContext", "sysctls"]).map(Node::list).unwrap_or_default() {
                let name = s.get("name").and_then(Node::text).unwrap_or("");
                if !SAFE_SYSCTLS.contains(&name) { f.add(s.line, format_args!("sysctl {name}")); }
            }
        }),
    check!("pod-volume-types", ["PSS:restricted:restrictedVolumes"], 2, Medium, "Volumes are of portable types",
        "Other types reach storage of the node or the network past Kubernetes' rules.", "Use a persistent volume claim.", |p, f| {
            for v in p.spec.get("volumes").map(Node::list).unwrap_or_default() {
                let kinds: Vec<_> = v.map().iter().filter(|(k, n)| k != "name" && !n.is_null()).collect();
                for (kind, node) in kinds {
                    if !RESTRICTED_VOLUMES.contains(&kind.as_str()) { f.add(node.line, format_args!("volume {}: {kind}", v.get("name").map_or(String::new(), Node::shown))); }
                }
            }
        }),
    check!("pod-privilege-escalation", ["PSS:restricted:allowPrivilegeEscalation", "NSA-privilege-escalation"], 2, Medium, "Privileges cannot be gained",
        "A setuid program inside could make its caller root.", "Set allowPrivilegeEscalation: false in each container.", |p, f| {
            if p.windows() { return; }
            for (who, v) in p.container_security(&["allowPrivilegeEscalation"]) {
                if v.and_then(Node::boolean) != Some(false) { f.add(line(v, p), format_args!("{who}: allowPrivilegeEscalation {}", or_unset(v))); }
            }
        }),
    check!("pod-may-run-as-root", ["PSS:restricted:runAsNonRoot", "NSA-non-root"], 2, Medium, "Containers must not run as root",
        "A hole in the program gives an intruder root inside.", "Set runAsNonRoot: true for the pod.", |p, f| {
            if p.user_namespace() { return; }
            let values = p.security(&["runAsNonRoot"]);
            let pod = values.first().and_then(|(_, v)| *v).and_then(Node::boolean);
            for (who, v) in values.iter().skip(1) {
                match v.and_then(Node::boolean) {
                    Some(true) => {}
                    None if pod == Some(true) => {}
                    _ => f.add(line(*v, p), format_args!("{who}: runAsNonRoot {}", or_unset(*v))),
                }
            }
        }),
    check!("pod-runs-as-root", ["PSS:restricted:runAsUser"], 2, Medium, "No container asks for user 0",
        "A hole in the program gives an intruder root inside.", "Use another runAsUser.", |p, f| {
            if p.user_namespace() { return; }
            for (who, v) in p.security(&["runAsUser"]) {
                if let Some(v) = v.filter(|v| v.integer() == Some(0)) { f.add(v.line, format_args!("{who}: runAsUser 0")); }
            }
        }),
    check!("pod-no-seccomp", ["PSS:restricted:seccompProfile"], 2, Medium, "A seccomp filter is chosen",
        "Some clusters run pods without one unless it is asked for.", "Set seccompProfile.type: RuntimeDefault for the pod.", |p, f| {
            if p.windows() { return; }
            let good = |v: Option<&Node>| v.and_then(Node::text).is_some_and(|t| ["RuntimeDefault", "Localhost"].contains(&t));
            let values = p.security(&["seccompProfile", "type"]);
            let pod = good(values.first().and_then(|(_, v)| *v));
            for (who, v) in values.iter().skip(1) {
                if !(good(*v) || (v.is_none() && pod)) { f.add(line(*v, p), format_args!("{who}: seccompProfile.type {}", or_unset(*v))); }
            }
        }),
    check!("pod-keeps-capabilities", ["PSS:restricted:capabilities"], 2, Medium, "All capabilities are dropped",
        "Each capability is a part of root's power on the node's kernel.", "Set capabilities.drop: [ALL]; add at most NET_BIND_SERVICE.", |p, f| {
            if p.windows() { return; }
            for (who, v) in p.container_security(&["capabilities"]) {
                let names = |key: &str| v.and_then(|v| v.get(key)).map(Node::list).unwrap_or_default();
                if !names("drop").iter().any(|n| n.text() == Some("ALL")) { f.add(line(v, p), format_args!("{who}: capabilities.drop lacks ALL")); }
                for n in names("add") {
                    if n.text() != Some("NET_BIND_SERVICE") { f.add(n.line, format_args!("{who}: capabilities.add {}", n.shown())); }
                }
            }
        }),
    check!("pod-writable-root", ["NSA-read-only-root"], 2, Medium, "Root file systems are read-only",
        "An intruder can change programs and leave tools behind.", "Set readOnlyRootFilesystem: true, with emptyDir for what must be written.", |p, f| {
            for (who, v) in p.container_security(&["readOnlyRootFilesystem"]) {
                if v.and_then(Node::boolean) != Some(true) { f.add(line(v, p), format_args!("{who}: readOnlyRootFilesystem {}", or_unset(v))); }
            }
        }),
    check!("pod-no-limits", ["NSA-resource-limits"], 2, Low, "Memory and CPU are limited",
        "One pod can take all of the node.", "Set resources.limits.memory and cpu.", |p, f| {
            for (kind, c) in &p.containers {
                for key in ["memory", "cpu"] {
                    if *kind != "ephemeralContainers" && c.at(&["resources", "limits", key]).is_none() { f.add(c.line, format_args!("{}: no limit of {key}", Pod::name_of(c))); }
                }
            }
        }),
    check!("pod-service-account-token", ["NSA-service-account"], 2, Low, "No unneeded API token is mounted",
        "Whoever takes over the pod can use the token against the cluster.", "Set automountServiceAccountToken: false.", |p, f| {
            let v = p.spec.get("automountServiceAccountToken");
            if v.and_then(Node::boolean) != Some(false) { f.add(line(v, p), format_args!("automountServiceAccountToken {}", or_unset(v))); }
        }),
    check!("pod-moving-image-tag", ["NSA-image-tag"], 2, Low, "Images are named exactly",
        "The same file starts something else tomorrow.", "Name a version, or better a digest.", |p, f| {
            for (_, c) in &p.containers {
                let Some(image) = c.get("image") else { continue };
                if image.text().is_some_and(moving_tag) { f.add(image.line, format_args!("{}: image {}", Pod::name_of(c), image.shown())); }
            }
        }),
];

fn or_unset(v: Option<&Node>) -> String {
    v.map_or_else(|| "not set".to_owned(), Node::shown)
}

fn line(v: Option<&Node>, p: &Pod<'_>) -> usize {
    v.map_or(p.spec.line, |v| v.line)
}

fn must_not_be_true(who: &str, key: &str, v: Option<&Node>, f: &mut Faults) {
    if let Some(v) = v.filter(|v| !v.is_null() && v.boolean() != Some(false)) {
        f.add(v.line, format_args!("{who}: {key} {}", v.shown()));
    }
}

fn must_be_one_of(who: &str, key: &str, v: Option<&Node>, allowed: &[&str], f: &mut Faults) {
    if let Some(v) = v.filter(|v| !v.is_null() && !v.text().is_some_and(|t| allowed.contains(&t))) {
        f.add(v.line, format_args!("{who}: {key} {}", v.shown()));
    }
}

/// No tag, or `latest`.
pub(crate) fn moving_tag(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

/// Every check of Kubernetes files there is.
pub fn all() -> impl Iterator<Item = &'static Meta> {
    CHECKS.iter().map(|c| &c.meta)
}

/// Checks every workload in a file. Objects of other kinds are passed by.
pub fn check(file: &str, bytes: &[u8]) -> Result<Vec<CheckResult>, YamlError> {
    let mut out = Vec::new();
    let mut workloads = 0;
    for document in parse(bytes)? {
        // A `List` holds objects; most files hold one a document.
        let items = document.get("items").map(Node::list).unwrap_or_default();
        for object in if items.is_empty() { std::slice::from_ref(&document) } else { items } {
            workloads += usize::from(check_object(file, object, &mut out));
            if workloads > MAX_WORKLOADS {
                let message = format!("more than {MAX_WORKLOADS} workloads");
                return Err(YamlError { line: object.line, column: 1, message });
            }
        }
    }
    Ok(out)
}

/// Keys from an object of this kind to its pod's metadata and spec; `None` for kinds without a pod.
pub(crate) fn pod_path(kind: &str) -> Option<&'static [&'static str]> {
    match kind {
        "Pod" => Some(&[]),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            Some(&["spec", "template"])
        }
        "CronJob" => Some(&["spec", "jobTemplate", "spec", "template"]),
        _ => None,
    }
}

/// Kind and name of an object.
pub(crate) fn subject_of(object: &Node) -> String {
    let text = |path: &[&str]| object.at(path).and_then(Node::text);
    format!("{} {}", text(&["kind"]).unwrap_or(""), text(&["metadata", "name"]).unwrap_or("unnamed"))
}

/// Most workloads of a file.
const MAX_WORKLOADS: usize = 5_000;

/// Answers about one object; whether it is a workload.
fn check_object(file: &str, object: &Node, out: &mut Vec<CheckResult>) -> bool {
    let kind = object.get("kind").and_then(Node::text).unwrap_or("");
    let Some(path) = pod_path(kind) else { return false };
    let subject = format!("{file}: {}", subject_of(object));
    let mut push = |meta: &Meta, verdict: Verdict| {
        out.push(CheckResult::new(meta, subject.clone(), verdict));
    };
    let Some((pod, spec)) = object.at(path).and_then(|p| Some((p, p.get("spec")?))) else {
        for check in CHECKS {
            push(
                &check.meta,
                Verdict::unknown(format!(
                    "line {}: the object has no {}spec",
                    object.line,
                    if path.is_empty() { String::new() } else { path.join(".") + "." }
                )),
            );
        }
        return true;
    };
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    let containers =
        lists.iter().flat_map(|l| spec.get(l).map(Node::list).unwrap_or_default().iter().map(|c| (*l, c))).collect();
    let pod = Pod { spec, metadata: pod.get("metadata"), containers };
    for check in CHECKS {
        let mut faults = Faults::default();
        (check.test)(&pod, &mut faults);
        let answer = if faults.0.is_empty() { Answer::Pass } else { Answer::Fail };
        let evidence = if faults.0.is_empty() {
            format!("line {}: nothing against it", spec.line)
        } else {
            crate::compose::joined(&faults.0)
        };
        push(&check.meta, Verdict { answer, evidence });
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn failing(yaml: &str) -> BTreeSet<&'static str> {
        let results = check("f.yaml", yaml.as_bytes()).unwrap();
        results.iter().filter(|r| r.result == Answer::Fail).flat_map(|r| r.meta.refs).copied().collect()
    }

    const RESTRICTED: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: good}
spec:
  automountServiceAccountToken: false
  securityContext:
    runAsNonRoot: true
    seccompProfile: {type: RuntimeDefault}
  containers:
  - name: a
    image: nginx:1.27
    resources: {limits: {memory: 1Gi, cpu: 1}}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}
";

    #[test]
    fn a_restricted_pod_passes_everything() {
        assert_eq!(failing(RESTRICTED), BTreeSet::new());
    }

    /// Each row: what is put into the pod's spec or its container, and the reference that must then fail, and no other.
    #[test]
    fn each_weakness_fails_its_own_control() {
        let pod = |text: &str| RESTRICTED.replace("spec:\n", &format!("spec:\n  {text}\n"));
        let container = |text: &str| {
            RESTRICTED.replace("      readOnlyRootFilesystem", &format!("      {text}\n      readOnlyRootFilesystem"))
        };
        for (yaml, expected) in [
            (pod("hostPID: true"), vec!["PSS:baseline:hostNamespaces", "NSA-host-namespaces"]),
            (container("privileged: true"), vec!["PSS:baseline:privileged", "NSA-privileged"]),
            (container("procMount: Unmasked"), vec!["PSS:baseline:procMount", "PSS:restricted:procMount"]),
            (container("runAsUser: 0"), vec!["PSS:restricted:runAsUser"]),
            (container("seLinuxOptions: {type: spc_t}"), vec!["PSS:baseline:seLinuxOptions"]),
            (container("appArmorProfile: {type: Unconfined}"), vec!["PSS:baseline:appArmorProfile"]),
            (container("windowsOptions: {hostProcess: true}"), vec!["PSS:baseline:windowsHostProcess"]),
            (
                container("seccompProfile: {type: Unconfined}"),
                vec!["PSS:baseline:seccompProfile", "PSS:restricted:seccompProfile"],
            ),
            (
                pod("volumes: [{name: v, hostPath: {path: /}}]"),
                vec!["PSS:baseline:hostPathVolumes", "NSA-host-path", "PSS:restricted:restrictedVolumes"],
            ),
            (pod("volumes: [{name: v, nfs: {path: /}}]"), vec!["PSS:restricted:restrictedVolumes"]),
            (
                RESTRICTED.replace(
                    "securityContext:\n    runAs",
                    "securityContext:\n    sysctls: [{name: kernel.msgmax, value: '1'}]\n    runAs",
                ),
                vec!["PSS:baseline:sysctls"],
            ),
            (
                RESTRICTED
                    .replace("image: nginx:1.27", "image: nginx:1.27\n    ports: [{containerPort: 1, hostPort: 1}]"),
                vec!["PSS:baseline:hostPorts"],
            ),
            (
                RESTRICTED.replace(
                    "image: nginx:1.27",
                    "image: nginx:1.27\n    livenessProbe: {httpGet: {host: h, port: 1}}",
                ),
                vec!["PSS:baseline:hostProbesAndHostLifecycle"],
            ),
            (
                RESTRICTED.replace("NET_BIND_SERVICE", "NET_RAW"),
                vec!["PSS:baseline:capabilities", "PSS:restricted:capabilities"],
            ),
            (RESTRICTED.replace("drop: [ALL]", "drop: [KILL]"), vec!["PSS:restricted:capabilities"]),
            (
                RESTRICTED.replace("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"),
                vec!["PSS:restricted:allowPrivilegeEscalation", "NSA-privilege-escalation"],
            ),
            (
                RESTRICTED.replace("runAsNonRoot: true", "runAsNonRoot: false"),
                vec!["PSS:restricted:runAsNonRoot", "NSA-non-root"],
            ),
            (RESTRICTED.replace("nginx:1.27", "reg:5000/nginx"), vec!["NSA-image-tag"]),
        ] {
            assert_eq!(failing(&yaml), expected.into_iter().collect(), "{yaml}");
        }
    }

    #[test]
    fn templates_of_all_workloads_are_found() {
        let spec = "spec: {hostPID: true, containers: []}";
        for (kind, open, close) in
            [("Deployment", "spec: {template: {", "}}"), ("CronJob", "spec: {jobTemplate: {spec: {template: {", "}}}}")]
        {
            let yaml = format!("kind: {kind}\n{open}{spec}{close}\n");
            assert!(failing(&yaml).contains("PSS:baseline:hostNamespaces"), "{yaml}");
        }
        assert!(
            failing(&format!("kind: List\nitems:\n- kind: Pod\n  {spec}\n")).contains("PSS:baseline:hostNamespaces")
        );
        assert!(check("f", b"kind: Service\nspec: {}\n").unwrap().is_empty());
    }

    #[test]
    fn a_pod_without_a_spec_is_unknown() {
        assert!(check("f", b"kind: Pod\n").unwrap().iter().all(|r| r.result == Answer::Unknown));
    }

    #[test]
    fn user_namespaces_relax_what_the_standard_relaxes() {
        let yaml =
            RESTRICTED.replace("spec:\n", "spec:\n  hostUsers: false\n").replace("runAsNonRoot: true", "runAsUser: 0");
        assert_eq!(failing(&yaml), BTreeSet::new());
    }
}
