//! Podman: its socket, and what its files set for all containers. Sources: containers.conf(5),
//! containers-policy.json(5), containers-registries.conf(5), subuid(5).

use std::path::{Path, PathBuf};

use toml::Value as Toml;

use super::HostCheck;
use super::daemon_files::{Place, mode_within, owned_by};
use crate::host::Host;
use crate::model::Degree::{Low, Medium};
use crate::model::{Degree, Verdict, meta_of};

const PROGRAMS: [&str; 2] = ["/usr/bin/podman", "/usr/local/bin/podman"];
pub(crate) static SOCKET: Place = Place::Paths(&["/run/podman/podman.sock"]);
const POLICY: &str = "/etc/containers/policy.json";
/// Weakest first: what is set later counts.
const CONF: [&str; 2] = ["/usr/share/containers/containers.conf", "/etc/containers/containers.conf"];
const REGISTRIES: &str = "/etc/containers/registries.conf";

meta_of!(Podman, (level: u8, risk: Degree), level: level, effort: Low, risk: risk);

/// All checks of this section.
#[rustfmt::skip]
pub(super) static CHECKS: &[HostCheck] = &[
    HostCheck { meta: meta("podman-socket-owner", &["PODMAN-1.1", "CIS-3.15"], 1, Low, "Podman's root socket is owned by root:root",
        "Who can talk to it is root on the host.", "chown root:root /run/podman/podman.sock."),
        test: |h, d| owned_by(h, d, &SOCKET, "root", "root") },
    HostCheck { meta: meta("podman-socket-mode", &["PODMAN-1.2", "CIS-3.16"], 1, Low, "Podman's root socket has mode 660 or tighter",
        "Who can talk to it is root on the host.", "chmod 660 /run/podman/podman.sock."),
        test: |h, d| mode_within(h, d, &SOCKET, 0o660) },
    HostCheck { meta: meta("podman-user-sockets", &["PODMAN-1.3"], 1, Low, "Users' sockets are theirs alone",
        "Who can talk to a user's socket acts as this user.", "chmod 600 the socket."),
        test: |h, _| user_sockets(h) },
    HostCheck { meta: meta("podman-root-service", &["PODMAN-1.4", "CIS-2.1"], 2, Medium, "Podman's root service is not always on",
        "A socket that nobody needs is a way to become root.", "systemctl disable --now podman.socket; use podman without root."),
        test: |h, _| if_installed(h, || match h.stat(Path::new("/etc/systemd/system/sockets.target.wants/podman.socket")) {
            Ok(Some(_)) => Verdict::fail("/etc/systemd/system/sockets.target.wants/podman.socket exists: the socket starts at boot"),
            Ok(None) => Verdict::pass("podman.socket does not start at boot"),
            Err(why) => Verdict::unknown(why),
        }) },
    HostCheck { meta: meta("podman-no-subordinate-ids", &["PODMAN-2.1", "CIS-2.9"], 1, Low, "Users have subordinate ids for rootless containers",
        "Without them users need root, or their containers run with a single id.", "Run usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER."),
        test: |h, _| if_installed(h, || subordinate_ids(h)) },
    HostCheck { meta: meta("podman-accepts-anything", &["PODMAN-3.1", "CIS-4.5"], 1, Medium, "Images need a signature or a named registry",
        "A pull takes whatever the registry gives.", "Set \"default\": [{\"type\": \"reject\"}] in /etc/containers/policy.json and name what you trust."),
        test: |h, _| if_installed(h, || policy(h)) },
    HostCheck { meta: meta("podman-insecure-registry", &["PODMAN-3.2", "CIS-2.5"], 1, Medium, "No registry is trusted without TLS",
        "Anyone on the way can swap the image.", "Take insecure = true out of /etc/containers/registries.conf."),
        test: |h, _| if_installed(h, || toml_file(h, REGISTRIES, |t| {
            let listed = t.get("registry").and_then(Toml::as_array).into_iter().flatten();
            let bad: Vec<&str> = listed.filter(|r| r.get("insecure") == Some(&Toml::Boolean(true)))
                .map(|r| r.get("location").or_else(|| r.get("prefix")).and_then(Toml::as_str).unwrap_or("a registry")).collect();
            if bad.is_empty() { Verdict::pass(format!("{REGISTRIES}: none is insecure")) } else { Verdict::fail(format!("{REGISTRIES}: insecure: {}", bad.join(", "))) }
        })) },
    HostCheck { meta: meta("podman-short-names", &["PODMAN-3.3"], 2, Low, "Short image names mean one registry",
        "With several registries anyone who takes the name in the first one is pulled.", "Leave one registry in unqualified-search-registries, and set short-name-mode = \"enforcing\"."),
        test: |h, _| if_installed(h, || toml_file(h, REGISTRIES, |t| {
            let count = t.get("unqualified-search-registries").and_then(Toml::as_array).map_or(0, Vec::len);
            let mode = t.get("short-name-mode").and_then(Toml::as_str).unwrap_or("");
            Verdict::of(count <= 1 || mode == "enforcing", format!("{REGISTRIES}: {count} unqualified-search-registries, short-name-mode {mode:?}"))
        })) },
    HostCheck { meta: meta("podman-default-privileges", &["PODMAN-4.1", "CIS-5.5"], 1, Medium, "containers.conf gives no container more than podman's defaults",
        "What is set here holds for every container.", "Take the setting out of containers.conf."),
        test: |h, _| if_installed(h, || containers_conf(h)) },
];

fn if_installed(host: &Host, test: impl FnOnce() -> Verdict) -> Verdict {
    if PROGRAMS.iter().any(|p| matches!(host.stat(Path::new(p)), Ok(Some(_)))) {
        test()
    } else {
        Verdict::not_applicable("podman is not installed")
    }
}

fn user_sockets(host: &Host) -> Verdict {
    let mut seen = Vec::new();
    let mut good = true;
    for uid in host.names_in(Path::new("/run/user")) {
        let path = PathBuf::from(format!("/run/user/{uid}/podman/podman.sock"));
        match host.stat(&path) {
            Ok(Some(f)) => {
                good &= f.mode & 0o077 == 0 && f.uid.to_string() == uid;
                seen.push(format!("{}: {:03o} {}", path.display(), f.mode, f.user));
            }
            Ok(None) => {}
            Err(why) => return Verdict::unknown(format!("{}: {why}", path.display())),
        }
    }
    if seen.is_empty() {
        Verdict::not_applicable("no user has a podman socket")
    } else {
        Verdict::of(good, seen.join(", "))
    }
}

/// Each user that may log in has at least 65536 ids, and no two ranges meet.
fn subordinate_ids(host: &Host) -> Verdict {
    let mut ranges: Vec<(u64, u64, String)> = Vec::new();
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = match host.read_text(Path::new(file)) {
            Ok(text) => text.unwrap_or_default(),
            Err(why) => return Verdict::unknown(format!("{file}: {why}")),
        };
        ranges.clear();
        for line in text.lines() {
            let mut f = line.split(':');
            if let (Some(user), Some(Ok(first)), Some(Ok(count))) =
                (f.next(), f.next().map(str::parse::<u64>), f.next().map(str::parse::<u64>))
            {
                ranges.push((first, count, user.to_owned()));
            }
        }
        if ranges.is_empty() {
            return Verdict::fail(format!("{file}: no ranges"));
        }
        ranges.sort();
        for pair in ranges.windows(2) {
            if let [(a, count, one), (b, _, other)] = pair
                && a.saturating_add(*count) > *b
                && one != other
            {
                return Verdict::fail(format!("{file}: the ids of {one} and {other} meet at {b}"));
            }
        }
        if let Some((first, count, user)) = ranges.iter().find(|(_, count, _)| *count < 65536) {
            return Verdict::fail(format!("{file}: {user}:{first}:{count}: fewer than 65536 ids"));
        }
    }
    Verdict::pass(format!("/etc/subuid and /etc/subgid: {} ranges", ranges.len()))
}

fn policy(host: &Host) -> Verdict {
    let text = match host.read(Path::new(POLICY)) {
        Err(why) => return Verdict::unknown(format!("{POLICY}: {why}")),
        Ok(None) => return Verdict::unknown(format!("{POLICY} does not exist: podman refuses to pull without it")),
        Ok(Some(text)) => text,
    };
    match serde_json::from_slice::<serde_json::Value>(&text) {
        Err(e) => Verdict::unknown(format!("{POLICY}: not JSON: {e}")),
        Ok(v) => {
            let kind = v.pointer("/default/0/type").and_then(serde_json::Value::as_str).unwrap_or("absent");
            Verdict::of(
                kind == "reject" || kind.starts_with("signed") || kind.starts_with("sigstore"),
                format!("{POLICY}: default: {kind}"),
            )
        }
    }
}

fn containers_conf(host: &Host) -> Verdict {
    let mut bad = Vec::new();
    let mut read = Vec::new();
    let dropped = host.names_in(Path::new("/etc/containers/containers.conf.d"));
    let extra =
        dropped.iter().filter(|n| n.ends_with(".conf")).map(|n| format!("/etc/containers/containers.conf.d/{n}"));
    for file in CONF.iter().map(|p| (*p).to_owned()).chain(extra) {
        let text = match host.read_text(Path::new(&file)) {
            Err(why) => return Verdict::unknown(format!("{file}: {why}")),
            Ok(None) => continue,
            Ok(Some(text)) => text,
        };
        let Ok(table) = text.parse::<toml::Table>() else { return Verdict::unknown(format!("{file}: not TOML")) };
        read.push(file.clone());
        let set = |key: &str| table.get("containers").and_then(|c| c.get(key));
        for (key, weak) in [
            ("privileged", set("privileged") == Some(&Toml::Boolean(true))),
            ("seccomp_profile", set("seccomp_profile").and_then(Toml::as_str) == Some("unconfined")),
            ("apparmor_profile", set("apparmor_profile").and_then(Toml::as_str) == Some("unconfined")),
            ("label", set("label") == Some(&Toml::Boolean(false))),
            ("pids_limit", set("pids_limit").and_then(Toml::as_integer).is_some_and(|n| n <= 0)),
            ("netns", set("netns").and_then(Toml::as_str) == Some("host")),
            ("pidns", set("pidns").and_then(Toml::as_str) == Some("host")),
            ("ipcns", set("ipcns").and_then(Toml::as_str) == Some("host")),
            ("utsns", set("utsns").and_then(Toml::as_str) == Some("host")),
        ] {
            if weak {
                bad.push(format!("{file}: containers.{key} = {}", set(key).map_or(String::new(), ToString::to_string)));
            }
        }
    }
    if !bad.is_empty() {
        return Verdict::fail(bad.join(", "));
    }
    Verdict::pass(if read.is_empty() {
        "no containers.conf: podman's defaults".to_owned()
    } else {
        format!("{}: nothing weaker than the defaults", read.join(", "))
    })
}

fn toml_file(host: &Host, path: &str, test: impl FnOnce(&toml::Table) -> Verdict) -> Verdict {
    match host.read_text(Path::new(path)) {
        Err(why) => Verdict::unknown(format!("{path}: {why}")),
        Ok(None) => Verdict::not_applicable(format!("{path} does not exist")),
        Ok(Some(text)) => match text.parse::<toml::Table>() {
            Ok(table) => test(&table),
            Err(e) => Verdict::unknown(format!("{path}: not TOML: {}", e.message())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Answer;

    fn answer(id: &str, files: &[(&str, &str)]) -> Verdict {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files.iter().chain(&[("usr/bin/podman", "")]) {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let host = Host::at(dir.path()).unwrap();
        (CHECKS.iter().find(|c| c.meta.id == id).unwrap().test)(&host, None)
    }

    #[test]
    fn every_weak_setting_fails_and_its_cure_passes() {
        let conf = "etc/containers/containers.conf";
        let registries = "etc/containers/registries.conf";
        for (id, file, bad, good) in [
            (
                "podman-accepts-anything",
                "etc/containers/policy.json",
                "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}",
                "{\"default\":[{\"type\":\"reject\"}]}",
            ),
            (
                "podman-insecure-registry",
                registries,
                "[[registry]]\nlocation='r'\ninsecure=true\n",
                "[[registry]]\nlocation='r'\n",
            ),
            (
                "podman-short-names",
                registries,
                "unqualified-search-registries=['a','b']\n",
                "unqualified-search-registries=['a']\n",
            ),
            ("podman-default-privileges", conf, "[containers]\npidns='host'\n", "[containers]\npids_limit=100\n"),
            ("podman-root-service", "etc/systemd/system/sockets.target.wants/podman.socket", "", "unused"),
        ] {
            assert_eq!(answer(id, &[(file, bad)]).answer, Answer::Fail, "{id}");
            let good_file = if good == "unused" { "etc/other" } else { file };
            assert_eq!(answer(id, &[(good_file, good)]).answer, Answer::Pass, "{id}");
        }
    }

    #[test]
    fn subordinate_ids_must_be_enough_and_apart() {
        let check =
            |text: &str| answer("podman-no-subordinate-ids", &[("etc/subuid", text), ("etc/subgid", text)]).answer;
        assert_eq!(check("a:100000:65536\nb:165536:65536\n"), Answer::Pass);
        assert_eq!(check("a:100000:65536\nb:150000:65536\n"), Answer::Fail);
        assert_eq!(check("a:100000:10\n"), Answer::Fail);
        assert_eq!(check(""), Answer::Fail);
    }
}
