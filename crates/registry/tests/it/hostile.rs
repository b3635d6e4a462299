//! Registries that send what they should not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stockade_image::config::media;
use stockade_image::{Digest, Image, Store};
use stockade_registry::{Client, PullOptions, RegistryError, Silent};

use crate::fake::{Content, cut, ranged};
use crate::images::{assert_clean, client, image, name, noise, partials, plain, registry};
use crate::server::{Authority, Body, Reply, Request, Server};

struct World {
    _dir: tempfile::TempDir,
    store: Store,
    image: Image,
    content: Content,
    layer: String,
}

/// A registry's content with an image of one layer, and an empty store to pull into.
fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let source = Store::open(&dir.path().join("source")).unwrap();
    let image = image(&source, &[noise(300_000, 1)], &[]);
    let content = Content::of(&source, &image, "latest");
    let layer = image.manifest.layers[0].digest.to_string();
    let store = Store::open(&dir.path().join("store")).unwrap();
    World { _dir: dir, store, image, content, layer }
}

fn pull(world: &World, server: &Server) -> Result<stockade_registry::Pulled, RegistryError> {
    let reference = name(&format!("{}/a/b", server.host));
    client(&[&server.host]).pull(&world.store, &reference, &PullOptions::default(), &Silent)
}

/// The pull fails so that the message holds the part, and the store is as it was.
#[track_caller]
fn fails(world: &World, server: &Server, part: &str) -> RegistryError {
    let error = pull(world, server).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(part), "{text}");
    assert!(text.len() < 1500, "{}", text.len());
    assert!(world.store.list().unwrap().is_empty());
    assert_clean(&world.store);
    error
}

/// A server that replaces answers to requests whose path holds `part`.
fn with(content: Content, part: &str, reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    let part = part.to_owned();
    content.serve(move |request| request.path.contains(&part).then(|| reply(request)))
}

#[test]
fn a_blob_with_another_content_is_refused() {
    let w = world();
    let bytes = w.content.blobs[&w.layer].clone();
    // As long as promised; once broken as a stream, once a different good stream.
    let server = with(w.content.clone(), &w.layer, {
        let wrong = noise(bytes.len(), 9);
        move |_| Reply::new(200, wrong.clone())
    });
    fails(&w, &server, "is not what was promised");
    let server = with(w.content.clone(), &w.layer, {
        let mut wrong = zstd::encode_all(&noise(1000, 3)[..], 1).unwrap();
        wrong.resize(bytes.len(), 0);
        move |_| Reply::new(200, wrong.clone())
    });
    fails(&w, &server, "is not what was promised");
    assert_eq!(partials(&w.store), 0);
}

#[test]
fn a_layer_that_is_not_the_configurations_is_refused() {
    let mut w = world();
    let config = w.image.manifest.config.digest.to_string();
    let diff_id = w.image.config.rootfs.diff_ids[0].to_string();
    let other = Digest::of(b"other").to_string();
    let changed = String::from_utf8(w.content.blobs[&config].clone()).unwrap().replace(&diff_id, &other);
    let manifest = String::from_utf8(w.content.manifests["latest"].1.clone()).unwrap();
    let manifest = manifest.replace(&config, &Digest::of(changed.as_bytes()).to_string());
    w.content.blobs.insert(Digest::of(changed.as_bytes()).to_string(), changed.into_bytes());
    w.content.put_manifest("latest", media::MANIFEST, manifest.as_bytes());
    let server = w.content.clone().serve(|_| None);
    fails(&w, &server, &other);
}

#[test]
fn sizes_that_contradict_the_promise_are_refused() {
    let w = world();
    let bytes = w.content.blobs[&w.layer].clone();
    for (body, part) in [
        (Body::Whole(bytes[..bytes.len() - 1].to_vec()), "the size of blob"),
        (Body::Whole([&bytes[..], b"x"].concat()), "the size of blob"),
        (Body::Chunked([&bytes[..], b"x"].concat()), "promised smaller"),
        (Body::Endless, "promised smaller"),
    ] {
        let server = with(w.content.clone(), &w.layer, move |_| Reply { body: body.clone(), ..Reply::new(200, "") });
        fails(&w, &server, part);
    }
}

#[test]
fn documents_without_end_are_cut_off() {
    let w = world();
    let endless = || Reply { body: Body::Endless, ..Reply::new(200, "") };
    let server = with(w.content.clone(), "/manifests/", move |_| endless());
    assert!(matches!(fails(&w, &server, "larger than 4194304 bytes"), RegistryError::TooLarge { .. }));
    let server = with(w.content.clone(), "/manifests/", move |_| Reply { body: Body::Endless, ..Reply::new(403, "") });
    fails(&w, &server, "refuses access");
    let server =
        with(w.content.clone(), "/manifests/", move |_| Reply::new(200, "").with("X-Long", "y".repeat(200_000)));
    fails(&w, &server, "head of an answer");
}

#[test]
fn wrong_digests_of_documents_are_refused() {
    let w = world();
    let manifest = w.content.manifests["latest"].1.clone();
    let server = with(w.content.clone(), "/manifests/latest", move |_| {
        Reply::new(200, manifest.clone())
            .with("Content-Type", media::MANIFEST)
            .with("Docker-Content-Digest", Digest::of(b"x"))
    });
    fails(&w, &server, "is not what was promised");
    // By digest, whatever the header says.
    let wanted = Digest::of(b"wanted");
    let server = with(w.content.clone(), "/manifests/", {
        let manifest = w.content.manifests["latest"].1.clone();
        move |_| Reply::new(200, manifest.clone()).with("Docker-Content-Digest", wanted)
    });
    let reference = name(&format!("{}/a/b@{wanted}", server.host));
    let error = client(&[&server.host]).pull(&w.store, &reference, &PullOptions::default(), &Silent).unwrap_err();
    assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");
}

#[test]
fn redirects_are_bounded_and_stay_on_the_web() {
    let w = world();
    for (to, part) in [
        ("/v2/a/b/manifests/latest", "too many redirects"),
        ("file:///etc/passwd", "only http and https"),
        ("http://user:password@127.0.0.1/", "user name"),
        ("ftp://127.0.0.1/x", "only http and https"),
    ] {
        let server = with(w.content.clone(), "/manifests/", move |_| Reply::redirect(307, to));
        fails(&w, &server, part);
        assert!(server.requests().len() < 12);
    }
}

#[test]
fn tls_is_not_left_by_a_redirect() {
    let w = world();
    let authority = Authority::new();
    let ca = w.store.root().join("ca.pem");
    std::fs::write(&ca, &authority.pem).unwrap();
    let outside = w.content.clone().serve(|_| None);
    let to = format!("http://{}/v2/a/b/manifests/latest", outside.host);
    let server = Server::tls(authority.config.clone(), move |_| Reply::redirect(302, &to));
    let mut options = plain(&[]);
    options.registries = vec![registry(&server.host, &[], Some(&ca))];
    let reference = name(&format!("{}/a/b", server.host));
    let error = Client::new(options).pull(&w.store, &reference, &PullOptions::default(), &Silent).unwrap_err();
    assert!(error.to_string().contains("from TLS to plain HTTP"), "{error}");
    assert!(outside.requests().is_empty());
}

#[test]
fn plain_http_needs_to_be_allowed_on_loopback_too() {
    let w = world();
    let server = w.content.clone().serve(|_| None);
    let reference = name(&format!("{}/a/b", server.host));
    let error = client(&[]).pull(&w.store, &reference, &PullOptions::default(), &Silent).unwrap_err();
    assert!(matches!(error, RegistryError::PlainHttp { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("--insecure-registry {}", server.host)) && text.contains("no exception"), "{text}");
}

#[test]
fn limits_are_waited_for_or_told_in_the_servers_words() {
    let w = world();
    let limit = |after: u64| {
        Reply::new(429, r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit"}]}"#)
            .with("Retry-After", after)
    };
    let server = with(w.content.clone(), "/manifests/", move |_| limit(3600));
    let error = fails(&w, &server, "You have reached your pull rate limit");
    assert!(error.to_string().contains("3600 seconds"), "{error}");
    assert_eq!(server.requests().len(), 1, "an hour is not waited for");

    let count = Arc::new(AtomicUsize::new(0));
    let server = w.content.clone().serve(move |request| {
        let first = request.path.contains("/manifests/") && count.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| limit(0))
    });
    pull(&w, &server).unwrap();
    assert_clean(&w.store);
}

#[test]
fn passing_errors_pass() {
    let w = world();
    let count = Arc::new(AtomicUsize::new(0));
    let server = w.content.clone().serve(move |request| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Some(Reply::new(503, "try later")),
        // The head is promised, then nothing comes.
        1 if request.path.contains("/manifests/") => {
            Some(Reply { body: Body::Cut(vec![b' '; 100], 0), ..Reply::new(500, "") })
        }
        _ => None,
    });
    pull(&w, &server).unwrap();
    let server = with(world().content, "/manifests/", |_| Reply::new(502, "the <b>moon</b> is full"));
    let w = world();
    fails(&w, &server, "the <b>moon</b> is full");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_cut_transfer_goes_on_where_it_ended() {
    let w = world();
    let bytes = w.content.blobs[&w.layer].clone();
    let count = Arc::new(AtomicUsize::new(0));
    let server = with(w.content.clone(), &w.layer, {
        let bytes = bytes.clone();
        move |request| match count.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => cut(request, &bytes, 100_000),
            _ => ranged(request, &bytes),
        }
    });
    pull(&w, &server).unwrap();
    let starts: Vec<_> = server.asked(&w.layer).iter().map(Request::range_start).collect();
    assert_eq!(starts, [None, Some(100_000), Some(200_000)]);
    assert_clean(&w.store);
}

#[test]
fn the_next_pull_goes_on_where_the_last_one_ended() {
    let w = world();
    let bytes = w.content.blobs[&w.layer].clone();
    let server = with(w.content.clone(), &w.layer, {
        let bytes = bytes.clone();
        move |request| match request.range_start() {
            None => cut(request, &bytes, 150_000),
            Some(_) => Reply { body: Body::Cut(bytes.clone(), 0), ..Reply::new(200, "") },
        }
    });
    assert!(matches!(fails(&w, &server, "is cut off after 150000 of"), RegistryError::CutOff { .. }));
    assert_eq!(partials(&w.store), 1);
    let server = w.content.clone().serve(|_| None);
    pull(&w, &server).unwrap();
    assert_eq!(server.asked(&w.layer)[0].range_start(), Some(150_000));
    assert_eq!(partials(&w.store), 0);
    assert_clean(&w.store);
}

#[test]
fn what_was_kept_and_is_damaged_is_fetched_anew() {
    let w = world();
    let bytes = w.content.blobs[&w.layer].clone();
    let dir = w.store.root().join("partial");
    std::fs::create_dir(&dir).unwrap();
    let file = dir.join(w.image.manifest.layers[0].digest.hex());
    // Zeros, as after a power cut; too long, as by another hand; garbage of the full length.
    for kept in [vec![0; 50_000], vec![7; bytes.len() + 10], noise(bytes.len(), 4)] {
        std::fs::write(&file, kept).unwrap();
        let server = w.content.clone().serve(|_| None);
        pull(&w, &server).unwrap();
        assert_clean(&w.store);
        w.store.remove(&w.image.id.to_string(), true).unwrap();
    }
}

#[test]
fn a_server_without_ranges_is_read_from_the_beginning() {
    let w = world();
    let bytes = w.content.blobs[&w.layer].clone();
    let count = Arc::new(AtomicUsize::new(0));
    let server = with(w.content.clone(), &w.layer, move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply { body: Body::Cut(bytes.clone(), 1000), ..Reply::new(200, "") },
        _ => Reply::new(200, bytes.clone()),
    });
    pull(&w, &server).unwrap();
    assert_clean(&w.store);
}

#[test]
fn a_part_that_was_not_asked_for_is_refused() {
    let w = world();
    let bytes = w.content.blobs[&w.layer].clone();
    for range in ["bytes 5-99/100", "bytes 0-99/999999999", "nonsense"] {
        let bytes = bytes.clone();
        let server = with(w.content.clone(), &w.layer, move |request| match request.range_start() {
            None => cut(request, &bytes, 1000),
            Some(_) => Reply::new(206, bytes.clone()).with("Content-Range", range),
        });
        fails(&w, &server, "wrong answer to blob");
        w.store.sweep_partials(std::time::Duration::ZERO);
    }
}

#[test]
fn indexes_without_an_image_for_this_machine_tell_what_they_have() {
    let w = world();
    let digest = Digest::of(b"x");
    let entry = |platform: &str| {
        format!(r#"{{"mediaType":"{}","digest":"{digest}","size":1,"platform":{platform}}}"#, media::MANIFEST)
    };
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{},{}]}}"#,
        media::INDEX,
        entry(r#"{"os":"plan9","architecture":"mips"}"#),
        entry(r#"{"os":"unknown","architecture":"unknown"}"#)
    );
    let mut content = w.content.clone();
    content.put_manifest("latest", media::INDEX, index.as_bytes());
    let server = content.serve(|_| None);
    fails(&w, &server, "it is made for plan9/mips");
}

#[test]
fn nested_indexes_end() {
    let w = world();
    let mut content = w.content.clone();
    let mut inner = (media::MANIFEST, content.manifests["latest"].1.clone());
    for _ in 0..6 {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{{"mediaType":"{}","digest":"{}","size":{}}}]}}"#,
            media::INDEX,
            inner.0,
            Digest::of(&inner.1),
            inner.1.len()
        );
        inner = (media::INDEX, text.into_bytes());
        content.put_manifest("latest", inner.0, &inner.1);
    }
    let server = content.serve(|_| None);
    fails(&w, &server, "nested too deeply");
}

#[test]
fn something_else_than_a_registry_is_told_so() {
    let w = world();
    for reply in
        [Reply::new(200, "<html>hello</html>"), Reply::new(200, ""), Reply::new(200, "{}"), Reply::new(200, "[1]")]
    {
        let server = with(w.content.clone(), "/manifests/", move |_| reply.clone());
        fails(&w, &server, "is not valid: it is no manifest");
    }
    let server = with(w.content.clone(), "/manifests/", |_| Reply::new(418, "I'm a teapot"));
    fails(&w, &server, "answers 418");
    let server = with(w.content.clone(), "/manifests/", |_| Reply::new(404, "nope"));
    assert!(fails(&w, &server, "does not have the manifest of a/b:latest").is_not_found());
}

#[test]
fn lists_that_lead_in_a_circle_end() {
    let server = Server::new(|request| {
        let next = if request.path.contains("last=b") { "a" } else { "b" };
        Reply::new(200, r#"{"tags":["x"]}"#).with("Link", format!(r#"</v2/a/b/tags/list?last={next}>; rel="next""#))
    });
    let reference = name(&format!("{}/a/b", server.host));
    let error = client(&[&server.host]).tags(&reference, &Silent).unwrap_err().to_string();
    assert!(error.contains("in a circle"), "{error}");

    let server =
        Server::new(|_| Reply::new(200, r#"{"tags":["x"]}"#).with("Link", r#"<http://192.0.2.1/x>; rel="next""#));
    let reference = name(&format!("{}/a/b", server.host));
    let error = client(&[&server.host]).tags(&reference, &Silent).unwrap_err().to_string();
    assert!(error.contains("must be at the same host"), "{error}");
}

#[test]
fn uploads_are_not_sent_to_where_they_must_not_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let image = image(&store, &[b"x".to_vec()], &[]);
    for (location, part) in [("file:///tmp/x", "only http and https"), ("", "does not tell where")] {
        let server = Server::new(move |request| match request.method.as_str() {
            "HEAD" => Reply::new(404, ""),
            _ if location.is_empty() => Reply::new(202, ""),
            _ => Reply::new(202, "").with("Location", location),
        });
        let reference = name(&format!("{}/a/b", server.host));
        let error = client(&[&server.host]).push(&store, &image, &reference, &Default::default(), &Silent).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}
