//! Results of steps that travel: `--cache-to` and `--cache-from`; what is pushed; archives as output.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod build_common;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use build_common::{World, read};

const DOCKERFILE: &str = "FROM busybox:1 AS tools\nRUN echo tool > /tool; echo more > /more\nFROM busybox:1\nCOPY a /a\n\
    COPY --from=tools /tool /tool\nRUN cat /a /tool > /both\n";

struct Registry {
    host: String,
    child: Child,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian's `docker-registry`, with plain HTTP, trusted by the project's own settings.
fn registry(w: &World) -> Option<Registry> {
    let program = Path::new("/usr/bin/docker-registry");
    if !program.exists() {
        eprintln!("skipped: the package docker-registry is not installed");
        return None;
    }
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let config = w.path("registry.yml");
        let data = w.path("registry");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
            data.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(program);
        command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let mut registry = Registry { host: host.clone(), child: command.spawn().unwrap() };
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end && registry.child.try_wait().unwrap().is_none() {
            if TcpStream::connect(&host).is_ok() {
                w.file("stockade.toml", format!("[[registry]]\nhost = \"{host}\"\ninsecure = true\n"));
                w.file(".dockerignore", "stockade.toml\n");
                return Some(registry);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    panic!("docker-registry does not start");
}

/// Another machine: the same context and base image, an empty store.
fn elsewhere(w: &World) -> World {
    let other = World::new().unwrap();
    let status = Command::new("cp").arg("-a").arg(w.path("ctx")).arg(other.path("ctx")).status().unwrap();
    assert!(status.success());
    other
}

fn cached(err: &str) -> usize {
    err.matches("CACHED").count()
}

#[test]
fn a_cache_in_a_directory_serves_another_machine() {
    let Some(w) = World::new() else { return };
    w.file("a", "A\n");
    let dir = w.path("cache");
    let to = format!("type=local,dest={},mode=max", dir.display());
    w.build(DOCKERFILE, &["--cache-to", &to]).ok();
    let other = elsewhere(&w);
    let from = format!("type=local,src={}", dir.display());
    let ran = other.build(DOCKERFILE, &["-t", "x", "--cache-from", &from]).ok();
    assert_eq!(cached(&ran.err), 6, "two bases and four steps: {}", ran.err);
    assert!(ran.err.contains("importing"), "{}", ran.err);
    assert_eq!(other.run(&["image", "inspect", "-f", "{{json .RootFS}}", "x"]).ok().out, {
        w.build(DOCKERFILE, &["-t", "x"]).ok();
        w.run(&["image", "inspect", "-f", "{{json .RootFS}}", "x"]).ok().out
    });
    // With mode=min the other stage's step is not there, and is not needed as long as the copy of its file is.
    let small = w.path("small");
    w.build(DOCKERFILE, &["--cache-to", &format!("type=local,dest={}", small.display())]).ok();
    let blobs = |dir: &Path| fs::read_dir(dir.join("blobs/sha256")).unwrap().count();
    assert!(blobs(&small) < blobs(&dir));
    // A damaged blob, and no cache at all: a warning, and the step runs.
    let third = elsewhere(&w);
    for entry in fs::read_dir(dir.join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        if fs::read(&path).unwrap().first() != Some(&b'{') {
            fs::write(&path, "damaged").unwrap();
        }
    }
    let ran = third.build(DOCKERFILE, &["--cache-from", &from, "--cache-from", "type=local,src=/no/such"]).ok();
    assert!(ran.err.contains("is not used") && ran.err.contains("/no/such"), "{}", ran.err);
    assert_eq!(cached(&ran.err), 2, "the bases only: {}", ran.err);
}

#[test]
fn a_cache_at_a_registry_and_inside_an_image() {
    let Some(w) = World::new() else { return };
    let Some(registry) = registry(&w) else { return };
    w.file("a", "A\n");
    let (cache, image) = (format!("{}/cache:1", registry.host), format!("{}/app:1", registry.host));
    let to = format!("type=registry,ref={cache},mode=max");
    let ran = w.build(DOCKERFILE, &["-t", &image, "--push", "--cache-to", &to, "--cache-to", "type=inline"]).ok();
    assert!(ran.out.contains("pushed") && ran.out.contains("digest: sha256:"), "{}", ran.out);
    let other = elsewhere(&w);
    let ran = other.build(DOCKERFILE, &["--cache-from", &format!("type=registry,ref={cache}")]).ok();
    assert_eq!(cached(&ran.err), 6, "{}", ran.err);
    // The image itself: its own layers are found, the other stage runs anew if its file is asked for.
    let third = elsewhere(&w);
    let ran = third.build(DOCKERFILE, &["--cache-from", &image]).ok();
    assert!(cached(&ran.err) >= 4, "{}", ran.err);
    let plain = format!("{}/plain:1", registry.host);
    w.build("FROM busybox:1\n", &["-t", &plain, "-o", "type=registry"]).ok();
    let ran = third.build(DOCKERFILE, &["--no-cache", "--cache-from", &plain]).ok();
    assert!(ran.err.contains("no list of steps"), "{}", ran.err);
    w.build("FROM busybox:1\n", &["--cache-to", "type=gha"]).fails(2, &["local, registry and inline"]);
}

#[test]
fn archives_go_to_standard_output_and_several_outputs_at_once() {
    let Some(w) = World::new() else { return };
    w.file("a", "A\n");
    let dockerfile = "FROM scratch\nCOPY a /a\n";
    let run = |kind: &str| {
        w.file("Dockerfile", dockerfile);
        let mut command = w.command();
        let out =
            command.args(["build", "-q", "-t", "piped", "-o", &format!("type={kind},dest=-"), "ctx"]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    };
    let names = |bytes: &[u8]| {
        let file = w.path("piped.tar");
        fs::write(&file, bytes).unwrap();
        let list = Command::new("tar").arg("-tf").arg(&file).output().unwrap();
        assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
        String::from_utf8_lossy(&list.stdout).into_owned()
    };
    assert!(names(&run("tar")).lines().any(|l| l.trim_start_matches("./") == "a"));
    assert!(names(&run("oci")).contains("index.json"));
    assert!(names(&run("docker")).contains("manifest.json"));
    w.build(dockerfile, &["-o", "type=local,dest=-"]).fails(2, &["type=tar,dest=-"]);
    w.build(dockerfile, &["-o", "type=tar,dest=-", "-o", "type=oci,dest=-"]).fails(2, &["only one"]);
    let (dir, tar) = (w.path("dir"), w.path("all.tar"));
    w.build(
        dockerfile,
        &[
            "-t",
            "many",
            "-o",
            "type=image",
            "-o",
            dir.to_str().unwrap(),
            "-o",
            &format!("type=tar,dest={}", tar.display()),
        ],
    )
    .ok();
    assert_eq!(read(dir.join("a")), "A\n");
    assert!(tar.exists());
    w.run(&["image", "inspect", "many"]).ok();
}

#[test]
fn one_stage_can_be_built_anew_and_annotations_are_kept() {
    let Some(w) = World::new() else { return };
    w.file("a", "A\n");
    w.build(DOCKERFILE, &[]).ok();
    let ran = w.build(DOCKERFILE, &["-t", "x", "--no-cache-filter", "tools", "--annotation", "org.example=yes"]).ok();
    assert_eq!(cached(&ran.err), 5, "all but the step of `tools`: {}", ran.err);
    let archive = w.path("x.tar");
    w.run(&["save", "-o", archive.to_str().unwrap(), "x"]).ok();
    let listed =
        Command::new("tar").arg("-xOf").arg(&archive).arg("--wildcards").arg("blobs/sha256/*").output().unwrap();
    assert!(String::from_utf8_lossy(&listed.stdout).contains("\"org.example\":\"yes\""));
    w.build(DOCKERFILE, &["--annotation", "index:a=b"]).fails(2, &["leave the prefix out"]);
}

#[test]
fn what_is_attached_is_pushed_with_the_image() {
    let Some(w) = World::new() else { return };
    let Some(registry) = registry(&w) else { return };
    w.file("a", "A\n");
    let image = format!("{}/app:1", registry.host);
    w.build("FROM scratch\nCOPY a /a\n", &["-t", &image, "--push"]).ok();
    let store = stockade_image::Store::open(&w.root()).unwrap();
    let built = store.resolve(&image).unwrap().unwrap();
    let options = {
        let mut options = stockade_registry::Options::bare();
        options.insecure.push(registry.host.clone());
        options
    };
    let client = stockade_registry::Client::new(options);
    let reference = image.parse().unwrap();
    let found = client.referrers(&reference, &built.manifest_digest, None, &stockade_registry::Silent).unwrap();
    let mut types: Vec<_> = found.iter().filter_map(|e| e.artifact_type.as_deref()).collect();
    types.sort_unstable();
    assert_eq!(types, ["application/spdx+json", "application/vnd.cyclonedx+json", "application/vnd.in-toto+json"]);
}
