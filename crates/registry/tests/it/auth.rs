//! Who gets to know our credentials, and who does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use stockade_image::Store;
use stockade_registry::{Client, Credential, Options, PullOptions, RegistryError, Secret, Silent, StoredIn};

use crate::fake::Content;
use crate::images::{client, image, name, plain, registry};
use crate::server::{Authority, Reply, Request, Server};

fn content() -> (tempfile::TempDir, Store, Content) {
    let dir = tempfile::tempdir().unwrap();
    let source = Store::open(&dir.path().join("source")).unwrap();
    let made = image(&source, &[b"x".to_vec()], &[]);
    let content = Content::of(&source, &made, "latest");
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store, content)
}

/// A registry that takes `Bearer <token>` for the newest token of the token server at `realm`.
fn guarded(content: Content, realm: String, tokens: Arc<Mutex<Vec<String>>>) -> Server {
    content.serve(move |request| {
        let good = request
            .header("authorization")
            .is_some_and(|a| tokens.lock().unwrap().last().is_some_and(|t| a == format!("Bearer {t}")));
        (!good).then(|| {
            Reply::new(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#).with(
                "WWW-Authenticate",
                format!(r#"Bearer realm="http://{realm}/token",service="test",scope="repository:a/b:pull""#),
            )
        })
    })
}

struct TokenServer {
    server: Server,
    tokens: Arc<Mutex<Vec<String>>>,
}

fn token_server(check: impl Fn(&Request) -> bool + Send + Sync + 'static) -> TokenServer {
    let tokens: Arc<Mutex<Vec<String>>> = Arc::default();
    let made = Arc::clone(&tokens);
    let server = Server::new(move |request| {
        if !check(request) {
            return Reply::new(401, r#"{"details":"incorrect username or password"}"#);
        }
        let mut made = made.lock().unwrap();
        let token = format!("token{}", made.len());
        made.push(token.clone());
        Reply::new(200, format!(r#"{{"token":"{token}","expires_in":300}}"#))
    });
    TokenServer { server, tokens }
}

fn with_config(dir: &tempfile::TempDir, hosts: &[&str], config: &str) -> Options {
    let path = dir.path().join("config.json");
    std::fs::write(&path, config).unwrap();
    Options { docker_config: Some(path), ..plain(hosts) }
}

#[test]
fn anonymous_tokens_are_fetched_once() {
    let (_dir, store, content) = content();
    let auth = token_server(|request| request.header("authorization").is_none());
    let server = guarded(content, auth.server.host.clone(), Arc::clone(&auth.tokens));
    let reference = name(&format!("{}/a/b", server.host));
    client(&[&server.host]).pull(&store, &reference, &PullOptions::default(), &Silent).unwrap();
    let asked = auth.server.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, "/token?service=test&scope=repository%3Aa%2Fb%3Apull");
}

#[test]
fn passwords_make_tokens_and_go_nowhere_else() {
    let (dir, store, content) = content();
    let auth = token_server(|request| request.header("authorization") == Some("Basic bWU6cGFzcw=="));
    // Blobs come from another host, as from an object store.
    let storage = content.clone().serve(|_| None);
    let to = storage.host.clone();
    let redirecting = Content { blobs: Default::default(), ..content };
    let tokens = Arc::clone(&auth.tokens);
    let realm = auth.server.host.clone();
    let server = Server::new(move |request| {
        let good = request
            .header("authorization")
            .is_some_and(|a| a.starts_with("Bearer token") && !tokens.lock().unwrap().is_empty());
        if !good {
            let challenge = format!(r#"Bearer realm="http://{realm}/token",service="test""#);
            return Reply::new(401, "").with("WWW-Authenticate", challenge);
        }
        if request.path.contains("/blobs/") {
            return Reply::redirect(307, format!("http://{to}{}", request.path));
        }
        redirecting.answer(request)
    });
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"bWU6cGFzcw=="}}}}}}"#, server.host);
    let options = with_config(&dir, &[&server.host], &config);
    let reference = name(&format!("{}/a/b", server.host));
    Client::new(options).pull(&store, &reference, &PullOptions::default(), &Silent).unwrap();
    assert!(auth.server.requests()[0].path.contains("account=me"));
    assert!(storage.requests().len() >= 2);
    assert!(storage.requests().iter().all(|r| r.header("authorization").is_none()), "credentials left their host");
    assert!(server.requests().iter().all(|r| !r.header("authorization").unwrap_or_default().starts_with("Basic")));
}

#[test]
fn a_token_that_ran_out_is_replaced() {
    let (_dir, store, content) = content();
    let auth = token_server(|_| true);
    let count = Arc::new(AtomicUsize::new(0));
    let tokens = Arc::clone(&auth.tokens);
    let realm = auth.server.host.clone();
    // The first token is good for one request.
    let server = content.serve(move |request| {
        let newest = tokens.lock().unwrap().last().cloned();
        let shown = request.header("authorization").map(|a| a.replace("Bearer ", ""));
        let spent = shown.as_deref() == Some("token0") && count.fetch_add(1, Ordering::SeqCst) > 0;
        let good = shown.is_some() && shown == newest && !spent;
        (!good).then(|| Reply::new(401, "").with("WWW-Authenticate", format!(r#"Bearer realm="http://{realm}/t""#)))
    });
    let reference = name(&format!("{}/a/b", server.host));
    client(&[&server.host]).pull(&store, &reference, &PullOptions::default(), &Silent).unwrap();
    assert_eq!(auth.server.requests().len(), 2);
}

#[test]
fn identity_tokens_are_exchanged_in_the_body() {
    let (dir, store, content) = content();
    let auth = token_server(|request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        request.method == "POST" && body.contains("grant_type=refresh_token") && body.contains("refresh_token=r%2Ft")
    });
    let server = guarded(content, auth.server.host.clone(), Arc::clone(&auth.tokens));
    let config = format!(r#"{{"auths":{{"{}":{{"identitytoken":"r/t"}}}}}}"#, server.host);
    let options = with_config(&dir, &[&server.host], &config);
    let reference = name(&format!("{}/a/b", server.host));
    Client::new(options).pull(&store, &reference, &PullOptions::default(), &Silent).unwrap();
    assert!(!auth.server.requests()[0].path.contains("r%2Ft"), "the token is in no log");
}

#[test]
fn refusals_say_what_to_do() {
    let (dir, store, content) = content();
    let auth = token_server(|_| false);
    let server = guarded(content, auth.server.host.clone(), Arc::clone(&auth.tokens));
    let reference = name(&format!("{}/a/b", server.host));
    let error = client(&[&server.host]).pull(&store, &reference, &PullOptions::default(), &Silent).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, RegistryError::Denied { .. }));
    assert!(
        text.contains("incorrect username or password") && text.contains(&format!("stockade login {}", server.host)),
        "{text}"
    );

    let config = format!(r#"{{"auths":{{"{}":{{"auth":"bWU6aHVudGVyMg=="}}}}}}"#, server.host);
    let error = Client::new(with_config(&dir, &[&server.host], &config))
        .pull(&store, &reference, &PullOptions::default(), &Silent)
        .unwrap_err()
        .to_string();
    assert!(error.contains("the account `me`") && !error.contains("hunter2"), "{error}");
}

#[test]
fn strange_challenges_and_tokens_are_errors() {
    let (_dir, store, content) = content();
    let reference = |server: &Server| name(&format!("{}/a/b", server.host));
    for (challenge, part) in [
        (r#"Bearer service="x""#, "without telling where"),
        (r#"Bearer realm="file:///etc/passwd""#, "only http and https"),
        ("Digest realm=x", "refuses access"),
        ("Basic realm=x", "refuses access"),
    ] {
        let server = content.clone().serve(move |_| Some(Reply::new(401, "").with("WWW-Authenticate", challenge)));
        let error =
            client(&[&server.host]).pull(&store, &reference(&server), &PullOptions::default(), &Silent).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    for (answer, part) in [
        ("<html>", "not the JSON"),
        ("{}", "holds no token"),
        (r#"{"token":"a b\r\nX: y"}"#, "no header may"),
        (r#"{"token":""}"#, "holds no token"),
    ] {
        let auth = Server::new(move |_| Reply::new(200, answer));
        let server = guarded(content.clone(), auth.host.clone(), Arc::default());
        let error =
            client(&[&server.host]).pull(&store, &reference(&server), &PullOptions::default(), &Silent).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_registry_with_tls_cannot_send_passwords_over_plain_http() {
    let (dir, store, content) = content();
    let authority = Authority::new();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, &authority.pem).unwrap();
    let auth = token_server(|_| true);
    let realm = auth.server.host.clone();
    let server = Server::tls(authority.config.clone(), move |_| {
        let _ = &content;
        Reply::new(401, "").with("WWW-Authenticate", format!(r#"Bearer realm="http://{realm}/token""#))
    });
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"bWU6cGFzcw=="}}}}}}"#, server.host);
    let mut options = with_config(&dir, &[], &config);
    options.registries = vec![registry(&server.host, &[], Some(&ca))];
    let reference = name(&format!("{}/a/b", server.host));
    let error =
        Client::new(options).pull(&store, &reference, &PullOptions::default(), &Silent).unwrap_err().to_string();
    assert!(error.contains("passwords over plain HTTP"), "{error}");
    assert!(auth.server.requests().is_empty());
}

#[test]
fn a_login_is_stored_only_if_it_is_right() {
    let (dir, store, content) = content();
    let server = content.serve(|request| {
        let good = request.header("authorization") == Some("Basic bWU6cGFzcw==");
        (!good).then(|| Reply::new(401, "").with("WWW-Authenticate", r#"Basic realm="test""#))
    });
    let path = dir.path().join("docker/config.json");
    let options = || Options { docker_config: Some(path.clone()), ..plain(&[&server.host]) };
    let me = |password: &str| Credential::Basic { username: "me".to_owned(), password: Secret::new(password) };
    let error = Client::new(options()).login(&server.host, &me("wrong")).unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    assert!(!path.exists());
    let login = Client::new(options()).login(&server.host, &me("pass")).unwrap();
    assert_eq!((login.stored, login.verified), (StoredIn::File(path.clone()), true));
    let reference = name(&format!("{}/a/b", server.host));
    Client::new(options()).pull(&store, &reference, &PullOptions::default(), &Silent).unwrap();
    assert!(Client::new(options()).logout(&server.host).unwrap());
    assert!(!Client::new(options()).logout(&server.host).unwrap());
    let error = Client::new(options()).pull(&store, &reference, &PullOptions::default(), &Silent).unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
}

#[test]
fn a_registry_without_a_catalog_cannot_be_searched() {
    let server = Server::new(|request| match request.path.as_str() {
        path if path.starts_with("/v2/_catalog") => Reply::new(404, ""),
        _ => Reply::new(200, "{}"),
    });
    let error = client(&[&server.host]).search(&server.host, "x", 5, &Silent).unwrap_err();
    assert!(matches!(error, RegistryError::Unsupported { .. }), "{error}");
}
