//! Sockets and files that mean harm: every answer comes in bounded time and memory, and says why nothing is known.
//! No time is measured: a test that hangs is ended by the test runner and is a failure.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use stockade_audit::docker::api::{Api, ApiError};
use stockade_audit::docker::facts::{DockerFacts, Kind};
use stockade_audit::host::Host;
use stockade_audit::{Answer, Subjects, checks, compose, kubernetes};

/// A socket where `serve` answers each connection. The threads end with the test's process.
fn socket(serve: impl Fn(UnixStream) + Send + Sync + Clone + 'static) -> (tempfile::TempDir, Api) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    let api = Api::with_patience(&path, Duration::from_millis(300), Duration::from_millis(1500));
    (dir, api)
}

/// The path of the next request; `None` where the client has gone.
fn request(reader: &mut BufReader<UnixStream>) -> Option<String> {
    let mut path = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            return path;
        }
        path = path.or_else(|| line.split(' ').nth(1).map(str::to_owned));
    }
}

fn answer(stream: &mut UnixStream, body: &str) {
    let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
}

fn why(api: &Api) -> String {
    let host = Host::live().unwrap();
    DockerFacts::gather(api, &host, Kind::Docker).unwrap_err().to_string()
}

#[test]
fn a_socket_that_hangs_is_given_up() {
    let (_dir, api) = socket(|stream| {
        let _held = stream;
        thread::sleep(Duration::from_secs(600));
    });
    assert!(why(&api).contains("too long"));
}

#[test]
fn a_socket_that_drips_is_given_up() {
    let (_dir, api) = socket(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X: y\r\n").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(why(&api).contains("too"), "{}", why(&api));
}

#[test]
fn endless_answers_are_cut_off() {
    for head in
        ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "", "HTTP/1.1 200 OK\r\n"]
    {
        let (_dir, api) = socket(move |mut stream| {
            let _ = stream.write_all(head.as_bytes());
            let piece = match head.contains("chunked") {
                true => format!("10000\r\n{}\r\n", "a".repeat(0x10000)),
                false => "[".repeat(0x10000),
            };
            while stream.write_all(piece.as_bytes()).is_ok() {}
        });
        assert!(!why(&api).is_empty());
    }
}

#[test]
fn lies_are_refused_with_their_reason() {
    for (bytes, word) in [
        (&b"SSH-2.0-x\r\n"[..], "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{{{", "not JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}", "too long"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 15\r\n\r\n{\"message\":\"x\"}", "500"),
        (b"", "closed"),
    ] {
        let (_dir, api) = socket(move |mut stream| {
            let _ = request(&mut BufReader::new(stream.try_clone().unwrap()));
            let _ = stream.write_all(bytes);
        });
        assert!(why(&api).contains(word), "{word}: {}", why(&api));
    }
}

#[test]
fn a_deeply_nested_answer_is_an_error() {
    let (_dir, api) = socket(|mut stream| {
        let _ = request(&mut BufReader::new(stream.try_clone().unwrap()));
        answer(&mut stream, &"[".repeat(1 << 20));
    });
    assert!(why(&api).contains("not JSON"));
}

#[test]
fn nobody_there_is_said() {
    let api = Api::new(Path::new("/nonexistent/docker.sock"));
    assert!(matches!(api.get("/info"), Err(ApiError::Connect { .. })));
}

/// The daemon answers at first, and then hangs on the third container: the others are audited, this one is unknown.
#[test]
fn what_hangs_half_way_is_unknown_and_the_rest_is_known() {
    let (_dir, api) = socket(|stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some(path) = request(&mut reader) {
            match path.as_str() {
                "/info" => answer(&mut stream, "{\"Containers\": 3, \"SecurityOptions\": []}"),
                "/containers/json" => {
                    answer(&mut stream, "[{\"Id\":\"a\"},{\"Id\":\"b\"},{\"Id\":\"c\"},{\"Nothing\":1}]")
                }
                "/images/json" => answer(&mut stream, "\"no list\""),
                "/containers/c/json" => thread::sleep(Duration::from_secs(600)),
                p if p.ends_with("/json") => {
                    answer(&mut stream, "{\"Id\":\"a\",\"Name\":\"/ok\",\"HostConfig\":{\"Privileged\":true}}")
                }
                _ => answer(&mut stream, "{}"),
            }
        }
    });
    let host = Host::live().unwrap();
    let facts = DockerFacts::gather(&api, &host, Kind::Docker).unwrap();
    let report = checks::run(&Subjects { engines: vec![&facts], ..Subjects::default() });
    let of =
        |answer| report.checks.iter().filter(|c| c.meta.id == "privileged-container" && c.result == answer).count();
    assert_eq!((of(Answer::Fail), of(Answer::Unknown)), (2, 1));
    let unknown = report.checks.iter().find(|c| c.subject == "container number 3").unwrap();
    assert!(unknown.evidence.contains("too long"), "{}", unknown.evidence);
    // The list of images was none: that is not "no images".
    let images = report.checks.iter().find(|c| c.subject == "image number 1").unwrap();
    assert!(images.result == Answer::Unknown && images.evidence.contains("no list"), "{}", images.evidence);
}

/// A client keeps its connections: many containers over few connections.
#[test]
fn connections_are_used_again_and_closed_ones_are_replaced() {
    let (_dir, api) = socket(|stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        // After three answers the daemon closes without a word.
        for _ in 0..3 {
            let Some(path) = request(&mut reader) else { return };
            answer(&mut stream, &format!("\"{path}\""));
        }
    });
    let paths: Vec<String> = (0..50).map(|i| format!("/{i}")).collect();
    let answers: Vec<_> = api.get_all(&paths).into_iter().map(|a| a.unwrap()).collect();
    assert_eq!(answers, paths.iter().map(|p| serde_json::json!(p)).collect::<Vec<_>>());
}

fn both(bytes: &[u8]) -> [bool; 2] {
    [compose::check("f", bytes).is_err(), kubernetes::check("f", bytes).is_err()]
}

#[test]
fn bombs_in_yaml_are_errors() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..30 {
        bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", ")));
    }
    bomb.push_str("services: {web: *a29}\n");
    assert_eq!(both(bomb.as_bytes()), [true, true]);
    // As merges, which are looked through.
    let mut merges = String::from("m0: &m0 {k: v}\n");
    for i in 1..40 {
        merges.push_str(&format!("m{i}: &m{i}\n  <<: [*m{0}, *m{0}, *m{0}]\n", i - 1));
    }
    merges.push_str("services:\n  web: *m39\n");
    assert_eq!(both(merges.as_bytes()), [true, true]);
    // Many anchors and many aliases, each small.
    let mut many = String::from("list:\n");
    for i in 0..50_000 {
        many.push_str(&format!("- &x{i} a\n- *x{i}\n"));
    }
    many.push_str("services: {web: {image: a}}\n");
    assert_eq!(both(many.as_bytes()), [false, false]);
}

#[test]
fn large_and_broken_files_are_errors() {
    let large = vec![b'a'; (50 << 20) + 1];
    assert_eq!(both(&large), [true, true]);
    for bytes in [&b"\xff\xfe\x00"[..], b"services: {web: {image: \xc3\x28}}", b"\x00"] {
        assert!(compose::check("f", bytes).is_err());
    }
    for open in ["[", "{", "- ", "? ", "&a [", "{a: "] {
        assert!(compose::check("f", open.repeat(100_000).as_bytes()).is_err(), "{open}");
    }
    // 50 MB of items, of one text, and of services.
    let items = format!("services:\n  web:\n    cap_add: [{}]\n", "A,".repeat(24 << 20));
    assert!(compose::check("f", items.as_bytes()).unwrap_err().message.contains("too"));
    let text = format!("services:\n  web:\n    image: {}\n", "a".repeat(49 << 20));
    assert!(compose::check("f", text.as_bytes()).unwrap().iter().all(|r| r.evidence.len() < 1000));
    let services: String = (0..6000).map(|i| format!("  s{i}: {{image: a}}\n")).collect();
    assert!(compose::check("f", format!("services:\n{services}").as_bytes()).is_err());
    let pods = "kind: Pod\nspec: {}\n---\n".repeat(6000);
    assert!(kubernetes::check("f", pods.as_bytes()).is_err());
}

#[test]
fn a_thousand_faults_are_shown_in_short() {
    let devices = "/dev/sda, ".repeat(1000);
    let results = compose::check("f", format!("services: {{web: {{devices: [{devices}]}}}}").as_bytes()).unwrap();
    let evidence = &results.iter().find(|r| r.meta.id == "compose-devices").unwrap().evidence;
    assert!(evidence.ends_with("; and 980 more"), "{evidence}");
}
