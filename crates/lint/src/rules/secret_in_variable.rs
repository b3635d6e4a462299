//! `secret-in-variable`

use stockade_dockerfile::ast::Kind;

use super::{Rule, Severity};

pub(super) static RULE: Rule = Rule {
    id: "secret-in-variable",
    refs: &["DL3064", "SecretsUsedInArgOrEnv", "CIS-4.10"],
    severity: Severity::Error,
    default: true,
    finds: "ARG or ENV whose name or value is that of a secret.",
    why: "It stays in the image's history, for everyone who has the image.",
    instead: "Use RUN --mount=type=secret.",
    bad: &["FROM a:1\nENV DB_PASSWORD=x\n", "FROM a:1\nARG GITHUB_TOKEN\n", "FROM a:1\nENV X=AKIAIOSFODNN7EXAMPLE\n"],
    good: &["FROM a:1\nENV DB_PASSWORD_FILE=/run/secrets/x\n", "FROM a:1\nENV KEYBOARD=x MONKEY=y\n", "FROM a:1\nARG PUBLIC_KEY\n"],
    test: |file, out| {
        for instruction in file.instructions() {
            let pairs: Vec<_> = match &instruction.kind {
                Kind::Arg(list) => list.iter().map(|a| (&a.name, a.value.as_ref())).collect(),
                Kind::Env(pairs) => pairs.iter().map(|p| (&p.key, Some(&p.value))).collect(),
                _ => continue,
            };
            if file.options.as_hadolint {
                if let Some((name, _)) = pairs.iter().find(|(name, _)| for_hadolint(&name.value)) {
                    out.word(name, format!("`{}` is on hadolint's list", name.value));
                }
                continue;
            }
            for (name, value) in pairs {
                if looks_secret(&name.value) {
                    out.word(name, format!("`{}` is the name of a secret", name.value));
                } else if let Some(value) = value.filter(|v| is_token(v.value.trim_matches(['"', '\'']))) {
                    out.word(value, "the value has the form of an access key");
                }
            }
        }
    },
};

/// hadolint's words and whole names (those without one of the words).
fn for_hadolint(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let words = ["api_key", "client_key", "password", "private", "secret", "token", "username"];
    let names = [
        "application_key", "aws_access_key_id", "ci_deploy_user", "docker_email", "facebook_app_id", "heroku_api_user",
        "okta_authn_groupid", "okta_client_orgurl", "okta_oauth2_clientid", "stripe_device_name", "travis_os_name", "travis_sudo",
    ];
    words.iter().any(|w| lower.contains(w)) || names.contains(&lower.as_str())
}

/// Whether a variable's name says that its value is a secret.
pub(super) fn looks_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let words: Vec<&str> = upper.split(['_', '-', '.']).collect();
    let reference = words.last().is_some_and(|w| ["FILE", "PATH", "DIR", "URL", "ID", "NAME"].contains(w));
    let public = words.contains(&"PUBLIC");
    let word = |w: &&str| ["PASSWORD", "PASSWD", "PWD", "PASS", "SECRET", "TOKEN", "CREDENTIAL", "CREDENTIALS", "APIKEY", "AUTH"].contains(w);
    let key = words.windows(2).any(|w| matches!(w, ["API" | "ACCESS" | "PRIVATE" | "SECRET" | "SIGNING" | "ENCRYPTION", "KEY"]));
    (words.iter().any(word) && upper != "PWD" || upper.contains("PASSWORD") || key) && !reference && !public
}

/// Forms of well-known access keys.
pub(super) fn is_token(value: &str) -> bool {
    let rest_is = |prefix: &str, min: usize| {
        value.strip_prefix(prefix).is_some_and(|r| r.len() >= min && r.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'))
    };
    rest_is("AKIA", 16) || rest_is("ASIA", 16) || rest_is("ghp_", 30) || rest_is("gho_", 30) || rest_is("github_pat_", 30) || rest_is("glpat-", 20)
        || rest_is("xoxb-", 20) || rest_is("sk_live_", 20) || rest_is("npm_", 30) || rest_is("AIza", 30)
        || value.contains("-----BEGIN") && value.contains("PRIVATE KEY")
}
