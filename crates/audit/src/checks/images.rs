//! Section 4 of the benchmark: each image.

use serde_json::Value;

use super::{EachCheck, shown};
use crate::docker::facts::{DockerFacts, Kind};
use crate::model::Degree::{Low, Medium};
use crate::model::{Degree, Verdict, meta_of};

meta_of!(Images, (effort: Degree, risk: Degree), level: 1, effort: effort, risk: risk);

/// All checks of this section.
#[rustfmt::skip]
pub(crate) static CHECKS: &[EachCheck] = &[
    EachCheck { meta: meta("root-user", &["CIS-4.1"], Medium, Medium, "Its user is not root",
        "A hole in the program gives an intruder root inside.", "Add USER with a number or name that is not root."),
        test: |i, _| {
            let user = i.pointer("/Config/User");
            let name = user.and_then(Value::as_str).unwrap_or("").split(':').next().unwrap_or("");
            Verdict::of(!["", "root", "0"].contains(&name), format!("Config.User: {}", shown(user)))
        } },
    EachCheck { meta: meta("base-image-trust", &["CIS-4.2"], Medium, Low, "Its base image is trusted",
        "Whoever made the base can put anything into it.", "Build on images whose maker you know, by digest."),
        test: |i, _| Verdict::manual(format!("RepoDigests: {}", shown(i.get("RepoDigests")))) },
    EachCheck { meta: meta("needless-packages", &["CIS-4.3"], Medium, Medium, "It holds no needless packages",
        "Every program inside is a tool for an intruder and one more to update.", "Build in stages, or with stockade build --minimize."),
        test: |i, _| Verdict::manual(format!("Size: {} bytes", shown(i.get("Size")))) },
    EachCheck { meta: meta("image-not-scanned", &["CIS-4.4"], Low, Low, "It is scanned and rebuilt with fixes",
        "Known holes stay open until it is rebuilt.", "Run stockade scan, and rebuild."),
        test: |i, _| Verdict::manual(format!("Created: {}", shown(i.get("Created")))) },
    EachCheck { meta: meta("old-image", &["CIS-4.4", "CIS-5.28"], Low, Low, "It is not older than 90 days",
        "What was fixed since is not in it.", "Rebuild it with a current base, without the build cache."),
        test: |i, d| age(i, d) },
    EachCheck { meta: meta("content-trust-off", &["CIS-4.5"], Low, Medium, "Content trust is on",
        "Without it a pull takes whatever the registry gives.", "Set DOCKER_CONTENT_TRUST=1 where docker's client runs."),
        test: |_, d| if d.kind != Kind::Docker { Verdict::not_applicable("content trust is docker's; stockade and podman verify by policy") } else {
            let v = std::env::var("DOCKER_CONTENT_TRUST").unwrap_or_default();
            Verdict::of(v == "1", format!("environment DOCKER_CONTENT_TRUST: {}", if v.is_empty() { "absent" } else { &v }))
        } },
    EachCheck { meta: meta("no-healthcheck", &["CIS-4.6"], Medium, Low, "It has a HEALTHCHECK",
        "A container that hangs looks alive.", "Add HEALTHCHECK to the Dockerfile."),
        test: |i, _| {
            let v = i.pointer("/Config/Healthcheck");
            let none = v.and_then(|h| h.pointer("/Test/0")).is_some_and(|t| t == "NONE");
            Verdict::of(v.is_some_and(|v| !v.is_null()) && !none, format!("Config.Healthcheck: {}", shown(v)))
        } },
    EachCheck { meta: meta("lone-update", &["CIS-4.7"], Low, Low, "No RUN only updates the package lists",
        "A cached update layer makes later installs take old packages.", "Join update and install in one RUN."),
        test: |i, d| history(i, d, is_lone_update) },
    EachCheck { meta: meta("setuid-files", &["CIS-4.8"], Medium, Medium, "It holds no needless setuid files",
        "A setuid program with a hole makes its caller root.", "Remove the bits: find / -xdev -perm /6000 -exec chmod a-s {} +."),
        test: |i, d| match d.contents.get(i.get("Id").and_then(Value::as_str).unwrap_or("")) {
            Some(_) => Verdict::not_applicable("its files were looked at: see setuid-in-image"),
            None => Verdict::manual("save the image and load it into Stockade: stockade audit image NAME then looks at its files"),
        } },
    EachCheck { meta: meta("add-instruction", &["CIS-4.9"], Low, Low, "COPY is used, not ADD",
        "ADD fetches URLs and unpacks archives unasked.", "Use COPY."),
        test: |i, d| history(i, d, |step| {
            // The first layer of a base image is an ADD by its maker.
            let t = step.trim_start_matches("/bin/sh -c ").trim_start_matches("#(nop)").trim_start();
            let t = t.split(" # buildkit").next().unwrap_or(t).trim_end();
            t.starts_with("ADD ") && !t.ends_with(" in /") && !t.ends_with(" /")
        }) },
    EachCheck { meta: meta("secrets-in-image", &["CIS-4.10"], Medium, Low, "It holds no secrets",
        "Whoever has the image has the secret, also from deleted layers.", "Use build secrets: RUN --mount=type=secret."),
        test: |i, _| {
            let env = i.pointer("/Config/Env").and_then(Value::as_array);
            let named: Vec<String> = env.into_iter().flatten().filter_map(Value::as_str)
                .filter_map(|e| e.split_once('=')).filter(|(n, v)| looks_secret(n) && !v.is_empty()).map(|(n, _)| n.to_owned()).collect();
            if named.is_empty() { Verdict::manual("no environment variable is named like a secret; files must be looked at") }
            else { Verdict::fail(format!("Config.Env: {}", named.join(", "))) }
        } },
    EachCheck { meta: meta("unverified-packages", &["CIS-4.11"], Medium, Low, "Only verified packages are installed",
        "An unsigned package can hold anything.", "Do not use --allow-unauthenticated, --force-yes, --nogpgcheck or --no-check-certificate."),
        test: |i, d| match history(i, d, |s| ["--allow-unauthenticated", "--force-yes", "--nogpgcheck", "--no-gpg-check", "--allow-untrusted", "trusted=yes", "--no-check-certificate"].iter().any(|w| s.contains(w))) {
            v if v.answer == crate::model::Answer::Pass => Verdict::manual("no step switches verification off; sources must be looked at"),
            v => v,
        } },
    EachCheck { meta: meta("unsigned-artifacts", &["CIS-4.12"], Medium, Low, "Signed artifacts are validated",
        "What is not verified may have been changed on its way.", "Verify signatures in the build, and of the image before it runs."),
        test: |_, _| Verdict::manual("a person decides") },
];

/// Days after which an image counts as old: about the time in which a base image has had several rounds of fixes.
const OLD_DAYS: i64 = 90;

fn age(image: &Value, docker: &DockerFacts) -> Verdict {
    let created = image.get("Created");
    let time: Option<jiff::Timestamp> = created.and_then(Value::as_str).and_then(|t| t.parse().ok());
    // Reproducible builds use a fixed time, often 1970: it says nothing of the age.
    match (time.map(|t| t.as_second()).filter(|t| *t > 1_000_000_000), docker.now) {
        (Some(time), Some(now)) => {
            let days = (now - time).max(0) / 86400;
            Verdict::of(days <= OLD_DAYS, format!("Created: {}: {days} days ago", shown(created)))
        }
        (None, _) => Verdict::unknown(format!("Created: {}: no time that says its age", shown(created))),
        (_, None) => Verdict::unknown("the time of the audit is not known"),
    }
}

/// Passes if no step of the image's history matches.
fn history(image: &Value, docker: &DockerFacts, bad: impl Fn(&str) -> bool) -> Verdict {
    let id = image.get("Id").and_then(Value::as_str).unwrap_or("");
    // `docker history` has the steps; an image that was given as a file may hold them itself.
    let Some(steps) = docker.histories.get(id).or_else(|| image.get("History")).and_then(Value::as_array) else {
        return Verdict::unknown("the image's history was not read");
    };
    let found: Vec<String> = steps
        .iter()
        .filter_map(|s| s.get("CreatedBy").or_else(|| s.get("created_by")).and_then(Value::as_str))
        .filter(|s| bad(s))
        .map(|s| s.chars().take(120).collect())
        .collect();
    if found.is_empty() {
        Verdict::pass("history: no such step")
    } else {
        Verdict::fail(format!("history: {}", found.join(" | ")))
    }
}

fn is_lone_update(step: &str) -> bool {
    let updates = ["apt-get update", "apt update", "apk update", "yum makecache", "dnf makecache"];
    updates.iter().any(|u| step.contains(u)) && !["install", "upgrade", "apk add"].iter().any(|w| step.contains(w))
}

/// Whether a variable's name says that its value is a secret.
pub(crate) fn looks_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let words: Vec<&str> = upper.split(['_', '-', '.']).collect();
    let last_is_reference = words.last().is_some_and(|w| ["FILE", "PATH", "DIR", "URL", "ID", "NAME"].contains(w));
    let secret = words.iter().any(|w| {
        ["PASSWORD", "PASSWD", "PASS", "SECRET", "TOKEN", "CREDENTIAL", "CREDENTIALS", "APIKEY", "PRIVATEKEY"]
            .contains(w)
    }) || upper.contains("PASSWORD")
        || words
            .windows(2)
            .any(|w| matches!(w, ["API" | "ACCESS" | "PRIVATE" | "SECRET" | "SIGNING" | "ENCRYPTION", "KEY"]));
    secret && !last_is_reference
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Answer;
    use serde_json::json;

    fn answer(reference: &str, image: &Value) -> Answer {
        let facts = DockerFacts::offline(vec![], vec![], None);
        (CHECKS.iter().find(|c| c.meta.refs.contains(&reference)).unwrap().test)(image, &facts).answer
    }

    #[test]
    fn every_weakness_fails_and_its_cure_passes() {
        let step = |s: &str| json!({"History": [{"CreatedBy": s}]});
        for (reference, bad, good) in [
            ("CIS-4.1", json!({"Config": {"User": "0:0"}}), json!({"Config": {"User": "app"}})),
            (
                "CIS-4.6",
                json!({"Config": {"Healthcheck": {"Test": ["NONE"]}}}),
                json!({"Config": {"Healthcheck": {"Test": ["CMD", "x"]}}}),
            ),
            ("CIS-4.7", step("RUN apt-get update && rm -rf /x"), step("RUN apk add --update x")),
            ("CIS-4.7", step("/bin/sh -c apt-get update"), step("RUN apt-get update && apt-get install -y x")),
            ("CIS-4.9", step("/bin/sh -c #(nop) ADD http://x /opt/y"), step("COPY a /b")),
        ] {
            assert_eq!(answer(reference, &bad), Answer::Fail, "{reference}");
            assert_eq!(answer(reference, &good), Answer::Pass, "{reference}");
        }
        assert_eq!(answer("CIS-4.7", &json!({})), Answer::Unknown);
    }

    #[test]
    fn age_is_counted_from_a_real_time() {
        let facts = DockerFacts { now: Some(1_800_000_000), ..DockerFacts::default() };
        let answer = |created: &str| age(&json!({"Created": created}), &facts).answer;
        assert_eq!(answer("2027-01-01T00:00:00Z"), Answer::Pass);
        assert_eq!(answer("2020-01-01T00:00:00.123456789Z"), Answer::Fail);
        assert_eq!(answer("1970-01-01T00:00:00Z"), Answer::Unknown);
        assert_eq!(answer("yesterday"), Answer::Unknown);
    }

    #[test]
    fn secret_names() {
        for name in ["DB_PASSWORD", "API_KEY", "githubToken_TOKEN", "MYSQL_ROOT_PASSWORD", "AWS_SECRET_ACCESS_KEY"] {
            assert!(looks_secret(name), "{name}");
        }
        for name in ["PASSWORD_FILE", "KEYBOARD", "PATH", "TOKEN_URL", "COMPASS", "SECRET_NAME"] {
            assert!(!looks_secret(name), "{name}");
        }
    }
}
