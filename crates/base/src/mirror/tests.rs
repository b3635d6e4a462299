use super::*;

fn name(text: &str) -> BaseName {
    BaseName::parse(text).unwrap().unwrap()
}

fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn nothing(_: &str) -> Option<String> {
    None
}

#[test]
fn without_any_word_the_default_is_used() {
    let host = host(&[]);
    let mirror = resolve_mirror(&name("debian:12"), "amd64", &MirrorChoice::default(), &nothing, host.path()).unwrap();
    assert_eq!(mirror.archive, "http://deb.debian.org/debian");
    assert_eq!(mirror.security, "http://deb.debian.org/debian-security");
    assert_eq!(mirror.origin, MirrorOrigin::Default);
    assert!(mirror.check_valid_until);
    let ports = resolve_mirror(&name("ubuntu"), "arm64", &MirrorChoice::default(), &nothing, host.path()).unwrap();
    assert_eq!(ports.archive, "http://ports.ubuntu.com/ubuntu-ports");
}

#[test]
fn flag_beats_config_beats_environment_beats_host() {
    let host = host(&[("etc/apt/sources.list", "deb http://host.example/debian bookworm main\n")]);
    let environment = |n: &str| (n == DEBIAN_MIRROR).then(|| "http://environment.example/debian/".to_owned());
    let mut choice = MirrorChoice {
        flag: Some("http://flag.example/debian".into()),
        config_debian: Some("http://config.example/debian".into()),
        ..MirrorChoice::default()
    };
    let resolve = |choice: &MirrorChoice, environment: &dyn Fn(&str) -> Option<String>| {
        resolve_mirror(&name("debian:12"), "amd64", choice, environment, host.path()).unwrap()
    };
    let flag = resolve(&choice, &environment);
    assert_eq!((flag.archive.as_str(), flag.origin), ("http://flag.example/debian", MirrorOrigin::Flag));
    assert_eq!(flag.security, "http://flag.example/debian-security");
    choice.flag = None;
    assert_eq!(resolve(&choice, &environment).origin, MirrorOrigin::Config);
    choice.config_debian = None;
    let from_environment = resolve(&choice, &environment);
    assert_eq!(from_environment.archive, "http://environment.example/debian");
    assert_eq!(from_environment.origin, MirrorOrigin::Environment(DEBIAN_MIRROR));
    let from_host = resolve(&choice, &nothing);
    assert_eq!(from_host.archive, "http://host.example/debian");
    assert_eq!(from_host.origin, MirrorOrigin::HostApt("/etc/apt/sources.list".into()));
}

#[test]
fn both_source_formats_are_read_and_third_parties_are_not_taken() {
    let host = host(&[
        (
            "etc/apt/sources.list.d/other.list",
            "deb [signed-by=/k arch=amd64] https://download.example/linux/x stable main\n",
        ),
        (
            "etc/apt/sources.list.d/debian.sources",
            "# comment\nTypes: deb\n# inner comment\nURIs: http://one.example/debian\nSuites: trixie trixie-updates\n\
             Components: main\n\nTypes: deb deb-src\nURIs: http://one.example/debian-security\nSuites: trixie-security\n\
             Components: main\n\nEnabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\n",
        ),
        (
            "etc/apt/sources.list.d/zz.list",
            "deb http://two.example/debian/ bookworm main # note\ndeb-src http://no.example/debian x y\n",
        ),
    ]);
    let resolve = |n: &str| resolve_mirror(&name(n), "amd64", &MirrorChoice::default(), &nothing, host.path()).unwrap();
    assert_eq!(resolve("debian:13").archive, "http://one.example/debian");
    assert_eq!(resolve("debian:13").security, "http://one.example/debian-security");
    assert_eq!(resolve("debian:12").archive, "http://two.example/debian", "same suite first");
    assert_eq!(resolve("debian:11").archive, "http://one.example/debian", "any suite of the distribution");
    assert_eq!(resolve("ubuntu").origin, MirrorOrigin::Default);
}

#[test]
fn proxy_and_validity_come_from_the_hosts_apt() {
    let host = host(&[
        ("etc/apt/sources.list", "deb http://host.example/debian bookworm main\n"),
        ("etc/apt/apt.conf.d/10a", "// note\nAcquire { http { Proxy \"http://proxy.example:3142\"; }; };\n"),
        ("etc/apt/apt.conf.d/20b", "Acquire::Check-Valid-Until \"false\"; /* x */ # y\n"),
    ]);
    let mirror = resolve_mirror(&name("debian:12"), "amd64", &MirrorChoice::default(), &nothing, host.path()).unwrap();
    assert_eq!(mirror.proxy.as_deref(), Some("http://proxy.example:3142"));
    assert!(!mirror.check_valid_until);
    let flag = MirrorChoice { flag: Some("http://other.example/debian".into()), ..MirrorChoice::default() };
    let other = resolve_mirror(&name("debian:12"), "amd64", &flag, &nothing, host.path()).unwrap();
    assert!(other.check_valid_until, "the host's word counts for the host's mirror only");
}

#[test]
fn the_environments_proxy_is_used_unless_no_proxy_names_the_host() {
    let host = host(&[]);
    let proxy = |address: &str, no_proxy: &str| {
        let choice = MirrorChoice { flag: Some(address.into()), ..MirrorChoice::default() };
        let environment = |n: &str| match n {
            "http_proxy" => Some("http://plain.example:1".to_owned()),
            "https_proxy" => Some("http://secure.example:2".to_owned()),
            "no_proxy" => Some(no_proxy.to_owned()),
            _ => None,
        };
        resolve_mirror(&name("debian"), "amd64", &choice, &environment, host.path()).unwrap().proxy
    };
    assert_eq!(proxy("http://a.example/debian", "").as_deref(), Some("http://plain.example:1"));
    assert_eq!(proxy("https://a.example/debian", "b.example").as_deref(), Some("http://secure.example:2"));
    assert_eq!(proxy("http://me:x@a.example:80/debian", "b, .example"), None);
    assert_eq!(proxy("http://a.example/debian", "*"), None);
}

#[test]
fn a_day_means_the_snapshot_service() {
    let host = host(&[]);
    let resolve = |choice: &MirrorChoice| {
        resolve_mirror(&name("debian:bookworm-20250520"), "amd64", choice, &nothing, host.path()).unwrap()
    };
    let mirror = resolve(&MirrorChoice::default());
    assert_eq!(mirror.archive, "http://snapshot.debian.org/archive/debian/20250520T000000Z");
    assert!(!mirror.check_valid_until);
}

#[test]
fn an_address_that_is_no_web_address_is_refused() {
    let host = host(&[]);
    for bad in ["ftp://x/debian", "file:///srv", "http://", "http:///x", "http://x/a b", "http://x/\ndeb evil"] {
        let choice = MirrorChoice { flag: Some(bad.into()), ..MirrorChoice::default() };
        let error = resolve_mirror(&name("debian"), "amd64", &choice, &nothing, host.path()).unwrap_err();
        assert!(error.to_string().contains("command line"), "{error}");
    }
}

proptest::proptest! {
    #[test]
    fn any_apt_files_are_read_without_panic(list: String, sources: String, conf: String) {
        let host = host(&[
            ("etc/apt/sources.list", &list),
            ("etc/apt/sources.list.d/a.sources", &sources),
            ("etc/apt/apt.conf", &conf),
        ]);
        read_apt(host.path());
    }
}
