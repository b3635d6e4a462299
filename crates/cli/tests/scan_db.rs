//! `stockade db` through the real binary: updates from files and URLs, signatures, serving, and what is new after one.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use common::World;

/// An OSV record about a package of npm.
fn osv(id: &str, package: &str, fixed: &str) -> String {
    serde_json::json!({"id": id, "modified": "2026-11-01T00:00:00Z", "published": "2026-11-01T00:00:00Z", "affected": [{
        "package": {"ecosystem": "npm", "name": package},
        "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": fixed}]}]}]})
    .to_string()
}

/// What a server was asked for: the path, and the tag that it may answer 304 to.
type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// Serves these files with a tag each; says what was asked. Ends with the process.
fn server(files: Vec<(&'static str, Vec<u8>)>) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let seen = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let path = lines.next().unwrap().unwrap().split(' ').nth(1).unwrap().to_owned();
            let mut tag = None;
            for line in lines.map_while(Result::ok).take_while(|l| !l.is_empty()) {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("if-none-match: ") {
                    tag = Some(value.to_owned());
                }
            }
            let answer = match files.iter().find(|(name, _)| *name == path) {
                Some(_) if tag.is_some() => b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".to_vec(),
                Some((_, bytes)) => {
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nETag: \"one\"\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                        bytes.len()
                    );
                    [head.as_bytes(), bytes].concat()
                }
                None => b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec(),
            };
            seen.lock().unwrap().push((path, tag));
            let _ = stream.write_all(&answer);
        }
    });
    (address, asked)
}

fn sha256(bytes: &[u8]) -> String {
    stockade_image::Digest::of(bytes).to_string().trim_start_matches("sha256:").to_owned()
}

fn digest(world: &World) -> String {
    let status: serde_json::Value =
        serde_json::from_str(&world.sk(&["db", "status", "--format", "json"]).ok()).unwrap();
    status["digest"].as_str().unwrap().to_owned()
}

#[test]
fn urls_are_read_once_and_only_when_nobody_can_have_changed_them() {
    let Some(world) = World::new() else { return };
    let record = osv("GHSA-2222-3333-4444", "left-pad", "2.0.0").into_bytes();
    let (address, asked) = server(vec![("/a.json", record.clone()), ("/bad.json", b"{\"x\": 1}".to_vec())]);
    let before = digest(&world);
    let plain = format!("{address}/a.json");
    let refused = world.sk(&["db", "update", "--from", &plain]).fails_with(1);
    assert!(refused.err.contains("plain HTTP") && refused.err.contains("#sha256="), "{}", refused.err);
    let wrong = format!("{plain}#sha256={}", "0".repeat(64));
    assert!(world.sk(&["db", "update", "--from", &wrong]).fails_with(1).err.contains("nothing was changed"));
    world.sk(&["db", "update", "--from", &format!("{address}/none.json")]).fails_with(1);
    world.sk(&["db", "update", "--unsigned", "--from", &format!("{address}/bad.json")]).fails_with(1);
    assert_eq!(digest(&world), before, "a failed update leaves the old one in use");
    let promised = format!("{plain}#sha256={}", sha256(&record));
    let said = world.sk(&["db", "update", "--from", &promised]).ok();
    assert!(said.contains("read 1 records of GitHub"), "{said}");
    let after = digest(&world);
    assert_ne!(after, before);
    asked.lock().unwrap().clear();
    let again = world.sk(&["db", "update", "--from", &promised]).ok();
    assert!(again.contains("nothing has changed"), "{again}");
    assert_eq!(*asked.lock().unwrap(), [("/a.json".to_owned(), Some("\"one\"".to_owned()))]);
    assert_eq!(digest(&world), after);
    // What is remembered belongs to the database: without it everything is read again.
    world.sk(&["db", "reset"]).ok();
    assert!(world.sk(&["db", "update", "--from", &promised]).ok().contains("read 1 records"));
    let left: Vec<_> = std::fs::read_dir(world.root().join("db")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.iter().all(|n| !n.to_string_lossy().contains("tmp")), "{left:?}");
    assert!(world.sk(&["db", "update"]).fails_with(2).err.contains("[db]"));
}

#[test]
fn databases_are_signed_and_false_ones_refused() {
    let Some(world) = World::new() else { return };
    let path = |name: &str| world.scratch().join(name).display().to_string();
    std::fs::write(path("a.json"), osv("GHSA-2222-3333-4444", "left-pad", "2.0.0")).unwrap();
    world.sk(&["db", "update", "--from", &path("a.json")]).ok();
    let public = world.sk(&["db", "key", &path("key"), "--comment", "the team"]).ok();
    let stranger = world.sk(&["db", "key", &path("stranger")]).ok();
    world.sk(&["db", "key", &path("key")]).fails_with(1);
    std::fs::write(path("trusted"), format!("# keys\n{public}\n")).unwrap();
    std::fs::write(path("others"), format!("{stranger}\n")).unwrap();
    world.sk(&["db", "export", &path("facts.db"), "--sign", &path("key")]).ok();
    let wanted = digest(&world);
    world.sk(&["db", "reset"]).ok();
    let take = |key: &str| world.sk(&["db", "update", "--key", &path(key), "--from", &path("facts.db")]);
    assert!(take("others").fails_with(1).err.contains("not among the trusted ones"));
    // One byte of the facts is another.
    let whole = std::fs::read(path("facts.db")).unwrap();
    let mut forged = whole.clone();
    *forged.last_mut().unwrap() ^= 1;
    std::fs::write(path("facts.db"), &forged).unwrap();
    assert!(take("trusted").fails_with(1).err.contains("the signature is of a file with SHA-256"));
    world.sk(&["db", "update", "--unsigned", "--from", &path("facts.db")]).fails_with(1);
    std::fs::write(path("facts.db"), &whole).unwrap();
    assert!(take("trusted").ok().contains("the database now has"));
    assert_eq!(digest(&world), wanted);
    // Trusted keys of the machine count without being named.
    world.sk(&["db", "reset"]).ok();
    std::fs::write(world.root().join("db/trusted-keys"), format!("{stranger}\n")).unwrap();
    world.sk(&["db", "update", "--from", &path("facts.db")]).fails_with(1);
    std::fs::remove_file(path("facts.db.sig")).unwrap();
    let unsigned = world.sk(&["db", "update", "--from", &path("facts.db")]).fails_with(1);
    assert!(unsigned.err.contains("has no signature"), "{}", unsigned.err);
    world.sk(&["db", "update", "--unsigned", "--from", &path("facts.db")]).ok();
    assert_eq!(digest(&world), wanted);
}

/// A serving process; it ends when dropped.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_machine_serves_its_database_to_others() {
    let Some(world) = World::new() else { return };
    let path = |name: &str| world.scratch().join(name).display().to_string();
    std::fs::write(path("a.json"), osv("GHSA-2222-3333-4444", "left-pad", "2.0.0")).unwrap();
    world.sk(&["db", "update", "--from", &path("a.json")]).ok();
    let public = world.sk(&["db", "key", &path("key")]).ok();
    std::fs::write(path("trusted"), public).unwrap();
    let mut child = world
        .command(&["db", "serve", "--listen", "127.0.0.1:0", "--sign", &path("key")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _serving = Serving(child);
    let url = line.trim().strip_prefix("serving ").unwrap().to_owned();
    let Some(other) = World::new() else { return };
    let unknown = other.sk(&["db", "update", "--from", &url]).fails_with(1);
    assert!(unknown.err.contains("no trusted key vouches"), "{}", unknown.err);
    other.sk(&["db", "update", "--key", &path("trusted"), "--from", &url]).ok();
    assert_eq!(digest(&other), digest(&world));
    let again = other.sk(&["db", "update", "--key", &path("trusted"), "--from", &url]).ok();
    assert!(again.contains("nothing has changed"), "{again}");
    let host = url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(&host).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert!(ask("GET /status.json HTTP/1.1\r\n\r\n").contains("stockade.db/v1"));
    assert!(ask("GET /../../etc/passwd HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(ask("PUT /advisories.db HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400"));
    let head = ask("HEAD /advisories.db HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn after_an_update_all_images_say_what_is_new_without_being_read_again() {
    let Some(world) = World::new() else { return };
    let text = br#"{"name": "left-pad", "version": "1.0.0"}"#;
    let tar = world.scratch().join("app.tar").display().to_string();
    std::fs::write(&tar, tar_of("app/node_modules/left-pad/package.json", text)).unwrap();
    world.sk(&["import", &tar, "app:1"]).ok();
    let all = world.sk(&["scan", "--all"]).ok();
    let row = |all: &str| all.lines().find(|l| l.starts_with("app:1")).unwrap().to_owned();
    assert!(row(&all).contains(" - "), "{all}");
    let record = world.scratch().join("a.json").display().to_string();
    std::fs::write(&record, osv("GHSA-2222-3333-4444", "left-pad", "2.0.0")).unwrap();
    world.sk(&["db", "update", "--from", &record]).ok();
    // The layer's files are gone: what is known of it is in the cache.
    for entry in std::fs::read_dir(world.root().join("layers")).unwrap().flatten() {
        let file = entry.path().join("app/node_modules/left-pad/package.json");
        let _ = std::fs::remove_file(file);
    }
    let all = world.sk(&["scan", "--all"]).ok();
    assert!(all.contains("app:1: new since the facts of ") && all.contains("GHSA-2222-3333-4444 (left-pad)"), "{all}");
    let again = world.sk(&["scan", "--all"]).ok();
    assert_eq!(all, again);
    let json: serde_json::Value = serde_json::from_str(&world.sk(&["scan", "--json", "app:1"]).ok()).unwrap();
    assert_eq!(json["news"]["added"][0]["id"], "GHSA-2222-3333-4444");
}

fn tar_of(path: &str, text: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, text).unwrap();
    tar.into_inner().unwrap()
}
