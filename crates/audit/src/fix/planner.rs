//! From failing checks to changes, by the kind of check.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::change::{Change, read};
use super::{compose, daemon, diff, kubernetes, run_line};
use crate::checks::daemon_files::{Wanted, paths, wanted};
use crate::checks::{self, host as host_checks, kernel};
use crate::docker::facts::{DockerFacts, Kind};
use crate::host::Host;
use crate::model::{CheckResult, Degree, Report, Section};
use crate::select::named;

/// Where our kernel settings are.
const SYSCTL_FILE: &str = "/etc/sysctl.d/90-stockade.conf";
/// Where our audit rules are.
const AUDIT_FILE: &str = "/etc/audit/rules.d/stockade.rules";

/// What the audit looked at.
pub struct Context<'a> {
    /// The host whose files are changed.
    pub host: &'a Host,
    /// The daemon that was asked.
    pub docker: Option<&'a DockerFacts>,
    /// Other engines whose containers were looked at.
    pub engines: &'a [DockerFacts],
    /// Directory that relative names of Compose and Kubernetes files are meant from.
    pub directory: &'a Path,
}

/// A failure that the plan cures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cured {
    /// The check.
    pub id: &'static str,
    /// Its subject.
    pub subject: String,
    /// What must happen for the cure to take effect, if anything.
    pub then: Option<&'static str>,
}

/// A failure that a person must cure.
#[derive(Debug, Clone)]
pub struct ByHand {
    /// The check.
    pub id: &'static str,
    /// Its subject.
    pub subject: String,
    /// Why, or what to do.
    pub why: String,
}

/// A line to run instead of what runs.
#[derive(Debug, Clone)]
pub struct Command {
    /// The container.
    pub subject: String,
    /// What it no longer fails.
    pub ids: Vec<&'static str>,
    /// The line, for a shell.
    pub line: String,
}

/// What would be changed.
#[derive(Debug, Default)]
pub struct Plan {
    /// In the order in which they are made. Each path has at most one content, one mode and one owner.
    pub changes: Vec<Change>,
    /// What the changes cure.
    pub cured: Vec<Cured>,
    /// What they do not.
    pub by_hand: Vec<ByHand>,
    /// Lines for containers.
    pub commands: Vec<Command>,
    /// Cures that are only made when their check is named, because they may break something.
    pub unnamed: Vec<(&'static str, Degree)>,
}

/// Files as they will be.
#[derive(Default)]
struct Files(BTreeMap<PathBuf, (Option<Vec<u8>>, String)>);

impl Files {
    /// The text of a file as it is or will be; empty where there is none.
    fn text(&mut self, host: &Host, path: &Path) -> Result<String, String> {
        if let Some((_, text)) = self.0.get(path) {
            return Ok(text.clone());
        }
        let old = read(host, path).map_err(|e| e.to_string())?.map(|(bytes, _)| bytes);
        let text = match &old {
            Some(bytes) => {
                String::from_utf8(bytes.clone()).map_err(|_| format!("{} is not UTF-8 text", path.display()))?
            }
            None => String::new(),
        };
        self.0.insert(path.to_owned(), (old, text.clone()));
        Ok(text)
    }

    fn set(&mut self, path: &Path, text: String) {
        if let Some(file) = self.0.get_mut(path) {
            file.1 = text;
        }
    }

    fn changes(self) -> Vec<Change> {
        let changed = self.0.into_iter().filter(|(_, (old, new))| old.as_deref().unwrap_or_default() != new.as_bytes());
        changed.map(|(path, (old, new))| Change::File { path, old, new: new.into_bytes() }).collect()
    }
}

/// What can be done about the failures of a report. `chosen` names checks as `--only` does; without names every cure of
/// low risk is chosen.
pub fn plan(report: &Report, chosen: &[String], context: &Context<'_>) -> Plan {
    let mut planner = Planner {
        context,
        plan: Plan::default(),
        files: Files::default(),
        settings: Vec::new(),
        lines: BTreeMap::new(),
    };
    for check in report.checks.iter().filter(|c| c.fails()) {
        let is_named = chosen.iter().any(|n| named(&check.meta, n));
        if !chosen.is_empty() && !is_named {
            continue;
        }
        if !super::is_known(check.meta.id) {
            planner.by_hand(check, check.meta.fix);
            continue;
        }
        // A line that is only printed breaks nothing.
        let printed = run_line::is_known(check.meta.id);
        if !is_named && !printed && check.meta.risk != Degree::Low {
            if !planner.plan.unnamed.contains(&(check.meta.id, check.meta.risk)) {
                planner.plan.unnamed.push((check.meta.id, check.meta.risk));
            }
            continue;
        }
        planner.cure(check);
    }
    planner.finish()
}

struct Planner<'a> {
    context: &'a Context<'a>,
    plan: Plan,
    files: Files,
    /// Modes, owners and live kernel settings.
    settings: Vec<Change>,
    /// Checks to satisfy by container.
    lines: BTreeMap<String, Vec<&'static str>>,
}

impl Planner<'_> {
    fn by_hand(&mut self, check: &CheckResult, why: impl Into<String>) {
        self.plan.by_hand.push(ByHand { id: check.meta.id, subject: check.subject.clone(), why: why.into() });
    }

    fn cured(&mut self, check: &CheckResult, then: Option<&'static str>) {
        self.plan.cured.push(Cured { id: check.meta.id, subject: check.subject.clone(), then });
    }

    fn cure(&mut self, check: &CheckResult) {
        let result = match check.meta.section {
            Section::Compose | Section::Kubernetes => self.yaml(check),
            Section::Containers => {
                self.lines.entry(check.subject.clone()).or_default().push(check.meta.id);
                return;
            }
            Section::Kernel => self.sysctl(check.meta.id).map(|()| None),
            Section::Host => self.audit_rule(check.meta.id).map(|()| Some("augenrules --load")),
            Section::Daemon => self.daemon(check.meta.id),
            _ => self.attributes(check.meta.id).map(|()| None),
        };
        match result {
            Ok(then) => self.cured(check, then),
            Err(why) => self.by_hand(check, why),
        }
    }

    /// Cures a service or a workload until its check passes.
    fn yaml(&mut self, check: &CheckResult) -> Result<Option<&'static str>, String> {
        let (file, one) = check.subject.rsplit_once(": ").ok_or("the subject names no file")?;
        if file == "-" {
            return Err("standard input cannot be changed".to_owned());
        }
        let path = self.context.directory.join(file);
        let original = self.files.text(self.context.host, &path)?;
        let is_compose = check.meta.section == Section::Compose;
        let mut text = original.clone();
        // Each run cures one place; a list of a thousand bad entries is a thousand runs and no more.
        for _ in 0..1000 {
            if !super::verify::file_fails(is_compose, file, text.as_bytes(), check.meta.id, &check.subject) {
                self.files.set(&path, text);
                return Ok(None);
            }
            let cured = if is_compose {
                compose::cure(&text, one, check.meta.id)?
            } else {
                kubernetes::cure(&text, one, check.meta.id)?
            };
            if cured == text {
                break;
            }
            text = cured;
        }
        Err("the file cannot be cured without a person".to_owned())
    }

    fn sysctl(&mut self, id: &str) -> Result<(), String> {
        let (key, value) = kernel::setting(id).ok_or("no such setting")?;
        let host = self.context.host;
        let text = self.files.text(host, Path::new(SYSCTL_FILE))?;
        self.files.set(Path::new(SYSCTL_FILE), with_setting(&text, key, value));
        if host.is_live() {
            let from = host.sysctl(key)?.ok_or("this kernel has no such setting")?;
            self.settings.push(Change::Sysctl { key: key.to_owned(), from, to: value.to_owned() });
        }
        Ok(())
    }

    fn audit_rule(&mut self, id: &str) -> Result<(), String> {
        let host = self.context.host;
        let path =
            host_checks::existing(host, id, self.context.docker).ok_or("what should be watched does not exist")?;
        if host_checks::rule_in_files(host, &path)?.is_some() {
            return Err("the rule is written already: run augenrules --load".to_owned());
        }
        let mut text = self.files.text(host, Path::new(AUDIT_FILE))?;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        let _ = writeln!(text, "-w {path} -k docker");
        self.files.set(Path::new(AUDIT_FILE), text);
        Ok(())
    }

    fn daemon(&mut self, id: &str) -> Result<Option<&'static str>, String> {
        const RESTART: &str = "systemctl restart docker";
        const RELOAD: &str = "systemctl daemon-reload && systemctl restart docker";
        let setting = daemon::setting(id).ok_or("no such setting")?;
        let (host, docker) = (self.context.host, self.context.docker);
        let mut then = RESTART;
        if daemon::set_by_flag(docker, &setting) {
            let path = Path::new(daemon::DROP_IN);
            let current = self.files.text(host, path)?;
            let unit =
                daemon::without_flag(host, Some(&current).filter(|t| !t.is_empty()).map(String::as_str), setting.flag)?;
            self.files.set(path, unit);
            then = RELOAD;
        }
        let path = daemon::config_path(docker);
        let text = self.files.text(host, &path)?;
        let cured = daemon::cured(&text, &setting)?;
        // A file is not made for a setting that is to be absent.
        if !(text.is_empty() && cured.trim() == "{}") {
            self.files.set(&path, cured);
        }
        Ok(Some(then))
    }

    fn attributes(&mut self, id: &str) -> Result<(), String> {
        let (place, wanted) = wanted(id).ok_or("no such file")?;
        let host = self.context.host;
        for path in paths(host, self.context.docker, place) {
            let Some(facts) = host.stat(&path)? else { continue };
            match wanted {
                Wanted::Mode(allowed) if facts.mode & !allowed != 0 => {
                    self.settings.push(Change::Mode { path: path.clone(), from: facts.mode, to: facts.mode & allowed });
                }
                Wanted::Owner(user, group) => {
                    let to = (
                        host.id_of("/etc/passwd", user).ok_or_else(|| format!("there is no user {user}"))?,
                        host.id_of("/etc/group", group).ok_or_else(|| format!("there is no group {group}"))?,
                    );
                    if to != (facts.uid, facts.gid) {
                        self.settings.push(Change::Owner { path: path.clone(), from: (facts.uid, facts.gid), to });
                    }
                }
                Wanted::Mode(_) => {}
            }
            if !place.is_many() {
                break;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Plan {
        self.settings.dedup();
        self.plan.changes = self.files.changes();
        self.plan.changes.append(&mut self.settings);
        for (subject, ids) in self.lines {
            let engines = self.context.docker.into_iter().chain(self.context.engines);
            self.plan.commands.extend(command(engines, &subject, ids));
        }
        self.plan
    }
}

/// The lines that run the report's weak containers without their weaknesses, each container once.
pub fn commands(report: &Report, engines: &[&DockerFacts]) -> Vec<Command> {
    let mut lines: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
    for check in report.checks.iter().filter(|c| c.fails() && run_line::is_known(c.meta.id)) {
        lines.entry(&check.subject).or_default().push(check.meta.id);
    }
    lines.into_iter().filter_map(|(subject, ids)| command(engines.iter().copied(), subject, ids)).collect()
}

/// The line for a container that the audit looked at.
fn command<'a>(
    engines: impl Iterator<Item = &'a DockerFacts>,
    subject: &str,
    ids: Vec<&'static str>,
) -> Option<Command> {
    let (prefix, name) = subject.split_once("container ")?;
    let of_engine = |engine: &'a DockerFacts| {
        let container = engine.containers.iter().filter_map(|c| c.as_ref().ok()).find(|c| checks::name(c) == name)?;
        Some((engine, container))
    };
    let (engine, container) = engines.filter(|e| e.kind.prefix() == prefix).find_map(of_engine)?;
    let id = container.get("Image").and_then(Value::as_str)?;
    let image =
        engine.images.iter().filter_map(|i| i.as_ref().ok()).find(|i| i.get("Id").and_then(Value::as_str) == Some(id));
    let program = match engine.kind {
        Kind::Stockade => "stockade",
        Kind::Podman => "podman",
        Kind::Docker => "docker",
    };
    let line = run_line::run_line(program, container, image, &ids);
    Some(Command { subject: subject.to_owned(), ids, line })
}

/// A file of sysctl.d(5) with one setting in it: its line is replaced, or added at the end.
fn with_setting(text: &str, key: &str, value: &str) -> String {
    let mut out = String::new();
    let mut done = false;
    for line in text.split_inclusive('\n') {
        let ours = line.split_once('=').is_some_and(|(k, _)| k.trim().replace('/', ".") == key);
        match (ours, done) {
            (false, _) => out.push_str(line),
            (true, false) => {
                let _ = writeln!(out, "{key} = {value}");
                done = true;
            }
            (true, true) => {}
        }
    }
    if !done {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        let _ = writeln!(out, "{key} = {value}");
    }
    out
}

impl Plan {
    /// The changes for people: unified diffs, and a line for what is no file's content.
    pub fn shown(&self) -> String {
        let mut out = String::new();
        for change in &self.changes {
            match change {
                Change::File { path, old, new } => {
                    let name = path.display().to_string();
                    let before = if old.is_some() { name.clone() } else { "/dev/null".to_owned() };
                    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
                    out.push_str(&diff::unified(&before, &name, &text(old.as_deref().unwrap_or_default()), &text(new)));
                }
                Change::Mode { path, from, to } => {
                    let _ = writeln!(out, "chmod {to:04o} {} (was {from:04o})", path.display());
                }
                Change::Owner { path, from, to } => {
                    let _ = writeln!(out, "chown {}:{} {} (was {}:{})", to.0, to.1, path.display(), from.0, from.1);
                }
                Change::Sysctl { key, from, to } => {
                    let _ = writeln!(out, "sysctl -w {key}={to} (was {from})");
                }
            }
        }
        out
    }
}
