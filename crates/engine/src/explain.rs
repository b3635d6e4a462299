//! What a container may do, and why: each control with its reason and where it comes from.

use serde::Serialize;
use stockade_sandbox::{Limits, MountKind, caps, defaults, rootless, seccomp};

use crate::spec::{SeccompChoice, Shared, Spec};
use crate::{CreateRequest, Engine, EngineError, Level, NetMode, id, plan, ranges, resolve, unprivileged};

/// Everything that a container may do.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The container's name, or the image's.
    pub subject: String,
    /// `container` or `image`.
    pub kind: &'static str,
    /// The level that it starts from.
    pub level: String,
    /// By topic, in a fixed order.
    pub facts: Vec<Fact>,
}

/// One control.
#[derive(Debug, Clone, Serialize)]
pub struct Fact {
    /// `user`, `capabilities`, `calls`, `paths`, `network`, `devices`, `limits`, `namespaces` or `weakened`.
    pub topic: &'static str,
    /// What is allowed or forbidden.
    pub what: String,
    /// Why.
    pub reason: String,
    /// Where it comes from: `level standard`, `--cap-add`, `image` and so on.
    pub origin: String,
    /// The names behind a number, for example all calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl Engine {
    /// What an existing container may do.
    pub fn explain_container(&self, name: &str) -> Result<Explanation, EngineError> {
        let record = self.find(name)?;
        explain(record.name.clone(), "container", &record.spec)
    }

    /// What a container of an image would be allowed to at a level, without further options.
    pub fn explain_image(&self, name: &str, level: Level) -> Result<Explanation, EngineError> {
        let image = self.store()?.resolve(name)?.ok_or_else(|| EngineError::NoSuchImage { name: name.to_owned() })?;
        let mut request = CreateRequest { image: name.to_owned(), level, ..CreateRequest::default() };
        if level == Level::Strict {
            // Strict wants these to be given; what is shown says so.
            request.limits.memory_bytes = Some(512 << 20);
            request.limits.pids = Some(100);
        }
        let mut spec = resolve::resolve(&request, &image, &id::new_id()?, &[])?;
        if resolve::wants_user_namespace(&request) {
            // Any range will do: it is chosen when a container is made.
            let shared = stockade_sandbox::rootless::active().is_some();
            spec.confine.id_range = Some(if shared { ranges::SHARED } else { 0x0010_0000 });
        }
        explain(name.to_owned(), "image", &spec)
    }
}

/// The facts of a specification.
fn explain(subject: String, kind: &'static str, spec: &Spec) -> Result<Explanation, EngineError> {
    let mut list = List { facts: Vec::new(), level: format!("level {}", spec.confine.level) };
    list.user(spec);
    list.capabilities(spec)?;
    list.calls(spec)?;
    list.paths(spec);
    list.network(spec);
    list.devices(spec);
    list.limits(spec);
    list.namespaces(spec);
    for line in &spec.confine.weakened {
        let (option, what) = line.split_once(": ").unwrap_or((line, line));
        list.add("weakened", what, "an option gives it away", option);
    }
    Ok(Explanation { subject, kind, level: spec.confine.level.to_string(), facts: list.facts })
}

struct List {
    facts: Vec<Fact>,
    level: String,
}

impl List {
    fn add(&mut self, topic: &'static str, what: impl Into<String>, reason: &str, origin: &str) {
        self.named(topic, what, reason, origin, Vec::new());
    }

    fn named(&mut self, topic: &'static str, what: impl Into<String>, reason: &str, origin: &str, names: Vec<String>) {
        let (reason, origin) = (reason.to_owned(), origin.to_owned());
        self.facts.push(Fact { topic, what: what.into(), reason, origin, names });
    }

    fn by_level(&mut self, topic: &'static str, what: impl Into<String>, reason: &str) {
        let origin = self.level.clone();
        self.add(topic, what, reason, &origin);
    }

    fn user(&mut self, spec: &Spec) {
        let confine = &spec.confine;
        let user = if spec.user.is_empty() { "root" } else { &spec.user };
        self.add("user", format!("runs as {user}"), "the user of its first process", "image or --user");
        match confine.id_range {
            Some(ranges::SHARED) => self.add(
                "user",
                "root inside is the user who started it outside, in a user namespace of the container's own",
                "ids cannot be translated in mounts without root, so containers of one user share their ids",
                "rootless",
            ),
            Some(_) => self.by_level(
                "user",
                "root inside is an ordinary user outside, in a range that no other container has",
                "who breaks out of the container is nobody on the host",
            ),
            None => self.add(
                "user",
                "root inside is root on the host",
                "there is no user namespace",
                if confine.privileged { "--privileged" } else { "--confine compat or --userns host" },
            ),
        }
        let words = if confine.no_new_privileges { "cannot gain" } else { "can gain" };
        self.by_level(
            "user",
            format!("{words} rights by set-user-id files and file capabilities"),
            "no_new_privs is what keeps a process from getting more than it has (prctl(2))",
        );
    }

    fn capabilities(&mut self, spec: &Spec) -> Result<(), EngineError> {
        let confine = &spec.confine;
        let root = spec.user.is_empty() || spec.user == "root" || spec.user.split(':').next() == Some("0");
        let set = plan::capabilities(confine, if root { 0 } else { 1 })?;
        let names = set.names();
        let what = match names.len() {
            0 => "has no capability".to_owned(),
            n if set == caps::ALL => format!("has all {n} capabilities"),
            n => format!("has {n} capabilities: {}", names.join(", ")),
        };
        let reason = match confine.level {
            _ if confine.privileged => "everything is allowed",
            Level::Compat => "docker's default set",
            Level::Standard => {
                "what images need to set themselves up: to own files and to change users; ports below 1024 need none"
            }
            Level::Strict => "a prepared program needs none",
        };
        let options: Vec<String> = (confine.cap_add.iter().map(|c| format!("--cap-add {c}")))
            .chain(confine.cap_drop.iter().map(|c| format!("--cap-drop {c}")))
            .collect();
        let origin = match (confine.privileged, options.is_empty()) {
            (true, _) => "--privileged".to_owned(),
            (false, true) => self.level.clone(),
            (false, false) => format!("{}, {}", self.level, options.join(", ")),
        };
        self.named("capabilities", what, reason, &origin, names);
        if confine.id_range.is_some() && !set.names().is_empty() {
            self.by_level("capabilities", "they count in the container's user namespace only", "user_namespaces(7)");
        }
        Ok(())
    }

    fn calls(&mut self, spec: &Spec) -> Result<(), EngineError> {
        let set = plan::capabilities(&spec.confine, 0)?;
        let Some(policy) = plan::seccomp_policy(&spec.confine, set) else {
            let origin = if spec.confine.privileged { "--privileged" } else { "--security-opt seccomp=unconfined" };
            self.add("calls", "may make every system call", "there is no filter", origin);
            return Ok(());
        };
        let names: Vec<String> = seccomp::allowed_calls(&policy).into_iter().map(str::to_owned).collect();
        let origin = match &spec.confine.seccomp {
            SeccompChoice::Own(own) => format!("--security-opt seccomp={}", own.name),
            _ => self.level.clone(),
        };
        let what = format!("may make {} system calls, some with certain arguments only", names.len());
        self.named("calls", what, "the rest of the kernel cannot be attacked from inside", &origin, names);
        if spec.confine.level != Level::Compat {
            self.by_level(
                "calls",
                "new namespaces, mounts, tracing, io_uring, bpf, keyrings, userfaultfd and performance counters are refused",
                "kernel exploits start from them, and containers rarely need them",
            );
        }
        Ok(())
    }

    fn paths(&mut self, spec: &Spec) {
        let confine = &spec.confine;
        let (what, why) = match confine.read_only {
            true => ("cannot write to its image", "what is changed lasts no longer than a tmpfs"),
            false => ("writes to a layer of its own, never to the image", "overlayfs; gone with the container"),
        };
        self.by_level("paths", what, why);
        if confine.system_paths_open || confine.privileged {
            self.add(
                "paths",
                "sees all of /proc and /sys",
                "nothing is masked",
                "--privileged or systempaths=unconfined",
            );
        } else {
            let masked = defaults::masked_paths();
            let what = format!("cannot see {} paths of the kernel", masked.len());
            self.named("paths", what, "they tell about the host or command its hardware", "every level", masked);
            let readonly = defaults::readonly_paths();
            let what = format!("cannot write to {} paths of the kernel", readonly.len());
            self.named("paths", what, "they are the host's settings", "every level", readonly);
        }
        if confine.level != Level::Compat {
            self.by_level("paths", "sees its own users' processes in /proc only", "hidepid, proc(5)");
            self.by_level("paths", "makes no device nodes, and changes no mounts", "Landlock, where the kernel has it");
        }
        for mount in &spec.host.mounts {
            let access = if mount.readonly { "reads" } else { "reads and writes" };
            let source = if mount.source.is_empty() { "memory" } else { &mount.source };
            self.add("paths", format!("{access} {source} at {}", mount.target), "asked for", "-v, --mount or --tmpfs");
        }
        for mount in defaults::mounts(confine.level.sandbox()) {
            if matches!(mount.kind, MountKind::Cgroup) {
                self.by_level(
                    "paths",
                    format!("sees its own control group at {}", mount.target),
                    "read-only, to know its limits",
                );
            }
        }
    }

    fn network(&mut self, spec: &Spec) {
        let origin = if spec.host.network == NetMode::Bridge || spec.host.network == NetMode::None {
            self.level.clone()
        } else {
            format!("--network {}", spec.host.network)
        };
        let (what, reason) = match &spec.host.network {
            NetMode::None => ("has no network but its own loopback", "nothing can be reached, and nothing reaches it"),
            NetMode::Host => ("has the host's network, abstract sockets and loopback included", "no isolation"),
            NetMode::Container(_) => ("shares the network of another container", "they see each other's loopback"),
            NetMode::Bridge if rootless::active().is_some() => (
                "reaches the outside as its user does, by pasta (package passt); other containers only by published ports",
                "without root there is no bridge",
            ),
            NetMode::Bridge => ("reaches the outside through address translation", "the bridge"),
        };
        self.add("network", what, reason, &origin);
        if spec.host.network == NetMode::Bridge && spec.confine.level != Level::Compat {
            self.by_level(
                "network",
                "does not reach the metadata address nor the host's loopback",
                "cloud credentials and administration interfaces are there",
            );
        }
        for port in &spec.host.publish {
            self.add("network", format!("is reached at {port}"), "published", "-p");
        }
    }

    fn devices(&mut self, spec: &Spec) {
        if spec.confine.privileged {
            self.add("devices", "has every device of the host", "asked for", "--privileged");
            return;
        }
        self.add(
            "devices",
            "has null, zero, full, random, urandom, tty and terminals of its own",
            "harmless to share",
            "every level",
        );
        for (host, inside, access) in &spec.host.devices {
            self.add("devices", format!("has {host} at {inside} ({access})"), "asked for", "--device");
        }
    }

    fn limits(&mut self, spec: &Spec) {
        let asked = spec.host.limits.in_force(spec.confine.level, plan::host_memory_bytes());
        // What cannot hold here is left out, and a limit that was asked for would not have been accepted.
        let limits: Limits = unprivileged::limits(&spec.host.limits, spec.confine.level).unwrap_or(asked);
        if rootless::active().is_some() && limits.memory_bytes.is_none() && asked.memory_bytes.is_some() {
            self.add(
                "limits",
                "memory and processor are not limited",
                "no control group was delegated to this user",
                "rootless",
            );
        }
        if let (None, Some(pids), true) = (limits.pids, asked.pids, rootless::active().is_some()) {
            let what = format!("processes and threads: at most {pids} for each of its users");
            self.add("limits", what, "one container must not stop the others or the host", "rootless");
        }
        let origin = |given: bool, option: &str| if given { option.to_owned() } else { self.level.clone() };
        let asked = &spec.host.limits;
        let words = |value: Option<u64>, unit: &str| match value {
            Some(n) => format!("at most {n} {unit}"),
            None => format!("as much as there is, {unit}"),
        };
        let rows = [
            (
                format!("memory: {}", words(limits.memory_bytes, "bytes")),
                origin(asked.memory_bytes.is_some(), "--memory"),
            ),
            (
                format!("processes and threads: {}", words(limits.pids, "in number")),
                origin(asked.pids.is_some(), "--pids-limit"),
            ),
            (
                format!("processor: {}", words(limits.cpu_millis, "thousandths of a core")),
                origin(asked.cpu_millis.is_some(), "--cpus"),
            ),
        ];
        for (what, origin) in rows {
            if rootless::active().is_some() && what.contains("as much as there is") {
                // Said above.
                continue;
            }
            self.add("limits", what, "one container must not stop the others or the host", &origin);
        }
    }

    fn namespaces(&mut self, spec: &Spec) {
        let confine = &spec.confine;
        for (what, shared, option) in
            [("processes", &confine.pid, "--pid"), ("shared memory and message queues", &confine.ipc, "--ipc")]
        {
            match shared {
                Shared::Private => {
                    self.add("namespaces", format!("sees its own {what} only"), "a namespace", "every level")
                }
                other => self.add("namespaces", format!("sees the {what} of {other}"), "asked for", option),
            }
        }
        let name = if confine.uts_host { "has the host's name" } else { "has a name of its own" };
        self.add("namespaces", name, "uts_namespaces(7)", if confine.uts_host { "--uts" } else { "every level" });
    }
}
