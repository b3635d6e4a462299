//! Build secrets reach the step that mounts them, and nothing that stays.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod build_common;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use build_common::{World, read};
use stockade_image::LayerReader;

/// Every file below `dir` that holds `needle`, in its bytes or in what they are compressed from.
fn holding(dir: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(path) = pending.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if metadata.is_file() {
            let bytes = fs::read(&path).unwrap();
            let mut plain = Vec::new();
            // What is not compressed comes out as it is; what is no stream at all fails, and was looked at raw.
            if let Ok(mut reader) = LayerReader::new(bytes.as_slice()) {
                let _ = reader.read_to_end(&mut plain);
            }
            if [bytes, plain].iter().any(|b| b.windows(needle.len()).any(|w| w == needle)) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn the_search_finds_what_is_there() {
    let Some(w) = World::new() else { return };
    w.build("FROM busybox:1\nRUN echo needle-in-a-layer > /f\n", &[]).ok();
    let found = holding(&w.root(), b"needle-in-a-layer");
    assert!(found.iter().any(|p| p.starts_with(w.root().join("image/blobs"))), "in a compressed blob: {found:?}");
    assert!(found.iter().any(|p| p.starts_with(w.root().join("layers"))), "in an unpacked layer: {found:?}");
}

#[test]
fn no_secret_stays_in_the_store_or_in_the_volatile_directory() {
    let Some(w) = World::new() else { return };
    let values = ["s3cret-of-the-file-9f8a", "s3cret-of-the-variable-7c6b", "s3cret-of-the-failure-5d4e"];
    fs::write(w.path("file"), values[0]).unwrap();
    fs::write(w.path("failing"), values[2]).unwrap();
    let file = "id=file,src=file".to_owned();
    let run = |dockerfile: &str, args: &[&str]| {
        w.file("Dockerfile", dockerfile);
        let mut command = w.command();
        command.env("FROM_ENV", values[1]);
        command.args([
            "build",
            "--network=none",
            "--progress=plain",
            "--secret",
            &file,
            "--secret",
            "id=variable,env=FROM_ENV",
        ]);
        command.args(["--secret", "id=failing,src=failing"]).args(args).arg("ctx");
        let out = command.output().unwrap();
        (out.status.code().unwrap(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let mount = "RUN --mount=type=secret,id=";
    let dockerfile = format!(
        "FROM busybox:1\n{mount}file test \"$(cat /run/secrets/file)\" = {0} && wc -c < /run/secrets/file > /size\n\
         {mount}variable,env=TOKEN test ${{#TOKEN}} = {1} && echo ${{#TOKEN}} >> /size\n\
         {mount}file,target=/deep/er/s,uid=33,mode=0440 test -s /deep/er/s\n\
         RUN test ! -e /run/secrets && test ! -e /deep && test -z \"$TOKEN\"\n",
        values[0],
        values[1].len()
    );
    // The comparison itself must not put the value into the image's history: take it from a second secret.
    let dockerfile =
        dockerfile.replace(&format!("test \"$(cat /run/secrets/file)\" = {}", values[0]), "test -s /run/secrets/file");
    let cache = w.path("cache");
    let to = format!("type=local,dest={},mode=max", cache.display());
    let (code, err) = run(&dockerfile, &["-t", "with", "--provenance=mode=max", "--cache-to", &to]);
    assert_eq!(code, 0, "{err}");
    let archive = w.path("with.tar");
    w.run(&["save", "-o", archive.to_str().unwrap(), "with"]).ok();
    // Steps that fail while they hold a secret, in both forms.
    for form in ["failing", "failing,env=BROKEN"] {
        let (code, err) = run(&format!("FROM busybox:1\n{mount}{form} touch /x && false\n"), &[]);
        assert_eq!(code, 1, "{err}");
        let (code, _) = run(&format!("FROM busybox:1\n{mount}{form} [\"/no/such\"]\n"), &[]);
        assert_eq!(code, 1);
    }
    // One that is missing, beside one that is there.
    let (code, err) =
        run(&format!("FROM busybox:1\n{mount}file --mount=type=secret,id=none,required=true true\n"), &[]);
    assert!(code == 1 && err.contains("`none`"), "{err}");
    for value in values {
        for place in [w.root(), w.path("run"), cache.clone()] {
            assert_eq!(holding(&place, value.as_bytes()), Vec::<PathBuf>::new(), "{value}");
        }
        assert!(!fs::read(&archive).unwrap().windows(value.len()).any(|b| b == value.as_bytes()));
    }
    let left = fs::read_dir(w.path("run/build-secrets")).map_or(0, |d| d.count());
    assert_eq!(left, 0, "the directory of secrets is empty");
    // Another value does not run the step again: the cache never saw it.
    fs::write(w.path("file"), "another value altogether").unwrap();
    let (_, err) = run(&dockerfile, &[]);
    assert_eq!(err.matches("CACHED").count(), 5, "{err}");
}

#[test]
fn names_that_look_like_secrets_are_warned_about() {
    let Some(w) = World::new() else { return };
    let ran = w.build("FROM busybox:1\nARG DB_PASSWORD\nENV API_TOKEN=x\nENV PUBLIC_KEY=y\nLABEL a=b\n", &[]).ok();
    for part in ["Dockerfile:2:5", "DB_PASSWORD", "Dockerfile:3:5", "API_TOKEN", "--mount=type=secret"] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    assert!(!ran.err.contains("warning: `PUBLIC_KEY"), "{}", ran.err);
    assert!(read(w.path("ctx/Dockerfile")).contains("ARG"));
}
