//! Files: volumes, binds, cp, export, diff, commit.
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use common::{IMAGE, World};

#[test]
fn named_volumes_are_filled_kept_and_protected() {
    let Some(world) = World::new() else { return };
    let run =
        |script: &str| world.sk(&["run", "--rm", "--network", "none", "-v", "data:/srv", IMAGE, "sh", "-c", script]);
    assert_eq!(run("cat /srv/page; echo mine > /srv/own").ok(), "from the image");
    assert_eq!(run("cat /srv/own").ok(), "mine");
    let own = world.root().join("volumes/data/_data/own");
    assert_eq!(fs::metadata(own).unwrap().uid(), 0, "files on disk have the container's ids");
    world.sk(&["create", "--name", "c", "-v", "data:/srv", IMAGE]).ok();
    let ran = world.sk(&["volume", "rm", "data"]).fails_with(1);
    assert!(ran.err.contains("in use"), "{}", ran.err);
    world.sk(&["rm", "-v", "c"]).ok();
    assert_eq!(world.sk(&["volume", "ls", "-q"]).ok(), "data");
    world.sk(&["volume", "rm", "data"]).ok();
    assert_eq!(world.sk(&["volume", "ls", "-q"]).ok(), "");
}

#[test]
fn binds_read_only_and_with_the_hosts_owners() {
    let Some(world) = World::new() else { return };
    let dir = world.scratch();
    fs::write(dir.join("file"), "host").unwrap();
    let bind = format!("{}:/mnt", dir.display());
    world
        .sk(&["run", "--rm", "--network", "none", "-v", &bind, IMAGE, "sh", "-c", "cat /mnt/file; echo new > /mnt/new"])
        .ok();
    assert_eq!(fs::metadata(dir.join("new")).unwrap().uid(), 0);
    let readonly = format!("{bind}:ro");
    let ran = world.sk(&["run", "--rm", "--network", "none", "-v", &readonly, IMAGE, "touch", "/mnt/x"]);
    assert_ne!(ran.code, 0);
    assert!(ran.err.contains("Read-only"), "{}", ran.err);
    let tmpfs = world.sk(&["run", "--rm", "--network", "none", "--tmpfs", "/t:size=1m", IMAGE, "df", "/t"]).ok();
    assert!(tmpfs.contains("1024"), "{tmpfs}");
    let missing = "type=bind,source=/no/such/place,target=/mnt";
    world.sk(&["run", "--rm", "--mount", missing, IMAGE, "true"]).fails_with(2);
}

#[test]
fn copies_follow_dockers_rules_in_both_directions() {
    let Some(world) = World::new() else { return };
    let dir = world.scratch();
    fs::create_dir_all(dir.join("tree/sub")).unwrap();
    fs::write(dir.join("tree/sub/leaf"), "leaf").unwrap();
    fs::write(dir.join("one"), "one").unwrap();
    let local = |name: &str| dir.join(name).display().to_string();
    world.sk(&["create", "--name", "stopped", "--network", "none", IMAGE, "sleep", "1000"]).ok();
    world.sk(&["run", "-d", "--name", "running", "--network", "none", IMAGE, "sleep", "1000"]).ok();
    for name in ["stopped", "running"] {
        let inside = |path: &str| format!("{name}:{path}");
        world.sk(&["cp", &local("one"), &inside("/tmp/")]).ok();
        world.sk(&["cp", &local("one"), &inside("/tmp/renamed")]).ok();
        world.sk(&["cp", &local("tree"), &inside("/tmp/copy")]).ok();
        world.sk(&["cp", &local("tree"), &inside("/tmp")]).ok();
        world.sk(&["cp", &local("one"), &inside("/nowhere/")]).fails_with(1);
        world.sk(&["cp", &inside("/nothing"), &local("x")]).fails_with(1);
        let back = local(&format!("back-{name}"));
        fs::create_dir(&back).unwrap();
        for path in ["/tmp/one", "/tmp/renamed", "/tmp/copy/sub", "/tmp/tree", "/srv/page"] {
            world.sk(&["cp", &inside(path), &back]).ok();
        }
        assert_eq!(fs::read_to_string(format!("{back}/renamed")).unwrap(), "one");
        assert_eq!(fs::read_to_string(format!("{back}/sub/leaf")).unwrap(), "leaf");
        assert_eq!(fs::read_to_string(format!("{back}/tree/sub/leaf")).unwrap(), "leaf");
        assert_eq!(fs::read_to_string(format!("{back}/page")).unwrap(), "from the image\n");
        let tar = world.command(&["cp", &inside("/srv"), "-"]).output().unwrap();
        let mut archive = tar::Archive::new(tar.stdout.as_slice());
        let paths: Vec<String> =
            archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(paths, ["srv", "srv/page"]);
    }
    let out = world.sk(&["exec", "running", "stat", "-c", "%u:%g", "/tmp/one", "/tmp/tree/sub/leaf"]).ok();
    assert_eq!(out, "0:0\n0:0", "what comes in belongs to the container's root");
    world.sk(&["start", "stopped"]).ok();
    assert_eq!(world.sk(&["exec", "stopped", "cat", "/tmp/copy/sub/leaf"]).ok(), "leaf");
}

#[test]
fn links_in_a_container_do_not_lead_to_the_host() {
    let Some(world) = World::new() else { return };
    let dir = world.scratch();
    fs::write(dir.join("secret"), "of the host").unwrap();
    world.sk(&["run", "-d", "--name", "c", "--network", "none", IMAGE, "sleep", "1000"]).ok();
    let outside = dir.display().to_string();
    let script = format!(
        "mkdir -p /w; ln -s {outside}/secret /w/file; ln -s {outside} /w/dir; ln -s /../../../..{outside} /w/up"
    );
    world.sk(&["exec", "c", "sh", "-c", &script]).ok();
    for _ in 0..2 {
        let ran = world.sk(&["cp", "-L", "c:/w/file", &format!("{outside}/stolen")]);
        assert_ne!(ran.code, 0);
        world.sk(&["cp", "c:/w/dir/secret", &format!("{outside}/stolen")]).fails_with(1);
        world.sk(&["cp", "c:/w/up/secret", &format!("{outside}/stolen")]).fails_with(1);
        let ran = world.sk(&["cp", &format!("{outside}/secret"), "c:/w/dir/planted"]);
        assert_ne!(ran.code, 0, "{}", ran.out);
        assert!(!dir.join("stolen").exists() && !dir.join("planted").exists());
        // Once running, once not.
        world.sk(&["stop", "-t", "0", "c"]).ok();
    }
    // A link that comes out stays a link; what follows it must not be written through it.
    let target = dir.join("target");
    fs::create_dir(&target).unwrap();
    symlink("/etc", target.join("w")).unwrap();
    world.sk(&["cp", "c:/w", target.to_str().unwrap()]);
    assert!(!std::path::Path::new("/etc/up").exists());
}

#[test]
fn export_diff_and_commit_show_what_changed() {
    let Some(world) = World::new() else { return };
    let script = "echo new > /srv/new; rm /etc/group; echo more >> /etc/passwd; mkfifo /tmp/pipe";
    world.sk(&["run", "--name", "c", "--network", "none", IMAGE, "sh", "-c", script]).ok();
    let diff = world.sk(&["diff", "c"]).ok();
    for line in ["A /srv/new", "D /etc/group", "C /etc/passwd", "A /tmp/pipe"] {
        assert!(diff.lines().any(|l| l == line), "{line} is missing:\n{diff}");
    }
    assert!(!diff.contains("/proc") && !diff.contains("resolv.conf"), "{diff}");
    let tar = world.command(&["export", "c"]).output().unwrap();
    assert!(tar.status.success());
    let mut archive = tar::Archive::new(tar.stdout.as_slice());
    let paths: Vec<String> =
        archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
    assert!(paths.contains(&"srv/new".to_owned()) && !paths.contains(&"etc/group".to_owned()));
    world.sk(&["commit", "-m", "with new", "c", "changed:1"]).ok();
    let out = world.sk(&["run", "--rm", "--network", "none", "changed:1", "sh", "-c", "cat /srv/new; ls /etc/group"]);
    assert_eq!(out.out, "new\n");
    assert_ne!(out.code, 0);
}
