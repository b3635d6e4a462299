//! What is attached to images that are built, and builds that are done twice.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod build_common;

use std::fs;

use build_common::World;
use serde_json::Value;
use stockade_image::Store;

const TYPES: [&str; 3] = ["application/vnd.cyclonedx+json", "application/spdx+json", "application/vnd.in-toto+json"];

/// A Dockerfile with one package that the inventory finds.
const DOCKERFILE: &str = "FROM busybox:1\nARG TOKENISH=x\nCOPY package-lock.json /app/\nRUN echo hi > /hi\n";

fn with_package(w: &World) {
    w.file(
        "package-lock.json",
        r#"{"name":"app","lockfileVersion":3,"packages":{"":{"name":"app"},
            "node_modules/left-pad":{"version":"1.3.0","resolved":"https://r/left-pad.tgz","integrity":"sha512-x"}}}"#,
    );
}

fn attached(w: &World, image: &str) -> Vec<(String, Value)> {
    let store = Store::open(&w.root()).unwrap();
    let image = store.resolve(image).unwrap().unwrap();
    let mut out = Vec::new();
    for kind in TYPES {
        if let Some(bytes) = store.attached(&image, kind).unwrap() {
            out.push((kind.to_owned(), serde_json::from_slice(&bytes).unwrap()));
        }
    }
    out
}

#[test]
fn every_image_has_its_bill_of_materials_and_its_provenance() {
    let Some(w) = World::new() else { return };
    with_package(&w);
    let ran = w.build(DOCKERFILE, &["-t", "app:1", "--build-arg", "TOKENISH=keep-me-out"]).ok();
    assert!(ran.err.contains("attaching"), "{}", ran.err);
    let store = Store::open(&w.root()).unwrap();
    let image = store.resolve("app:1").unwrap().unwrap();
    let documents = attached(&w, "app:1");
    assert_eq!(documents.iter().map(|d| d.0.as_str()).collect::<Vec<_>>(), TYPES);
    let (cyclonedx, spdx, statement) = (&documents[0].1, &documents[1].1, &documents[2].1);
    assert_eq!(cyclonedx["bomFormat"], "CycloneDX");
    assert!(cyclonedx.to_string().contains("pkg:npm/left-pad@1.3.0"), "{cyclonedx}");
    assert_eq!(spdx["spdxVersion"], "SPDX-2.3");
    assert!(spdx.to_string().contains("left-pad"));
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], image.manifest_digest.hex());
    let predicate = &statement["predicate"];
    assert_eq!(predicate["buildDefinition"]["externalParameters"]["buildArgs"][0], "TOKENISH");
    assert!(!statement.to_string().contains("keep-me-out"), "values of arguments are not told unless asked for");
    let base = store.resolve("busybox:1").unwrap().unwrap().manifest_digest.hex();
    assert!(predicate["buildDefinition"]["resolvedDependencies"].to_string().contains(&base), "{predicate}");

    // They are OCI referrers: manifests that name their subject.
    for entry in store.referrers(&image.manifest_digest).unwrap() {
        let manifest = store.referrer_manifest(&entry).unwrap();
        assert_eq!(manifest.subject.unwrap().digest, image.manifest_digest);
        assert_eq!(manifest.artifact_type, entry.artifact_type);
    }
    assert!(store.verify().unwrap().is_empty());
    drop(store);

    // An unchanged build attaches nothing anew.
    let ran = w.build(DOCKERFILE, &["-t", "app:1", "--build-arg", "TOKENISH=keep-me-out"]).ok();
    assert!(!ran.err.contains("attaching"), "{}", ran.err);
    // They go with their image.
    let blobs = || fs::read_dir(w.root().join("image/blobs/sha256")).unwrap().count();
    let before = blobs();
    w.run(&["rmi", "app:1"]).ok();
    assert!(before - blobs() >= 8, "three documents, three manifests, the image's own two: {before} and {}", blobs());
    assert_eq!(fs::read_dir(w.root().join("referrers")).unwrap().count(), 0);
    assert!(Store::open(&w.root()).unwrap().verify().unwrap().is_empty());
}

#[test]
fn attestations_can_be_left_out_and_can_tell_more() {
    let Some(w) = World::new() else { return };
    with_package(&w);
    w.build(DOCKERFILE, &["-t", "none", "--sbom=false", "--provenance=false"]).ok();
    assert!(attached(&w, "none").is_empty());
    w.build(DOCKERFILE, &["-t", "some", "--label", "x=1", "--attest", "type=provenance,disabled=true"]).ok();
    assert_eq!(attached(&w, "some").len(), 2);
    let args =
        ["-t", "more", "--label", "x=2", "--sbom=false", "--provenance=mode=max", "--build-arg", "TOKENISH=told"];
    w.build(DOCKERFILE, &args).ok();
    let documents = attached(&w, "more");
    assert_eq!(documents.len(), 1);
    let parameters = &documents[0].1["predicate"]["buildDefinition"]["externalParameters"];
    assert_eq!(parameters["buildArgs"]["TOKENISH"], "told");
    assert_eq!(parameters["dockerfile"]["text"], DOCKERFILE);
    w.build(DOCKERFILE, &["--sbom=generator=x"]).fails(2, &["--sbom"]);
}

#[test]
fn a_reproducible_build_is_told_from_one_that_is_not() {
    let Some(w) = World::new() else { return };
    w.file("f", "x");
    let ran = w.build(
        "FROM busybox:1\nCOPY f /d/f\nRUN mkdir /e && echo y > /e/y && ln /e/y /e/z\n",
        &["-t", "same", "--check-reproducible"],
    );
    assert!(ran.ok().out.contains("reproducible: two builds gave"));
    w.run(&["image", "inspect", "same"]).ok();
    let dockerfile = "FROM busybox:1\nRUN echo a > /a\nRUN cat /proc/sys/kernel/random/uuid > /id; echo b > /z\n";
    let ran = w.build(dockerfile, &["--check-reproducible"]).fails(
        1,
        &[
            "not reproducible: RUN /bin/sh -c cat /proc",
            "`/id` (content)",
            "first build:  sha256:",
            "second build: sha256:",
        ],
    );
    let digests: Vec<&str> = ran.err.split_whitespace().filter(|w| w.starts_with("sha256:")).collect();
    assert!(digests.len() == 2 && digests[0] != digests[1], "{digests:?}");
    let dockerfile = "FROM busybox:1\nRUN touch /$(cat /proc/sys/kernel/random/uuid)\n";
    w.build(dockerfile, &["--check-reproducible"]).fails(1, &["(presence)", "present", "absent"]);
}

#[test]
fn times_are_clamped_to_the_epoch_everywhere() {
    let Some(w) = World::new() else { return };
    w.file("f", "x");
    let dockerfile = "FROM busybox:1\nWORKDIR /made\nCOPY f /c/f\nADD f /d/f\nRUN mkdir /e && touch /e/y && ln -s y /e/l\n\
        COPY <<EOF /h\nhere\nEOF\n";
    let tar = w.path("out.tar");
    w.build(
        dockerfile,
        &["--build-arg", "SOURCE_DATE_EPOCH=1500000000", "-o", &format!("type=tar,dest={}", tar.display())],
    )
    .ok();
    let list = std::process::Command::new("tar").env("TZ", "UTC").arg("-tvf").arg(&tar).output().unwrap();
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    for name in ["made/", "c/f", "d/f", "e/y", "e/l -> y", "h"] {
        let line = list.lines().find(|l| l.ends_with(&format!(" {name}")) || l.ends_with(&format!(" ./{name}")));
        assert!(line.is_some_and(|l| l.contains("2017-07-14 02:40")), "{name}: {line:?}");
    }
    assert!(!list.contains(" 202"), "no time of this build is left:\n{list}");
}
