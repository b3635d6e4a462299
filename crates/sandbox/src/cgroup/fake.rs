//! cgroup v2 against a directory that looks like one: this machine's own v2 tree has no controllers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::{Hierarchy, Layout};
use super::{Cgroup, Stats, list_under_in};
use crate::{Limits, SandboxError};

struct Fake {
    dir: tempfile::TempDir,
}

impl Fake {
    /// A tree with the group `stockade/c1`, whose control files the kernel would make.
    fn new(files: &[(&str, &str)]) -> Self {
        let fake = Fake { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(fake.group()).unwrap();
        for parent in [fake.top(), &fake.top().join("stockade")] {
            std::fs::write(parent.join("cgroup.subtree_control"), "").unwrap();
        }
        for (name, content) in files {
            std::fs::write(fake.group().join(name), content).unwrap();
        }
        fake
    }

    fn top(&self) -> &Path {
        self.dir.path()
    }

    fn group(&self) -> PathBuf {
        self.top().join("stockade/c1")
    }

    fn layout(&self, controllers: &[&str]) -> Arc<Layout> {
        Arc::new(Layout {
            unified: Some(Hierarchy { controllers: Vec::new(), top: self.top().to_owned(), own: None }),
            unified_controllers: controllers.iter().map(|c| (*c).to_owned()).collect(),
            v1: Vec::new(),
        })
    }

    fn cgroup(&self) -> Cgroup {
        Cgroup::open_in(self.layout(&["cpu", "io", "memory", "pids"]), "stockade/c1")
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.group().join(file)).unwrap()
    }
}

const EMPTY: [(&str, &str); 7] = [
    ("memory.max", ""),
    ("memory.swap.max", ""),
    ("memory.low", ""),
    ("memory.oom.group", ""),
    ("cpu.max", ""),
    ("cpu.weight", ""),
    ("pids.max", ""),
];

#[test]
fn limits_are_written_in_the_words_of_v2() {
    let fake = Fake::new(&EMPTY);
    let limits = Limits {
        memory_bytes: Some(100 << 20),
        memory_swap_bytes: Some(150 << 20),
        memory_reservation_bytes: Some(50 << 20),
        cpu_millis: Some(1500),
        cpu_shares: Some(1024),
        pids: Some(99),
    };
    let membership = fake.cgroup().create(&limits, false, &[]).unwrap();
    assert!(membership.unified.is_some() && membership.tasks.is_empty(), "born into the group, no migration");
    assert_eq!(fake.read("memory.max"), "104857600");
    assert_eq!(fake.read("memory.swap.max"), "52428800", "v2 counts swap alone");
    assert_eq!(fake.read("memory.low"), "52428800");
    assert_eq!(fake.read("memory.oom.group"), "1");
    assert_eq!(fake.read("cpu.max"), "150000 100000");
    assert_eq!(fake.read("cpu.weight"), "39");
    assert_eq!(fake.read("pids.max"), "99");
}

#[test]
fn controllers_are_handed_down_from_the_top() {
    // A group whose parents have not been asked yet has no control files.
    let fake = Fake::new(&[]);
    let error = fake.cgroup().create(&Limits { pids: Some(1), ..Limits::default() }, false, &[]).unwrap_err();
    assert!(matches!(error, SandboxError::Cgroup { .. }), "the fake kernel makes no files: {error}");
    for parent in ["", "stockade"] {
        let control = std::fs::read_to_string(fake.top().join(parent).join("cgroup.subtree_control")).unwrap();
        assert!(control.starts_with('+'), "{parent}: {control}");
    }
}

#[test]
fn counters_are_read_in_the_words_of_v2() {
    let fake = Fake::new(&[
        ("memory.current", "5000\n"),
        ("memory.max", "max\n"),
        ("memory.stat", "anon 1\ninactive_file 1000\nactive_file 7\n"),
        ("memory.events", "low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n"),
        ("cpu.stat", "usage_usec 42\nuser_usec 40\n"),
        ("pids.current", "3\n"),
        ("pids.max", "77\n"),
        ("io.stat", "254:0 rbytes=10 wbytes=20 rios=1\n8:0 rbytes=1 wbytes=2 rios=9\n"),
    ]);
    let expected = Stats {
        memory_bytes: 4000,
        memory_limit_bytes: None,
        cpu_ns: 42_000,
        pids: 3,
        pids_limit: Some(77),
        io_read_bytes: 11,
        io_write_bytes: 22,
        oom_kills: 1,
    };
    assert_eq!(fake.cgroup().stats().unwrap(), expected);
}

#[test]
fn freezing_and_killing_use_the_core_files() {
    let fake = Fake::new(&[
        ("cgroup.freeze", ""),
        ("cgroup.kill", ""),
        ("cgroup.procs", ""),
        ("cgroup.events", "populated 0\nfrozen 1\n"),
    ]);
    fake.cgroup().freeze().unwrap();
    assert_eq!(fake.read("cgroup.freeze"), "1");
    fake.cgroup().kill().unwrap();
    assert_eq!(fake.read("cgroup.kill"), "1");
    std::fs::write(fake.group().join("cgroup.events"), "populated 0\nfrozen 0\n").unwrap();
    fake.cgroup().thaw().unwrap();
    assert_eq!(fake.read("cgroup.freeze"), "0");
}

#[test]
fn groups_are_found_listed_and_shown() {
    let fake = Fake::new(&[("cgroup.procs", "12\n0\n13\n")]);
    let cgroup = fake.cgroup();
    assert!(cgroup.exists());
    assert_eq!(cgroup.pids().unwrap(), [12, 13], "0 is a process of another pid namespace");
    let view = cgroup.view();
    assert_eq!((view.len(), view[0].names.len(), &view[0].dir), (1, 0, &fake.group()));
    assert_eq!(list_under_in(fake.layout(&[]), "stockade"), ["stockade/c1"]);
    assert_eq!(list_under_in(fake.layout(&[]), "/"), ["stockade"]);
}

#[test]
fn a_limit_without_its_controller_is_refused_by_name() {
    let fake = Fake::new(&EMPTY);
    let cgroup = Cgroup::open_in(fake.layout(&["memory"]), "stockade/c1");
    let error = cgroup.create(&Limits { cpu_millis: Some(1), ..Limits::default() }, false, &[]).unwrap_err();
    assert!(error.to_string().contains("`cpu`") && error.to_string().contains("`cpus`"), "{error}");
    // No limit asked for: no controller needed.
    assert!(cgroup.create(&Limits::default(), false, &[]).is_ok());
}

#[test]
fn a_group_that_is_made_later_is_found_then() {
    let fake = Fake::new(&[]);
    let late = Cgroup::open_in(fake.layout(&[]), "stockade/late");
    assert!(late.pids().unwrap().is_empty());
    std::fs::create_dir(fake.top().join("stockade/late")).unwrap();
    std::fs::write(fake.top().join("stockade/late/cgroup.procs"), "7\n").unwrap();
    assert_eq!(late.pids().unwrap(), [7]);
    std::fs::remove_file(fake.top().join("stockade/late/cgroup.procs")).unwrap();
    late.remove().unwrap();
    assert!(!fake.top().join("stockade/late").exists());
    late.remove().unwrap();
}

#[test]
fn our_own_group_serves_where_the_top_does_not() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("own")).unwrap();
    let layout = Layout {
        unified: Some(Hierarchy {
            controllers: Vec::new(),
            // A file in place of a directory refuses new groups as the kernel would.
            top: dir.path().join("closed"),
            own: Some(dir.path().join("own")),
        }),
        ..Layout::default()
    };
    std::fs::write(dir.path().join("closed"), "").unwrap();
    let cgroup = Cgroup::open_in(Arc::new(layout.clone()), "a/b");
    cgroup.create(&Limits::default(), false, &[]).unwrap();
    assert!(dir.path().join("own/a/b").is_dir());
    assert_eq!(list_under_in(Arc::new(layout), "a"), ["a/b"]);
    cgroup.remove().unwrap();
    assert!(!dir.path().join("own/a").exists());
}
