//! containerd: its files and its configuration (TOML, versions 1 to 3). Source: containerd's docs/man and docs/cri/config.

use std::path::Path;

use toml::Value as Toml;

use super::HostCheck;
use super::daemon_files::{Place, mode_within, owned_by};
use crate::host::Host;
use crate::model::Degree::{Low, Medium};
use crate::model::{Degree, Verdict, meta_of};

const CONFIG: &str = "/etc/containerd/config.toml";
const PROGRAMS: [&str; 3] = ["/usr/bin/containerd", "/usr/local/bin/containerd", "/usr/sbin/containerd"];

meta_of!(Containerd, (level: u8, risk: Degree), level: level, effort: Low, risk: risk);

/// Who can change the file, or the words of it, is root.
const FILES: &str = "Who can change this file controls containerd, and containerd is root.";

pub(crate) static SERVICE: Place = Place::Paths(&[
    "/etc/systemd/system/containerd.service",
    "/usr/lib/systemd/system/containerd.service",
    "/lib/systemd/system/containerd.service",
]);
pub(crate) static CONFIG_FILE: Place = Place::Paths(&[CONFIG]);
pub(crate) static STATE: Place = Place::Paths(&["/run/containerd"]);
pub(crate) static ROOT: Place = Place::Paths(&["/var/lib/containerd"]);

/// All checks of this section.
#[rustfmt::skip]
pub(super) static CHECKS: &[HostCheck] = &[
    HostCheck { meta: meta("containerd-service-owner", &["CTRD-1.1"], 1, Low, "containerd.service is owned by root:root", FILES, "chown root:root the file."),
        test: |h, d| owned_by(h, d, &SERVICE, "root", "root") },
    HostCheck { meta: meta("containerd-service-mode", &["CTRD-1.2"], 1, Low, "containerd.service has mode 644 or tighter", FILES, "chmod 644 the file."),
        test: |h, d| mode_within(h, d, &SERVICE, 0o644) },
    HostCheck { meta: meta("containerd-config-owner", &["CTRD-1.3"], 1, Low, "config.toml is owned by root:root", FILES, "chown root:root /etc/containerd/config.toml."),
        test: |h, d| owned_by(h, d, &CONFIG_FILE, "root", "root") },
    HostCheck { meta: meta("containerd-config-mode", &["CTRD-1.4"], 1, Low, "config.toml has mode 644 or tighter", FILES, "chmod 644 /etc/containerd/config.toml."),
        test: |h, d| mode_within(h, d, &CONFIG_FILE, 0o644) },
    HostCheck { meta: meta("containerd-state-mode", &["CTRD-1.5"], 1, Low, "/run/containerd has mode 711 or tighter", FILES, "chmod 711 /run/containerd."),
        test: |h, d| mode_within(h, d, &STATE, 0o711) },
    HostCheck { meta: meta("containerd-root-mode", &["CTRD-1.6"], 1, Low, "/var/lib/containerd has mode 711 or tighter",
        "Files of images, setuid programs too, could be used by every user of the host.", "chmod 711 /var/lib/containerd."),
        test: |h, d| mode_within(h, d, &ROOT, 0o711) },
    HostCheck { meta: meta("containerd-version", &["CTRD-2.1"], 1, Low, "containerd is current",
        "An old version lacks fixes of known holes.", "Update containerd: stockade scan dir:/ names the holes of the installed package."),
        test: |h, _| version(h) },
    HostCheck { meta: meta("containerd-tcp", &["CTRD-3.1"], 1, Medium, "containerd does not listen on TCP without client certificates",
        "Whoever reaches the port is root on the host.", "Take tcp_address out of [grpc], or set tcp_tls_ca, tcp_tls_cert and tcp_tls_key."),
        test: |h, _| config(h, |c| {
            let address = text(c, &["grpc", "tcp_address"]);
            match address {
                "" => Verdict::pass(format!("{CONFIG}: grpc.tcp_address is not set")),
                a => Verdict::of(!text(c, &["grpc", "tcp_tls_ca"]).is_empty(), format!("{CONFIG}: grpc.tcp_address {a}, tcp_tls_ca {:?}", text(c, &["grpc", "tcp_tls_ca"]))),
            }
        }) },
    HostCheck { meta: meta("containerd-debug-socket", &["CTRD-3.2"], 2, Low, "The debug socket is off",
        "It tells what runs, and profiles can be taken of it.", "Take address out of [debug]."),
        test: |h, _| config(h, |c| {
            let (address, level) = (text(c, &["debug", "address"]), text(c, &["debug", "level"]));
            Verdict::of(address.is_empty() && !["debug", "trace"].contains(&level), format!("{CONFIG}: debug.address {address:?}, debug.level {level:?}"))
        }) },
    HostCheck { meta: meta("containerd-metrics-open", &["CTRD-3.3"], 2, Low, "Metrics are for this host only",
        "They name images and containers to everybody who asks.", "Set [metrics] address to 127.0.0.1:1338, or leave it out."),
        test: |h, _| config(h, |c| {
            let a = text(c, &["metrics", "address"]);
            let local = a.is_empty() || a.starts_with("127.") || a.starts_with("localhost:") || a.starts_with("[::1]") || a.starts_with("unix:");
            Verdict::of(local, format!("{CONFIG}: metrics.address {a:?}"))
        }) },
    HostCheck { meta: meta("containerd-apparmor-off", &["CTRD-4.1"], 1, Low, "AppArmor is not switched off",
        "The kernel's path rules do not hold any pod back.", "Take disable_apparmor = true out."),
        test: |h, _| config(h, |c| flags(c, "disable_apparmor", true)) },
    HostCheck { meta: meta("containerd-selinux-off", &["CTRD-4.2"], 2, Medium, "SELinux is on where the kernel has it",
        "Labels keep a process that escapes from touching what is not the container's.", "Set enable_selinux = true in the CRI plugin's section."),
        test: |h, _| {
            if h.has_selinux() == Some(false) { return Verdict::not_applicable("the kernel has no SELinux"); }
            config(h, |c| match found(c, "enable_selinux").first() {
                Some((at, Toml::Boolean(true))) => Verdict::pass(format!("{CONFIG}: {at} = true")),
                Some((at, v)) => Verdict::fail(format!("{CONFIG}: {at} = {v}")),
                None => Verdict::fail(format!("{CONFIG}: enable_selinux is not set: false")),
            })
        } },
    HostCheck { meta: meta("containerd-insecure-registry", &["CTRD-4.3"], 1, Medium, "No registry is trusted without TLS",
        "Anyone on the way can swap the image.", "Take insecure_skip_verify = true and endpoints with http:// out."),
        test: |h, _| config(h, |c| {
            let skips = found(c, "insecure_skip_verify").into_iter().filter(|(_, v)| *v == &Toml::Boolean(true)).map(|(at, _)| at);
            let plain = found(c, "endpoint").into_iter().filter(|(_, v)| v.to_string().contains("http://")).map(|(at, v)| format!("{at} = {v}"));
            let bad: Vec<String> = skips.chain(plain).collect();
            if bad.is_empty() { Verdict::pass(format!("{CONFIG}: none")) } else { Verdict::fail(format!("{CONFIG}: {}", bad.join(", "))) }
        }) },
    HostCheck { meta: meta("containerd-privileged-devices", &["CTRD-4.4"], 2, Medium, "Privileged pods do not get all host devices",
        "A privileged pod can write the host's disks.", "Set privileged_without_host_devices = true for each runtime."),
        test: |h, _| config(h, |c| match found(c, "privileged_without_host_devices").iter().find(|(_, v)| *v == &Toml::Boolean(true)) {
            Some((at, _)) => Verdict::pass(format!("{CONFIG}: {at} = true")),
            None => Verdict::manual(format!("{CONFIG}: privileged_without_host_devices is not true for any runtime")),
        }) },
    HostCheck { meta: meta("containerd-seccomp-unset", &["CTRD-4.5"], 1, Medium, "Pods without a seccomp profile get the default one",
        "Kubernetes runs pods without a filter unless they ask for one.", "Set unset_seccomp_profile = \"runtime/default\" in the CRI plugin's section."),
        test: |h, _| config(h, |c| match found(c, "unset_seccomp_profile").first() {
            Some((at, v)) if v.as_str().is_some_and(|t| !t.is_empty() && t != "unconfined") => Verdict::pass(format!("{CONFIG}: {at} = {v}")),
            _ => Verdict::manual(format!("{CONFIG}: unset_seccomp_profile is not set; it matters where Kubernetes uses this containerd")),
        }) },
];

fn installed(host: &Host) -> bool {
    PROGRAMS.iter().any(|p| matches!(host.stat(Path::new(p)), Ok(Some(_))))
}

/// Reads the configuration. Without the file containerd's defaults are in force, which is an empty table.
fn config(host: &Host, test: impl FnOnce(&Toml) -> Verdict) -> Verdict {
    if !installed(host) {
        return Verdict::not_applicable("containerd is not installed");
    }
    let path = Path::new(CONFIG);
    match host.read_text(path) {
        Err(why) => Verdict::unknown(format!("{CONFIG}: {why}")),
        Ok(None) => test(&Toml::Table(toml::Table::new())),
        Ok(Some(text)) => match text.parse::<toml::Table>() {
            Ok(table) => test(&Toml::Table(table)),
            Err(e) => Verdict::unknown(format!("{CONFIG}: not TOML: {}", e.message())),
        },
    }
}

fn text<'t>(config: &'t Toml, path: &[&str]) -> &'t str {
    path.iter().try_fold(config, |v, key| v.get(key)).and_then(Toml::as_str).unwrap_or("")
}

fn flags(config: &Toml, key: &str, bad: bool) -> Verdict {
    match found(config, key).into_iter().find(|(_, v)| **v == Toml::Boolean(bad)) {
        Some((at, v)) => Verdict::fail(format!("{CONFIG}: {at} = {v}")),
        None => Verdict::pass(format!("{CONFIG}: no {key} = {bad}")),
    }
}

/// Every value of a key, wherever it stands: the plugins' sections were renamed between versions.
fn found<'t>(config: &'t Toml, key: &str) -> Vec<(String, &'t Toml)> {
    let mut out = Vec::new();
    let mut todo = vec![(String::new(), config)];
    while let Some((path, value)) = todo.pop() {
        for (k, v) in value.as_table().into_iter().flatten() {
            let at = if path.is_empty() { k.clone() } else { format!("{path}.{k}") };
            if k == key {
                out.push((at, v));
            } else if v.is_table() {
                todo.push((at, v));
            }
        }
    }
    out
}

/// The version that the package database knows: programs are not started for this.
fn version(host: &Host) -> Verdict {
    if !installed(host) {
        return Verdict::not_applicable("containerd is not installed");
    }
    for package in ["containerd.io", "containerd"] {
        if let Some(version) = dpkg_version(host, package) {
            return Verdict::manual(format!("/var/lib/dpkg/status: {package} {version}"));
        }
    }
    Verdict::manual("the version is not in a package database: run containerd --version")
}

/// Version of an installed Debian package (dpkg's status file).
pub(crate) fn dpkg_version(host: &Host, package: &str) -> Option<String> {
    let status = host.read_text(Path::new("/var/lib/dpkg/status")).ok().flatten()?;
    let wanted = format!("Package: {package}");
    let stanza = status.split("\n\n").find(|s| s.lines().next() == Some(wanted.as_str()))?;
    stanza.lines().find_map(|l| l.strip_prefix("Version: ")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Answer;

    fn answer(id: &str, config: &str) -> Answer {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [("usr/bin/containerd", ""), ("etc/containerd/config.toml", config)] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let host = Host::at(dir.path()).unwrap();
        (CHECKS.iter().find(|c| c.meta.id == id).unwrap().test)(&host, None).answer
    }

    #[test]
    fn every_weak_setting_fails_and_its_cure_passes() {
        for (id, bad, good) in [
            (
                "containerd-tcp",
                "[grpc]\ntcp_address = '0.0.0.0:1'\n",
                "[grpc]\ntcp_address = 'x:1'\ntcp_tls_ca = '/ca'\n",
            ),
            ("containerd-debug-socket", "[debug]\nlevel = 'debug'\n", ""),
            (
                "containerd-metrics-open",
                "[metrics]\naddress = '0.0.0.0:1338'\n",
                "[metrics]\naddress = '127.0.0.1:1'\n",
            ),
            ("containerd-apparmor-off", "[plugins.'io.containerd.grpc.v1.cri']\ndisable_apparmor = true\n", ""),
            (
                "containerd-selinux-off",
                "",
                "version = 3\n[plugins.'io.containerd.cri.v1.runtime']\nenable_selinux = true\n",
            ),
            (
                "containerd-insecure-registry",
                "[plugins.x.registry.configs.'r:5000'.tls]\ninsecure_skip_verify = true\n",
                "[plugins.x.registry.mirrors.'r']\nendpoint = ['https://r']\n",
            ),
        ] {
            assert_eq!(answer(id, bad), Answer::Fail, "{id}");
            assert_eq!(answer(id, good), Answer::Pass, "{id}");
        }
        assert_eq!(answer("containerd-tcp", "not = toml = x"), Answer::Unknown);
    }

    #[test]
    fn without_containerd_nothing_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::at(dir.path()).unwrap();
        for check in CHECKS {
            assert_eq!((check.test)(&host, None).answer, Answer::NotApplicable, "{}", check.meta.id);
        }
    }
}
