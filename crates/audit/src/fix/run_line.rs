//! The `run` line of a container, with its weaknesses removed: what a person types to have it again, safely.

use serde_json::Value;

use crate::checks::containers::{names_socket, reaches_socket};
use crate::checks::images::looks_secret;

/// Ids of checks that a line can be freed of.
pub(crate) fn is_known(id: &str) -> bool {
    matches!(
        id,
        "privileged-container"
            | "added-capabilities"
            | "cap-dac-read-search"
            | "cap-sys-module"
            | "cap-sys-admin"
            | "cap-sys-ptrace"
            | "no-memory-limit"
            | "no-cpu-limit"
            | "no-pids-limit"
            | "writable-root"
            | "host-network"
            | "host-pid"
            | "host-ipc"
            | "host-uts"
            | "host-userns"
            | "seccomp-off"
            | "no-apparmor-profile"
            | "may-gain-privileges"
            | "port-on-all-interfaces"
            | "sensitive-host-mount"
            | "docker-socket-mounted"
            | "shared-propagation"
            | "unbounded-restarts"
            | "foreign-cgroup"
            | "weakened-confinement"
            | "compat-confinement"
    )
}

/// Checks that fail by an option with which a container loses what its level keeps.
const WEAKENING: [&str; 15] = [
    "privileged-container",
    "added-capabilities",
    "cap-dac-read-search",
    "cap-sys-module",
    "cap-sys-admin",
    "cap-sys-ptrace",
    "host-network",
    "host-pid",
    "host-ipc",
    "host-uts",
    "host-userns",
    "seccomp-off",
    "sensitive-host-mount",
    "docker-socket-mounted",
    "compat-confinement",
];

/// The line. `program` is `docker` or `stockade`, `container` its `inspect`, `image` that of its image (to leave out what
/// the image sets by itself), `ids` the checks to satisfy.
pub fn run_line(program: &str, container: &Value, image: Option<&Value>, ids: &[&str]) -> String {
    let line = Line { c: container, image, ids, words: vec![program.to_owned(), "run".to_owned()] };
    line.build()
}

struct Line<'v> {
    c: &'v Value,
    image: Option<&'v Value>,
    ids: &'v [&'v str],
    words: Vec<String>,
}

impl<'v> Line<'v> {
    fn build(mut self) -> String {
        self.push("-d");
        self.identity();
        self.environment();
        self.mounts();
        self.network();
        self.namespaces();
        self.privileges();
        self.limits();
        self.command();
        let quoted: Vec<String> = self.words.iter().map(|w| quote(w)).collect();
        quoted.join(" ")
    }

    fn push(&mut self, word: impl Into<String>) {
        self.words.push(word.into());
    }

    fn option(&mut self, name: &str, value: impl Into<String>) {
        self.push(name);
        self.push(value);
    }

    /// Whether a weakness is to be removed. `weakened-confinement` stands for each option that gives something away.
    fn cure(&self, id: &str) -> bool {
        self.ids.contains(&id) || (self.ids.contains(&"weakened-confinement") && WEAKENING.contains(&id))
    }

    /// The level to ask for; the default needs no word.
    fn level(&self) -> &'v str {
        match self.text("/Stockade/Confinement") {
            "compat" if !self.cure("compat-confinement") => "compat",
            "strict" => "strict",
            _ => "",
        }
    }

    fn host(&self, key: &str) -> Option<&'v Value> {
        self.c.get("HostConfig").and_then(|h| h.get(key)).filter(|v| !v.is_null())
    }

    fn text(&self, pointer: &str) -> &'v str {
        self.c.pointer(pointer).and_then(Value::as_str).unwrap_or("")
    }

    fn strings(value: Option<&'v Value>) -> Vec<&'v str> {
        value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    fn identity(&mut self) {
        let name = self.text("/Name").trim_start_matches('/');
        if !name.is_empty() {
            self.option("--name", name);
        }
        let id = self.text("/Id");
        let hostname = self.text("/Config/Hostname");
        if !hostname.is_empty() && !id.starts_with(hostname) && self.text("/HostConfig/UTSMode") != "host" {
            self.option("--hostname", hostname);
        }
        let image_user = self.image.and_then(|i| i.pointer("/Config/User")).and_then(Value::as_str).unwrap_or("");
        let user = self.text("/Config/User");
        if user != image_user {
            self.option("--user", user);
        }
        for flag in ["Tty", "OpenStdin"] {
            if self.c.pointer(&format!("/Config/{flag}")) == Some(&Value::Bool(true)) {
                self.push(if flag == "Tty" { "-t" } else { "-i" });
            }
        }
        if self.host("AutoRemove") == Some(&Value::Bool(true)) {
            self.push("--rm");
        }
        self.restart();
    }

    fn restart(&mut self) {
        let name = self.text("/HostConfig/RestartPolicy/Name");
        let tries = self.c.pointer("/HostConfig/RestartPolicy/MaximumRetryCount").and_then(Value::as_i64).unwrap_or(0);
        if self.cure("unbounded-restarts") {
            self.option("--restart", "on-failure:5");
        } else if name == "on-failure" && tries > 0 {
            self.option("--restart", format!("on-failure:{tries}"));
        } else if !["", "no"].contains(&name) {
            self.option("--restart", name);
        }
    }

    /// What the image sets is left out. Values of secrets are taken from the caller's environment, so that they are not
    /// printed.
    fn environment(&mut self) {
        let of_image = Self::strings(self.image.and_then(|i| i.pointer("/Config/Env")));
        for entry in Self::strings(self.c.pointer("/Config/Env")) {
            if of_image.contains(&entry) || (self.image.is_none() && entry.starts_with("PATH=")) {
                continue;
            }
            let name = entry.split('=').next().unwrap_or(entry);
            self.option("-e", if looks_secret(name) { name } else { entry });
        }
    }

    fn mounts(&mut self) {
        for mount in self.c.get("Mounts").and_then(Value::as_array).into_iter().flatten() {
            let field = |k: &str| mount.get(k).and_then(Value::as_str).unwrap_or("");
            let kind = field("Type");
            let source = if kind == "volume" { field("Name") } else { field("Source") };
            let socket = reaches_socket(source) || names_socket(field("Destination"));
            if kind == "tmpfs" || (self.cure("docker-socket-mounted") && socket) {
                continue;
            }
            let mut options: Vec<&str> = Vec::new();
            let sensitive = ["/", "/boot", "/dev", "/etc", "/lib", "/proc", "/sys", "/usr"].contains(&source);
            if mount.get("RW") == Some(&Value::Bool(false)) || (sensitive && self.cure("sensitive-host-mount")) {
                options.push("ro");
            }
            let propagation = field("Propagation");
            if !["", "rprivate", "private"].contains(&propagation)
                && !(self.cure("shared-propagation") && propagation.ends_with("shared"))
            {
                options.push(propagation);
            }
            let tail = if options.is_empty() { String::new() } else { format!(":{}", options.join(",")) };
            self.option("-v", format!("{source}:{}{tail}", field("Destination")));
        }
        for (target, options) in self.host("Tmpfs").and_then(Value::as_object).into_iter().flatten() {
            let options = options.as_str().unwrap_or("");
            self.option("--tmpfs", if options.is_empty() { target.clone() } else { format!("{target}:{options}") });
        }
        let read_only = self.host("ReadonlyRootfs") == Some(&Value::Bool(true));
        if read_only || self.cure("writable-root") {
            self.push("--read-only");
            if !read_only && !self.words.iter().any(|w| w == "/tmp" || w.starts_with("/tmp:") || w.ends_with(":/tmp")) {
                self.option("--tmpfs", "/tmp");
            }
        }
    }

    fn network(&mut self) {
        let mode = self.text("/HostConfig/NetworkMode");
        if !["", "default", "bridge"].contains(&mode) && !(mode == "host" && self.cure("host-network")) {
            self.option("--network", mode);
        }
        for (inside, bindings) in self.host("PortBindings").and_then(Value::as_object).into_iter().flatten() {
            for binding in bindings.as_array().into_iter().flatten() {
                let field = |k: &str| binding.get(k).and_then(Value::as_str).unwrap_or("");
                let wide = ["", "0.0.0.0", "::"].contains(&field("HostIp"));
                let ip = if wide && self.cure("port-on-all-interfaces") { "127.0.0.1" } else { field("HostIp") };
                let inside = inside.strip_suffix("/tcp").unwrap_or(inside);
                let address = if ip.is_empty() {
                    String::new()
                } else if ip.contains(':') {
                    format!("[{ip}]:")
                } else {
                    format!("{ip}:")
                };
                self.option("-p", format!("{address}{}:{inside}", field("HostPort")));
            }
        }
        for (key, flag) in [("Dns", "--dns"), ("DnsSearch", "--dns-search"), ("ExtraHosts", "--add-host")] {
            for value in Self::strings(self.host(key)) {
                self.option(flag, value);
            }
        }
    }

    fn namespaces(&mut self) {
        for (key, flag, id, plain) in [
            ("PidMode", "--pid", "host-pid", ""),
            ("IpcMode", "--ipc", "host-ipc", "private"),
            ("UTSMode", "--uts", "host-uts", ""),
            ("UsernsMode", "--userns", "host-userns", "private"),
        ] {
            let mode = self.host(key).and_then(Value::as_str).unwrap_or("");
            // Level compat has the host's user namespace by itself.
            if key == "UsernsMode" && mode == "host" && self.level() == "compat" {
                continue;
            }
            if !["", plain].contains(&mode) && !(mode == "host" && self.cure(id)) {
                self.option(flag, mode);
            }
        }
        let parent = self.text("/HostConfig/CgroupParent");
        if !parent.is_empty() && !self.cure("foreign-cgroup") {
            self.option("--cgroup-parent", parent);
        }
    }

    fn privileges(&mut self) {
        let level = self.level();
        if !level.is_empty() {
            self.option("--confine", level);
        }
        if self.host("Privileged") == Some(&Value::Bool(true)) && !self.cure("privileged-container") {
            self.push("--privileged");
        }
        for capability in Self::strings(self.host("CapAdd")) {
            let upper = capability.to_ascii_uppercase();
            let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
            let usual = crate::checks::containers::DOCKER_DEFAULT_CAPABILITIES.contains(&name);
            let single = [
                ("DAC_READ_SEARCH", "cap-dac-read-search"),
                ("SYS_MODULE", "cap-sys-module"),
                ("SYS_ADMIN", "cap-sys-admin"),
                ("SYS_PTRACE", "cap-sys-ptrace"),
            ];
            let named = single.iter().any(|(n, id)| (*n == name || name == "ALL") && self.cure(id));
            if !(named || (!usual && self.cure("added-capabilities"))) {
                self.option("--cap-add", capability);
            }
        }
        for capability in Self::strings(self.host("CapDrop")) {
            self.option("--cap-drop", capability);
        }
        let mut nnp = false;
        for option in Self::strings(self.host("SecurityOpt")) {
            let off = |what: &str| option == format!("{what}=unconfined") || option == format!("{what}:unconfined");
            if (off("seccomp") && self.cure("seccomp-off")) || (off("apparmor") && self.cure("no-apparmor-profile")) {
                continue;
            }
            if option.starts_with("no-new-privileges") {
                nnp |= !option.ends_with("false");
                if option.ends_with("false") && self.cure("may-gain-privileges") {
                    continue;
                }
            }
            self.option("--security-opt", option);
        }
        if !nnp && self.cure("may-gain-privileges") {
            self.option("--security-opt", "no-new-privileges");
        }
        for device in self.host("Devices").and_then(Value::as_array).into_iter().flatten() {
            let field = |k: &str| device.get(k).and_then(Value::as_str).unwrap_or("");
            self.option(
                "--device",
                format!("{}:{}:{}", field("PathOnHost"), field("PathInContainer"), field("CgroupPermissions")),
            );
        }
    }

    fn limits(&mut self) {
        let number = |line: &Self, key: &str| line.host(key).and_then(Value::as_i64).filter(|n| *n > 0);
        match number(self, "Memory") {
            Some(bytes) => self.option("--memory", bytes.to_string()),
            None if self.cure("no-memory-limit") => self.option("--memory", "512m"),
            None => {}
        }
        match (number(self, "NanoCpus"), number(self, "CpuShares")) {
            (Some(nano), _) => {
                self.option("--cpus", format!("{}.{:03}", nano / 1_000_000_000, nano % 1_000_000_000 / 1_000_000))
            }
            (None, Some(shares)) => self.option("--cpu-shares", shares.to_string()),
            (None, None) if self.cure("no-cpu-limit") => self.option("--cpus", "1"),
            (None, None) => {}
        }
        match number(self, "PidsLimit") {
            Some(n) => self.option("--pids-limit", n.to_string()),
            None if self.cure("no-pids-limit") => self.option("--pids-limit", "256"),
            None => {}
        }
        for limit in self.host("Ulimits").and_then(Value::as_array).into_iter().flatten() {
            let n = |k: &str| limit.get(k).and_then(Value::as_i64).unwrap_or(-1);
            let name = limit.get("Name").and_then(Value::as_str).unwrap_or("");
            self.option("--ulimit", format!("{name}={}:{}", n("Soft"), n("Hard")));
        }
        for (key, value) in self.host("Sysctls").and_then(Value::as_object).into_iter().flatten() {
            self.option("--sysctl", format!("{key}={}", value.as_str().unwrap_or("")));
        }
    }

    fn command(&mut self) {
        let of_image =
            |key: &str| self.image.and_then(|i| i.pointer(&format!("/Config/{key}"))).filter(|v| !v.is_null());
        let own = |key: &str| self.c.pointer(&format!("/Config/{key}")).filter(|v| !v.is_null());
        let dir = self.text("/Config/WorkingDir");
        let image_dir = of_image("WorkingDir").and_then(Value::as_str).unwrap_or("");
        let entrypoint =
            if own("Entrypoint") == of_image("Entrypoint") { Vec::new() } else { Self::strings(own("Entrypoint")) };
        let command =
            if entrypoint.is_empty() && own("Cmd") == of_image("Cmd") { Vec::new() } else { Self::strings(own("Cmd")) };
        if !dir.is_empty() && dir != image_dir {
            self.option("--workdir", dir);
        }
        if let Some(program) = entrypoint.first() {
            self.option("--entrypoint", *program);
        }
        self.push(self.text("/Config/Image"));
        for word in entrypoint.into_iter().skip(1).chain(command) {
            self.push(word);
        }
    }
}

/// A word for a POSIX shell.
fn quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn weaknesses_are_gone_and_the_rest_is_there() {
        let container = json!({
            "Id": "abcdef", "Name": "/web",
            "Config": {"Hostname": "abc", "Env": ["PATH=/bin", "A=it's", "DB_PASSWORD=hunter2"], "Cmd": ["sh", "-c", "sleep 1"], "Image": "img"},
            "HostConfig": {
                "Privileged": true, "PidMode": "host", "CapAdd": ["NET_ADMIN", "CHOWN"], "SecurityOpt": ["seccomp=unconfined"],
                "NetworkMode": "bridge", "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}, "Memory": 1024,
                "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}
            },
            "Mounts": [
                {"Type": "bind", "Source": "/run/docker.sock", "Destination": "/s", "RW": true},
                {"Type": "bind", "Source": "/etc", "Destination": "/e", "RW": true, "Propagation": "rprivate"},
                {"Type": "volume", "Name": "data", "Source": "/var/x", "Destination": "/d", "RW": true}
            ]
        });
        let image = json!({"Config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]}});
        let ids = [
            "privileged-container",
            "host-pid",
            "added-capabilities",
            "seccomp-off",
            "port-on-all-interfaces",
            "no-memory-limit",
            "no-pids-limit",
            "writable-root",
            "may-gain-privileges",
            "docker-socket-mounted",
            "sensitive-host-mount",
            "unbounded-restarts",
        ];
        assert!(ids.iter().all(|id| is_known(id)));
        assert_eq!(
            run_line("docker", &container, Some(&image), &ids),
            "docker run -d --name web --restart on-failure:5 -e 'A=it'\\''s' -e DB_PASSWORD -v /etc:/e:ro -v data:/d --read-only \
             --tmpfs /tmp -p 127.0.0.1:8080:80 --cap-add CHOWN --security-opt no-new-privileges --memory 1024 --pids-limit 256 \
             img sh -c 'sleep 1'"
        );
        let same = run_line("docker", &container, Some(&image), &[]);
        for word in [
            "--privileged",
            "--pid host",
            "--cap-add NET_ADMIN",
            "seccomp=unconfined",
            "-p 8080:80",
            "/run/docker.sock:/s",
        ] {
            assert!(same.contains(word), "{word}: {same}");
        }
        assert!(!same.contains("hunter2"));
    }

    #[test]
    fn a_level_stays_unless_it_is_the_weakness() {
        let compat = json!({"Name": "/c", "Config": {"Image": "box", "Cmd": ["sleep", "1"]},
            "HostConfig": {"PidMode": "host", "UsernsMode": "host", "CapAdd": ["SYS_ADMIN"]}, "Stockade": {"Confinement": "compat"}});
        let line = |ids: &[&str]| run_line("stockade", &compat, None, ids);
        assert_eq!(line(&["host-pid"]), "stockade run -d --name c --confine compat --cap-add SYS_ADMIN box sleep 1");
        assert_eq!(
            line(&["compat-confinement", "host-userns"]),
            "stockade run -d --name c --pid host --cap-add SYS_ADMIN box sleep 1"
        );
        assert_eq!(line(&["weakened-confinement"]), "stockade run -d --name c box sleep 1");
        let strict = json!({"Name": "/c", "Config": {"Image": "box"}, "HostConfig": {"PidMode": "host"}, "Stockade": {"Confinement": "strict"}});
        assert_eq!(run_line("stockade", &strict, None, &["host-pid"]), "stockade run -d --name c --confine strict box");
    }
}
