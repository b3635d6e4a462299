//! `stockade scan` through the real binary: every kind of target, what it looks for, and how it ends.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;

use common::{IMAGE, World};
use serde_json::{Value, json};
use stockade_image::Digest;

/// A file of a layer: path, content, mode.
type File<'a> = (&'a str, &'a str, u32);

fn tar(files: &[File<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A docker archive of an image with these layers. `diff_ids` replaces the true ones.
fn archive(layers: &[Vec<u8>], config: &Value, diff_ids: Option<Vec<String>>) -> Vec<u8> {
    let names: Vec<String> = layers.iter().map(|l| format!("blobs/sha256/{}", hex(l))).collect();
    let true_ids = layers.iter().map(|l| format!("sha256:{}", hex(l))).collect();
    let history: Vec<Value> =
        (0..layers.len()).map(|i| json!({"created_by": format!("RUN step {i} # buildkit")})).collect();
    let config = json!({"architecture": "amd64", "os": "linux", "config": config, "history": history,
        "rootfs": {"type": "layers", "diff_ids": diff_ids.unwrap_or(true_ids)}});
    let config = serde_json::to_string(&config).unwrap();
    let config_name = format!("blobs/sha256/{}", hex(config.as_bytes()));
    let manifest = json!([{"Config": config_name, "RepoTags": ["app:1"], "Layers": names}]).to_string();
    let mut tar = tar::Builder::new(Vec::new());
    let mut put = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    for (name, layer) in names.iter().zip(layers) {
        put(name, layer);
    }
    put(&config_name, config.as_bytes());
    put("manifest.json", manifest.as_bytes());
    tar.into_inner().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string().trim_start_matches("sha256:").to_owned()
}

const RELEASE: File<'_> = ("etc/os-release", "ID=debian\nVERSION_ID=\"11\"\nPRETTY_NAME=\"Debian 11\"\n", 0o644);

fn status(packages: &[(&str, &str, &str)]) -> String {
    packages
        .iter()
        .map(|(name, version, depends)| {
            format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\nDepends: {depends}\n\n")
        })
        .collect()
}

fn token() -> String {
    format!("{}{}", "ghp_", "a8Kd02mXq9Zr4TbL7vWn3YpC5sHj1GfE6uRo")
}

/// An image with an old log4j, something that needs it, and secrets of every kind.
fn image() -> Vec<u8> {
    let base = status(&[("apache-log4j2", "2.13.3-1", ""), ("app", "1", "apache-log4j2 (>= 2)"), ("top", "1", "app")]);
    let key = format!("url=https://{}@github.com\n", token());
    let below = tar(&[RELEASE, ("var/lib/dpkg/status", &base, 0o644), ("app/token", &key, 0o644)]);
    let above =
        tar(&[("app/.wh.token", "", 0o644), ("app/.env", "DB_PASSWORD=kX9v2mQ7\n", 0o644), ("app/run", "x", 0o4755)]);
    let config = json!({"Env": ["PATH=/bin", "MYSQL_ROOT_PASSWORD=kX9v2mQ7"]});
    archive(&[below, above], &config, None)
}

fn report(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn ids(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap()).collect()
}

fn packages(report: &Value) -> usize {
    report["packages"].as_array().unwrap().len()
}

#[test]
fn an_archive_gives_the_same_from_a_file_and_from_a_stream() {
    let Some(world) = World::new() else { return };
    let path = world.scratch().join("i.tar");
    std::fs::write(&path, image()).unwrap();
    let target = format!("docker-archive:{}", path.display());
    let of_file = report(&world.sk(&["scan", "--no-cache", "--json", &target]).ok());
    assert!(ids(&of_file).contains(&"CVE-2021-44228"), "{of_file}");
    // The stream was never seen by this cache.
    let Some(other) = World::new() else { return };
    for _ in 0..2 {
        let mut of_stream = report(&other.sk_with_input(&["scan", "--json", "docker-archive:-"], &image()).ok());
        assert_eq!(of_stream["target"]["digest"], of_file["target"]["digest"]);
        of_stream["target"] = of_file["target"].clone();
        assert_eq!(of_stream, of_file);
    }
    // An image that is cut in the middle of a layer is no image.
    let whole = image();
    let cut = other.sk_with_input(&["scan", "docker-archive:-"], &whole[..1500]);
    assert_eq!(cut.code, 1, "{}", cut.err);
}

#[test]
fn secrets_and_weak_settings_are_found_where_they_are() {
    let Some(world) = World::new() else { return };
    let path = world.scratch().join("i.tar");
    std::fs::write(&path, image()).unwrap();
    let target = path.display().to_string();
    let plain = report(&world.sk(&["scan", "--json", &target]).ok());
    assert!(plain.get("secrets").is_none() && plain.get("weaknesses").is_none());
    let found = report(&world.sk(&["scan", "--json", "--secrets", "--checks", &target]).ok());
    let config = world.scratch().join("stockade.toml");
    std::fs::write(&config, "[gate]\nmode = \"warn\"\n").unwrap();
    let settings = format!("--config={}", config.display());
    for flags in [vec!["--config"], vec![settings.as_str(), "--checks"]] {
        let same = report(&world.sk(&[&["scan", "--json", "--secrets"][..], &flags, &[&target]].concat()).ok());
        assert_eq!(same["weaknesses"], found["weaknesses"], "{flags:?}");
    }
    let missing = ["--config", "/nonexistent/s.toml", "scan", "--json", &target];
    assert!(world.sk(&missing).fails_with(2).err.contains("/nonexistent/s.toml"));
    let before = report(&world.sk(&["--config", config.to_str().unwrap(), "scan", "--json", &target]).ok());
    assert!(before.get("weaknesses").is_none(), "a file is a file");
    let secrets: Vec<(String, bool)> = found["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["path"].as_str().unwrap().to_owned(), s["deleted"].as_bool().unwrap()))
        .collect();
    let expected = [("ENV MYSQL_ROOT_PASSWORD", false), ("app/.env", false), ("app/token", true)];
    assert_eq!(secrets, expected.map(|(p, d)| (p.to_owned(), d)));
    assert_eq!(found["secrets"][2]["instruction"], "RUN step 0");
    assert!(!found.to_string().contains(&token()), "the secret itself is told to nobody");
    let weak: Vec<&str> = found["weaknesses"].as_array().unwrap().iter().map(|w| w["id"].as_str().unwrap()).collect();
    for id in ["root-user", "no-healthcheck", "setuid-file"] {
        assert!(weak.contains(&id), "{weak:?}");
    }
    world.sk(&["scan", "--secrets", "--fail-on", "secrets", &target]).fails_with(3);
    world.sk(&["scan", "--fail-on", "secrets", &target]).fails_with(0);
    for format in ["table", "markdown", "html", "junit", "sarif"] {
        let text = world.sk(&["scan", "--secrets", "--checks", "--format", format, &target]).ok();
        assert!(text.contains("app/token") && text.contains("setuid-file"), "{format}: {text}");
    }
    // A directory and a stored image are looked into as well.
    let dir = world.scratch().join("tree");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join(".env"), "DB_PASSWORD=kX9v2mQ7\n").unwrap();
    let of_dir = report(&world.sk(&["scan", "--json", "--secrets", &format!("fs:{}", dir.display())]).ok());
    assert_eq!(of_dir["secrets"][0]["path"], ".env");
    world.sk(&["load", "-i", &target]).ok();
    for _ in 0..2 {
        let stored = report(&world.sk(&["scan", "--json", "--secrets", "app:1"]).ok());
        assert_eq!(stored["secrets"].as_array().unwrap().len(), 3);
        assert!(report(&world.sk(&["scan", "--json", "app:1"]).ok()).get("secrets").is_none());
    }
}

#[test]
fn a_layer_under_a_false_digest_is_said_and_does_not_poison_the_cache() {
    let Some(world) = World::new() else { return };
    let honest = tar(&[RELEASE, ("var/lib/dpkg/status", &status(&[("apache-log4j2", "2.13.3-1", "")]), 0o644)]);
    let false_one = tar(&[RELEASE, ("var/lib/dpkg/status", &status(&[("hello", "2.10-2", "")]), 0o644)]);
    let id = format!("sha256:{}", hex(&honest));
    let lie = world.scratch().join("lie.tar");
    std::fs::write(&lie, archive(std::slice::from_ref(&false_one), &json!({}), Some(vec![id.clone()]))).unwrap();
    let seen = report(&world.sk(&["scan", "--json", lie.to_str().unwrap()]).ok());
    assert!(seen["unknown"].to_string().contains("and the image names"), "{seen}");
    world.sk(&["scan", "--strict", lie.to_str().unwrap()]).fails_with(4);
    let lie = archive(&[false_one], &json!({}), Some(vec![id]));
    let seen = report(&world.sk_with_input(&["scan", "--json", "docker-archive:-"], &lie).ok());
    assert!(seen["unknown"].to_string().contains("and the image names"), "{seen}");
    let truth = world.scratch().join("truth.tar");
    std::fs::write(&truth, archive(&[honest], &json!({}), None)).unwrap();
    let seen = report(&world.sk(&["scan", "--json", truth.to_str().unwrap()]).ok());
    assert!(ids(&seen).contains(&"CVE-2021-44228"), "{seen}");
}

/// A Docker daemon with one image: answers `/json` with its id, `/get` with the archive in chunks.
fn daemon(socket: &Path, id: String, archive: Vec<u8>) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap() == 0 {
                    break;
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            if path == "/images/app:1/json" {
                let body = json!({"Id": id}).to_string();
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            } else if path == "/images/app:1/get" && !archive.is_empty() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                for chunk in archive.chunks(1000) {
                    let _ = write!(stream, "{:x}\r\n", chunk.len());
                    let _ = stream.write_all(chunk);
                    let _ = stream.write_all(b"\r\n");
                }
                let _ = stream.write_all(b"0\r\n\r\n");
            } else {
                let body = r#"{"message":"No such image"}"#;
                let _ = write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
        }
    });
}

#[test]
fn an_image_of_a_docker_daemon_is_streamed_and_known_layers_are_not_asked_for_again() {
    let Some(world) = World::new() else { return };
    let bytes = image();
    let path = world.scratch().join("i.tar");
    std::fs::write(&path, &bytes).unwrap();
    let expected = report(&world.sk(&["scan", "--json", path.to_str().unwrap()]).ok());
    let id = expected["target"]["digest"].as_str().unwrap().to_owned();
    let Some(world) = World::new() else { return };
    let scan = |socket: &Path, name: &str| {
        let mut command = world.command(&["scan", "--json", name]);
        command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        common::Ran::from(command.output().unwrap())
    };
    let socket = world.scratch().join("docker.sock");
    daemon(&socket, id.clone(), bytes);
    let seen = report(&scan(&socket, "docker:app:1").ok());
    assert_eq!(seen["findings"], expected["findings"]);
    assert_eq!(seen["target"]["digest"], expected["target"]["digest"]);
    assert_eq!(seen["target"]["kind"], "docker");
    assert!(scan(&socket, "docker:none").fails_with(1).err.contains("No such image"));
    // A daemon that gives no archive any more: the layers are known.
    let empty = world.scratch().join("empty.sock");
    daemon(&empty, id, Vec::new());
    assert_eq!(report(&scan(&empty, "docker:app:1").ok())["findings"], expected["findings"]);
    assert!(scan(Path::new("/nonexistent/s"), "docker:x").fails_with(1).err.contains("cannot connect"));
}

#[test]
fn a_container_is_scanned_as_it_is_and_its_drift_told() {
    let Some(world) = World::new() else { return };
    world.sk(&["run", "--name", "c", "--network", "none", IMAGE, "sh", "-c", "true"]).ok();
    let clean = report(&world.sk(&["scan", "--json", "container:c"]).ok());
    assert_eq!(clean["target"]["kind"], "container");
    assert_eq!(clean["drift"], json!({"packages": [], "files": [], "more_files": 0}), "{clean}");
    let release = "ID=debian\\nVERSION_ID=11\\n";
    let script = format!(
        "mkdir -p /etc /var/lib/dpkg; printf '{release}' > /etc/os-release; printf '{}' > /var/lib/dpkg/status; \
         cp /bin/busybox /tmp/evil; chmod +x /tmp/evil; rm -f /etc/passwd",
        status(&[("apache-log4j2", "2.13.3-1", "")]).replace('\n', "\\n")
    );
    world.sk(&["run", "--name", "d", "--network", "none", IMAGE, "sh", "-c", &script]).ok();
    let seen = report(&world.sk(&["scan", "--json", "container:d"]).ok());
    assert!(ids(&seen).contains(&"CVE-2021-44228"), "{seen}");
    assert_eq!(seen["findings"][0]["instruction"], "changed in the container");
    let package = &seen["drift"]["packages"][0];
    assert_eq!(
        (&package["name"], &package["from"], &package["to"]),
        (&json!("apache-log4j2"), &Value::Null, &json!("2.13.3-1"))
    );
    let first = &seen["drift"]["files"][0];
    assert_eq!(
        (&first["path"], &first["executable"], &first["change"]),
        (&json!("/tmp/evil"), &json!(true), &json!("added"))
    );
    let table = world.sk(&["scan", "container:d"]).ok();
    assert!(table.contains("Different from its image") && table.contains("/tmp/evil"), "{table}");
    world.sk(&["scan", "container:none"]).fails_with(1);
    world.sk(&["rm", "-f", "c", "d"]).ok();
    world.leaves_nothing();
}

#[test]
fn a_gate_of_ones_own_judges_packages_licences_and_findings() {
    let Some(world) = World::new() else { return };
    let path = world.scratch().join("i.tar");
    std::fs::write(&path, image()).unwrap();
    let target = path.display().to_string();
    let gate = world.scratch().join("gate.toml");
    let judge = |rules: &str| {
        std::fs::write(&gate, rules).unwrap();
        world.sk(&["scan", "--gate", &gate.display().to_string(), "--severity", "low", &target])
    };
    assert!(judge("severity = \"critical\"").fails_with(3).err.contains("CVE-2021-44228"));
    let accepted = "fixable = true\nknown-exploited = false\nseverity = \"critical\"\ngrace-days = 3650\n";
    judge(accepted).fails_with(0);
    let denied = judge(&format!("{accepted}deny-packages = [\"app*\"]"));
    assert!(denied.fails_with(3).err.contains("app 1 is denied by the package rule `app*`"));
    judge(&format!("{accepted}end-of-life = true")).fails_with(3);
    judge(&format!("{accepted}facts-days = 1")).fails_with(4);
    judge(&format!("{accepted}mode = \"warn\"\nend-of-life = true")).fails_with(0);
    assert!(judge("severty = \"low\"").err.contains("did you mean `severity`"));
}

#[test]
fn what_the_entry_point_loads_is_told() {
    let Some(world) = World::new() else { return };
    let both = status(&[("apache-log4j2", "2.13.3-1", ""), ("openssl", "1.1.1k-1", "")]);
    let layer = tar(&[
        RELEASE,
        ("var/lib/dpkg/status", &both, 0o644),
        ("var/lib/dpkg/info/apache-log4j2.list", "/usr\n/usr/bin/log\n", 0o644),
        ("var/lib/dpkg/info/openssl.list", "/usr\n/usr/bin/openssl\n", 0o644),
        ("usr/bin/log", "#!/bin/sh\n", 0o755),
        ("usr/bin/openssl", "#!/bin/sh\n", 0o755),
    ]);
    let config = json!({"Entrypoint": ["log"], "Env": ["PATH=/usr/bin"]});
    let archive = archive(std::slice::from_ref(&layer), &config, None);
    world.sk_with_input(&["load"], &archive).ok();
    // Unpacked in the store, and in an archive whose layers only go by.
    let stored = report(&world.sk(&["scan", "--json", "app:1"]).ok());
    let streamed = report(&world.sk_with_input(&["scan", "--json", "docker-archive:-"], &archive).ok());
    let file = world.scratch().join("app.tar");
    std::fs::write(&file, &archive).unwrap();
    let archived = report(&world.sk(&["scan", "--json", &format!("docker-archive:{}", file.display())]).ok());
    for report in [stored, streamed, archived] {
        for (name, loaded) in [("apache-log4j2", true), ("openssl", false)] {
            let of = |f: &&Value| f["package"]["name"] == name;
            let found: Vec<&Value> = report["findings"].as_array().unwrap().iter().filter(of).collect();
            assert!(!found.is_empty() && found.iter().all(|f| f["in_entry_point"] == loaded), "{name}: {report}");
        }
    }
    assert!(world.sk(&["scan", "app:1"]).ok().contains("The entry point loads files of the package at its start for "));
    assert!(world.sk(&["explain", "CVE-2021-44228", "app:1"]).ok().contains("at start"));
}

#[test]
fn a_projects_file_cannot_loosen_the_gate() {
    let Some(world) = World::new() else { return };
    let project = world.scratch().join("project");
    std::fs::create_dir(&project).unwrap();
    std::fs::write(project.join("stockade.toml"), "[gate]\nmode = \"off\"\nseverity = \"low\"\n").unwrap();
    let owner = world.scratch().join("owner.toml");
    std::fs::write(&owner, "[gate]\nmode = \"deny\"\nseverity = \"critical\"\n").unwrap();
    world.sk_with_input(&["load"], &image()).ok();
    let mut command = world.command(&["--config", owner.to_str().unwrap(), "create", "--name", "g", "app:1", "x"]);
    let denied = common::Ran::from(command.env_remove("STOCKADE_GATE").current_dir(&project).output().unwrap());
    assert_eq!(denied.code, 3, "{}", denied.err);
    assert!(denied.err.contains("[gate] mode would loosen the gate"), "{}", denied.err);
}

#[test]
fn base_layers_lines_templates_trees_and_statements() {
    let Some(world) = World::new() else { return };
    let base = tar(&[RELEASE, ("var/lib/dpkg/status", &status(&[("apache-log4j2", "2.13.3-1", "")]), 0o644)]);
    let all = status(&[("apache-log4j2", "2.13.3-1", ""), ("app", "1", "apache-log4j2"), ("top", "1", "app")]);
    let own = tar(&[
        ("var/lib/dpkg/status", &all, 0o644),
        ("app/node_modules/lodash/package.json", "{\"name\":\"lodash\",\"version\":\"4.17.0\"}", 0o644),
    ]);
    let below = archive(std::slice::from_ref(&base), &json!({}), None);
    let below = String::from_utf8_lossy(&below).contains("app:1").then_some(below).unwrap();
    world.sk_with_input(&["load"], &below).ok();
    world.sk(&["tag", "app:1", "base:1"]).ok();
    world.sk_with_input(&["load"], &archive(&[base, own], &json!({}), None)).ok();
    let seen = report(&world.sk(&["scan", "--json", "app:1"]).ok());
    assert!(ids(&seen).contains(&"CVE-2021-44228") && packages(&seen) == 4, "{seen}");
    assert_eq!(seen["base"]["name"], "base:1");
    let table = world.sk(&["scan", "app:1"]).ok();
    assert!(table.contains("  update the base image base:1 "), "{table}");
    assert!(world.sk(&["scan", "--format", "spdx", "app:1"]).ok().contains("SPDX-2.3"));
    let rest = report(&world.sk(&["scan", "--json", "--exclude-base", "app:1"]).ok());
    assert!(!ids(&rest).contains(&"CVE-2021-44228"), "{rest}");
    assert!(rest["findings"].as_array().unwrap().iter().all(|f| f["package"]["name"] == "lodash"));
    assert!(rest["notes"].to_string().contains("left out (--exclude-base)"));
    let dockerfile = world.scratch().join("Dockerfile");
    std::fs::write(&dockerfile, "FROM base:1 AS b\n\nFROM b\nRUN step   1\n").unwrap();
    let file = dockerfile.display().to_string();
    let named = report(&world.sk(&["scan", "--json", "--file", &file, "app:1"]).ok());
    let instructions: Vec<&str> =
        named["findings"].as_array().unwrap().iter().map(|f| f["instruction"].as_str().unwrap()).collect();
    assert!(instructions.contains(&format!("{file}:1 RUN step 0").as_str()), "{instructions:?}");
    assert!(instructions.contains(&format!("{file}:4 RUN step 1").as_str()), "{instructions:?}");
    world.sk(&["scan", "--exclude-base", "base:1"]).fails_with(2);
    let ids = world.sk(&["scan", "--template", "{{range .findings}}{{.id}} {{end}}", "app:1"]).ok();
    assert!(ids.contains("CVE-2021-44228 "), "{ids}");
    let tree = world.sk(&["scan", "--dependency-tree", "app:1"]).ok();
    assert!(tree.contains("apache-log4j2 2.13.3-1 (deb)\n  needed by app ← top\n"), "{tree}");
    // Statements written from one scan are read by the next.
    let ignore = world.scratch().join("ignore");
    std::fs::write(&ignore, "CVE-2021-44228 reason=no logging\nCVE-1999-1 reason=gone\n").unwrap();
    let warned = world.sk(&["scan", "--ignore-file", ignore.to_str().unwrap(), "app:1"]);
    assert!(warned.err.contains("matches no finding"), "{}", warned.err);
    for format in ["openvex", "csaf-vex", "cyclonedx"] {
        let vex = world.scratch().join(format);
        world.sk(&["scan", "--format", format, "-o", vex.to_str().unwrap(), "app:1"]).ok();
        let again = world.sk(&["scan", "--json", "--vex", vex.to_str().unwrap(), "app:1"]);
        assert!(!again.err.contains("no statement"), "{format}: {}", again.err);
        assert_eq!(
            report(&again.ok())["findings"].as_array().unwrap().len(),
            seen["findings"].as_array().unwrap().len()
        );
    }
}
