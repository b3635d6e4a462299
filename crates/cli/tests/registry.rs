//! The registry verbs of the real binary, against Debian's `docker-registry`.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;
mod registry_common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::{IMAGE, Ran, World};
use registry_common::{Registry, trust};

fn with_input(world: &World, arguments: &[&str], input: &str) -> Ran {
    let mut child =
        world.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn an_image_goes_out_and_comes_back() {
    let (Some(world), Some(registry)) = (World::new(), Registry::start(false)) else { return };
    let name = registry.name("team/box:1");
    world.sk(&["tag", IMAGE, &name]).ok();
    let refused = world.sk(&["push", &name]).fails_with(1);
    assert!(refused.err.contains("--insecure-registry") && refused.err.contains("no exception"), "{}", refused.err);
    let pushed = world.sk(&["push", "--insecure-registry", &registry.host, &name]).ok();
    let digest = pushed.split_whitespace().find(|w| w.starts_with("sha256:")).unwrap().to_owned();
    assert!(
        pushed.starts_with(&format!("The push refers to repository [{}/team/box]\n1: digest: ", registry.host)),
        "{pushed}"
    );

    trust(&world, &registry, "");
    world.sk(&["rmi", &name]).ok();
    let pulled = world.sk(&["pull", &name]).ok();
    assert_eq!(
        pulled,
        format!("1: Pulling from team/box\nDigest: {digest}\nStatus: Downloaded newer image for {name}\n{name}")
    );
    assert!(world.sk(&["pull", &name]).ok().contains("Status: Image is up to date"));
    assert_eq!(world.sk(&["pull", "-q", &name]).ok(), name);
    assert_eq!(world.sk(&["images", "-q", &name]).ok(), world.sk(&["images", "-q", IMAGE]).ok());
    let found = world.sk(&["search", "--format", "{{.Name}}", &registry.name("box")]).ok();
    assert_eq!(found, registry.name("team/box"));

    world.sk(&["push", "-q", "--compression", "gzip", &name]).ok();
    let manifest = world.sk(&["manifest", "inspect", &name]).ok();
    assert!(manifest.contains("tar+gzip") && manifest.contains("\"schemaVersion\": 2"), "{manifest}");
    let missing = world.sk(&["pull", &registry.name("team/box:2")]).fails_with(1);
    assert!(missing.err.contains("manifest unknown"), "{}", missing.err);
    world.sk(&["push", "no/such:image"]).fails_with(1);
    world.sk(&["pull", "Not A Name"]).fails_with(1);
    world.sk(&["pull", "--platform", "a//b", &name]).fails_with(2);
}

#[test]
fn lists_are_made_and_pushed() {
    let (Some(world), Some(registry)) = (World::new(), Registry::start(false)) else { return };
    trust(&world, &registry, "");
    let (part, list) = (registry.name("parts:amd64"), registry.name("list:1"));
    world.sk(&["tag", IMAGE, &part]).ok();
    world.sk(&["push", &part]).ok();
    world.sk(&["manifest", "push", &list]).fails_with(1);
    world.sk(&["manifest", "create", &list, &part]).ok();
    world.sk(&["manifest", "create", &list, &part]).fails_with(1);
    world.sk(&["manifest", "create", "--amend", &list, &part]).ok();
    world.sk(&["manifest", "annotate", "--os-version", "12", &list, &part]).ok();
    assert!(world.sk(&["manifest", "inspect", &list]).ok().contains("\"os.version\": \"12\""));
    let digest = world.sk(&["manifest", "push", "--purge", &list]).ok();
    assert!(digest.starts_with("sha256:"), "{digest}");
    let verbose = world.sk(&["manifest", "inspect", "-v", &list]).ok();
    assert!(verbose.contains("OCIManifest") && verbose.contains("\"architecture\""), "{verbose}");
    assert!(world.sk(&["pull", &list]).ok().contains(&digest));
    world.sk(&["manifest", "rm", &list]).fails_with(1);
}

#[test]
fn a_login_opens_a_closed_registry() {
    let (Some(world), Some(registry)) = (World::new(), Registry::start(true)) else { return };
    trust(&world, &registry, "");
    let name = registry.name("box");
    world.sk(&["tag", IMAGE, &name]).ok();
    let refused = world.sk(&["push", &name]).fails_with(1);
    assert!(refused.err.contains(&format!("stockade login {}", registry.host)), "{}", refused.err);
    let login = ["login", "-u", "me", "--password-stdin", &registry.host];
    let wrong = with_input(&world, &login, "wrong horse\n").fails_with(1);
    assert!(!wrong.err.contains("wrong horse"), "{}", wrong.err);
    let good = with_input(&world, &login, "correct horse\n");
    assert!(good.err.contains("unencrypted"), "{}", good.err);
    assert_eq!(good.ok(), "Login Succeeded");
    world.sk(&["push", &name]).ok();
    assert_eq!(world.sk(&["logout", &registry.host]).ok(), format!("Removing login credentials for {}", registry.host));
    assert_eq!(world.sk(&["logout", &registry.host]).ok(), format!("Not logged in to {}", registry.host));
    world.sk(&["pull", &name]).fails_with(1);
    world.sk(&["login", &registry.host]).fails_with(2);
}

#[test]
fn run_and_build_pull_what_is_missing() {
    let (Some(world), Some(registry)) = (World::new(), Registry::start(false)) else { return };
    trust(&world, &registry, "search = true\n");
    let name = registry.name("box:2");
    world.sk(&["tag", IMAGE, &name]).ok();
    world.sk(&["push", "-q", &name]).ok();
    world.sk(&["rmi", "-f", &name, IMAGE]).ok();
    let never = ["run", "--rm", "--network", "none", "--pull", "never", &name, "echo", "hello"];
    world.sk(&never).fails_with(125);
    let run = world.sk(&["run", "--rm", "--network", "none", &name, "echo", "hello"]);
    assert!(run.err.contains(&format!("Unable to find image '{name}' locally")), "{}", run.err);
    assert_eq!(run.ok(), "hello");
    let quiet = world.sk(&["run", "--rm", "-q", "--pull", "always", "--network", "none", &name, "true"]);
    assert_eq!(quiet.err, "");
    let gone = world.sk(&["run", "--rm", &registry.name("nothing"), "true"]).fails_with(125);
    assert!(gone.err.contains("cannot be pulled"), "{}", gone.err);

    // A short name, found in the registry that the settings mark.
    world.sk(&["rmi", "-f", &name]).ok();
    let context = world.scratch();
    std::fs::write(context.join("Dockerfile"), "FROM box:2\nLABEL a=b\n").unwrap();
    world.sk(&["build", "-q", "-t", "made", context.to_str().unwrap()]).ok();
    world.sk(&["run", "--rm", "--network", "none", "made", "true"]).ok();
    std::fs::write(context.join("Dockerfile"), format!("FROM {}\n", registry.name("nothing"))).unwrap();
    let failed = world.sk(&["build", context.to_str().unwrap()]).fails_with(1);
    assert!(failed.err.contains("manifest unknown") || failed.err.contains("name unknown"), "{}", failed.err);
}

#[test]
fn a_full_disk_ends_a_pull_and_the_store_stays_whole() {
    let (Some(world), Some(registry)) = (World::new(), Registry::start(false)) else { return };
    trust(&world, &registry, "");
    // Two layers' worth of bytes that no compression makes smaller.
    let mut noise = Vec::new();
    let mut state = 1u64;
    while noise.len() < 24 << 20 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        noise.push((state >> 56) as u8);
    }
    let scratch = world.scratch();
    std::fs::write(scratch.join("big"), noise).unwrap();
    let tar = scratch.join("big.tar");
    assert!(Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&scratch).arg("big").status().unwrap().success());
    let name = registry.name("big:1");
    world.sk(&["import", tar.to_str().unwrap(), &name]).ok();
    world.sk(&["push", "-q", &name]).ok();
    let small = world.root().with_file_name("small");
    std::fs::create_dir(&small).unwrap();
    assert!(
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&small).status().unwrap().success()
    );
    let mut ran = Vec::new();
    for arguments in [vec!["pull", "-q", name.as_str()], vec!["images", "-aq"], vec!["pull", "-q", name.as_str()]] {
        ran.push(Ran::from(world.command(&arguments).env("STOCKADE_ROOT", &small).output().unwrap()));
    }
    let staged: Vec<String> = common::names(&small.join("tmp")).collect();
    assert!(Command::new("umount").arg(&small).status().unwrap().success());
    for failed in [&ran[0], &ran[2]] {
        assert_eq!(failed.code, 1, "{}", failed.err);
        assert!(failed.err.contains("pace left") && failed.err.lines().count() <= 2, "{}", failed.err);
    }
    assert_eq!((ran[1].code, ran[1].out.as_str()), (0, ""), "{}", ran[1].err);
    assert!(staged.is_empty(), "half-written: {staged:?}");
}

#[test]
fn an_image_at_a_registry_is_scanned_without_being_pulled() {
    let (Some(world), Some(registry)) = (World::new(), Registry::start(false)) else { return };
    trust(&world, &registry, "");
    let name = registry.name("box:3");
    world.sk(&["tag", IMAGE, &name]).ok();
    world.sk(&["push", "-q", &name]).ok();
    let report = |ran: Ran| serde_json::from_str::<serde_json::Value>(&ran.ok()).unwrap();
    let stored = report(world.sk(&["scan", "--json", &name]));
    let Some(other) = World::new() else { return };
    trust(&other, &registry, "");
    other.sk(&["rmi", "-f", IMAGE]).ok();
    for _ in 0..2 {
        let remote = report(other.sk(&["scan", "--json", &format!("registry:{name}")]));
        assert_eq!(remote["packages"], stored["packages"]);
        assert_eq!(remote["target"]["kind"], "registry");
        assert_eq!(remote["target"]["digest"], stored["target"]["digest"]);
    }
    assert_eq!(other.sk(&["images", "-q"]).ok(), "", "nothing was stored");
    other.sk(&["scan", &format!("registry:{}", registry.name("none:1"))]).fails_with(1);
    // Reached by what the command line says, and for another machine.
    let Some(stranger) = World::new() else { return };
    let target = format!("registry:{name}");
    assert!(stranger.sk(&["scan", &target]).fails_with(1).err.contains("--insecure-registry"));
    let insecure = ["--insecure-registry", &registry.host];
    let said = report(stranger.sk(&[&["scan", "--json", &target][..], &insecure].concat()));
    assert_eq!(said["packages"], stored["packages"]);
    stranger.sk(&[&["sbom", &target][..], &insecure].concat()).ok();
    let same = stranger.sk(&[&["scan", &target, "--diff", &target][..], &insecure].concat()).ok();
    assert!(same.contains("0 new"), "{same}");
    let platform = |name| stranger.sk(&[&["scan", "--platform", name, &target][..], &insecure].concat());
    platform("linux/s390x").fails_with(1);
    platform("a//b").fails_with(2);
    assert!(stranger.sk(&["scan", "--platform", "linux/amd64", IMAGE]).fails_with(2).err.contains("registry:NAME"));
}
