//! From the target on the command line to facts and answers.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stockade_audit::checks::StockadeFacts;
use stockade_audit::docker::api::Api;
use stockade_audit::docker::facts::{DockerFacts, Kind, Part};
use stockade_audit::host::Host;
use stockade_audit::{CheckResult, Report, Section, Subjects, checks, compose, content, kubernetes};
use stockade_config::{GateMode, nearest};
use stockade_image::{Image, Store};

use super::Args;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

const TARGETS: [&str; 9] =
    ["host", "docker", "podman", "containerd", "stockade", "image", "container", "compose", "kubernetes"];
const PODMAN_SOCKET: &str = "/run/podman/podman.sock";
/// Sections about the host itself.
const HOST_SECTIONS: [Section; 3] = [Section::Host, Section::Kernel, Section::DaemonFiles];

/// What was asked for, answered; and what fixes need to look again.
pub struct Gathered {
    /// The answers.
    pub report: Report,
    /// The host whose files were looked at.
    pub host: Option<Host>,
    /// The docker daemon that was asked.
    pub docker: Option<DockerFacts>,
    /// Other engines whose containers were looked at.
    pub engines: Vec<DockerFacts>,
}

/// Runs the checks of the target.
pub fn gather(args: &Args, context: &Context) -> Result<Gathered, Failure> {
    let offline = !args.container_json.is_empty() || !args.image_json.is_empty() || args.daemon_json.is_some();
    let (target, names) = match args.target.split_first() {
        Some((target, names)) => (Some(target.as_str()), names),
        None => (None, &[][..]),
    };
    if offline {
        if target.is_some() {
            return Err(Failure::usage(
                "--container-json, --image-json and --daemon-json take no target: they are audited alone",
            ));
        }
        return offline_report(args);
    }
    match target {
        Some("image" | "container" | "compose" | "kubernetes" | "k8s") if names.is_empty() => {
            return Err(Failure::usage(format!(
                "`audit {}` needs at least one name or file",
                target.unwrap_or_default()
            )));
        }
        Some("host" | "docker" | "podman" | "containerd" | "stockade") if !names.is_empty() => {
            return Err(Failure::usage(format!(
                "`audit {}` takes no names, but got `{}`",
                target.unwrap_or_default(),
                names.join(" ")
            )));
        }
        _ => {}
    }
    match target {
        Some(what @ ("compose" | "kubernetes" | "k8s")) => files_report(what, names),
        Some("image") => images_report(args, context, names),
        Some("container") => containers_report(args, context, names),
        Some("docker") => docker_report(args),
        Some("podman") => podman_report(args),
        Some("containerd") => host_only(args, vec![Section::Containerd]),
        Some("stockade") => stockade_report(context),
        Some("host") => host_report(args),
        None => whole_report(args, context),
        Some(other) => {
            let near = nearest(other, TARGETS).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            Err(Failure::usage(format!("`{other}` is no target of audit{near}"))
                .hint(format!("targets: {}", TARGETS.join(", "))))
        }
    }
}

fn open_host(args: &Args) -> Result<Host, Failure> {
    match &args.host_root {
        Some(root) => {
            Host::at(root).map_err(|e| Failure::new(format!("cannot open host root `{}`: {e}", root.display())))
        }
        None => Ok(Host::live()?),
    }
}

fn socket(args: &Args, what: &str) -> Result<Api, Failure> {
    let default = if what == "podman" { PODMAN_SOCKET } else { "/run/docker.sock" };
    let from_environment = std::env::var("DOCKER_HOST").ok().filter(|h| !h.is_empty() && what != "podman");
    let text = args.host.clone().or(from_environment).unwrap_or_else(|| default.to_owned());
    match text.strip_prefix("unix://").or_else(|| text.starts_with('/').then_some(text.as_str())) {
        Some(path) => Ok(Api::new(Path::new(path))),
        None => Err(Failure::usage(format!("cannot audit `{text}`: only unix sockets are supported"))
            .hint("run the audit on the daemon's own host, with -H unix://PATH")),
    }
}

/// Docker's facts where a daemon answers. A host image has files only.
fn docker_facts(args: &Args, host: &Host) -> Result<DockerFacts, Failure> {
    if !host.is_live() {
        return Ok(DockerFacts::from_files(host));
    }
    DockerFacts::gather(&socket(args, "docker")?, host, Kind::Docker)
        .map_err(|e| Failure::from(e).hint("is dockerd running? -H unix://PATH names another socket"))
}

/// The same where nobody asked for docker by name: a missing daemon is no failure, there is nothing to audit.
fn docker_if_present(args: &Args, host: &Host) -> Result<Option<DockerFacts>, Failure> {
    match docker_facts(args, host) {
        Ok(facts) => Ok(Some(facts)),
        Err(e) if args.host.is_some() => Err(e),
        Err(e) => {
            output::warn(&format!("no docker daemon is audited: {e}"));
            Ok(None)
        }
    }
}

fn docker_report(args: &Args) -> Result<Gathered, Failure> {
    let host = open_host(args)?;
    let docker = docker_facts(args, &host)?;
    let report = checks::run(&Subjects {
        host: Some(&host),
        sections: vec![Section::Host, Section::DaemonFiles],
        docker: Some(&docker),
        daemon: true,
        engines: vec![&docker],
        ..Subjects::default()
    });
    Ok(Gathered { report, host: Some(host), docker: Some(docker), engines: Vec::new() })
}

fn podman_report(args: &Args) -> Result<Gathered, Failure> {
    let host = open_host(args)?;
    let facts = if host.is_live() {
        match DockerFacts::gather(&socket(args, "podman")?, &host, Kind::Podman) {
            Ok(facts) => Some(facts),
            Err(e) if args.host.is_some() => {
                return Err(Failure::from(e).hint("podman system service unix://PATH starts podman's API"));
            }
            Err(e) => {
                output::warn(&format!(
                    "podman's containers and images are not audited: {e} (systemctl start podman.socket)"
                ));
                None
            }
        }
    } else {
        None
    };
    let report = checks::run(&Subjects {
        host: Some(&host),
        sections: vec![Section::Podman],
        engines: facts.iter().collect(),
        ..Subjects::default()
    });
    Ok(Gathered { report, host: Some(host), docker: None, engines: facts.into_iter().collect() })
}

fn host_only(args: &Args, sections: Vec<Section>) -> Result<Gathered, Failure> {
    let host = open_host(args)?;
    let report = checks::run(&Subjects { host: Some(&host), sections, ..Subjects::default() });
    Ok(Gathered { report, host: Some(host), docker: None, engines: Vec::new() })
}

fn host_report(args: &Args) -> Result<Gathered, Failure> {
    let host = open_host(args)?;
    let docker = docker_if_present(args, &host)?;
    let report = checks::run(&Subjects {
        host: Some(&host),
        sections: HOST_SECTIONS.to_vec(),
        docker: docker.as_ref(),
        ..Subjects::default()
    });
    Ok(Gathered { report, host: Some(host), docker, engines: Vec::new() })
}

/// Everything that is present.
fn whole_report(args: &Args, context: &Context) -> Result<Gathered, Failure> {
    let host = open_host(args)?;
    let docker = docker_if_present(args, &host)?;
    let stockade = if host.is_live() && context.settings.dirs.root.exists() {
        Some((stockade_facts(context), stockade_engine(context)?))
    } else {
        None
    };
    let mut sections = HOST_SECTIONS.to_vec();
    sections.extend([Section::Containerd, Section::Podman]);
    let podman = if host.is_live() { podman_if_present(&host) } else { None };
    let mut engines: Vec<&DockerFacts> = docker.iter().chain(&podman).collect();
    engines.extend(stockade.iter().map(|(_, e)| e));
    let mut report = checks::run(&Subjects {
        host: Some(&host),
        sections,
        docker: docker.as_ref(),
        daemon: docker.as_ref().is_some_and(|d| d.info.is_ok() || d.config.content.is_some()),
        engines,
        stockade: stockade.as_ref().map(|(f, _)| f),
    });
    // What is not installed need not fill the report.
    for (section, program) in [(Section::Containerd, "containerd"), (Section::Podman, "podman")] {
        let absent = |c: &CheckResult| c.meta.section == section && c.result == stockade_audit::Answer::NotApplicable;
        if report.checks.iter().filter(|c| c.meta.section == section).all(absent) {
            report.checks.retain(|c| c.meta.section != section);
            output::warn(&format!("{program} is not on this host"));
        }
    }
    report.recount();
    let engines = podman.into_iter().chain(stockade.map(|(_, e)| e)).collect();
    Ok(Gathered { report, host: Some(host), docker, engines })
}

/// Podman's containers and images, where its socket is open.
fn podman_if_present(host: &Host) -> Option<DockerFacts> {
    if !Path::new(PODMAN_SOCKET).exists() {
        return None;
    }
    match DockerFacts::gather(&Api::new(Path::new(PODMAN_SOCKET)), host, Kind::Podman) {
        Ok(facts) => Some(facts),
        Err(e) => {
            output::warn(&format!("podman's containers and images are not audited: {}", Failure::from(e)));
            None
        }
    }
}

fn stockade_facts(context: &Context) -> StockadeFacts {
    let settings = &context.settings;
    StockadeFacts {
        root: settings.dirs.root.clone(),
        run: settings.dirs.run.clone(),
        config_files: settings.sources.clone(),
        gate_mode: match settings.gate.mode {
            GateMode::Off => "off",
            GateMode::Warn => "warn",
            GateMode::Deny => "deny",
        }
        .to_owned(),
        insecure_registries: settings.registries.iter().filter(|r| r.insecure).map(|r| r.host.clone()).collect(),
    }
}

/// Stockade's running containers and its images, in docker's words.
fn stockade_engine(context: &Context) -> Result<DockerFacts, Failure> {
    let engine = crate::container::engine(context)?;
    let (records, damaged) = engine.list()?;
    let mut containers: Vec<Part> = Vec::new();
    for record in records.iter().filter(|r| r.is_running()) {
        containers.push(Part(engine.inspect(&record.spec.id, false).map_err(|e| e.to_string())));
    }
    containers.extend(damaged.into_iter().map(|e| Part(Err(e.to_string()))));
    let mut facts = DockerFacts { container_count: Some(records.len() as u64), containers, ..stockade_base() };
    let store = engine.store()?;
    for image in store.list()? {
        add_image(&mut facts, &store, &image);
    }
    if let Ok(host) = Host::live() {
        facts.look_at_processes(&host);
    }
    Ok(facts)
}

fn stockade_base() -> DockerFacts {
    DockerFacts {
        kind: Kind::Stockade,
        now: Some(jiff::Timestamp::now().as_second()),
        selinux: Some(Path::new("/sys/fs/selinux/enforce").exists()),
        ..DockerFacts::default()
    }
}

/// An image of the store in docker's words, with its history.
pub fn image_facts(image: &Image) -> Value {
    let mut value = super::super::inspect::describe_image(image);
    let history: Vec<Value> = image.config.history.iter().map(|h| json!({ "CreatedBy": h.created_by })).collect();
    if let Some(object) = value.as_object_mut() {
        object.insert("History".into(), Value::Array(history));
    }
    value
}

/// An image of the store with its history and what its files say.
fn add_image(facts: &mut DockerFacts, store: &Store, image: &Image) {
    let id = image.id.to_string();
    facts.images.push(Part::from(image_facts(image)));
    let looked = store.layer_dirs(image).map(|dirs| content::look(&dirs)).map_err(|e| e.to_string());
    facts.contents.insert(id, looked);
}

fn stockade_report(context: &Context) -> Result<Gathered, Failure> {
    let own = stockade_facts(context);
    let engine = if own.root.exists() { stockade_engine(context)? } else { stockade_base() };
    let report = checks::run(&Subjects { stockade: Some(&own), engines: vec![&engine], ..Subjects::default() });
    Ok(Gathered { report, host: None, docker: None, engines: vec![engine] })
}

/// Images by name: of Stockade's store first, then of docker.
fn images_report(args: &Args, context: &Context, names: &[String]) -> Result<Gathered, Failure> {
    let store_exists = context.settings.dirs.root.exists() && args.host.is_none();
    let store = if store_exists { Some(crate::container::engine(context)?.store()?) } else { None };
    let mut ours = stockade_base();
    let mut docker: Vec<Value> = Vec::new();
    let mut histories = std::collections::BTreeMap::new();
    for name in names {
        let found = match &store {
            Some(store) => store.resolve(name).ok().flatten(),
            None => None,
        };
        if let (Some(store), Some(image)) = (&store, found) {
            add_image(&mut ours, store, &image);
            continue;
        }
        let api = socket(args, "docker")?;
        let value = api.get(&format!("/images/{}/json", clean(name))).map_err(|e| no_such("image", name, e))?;
        let id = value.get("Id").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Ok(history) = api.get(&format!("/images/{}/history", clean(&id))) {
            histories.insert(id, history);
        }
        docker.push(value);
    }
    let theirs = DockerFacts {
        histories,
        now: Some(jiff::Timestamp::now().as_second()),
        ..DockerFacts::offline(Vec::new(), docker, None)
    };
    let report = checks::run(&Subjects { engines: vec![&ours, &theirs], ..Subjects::default() });
    Ok(Gathered { report, host: None, docker: None, engines: Vec::new() })
}

/// Containers by name: Stockade's first, then docker's.
fn containers_report(args: &Args, context: &Context, names: &[String]) -> Result<Gathered, Failure> {
    let engine = if context.settings.dirs.root.exists() && args.host.is_none() {
        Some(crate::container::engine(context)?)
    } else {
        None
    };
    let host = Host::live()?;
    let mut ours = stockade_base();
    let mut docker: Vec<Value> = Vec::new();
    let mut images: Vec<Part> = Vec::new();
    for name in names {
        if let Some(Ok(value)) = engine.as_ref().map(|e| e.inspect(name, false)) {
            ours.containers.push(Part::from(value));
            continue;
        }
        let api = socket(args, "docker")?;
        let value =
            api.get(&format!("/containers/{}/json", clean(name))).map_err(|e| no_such("container", name, e))?;
        let image = value.get("Image").and_then(Value::as_str).unwrap_or_default();
        images.extend(api.get(&format!("/images/{}/json", clean(image))).ok().map(Part::from));
        docker.push(value);
    }
    ours.look_at_processes(&host);
    let mut theirs = DockerFacts::offline(docker, Vec::new(), None);
    theirs.look_at_processes(&host);
    theirs.selinux = host.has_selinux();
    let report = checks::run(&Subjects { engines: vec![&ours, &theirs], ..Subjects::default() });
    // Their images are not audited: they tell what of a container comes from its image, for the line that runs it.
    theirs.images = images;
    if let Some(store) = engine.as_ref().and_then(|e| e.store().ok()) {
        let id = |c: &Part| c.as_ref().ok()?.get("Image")?.as_str().map(str::to_owned);
        let found = ours.containers.iter().filter_map(|c| store.resolve(&id(c)?).ok().flatten());
        ours.images = found.map(|image| Part::from(image_facts(&image))).collect();
    }
    Ok(Gathered { report, host: Some(host), docker: Some(theirs), engines: vec![ours] })
}

fn no_such(kind: &str, name: &str, error: stockade_audit::docker::api::ApiError) -> Failure {
    let error = Failure::from(error);
    Failure::new(format!("Stockade has no {kind} `{name}`, and docker: {error}"))
}

/// Names come from the command line: nothing but the characters that names have reaches the request line.
fn clean(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || ":._-/@".contains(*c)).collect()
}

fn offline_report(args: &Args) -> Result<Gathered, Failure> {
    let lists = |paths: &[PathBuf]| -> Result<Vec<Value>, Failure> {
        let mut out = Vec::new();
        for path in paths {
            match read_json(path)? {
                Value::Array(list) => out.extend(list),
                one => out.push(one),
            }
        }
        Ok(out)
    };
    let config = args.daemon_json.as_ref().map(|p| Ok::<_, Failure>((p.clone(), read_json(p)?))).transpose()?;
    let daemon = config.is_some();
    let mut facts = DockerFacts::offline(lists(&args.container_json)?, lists(&args.image_json)?, config);
    facts.now = Some(jiff::Timestamp::now().as_second());
    let mut report =
        checks::run(&Subjects { docker: Some(&facts), daemon, engines: vec![&facts], ..Subjects::default() });
    // A daemon.json alone says nothing about the swarm or what piles up.
    report.checks.retain(|c| matches!(c.meta.section, Section::Daemon | Section::Containers | Section::Images));
    report.recount();
    Ok(Gathered { report, host: None, docker: None, engines: Vec::new() })
}

fn files_report(what: &str, names: &[String]) -> Result<Gathered, Failure> {
    let mut all: Vec<CheckResult> = Vec::new();
    for name in names {
        let bytes = read_file(Path::new(name))?;
        let checked = if what == "compose" { compose::check(name, &bytes) } else { kubernetes::check(name, &bytes) };
        let results = checked.map_err(|e| Failure::new(format!("cannot audit `{name}`: {e}")))?;
        if results.is_empty() {
            output::warn(&format!("{name}: no workload in it"));
        }
        all.extend(results);
    }
    Ok(Gathered { report: Report::new(all), host: None, docker: None, engines: Vec::new() })
}

/// Reads a file, or standard input for `-`, up to the limit of YAML files.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let limit = stockade_audit::yaml::MAX_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let result = if path == Path::new("-") {
        std::io::stdin().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|f| f.take(limit).read_to_end(&mut bytes))
    };
    result.map_err(|e| Failure::new(format!("cannot read `{}`: {e}", path.display())))?;
    Ok(bytes)
}

/// Reads a JSON file.
pub fn read_json(path: &Path) -> Result<Value, Failure> {
    serde_json::from_slice(&read_file(path)?)
        .map_err(|e| Failure::new(format!("cannot read `{}`: not JSON: {e}", path.display())))
}
