//! An image through scan, cache and gate.

use std::path::Path;

use stockade_advisory::Database;
use stockade_config::{Dirs, GateMode, Inputs, Settings};
use stockade_image::{Reference, Store};

use super::{ScanOptions, Spec, scan};
use crate::context::Context;
use crate::failure::Exit;
use crate::gate::check_before_run;

fn context(root: &Path, mode: GateMode) -> Context {
    let missing = root.join("none.toml");
    std::fs::write(&missing, "").unwrap();
    let mut settings = Settings::resolve(&Inputs { config: Some(&missing), ..Inputs::default() }).unwrap();
    settings.dirs = Dirs { root: root.join("root"), run: root.join("run") };
    settings.gate.mode = mode;
    Context { settings, unprivileged: None }
}

/// A root file system as a tar: Debian 11 with one package.
fn tar_of(package: &str, version: &str) -> Vec<u8> {
    let status = format!("Package: {package}\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\n\n");
    let mut tar = Vec::new();
    for (path, content) in [
        ("etc/os-release", "ID=debian\nVERSION_ID=\"11\"\nPRETTY_NAME=\"Debian GNU/Linux 11 (bullseye)\"\n"),
        ("var/lib/dpkg/status", status.as_str()),
    ] {
        let mut header = [0u8; 512];
        header[..path.len()].copy_from_slice(path.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[148..156].copy_from_slice(b"        ");
        header[156] = b'0';
        header[257..263].copy_from_slice(b"ustar\0");
        header[263..265].copy_from_slice(b"00");
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar.extend_from_slice(&header);
        tar.extend_from_slice(content.as_bytes());
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn import(context: &Context, name: &str, package: &str, version: &str) {
    let store = Store::open(&context.settings.dirs.root).unwrap();
    let name: Reference = name.parse().unwrap();
    store.import(&tar_of(package, version)[..], &[], None, Some(&name)).unwrap();
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: layers are unpacked with root's rights");
    }
    root
}

#[test]
fn an_image_is_scanned_once_and_its_report_kept() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let context = context(dir.path(), GateMode::Warn);
    import(&context, "log:1", "apache-log4j2", "2.13.3-1");
    let database = Database::embedded();
    let spec = Spec::parse(&context, "log:1");
    assert_eq!(spec, Spec::Image("log:1".into()));
    let first = scan(&context, &spec, &database, &ScanOptions::default()).unwrap();
    assert!(first.findings.iter().any(|f| f.id == "CVE-2021-44228" && f.layer.is_some()), "{:?}", first.findings);
    let cache = dir.path().join("root/cache/scan");
    let entry = std::fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    // What the second scan returns comes from the file.
    let text = std::fs::read_to_string(&entry).unwrap().replace("CVE-2021-44228", "CVE-2021-99999");
    std::fs::write(&entry, text).unwrap();
    let second = scan(&context, &spec, &database, &ScanOptions::default()).unwrap();
    assert!(second.findings.iter().any(|f| f.id == "CVE-2021-99999"));
    // A damaged entry is no entry.
    std::fs::write(&entry, "{").unwrap();
    let third = scan(&context, &spec, &database, &ScanOptions::default()).unwrap();
    assert_eq!(third.findings, first.findings);
}

#[test]
fn the_gate_denies_what_the_policy_denies() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut context = context(dir.path(), GateMode::Deny);
    import(&context, "log:1", "apache-log4j2", "2.13.3-1");
    import(&context, "clean:1", "hello", "2.10-2");
    let denied = check_before_run(&context, "log:1").unwrap_err();
    assert_eq!(denied.exit(), Exit::POLICY);
    assert!(denied.to_string().contains("CVE-2021-44228") && denied.to_string().contains("exploited"), "{denied}");
    assert!(check_before_run(&context, "clean:1").is_ok());
    assert!(check_before_run(&context, "no-such-image").is_ok(), "the run itself says so");
    context.settings.gate.mode = GateMode::Warn;
    assert!(check_before_run(&context, "log:1").is_ok());
    context.settings.gate.mode = GateMode::Deny;
    context.settings.gate.unknown = stockade_config::UnknownMode::Deny;
    let undecided = check_before_run(&context, "clean:1").unwrap_err();
    assert_eq!(undecided.exit(), Exit::UNDECIDED);
}

#[test]
fn the_gate_denies_images_that_fail_named_checks() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut context = context(dir.path(), GateMode::Deny);
    import(&context, "clean:1", "hello", "2.10-2");
    context.settings.gate.checks = vec!["CIS-4.1".to_owned(), "setuid-in-image".to_owned()];
    let denied = check_before_run(&context, "clean:1").unwrap_err();
    assert!(denied.exit() == Exit::POLICY && denied.to_string().contains("root-user (Config.User"), "{denied}");
    context.settings.gate.mode = GateMode::Warn;
    assert!(check_before_run(&context, "clean:1").is_ok());
    context.settings.gate.mode = GateMode::Deny;
    let exception = |until: Option<&str>| stockade_config::GateException {
        id: "root-user".to_owned(),
        reason: "it drops its rights itself".to_owned(),
        until: until.map(str::to_owned),
    };
    context.settings.gate.exceptions = vec![exception(Some("2000-01-01"))];
    assert!(check_before_run(&context, "clean:1").is_err());
    context.settings.gate.exceptions = vec![exception(None)];
    assert!(check_before_run(&context, "clean:1").is_ok());
    context.settings.gate.checks = vec!["host-pid".to_owned()];
    assert_eq!(check_before_run(&context, "clean:1").unwrap_err().exit(), Exit::USAGE);
}

#[test]
fn an_archive_is_scanned_where_it_lies_and_says_the_same() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let context = context(dir.path(), GateMode::Warn);
    import(&context, "log:1", "apache-log4j2", "2.13.3-1");
    let store = Store::open(&context.settings.dirs.root).unwrap();
    let database = Database::embedded();
    let options = ScanOptions { no_cache: true, ..ScanOptions::default() };
    let of_store = scan(&context, &Spec::Image("log:1".into()), &database, &options).unwrap();
    for (format, name) in [(stockade_image::Format::Docker, "d.tar"), (stockade_image::Format::Oci, "o.tar")] {
        let path = dir.path().join(name);
        store.save(&["log:1".to_owned()], format, std::fs::File::create(&path).unwrap()).unwrap();
        let spec = Spec::parse(&context, path.to_str().unwrap());
        assert_eq!(spec, Spec::Archive(path.clone()));
        let report = scan(&context, &spec, &database, &options).unwrap();
        assert_eq!(report.findings, of_store.findings, "{name}");
        assert_eq!(report.target.digest, of_store.target.digest, "{name}");
    }
    let wrong = dir.path().join("x.tar");
    std::fs::write(&wrong, tar_of("a", "1")).unwrap();
    let error = scan(&context, &Spec::Archive(wrong), &database, &options).unwrap_err();
    assert!(error.to_string().contains("no image archive"), "{error}");
}
