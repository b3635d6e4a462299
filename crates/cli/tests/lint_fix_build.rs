//! What `lint --fix` writes builds to the same files as what it was given, but for what the fix is for.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

#[path = "../../base/tests/common/archive.rs"]
#[allow(dead_code)]
mod archive;
mod build_common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use build_common::World;

/// Each path with its type, mode, owner and content.
type Files = BTreeMap<String, (u32, u32, Vec<u8>)>;

fn tree(root: &Path, below: &Path, out: &mut Files) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        let meta = fs::symlink_metadata(entry.path()).unwrap();
        let content = if meta.is_symlink() {
            fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes()
        } else if meta.is_file() {
            fs::read(entry.path()).unwrap()
        } else {
            Vec::new()
        };
        out.insert(path.display().to_string(), (meta.mode(), meta.uid(), content));
        if meta.is_dir() {
            tree(root, &path, out);
        }
    }
}

struct Built {
    files: Files,
    config: serde_json::Value,
}

fn build(w: &World, dockerfile: &str, tag: &str) -> Built {
    let mut files = Files::new();
    tree(&w.files(dockerfile, &[]), Path::new(""), &mut files);
    w.build(dockerfile, &["-q", "-t", tag]).ok();
    Built { files, config: serde_json::from_str(&w.inspect(tag, "{{json .Config}}")).unwrap() }
}

/// Fixes the file of the context; twice is once; undo gives the first bytes back. Returns what it became.
fn fix(w: &World, before: &str, arguments: &[&str]) -> String {
    let path = w.file("Dockerfile", before);
    let lint = |more: &[&str]| {
        let mut all = vec!["lint", "--no-fail"];
        all.extend(more);
        all.push(path.to_str().unwrap());
        let mut command = w.command();
        command.env("STOCKADE_CONFIG", w.path("stockade.toml")).args(&all);
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{all:?}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    let mut fixing = vec!["--fix"];
    fixing.extend(arguments);
    lint(&fixing);
    let after = fs::read_to_string(&path).unwrap();
    assert_ne!(after, before, "nothing was mended");
    lint(&fixing);
    assert_eq!(fs::read_to_string(&path).unwrap(), after, "the second fix changes something");
    w.run(&["lint", "--undo"]).ok();
    assert_eq!(fs::read_to_string(&path).unwrap(), before, "undo is not byte for byte");
    after
}

/// A world whose base has programs that stand for apt-get and useradd.
fn world() -> Option<World> {
    let w = World::new()?;
    fs::write(w.path("stockade.toml"), "").unwrap();
    // It keeps lists as apt does, and writes which packages it was asked for, without versions and in order.
    let apt = "#!/bin/sh\nset -e\nif [ \"$1\" = update ]; then mkdir -p /var/lib/apt/lists; echo list > /var/lib/apt/lists/x; exit 0; fi\n\
        for word; do case \"$word\" in -*|install) ;; *) echo \"${word%%=*}\" ;; esac; done | sort >> /installed\n";
    let useradd = "#!/bin/sh\nset -e\nfor name; do :; done\necho \"$name:x:900:900::/:/bin/sh\" >> /etc/passwd\n";
    w.file("apt-get", apt);
    w.file("useradd", useradd);
    w.build("FROM busybox:1\nCOPY --chmod=755 apt-get useradd /bin/\n", &["-q", "-t", "debian:sid"]).ok();
    fs::remove_file(w.path("ctx").join("apt-get")).unwrap();
    fs::remove_file(w.path("ctx").join("useradd")).unwrap();
    w.file("a", "A");
    w.file("b", "B");
    Some(w)
}

/// What may differ beside the text.
struct Case {
    what: &'static str,
    before: &'static str,
    /// Is in the fixed file.
    becomes: &'static str,
    arguments: &'static [&'static str],
    /// Paths that the fix is meant to take away.
    gone: &'static [&'static str],
    /// Keys of the configuration that it is meant to change.
    configuration: &'static [&'static str],
}

const CASE: Case = Case { what: "", before: "", becomes: "", arguments: &[], gone: &[], configuration: &[] };

const CASES: &[Case] = &[
    Case {
        what: "packages are sorted",
        before: "FROM debian:sid\nRUN apt-get install -y --no-install-recommends \\\n    vim=1 \\\n    curl=2\n",
        becomes: "curl=2 \\\n    vim=1\n",
        ..CASE
    },
    Case {
        what: "RUN are merged",
        before: "FROM debian:sid\nRUN echo a > /a\nRUN echo b > /b\n",
        becomes: "RUN echo a > /a \\\n && echo b > /b\n",
        ..CASE
    },
    Case {
        what: "JSON form",
        before: "FROM debian:sid\nCMD echo a\n",
        becomes: "CMD [\"echo\", \"a\"]",
        configuration: &["Cmd"],
        ..CASE
    },
    Case {
        what: "package lists are cleaned, and nothing is asked or recommended",
        before: "FROM debian:sid\nRUN apt-get update && apt-get install curl=1\n",
        becomes: "apt-get install -y --no-install-recommends curl=1 && rm -rf /var/lib/apt/lists/*",
        gone: &["var/lib/apt/lists/x"],
        ..CASE
    },
    Case {
        what: "the user that is made is switched to",
        before: "FROM debian:sid\nRUN useradd -r app && echo x > /x\nEXPOSE 80\nCMD [\"cat\", \"/x\"]\n",
        becomes: "USER app\nEXPOSE 80\n",
        configuration: &["User"],
        ..CASE
    },
    Case {
        what: "a skeleton of HEALTHCHECK",
        before: "FROM debian:sid\nRUN echo x > /x\nCMD [\"cat\", \"/x\"]\n",
        becomes: "HEALTHCHECK NONE\nCMD",
        arguments: &["--enable", "DL3057"],
        configuration: &["Healthcheck"],
        ..CASE
    },
    Case {
        what: "COPY for ADD, a directory's slash, the form of ENV, LABEL for MAINTAINER",
        before: "FROM debian:sid as x\nMAINTAINER me\nenv A b c\nADD a b /c/\nCOPY a b /d/e/\nRUN echo `cat /c/a` \"$A\" > /f\n",
        becomes: "COPY a b /c/\n",
        configuration: &["Labels"],
        ..CASE
    },
    Case {
        what: "a destination of several files ends with a slash",
        before: "FROM debian:sid\nRUN mkdir /c\nCOPY a b /c/\nRUN read -p x y < /c/a; echo \"$y\" > /z\n",
        becomes: "read -r -p x y",
        ..CASE
    },
];

#[test]
fn a_fixed_file_builds_to_the_same_files() {
    let Some(w) = world() else { return };
    for case in CASES {
        let after = fix(&w, case.before, case.arguments);
        assert!(after.contains(case.becomes), "{}: {after}", case.what);
        let (old, new) = (build(&w, case.before, "old"), build(&w, &after, "new"));
        for path in case.gone {
            assert!(old.files.contains_key(*path) && !new.files.contains_key(*path), "{}: {path}", case.what);
        }
        let rest =
            |files: Files| -> Files { files.into_iter().filter(|(p, _)| !case.gone.contains(&p.as_str())).collect() };
        let (old_files, new_files) = (rest(old.files), rest(new.files));
        let differ: Vec<&String> =
            old_files.keys().chain(new_files.keys()).filter(|p| old_files.get(*p) != new_files.get(*p)).collect();
        assert!(differ.is_empty(), "{}: {differ:?}\n{after}", case.what);
        let (mut old, mut new) = (old.config, new.config);
        for config in [&mut old, &mut new] {
            case.configuration.iter().for_each(|key| drop(config.as_object_mut().unwrap().remove(*key)));
        }
        assert_eq!(old, new, "{}\n{after}", case.what);
    }
}

#[test]
fn versions_are_those_of_the_signed_archive() {
    let Some(w) = world() else { return };
    if std::env::consts::ARCH != "x86_64" {
        eprintln!("skipped: the test's archive is for amd64");
        return;
    }
    let package = |name: &str, version: &str| {
        let control =
            format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: x\nDescription: y\n");
        (control.clone(), archive::deb(&control, &[], &[]))
    };
    let spec = archive::Spec {
        release: "Origin: Debian\nSuite: unstable\nCodename: sid\nDate: Sat, 10 Feb 2024 11:07:25 UTC".to_owned(),
        packages: vec![package("curl", "8.5.0-2"), package("vim", "2:9.1.0-1")],
    };
    let key = archive::key();
    let server = archive::Server::start(archive::build(&spec, &key));
    archive::write_keyring(&key, &w.path("keyring.asc"));
    let settings =
        format!("[mirror]\ndebian = \"{}\"\nkeyring = \"{}\"\n", server.url(), w.path("keyring.asc").display());
    fs::write(w.path("stockade.toml"), settings).unwrap();
    let before = "FROM debian:sid AS base\nFROM base\nRUN apt-get install -y --no-install-recommends \\\n    curl \\\n    unknown=1 \\\n    vim\n";
    let after = fix(&w, before, &["--pin"]);
    assert_eq!(after, before.replace("curl ", "curl=8.5.0-2 ").replace("vim\n", "vim=2:9.1.0-1\n"));
    assert_eq!(build(&w, before, "old").files, build(&w, &after, "new").files);
}
