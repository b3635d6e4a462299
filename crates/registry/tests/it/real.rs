//! Against Debian's `docker-registry`. Without the package these tests say so and do nothing.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use stockade_image::{Descriptor, Digest, Store};
use stockade_registry::{
    Artifact, BlobState, Client, Credential, Document, ManifestList, Options, Progress, PullOptions, PushCompression,
    PushOptions, RegistryError, Secret, Silent,
};

use crate::fake::{cut, ranged};
use crate::images::{assert_clean, client, content, image, image_for, name, noise, plain, registry};
use crate::server::{Authority, Server};

/// A running `docker-registry`, and its files.
struct Registry {
    host: String,
    child: Child,
    dir: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// Starts one; `more` is added to its configuration. `None` if the package is not installed.
    fn start(more: impl Fn(&Path) -> String) -> Option<Registry> {
        let program = Path::new("/usr/bin/docker-registry");
        if !program.exists() {
            eprintln!("skipped: the package docker-registry is not installed");
            return None;
        }
        for _ in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let host = format!("127.0.0.1:{port}");
            let config = format!(
                "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n{}",
                dir.path().join("data").display(),
                more(dir.path()).replace("ADDR", &host)
            );
            let file = dir.path().join("config.yml");
            std::fs::write(&file, config).unwrap();
            let child = Command::new(program)
                .arg("serve")
                .arg(&file)
                .env("OTEL_TRACES_EXPORTER", "none")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut registry = Registry { host, child, dir };
            if registry.answers() {
                return Some(registry);
            }
        }
        panic!("docker-registry does not start");
    }

    /// Waits until it listens; `false` if it ended, as when another process took the port.
    fn answers(&mut self) -> bool {
        let end = Instant::now() + Duration::from_secs(60);
        while Instant::now() < end {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(&self.host).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn plain() -> Option<Registry> {
        Registry::start(|_| "http:\n  addr: ADDR\n".to_owned())
    }

    fn name(&self, rest: &str) -> stockade_image::Reference {
        name(&format!("{}/{rest}", self.host))
    }
}

#[derive(Default)]
struct Recorder(Mutex<Vec<BlobState>>);

impl Progress for Recorder {
    fn blob(&self, _: &Digest, state: BlobState) {
        self.0.lock().unwrap().push(state);
    }
}

impl Recorder {
    fn count(&self, wanted: impl Fn(&BlobState) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|s| wanted(s)).count()
    }
}

fn stores(dir: &tempfile::TempDir) -> (Store, Store) {
    (Store::open(&dir.path().join("one")).unwrap(), Store::open(&dir.path().join("two")).unwrap())
}

#[test]
fn an_image_that_was_pushed_comes_back_the_same() {
    let Some(registry) = Registry::plain() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = stores(&dir);
    let text = format!("{}/team/app:1.0", registry.host);
    let made = image(&one, &[noise(200_000, 1), noise(70_000, 2), b"small".to_vec()], &[&text]);
    let client = client(&[&registry.host]);
    let pushed = client.push(&one, &made, &name(&text), &PushOptions::default(), &Silent).unwrap();
    assert_eq!((pushed.digest, pushed.tag.as_str()), (made.manifest_digest, "1.0"));
    assert_eq!(client.remote_digest(&name(&text), &Silent).unwrap(), Some(made.manifest_digest));
    assert_eq!(client.remote_digest(&registry.name("team/app:no"), &Silent).unwrap(), None);

    let pulled = client.pull(&two, &name(&text), &PullOptions::default(), &Silent).unwrap();
    assert_eq!(pulled.image.id, made.id);
    assert_eq!(pulled.image.manifest_digest, made.manifest_digest);
    assert_eq!(pulled.image.names, [text.as_str()]);
    assert_eq!(content(&two, &pulled.image, "file2"), b"small");
    assert_clean(&two);

    // Removed and pulled again, by digest; the store forgets nothing and keeps nothing.
    two.remove(&made.id.to_string(), true).unwrap();
    two.prune(true).unwrap();
    let by_digest = registry.name(&format!("team/app@{}", made.manifest_digest));
    let again = client.pull(&two, &by_digest, &PullOptions::default(), &Silent).unwrap();
    assert_eq!(again.image.id, made.id);

    // What is there is not sent again; what a neighbour has is taken from there.
    let recorder = Recorder::default();
    client.push(&one, &made, &registry.name("team/app:2.0"), &PushOptions::default(), &recorder).unwrap();
    assert_eq!(recorder.count(|s| *s == BlobState::Exists), 4);
    let recorder = Recorder::default();
    client.push(&one, &made, &registry.name("other/app"), &PushOptions::default(), &recorder).unwrap();
    assert_eq!(recorder.count(|s| *s == BlobState::Mounted("team/app".to_owned())), 4);

    let mut tags = client.tags(&registry.name("team/app"), &Silent).unwrap().tags;
    tags.sort();
    assert_eq!(tags, ["1.0", "2.0"]);
    let found = client.search(&registry.host, "APP", 10, &Silent).unwrap();
    let names: Vec<_> = found.iter().map(|f| f.name.clone()).collect();
    assert_eq!(names, [format!("{}/other/app", registry.host), format!("{}/team/app", registry.host)]);
    assert!(client.search(&registry.host, "nothing", 10, &Silent).unwrap().is_empty());
}

#[test]
fn gzip_is_what_old_clients_get() {
    let Some(registry) = Registry::plain() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = stores(&dir);
    let made = image(&one, &[noise(100_000, 1), noise(100_000, 1), b"x".to_vec()], &["app"]);
    let client = client(&[&registry.host]);
    let options = PushOptions { compression: PushCompression::Gzip };
    let pushed = client.push(&one, &made, &registry.name("app"), &options, &Silent).unwrap();
    assert_ne!(pushed.digest, made.manifest_digest);
    let fetched = client.manifest(&registry.name("app"), &Silent).unwrap();
    let Document::Image(manifest) = fetched.document else { panic!() };
    assert!(manifest.layers.iter().all(|l| l.media_type.ends_with("tar+gzip")), "{manifest:?}");
    let pulled = client.pull(&two, &registry.name("app"), &PullOptions::default(), &Silent).unwrap();
    assert_eq!(pulled.image.id, made.id, "the id is the configuration's, whatever the compression");
    assert_eq!(pulled.image.manifest_digest, pushed.digest);
    assert_clean(&two);
}

#[test]
fn large_blobs_go_in_parts() {
    let Some(registry) = Registry::plain() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = stores(&dir);
    let made = image(&one, &[noise(40 << 20, 7)], &["big"]);
    let client = client(&[&registry.host]);
    client.push(&one, &made, &registry.name("big"), &PushOptions::default(), &Silent).unwrap();
    let pulled = client.pull(&two, &registry.name("big"), &PullOptions::default(), &Silent).unwrap();
    assert_eq!(pulled.image.manifest_digest, made.manifest_digest);
}

fn with_tls(authority: &Authority) -> Option<Registry> {
    Registry::start(|dir| {
        std::fs::write(dir.join("cert.pem"), &authority.certificate_pem).unwrap();
        std::fs::write(dir.join("key.pem"), &authority.key_pem).unwrap();
        let path = |file: &str| dir.join(file).display().to_string();
        format!("http:\n  addr: ADDR\n  tls:\n    certificate: {}\n    key: {}\n", path("cert.pem"), path("key.pem"))
    })
}

fn write_ca(dir: &Path, authority: &Authority) -> PathBuf {
    let path = dir.join("ca.pem");
    std::fs::write(&path, &authority.pem).unwrap();
    path
}

#[test]
fn tls_is_believed_by_the_authority_that_the_settings_name() {
    let authority = Authority::new();
    let Some(server) = with_tls(&authority) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = stores(&dir);
    let made = image(&one, &[noise(50_000, 1)], &["app"]);
    let reference = server.name("app");
    let push = |options: Options| Client::new(options).push(&one, &made, &reference, &PushOptions::default(), &Silent);

    let error = push(plain(&[])).unwrap_err();
    assert!(matches!(error, RegistryError::Certificate { .. }), "{error}");
    let mut wrong = plain(&[]);
    let other = write_ca(server.dir.path(), &Authority::new());
    wrong.registries = vec![registry(&server.host, &[], Some(&other))];
    assert!(matches!(push(wrong).unwrap_err(), RegistryError::Certificate { .. }));
    // Insecure is plain HTTP, never TLS without a check.
    let error = push(plain(&[&server.host])).unwrap_err().to_string();
    assert!(error.contains("it may want TLS"), "{error}");

    let mut options = plain(&[]);
    options.registries = vec![registry(&server.host, &[], Some(&write_ca(dir.path(), &authority)))];
    push(options).unwrap();

    // Docker's place for certificates.
    let certificates = dir.path().join("certs.d");
    std::fs::create_dir_all(certificates.join(&server.host)).unwrap();
    std::fs::write(certificates.join(&server.host).join("ca.crt"), &authority.pem).unwrap();
    let options = Options { certificates: Some(certificates), ..plain(&[]) };
    let pulled = Client::new(options).pull(&two, &reference, &PullOptions::default(), &Silent).unwrap();
    assert_eq!(pulled.image.id, made.id);
}

#[test]
fn a_password_opens_what_is_closed_without() {
    // bcrypt of `correct horse`.
    let line = "me:$2b$04$Nvf3BiAftPN74gvLLM8i2uUvivCgh1FCN46xOXczJKwVFdPFCp9Xy\n";
    let Some(server) = Registry::start(|dir| {
        std::fs::write(dir.join("htpasswd"), line).unwrap();
        let path = dir.join("htpasswd");
        format!("http:\n  addr: ADDR\nauth:\n  htpasswd:\n    realm: test\n    path: {}\n", path.display())
    }) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = stores(&dir);
    let made = image(&one, &[noise(50_000, 1)], &["app"]);
    let reference = server.name("app");
    let config = dir.path().join("config.json");
    let client = || Client::new(Options { docker_config: Some(config.clone()), ..plain(&[&server.host]) });
    let me = |password: &str| Credential::Basic { username: "me".to_owned(), password: Secret::new(password) };

    let error = client().push(&one, &made, &reference, &PushOptions::default(), &Silent).unwrap_err();
    assert!(error.to_string().contains("stockade login"), "{error}");
    assert!(matches!(client().login(&server.host, &me("wrong horse")), Err(RegistryError::Denied { .. })));
    assert!(client().login(&server.host, &me("correct horse")).unwrap().verified);
    client().push(&one, &made, &reference, &PushOptions::default(), &Silent).unwrap();
    client().pull(&two, &reference, &PullOptions::default(), &Silent).unwrap();
    assert!(client().logout(&server.host).unwrap());
    let error = client().pull(&two, &reference, &PullOptions::default(), &Silent).unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
}

#[test]
fn a_list_has_an_image_for_each_machine() {
    let Some(registry) = Registry::plain() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = stores(&dir);
    let client = client(&[&registry.host]);
    let mut list = ManifestList::new(&registry.name("app:multi"));
    let mut made = Vec::new();
    for architecture in ["amd64", "arm64", "riscv64"] {
        let image = image_for(&one, &[architecture.as_bytes().to_vec()], &[], architecture);
        let at = registry.name(&format!("parts/{architecture}"));
        client.push(&one, &image, &at, &PushOptions::default(), &Silent).unwrap();
        list.add(client.list_members(&at, &Silent).unwrap());
        made.push(image);
    }
    let reference = registry.name("app:multi");
    let pushed = client.push_list(&reference, &list, &Silent).unwrap();
    let fetched = client.manifest(&reference, &Silent).unwrap();
    assert_eq!(fetched.digest, pushed.digest);
    let Document::Index(index) = fetched.document else { panic!() };
    assert_eq!(index.manifests.len(), 3);
    assert_eq!(index.manifests[1].platform.as_ref().unwrap().architecture, "arm64");

    for (image, platform) in made.iter().zip(["linux/amd64", "linux/arm64", "linux/riscv64"]) {
        let options = PullOptions { platform: Some(stockade_registry::parse_platform(platform).unwrap()) };
        let pulled = client.pull(&two, &reference, &options, &Silent).unwrap();
        assert_eq!((pulled.image.id, pulled.digest), (image.id, pushed.digest));
    }
    let options = PullOptions { platform: Some(stockade_registry::parse_platform("linux/s390x").unwrap()) };
    let error = client.pull(&two, &reference, &options, &Silent).unwrap_err().to_string();
    assert!(error.contains("linux/amd64, linux/arm64, linux/riscv64"), "{error}");

    // A list of lists is the images of both.
    let mut outer = ManifestList::new(&registry.name("app:outer"));
    outer.add(client.list_members(&reference, &Silent).unwrap());
    assert_eq!(outer.members.len(), 3);
    client.push_list(&registry.name("app:outer"), &outer, &Silent).unwrap();

    let mut far = ManifestList::new(&name("elsewhere.example/app"));
    far.add(client.list_members(&reference, &Silent).unwrap());
    let error = client.push_list(&name("elsewhere.example/app"), &far, &Silent).unwrap_err().to_string();
    assert!(error.contains("at another registry") && error.contains("elsewhere.example/app"), "{error}");
}

#[test]
fn what_is_attached_is_found() {
    let Some(registry) = Registry::plain() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (one, _) = stores(&dir);
    let client = client(&[&registry.host]);
    let made = image(&one, &[b"x".to_vec()], &["app"]);
    let reference = registry.name("app");
    let pushed = client.push(&one, &made, &reference, &PushOptions::default(), &Silent).unwrap();
    assert!(client.referrers(&reference, &pushed.digest, None, &Silent).unwrap().is_empty());
    let subject = Descriptor {
        media_type: made.manifest.media_type.clone().unwrap(),
        digest: pushed.digest,
        size: pushed.size,
        annotations: Default::default(),
        platform: None,
        artifact_type: None,
    };
    let mut attached = Vec::new();
    for kind in ["application/vnd.cyclonedx+json", "application/vnd.dev.sigstore.bundle.v0.3+json"] {
        let artifact = Artifact {
            artifact_type: kind.to_owned(),
            blobs: vec![(kind.to_owned(), br#"{"bomFormat":"CycloneDX"}"#.to_vec())],
            ..Artifact::default()
        };
        attached.push(client.attach(&reference, &subject, &artifact, &Silent).unwrap());
    }
    let all = client.referrers(&reference, &pushed.digest, None, &Silent).unwrap();
    assert_eq!(all.iter().map(|e| e.digest).collect::<Vec<_>>(), attached);
    let boms = client.referrers(&reference, &pushed.digest, Some("application/vnd.cyclonedx+json"), &Silent).unwrap();
    assert_eq!(boms.len(), 1);
    let by_digest = registry.name(&format!("app@{}", boms[0].digest));
    let fetched = client.manifest(&by_digest, &Silent).unwrap();
    let Document::Image(manifest) = fetched.document else { panic!() };
    assert_eq!(manifest.subject.unwrap().digest, pushed.digest);
    let layer = &manifest.layers[0];
    let bytes = client.small_blob(&reference, &layer.digest, layer.size, 1000, &Silent).unwrap();
    assert!(bytes.starts_with(b"{\"bomFormat\""));
    assert!(client.small_blob(&reference, &layer.digest, layer.size, 10, &Silent).is_err());
    // An artifact is no image.
    let error = client.pull(&one, &by_digest, &PullOptions::default(), &Silent).unwrap_err().to_string();
    assert!(error.contains("artifact of the type `application/vnd.cyclonedx+json`"), "{error}");
}

/// Stands between us and the registry, and cuts the first transfers of a blob.
#[test]
fn a_connection_that_is_cut_is_taken_up_again() {
    let Some(registry) = Registry::plain() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = stores(&dir);
    let made = image(&one, &[noise(2 << 20, 5)], &["app"]);
    client(&[&registry.host]).push(&one, &made, &registry.name("app"), &PushOptions::default(), &Silent).unwrap();
    let layer = made.manifest.layers[0].digest.to_string();
    let bytes = std::fs::read(one.blob_path(&made.manifest.layers[0].digest)).unwrap();
    let cuts = Mutex::new(2);
    let proxy = Server::new({
        let (layer, target) = (layer.clone(), registry.host.clone());
        move |request| {
            if request.path.contains(&layer) {
                let mut left = cuts.lock().unwrap();
                if *left > 0 {
                    *left -= 1;
                    return cut(request, &bytes, 700_000);
                }
                return ranged(request, &bytes);
            }
            crate::server::Reply::redirect(307, format!("http://{target}{}", request.path))
        }
    });
    let reference = name(&format!("{}/app", proxy.host));
    let pulled = client(&[&proxy.host]).pull(&two, &reference, &PullOptions::default(), &Silent).unwrap();
    assert_eq!(pulled.image.manifest_digest, made.manifest_digest);
    assert_eq!(proxy.asked(&layer).len(), 3);
    assert_clean(&two);
}

#[test]
fn pushes_and_pulls_at_the_same_time() {
    let Some(registry) = Registry::plain() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = stores(&dir);
    let shared = noise(300_000, 1);
    let made: Vec<_> = (0..4).map(|i| image(&one, &[shared.clone(), noise(50_000, 10 + i)], &[])).collect();
    let client = client(&[&registry.host]);
    std::thread::scope(|scope| {
        for (i, image) in made.iter().enumerate() {
            let (client, one, registry) = (&client, &one, &registry);
            scope.spawn(move || {
                let reference = registry.name(&format!("app{i}"));
                client.push(one, image, &reference, &PushOptions::default(), &Silent).unwrap();
            });
        }
    });
    std::thread::scope(|scope| {
        for (i, image) in made.iter().enumerate() {
            let (client, two, registry) = (&client, &two, &registry);
            scope.spawn(move || {
                let reference = registry.name(&format!("app{i}"));
                let pulled = client.pull(two, &reference, &PullOptions::default(), &Silent).unwrap();
                assert_eq!(pulled.image.id, image.id);
            });
        }
    });
    assert_clean(&two);
}

/// A CONNECT proxy that leads every host to one address, and remembers what it was asked for.
fn proxy(target: String) -> (String, std::sync::Arc<Mutex<Vec<String>>>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let asked = std::sync::Arc::new(Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&asked);
    // The thread ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (target, seen) = (target.clone(), std::sync::Arc::clone(&seen));
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                seen.lock().unwrap().push(line.trim().to_owned());
                while line.trim() != "" {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                }
                (&stream).write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
                let server = TcpStream::connect(target).unwrap();
                let (mut to, mut from) = (server.try_clone().unwrap(), stream.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut reader, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
                let _ = std::io::copy(&mut &server, &mut from);
                let _ = stream.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    (host, asked)
}

#[test]
fn a_proxy_leads_to_hosts_that_only_it_knows() {
    let Some(registry) = Registry::plain() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = stores(&dir);
    let made = image(&one, &[noise(50_000, 1)], &["app"]);
    let (proxy, asked) = proxy(registry.host.clone());
    let mut options = plain(&["registry.invalid"]);
    options.proxies.http = Some(format!("http://{proxy}"));
    let client = Client::new(options.clone());
    let reference = name("registry.invalid/app");
    client.push(&one, &made, &reference, &PushOptions::default(), &Silent).unwrap();
    client.pull(&two, &reference, &PullOptions::default(), &Silent).unwrap();
    assert!(asked.lock().unwrap().iter().all(|line| line.starts_with("CONNECT registry.invalid:80 ")), "{asked:?}");
    options.proxies.direct = vec![".invalid".to_owned()];
    let error = Client::new(options).pull(&two, &reference, &PullOptions::default(), &Silent).unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error}");
}

/// A small file system that is full soon.
struct Small(PathBuf);

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_the_store_as_it_was() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: mounting a small tmpfs needs root");
        return;
    }
    let Some(registry) = Registry::plain() else { return };
    let dir = tempfile::tempdir().unwrap();
    let one = Store::open(&dir.path().join("one")).unwrap();
    let made = image(&one, &[noise(1 << 20, 1), noise(6 << 20, 2)], &["app"]);
    let client = client(&[&registry.host]);
    client.push(&one, &made, &registry.name("app"), &PushOptions::default(), &Silent).unwrap();
    let small = dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "none"]).arg(&small).status().unwrap();
    assert!(mount.success());
    let _small = Small(small.clone());
    let store = Store::open(&small).unwrap();
    let error = client.pull(&store, &registry.name("app"), &PullOptions::default(), &Silent).unwrap_err();
    assert!(matches!(&error, RegistryError::Store(e) if e.is_no_space()), "{error:?}");
    assert!(error.to_string().contains("no space left to write"), "{error}");
    assert!(store.list().unwrap().is_empty());
    assert_clean(&store);
    store.prune(false).unwrap();
    // What is freed can be used again.
    let fits = image(&store, &[noise(1 << 20, 3)], &["fits"]);
    assert_eq!(fits.names, ["fits:latest"]);
}
