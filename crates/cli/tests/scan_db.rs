//! `stockade db` through the real binary: updates from files and URLs, signatures, serving, and what is new after one.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;
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

/// A ZIP archive whose files are stored as they are (PKWARE's APPNOTE, 4.3).
fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |mut crc, byte| {
            crc ^= u32::from(*byte);
            (0..8).fold(crc, |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
        })
    }
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let size = u32::try_from(text.len()).unwrap().to_le_bytes();
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend(crc(text.as_bytes()).to_le_bytes());
        common.extend([size, size].concat());
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        common.extend([0, 0]);
        directory.extend([b"PK\x01\x02\x14\0".as_slice(), &common, &[0; 10]].concat());
        directory.extend(u32::try_from(out.len()).unwrap().to_le_bytes());
        directory.extend(name.as_bytes());
        out.extend([b"PK\x03\x04".as_slice(), &common, name.as_bytes(), text.as_bytes()].concat());
    }
    let (at, length) = (u32::try_from(out.len()).unwrap(), u32::try_from(directory.len()).unwrap());
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    out.extend(&directory);
    out.extend(
        [b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count, &length.to_le_bytes(), &at.to_le_bytes(), &[0, 0]].concat(),
    );
    out
}

/// Serves files that the test changes meanwhile; says what was asked for.
fn changing_server() -> (String, Arc<Mutex<BTreeMap<String, Vec<u8>>>>, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (files, asked) = (Arc::new(Mutex::new(BTreeMap::<String, Vec<u8>>::new())), Arc::new(Mutex::new(Vec::new())));
    let (served, seen) = (files.clone(), asked.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let path = lines.next().unwrap().unwrap().split(' ').nth(1).unwrap().to_owned();
            lines.map_while(Result::ok).take_while(|l| !l.is_empty()).for_each(drop);
            let found = served.lock().unwrap().get(&path).cloned();
            let (status, bytes) = found.map_or(("404 Not Found", Vec::new()), |bytes| ("200 OK", bytes));
            let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", bytes.len());
            seen.lock().unwrap().push(path);
            let _ = stream.write_all(&[head.as_bytes(), &bytes].concat());
        }
    });
    (address, files, asked)
}

#[test]
fn archives_of_osv_are_brought_up_to_date_record_by_record() {
    let Some(world) = World::new() else { return };
    let (address, files, asked) = changing_server();
    let put = |path: &str, bytes: &[u8]| {
        files.lock().unwrap().insert(path.to_owned(), bytes.to_vec());
    };
    let asked_for = || std::mem::take(&mut *asked.lock().unwrap());
    let now = jiff::Timestamp::now();
    let ago = |hours: i64| now.checked_sub(jiff::SignedDuration::from_hours(hours)).unwrap().to_string();
    let record = |id: &str, hours: i64, fixed: &str| {
        let mut record: serde_json::Value = serde_json::from_str(&osv(id, "left-pad", fixed)).unwrap();
        record["modified"] = ago(hours).into();
        record.to_string()
    };
    let (one, two) = ("GHSA-2222-3333-0001", "GHSA-2222-3333-0002");
    let list = |lines: &[(&str, i64)]| lines.iter().map(|(id, h)| format!("{},{id}\n", ago(*h))).collect::<String>();
    put("/npm/all.zip", &zip(&[(&format!("{one}.json"), &record(one, 90, "2.0.0"))]));
    put("/npm/modified_id.csv", list(&[(one, 90)]).as_bytes());
    let url = format!("{address}/npm/all.zip");
    let update = || world.sk(&["db", "update", "--unsigned", "--from", &url]);
    assert!(update().ok().contains("read 1 records of GitHub"));
    assert_eq!(asked_for(), ["/npm/modified_id.csv", "/npm/all.zip"]);
    // What changed shortly before the whole reading is read once more.
    put(&format!("/npm/{one}.json"), record(one, 90, "2.0.0").as_bytes());
    assert!(update().ok().contains("read 1 records"));
    assert_eq!(asked_for(), ["/npm/modified_id.csv".to_owned(), format!("/npm/{one}.json")]);
    // A new record and a changed one: the archive is left alone.
    put("/npm/modified_id.csv", list(&[(two, 2), (one, 3)]).as_bytes());
    put(&format!("/npm/{one}.json"), record(one, 3, "3.0.0").as_bytes());
    let broken = update().fails_with(1);
    assert!(broken.err.contains("the list names it") && broken.err.contains("nothing was changed"), "{}", broken.err);
    let before = digest(&world);
    put(&format!("/npm/{two}.json"), record(one, 2, "2.0.0").as_bytes());
    assert!(update().fails_with(1).err.contains("it is the record"));
    put(&format!("/npm/{two}.json"), record(two, 60, "2.0.0").as_bytes());
    assert!(update().fails_with(1).err.contains("the list promises"));
    assert_eq!(digest(&world), before, "a failed update leaves the old one in use");
    asked_for();
    put(&format!("/npm/{two}.json"), record(two, 2, "4.0.0").as_bytes());
    assert!(update().ok().contains("read 2 records"));
    assert_eq!(
        asked_for(),
        ["/npm/modified_id.csv".to_owned(), format!("/npm/{two}.json"), format!("/npm/{one}.json")]
    );
    let lock = world.scratch().join("package-lock.json");
    std::fs::write(&lock, r#"{"lockfileVersion": 3, "packages": {"node_modules/left-pad": {"version": "1.0.0"}}}"#)
        .unwrap();
    let file = format!("file:{}", lock.display());
    let report: serde_json::Value = serde_json::from_str(&world.sk(&["scan", "--json", &file]).ok()).unwrap();
    let fixed = |id: &str| {
        let all = report["findings"].as_array().unwrap();
        all.iter().find(|f| f["id"] == id).map(|f| f["fixed"][0].as_str().unwrap().to_owned())
    };
    assert_eq!((fixed(one).as_deref(), fixed(two).as_deref()), (Some("3.0.0"), Some("4.0.0")), "{report}");
    assert!(update().ok().contains("nothing has changed"));
    assert_eq!(asked_for(), ["/npm/modified_id.csv"]);
    // Without a list the archive is read, as from any server.
    files.lock().unwrap().remove("/npm/modified_id.csv");
    put("/npm/all.zip", &zip(&[(&format!("{two}.json"), &record(two, 1, "5.0.0"))]));
    assert!(update().ok().contains("read 1 records"));
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

#[test]
fn a_watch_tells_what_each_change_of_the_facts_brings() {
    let Some(world) = World::new() else { return };
    let text = br#"{"name": "left-pad", "version": "1.0.0"}"#;
    let tar = world.scratch().join("app.tar").display().to_string();
    std::fs::write(&tar, tar_of("app/node_modules/left-pad/package.json", text)).unwrap();
    world.sk(&["import", &tar, "app:1"]).ok();
    let record = |name: &str, id: &str| {
        let path = world.scratch().join(name).display().to_string();
        std::fs::write(&path, osv(id, "left-pad", "2.0.0")).unwrap();
        path
    };
    let once = ["watch", "db", "--once", "--exit-code", "9"];
    assert!(world.sk(&once).ok().contains("app:1: looked at for the first time, 0 findings"));
    assert_eq!(world.sk(&once).ok(), "", "told once");
    let first = record("a.json", "GHSA-2222-3333-4444");
    let news = world.sk(&[&once[..], &["--from", &first]].concat()).fails_with(9);
    assert!(news.out.contains("app:1: new since the facts of ") && news.out.contains("GHSA-2222-3333-4444 (left-pad)"));
    assert_eq!(world.sk(&once).ok(), "");
    let missing = world.sk(&[&once[..], &["--from", "/nonexistent/x.json"]].concat());
    assert!(missing.code == 0 && missing.err.contains("was not updated"), "{}", missing.err);
    world.sk(&["watch", "db", "--every", "1ms"]).fails_with(2);
    world.sk(&["watch", "db", "--exit-code", "9"]).fails_with(2);
    // One that stays notices what somebody else updates.
    let mut child =
        world.command(&["watch", "db", "--every", "1s", "-f", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let _watching = Serving(child);
    world.sk(&["db", "update", "--from", &record("b.json", "GHSA-5555-6666-7777")]).ok();
    let line = lines.find(|l| l.as_ref().is_ok_and(|l| l.contains("\"app:1\""))).unwrap().unwrap();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&told["schema"], &told["findings"]), (&"stockade.watch-db/v1".into(), &2.into()), "{line}");
    assert_eq!(told["news"]["added"][0]["id"], "GHSA-5555-6666-7777");
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../docs/schemas/watch-db-v1.json")).unwrap();
    let mut promised: Vec<_> = schema["required"].as_array().unwrap().iter().map(|k| k.as_str().unwrap()).collect();
    promised.sort_unstable();
    let mut written: Vec<_> = told.as_object().unwrap().keys().map(String::as_str).collect();
    written.sort_unstable();
    assert_eq!(written, promised);
}

fn tar_of(path: &str, text: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, text).unwrap();
    tar.into_inner().unwrap()
}
