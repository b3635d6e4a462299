//! Input that means harm: each gives a clear error or a right result, in bounded time and memory, and writes nothing
//! outside.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod build_common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use build_common::{Ran, World, read};

/// Address space that a build may have, in KiB. Threads reserve much more than they use.
const ADDRESS_SPACE: u64 = 3_000_000;

/// Runs a build that may not have more memory than [`ADDRESS_SPACE`].
fn limited(w: &World, args: &[&str]) -> Ran {
    let mut command = w.command();
    let program = command.get_program().to_owned();
    let environment: Vec<_> = command.get_envs().map(|(k, v)| (k.to_owned(), v.map(ToOwned::to_owned))).collect();
    command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(format!("ulimit -v {ADDRESS_SPACE}; exec \"$0\" build --network=none --progress=plain \"$@\""))
        .arg(program)
        .args(args)
        .env_clear()
        .current_dir(w.path(""))
        .stdin(Stdio::null());
    for (key, value) in environment {
        if let Some(value) = value {
            command.env(key, value);
        }
    }
    command.output().unwrap().into()
}

fn build(w: &World, dockerfile: impl AsRef<[u8]>) -> Ran {
    w.file("Dockerfile", dockerfile);
    limited(w, &["ctx"])
}

#[test]
fn ten_thousand_instructions_are_built() {
    let Some(w) = World::new() else { return };
    let mut dockerfile = String::from("FROM busybox:1\n");
    for number in 0..10_000 {
        dockerfile.push_str(&format!("ENV V{number}=value-{number}\n"));
    }
    dockerfile.push_str("LABEL last=$V9999\n");
    w.file("Dockerfile", &dockerfile);
    limited(&w, &["-t", "many", "ctx"]).ok();
    assert_eq!(w.inspect("many", "{{index .Config.Labels \"last\"}}"), "value-9999");
    // And two thousand stages, each on the one base.
    let stages: String = (0..2000).map(|n| format!("FROM busybox:1 AS s{n}\n")).collect();
    build(&w, format!("{stages}FROM s1999\n")).ok();
}

#[test]
fn more_layers_than_the_kernel_mounts_are_an_error_in_words_or_work() {
    let Some(w) = World::new() else { return };
    w.file("f", "x");
    let copies: String = (0..150).map(|n| format!("COPY f /f{n}\n")).collect();
    w.file("Dockerfile", format!("FROM busybox:1\n{copies}RUN test -e /f0 && test -e /f149\n"));
    let ran = limited(&w, &["-t", "deep", "--sbom=false", "ctx"]);
    ran.ok();
}

#[test]
fn lines_without_end() {
    let Some(w) = World::new() else { return };
    let long = "x".repeat(5 << 20);
    // A value has a limit of its own; a command line has the kernel's.
    let ran = build(&w, format!("FROM scratch\nLABEL a={long}\n")).fails(1, &["Dockerfile:2:9", "longer than"]);
    assert!(ran.err.len() < 4096, "the line is not printed whole");
    build(&w, format!("FROM busybox:1\nRUN echo {long}\n")).fails(1, &["Dockerfile:2"]);
    build(&w, format!("FROM busybox:1\n{long}\n")).fails(1, &["Dockerfile:2:1", "unknown instruction"]);
    build(&w, format!("FROM busybox:1\nRUN echo a{}\n", " \\\n".repeat(300_000))).ok();
    build(&w, format!("FROM busybox:1\nRUN echo a \\\n{}", "\\\n".repeat(500_000))).ok();
    build(&w, format!("FROM busybox:1\nRUN <<E{}\n", "\nnever ends".repeat(100_000))).fails(1, &["Dockerfile:2", "E"]);
    build(&w, format!("FROM busybox:1\nRUN [{}]\n", "[".repeat(100_000))).fails(1, &["Dockerfile:2"]);
    build(&w, format!("FROM busybox:1\nENV A=${{{}}}\n", "a:-${".repeat(50_000))).fails(1, &["Dockerfile:2"]);
    build(&w, "#".repeat(5 << 20)).fails(1, &["Dockerfile:1:1", "no instructions"]);
}

#[test]
fn bytes_that_are_no_text() {
    let Some(w) = World::new() else { return };
    build(&w, b"FROM busybox:1\nRUN echo a\0b\n").fails(1, &["Dockerfile:2:"]);
    build(&w, b"FROM busybox:1\nLABEL a=\xff\xfe\n").fails(1, &["Dockerfile:2:"]);
    build(&w, b"\x7fELF\x02\x01\x01\0\0\0\0").fails(1, &["Dockerfile:1:"]);
    build(&w, b"").fails(1, &["Dockerfile"]);
    build(&w, b"\xef\xbb\xbfFROM busybox:1\n").ok();
    let ran = build(&w, b"FROM busybox:1\n\x1b[31mRUN x\n").fails(1, &["Dockerfile:2"]);
    assert!(!ran.err.contains("\x1b[31mRUN"), "control sequences of a file do not reach the terminal");
    fs::remove_file(w.path("ctx/Dockerfile")).unwrap();
    limited(&w, &["-f", "/dev/zero", "ctx"]).fails(2, &["/dev/zero", "longer than"]);
    symlink("/dev/zero", w.path("ctx/.dockerignore")).unwrap();
    w.file("Dockerfile", "FROM scratch\n");
    let ran = limited(&w, &["ctx"]);
    assert!(ran.code != 0 && ran.err.contains(".dockerignore"), "{}", ran.err);
}

#[test]
fn variables_that_grow_without_end() {
    let Some(w) = World::new() else { return };
    let mut bomb = String::from("ARG A0=xxxxxxxxxx\n");
    for n in 1..60 {
        bomb.push_str(&format!("ARG A{n}=$A{0}$A{0}\n", n - 1));
    }
    build(&w, format!("{bomb}FROM busybox:$A59\n")).fails(1, &["Dockerfile:", "longer than"]);
    build(&w, format!("FROM busybox:1\n{bomb}")).fails(1, &["Dockerfile:", "longer than"]);
    let bomb = bomb.replace("ARG", "ENV");
    build(&w, format!("FROM busybox:1\n{bomb}")).fails(1, &["longer than"]);
    let replace = format!("FROM busybox:1\nARG A={}\nENV B=${{A//x/$A}}\n", "x".repeat(100_000));
    build(&w, replace).fails(1, &["Dockerfile:3", "too long"]);
}

#[test]
fn circles() {
    let Some(w) = World::new() else { return };
    build(&w, "FROM busybox:1 AS a\nCOPY --from=b / /\nFROM busybox:1 AS b\nCOPY --from=a / /\n").fails(1, &["circle"]);
    build(&w, "FROM busybox:1 AS a\nCOPY --from=a / /x\n").fails(1, &["Dockerfile:2"]);
    build(&w, "FROM busybox:1 AS a\nRUN --mount=from=b,target=/x true\nFROM a AS b\nCOPY --from=a / /x\n")
        .fails(1, &["circle"]);
    build(&w, "FROM busybox:1\nONBUILD ONBUILD RUN x\n").fails(1, &["Dockerfile:2:9", "ONBUILD"]);
    build(&w, "FROM busybox:1\nONBUILD FROM busybox:1\n").fails(1, &["Dockerfile:2:9"]);
    // Triggers come from images that others made: import does not look at what they say.
    for (name, trigger) in
        [("t1", "ONBUILD ONBUILD RUN x"), ("t2", "ONBUILD FROM busybox:1"), ("t3", "ONBUILD COPY --from=last / /")]
    {
        let change = trigger.to_owned();
        let ran = w.run(&["import", "-c", &change, w.path("rootfs.tar").to_str().unwrap(), name]);
        if ran.code != 0 {
            continue;
        }
        let ran = build(&w, format!("FROM {name} AS first\nFROM first AS last\nRUN true\n"));
        assert!(ran.code == 1 || ran.code == 2, "{}", ran.err);
    }
    // Names that cannot be the beginning of an image's id.
    let circle = "[base]\nnorth = \"south\"\nsouth = \"north\"\n";
    w.file("stockade.toml", circle);
    let ran = build(&w, "FROM north\n");
    assert!(ran.code == 1 && ran.err.contains("cannot be had"), "{}", ran.err);
}

#[test]
fn links_do_not_lead_out_of_the_context() {
    let Some(w) = World::new() else { return };
    fs::create_dir_all(w.path("outside")).unwrap();
    fs::write(w.path("outside/secret"), "outside").unwrap();
    w.file("inside", "inside");
    let link = |target: &Path, name: &str| symlink(target, w.path("ctx").join(name)).unwrap();
    link(&w.path("outside/secret"), "file");
    link(&w.path("outside"), "dir");
    link(Path::new("../outside/secret"), "relative");
    link(Path::new("../../../../../../../../etc/passwd"), "far");
    link(Path::new("loop-b"), "loop-a");
    link(Path::new("loop-a"), "loop-b");
    link(Path::new("/proc/self/root/etc/passwd"), "proc");
    for source in
        ["file", "dir/secret", "relative", "far", "proc", "loop-a", "../outside/secret", "dir/../../outside/secret"]
    {
        let ran = build(&w, format!("FROM busybox:1\nCOPY {source} /x\n"));
        assert!(ran.code == 1 && ran.err.contains("Dockerfile:2:6"), "{source}: {}", ran.err);
        let ran = build(&w, format!("FROM busybox:1\nRUN --mount=type=bind,source={source},target=/m cat /m\n"));
        assert!(ran.code == 1 && !ran.err.contains("outside\n"), "{source}: {}", ran.err);
    }
    // A directory's links are copied as links.
    let out = w.files("FROM scratch\nCOPY . /all/\n", &[]);
    assert_eq!(fs::read_link(out.join("all/file")).unwrap(), w.path("outside/secret"));
    assert!(fs::symlink_metadata(out.join("all/dir")).unwrap().is_symlink());
    // What is no file is named, and nothing waits for it.
    let status = Command::new("mkfifo").arg(w.path("ctx/pipe")).status().unwrap();
    assert!(status.success());
    let ran = build(&w, "FROM scratch\nCOPY . /all/\n");
    assert!(ran.code == 0 || ran.err.contains("pipe"), "{}", ran.err);
    let ran = build(&w, "FROM scratch\nADD pipe /x\n");
    assert!(ran.code == 0 || ran.err.contains("pipe"), "{}", ran.err);
}

#[test]
fn links_of_the_image_do_not_lead_out_of_it() {
    let Some(w) = World::new() else { return };
    fs::create_dir_all(w.path("victim")).unwrap();
    w.file("f", "written");
    w.file("d/g", "written");
    let victim = w.path("victim").display().to_string();
    let up = "../".repeat(30);
    let dockerfile = format!(
        "FROM busybox:1\nRUN ln -s {victim} /absolute && ln -s {up}{victim} /up && ln -s /proc/self/root{victim} /proc-link\n\
         COPY f /absolute/\nCOPY f /up/two\nCOPY d /absolute/\nCOPY f /proc-link/f\nADD f /absolute/added\n\
         COPY <<E /up/heredoc\nx\nE\nWORKDIR /absolute/work\n"
    );
    let ran = build(&w, &dockerfile);
    assert_eq!(fs::read_dir(w.path("victim")).unwrap().count(), 0, "nothing is written outside: {}", ran.err);
    ran.ok();
    // A stage's links, copied with their directory, lead nowhere else either.
    let dockerfile = format!(
        "FROM busybox:1 AS a\nRUN mkdir /l && ln -s {victim} /l/v\nFROM busybox:1\nCOPY --from=a /l /l\nCOPY f /l/v/f\n"
    );
    let out = w.files(&dockerfile, &[]);
    assert_eq!(fs::read_dir(w.path("victim")).unwrap().count(), 0);
    assert_eq!(read(out.join(victim.trim_start_matches('/')).join("f")), "written");
}

/// A tar of raw headers.
fn tar(entries: &[(&str, u8, &str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, kind, link, data) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(data.len() as u64);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.extend_from_slice(&[0; 1024]);
    out
}

#[test]
fn archives_do_not_write_outside() {
    let Some(w) = World::new() else { return };
    fs::create_dir_all(w.path("victim")).unwrap();
    fs::write(w.path("victim/file"), "untouched").unwrap();
    let victim = w.path("victim").display().to_string();
    let up = format!("{}{victim}/new", "../".repeat(30));
    let cases: Vec<Vec<u8>> = vec![
        tar(&[(&up, b'0', "", b"x")]),
        tar(&[(&format!("{victim}/new"), b'0', "", b"x")]),
        tar(&[("link", b'2', &victim, b""), ("link/new", b'0', "", b"x")]),
        tar(&[("hard", b'1', &format!("{victim}/file"), b""), ("hard", b'0', "", b"x")]),
        tar(&[("a", b'2', "/", b""), ("b", b'2', &format!("a{victim}"), b""), ("b/new", b'0', "", b"x")]),
        tar(&[("link", b'2', &format!("{victim}/file"), b""), ("hard", b'1', "link", b""), ("hard", b'0', "", b"x")]),
        tar(&[("dev", b'4', "", b"")]),
        tar(&[(".wh.f", b'0', "", b""), (".wh..wh..opq", b'0', "", b"")]),
    ];
    for (number, bytes) in cases.iter().enumerate() {
        w.file("x.tar", bytes);
        for dockerfile in ["FROM busybox:1\nADD x.tar /\n", "FROM busybox:1\nADD x.tar /deep/er/\n"] {
            let ran = build(&w, dockerfile);
            let files: Vec<_> = fs::read_dir(w.path("victim")).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(files, ["file"], "case {number}: {}", ran.err);
            assert_eq!(read(w.path("victim/file")), "untouched", "case {number}");
        }
        // The same as a context.
        let mut context = bytes.clone();
        context.truncate(context.len() - 1024);
        context.extend(tar(&[("Dockerfile", b'0', "", b"FROM scratch\nCOPY . /\n")]));
        let ran = w.run_with_input(&["build", "-"], &context);
        assert_eq!(fs::read_dir(w.path("victim")).unwrap().count(), 1, "case {number}: {}", ran.err);
        assert_eq!(read(w.path("victim/file")), "untouched", "case {number}");
    }
}

#[test]
fn archives_that_grow_without_end() {
    let Some(w) = World::new() else { return };
    // A header that promises 8 EiB, and one whose stream ends early.
    let mut huge = tar(&[("big", b'0', "", b"")]);
    let mut header = tar::Header::new_gnu();
    header.set_path("big").unwrap();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(u64::MAX >> 1);
    header.set_cksum();
    huge[..512].copy_from_slice(header.as_bytes());
    w.file("x.tar", &huge);
    build(&w, "FROM scratch\nADD x.tar /\n").fails(1, &["Dockerfile:2"]);
    // 100,000 levels of directories.
    let deep = format!("{}f", "d/".repeat(100_000));
    let mut bytes = Vec::new();
    let mut builder = tar::Builder::new(&mut bytes);
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    builder.append_data(&mut header, &deep, std::io::empty()).unwrap();
    builder.finish().unwrap();
    drop(builder);
    w.file("x.tar", &bytes);
    build(&w, "FROM scratch\nADD x.tar /\n").fails(1, &["Dockerfile:2"]);
    // A gigabyte of nothing in a megabyte: unpacked if there is room, and never in memory.
    let sparse = w.path("ctx/zeros");
    fs::File::create(&sparse).unwrap().set_len(1 << 30).unwrap();
    let packed = Command::new("tar")
        .arg("-C")
        .arg(w.path("ctx"))
        .arg("-czf")
        .arg(w.path("ctx/bomb.tar.gz"))
        .arg("zeros")
        .status();
    assert!(packed.unwrap().success());
    fs::remove_file(&sparse).unwrap();
    w.file("Dockerfile", "FROM scratch\nADD bomb.tar.gz /\n");
    let ran = limited(&w, &["--sbom=false", "ctx"]);
    assert!(ran.code == 0 || ran.err.contains("Dockerfile:2"), "{}", ran.err);
    for damaged in [&b"\x1f\x8b\x08\0garbage"[..], b"\xFD7zXZ\0garbage", b"\x28\xB5\x2F\xFDgarbage"] {
        w.file("x.tar", damaged);
        // No archive after all: copied as a file, as docker does.
        let ran = build(&w, "FROM scratch\nADD x.tar /\n");
        assert!(ran.code == 0 || ran.err.contains("Dockerfile:2"), "{}", ran.err);
    }
}

#[test]
fn patterns_that_take_long_elsewhere() {
    let Some(w) = World::new() else { return };
    let name = "a".repeat(200);
    w.file(&name, "x");
    w.file(&format!("{}/{}/{}", "b".repeat(100), "b".repeat(100), "b".repeat(100)), "x");
    let mut ignore = String::new();
    ignore.push_str(&format!("{}b\n", "*a".repeat(60)));
    ignore.push_str(&format!("{}b\n", "**/".repeat(200)));
    ignore.push_str(&format!("{}c\n", "*b*/".repeat(50)));
    for number in 0..5_000 {
        ignore.push_str(&format!("never-{number}/**/x*y\n"));
    }
    w.file(".dockerignore", &ignore);
    build(&w, format!("FROM scratch\nCOPY . /\nCOPY {}b* /x/\n", "*a".repeat(60))).ok();
    w.file(".dockerignore", "[\n");
    let ran = build(&w, "FROM scratch\nCOPY . /\n");
    assert!(ran.code != 0 && ran.err.contains(".dockerignore") && ran.err.contains('1'), "{}", ran.err);
}

#[test]
fn the_dockerfile_of_an_archive_does_not_lead_out_of_it() {
    let Some(w) = World::new() else { return };
    fs::write(w.path("private"), "PRIVATE-LINE\n").unwrap();
    let private = w.path("private").display().to_string();
    for (name, link) in
        [("Dockerfile", private.as_str()), ("Dockerfile", "/dev/zero"), (".dockerignore", private.as_str())]
    {
        let mut entries = vec![(name, b'2', link, &b""[..])];
        if name == ".dockerignore" {
            entries.push(("Dockerfile", b'0', "", b"FROM scratch\nCOPY . /\n"));
        }
        let ran = w.run_with_input(&["build", "--progress=plain", "-"], &tar(&entries));
        assert!(!ran.err.contains("PRIVATE-LINE"), "{}", ran.err);
        assert!(name != "Dockerfile" || ran.code == 1, "{}", ran.err);
    }
}
