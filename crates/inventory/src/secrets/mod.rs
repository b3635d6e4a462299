//! Credentials left in files, environment variables and build history.
//!
//! A finding never holds the secret: only where it is, which rule saw it, and its first characters.

use serde::{Deserialize, Serialize};

mod rules;

/// Files larger than this are data, not configuration; they are not searched.
pub const MAX_FILE_BYTES: u64 = 2 << 20;
/// Findings kept for one file.
const MAX_PER_FILE: usize = 20;

/// A credential that was left behind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Secret {
    /// The file, relative to the root; `ENV NAME` or `history N` for those of an image's configuration.
    pub path: String,
    /// Kebab-case name of the rule.
    pub rule: String,
    /// What it is, in words.
    pub title: String,
    /// 1-based line in the file; 0 when there are no lines.
    pub line: u32,
    /// The first characters, and how long it is.
    pub hint: String,
    /// The layer that has it; `None` outside images.
    #[serde(default)]
    pub layer: Option<usize>,
    /// An upper layer deletes or replaces the file, but everyone who pulls the image still gets it.
    #[serde(default)]
    pub deleted: bool,
}

/// Searches one file's contents.
pub fn scan(path: &str, bytes: &[u8]) -> Vec<Secret> {
    let mut found: Vec<Secret> = Vec::new();
    let mut add = |hit: rules::Hit<'_>| {
        let line = 1 + memchr::memchr_iter(b'\n', bytes.get(..hit.at).unwrap_or_default()).count();
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let same = |f: &Secret| f.line == line && f.rule == hit.rule;
        if found.len() < MAX_PER_FILE && !found.iter().any(same) {
            found.push(secret(path, &hit, line));
        }
    };
    rules::tokens(bytes, &mut add);
    if let Some(named) = rules::by_file_name(path) {
        named(bytes, &mut add);
    }
    found
}

/// Searches an image's environment (`NAME=value`) and history (the commands of its layers).
pub fn scan_config(env: &[String], history: &[String]) -> Vec<Secret> {
    let mut found = Vec::new();
    for entry in env {
        let name = entry.split('=').next().unwrap_or_default();
        let place = format!("ENV {name}");
        let mut hits = Vec::new();
        rules::tokens(entry.as_bytes(), &mut |hit| hits.push(secret(&place, &hit, 0)));
        if hits.is_empty() {
            rules::assignments(entry.as_bytes(), &mut |hit| hits.push(secret(&place, &hit, 0)));
        }
        if hits.is_empty() {
            rules::url_passwords(entry.as_bytes(), &mut |hit| hits.push(secret(&place, &hit, 0)));
        }
        found.extend(hits.into_iter().take(1));
    }
    for (index, command) in history.iter().enumerate() {
        let place = format!("history {index}");
        rules::tokens(command.as_bytes(), &mut |hit| found.push(secret(&place, &hit, 0)));
        // `|2 TOKEN=… /bin/sh -c …`: build arguments are kept in the history for all to read.
        if let Some(arguments) = command.strip_prefix('|').and_then(|c| c.split(" /bin/").next()) {
            for word in arguments.split(' ').skip(1) {
                rules::assignments(word.as_bytes(), &mut |hit| found.push(secret(&place, &hit, 0)));
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn secret(path: &str, hit: &rules::Hit<'_>, line: u32) -> Secret {
    let shown: String = String::from_utf8_lossy(hit.value).chars().take(4).filter(|c| !c.is_control()).collect();
    Secret {
        path: path.to_owned(),
        rule: hit.rule.to_owned(),
        title: hit.title.to_owned(),
        line,
        hint: format!("{shown}… ({} characters)", hit.value.len()),
        layer: None,
        deleted: false,
    }
}

/// Whether a file is worth searching, by its path: test data of other people's packages is not.
pub fn wants(path: &[u8], size: u64) -> bool {
    const PACKAGES: &[&[u8]] = &[
        b"node_modules/",
        b"site-packages/",
        b"dist-packages/",
        b"/gems/",
        b"/pkg/mod/",
        b"usr/share/",
        b"usr/lib/python",
        b"/vendor/",
    ];
    const BINARY: &[&[u8]] = &[
        b".pyc", b".so", b".a", b".o", b".gz", b".xz", b".zst", b".zip", b".jar", b".png", b".jpg", b".gif", b".woff",
        b".woff2", b".ttf", b".mo", b".class", b".wasm", b".ico", b".map", b".deb", b".rpm", b".gem", b".whl", b".exe",
        b".dll", b".sqlite", b".pdf",
    ];
    (8..=MAX_FILE_BYTES).contains(&size)
        && !BINARY.iter().any(|ending| path.ends_with(ending))
        && !PACKAGES.iter().any(|dir| memchr::memmem::find(path, dir).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(String, u32)> {
        scan(path, text.as_bytes()).into_iter().map(|s| (s.rule, s.line)).collect()
    }

    fn body() -> String {
        "MIIEpAIBAAKCAQEA7bq9Zk3vJ2Q4mXcT1sLh0uR8fWyNdPgVaEoKi5BzGtHxSjCl".to_owned()
    }

    #[test]
    fn keys_and_tokens() {
        let key =
            format!("x\n-----BEGIN {} KEY-----\n{}\n-----END {} KEY-----\n", "RSA PRIVATE", body(), "RSA PRIVATE");
        assert_eq!(found("root/.ssh/id_rsa", &key), [("private-key".into(), 2)]);
        let aws = format!(
            "[default]\naws_access_key_id = {}{}\naws_secret_access_key = {}\n",
            "AKIA", "Q7LZ3MPN5XWT2RVB", "uT9/kQ2mXv7Lw+4RzYb1NcGsHd8JfPqE0aVoKi3B"
        );
        assert_eq!(found("root/.aws/credentials", &aws), [("aws-access-key".into(), 2), ("aws-secret-key".into(), 3)]);
        let github = format!("url = https://{}{}@github.com\n", "ghp_", "a8Kd02mXq9Zr4TbL7vWn3YpC5sHj1GfE6uRo");
        assert_eq!(found("etc/x", &github), [("github-token".into(), 1)]);
    }

    #[test]
    fn files_by_name() {
        assert_eq!(
            found("app/.npmrc", "//registry.npmjs.org/:_authToken=4f8a1c2e-9b3d-4e5f-8a7b-6c5d4e3f2a1b\n"),
            [("npmrc-token".into(), 1)]
        );
        assert_eq!(
            found("app/.env", "DEBUG=1\nDB_PASSWORD=kX9v2mQ7\nAPI_KEY=${KEY}\nTOKEN=changeme\n"),
            [("assigned-secret".into(), 2)]
        );
        assert_eq!(found("root/.netrc", "machine x login me password kX9v2mQ7\n"), [("netrc-password".into(), 1)]);
        assert_eq!(found("root/.git-credentials", "https://me:kX9v2mQ7zz@example.org\n"), [("url-password".into(), 1)]);
        assert_eq!(
            found("root/.docker/config.json", r#"{"auths":{"x":{"auth":"bWU6a1g5djJtUTc="}}}"#),
            [("docker-auth".into(), 1)]
        );
        assert!(found("app/settings.py", "DB_PASSWORD=kX9v2mQ7\n").is_empty());
    }

    #[test]
    fn examples_are_no_secrets() {
        for text in [
            "AKIAIOSFODNN7EXAMPLE",
            "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
            "if line.startswith('-----BEGIN RSA PRIVATE KEY-----'):\n    return line_of_key(line)",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "XAKIAQ7LZ3MPN5XWT2RVB",
        ] {
            assert!(found("etc/x", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn hints_do_not_tell() {
        let s = &scan("app/.env", b"DB_PASSWORD=kX9v2mQ7\n")[0];
        assert_eq!(s.hint, "kX9v… (8 characters)");
    }

    #[test]
    fn environment_and_history() {
        let env = [
            "PATH=/bin".to_owned(),
            "MYSQL_ROOT_PASSWORD=kX9v2mQ7".to_owned(),
            "SECRET_FILE=/run/secrets/x".to_owned(),
        ];
        let history = ["|1 NPM_TOKEN=kX9v2mQ7aa /bin/sh -c npm ci".to_owned(), "/bin/sh -c echo".to_owned()];
        let all = scan_config(&env, &history);
        let places: Vec<&str> = all.iter().map(|s| s.path.as_str()).collect();
        assert_eq!(places, ["ENV MYSQL_ROOT_PASSWORD", "history 0"]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            for name in ["x", ".env", ".npmrc", ".netrc", ".git-credentials", ".docker/config.json"] { let _ = scan(name, &bytes); }
        }
        #[test]
        fn near_tokens(text in "(ghp_|AKIA|-----BEGIN |xoxb-|SG\\.|://a:)[ -~]{0,80}") { let _ = scan("x", text.as_bytes()); }
    }
}
