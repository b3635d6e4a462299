//! A signed archive of a few packages is served on this machine, whole and in every way damaged.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "common/archive.rs"]
mod archive;
#[path = "common/mod.rs"]
mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use archive::{Entry, Server, Spec, build, deb, key, write_keyring};
use pgp::composed::SignedSecretKey;
use stockade_base::{BaseError, BaseName, BaseRequest, ConfigureRunner, RunnerError, Silent, bootstrap};

const RELEASE: &str = "Origin: Debian\nSuite: unstable\nCodename: sid\nDate: Sat, 10 Feb 2024 11:07:25 UTC";

/// Plays dpkg: marks every package as installed and keeps what it was told.
#[derive(Default)]
struct Pretender {
    script: String,
    exit: i32,
}

impl ConfigureRunner for Pretender {
    fn run(&mut self, root: &Path, args: &[String], env: &[String]) -> Result<i32, RunnerError> {
        assert!(env.contains(&"DEBIAN_FRONTEND=noninteractive".to_owned()));
        self.script = args.last().cloned().unwrap_or_default();
        std::fs::write(root.join("var/log/stockade-bootstrap.log"), "one\ntwo: it went wrong\n")?;
        if self.exit == 0 {
            let status = std::fs::read_to_string(root.join("var/lib/dpkg/status"))?;
            std::fs::write(root.join("var/lib/dpkg/status"), status.replace("ok unpacked", "ok installed"))?;
        }
        Ok(self.exit)
    }
}

fn package(name: &str, fields: &str, scripts: &[(&str, &str)], content: archive::Content<'_>) -> (String, Vec<u8>) {
    let control =
        format!("Package: {name}\nVersion: 1.0-1\nArchitecture: amd64\n{fields}Maintainer: x\nDescription: y\n");
    (control.clone(), deb(&control, scripts, content))
}

fn spec() -> Spec {
    Spec {
        release: RELEASE.into(),
        packages: vec![
            package(
                "base-files",
                "Essential: yes\nPriority: required\n",
                &[("conffiles", "/etc/issue\n"), ("postinst", "#!/bin/sh\n")],
                &[
                    ("./", Entry::Dir(0o755)),
                    ("./etc/", Entry::Dir(0o755)),
                    ("./etc/issue", Entry::File(0o644, "hello\n")),
                    ("./root/", Entry::Dir(0o700)),
                    ("./tmp/", Entry::Dir(0o1777)),
                    ("./var/", Entry::Dir(0o755)),
                    ("./var/log/", Entry::Dir(0o755)),
                    ("./bin/su", Entry::File(0o4755, "binary")),
                    ("./usr/share/doc/base-files/copyright", Entry::File(0o644, "free")),
                    ("./usr/share/doc/base-files/changelog.gz", Entry::File(0o644, "long")),
                ],
            ),
            package(
                "apt",
                "Depends: libapt (>= 1)\n",
                &[("preinst", "#!/bin/sh\n")],
                &[
                    ("./usr/bin/apt", Entry::File(0o755, "apt")),
                    ("./usr/bin/apt-get", Entry::Hard("./usr/bin/apt")),
                    ("./usr/bin/apt-link", Entry::Link("/usr/bin/apt")),
                ],
            ),
            package("libapt", "Multi-Arch: same\n", &[], &[("./lib/libapt.so", Entry::File(0o644, "lib"))]),
            package("debian-archive-keyring", "", &[], &[("./usr/share/keyrings/k", Entry::File(0o644, "k"))]),
        ],
    }
}

struct World {
    server: Server,
    key: SignedSecretKey,
    dir: tempfile::TempDir,
    runner: Pretender,
}

impl World {
    fn new(spec: &Spec) -> World {
        let key = key();
        let dir = tempfile::tempdir().unwrap();
        write_keyring(&key, &dir.path().join("keyring.asc"));
        World { server: Server::start(build(spec, &key)), key, dir, runner: Pretender::default() }
    }

    fn request(&self, name: &str) -> BaseRequest {
        let staging = self.dir.path().join("root");
        let _ = std::fs::remove_dir_all(&staging);
        std::fs::create_dir(&staging).unwrap();
        let name = BaseName::parse(name).unwrap().unwrap();
        let mut request = BaseRequest::new(name, self.dir.path().join("cache"), staging);
        request.arch = "amd64".into();
        request.mirror.flag = Some(self.server.url());
        request.keyring = Some(self.dir.path().join("keyring.asc"));
        request.host_root = self.dir.path().to_owned();
        request.environment.clear();
        request
    }

    fn run(&mut self) -> Result<stockade_base::BaseResult, BaseError> {
        let request = self.request("debian:sid");
        bootstrap(&request, &mut self.runner, &mut Silent)
    }

    fn refusal(&mut self) -> String {
        self.run().unwrap_err().to_string()
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }
}

#[test]
fn a_whole_archive_makes_a_root() {
    if !common::is_root() {
        return;
    }
    let mut world = World::new(&spec());
    let result = world.run().unwrap();
    let root = world.root();
    let mode = |p: &str| std::fs::symlink_metadata(root.join(p)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(result.packages, 4);
    assert_eq!((mode("root"), mode("tmp"), mode("usr/bin/su")), (0o700, 0o1777, 0o4755));
    assert_eq!(std::fs::read_link(root.join("bin")).unwrap(), Path::new("usr/bin"));
    assert_eq!(std::fs::read_link(root.join("usr/bin/apt-link")).unwrap(), Path::new("/usr/bin/apt"));
    let inode = |p: &str| std::fs::metadata(root.join(p)).unwrap().ino();
    assert_eq!(inode("usr/bin/apt"), inode("usr/bin/apt-get"));
    assert_eq!(std::fs::metadata(root.join("etc/issue")).unwrap().mtime(), 1_000_000_000);
    assert_eq!(std::fs::metadata(root.join("etc/hostname")).unwrap().mtime(), result.release_date);
    let status = std::fs::read_to_string(root.join("var/lib/dpkg/status")).unwrap();
    assert!(status.contains(" /etc/issue b1946ac92492d2347c6235b4d2611184\n"), "{status}");
    assert!(root.join("var/lib/dpkg/info/libapt:amd64.list").exists());
    assert!(root.join("usr/share/doc/base-files/changelog.gz").exists());
    assert!(!root.join("var/log/stockade-bootstrap.log").exists());
    let sources = std::fs::read_to_string(root.join("etc/apt/sources.list.d/debian.sources")).unwrap();
    assert!(sources.contains(&world.server.url()), "{sources}");
    assert_eq!(result.labels["org.stockade.base.mirror-origin"], "from the command line");
    assert_eq!(result.labels["org.stockade.base.release-date"], "2024-02-10T11:07:25Z");
    let script = &world.runner.script;
    assert!(script.contains("apt.preinst' install"), "{script}");
    assert!(script.find("'libapt:amd64'").unwrap() < script.rfind("'apt'").unwrap(), "{script}");
}

#[test]
fn a_slim_root_lacks_documentation_but_not_licences() {
    if !common::is_root() {
        return;
    }
    let mut world = World::new(&spec());
    let request = world.request("debian:sid-slim");
    bootstrap(&request, &mut world.runner, &mut Silent).unwrap();
    let doc = world.root().join("usr/share/doc/base-files");
    assert!(doc.join("copyright").exists() && !doc.join("changelog.gz").exists());
    assert!(world.root().join("etc/dpkg/dpkg.cfg.d/stockade-slim").exists());
}

#[test]
fn the_second_run_needs_no_package_from_the_mirror() {
    if !common::is_root() {
        return;
    }
    let mut world = World::new(&spec());
    world.run().unwrap();
    world.server.files.lock().unwrap().retain(|path, _| path.ends_with("InRelease"));
    world.run().unwrap();
    // A damaged cache is noticed and not used.
    for file in std::fs::read_dir(world.dir.path().join("cache/sha256")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    assert!(world.refusal().contains("404"));
}

#[test]
fn a_flipped_byte_in_the_signed_release_is_refused() {
    let mut world = World::new(&spec());
    world.server.change("/debian/dists/sid/InRelease", |b| {
        let at = b.windows(6).position(|w| w == b"Origin").unwrap() + 9;
        b[at] ^= 1;
    });
    let error = world.refusal();
    assert!(error.contains("signature") && error.contains("altered") && error.contains("InRelease"), "{error}");
}

#[test]
fn a_release_signed_by_somebody_else_is_refused() {
    let mut world = World::new(&spec());
    write_keyring(&key(), &world.dir.path().join("keyring.asc"));
    assert!(world.refusal().contains("no key is known"));
    let mut request = world.request("debian:sid");
    request.keyring = None;
    let error = bootstrap(&request, &mut world.runner, &mut Silent).unwrap_err().to_string();
    assert!(error.contains("no key is known") && error.contains("keyring=FILE"), "{error}");
}

#[test]
fn a_missing_keyring_is_named() {
    let mut world = World::new(&spec());
    let mut request = world.request("debian:sid");
    request.keyring = Some("/nonexistent/keyring.gpg".into());
    let error = bootstrap(&request, &mut world.runner, &mut Silent).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/keyring.gpg"), "{error}");
}

#[test]
fn an_index_with_another_hash_is_refused() {
    let mut world = World::new(&spec());
    world.server.change("/debian/dists/sid/main/binary-amd64/Packages.xz", |b| b[30] ^= 1);
    let error = world.refusal();
    assert!(error.contains("Packages.xz") && error.contains("SHA256"), "{error}");
    world.server.change("/debian/dists/sid/main/binary-amd64/Packages.xz", |b| b.push(0));
    assert!(world.refusal().contains("size"));
}

#[test]
fn a_package_with_another_hash_is_refused_and_not_kept() {
    if !common::is_root() {
        return;
    }
    let mut world = World::new(&spec());
    world.server.change("/debian/pool/main/p1.deb", |b| b[100] ^= 1);
    let error = world.refusal();
    assert!(error.contains("p1.deb") && error.contains("SHA256"), "{error}");
    world.server.change("/debian/pool/main/p1.deb", |b| b[100] ^= 1);
    world.run().unwrap();
}

#[test]
fn a_package_cut_short_or_gone_is_refused() {
    if !common::is_root() {
        return;
    }
    let mut world = World::new(&spec());
    world.server.change("/debian/pool/main/p2.deb", |b| b.truncate(100));
    assert!(world.refusal().contains("p2.deb"));
    world.server.files.lock().unwrap().remove("/debian/pool/main/p2.deb");
    let error = world.refusal();
    assert!(error.contains("404") && error.contains("p2.deb") && error.contains("STOCKADE_DEBIAN_MIRROR"), "{error}");
}

#[test]
fn a_signed_but_hostile_package_cannot_leave_the_root() {
    if !common::is_root() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_str().unwrap().to_owned();
    let hostile: [(&str, archive::Content<'_>); 4] = [
        ("climbs", &[("./a/../../x", Entry::File(0o644, "x"))]),
        ("", &[("./out", Entry::Link(&target)), ("./out/file", Entry::File(0o644, "x"))]),
        ("", &[("./up", Entry::Link("../../../../../..")), ("./up/tmp/file", Entry::File(0o644, "x"))]),
        ("No such file", &[("./h", Entry::Hard("/../../../../../../etc/passwd"))]),
    ];
    for (number, (message, content)) in hostile.iter().enumerate() {
        let mut spec = spec();
        spec.packages.push(package("evil", "Essential: yes\nPriority: required\n", &[], content));
        let mut world = World::new(&spec);
        let result = world.run();
        if let Err(e) = &result {
            assert!(e.to_string().contains("p4.deb"), "{e}");
            assert!(number == 3 || e.to_string().contains(message), "{e}");
        }
        assert!(result.is_err() || number == 2, "case {number} must be refused");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0, "case {number} wrote outside");
    }
}

#[test]
fn a_package_that_is_not_the_one_of_the_index_is_refused() {
    if !common::is_root() {
        return;
    }
    let mut spec = spec();
    let other = deb("Package: other\nVersion: 1.0-1\nArchitecture: amd64\n", &[], &[]);
    spec.packages[1].1 = other;
    assert!(World::new(&spec).refusal().contains("another package"));
    spec.packages[1].1 = b"not a package".to_vec();
    assert!(World::new(&spec).refusal().contains("ar archive"));
}

#[test]
fn a_file_in_two_packages_goes_to_the_one_that_replaces() {
    if !common::is_root() {
        return;
    }
    let content = |text| [("./usr/bin/both", Entry::File(0o755, text))];
    let mut spec = spec();
    spec.packages.push(package("aa", "Priority: required\n", &[], &content("a")));
    spec.packages.push(package("bb", "Priority: required\n", &[], &content("b")));
    let error = World::new(&spec).refusal();
    assert!(error.contains("/usr/bin/both") && error.contains("aa") && error.contains("bb"), "{error}");
    spec.packages.pop();
    spec.packages.push(package("bb", "Priority: required\nReplaces: aa (<< 2)\n", &[], &content("b")));
    let mut world = World::new(&spec);
    world.run().unwrap();
    assert_eq!(std::fs::read_to_string(world.root().join("usr/bin/both")).unwrap(), "b");
    let list = |n: &str| std::fs::read_to_string(world.root().join(format!("var/lib/dpkg/info/{n}.list"))).unwrap();
    assert!(!list("aa").contains("both") && list("bb").contains("both"));
}

#[test]
fn another_suite_or_a_stale_one_is_refused() {
    let mut spec = spec();
    spec.release = RELEASE.replace("sid", "experimental");
    let error = World::new(&spec).refusal();
    assert!(error.contains("experimental") && error.contains("sid"), "{error}");
    spec.release = RELEASE.replace("Debian", "Devuan");
    assert!(World::new(&spec).refusal().contains("Devuan"));
    spec.release = format!("{RELEASE}\nValid-Until: Sat, 17 Feb 2024 11:07:25 UTC");
    let error = World::new(&spec).refusal();
    assert!(error.contains("expired on 2024-02-17") && error.contains("another mirror"), "{error}");
    spec.release = RELEASE.replace("2024", "2099");
    assert!(World::new(&spec).refusal().contains("future"));
}

#[test]
fn a_suite_without_this_architecture_or_without_apt_is_refused() {
    let mut spec = spec();
    spec.packages.remove(1);
    assert!(World::new(&spec).refusal().contains("`apt`"));
    let mut world = World::new(&spec);
    let mut request = world.request("debian:sid");
    request.arch = "arm64".into();
    let error = bootstrap(&request, &mut world.runner, &mut Silent).unwrap_err().to_string();
    assert!(error.contains("binary-arm64"), "{error}");
    request.arch = "vax".into();
    let error = bootstrap(&request, &mut world.runner, &mut Silent).unwrap_err().to_string();
    assert!(error.contains("vax") && error.contains("amd64"), "{error}");
}

#[test]
fn a_mirror_that_does_not_answer_is_named_with_the_way_out() {
    let mut world = World::new(&spec());
    let mut request = world.request("debian:sid");
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    request.mirror.flag = Some(format!("http://user:secret@{free}/debian"));
    let error = bootstrap(&request, &mut world.runner, &mut Silent).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot reach `http://{free}/debian/dists/sid/InRelease`")), "{error}");
    assert!(error.contains("refused") && error.contains("STOCKADE_DEBIAN_MIRROR"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    request.mirror.flag = Some("http://no-such-host.invalid/debian".into());
    let error = bootstrap(&request, &mut world.runner, &mut Silent).unwrap_err().to_string();
    assert!(error.contains("no-such-host.invalid"), "{error}");
}

#[test]
fn a_failing_script_shows_the_end_of_its_log() {
    if !common::is_root() {
        return;
    }
    let mut world = World::new(&spec());
    world.runner.exit = 2;
    let error = world.refusal();
    assert!(error.contains("exit code 2") && error.contains("two: it went wrong"), "{error}");
}

#[test]
fn a_new_signature_over_the_same_archive_is_accepted() {
    if !common::is_root() {
        return;
    }
    let mut world = World::new(&spec());
    let signed = archive::build(&spec(), &world.key);
    *world.server.files.lock().unwrap() = signed;
    world.run().unwrap();
}

/// A small file system in memory, unmounted when dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Small {
        let dir = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new(format!("size={size}")).unwrap();
        rustix::mount::mount("tmpfs", dir.path(), "tmpfs", rustix::mount::MountFlags::empty(), options.as_c_str())
            .unwrap();
        Small(dir)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        rustix::mount::unmount(self.0.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_is_named_with_the_file_and_a_full_cache_is_no_error() {
    if !common::is_root() {
        return;
    }
    let big = "x".repeat(200_000);
    let mut spec = spec();
    let content = [("./usr/share/big", Entry::File(0o644, &big))];
    spec.packages.push(package("big", "Essential: yes\nPriority: required\n", &[], &content));
    let mut world = World::new(&spec);
    let small = Small::mount("64k");
    let mut request = world.request("debian:sid");
    request.staging = small.0.path().to_owned();
    let error = bootstrap(&request, &mut world.runner, &mut Silent).unwrap_err().to_string();
    assert!(
        error.contains("p4.deb") && error.contains("No space left on device") && error.contains("/usr/share/big"),
        "{error}"
    );
    let mut request = world.request("debian:sid");
    let full = Small::mount("4k");
    request.cache_dir = full.0.path().to_owned();
    bootstrap(&request, &mut world.runner, &mut Silent).unwrap();
}
