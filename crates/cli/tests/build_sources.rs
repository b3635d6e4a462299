//! Where builds take files from: Git repositories over both of its protocols, the ssh agent, other contexts.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod build_common;

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use build_common::{World, attributes, read};

const GIT: &str = "/usr/bin/git";
const BACKEND: &str = "/usr/lib/git-core/git-http-backend";

fn has_git() -> bool {
    let found = Path::new(GIT).exists() && Path::new(BACKEND).exists();
    if !found {
        eprintln!("skipped: git is missing (package git)");
    }
    found
}

fn git(dir: &Path, args: &[&str]) -> String {
    let out = Command::new(GIT)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", dir)
        .args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"])
        .args(["-c", "protocol.file.allow=always"])
        .arg("-C")
        .arg(dir)
        .args(args)
        .output()
        .unwrap();
    assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

/// Repositories `srv/app.git` and `srv/lib.git`: two commits, a branch, an annotated tag, a submodule, links, modes.
fn repositories(w: &World) -> HashMap<&'static str, String> {
    let mut commits = HashMap::new();
    let lib = w.path("lib");
    fs::create_dir_all(&lib).unwrap();
    git(&lib, &["init", "-q"]);
    fs::write(lib.join("lib.txt"), "library\n").unwrap();
    git(&lib, &["add", "."]);
    git(&lib, &["commit", "-qm", "lib"]);
    let srv = w.path("srv");
    fs::create_dir_all(&srv).unwrap();
    git(&srv, &["clone", "-q", "--bare", lib.to_str().unwrap(), "lib.git"]);

    let app = w.path("app");
    fs::create_dir_all(app.join("docker")).unwrap();
    git(&app, &["init", "-q"]);
    // Enough alike that the pack has differences in it.
    let text: String = (0..3000).map(|n| format!("line {n} of a long file\n")).collect();
    fs::write(app.join("big.txt"), &text).unwrap();
    fs::write(app.join("big-2.txt"), text.replace("line 77 ", "row 77 ")).unwrap();
    fs::write(app.join("run.sh"), "#!/bin/sh\n").unwrap();
    Command::new("chmod").arg("755").arg(app.join("run.sh")).status().unwrap();
    std::os::unix::fs::symlink("big.txt", app.join("link")).unwrap();
    std::os::unix::fs::symlink("/etc", app.join("escape")).unwrap();
    fs::write(app.join("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
    fs::write(app.join("docker/Dockerfile"), "FROM scratch\nCOPY only /\n").unwrap();
    fs::write(app.join("docker/only"), "only\n").unwrap();
    git(&app, &["add", "."]);
    git(&app, &["commit", "-qm", "one"]);
    git(&app, &["tag", "-a", "v1", "-m", "first"]);
    commits.insert("v1", git(&app, &["rev-parse", "HEAD"]));
    git(&app, &["submodule", "add", "-q", "../lib", "libs/lib"]);
    let modules = read(app.join(".gitmodules")).replace("url = ../lib", "url = ../lib.git");
    fs::write(app.join(".gitmodules"), modules).unwrap();
    fs::write(app.join("two.txt"), "two\n").unwrap();
    git(&app, &["add", "."]);
    git(&app, &["commit", "-qm", "two"]);
    commits.insert("main", git(&app, &["rev-parse", "HEAD"]));
    git(&app, &["checkout", "-q", "-b", "side", "v1"]);
    fs::write(app.join("side.txt"), "side\n").unwrap();
    git(&app, &["add", "."]);
    git(&app, &["commit", "-qm", "side"]);
    git(&app, &["checkout", "-q", "main"]);
    git(&srv, &["clone", "-q", "--bare", app.to_str().unwrap(), "app.git"]);
    commits
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `git daemon` on a port of its own.
fn daemon(root: &Path) -> (Server, String) {
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Not through `git`: its child would outlive it.
        let mut child = Command::new("/usr/lib/git-core/git-daemon")
            .env("PATH", "/usr/lib/git-core:/usr/bin:/bin")
            .env("HOME", root)
            .args(["--export-all", "--reuseaddr", "--listen=127.0.0.1", &format!("--port={port}")])
            .arg(format!("--base-path={}", root.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end && child.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return (Server(child), format!("git://127.0.0.1:{port}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
    panic!("git daemon does not start");
}

/// `git http-backend` behind a very small web server. Paths below `/private` want a token.
fn web(root: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let root = root.to_owned();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let root = root.clone();
            std::thread::spawn(move || serve(stream, &root));
        }
    });
    format!("http://{address}")
}

fn serve(mut stream: TcpStream, root: &Path) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length: usize = headers.get("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    if let Some(rest) = target.strip_prefix("/moved") {
        let answer =
            format!("HTTP/1.1 302 Found\r\nLocation: {rest}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return stream.write_all(answer.as_bytes()).ok();
    }
    if let Some(name) = target.strip_prefix("/files/") {
        let (status, body) = match fs::read(root.join(name)) {
            Ok(body) => ("200 OK", body),
            Err(_) => ("404 Not Found", Vec::new()),
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        return stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).ok();
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut path = path.to_owned();
    if let Some(rest) = path.clone().strip_prefix("/private") {
        // `x-access-token:open sesame`
        if headers.get("authorization").map(String::as_str) != Some("Basic eC1hY2Nlc3MtdG9rZW46b3BlbiBzZXNhbWU=") {
            let answer = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return stream.write_all(answer.as_bytes()).ok();
        }
        path = rest.to_owned();
    }
    let mut child = Command::new(BACKEND)
        .env_clear()
        .env("PATH", "/usr/lib/git-core:/usr/bin:/bin")
        .env("HOME", root)
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", method)
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("CONTENT_LENGTH", length.to_string())
        .env("CONTENT_TYPE", headers.get("content-type").cloned().unwrap_or_default())
        .env("GIT_PROTOCOL", headers.get("git-protocol").cloned().unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(&body).ok()?;
    let out = child.wait_with_output().ok()?.stdout;
    let end = out.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&out[..end]).into_owned();
    let status = head.lines().find_map(|l| l.strip_prefix("Status: ")).unwrap_or("200 OK");
    let body = &out[end + 4..];
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{head}\r\n\r\n", body.len());
    stream.write_all(answer.as_bytes()).ok()?;
    stream.write_all(body).ok()
}

#[test]
fn git_contexts_are_fetched_over_both_protocols() {
    let Some(w) = World::new().filter(|_| has_git()) else { return };
    let commits = repositories(&w);
    let (_server, daemon) = daemon(&w.path("srv"));
    let web = web(&w.path("srv"));
    for base in [&daemon, &web] {
        let out = |rest: &str, more: &[&str]| -> PathBuf {
            let out = w.path("out");
            let _ = fs::remove_dir_all(&out);
            let (url, dest) = (format!("{base}/{rest}"), format!("type=local,dest={}", out.display()));
            let mut args = vec!["build", "--network=none", "-o", &dest];
            args.extend(more);
            args.push(&url);
            w.run(&args).ok();
            out
        };
        let main = out("app.git", &[]);
        assert_eq!(read(main.join("big.txt")), read(w.path("app/big.txt")));
        assert_eq!(read(main.join("big-2.txt")), read(w.path("app/big-2.txt")));
        assert_eq!(read(main.join("libs/lib/lib.txt")), "library\n", "the submodule");
        assert_eq!(attributes(main.join("run.sh")), (0, 0, 0o755));
        assert_eq!(fs::read_link(main.join("link")).unwrap(), Path::new("big.txt"));
        assert!(!main.join(".git").exists());
        assert!(!out("app.git#v1", &[]).join("two.txt").exists(), "the annotated tag");
        assert!(out("app.git#side", &[]).join("side.txt").exists());
        assert!(!out(&format!("app.git#{}", commits["v1"]), &[]).join("two.txt").exists(), "a commit");
        assert!(out("app.git#refs/heads/side", &[]).join("side.txt").exists());
        assert_eq!(read(out("app.git#main:docker", &[]).join("only")), "only\n");
        let other = out("app.git#main:docker", &["-f", "Dockerfile"]);
        assert_eq!(read(other.join("only")), "only\n");
    }
    // The tag that moved on: the repository is asked each time.
    let moved = format!("{web}/moved/app.git");
    w.run(&["build", "-q", &moved]).ok();
    for (url, words) in [
        (format!("{web}/none.git"), "cannot fetch the repository"),
        (format!("{web}/app.git#nope"), "no branch, tag or reference `nope`"),
        (format!("{web}/app.git#main:nope"), "no directory `nope`"),
        (format!("{web}/app.git#main:escape"), "no directory `escape`"),
        (format!("{web}/app.git#{}", "0".repeat(40)), "cannot fetch the repository"),
        (format!("{web}/private/app.git"), "GIT_AUTH_TOKEN"),
        ("git@example.org:a/b.git".to_owned(), "https://"),
        ("git://127.0.0.1:1/app.git".to_owned(), "cannot be reached"),
    ] {
        let ran = w.run(&["build", &url]);
        assert!(ran.code != 0 && ran.err.contains(words), "{url}: {}", ran.err);
    }
    fs::write(w.path("token"), "open sesame\n").unwrap();
    w.run(&["build", "-q", "--secret", "id=GIT_AUTH_TOKEN,src=token", &format!("{web}/private/app.git")]).ok();
}

#[test]
fn a_context_from_the_web_is_an_archive_or_a_dockerfile() {
    let Some(w) = World::new() else { return };
    let files = w.path("srv");
    fs::create_dir_all(files.join("tree")).unwrap();
    fs::write(files.join("tree/Dockerfile"), "FROM scratch\nCOPY one /\n").unwrap();
    fs::write(files.join("tree/Other"), "FROM scratch\nCOPY one /other\n").unwrap();
    fs::write(files.join("tree/one"), "1\n").unwrap();
    fs::write(files.join("Dockerfile"), "FROM scratch\nCOPY <<EOF /two\n2\nEOF\n").unwrap();
    for (name, compress) in [("plain.tar", "--no-auto-compress"), ("packed.tar.gz", "-z")] {
        let tree = files.join("tree");
        let tar =
            Command::new("tar").arg(compress).arg("-cf").arg(files.join(name)).arg("-C").arg(tree).arg(".").status();
        assert!(tar.unwrap().success());
    }
    let whole = fs::read(files.join("packed.tar.gz")).unwrap();
    fs::write(files.join("cut.tar.gz"), &whole[..whole.len() / 2]).unwrap();
    let web = web(&files);
    let out = |name: &str, more: &[&str]| -> PathBuf {
        let out = w.path("out");
        let _ = fs::remove_dir_all(&out);
        let (url, dest) = (format!("{web}/files/{name}"), format!("type=local,dest={}", out.display()));
        w.run(&[&["build", "-o", &dest], more, &[&url]].concat()).ok();
        out
    };
    for name in ["plain.tar", "packed.tar.gz"] {
        assert_eq!(read(out(name, &[]).join("one")), "1\n");
        assert_eq!(read(out(name, &["-f", "Other"]).join("other")), "1\n");
    }
    assert_eq!(read(out("Dockerfile", &[]).join("two")), "2\n");
    for (url, words) in [
        (format!("{web}/files/none.tar"), "404"),
        (format!("{web}/files/cut.tar.gz"), "cut.tar.gz"),
        ("http://127.0.0.1:1/x.tar".to_owned(), "cannot download"),
    ] {
        let ran = w.run(&["build", "-t", "never", &url]);
        assert!(ran.code != 0 && ran.err.contains(words), "{url}: {}", ran.err);
    }
    assert!(!w.run(&["images"]).ok().out.contains("never"));
}

#[test]
fn add_takes_repositories_and_their_commits_are_cached() {
    let Some(w) = World::new().filter(|_| has_git()) else { return };
    let commits = repositories(&w);
    let web = web(&w.path("srv"));
    let dockerfile = format!("FROM scratch\nADD --chown=5:6 {web}/app.git#main:docker /d/\n");
    let out = w.files(&dockerfile, &[]);
    assert_eq!(read(out.join("d/only")), "only\n");
    assert_eq!(attributes(out.join("d/only")), (5, 6, 0o644));
    assert!(w.build(&dockerfile, &[]).ok().err.contains("CACHED"));
    let good = format!("FROM scratch\nADD --checksum={} {web}/app.git#v1 /d/\n", commits["v1"]);
    assert!(w.files(&good, &[]).join("d/big.txt").exists());
    let bad = format!("FROM scratch\nADD --checksum={} {web}/app.git /d/\n", commits["v1"]);
    w.build(&bad, &[]).fails(1, &["Dockerfile:2:", "not the promised"]);
    w.build(&format!("FROM scratch\nADD --keep-git-dir {web}/app.git /d/\n"), &[]).fails(1, &["keep-git-dir"]);
    w.build("FROM scratch\nADD git@example.org:a/b.git /d/\n", &[]).fails(1, &["Dockerfile:2:5", "https://"]);
    // A named context, and what the provenance says of it.
    let named = format!("more={web}/app.git#side");
    let facts = w.path("facts.json");
    w.build(
        "FROM scratch\nCOPY --from=more side.txt /\n",
        &["--build-context", &named, "--metadata-file", facts.to_str().unwrap()],
    )
    .ok();
    assert!(read(&facts).contains("\"gitCommit\""), "{}", read(&facts));
    assert!(w.run(&["builder", "du", "-v"]).ok().out.contains("Git checkouts"));
    w.run(&["builder", "prune", "-a", "-f"]).ok();
    assert_eq!(
        fs::read_dir(w.root().join("build/git")).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir()).count(),
        0
    );
}

#[test]
fn a_name_can_stand_for_an_image() {
    let Some(w) = World::new() else { return };
    let dockerfile = "FROM base\nCOPY --from=tools /bin/busybox /copied\n";
    let args =
        ["--build-context", "base=docker-image://busybox:1", "--build-context", "tools=docker-image://busybox:1"];
    assert!(w.files(dockerfile, &args).join("copied").exists());
    fs::create_dir_all(w.path("files")).unwrap();
    w.build("FROM base\n", &["--build-context", "base=files"]).fails(1, &["Dockerfile:1:6", "FROM scratch"]);
    w.build("FROM x\n", &["--build-context", "x=ftp://h/x"]).fails(2, &["docker-image://"]);
}

#[test]
fn the_ssh_agent_is_there_for_the_step_that_mounts_it_and_for_no_other() {
    let Some(w) = World::new() else { return };
    let tools = ["/usr/bin/ssh-agent", "/usr/bin/ssh-add", "/usr/bin/ssh-keygen"];
    if tools.iter().any(|t| !Path::new(t).exists()) {
        eprintln!("skipped: ssh-agent is missing (package openssh-client)");
        return;
    }
    let socket = w.path("agent");
    let agent = Command::new("/usr/bin/ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _agent = Server(agent);
    let end = Instant::now() + Duration::from_secs(30);
    while !socket.exists() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    let key = w.path("key");
    let made = Command::new("/usr/bin/ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "a-test-key", "-f"])
        .arg(&key)
        .status();
    assert!(made.unwrap().success());
    let added = Command::new("/usr/bin/ssh-add").env("SSH_AUTH_SOCK", &socket).arg("-q").arg(&key).status();
    assert!(added.unwrap().success());
    // The real client in the step, with its libraries.
    let libraries = Command::new("ldd").arg("/usr/bin/ssh-add").output().unwrap();
    let libraries = String::from_utf8_lossy(&libraries.stdout).into_owned();
    let mut loader = String::new();
    for path in libraries.split_whitespace().filter(|w| w.starts_with('/')) {
        let name = Path::new(path).file_name().unwrap().to_str().unwrap().to_owned();
        w.file(&format!("l/{name}"), fs::read(path).unwrap());
        if name.starts_with("ld-linux") {
            loader = name;
        }
    }
    w.file("l/ssh-add", fs::read("/usr/bin/ssh-add").unwrap());
    let run = format!("/l/{loader} --library-path /l /l/ssh-add");
    let dockerfile = format!(
        "FROM busybox:1\nCOPY --chmod=755 l /l\nRUN --mount=type=ssh,required=true {run} -l > /keys && ! {run} -D\n\
         RUN test -z \"$SSH_AUTH_SOCK\" && test ! -e /run/buildkit\n\
         RUN --mount=type=ssh,target=/s,uid=33,mode=0660 test -S /s && test \"$SSH_AUTH_SOCK\" = /s && stat -c '%u %a' /s > /stat\n"
    );
    let given = format!("default={}", socket.display());
    let out = w.files(&dockerfile, &["--ssh", &given]);
    assert!(read(out.join("keys")).contains("a-test-key"), "{}", read(out.join("keys")));
    assert_eq!(read(out.join("stat")), "33 660\n");
    assert!(!out.join("run/buildkit").exists() && !out.join("s").exists(), "no mount point stays");
    let still = Command::new("/usr/bin/ssh-add").env("SSH_AUTH_SOCK", &socket).arg("-l").output().unwrap();
    assert!(String::from_utf8_lossy(&still.stdout).contains("a-test-key"), "a step cannot take keys out of the agent");
    w.build("FROM busybox:1\nRUN --mount=type=ssh,required=true true\n", &[])
        .fails(1, &["Dockerfile:2", "--ssh default"]);
    w.build("FROM busybox:1\nRUN --mount=type=ssh true\n", &[]).ok();
    let file = format!("k={}", key.display());
    w.build("FROM busybox:1\n", &["--ssh", &file]).fails(2, &["ssh-add"]);
    w.build("FROM busybox:1\n", &["--ssh", "default"]).fails(2, &["SSH_AUTH_SOCK"]);
}
