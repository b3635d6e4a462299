//! `stockade system info`, also `stockade info`

use std::fs;

use serde_json::{Value, json};
use stockade_engine::Status;
use stockade_image::Store;

use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::{go_template, human, output};

/// Arguments of `stockade info`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// `json`, or a Go template such as '{{.NCPU}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Describes the host and what is on it, with docker's names.
pub fn run(args: Args, context: &Context) -> Outcome {
    let facts = facts(context)?;
    match args.format.as_deref() {
        None => output::to_stdout(&words(&facts))?,
        Some("json") => output::json(&facts)?,
        Some(template) => output::to_stdout(&(go_template::Template::parse(template)?.render(&facts)? + "\n"))?,
    }
    Ok(Exit::DONE)
}

fn facts(context: &Context) -> Result<Value, Failure> {
    let settings = &context.settings;
    let store = Store::open(&settings.dirs.root)?;
    let (records, damaged) = engine(context)?.list()?;
    let count = |wanted: fn(Status) -> bool| records.iter().filter(|r| wanted(r.state.status)).count();
    let uname = rustix::system::uname();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let single = stockade_engine::single_id_note();
    let warnings: Vec<String> = context.unprivileged.iter().cloned().chain(single).chain(damaged.into_iter().map(|e| Failure::from(e).to_string())).collect();
    let insecure: Vec<&str> = settings.registries.iter().filter(|r| r.insecure).map(|r| r.host.as_str()).collect();
    let mirrors: Vec<&str> = settings.registries.iter().flat_map(|r| r.mirrors.iter().map(String::as_str)).collect();
    Ok(json!({
        "schema": "stockade.info/v1",
        "ID": "",
        "Containers": records.len(),
        "ContainersRunning": count(|s| matches!(s, Status::Running | Status::Restarting)),
        "ContainersPaused": count(|s| s == Status::Paused),
        "ContainersStopped": count(|s| matches!(s, Status::Exited | Status::Created)),
        "Images": store.list()?.len(),
        "Driver": "overlay",
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": cgroup_version(),
        "KernelVersion": uname.release().to_string_lossy(),
        "OperatingSystem": operating_system(),
        "OSType": "linux",
        "Architecture": uname.machine().to_string_lossy(),
        "NCPU": cpus,
        "MemTotal": memory(),
        "Name": uname.nodename().to_string_lossy(),
        "DockerRootDir": settings.dirs.root,
        "RunDir": settings.dirs.run,
        "ConfigFiles": settings.sources,
        "SecurityOptions": security(),
        "RegistryMirrors": mirrors,
        "InsecureRegistries": insecure,
        "ServerVersion": env!("CARGO_PKG_VERSION"),
        "Rootless": context.unprivileged.is_some() || stockade_sandbox::rootless::active().is_some(),
        "Warnings": warnings,
    }))
}

/// `2` where the unified hierarchy has controllers; hybrid machines use the first version's.
fn cgroup_version() -> &'static str {
    let unified = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").is_ok_and(|text| !text.trim().is_empty());
    if unified { "2" } else { "1" }
}

fn operating_system() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

/// Bytes of memory, as `/proc/meminfo` tells (it counts units of 1024).
fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// What confines containers here, in docker's form.
fn security() -> Vec<String> {
    let mut found = vec!["name=seccomp,profile=builtin".to_owned(), "name=userns".to_owned()];
    let modules = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    for module in ["apparmor", "selinux", "landlock", "bpf"] {
        if modules.trim().split(',').any(|m| m == module) {
            found.push(format!("name={module}"));
        }
    }
    if cgroup_version() == "2" {
        found.push("name=cgroupns".to_owned());
    }
    found
}

fn words(facts: &Value) -> String {
    let text = |key: &str| match facts.get(key) {
        Some(Value::String(text)) => output::printable(text),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let list = |key: &str| {
        let items = facts.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        items.map(|item| format!("  {}\n", output::printable(item))).collect::<String>()
    };
    let mut out = format!(
        "Containers: {}\n Running: {}\n Paused: {}\n Stopped: {}\nImages: {}\nVersion: {}\nStorage Driver: {}\n\
         Cgroup Version: {}\nKernel Version: {}\nOperating System: {}\nArchitecture: {}\nCPUs: {}\nTotal Memory: {}\n\
         Name: {}\nRoot Dir: {}\nRun Dir: {}\n",
        text("Containers"),
        text("ContainersRunning"),
        text("ContainersPaused"),
        text("ContainersStopped"),
        text("Images"),
        text("ServerVersion"),
        text("Driver"),
        text("CgroupVersion"),
        text("KernelVersion"),
        text("OperatingSystem"),
        text("Architecture"),
        text("NCPU"),
        human::binary_size(facts.get("MemTotal").and_then(Value::as_u64).unwrap_or(0)),
        text("Name"),
        text("DockerRootDir"),
        text("RunDir"),
    );
    for (title, key) in [
        ("Security Options", "SecurityOptions"),
        ("Configuration", "ConfigFiles"),
        ("Registry Mirrors", "RegistryMirrors"),
        ("Insecure Registries", "InsecureRegistries"),
        ("Warnings", "Warnings"),
    ] {
        let items = list(key);
        if !items.is_empty() {
            out.push_str(&format!("{title}:\n{items}"));
        }
    }
    out
}
