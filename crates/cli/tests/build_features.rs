//! Dockerfile features with the real binary, kernel and store.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod build_common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use build_common::{World, attributes, read};

#[test]
fn stages_copy_run_and_configuration() {
    let Some(w) = World::new() else { return };
    w.file("a.txt", "A");
    w.file("sub/y.txt", "Y");
    let dockerfile = "ARG BASE=busybox:1\nFROM $BASE AS one\nARG V=1\nENV A=b PATH=/bin\nWORKDIR /app/../srv\nCOPY a.txt sub ./\n\
        RUN echo $V $A > out && pwd >> out\nFROM unused AS never\nRUN false\nFROM busybox:1\nCOPY --from=one --chown=web /srv/out /out\n\
        RUN cat /out\nEXPOSE 80 53/udp\nVOLUME /data\nUSER web\nLABEL k=\"v w\"\nSTOPSIGNAL SIGINT\n\
        HEALTHCHECK --interval=5s CMD true\nENTRYPOINT [\"cat\"]\nCMD [\"/out\"]\n";
    let ran = w.build(dockerfile, &["-t", "app", "--build-arg", "V=2", "--label", "more=x"]).ok();
    assert!(ran.out.contains("Successfully tagged app:latest"), "{}", ran.out);
    assert!(!ran.err.contains("never"), "unused stages are not built: {}", ran.err);
    let config = w.inspect("app", "{{json .Config}}");
    for part in [
        "\"80/tcp\":{}",
        "\"53/udp\":{}",
        "\"/data\":{}",
        "\"User\":\"web\"",
        "\"k\":\"v w\"",
        "\"more\":\"x\"",
        "\"StopSignal\":\"SIGINT\"",
        "\"Interval\":5000000000",
        "[\"cat\"]",
        "[\"/out\"]",
    ] {
        assert!(config.contains(part), "{part} in {config}");
    }
    let out = w.files(dockerfile, &["--build-arg", "V=2"]);
    assert_eq!(read(out.join("out")), "2 b\n/srv\n");
    assert_eq!(attributes(out.join("out")), (33, 34, 0o644));
    for stub in ["proc", "sys", "dev", "etc/resolv.conf", "etc/hosts", "run"] {
        assert!(!out.join(stub).exists(), "the mount point {stub} is in the image");
    }
}

#[test]
fn an_unchanged_build_is_cached_and_gives_the_same_image() {
    let Some(w) = World::new() else { return };
    w.file("a", "1");
    w.file("ignored.log", "1");
    w.file(".dockerignore", "*.log\n");
    let dockerfile = "FROM busybox:1\nCOPY . /src/\nRUN cat /src/a\nCMD [\"x\"]\n";
    let id = |args: &[&str]| {
        let mut all = vec!["-q"];
        all.extend(args);
        w.build(dockerfile, &all).ok().out.trim().to_owned()
    };
    let first = id(&[]);
    assert_eq!(id(&[]), first);
    // Times and ignored files are no content.
    let old = fs::File::options().write(true).open(w.path("ctx/a")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap();
    w.file("ignored.log", "2");
    let ran = w.build(dockerfile, &[]).ok();
    assert_eq!(ran.err.matches("CACHED").count(), 3, "{}", ran.err);
    assert_eq!(id(&[]), first);
    w.file("a", "2");
    let ran = w.build(dockerfile, &[]).ok();
    assert_eq!(ran.err.matches("CACHED").count(), 1, "{}", ran.err);
    fs::set_permissions(w.path("ctx/a"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_ne!(id(&[]), first, "the mode is content");
    let before = id(&[]);
    let none = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(w.path("ctx/a"), "user.note", b"x", none).unwrap();
    assert_ne!(id(&[]), before, "attributes are content");
    let ran = w.build(dockerfile, &["--no-cache"]).ok();
    assert_eq!(ran.err.matches("CACHED").count(), 1, "only the base: {}", ran.err);
}

#[test]
fn heredocs_run_and_copy() {
    let Some(w) = World::new() else { return };
    let out = w.files(
        "FROM busybox:1\nARG who=me\nRUN <<EOF\necho one > /one\necho $who >> /one\nEOF\n\
         RUN <<EOF\n#!/bin/cat\nscript\nEOF\n\
         RUN cat <<A > /two && cat <<B >> /two\nfrom a $who\nA\nfrom b\nB\n\
         COPY <<x.txt <<-'y.txt' /d/\nhello $who\nx.txt\n\t\traw $who\ny.txt\n\
         COPY --chmod=0750 --chown=1:2 <<EOF /script.sh\n#!/bin/sh\nEOF\n",
        &[],
    );
    assert_eq!(read(out.join("one")), "one\nme\n");
    assert_eq!(read(out.join("two")), "from a me\nfrom b\n");
    assert_eq!(read(out.join("d/x.txt")), "hello me\n");
    assert_eq!(read(out.join("d/y.txt")), "raw $who\n");
    assert_eq!(attributes(out.join("script.sh")), (1, 2, 0o750));
    assert!(!out.join("dev").exists());
}

#[test]
fn copy_places_files_as_docker_does() {
    let Some(w) = World::new() else { return };
    for (path, content) in
        [("f", "f"), ("dir/a", "a"), ("dir/sub/b", "b"), ("dir/skip.o", "o"), ("x1.txt", "1"), ("x2.txt", "2")]
    {
        w.file(path, content);
    }
    symlink("f", w.path("ctx/link")).unwrap();
    symlink("sub", w.path("ctx/dir/inner")).unwrap();
    symlink("/etc/passwd", w.path("ctx/absolute")).unwrap();
    w.file("etc/passwd", "from the context");
    let out = w.files(
        "FROM scratch\nCOPY f /one\nCOPY f /two/\nCOPY dir /three\nCOPY dir/ f /four/\nCOPY x?.txt /five/\nWORKDIR /six\n\
         COPY f .\nCOPY f seven\nCOPY link /eight\nCOPY absolute /nine\nCOPY --exclude=*.o dir /ten\n\
         COPY --parents dir/sub/b ./dir/./a /eleven/\nCOPY --link dir /twelve/\nCOPY [\"f\", \"/with space\"]\n\
         COPY --chmod=u=rwX,go= dir /fourteen\nCOPY nomatch* f /fifteen/\n",
        &[],
    );
    let text = |p: &str| read(out.join(p));
    assert_eq!(text("one"), "f");
    assert_eq!(text("two/f"), "f");
    assert_eq!(text("three/sub/b"), "b");
    assert_eq!((text("four/a"), text("four/f")), ("a".into(), "f".into()));
    assert_eq!((text("five/x1.txt"), text("five/x2.txt")), ("1".into(), "2".into()));
    assert_eq!((text("six/f"), text("six/seven")), ("f".into(), "f".into()));
    assert_eq!(text("eight"), "f", "a link given by name is followed");
    assert_eq!(text("nine"), "from the context", "and never out of the context");
    assert_eq!(fs::read_link(out.join("three/inner")).unwrap().to_str(), Some("sub"));
    assert!(out.join("ten/a").exists() && !out.join("ten/skip.o").exists());
    assert_eq!((text("eleven/dir/sub/b"), text("eleven/a")), ("b".into(), "a".into()));
    assert_eq!(text("twelve/sub/b"), "b");
    assert_eq!(text("with space"), "f");
    assert_eq!(attributes(out.join("fourteen/sub")).2, 0o700);
    assert_eq!(attributes(out.join("fourteen/a")).2, 0o600);
    assert_eq!(text("fifteen/f"), "f");
    assert_eq!(attributes(out.join("one")), (0, 0, 0o644));
    assert_eq!(attributes(out.join("two")), (0, 0, 0o755));
}

#[test]
fn copy_follows_links_of_the_image_inside_it_only() {
    let Some(w) = World::new() else { return };
    w.file("f", "f");
    w.file("tree/lib.so", "so");
    let outside = w.path("outside");
    fs::create_dir(&outside).unwrap();
    let dockerfile = format!(
        "FROM busybox:1\nRUN ln -s {0} /evil && ln -s /../../../../..{0}/up /evil2\nCOPY f /evil/\nCOPY f /evil2/\nCOPY f /lib/\n",
        outside.display()
    );
    let out = w.files(&dockerfile, &[]);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "nothing was written outside");
    assert_eq!(read(out.join(outside.strip_prefix("/").unwrap()).join("f")), "f");
    assert_eq!(read(out.join("usr/lib/f")), "f");
    assert!(fs::symlink_metadata(out.join("lib")).unwrap().is_symlink());
    let ran = w.build("FROM busybox:1\nCOPY tree /\nCOPY tree/lib.so /lib/lib.so\nCOPY tree /bin/sh\n", &[]);
    ran.fails(1, &["Dockerfile:4", "is not a directory"]);
}

#[test]
fn ignore_rules_hold_for_copy_and_bind_mounts() {
    let Some(w) = World::new() else { return };
    for path in ["keep/a", "keep/b.tmp", "drop/c", "drop/keep.me", "top.tmp"] {
        w.file(path, path);
    }
    w.file(".dockerignore", "**/*.tmp\ndrop\n!drop/keep.me\nDockerfile\n.dockerignore\n");
    let out = w.files(
        "FROM busybox:1\nCOPY . /c/\nRUN --mount=type=bind,target=/b cd /b && find . -type f | sort > /list && touch /b/new 2> /dev/null || echo readonly >> /list\n",
        &[],
    );
    let copied: Vec<String> = ["keep/a", "drop/keep.me"].iter().map(|p| read(out.join("c").join(p))).collect();
    assert_eq!(copied, ["keep/a", "drop/keep.me"]);
    for absent in ["keep/b.tmp", "drop/c", "top.tmp", "Dockerfile"] {
        assert!(!out.join("c").join(absent).exists(), "{absent}");
    }
    assert_eq!(read(out.join("list")), "./drop/keep.me\n./keep/a\nreadonly\n");
    assert!(!out.join("b").exists(), "the mount point is not in the image");
    w.build("FROM scratch\nCOPY drop/c /\n", &[]).fails(1, &["Dockerfile:2:6", "left out", ".dockerignore"]);
}

#[test]
fn mounts_of_every_kind() {
    let Some(w) = World::new() else { return };
    w.file("script", "echo from context");
    let secret = w.path("secret.txt");
    let value = "V3ry-s3cret-value-9f2c";
    fs::write(&secret, value).unwrap();
    let spec = format!("id=token,src={}", secret.display());
    let dockerfile = "FROM busybox:1 AS tools\nRUN mkdir /t && echo tool > /t/x\nFROM busybox:1\n\
        RUN --mount=type=secret,id=token,uid=33,mode=0440 cat /run/secrets/token | wc -c > /len && stat -c '%u %a' /run/secrets/token >> /len\n\
        RUN --mount=type=secret,id=token,env=TOKEN test -n \"$TOKEN\"\n\
        RUN --mount=type=secret,id=absent test ! -e /run/secrets/absent\n\
        RUN --mount=type=cache,target=/cache echo x >> /cache/n && wc -l < /cache/n > /count\n\
        RUN --mount=from=tools,source=/t,target=/tools,rw cat /tools/x > /tool && touch /tools/gone\n\
        RUN --mount=type=tmpfs,target=/tmp,size=1m touch /tmp/gone\n\
        RUN --mount=type=bind,source=script,target=/s sh /s > /said\n";
    let out = w.files(dockerfile, &["--secret", &spec]);
    assert_eq!(read(out.join("len")), format!("{}\n33 440\n", value.len()));
    assert_eq!(read(out.join("count")), "1\n");
    assert_eq!(read(out.join("tool")), "tool\n");
    assert_eq!(read(out.join("said")), "from context\n");
    for gone in ["cache", "tools", "tmp/gone", "run", "s"] {
        assert!(!out.join(gone).exists(), "{gone} is in the image");
    }
    // The cache lives on; the secret is nowhere.
    let out = w.files(&dockerfile.replace("/count", "/count2"), &["--secret", &spec]);
    assert_eq!(read(out.join("count2")), "2\n");
    for place in ["root", "run"] {
        assert!(!holds(&w.path(place), value.as_bytes()), "the secret is in {place}");
    }
    w.build("FROM busybox:1\nRUN --mount=type=secret,id=none,required true\n", &[])
        .fails(1, &["Dockerfile:2:", "`none`"]);
}

fn holds(dir: &std::path::Path, needle: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().flatten().any(|e| {
        let path = e.path();
        match fs::symlink_metadata(&path) {
            Ok(m) if m.is_dir() => holds(&path, needle),
            Ok(m) if m.is_file() => fs::read(&path).unwrap().windows(needle.len()).any(|w| w == needle),
            _ => false,
        }
    })
}

#[test]
fn add_unpacks_archives_and_keeps_other_files() {
    let Some(w) = World::new() else { return };
    let tree = w.path("tree");
    fs::create_dir_all(tree.join("lib")).unwrap();
    fs::write(tree.join("lib/new.so"), "so").unwrap();
    fs::write(tree.join("plain"), "p").unwrap();
    std::os::unix::fs::chown(tree.join("plain"), Some(5), Some(6)).unwrap();
    let tar = |args: &[&str], name: &str| {
        let file = w.path("ctx").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let status = std::process::Command::new("tar")
            .args(args)
            .arg("-f")
            .arg(file)
            .arg("-C")
            .arg(&tree)
            .args(["lib/new.so", "plain"])
            .status();
        assert!(status.unwrap().success());
    };
    tar(&["-c"], "a.tar");
    tar(&["-cz"], "b.bin");
    tar(&["-cJ"], "c.tar.xz");
    w.file("text.tar", "no archive at all");
    let out = w.files(
        "FROM busybox:1\nADD a.tar /\nADD b.bin /two/\nADD c.tar.xz /three\nADD text.tar /four/\nADD --unpack=false a.tar /five/\nADD --chown=1:1 a.tar /six\n",
        &[],
    );
    assert_eq!(read(out.join("usr/lib/new.so")), "so", "a link of the image is followed");
    assert!(fs::symlink_metadata(out.join("lib")).unwrap().is_symlink());
    assert_eq!(attributes(out.join("plain")), (5, 6, 0o644));
    assert_eq!(read(out.join("two/plain")), "p");
    assert_eq!(read(out.join("three/lib/new.so")), "so");
    assert_eq!(read(out.join("four/text.tar")), "no archive at all");
    assert!(out.join("five/a.tar").exists());
    assert_eq!(attributes(out.join("six/plain")), (1, 1, 0o644), "as with docker since 28");
}

#[test]
fn onbuild_triggers_run_in_the_child() {
    let Some(w) = World::new() else { return };
    w.file("app.txt", "app");
    w.build(
        "FROM busybox:1\nONBUILD COPY app.txt /app/\nONBUILD RUN cat /app/app.txt > /seen\nONBUILD ENV FROM_BASE=1\n",
        &["-t", "parent"],
    )
    .ok();
    let out = w.files("FROM parent\nRUN echo $FROM_BASE > /env\n", &[]);
    assert_eq!((read(out.join("seen")), read(out.join("env"))), ("app".into(), "1\n".into()));
    w.build("FROM parent\n", &["-t", "child"]).ok();
    assert!(!w.inspect("child", "{{json .Config}}").contains("OnBuild"), "triggers are not inherited twice");
}

#[test]
fn variables_as_the_reference_has_them() {
    let Some(w) = World::new() else { return };
    let out = w.files(
        "ARG g=global\nFROM busybox:1\nARG g\nARG a=one b=${a}two\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc a=env\n\
         RUN echo \"$g $a $b $def $ghi\" > /v\nARG TARGETARCH\nARG none\nRUN echo \"[$TARGETARCH][$none]\" >> /v\nCOPY <<EOF /w\n${abc:+set} ${nope:-unset} ${abc%e}\nEOF\n",
        &[],
    );
    let text = read(out.join("v"));
    assert!(text.starts_with("global env onetwo hello bye\n["), "{text}");
    assert!(text.ends_with("][]\n") && !text.contains("[][]"), "{text}");
    assert_eq!(read(out.join("w")), "set unset by\n");
}

#[test]
fn the_same_inputs_give_the_same_digest() {
    let Some(w) = World::new() else { return };
    w.file("a", "1");
    let dockerfile = "FROM busybox:1\nCOPY . /c/\nRUN mkdir /d && echo x > /d/y\nWORKDIR /w\nCMD [\"a\"]\n";
    let build = || w.build(dockerfile, &["-q", "--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1700000000"]).ok().out;
    let first = build();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(build(), first);
    let created = w.inspect(first.trim(), "{{.Created}}");
    assert!(created.starts_with("2023-11-14T22:13:20"), "{created}");
}

#[test]
fn other_outputs_and_inputs() {
    let Some(w) = World::new() else { return };
    w.file("f", "f");
    let tar = w.path("out.tar");
    w.build("FROM busybox:1\nCOPY f /f\n", &["-o", &format!("type=tar,dest={}", tar.display())]).ok();
    let list = std::process::Command::new("tar").arg("-tf").arg(&tar).output().unwrap();
    assert!(String::from_utf8_lossy(&list.stdout).lines().any(|l| l.trim_start_matches("./") == "f"));
    let oci = w.path("oci.tar");
    w.build("FROM busybox:1\nCOPY f /f\n", &["-t", "o", "-o", &format!("type=oci,dest={}", oci.display())]).ok();
    w.run(&["rmi", "o"]).ok();
    assert!(w.run(&["load", "-i", oci.to_str().unwrap()]).ok().out.contains("o:latest"));
    let ids = w.path("iid");
    let facts = w.path("facts.json");
    w.build(
        "FROM busybox:1\n",
        &["-t", "x", "--iidfile", ids.to_str().unwrap(), "--metadata-file", facts.to_str().unwrap()],
    )
    .ok();
    assert!(read(ids).starts_with("sha256:"));
    assert!(read(facts).contains("docker.io/library/x:latest"));
    // Standard input: a Dockerfile, or a whole context.
    w.run_with_input(&["build", "--network=none", "-t", "stdin", "-"], b"FROM busybox:1\nRUN echo hi\n").ok();
    w.run_with_input(&["build", "--network=none", "-f", "-", "ctx"], b"FROM scratch\nCOPY f /\n").ok();
    w.file("Dockerfile", "FROM scratch\nCOPY f /\n");
    let context = std::process::Command::new("tar").arg("-C").arg(w.path("ctx")).args(["-cz", "."]).output().unwrap();
    w.run_with_input(&["build", "-t", "tarred", "-"], &context.stdout).ok();
    // Another directory as a source.
    fs::create_dir(w.path("other")).unwrap();
    fs::write(w.path("other/o"), "o").unwrap();
    let out = w.files("FROM scratch\nCOPY --from=more o /\n", &["--build-context", "more=other"]);
    assert_eq!(read(out.join("o")), "o");
}

#[test]
fn the_cache_is_shown_and_pruned() {
    let Some(w) = World::new() else { return };
    let dockerfile =
        "FROM busybox:1\nRUN --mount=type=cache,target=/c dd if=/dev/zero of=/big bs=1024 count=2048 2> /dev/null\n";
    w.build(dockerfile, &["-t", "cached"]).ok();
    assert!(w.run(&["builder", "du", "-v"]).ok().out.contains("RUN --mount=type=cache"));
    w.run(&["rmi", "cached"]).ok();
    assert!(w.build(dockerfile, &[]).ok().err.contains("CACHED\n\n#5"), "the cache outlives the image");
    w.run(&["image", "prune", "-f"]);
    let pruned = w.run(&["builder", "prune", "-a", "-f"]).ok().out;
    assert!(pruned.contains("reclaimed"), "{pruned}");
    let ran = w.build(dockerfile, &["-t", "cached"]).ok();
    assert_eq!(ran.err.matches("CACHED").count(), 1, "only the base: {}", ran.err);
}
