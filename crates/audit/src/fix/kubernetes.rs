//! Cures of Kubernetes files, one check at a time.

use super::compose::{entry_removed, indexes, items_removed, set};
use super::edit::{Edit, apply};
use super::yaml_edit::Yaml;
use crate::kubernetes::{self, BASELINE_CAPABILITIES, SAFE_SYSCTLS, pod_path};
use crate::yaml::{Node, parse};

/// The file with one workload's weakness removed. `subject` is the kind and name as the report has them: `Pod web`.
/// Errors say why a person must do it.
pub(crate) fn cure(text: &str, subject: &str, id: &str) -> Result<String, String> {
    let documents = parse(text.as_bytes()).map_err(|e| e.to_string())?;
    let objects = documents.iter().flat_map(|d| {
        let items = d.get("items").map(Node::list).unwrap_or_default();
        if items.is_empty() { std::slice::from_ref(d) } else { items }
    });
    let object = objects
        .into_iter()
        .find(|o| kubernetes::subject_of(o) == subject)
        .ok_or_else(|| format!("no {subject} in the file"))?;
    let kind = object.get("kind").and_then(Node::text).unwrap_or("");
    let path = pod_path(kind).ok_or_else(|| format!("a {kind} holds no pod"))?;
    let spec = object.at(path).and_then(|p| p.get("spec")).ok_or("no pod spec")?;
    let edits = edits(&Yaml { text }, spec, id)?;
    if edits.is_empty() {
        return Err("the setting is merged in from elsewhere".to_owned());
    }
    apply(text, edits)
}

/// Whether there is a cure.
pub(crate) fn is_known(id: &str) -> bool {
    kubernetes::all().any(|m| m.id == id)
        && !matches!(
            id,
            "pod-host-path"
                | "pod-volume-types"
                | "pod-no-limits"
                | "pod-moving-image-tag"
                | "pod-windows-host-process"
        )
}

fn containers(spec: &Node) -> impl Iterator<Item = &Node> {
    ["containers", "initContainers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|l| spec.entry(l).map(|(_, n)| n.list()).unwrap_or_default())
}

fn edits(yaml: &Yaml<'_>, spec: &Node, id: &str) -> Result<Vec<Edit>, String> {
    match id {
        "pod-host-namespaces" => first(["hostNetwork", "hostPID", "hostIPC"].map(|k| {
            if spec.get(k).and_then(Node::boolean) == Some(false) {
                Ok(Vec::new())
            } else {
                entry_removed(yaml, spec, k)
            }
        })),
        "pod-privileged" => each_security(yaml, spec, |c| {
            if c.get("privileged").is_some_and(|v| v.boolean() != Some(false)) {
                set(yaml, c, "privileged", "false")
            } else {
                Ok(Vec::new())
            }
        }),
        "pod-capabilities" => {
            each_security(yaml, spec, |c| capabilities(yaml, c, |n| BASELINE_CAPABILITIES.contains(&n)))
        }
        "pod-host-ports" => each_container(spec, |c| {
            let ports = c.get("ports").map(Node::list).unwrap_or_default();
            first(
                ports
                    .iter()
                    .filter(|p| p.get("hostPort").is_some_and(|h| h.integer() != Some(0)))
                    .map(|p| entry_removed(yaml, p, "hostPort")),
            )
        }),
        "pod-probe-host" => each_container(spec, |c| {
            let handlers: [&[&str]; 5] = [
                &["livenessProbe"],
                &["readinessProbe"],
                &["startupProbe"],
                &["lifecycle", "postStart"],
                &["lifecycle", "preStop"],
            ];
            first(
                handlers
                    .iter()
                    .filter_map(|p| c.at(p))
                    .flat_map(|h| ["httpGet", "tcpSocket"].into_iter().filter_map(|k| h.get(k)))
                    .map(|h| entry_removed(yaml, h, "host")),
            )
        }),
        "pod-apparmor" => profile(yaml, spec, "appArmorProfile"),
        "pod-seccomp-off" => profile(yaml, spec, "seccompProfile"),
        "pod-selinux" => each_security(yaml, spec, |c| entry_removed(yaml, c, "seLinuxOptions")),
        "pod-proc-mount" => each_security(yaml, spec, |c| {
            if c.get("procMount").is_some() { set(yaml, c, "procMount", "Default") } else { Ok(Vec::new()) }
        }),
        "pod-sysctls" => {
            let Some((_, security)) = spec.entry("securityContext") else { return Ok(Vec::new()) };
            let list = security.get("sysctls").map(Node::list).unwrap_or_default();
            let bad: Vec<usize> = list
                .iter()
                .enumerate()
                .filter(|(_, s)| !s.get("name").and_then(Node::text).is_some_and(|n| SAFE_SYSCTLS.contains(&n)))
                .map(|(i, _)| i)
                .collect();
            items_removed(yaml, security, "sysctls", &bad)
        }
        "pod-privilege-escalation" => {
            in_each_container(yaml, spec, "allowPrivilegeEscalation", "false", |v| v.boolean() == Some(false))
        }
        "pod-writable-root" => {
            in_each_container(yaml, spec, "readOnlyRootFilesystem", "true", |v| v.boolean() == Some(true))
        }
        "pod-runs-as-root" => each_security(yaml, spec, |c| {
            if c.get("runAsUser").and_then(Node::integer) == Some(0) {
                entry_removed(yaml, c, "runAsUser")
            } else {
                Ok(Vec::new())
            }
        }),
        "pod-may-run-as-root" => pod_or_containers(yaml, spec, "runAsNonRoot", "true", |v| v.boolean() == Some(true)),
        "pod-no-seccomp" => {
            let chosen = |v: &Node| {
                v.get("type").and_then(Node::text).is_some_and(|t| ["RuntimeDefault", "Localhost"].contains(&t))
            };
            pod_or_containers(yaml, spec, "seccompProfile", "{type: RuntimeDefault}", chosen)
        }
        "pod-keeps-capabilities" => keeps_capabilities(yaml, spec),
        "pod-service-account-token" => set(yaml, spec, "automountServiceAccountToken", "false"),
        _ => Err("there is no mechanical cure".to_owned()),
    }
}

/// The first edits that there are: what is left is cured in the next run, when places are known anew.
fn first(all: impl IntoIterator<Item = Result<Vec<Edit>, String>>) -> Result<Vec<Edit>, String> {
    for one in all {
        let edits = one?;
        if !edits.is_empty() {
            return Ok(edits);
        }
    }
    Ok(Vec::new())
}

fn each_container(spec: &Node, cure: impl Fn(&Node) -> Result<Vec<Edit>, String>) -> Result<Vec<Edit>, String> {
    first(containers(spec).map(cure))
}

/// The security contexts of the pod and of its containers, as far as they are there.
fn each_security(
    _: &Yaml<'_>,
    spec: &Node,
    cure: impl Fn(&Node) -> Result<Vec<Edit>, String>,
) -> Result<Vec<Edit>, String> {
    let own = std::iter::once(spec).chain(containers(spec));
    first(own.filter_map(|n| n.entry("securityContext")).map(|(_, c)| cure(c)))
}

/// Sets a key in a node's security context, making the context where there is none.
fn set_security(yaml: &Yaml<'_>, owner: &Node, key: &str, value: &str) -> Result<Vec<Edit>, String> {
    match owner.entry("securityContext") {
        None => Ok(vec![yaml.add_entry(owner, "securityContext", &format!("{{{key}: {value}}}"))?]),
        Some((_, context)) => match context.entry(key) {
            None => Ok(vec![yaml.add_entry(context, key, value)?]),
            Some((_, node)) if value.starts_with('{') => set(yaml, node, "type", "RuntimeDefault"),
            Some((_, node)) => Ok(vec![yaml.replace(node, value)?]),
        },
    }
}

fn in_each_container(
    yaml: &Yaml<'_>,
    spec: &Node,
    key: &str,
    value: &str,
    good: impl Fn(&Node) -> bool,
) -> Result<Vec<Edit>, String> {
    each_container(spec, |c| {
        if c.at(&["securityContext", key]).is_some_and(&good) {
            Ok(Vec::new())
        } else {
            set_security(yaml, c, key, value)
        }
    })
}

/// Sets a key for the whole pod, and in the containers that say otherwise.
fn pod_or_containers(
    yaml: &Yaml<'_>,
    spec: &Node,
    key: &str,
    value: &str,
    good: impl Fn(&Node) -> bool,
) -> Result<Vec<Edit>, String> {
    if !spec.at(&["securityContext", key]).is_some_and(&good) {
        return set_security(yaml, spec, key, value);
    }
    each_container(spec, |c| match c.at(&["securityContext", key]) {
        Some(v) if !good(v) => set_security(yaml, c, key, value),
        _ => Ok(Vec::new()),
    })
}

fn profile(yaml: &Yaml<'_>, spec: &Node, key: &str) -> Result<Vec<Edit>, String> {
    each_security(yaml, spec, |c| {
        let Some(profile) = c.get(key) else { return Ok(Vec::new()) };
        let good =
            profile.get("type").is_none_or(|t| t.text().is_some_and(|t| ["RuntimeDefault", "Localhost"].contains(&t)));
        if good { Ok(Vec::new()) } else { set(yaml, profile, "type", "RuntimeDefault") }
    })
}

/// Takes capabilities out of `add` that are not allowed.
fn capabilities(yaml: &Yaml<'_>, context: &Node, allowed: impl Fn(&str) -> bool) -> Result<Vec<Edit>, String> {
    let Some((_, capabilities)) = context.entry("capabilities") else { return Ok(Vec::new()) };
    let bad = indexes(capabilities, "add", |n| !allowed(n));
    if bad.is_empty() { Ok(Vec::new()) } else { items_removed(yaml, capabilities, "add", &bad) }
}

fn keeps_capabilities(yaml: &Yaml<'_>, spec: &Node) -> Result<Vec<Edit>, String> {
    each_container(spec, |c| {
        let Some((_, context)) = c.entry("securityContext") else {
            return Ok(vec![yaml.add_entry(c, "securityContext", "{capabilities: {drop: [ALL]}}")?]);
        };
        let Some((_, capabilities)) = context.entry("capabilities") else {
            return Ok(vec![yaml.add_entry(context, "capabilities", "{drop: [ALL]}")?]);
        };
        let drops_all =
            capabilities.get("drop").map(Node::list).unwrap_or_default().iter().any(|n| n.text() == Some("ALL"));
        if !drops_all {
            return match capabilities.entry("drop") {
                Some((_, list)) => Ok(vec![yaml.add_item(list, "ALL")?]),
                None => Ok(vec![yaml.add_entry(capabilities, "drop", "[ALL]")?]),
            };
        }
        self::capabilities(yaml, context, |n| n == "NET_BIND_SERVICE")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Answer;

    const WEAK: &str = "# the shop\napiVersion: apps/v1\nkind: Deployment # workload\nmetadata:\n  name: shop\nspec:\n  template:\n    spec:\n      hostNetwork: true\n      hostPID: true # for debugging\n      securityContext:\n        sysctls:\n        - name: kernel.msgmax\n          value: '1'\n        - name: net.ipv4.tcp_syncookies\n          value: '1'\n      containers:\n      - name: a\n        image: nginx:1.27 # pinned\n        ports:\n        - containerPort: 80\n          hostPort: 80\n        resources: {limits: {memory: 1Gi, cpu: 1}}\n        livenessProbe: {httpGet: {host: h, port: 1}}\n        securityContext:\n          privileged: true\n          runAsUser: 0\n          procMount: Unmasked\n          seccompProfile: {type: Unconfined}\n          appArmorProfile:\n            type: Unconfined\n          seLinuxOptions: {type: spc_t}\n          capabilities:\n            add: [NET_RAW, SYS_ADMIN, NET_BIND_SERVICE]\n      - securityContext: {runAsNonRoot: false}\n        name: b\n        image: c:1\n        resources: {limits: {memory: 1Gi, cpu: 1}}\n---\nkind: Pod\nmetadata: {name: other}\nspec: {containers: [{name: x, image: y}]}\n";

    fn failing(text: &str, subject: &str) -> Vec<&'static str> {
        let results = kubernetes::check("f", text.as_bytes()).unwrap();
        let mine = results.iter().filter(|r| r.subject == format!("f: {subject}") && r.result == Answer::Fail);
        mine.map(|r| r.meta.id).collect()
    }

    fn cured(text: &str, subject: &str) -> String {
        let mut text = text.to_owned();
        for id in failing(&text, subject).into_iter().filter(|id| is_known(id)) {
            for _ in 0..20 {
                if !failing(&text, subject).contains(&id) {
                    break;
                }
                text = cure(&text, subject, id).unwrap_or_else(|e| panic!("{id}: {e}\n{text}"));
            }
            assert!(!failing(&text, subject).contains(&id), "{id} still fails:\n{text}");
        }
        text
    }

    #[test]
    fn every_cure_cures_its_check_and_keeps_the_rest() {
        let new = cured(WEAK, "Deployment shop");
        assert_eq!(failing(&new, "Deployment shop"), Vec::<&str>::new(), "{new}");
        for kept in [
            "# the shop\n",
            "kind: Deployment # workload\n",
            "image: nginx:1.27 # pinned\n",
            "tcp_syncookies",
            "---\nkind: Pod\nmetadata: {name: other}\nspec: {containers: [{name: x, image: y}]}\n",
        ] {
            assert!(new.contains(kept), "{kept:?} is lost:\n{new}");
        }
        assert_eq!(cured(&new, "Deployment shop"), new, "a second run changes nothing");
        let both = cured(&new, "Pod other");
        assert_eq!(failing(&both, "Pod other"), ["pod-no-limits", "pod-moving-image-tag"], "{both}");
    }

    #[test]
    fn another_objects_name_is_an_error() {
        assert!(cure(WEAK, "Pod nothing", "pod-privileged").is_err());
    }
}
