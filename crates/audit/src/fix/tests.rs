//! Fixes of a made-up host: planned, applied, verified, repeated, undone.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::docker::facts::DockerFacts;
use crate::model::{Report, Section};
use crate::{Subjects, checks};

struct World {
    root: tempfile::TempDir,
    state: tempfile::TempDir,
}

/// Every file with its bytes, mode, owner; directories too.
type Snapshot = BTreeMap<PathBuf, (Vec<u8>, u32, u32, u32)>;

impl World {
    fn new() -> World {
        let root = tempfile::tempdir().unwrap();
        let me = rustix::process::geteuid().as_raw();
        let group = rustix::process::getegid().as_raw();
        for (path, text, mode) in [
            ("etc/passwd", format!("root:x:{me}:0::/:\n"), 0o644),
            ("etc/group", format!("root:x:{group}:\ndocker:x:77:\n"), 0o644),
            ("etc/docker/daemon.json", "{\n\t\"debug\": false,\n\t\"icc\": true\n}\n".to_owned(), 0o666),
            ("usr/sbin/dockerd", String::new(), 0o755),
            ("usr/lib/systemd/system/docker.service", "[Service]\nExecStart=/usr/sbin/dockerd\n".to_owned(), 0o664),
            ("etc/sysctl.d/10-site.conf", "kernel.kptr_restrict = 0\n".to_owned(), 0o644),
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        World { root, state: tempfile::tempdir().unwrap() }
    }

    fn audit(&self) -> (Host, DockerFacts, Report) {
        let host = Host::at(self.root.path()).unwrap();
        let docker = DockerFacts::from_files(&host);
        let report = checks::run(&Subjects {
            host: Some(&host),
            sections: vec![Section::Host, Section::Kernel, Section::DaemonFiles],
            docker: Some(&docker),
            daemon: true,
            ..Subjects::default()
        });
        (host, docker, report)
    }

    fn plan(&self, chosen: &[&str]) -> (Plan, Host, Vec<Verified>) {
        let (host, docker, report) = self.audit();
        let chosen: Vec<String> = chosen.iter().map(|s| (*s).to_owned()).collect();
        let context = Context { host: &host, docker: Some(&docker), engines: &[], directory: Path::new("/") };
        let plan = plan(&report, &chosen, &context);
        (plan, host, Vec::new())
    }

    fn fix(&self, chosen: &[&str]) -> (Plan, u64, Vec<Verified>) {
        let (plan, host, _) = self.plan(chosen);
        let number = plan.apply(&host, self.root.path(), self.state.path()).unwrap().number;
        let fresh = Host::at(self.root.path()).unwrap();
        let docker = DockerFacts::from_files(&fresh);
        let verified =
            plan.verify(&Context { host: &fresh, docker: Some(&docker), engines: &[], directory: Path::new("/") });
        (plan, number, verified)
    }

    fn snapshot(&self) -> Snapshot {
        let mut out = Snapshot::new();
        let mut todo = vec![self.root.path().to_owned()];
        while let Some(path) = todo.pop() {
            let meta = path.symlink_metadata().unwrap();
            let bytes = if meta.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            if meta.is_dir() {
                todo.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            }
            out.insert(path, (bytes, meta.mode(), meta.uid(), meta.gid()));
        }
        out
    }
}

const CHOSEN: [&str; 7] = [
    "container-traffic-allowed",
    "daemon-json-mode",
    "docker-service-mode",
    "kernel-pointers-shown",
    "dockerd-not-audited",
    "userland-proxy",
    "privileges-may-be-gained",
];

#[test]
fn chosen_failures_are_cured_once_and_undone_byte_for_byte() {
    let world = World::new();
    let before = world.snapshot();
    let (plan, number, verified) = world.fix(&CHOSEN);
    assert_eq!(plan.cured.len(), CHOSEN.len(), "{:?}", plan.by_hand);
    for v in &verified {
        assert_eq!(v.verdict.answer, crate::Answer::Pass, "{}: {}", v.id, v.verdict.evidence);
    }
    let json = std::fs::read_to_string(world.root.path().join("etc/docker/daemon.json")).unwrap();
    assert_eq!(
        json,
        "{\n\t\"debug\": false,\n\t\"icc\": false,\n\t\"no-new-privileges\": true,\n\t\"userland-proxy\": false\n}\n"
    );
    assert!(plan.shown().contains("-\t\"icc\": true\n+\t\"icc\": false"), "{}", plan.shown());
    // Once more: nothing to change.
    let fixed = world.snapshot();
    let (again, _, _) = world.plan(&CHOSEN);
    assert!(again.changes.is_empty(), "{:?}", again.changes);
    assert_eq!(world.snapshot(), fixed);
    let undone = undo(world.state.path(), Some(number), false).unwrap();
    assert!(!undone.restored.is_empty());
    // The directory that the audit rules needed was made by the fix and is gone again.
    let after = world.snapshot();
    let extra: Vec<_> = after.keys().filter(|p| !before.contains_key(*p)).collect();
    assert!(extra.iter().all(|p| p.ends_with("etc/audit")), "{extra:?}");
    for (path, was) in &before {
        assert_eq!(after.get(path), Some(was), "{}", path.display());
    }
    assert!(matches!(undo(world.state.path(), None, false), Err(FixError::NothingToUndo { .. })));
}

#[test]
fn without_names_only_what_breaks_nothing_is_done() {
    let world = World::new();
    let (plan, _, _) = world.plan(&[]);
    let ids: Vec<_> = plan.cured.iter().map(|c| c.id).collect();
    assert!(ids.contains(&"daemon-json-mode") && !ids.contains(&"container-traffic-allowed"), "{ids:?}");
    assert!(plan.unnamed.iter().any(|(id, _)| *id == "container-traffic-allowed"));
}

#[test]
fn an_undo_does_not_overwrite_what_came_later() {
    let world = World::new();
    let (_, number, _) = world.fix(&["container-traffic-allowed"]);
    let path = world.root.path().join("etc/docker/daemon.json");
    std::fs::write(&path, "{\"mine\": 1}").unwrap();
    assert!(matches!(undo(world.state.path(), None, false), Err(FixError::ChangedSince { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"mine\": 1}");
    undo(world.state.path(), Some(number), true).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("\"icc\": true"));
}

#[test]
fn a_fix_that_ended_half_way_can_be_undone() {
    let world = World::new();
    let before = world.snapshot();
    let (plan, host, _) = world.plan(&CHOSEN);
    // The journal and the first change only, as after a kill.
    let (_, kept) = Journal::write(world.state.path(), &host, world.root.path(), &plan.changes).unwrap();
    plan.changes[0].make(&host, kept[0]).unwrap();
    assert_ne!(world.snapshot(), before);
    let undone = undo(world.state.path(), None, false).unwrap();
    assert!(!undone.unchanged.is_empty());
    let after = world.snapshot();
    assert!(before.iter().all(|(p, was)| after.get(p) == Some(was)));
}

#[test]
fn links_and_files_changed_meanwhile_are_refused() {
    let world = World::new();
    let (plan, host, _) = world.plan(&["container-traffic-allowed"]);
    let path = world.root.path().join("etc/docker/daemon.json");
    std::fs::write(&path, "{}").unwrap();
    assert!(matches!(plan.apply(&host, world.root.path(), world.state.path()), Err(FixError::Changed { .. })));
    std::fs::rename(&path, path.with_extension("real")).unwrap();
    std::os::unix::fs::symlink("daemon.real", &path).unwrap();
    let (plan, _, _) = world.plan(&["container-traffic-allowed"]);
    assert!(plan.by_hand.iter().any(|b| b.why.contains("symbolic link")), "{:?}", plan.by_hand);
}
