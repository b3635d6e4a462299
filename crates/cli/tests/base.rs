//! `stockade base` and the minimal images, of an archive that the test signs and serves itself, and of the real one.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../../base/tests/common/archive.rs"]
#[allow(dead_code)]
mod archive;
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use archive::{Entry, Server, Spec, build, deb, key, write_keyring};
use common::World;
use pgp::composed::SignedSecretKey;

fn package(name: &str, version: &str, content: archive::Content<'_>) -> (String, Vec<u8>) {
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nDepends: debconf\nMaintainer: x\nDescription: y\n"
    );
    let sums: String = content
        .iter()
        .filter(|(_, entry)| matches!(entry, Entry::File(..)))
        .map(|(path, _)| format!("0123456789abcdef0123456789abcdef  {}\n", path.trim_start_matches("./")))
        .collect();
    (control.clone(), deb(&control, &[("md5sums", &sums), ("postinst", "#!/bin/sh\nexit 1\n")], content))
}

/// An archive whose `tzdata` has this version.
fn spec(tzdata: &str, date: &str) -> Spec {
    let os = "PRETTY_NAME=\"Debian\"\nID=debian\n";
    Spec {
        release: format!("Origin: Debian\nSuite: unstable\nCodename: sid\nDate: {date}"),
        packages: vec![
            package(
                "base-files",
                "1-1",
                &[("./etc/", Entry::Dir(0o755)), ("./etc/os-release", Entry::File(0o644, os))],
            ),
            package(
                "ca-certificates",
                "1-1",
                &[
                    ("./usr/sbin/update-ca-certificates", Entry::File(0o755, "#!/bin/sh\n")),
                    ("./usr/share/ca-certificates/mozilla/b.crt", Entry::File(0o644, "second")),
                    ("./usr/share/ca-certificates/mozilla/a.crt", Entry::File(0o644, "first\n")),
                ],
            ),
            package("media-types", "1-1", &[("./etc/mime.types", Entry::File(0o644, "text/plain txt\n"))]),
            package("netbase", "1-1", &[("./etc/services", Entry::File(0o644, "http 80/tcp\n"))]),
            package("tzdata", tzdata, &[("./usr/share/zoneinfo/UTC", Entry::File(0o644, tzdata))]),
        ],
    }
}

/// Serves the archive, and has the world use it.
fn serve(world: &World) -> (SignedSecretKey, Server) {
    let key = key();
    let server = Server::start(build(&spec("1.0-1", "Sat, 10 Feb 2024 11:07:25 UTC"), &key));
    let keyring = world.scratch().join("keyring.asc");
    write_keyring(&key, &keyring);
    let settings = format!("[mirror]\ndebian = \"{}\"\nkeyring = \"{}\"\n", server.url(), keyring.display());
    fs::write(world.root().parent().unwrap().join("stockade.toml"), settings).unwrap();
    (key, server)
}

#[test]
fn images_follow_their_archive() {
    let Some(world) = World::new() else { return };
    if std::env::consts::ARCH != "x86_64" {
        eprintln!("skipped: the test's archive is for amd64");
        return;
    }
    let (key, server) = serve(&world);

    assert_eq!(world.sk(&["pull", "-q", "stockade/static:sid"]).ok(), "stockade/static:sid");
    let id = |name: &str| world.sk(&["image", "inspect", "-f", "{{.Id}}", name]).ok();
    let first = id("stockade/static:sid");
    world.sk(&["base", "make", "-q", "stockade/static:sid"]).ok();
    assert_eq!(id("stockade/static:sid"), first, "the same archive gives the same image");
    let config =
        world.sk(&["image", "inspect", "-f", "{{.Config.User}} {{.Config.WorkingDir}}", "stockade/static:sid"]);
    assert_eq!(config.ok(), "65532 /home/nonroot");
    let packages = world.sk(&["sbom", "stockade/static:sid"]).ok();
    assert!(packages.contains("tzdata") && packages.contains("1.0-1"), "{packages}");

    let context = world.scratch().join("app");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("Dockerfile"), "FROM stockade/static:sid\nCOPY file /file\n").unwrap();
    fs::write(context.join("file"), "x").unwrap();
    world.sk(&["build", "-q", "-t", "app", context.to_str().unwrap()]).ok();
    world.sk(&["tag", "app", "other:1"]).ok();
    let old = id("app");
    let list = world.sk(&["base", "list"]).ok();
    assert!(list.contains("app:latest") && list.contains("stockade/static:sid") && !list.contains("box"), "{list}");
    let current = world.sk(&["base", "update"]).ok();
    assert!(current.contains("current") && !current.contains("outdated"), "{current}");

    *server.files.lock().unwrap() = build(&spec("2.0-1", "Sun, 11 Feb 2024 11:07:25 UTC"), &key);
    let told = world.sk(&["base", "update"]);
    assert!(told.err.contains("--apply"), "{told:?}");
    assert!(told.ok().contains("tzdata 1.0-1 -> 2.0-1"));
    let json = world.sk(&["base", "update", "--format", "json", "--no-scan", "app"]).ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["schema"], &json["images"][0]["state"]), (&"stockade.base-update/v1".into(), &"outdated".into()));
    assert_eq!(json["images"][0]["rebuildable"], true);
    assert_eq!(id("app"), old, "telling changes nothing");

    let applied = world.sk(&["base", "update", "--apply"]).ok();
    assert!(applied.contains("updated") && !applied.contains("failed"), "{applied}");
    assert_ne!(id("app"), old);
    assert_eq!(id("app"), id("other:1"));
    assert_ne!(id("stockade/static:sid"), first);
    let diff = world.sk(&["image", "diff", "--only", "packages", &old, "app"]).ok();
    assert!(diff.contains("C tzdata 1.0-1 -> 2.0-1"), "{diff}");
    let current = world.sk(&["base", "update"]).ok();
    assert!(current.contains("current") && !current.contains("outdated"), "{current}");

    // What cannot be known is said.
    drop(server);
    let unknown = world.sk(&["base", "update", "--no-scan"]).fails_with(4);
    assert!(unknown.out.contains("unknown"), "{unknown:?}");
    assert!(world.sk(&["system", "check", "--deep"]).ok().contains("all is well"));
}

#[test]
fn an_image_of_unknown_making_is_told_and_left() {
    let Some(world) = World::new() else { return };
    if std::env::consts::ARCH != "x86_64" {
        return;
    }
    let (key, server) = serve(&world);
    // The Dockerfile comes from standard input: nobody can ask for it again.
    world.sk_with_input(&["build", "-q", "-t", "app", "-"], b"FROM stockade/static:sid\nLABEL a=b\n").ok();
    let old = world.sk(&["images", "-q", "app"]).ok();
    *server.files.lock().unwrap() = build(&spec("2.0-1", "Sun, 11 Feb 2024 11:07:25 UTC"), &key);
    let told = world.sk(&["base", "update", "--no-scan", "app"]);
    assert!(told.err.contains("build it again by hand"), "{told:?}");
    let failed = world.sk(&["base", "update", "--no-scan", "--apply"]).fails_with(1);
    assert!(failed.out.contains("failed") && failed.out.contains("updated"), "{failed:?}");
    assert_eq!(world.sk(&["images", "-q", "app"]).ok(), old);
}

#[test]
fn the_timer_is_two_units() {
    let Some(world) = World::new() else { return };
    let text = world.sk(&["base", "timer", "--on-calendar", "Mon 04:00"]).ok();
    for line in ["base update --apply", "OnCalendar=Mon 04:00", "Persistent=true", "WantedBy=timers.target"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.contains(&format!("--root \"{}\"", world.root().display())), "{text}");
    let dir = world.scratch();
    world.sk(&["base", "timer", "--write", dir.to_str().unwrap()]).ok();
    assert!(dir.join("stockade-base-update.timer").exists() && dir.join("stockade-base-update.service").exists());
    world.sk(&["base", "timer", "--on-calendar", "a\nExecStart=x"]).fails_with(2);
}

/// Compiles a program; `None`, with a word why, without a compiler.
fn compile(dir: &Path, name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let (file, program) = (dir.join(format!("{name}.c")), dir.join(name));
    fs::write(&file, source).unwrap();
    match Command::new("cc").arg(&file).arg("-o").arg(&program).args(flags).status() {
        Ok(status) if status.success() => Some(program),
        _ => {
            eprintln!("skipped: no C compiler, or no static glibc");
            None
        }
    }
}

const PROGRAM: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <math.h>
int main(int argc, char **argv) {
    time_t zero = 0;
    char text[64];
    FILE *bundle = fopen(getenv("SSL_CERT_FILE"), "r");
    strftime(text, sizeof text, "%H:%M %Z", localtime(&zero));
    printf("%d %s %s %s %.0f\n", (int)getuid(), getenv("HOME") ? getenv("HOME") : "-", text, bundle ? "trust" : "none",
           sqrt(argc * 16.0));
    return 0;
}
"#;

#[test]
fn static_and_dynamic_programs_run_on_the_minimal_images() {
    let Some(world) = World::new() else { return };
    let context = world.scratch();
    let (Some(_), Some(_)) =
        (compile(&context, "plain", PROGRAM, &["-static", "-lm"]), compile(&context, "dynamic", PROGRAM, &["-lm"]))
    else {
        return;
    };
    for (base, program) in [("stockade/static:bookworm", "plain"), ("stockade/base:bookworm", "dynamic")] {
        let dockerfile =
            format!("FROM {base}\nENV TZ=Europe/Berlin\nCOPY {program} /{program}\nENTRYPOINT [\"/{program}\"]\n");
        fs::write(context.join("Dockerfile"), dockerfile).unwrap();
        let built = world.sk(&["build", "-q", "-t", program, context.to_str().unwrap()]);
        if built.code != 0 && built.err.contains("cannot be had") {
            eprintln!("skipped: no mirror answers: {}", built.err);
            return;
        }
        built.ok();
        let out = world.sk(&["run", "--rm", "--network", "none", program]).ok();
        assert_eq!(out, "65532 /home/nonroot 01:00 CET trust 4", "{base}");
        world.sk(&["run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", program]).fails_with(127);
    }
    let sizes = world.sk(&["images", "--format", "{{.Repository}} {{.Size}}"]).ok();
    eprintln!("{sizes}");
    // The shell of the debug image, made on the way as `run` pulls what is missing.
    let out =
        world.sk(&["run", "--rm", "-q", "--network", "none", "stockade/debug:bookworm", "-c", "id -u; ls /etc/passwd"]);
    let shell =
        world.sk(&["run", "--rm", "--network", "none", "stockade/debug:bookworm", "sh", "-c", "id -u; ls /etc/passwd"]);
    assert_ne!(out.code, 0, "there is no entry point that takes -c");
    assert_eq!(shell.ok(), "65532\n/etc/passwd");
}

#[test]
fn a_minimal_image_has_what_its_run_opened_and_says_so_to_scanners() {
    let Some(world) = World::new() else { return };
    if std::env::consts::ARCH != "x86_64" {
        return;
    }
    let (_, _server) = serve(&world);
    let context = world.scratch().join("app");
    fs::create_dir_all(context.join("data")).unwrap();
    fs::copy("/bin/busybox", context.join("busybox")).unwrap();
    for name in ["used", "unused", "wanted"] {
        fs::write(context.join("data").join(name), name).unwrap();
    }
    fs::write(
        context.join("Dockerfile"),
        "FROM stockade/static:sid\nCOPY busybox /usr/bin/busybox\nCOPY data /usr/share/data\n\
         COPY --chown=65532 data/used /home/nonroot/link\nENTRYPOINT [\"/usr/bin/busybox\"]\nCMD [\"cat\", \"/usr/share/data/used\"]\n",
    )
    .unwrap();
    world.sk(&["build", "-q", "-t", "app:1", context.to_str().unwrap()]).ok();
    let told = world.sk(&["image", "minimize", "--keep", "/usr/share/data/wa*", "app:1"]).ok();
    assert!(told.contains("app:1-minimal") && told.contains("ended well"), "{told}");
    assert_eq!(world.sk(&["run", "--rm", "--network", "none", "app:1-minimal"]).ok(), "used");
    let find = ["run", "--rm", "--network", "none", "app:1-minimal", "find", "/usr", "/var/lib/dpkg", "-type", "f"];
    let files = world.sk(&find).ok();
    assert!(files.contains("/usr/share/data/wanted") && !files.contains("unused"), "{files}");
    // What users and names need stays, and so do the packages that it comes from; of the others nothing is left.
    assert!(files.contains("status.d/netbase") && files.contains("status.d/base-files"), "{files}");
    assert!(!files.contains("status.d/tzdata") && !files.contains("status.d/media-types"), "{files}");
    let packages = world.sk(&["sbom", "app:1-minimal"]).ok();
    assert!(packages.contains("/netbase@") && !packages.contains("/tzdata@"), "{packages}");

    let json =
        world.sk(&["image", "minimize", "--format", "json", "-t", "two", "--run", "/usr/bin/busybox true", "app:1"]);
    let json: serde_json::Value = serde_json::from_str(&json.ok()).unwrap();
    assert_eq!((&json["schema"], &json["runs"][0]), (&"stockade.minimize/v1".into(), &"ended well".into()));
    assert!(json["before"]["files"].as_u64() > json["after"]["files"].as_u64());
    let failed = world.sk(&["image", "minimize", "--run", "/usr/bin/busybox false", "app:1"]).fails_with(1);
    assert!(failed.err.contains("exit code 1"), "{failed:?}");
    let failed = world.sk(&["image", "minimize", "--keep", "/no/such", "app:1"]).fails_with(1);
    assert!(failed.err.contains("fits nothing"), "{failed:?}");
    // A server is stopped when its time is over.
    let server = ["image", "minimize", "--for", "1", "-t", "three", "--run", "/usr/bin/busybox sleep 3600", "app:1"];
    assert!(world.sk(&server).ok().contains("ran until it was stopped"));

    let built = world.sk(&["build", "-q", "--minimize", "-t", "small", context.to_str().unwrap()]);
    assert!(built.err.contains("minimized: "), "{built:?}");
    built.ok();
    assert_eq!(world.sk(&["run", "--rm", "--network", "none", "small"]).ok(), "used");
    // What is attached speaks of the minimal image, and outputs are of it.
    let out = world.scratch().join("files");
    let output = format!("type=local,dest={}", out.display());
    let metadata = world.scratch().join("metadata.json");
    let flags = ["-o", "type=image", "-o", &output, "--metadata-file", metadata.to_str().unwrap()];
    world.sk(&[&["build", "-q", "--minimize", "-t", "small"], &flags[..], &[context.to_str().unwrap()]].concat()).ok();
    assert!(out.join("usr/share/data/used").exists() && !out.join("usr/share/data/unused").exists());
    let metadata: serde_json::Value = serde_json::from_slice(&std::fs::read(metadata).unwrap()).unwrap();
    let internal = &metadata["buildx.build.provenance"]["buildDefinition"]["internalParameters"];
    assert_eq!(internal["minimizedFrom"]["sha256"].as_str().map(str::len), Some(64), "{metadata}");
    let attached = world.sk(&["sbom", "--attached", "small"]).ok();
    assert!(attached.contains("/netbase@") && !attached.contains("/tzdata@"), "{attached}");
    assert!(world.sk(&["system", "check", "--deep"]).ok().contains("all is well"));
}

#[test]
fn a_debian_image_shrinks_to_one_program() {
    let Some(world) = World::new() else { return };
    let made = world.sk(&["base", "make", "-q", "debian:bookworm-slim"]);
    if made.code != 0 {
        eprintln!("skipped: no mirror answers: {}", made.err);
        return;
    }
    let told = world.sk(&[
        "image",
        "minimize",
        "--format",
        "json",
        "-t",
        "perl",
        "--run",
        "perl -MPOSIX -e 'print getpwuid(0)'",
        "debian:bookworm-slim",
    ]);
    let json: serde_json::Value = serde_json::from_str(&told.ok()).unwrap();
    let (before, after) = (json["before"]["bytes"].as_u64().unwrap(), json["after"]["bytes"].as_u64().unwrap());
    assert!(after * 3 < before, "{json}");
    let packages = world.sk(&["sbom", "perl"]).ok();
    assert!(packages.contains("perl-base") && packages.contains("libc6") && !packages.contains("/apt@"), "{packages}");
    let run = |arguments: &[&str]| world.sk(&[&["run", "--rm", "--network", "none", "perl"], arguments].concat());
    assert!(run(&["perl", "-MPOSIX", "-e", "print getpwuid(0)"]).ok().starts_with("root"));
    run(&["dpkg", "--version"]).fails_with(127);
}
