//! Pulls from several places, and of layers in every form.

use std::io::Write;
use std::sync::Mutex;

use stockade_image::config::media;
use stockade_image::{Digest, Store};
use stockade_registry::{BlobState, Client, Progress, PullOptions, RegistryError, Silent};

use crate::fake::Content;
use crate::images::{assert_clean, client, content, image, name, noise, plain, registry, tar};
use crate::server::{Reply, Server};

#[derive(Default)]
struct Recorder(Mutex<Vec<BlobState>>);

impl Progress for Recorder {
    fn blob(&self, _: &Digest, state: BlobState) {
        self.0.lock().unwrap().push(state);
    }
}

impl Recorder {
    fn saw(&self, wanted: impl Fn(&BlobState) -> bool) -> bool {
        self.0.lock().unwrap().iter().any(wanted)
    }
}

/// An image in a gzip, made by hand, as other tools make theirs.
fn by_hand(layers: &[(&str, Vec<u8>, Vec<u8>)]) -> Content {
    let mut content = Content::default();
    let diff_ids: Vec<String> = layers.iter().map(|(_, tar, _)| format!("\"{}\"", Digest::of(tar))).collect();
    let config = format!(
        r#"{{"architecture":"{}","os":"linux","config":{{"Cmd":["x"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        stockade_image::store::host_architecture(),
        diff_ids.join(",")
    );
    let describe = |kind: &str, bytes: &[u8]| {
        format!(r#"{{"mediaType":"{kind}","digest":"{}","size":{}}}"#, Digest::of(bytes), bytes.len())
    };
    let described: Vec<String> = layers.iter().map(|(kind, _, blob)| describe(kind, blob)).collect();
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}}"#,
        media::DOCKER_MANIFEST,
        describe(media::DOCKER_CONFIG, config.as_bytes()),
        described.join(",")
    );
    content.put_manifest("latest", media::DOCKER_MANIFEST, manifest.as_bytes());
    for bytes in layers.iter().map(|(_, _, blob)| blob.clone()).chain([config.into_bytes()]) {
        content.blobs.insert(Digest::of(&bytes).to_string(), bytes);
    }
    content
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn layers_in_every_compression_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let one = |i: u8| tar(&[(&format!("f{i}"), &noise(5000, i.into())[..])]);
    // estargz: a gzip member for each piece, and a table of contents as the last entry.
    let toc = tar(&[("f4", b"four"), ("stargz.index.json", b"{}")]);
    let (head, tail) = toc.split_at(1024);
    let estargz = [gzip(head), gzip(tail)].concat();
    // zstd:chunked: the table of contents in a frame that is skipped.
    let skip = [&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"toc!"].concat();
    let chunked = [zstd::encode_all(&one(5)[..], 1).unwrap(), skip].concat();
    let content_of = by_hand(&[
        (media::DOCKER_LAYER_GZIP, one(1), gzip(&one(1))),
        (media::LAYER_ZSTD, one(2), zstd::encode_all(&one(2)[..], 3).unwrap()),
        (media::LAYER_TAR, one(3), one(3)),
        (media::LAYER_GZIP, toc.clone(), estargz),
        (media::LAYER_ZSTD, one(5), chunked),
        // The same again: images repeat empty layers.
        (media::DOCKER_LAYER_GZIP, one(1), gzip(&one(1))),
    ]);
    let manifest = Digest::of(&content_of.manifests["latest"].1);
    let server = content_of.serve(|_| None);
    let reference = name(&format!("{}/a", server.host));
    let pulled = client(&[&server.host]).pull(&store, &reference, &PullOptions::default(), &Silent).unwrap();
    assert!(pulled.new);
    assert_eq!((pulled.digest, pulled.image.manifest_digest), (manifest, manifest));
    assert_eq!(content(&store, &pulled.image, "f1"), noise(5000, 1));
    assert_eq!(pulled.image.names, [format!("{}/a:latest", server.host)]);
    assert_clean(&store);

    let before = server.requests().len();
    let again = client(&[&server.host]).pull(&store, &reference, &PullOptions::default(), &Silent).unwrap();
    assert!(!again.new);
    assert_eq!(server.requests().len() - before, 2, "only the manifest and the configuration");
    // By digest, and both, the store finds it again.
    for text in [format!("{}/a@{manifest}", server.host), format!("{}/a:latest@{manifest}", server.host)] {
        client(&[&server.host]).pull(&store, &name(&text), &PullOptions::default(), &Silent).unwrap();
        assert!(store.resolve(&text).unwrap().is_some(), "{text}");
    }
}

#[test]
fn foreign_layers_and_old_schemas_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let layer = tar(&[("a", b"b")]);
    let foreign =
        by_hand(&[("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", layer.clone(), gzip(&layer))]);
    let server = foreign.serve(|_| None);
    let get = |server: &Server| {
        client(&[&server.host]).pull(&store, &name(&format!("{}/a", server.host)), &PullOptions::default(), &Silent)
    };
    assert!(get(&server).unwrap_err().to_string().contains("not to be distributed"));
    let server =
        Server::new(|_| Reply::new(200, r#"{"schemaVersion":1,"name":"a","tag":"latest","fsLayers":[],"history":[]}"#));
    assert!(get(&server).unwrap_err().to_string().contains("manifest schema 1"));
    assert_clean(&store);
}

#[test]
fn mirrors_are_asked_first_and_replaced_where_they_fail() {
    let dir = tempfile::tempdir().unwrap();
    let source = Store::open(&dir.path().join("source")).unwrap();
    let made = image(&source, &[noise(200_000, 1), noise(1000, 2)], &[]);
    let good = Content::of(&source, &made, "latest");
    let layer = made.manifest.layers[0].digest.to_string();
    let origin = good.clone().serve(|_| None);

    let run = |mirrors: &[&Server], store: &str| {
        let store = Store::open(&dir.path().join(store)).unwrap();
        let hosts: Vec<&str> = mirrors.iter().map(|m| m.host.as_str()).chain([origin.host.as_str()]).collect();
        let mut options = plain(&hosts);
        let mirrors: Vec<&str> = mirrors.iter().map(|m| m.host.as_str()).collect();
        options.registries = vec![registry(&origin.host, &mirrors, None)];
        options.parallel = 1;
        let reference = name(&format!("{}/a", origin.host));
        let recorder = Recorder::default();
        let pulled = Client::new(options).pull(&store, &reference, &PullOptions::default(), &recorder);
        assert_clean(&store);
        (pulled, recorder)
    };

    // One that has nothing, then one that has all: the registry itself is not asked.
    let empty = Content::default().serve(|_| None);
    let full = good.clone().serve(|_| None);
    let (pulled, _) = run(&[&empty, &full], "1");
    assert_eq!(pulled.unwrap().host, full.host);
    assert!(origin.requests().is_empty());

    // One whose blob is another: the next place's is taken.
    let bad = good.clone().serve({
        let (layer, wrong) = (layer.clone(), noise(good.blobs[&layer].len(), 5));
        move |request| request.path.contains(&layer).then(|| Reply::new(200, wrong.clone()))
    });
    let (pulled, recorder) = run(&[&bad], "2");
    assert_eq!(pulled.unwrap().image.id, made.id);
    assert!(recorder.saw(|s| matches!(s, BlobState::Retrying(words) if words.contains("not what was promised"))));
    assert_eq!(origin.asked(&layer).len(), 1);

    // One that lacks the blob.
    let lacking = good.clone().serve({
        let layer = layer.clone();
        move |request| request.path.contains(&layer).then(|| Reply::new(404, ""))
    });
    let (pulled, _) = run(&[&lacking], "3");
    pulled.unwrap();

    // Nobody has it: everybody's story is told.
    let gone = Content::default().serve(|_| None);
    let store = Store::open(&dir.path().join("4")).unwrap();
    let mut options = plain(&[&empty.host, &gone.host]);
    options.registries = vec![registry(&gone.host, &[&empty.host], None)];
    let reference = name(&format!("{}/nothing", gone.host));
    let error = Client::new(options).pull(&store, &reference, &PullOptions::default(), &Silent).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, RegistryError::Nowhere { .. }));
    assert!(text.contains(&empty.host) && text.contains(&gone.host) && text.contains("manifest unknown"), "{text}");
}

#[test]
fn short_names_are_looked_up_where_the_settings_say() {
    let dir = tempfile::tempdir().unwrap();
    let source = Store::open(&dir.path().join("source")).unwrap();
    let made = image(&source, &[b"x".to_vec()], &[]);
    let server = Content::of(&source, &made, "1").serve(|_| None);
    let store = Store::open(&dir.path().join("store")).unwrap();
    let mut options = plain(&[&server.host]);
    options.registries = vec![registry(&server.host, &[], None)];
    options.registries[0].search = true;
    let pulled = Client::new(options).pull(&store, &name("tool:1"), &PullOptions::default(), &Silent).unwrap();
    assert_eq!(pulled.found_as.unwrap().to_string(), format!("{}/tool:1", server.host));
    assert_eq!(store.resolve("tool:1").unwrap().unwrap().id, made.id);
    assert_eq!(store.resolve(&format!("{}/tool:1", server.host)).unwrap().unwrap().id, made.id);
    assert!(server.asked("/v2/tool/manifests/1").len() == 1);
}

#[test]
fn many_pulls_at_once_fetch_each_blob_once() {
    let dir = tempfile::tempdir().unwrap();
    let source = Store::open(&dir.path().join("source")).unwrap();
    let made = image(&source, &[noise(400_000, 1), noise(300_000, 2), noise(10, 3)], &[]);
    let server = Content::of(&source, &made, "latest").serve(|_| None);
    let root = dir.path().join("store");
    let reference = name(&format!("{}/a", server.host));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // A store and a client of its own, as another process has.
                let store = Store::open(&root).unwrap();
                let pulled =
                    client(&[&server.host]).pull(&store, &reference, &PullOptions::default(), &Silent).unwrap();
                assert_eq!(pulled.image.id, made.id);
            });
        }
    });
    for layer in &made.manifest.layers {
        assert_eq!(server.asked(&layer.digest.to_string()).len(), 1);
    }
    assert_clean(&Store::open(&root).unwrap());
}

#[test]
fn a_pull_can_be_cancelled() {
    struct Impatient;
    impl Progress for Impatient {
        fn cancelled(&self) -> bool {
            true
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let server = Content::default().serve(|_| None);
    let reference = name(&format!("{}/a", server.host));
    let error = client(&[&server.host]).pull(&store, &reference, &PullOptions::default(), &Impatient).unwrap_err();
    assert!(matches!(error, RegistryError::Cancelled));
}

#[test]
fn another_platform_must_be_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let source = Store::open(&dir.path().join("source")).unwrap();
    let made = crate::images::image_for(&source, &[b"x".to_vec()], &[], "s390x");
    let server = Content::of(&source, &made, "latest").serve(|_| None);
    let store = Store::open(&dir.path().join("store")).unwrap();
    let reference = name(&format!("{}/a", server.host));
    let platform = |text| PullOptions { platform: Some(stockade_registry::parse_platform(text).unwrap()) };
    let client = client(&[&server.host]);
    client.pull(&store, &reference, &platform("linux/s390x"), &Silent).unwrap();
    let error = client.pull(&store, &reference, &platform("linux/riscv64"), &Silent).unwrap_err();
    assert!(matches!(error, RegistryError::NoPlatform { .. }), "{error}");
    struct Notes(Mutex<Vec<String>>);
    impl Progress for Notes {
        fn note(&self, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
    let notes = Notes(Mutex::default());
    client.pull(&store, &reference, &PullOptions::default(), &notes).unwrap();
    assert!(notes.0.lock().unwrap()[0].contains("is made for linux/s390x"));
}
