//! What is weak in an image's configuration and in the modes of its files.

use serde::{Deserialize, Serialize};

/// A fact about a file's mode or contents, for the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// Runs with its owner's rights, whoever starts it.
    Setuid,
    /// Runs with its group's rights.
    Setgid,
    /// Anyone may change the file.
    WritableFile,
    /// Anyone may add and delete files in the directory, also others' (no sticky bit).
    WritableDir,
}

/// The parts of an image's configuration that are checked.
#[derive(Debug, Clone, Default)]
pub struct ImageFacts {
    /// `User`.
    pub user: String,
    /// Whether a health check is set, and not to `NONE`.
    pub has_healthcheck: bool,
    /// Exposed ports: `22/tcp`.
    pub exposed: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// `created_by` of each step, oldest first.
    pub history: Vec<String>,
}

/// Something weak.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Weakness {
    /// Kebab-case name of the check.
    pub id: String,
    /// The file; empty for the configuration.
    pub path: String,
    /// What was seen.
    pub evidence: String,
    /// `low`, `medium` or `high`.
    pub severity: String,
    /// What to do about it.
    pub fix: String,
    /// The layer that has the file.
    #[serde(default)]
    pub layer: Option<usize>,
}

/// Programs that need the bit for their work and are audited for it. Still ways up for an attacker.
const COMMON_SETUID: &[&str] = &[
    "su",
    "sudo",
    "mount",
    "umount",
    "passwd",
    "chsh",
    "chfn",
    "newgrp",
    "gpasswd",
    "ping",
    "chage",
    "expiry",
    "unix_chkpwd",
    "pam_extrausers_chkpwd",
    "ssh-agent",
    "ssh-keysign",
    "bbsuid",
    "fusermount",
    "fusermount3",
    "pkexec",
    "crontab",
    "wall",
    "write",
    "dbus-daemon-launch-helper",
    "newuidmap",
    "newgidmap",
];

/// A weakness of a file, by its mark.
pub fn file_weakness(path: &str, mark: Mark) -> Weakness {
    let name = path.rsplit('/').next().unwrap_or_default();
    let common = COMMON_SETUID.contains(&name);
    let (id, severity, evidence, fix) = match mark {
        Mark::Setuid => (
            "setuid-file",
            if common { "low" } else { "medium" },
            "runs with its owner's rights",
            "take the bit away (`chmod u-s`), or run with `--security-opt no-new-privileges`, the default here",
        ),
        Mark::Setgid => (
            "setgid-file",
            "low",
            "runs with its group's rights",
            "take the bit away (`chmod g-s`), or run with `--security-opt no-new-privileges`, the default here",
        ),
        Mark::WritableFile => ("world-writable-file", "medium", "anyone may change it", "`chmod o-w`"),
        Mark::WritableDir => (
            "world-writable-directory",
            "medium",
            "anyone may replace files in it",
            "`chmod o-w`, or `chmod +t` if it is meant to be shared",
        ),
    };
    weakness(id, path, evidence, severity, fix)
}

/// The mark that a mode deserves.
pub fn mark(mode: u32, is_dir: bool) -> Option<Mark> {
    match (is_dir, mode) {
        (false, m) if m & 0o4000 != 0 && m & 0o111 != 0 => Some(Mark::Setuid),
        (false, m) if m & 0o2000 != 0 && m & 0o010 != 0 => Some(Mark::Setgid),
        (false, m) if m & 0o002 != 0 => Some(Mark::WritableFile),
        (true, m) if m & 0o002 != 0 && m & 0o1000 == 0 => Some(Mark::WritableDir),
        _ => None,
    }
}

/// Checks an image's configuration.
pub fn check_image(facts: &ImageFacts) -> Vec<Weakness> {
    let mut found = Vec::new();
    let mut add = |id: &str, evidence: String, severity: &str, fix: &str| {
        found.push(weakness(id, "", &evidence, severity, fix));
    };
    let user = facts.user.split(':').next().unwrap_or_default();
    if matches!(user, "" | "root" | "0") {
        let shown = if user.is_empty() { "no USER is set: processes run as root" } else { "USER is root" };
        add("root-user", shown.to_owned(), "medium", "add a user and a `USER` instruction");
    }
    if !facts.has_healthcheck {
        add("no-healthcheck", "no HEALTHCHECK is set".to_owned(), "low", "add a `HEALTHCHECK` instruction");
    }
    for port in facts.exposed.iter().filter(|p| matches!(p.as_str(), "22" | "22/tcp")) {
        add(
            "exposes-ssh",
            format!("port {port} is exposed"),
            "medium",
            "use `stockade exec` instead of a login server",
        );
    }
    for (index, step) in facts.history.iter().enumerate() {
        for (id, severity, fix) in step_weaknesses(step) {
            add(id, format!("step {index}: {}", shorten(step)), severity, fix);
        }
    }
    found.sort();
    found
}

fn step_weaknesses(step: &str) -> Vec<(&'static str, &'static str, &'static str)> {
    let mut found = Vec::new();
    let words = step.trim_start_matches("/bin/sh -c ").trim_start_matches("#(nop)").trim();
    if words.starts_with("ADD ") && (words.contains(" http://") || words.contains(" https://")) {
        found.push((
            "add-from-url",
            "medium",
            "download in a `RUN` step that checks a digest, or use `ADD --checksum`",
        ));
    }
    let fetches = words.contains("curl ") || words.contains("wget ");
    let pipes = ["| sh", "|sh", "| bash", "|bash", "| sudo bash", "| sh -"].iter().any(|p| words.contains(p));
    if fetches && pipes {
        found.push(("pipe-to-shell", "medium", "download to a file, check its digest, then run it"));
    }
    if words.contains("chmod 777") || words.contains("chmod -R 777") || words.contains("chmod a+rwx") {
        found.push(("chmod-777", "medium", "give rights to the user that needs them"));
    }
    if words.contains("--allow-unauthenticated")
        || words.contains("--force-yes")
        || words.contains("--nogpgcheck")
        || words.contains("--allow-untrusted")
    {
        found.push(("unsigned-packages", "high", "keep the package manager's signature checks on"));
    }
    found
}

/// Checks the password fields of `/etc/shadow` (shadow(5)): an empty one lets anyone in.
pub fn empty_passwords(text: &str) -> Vec<Weakness> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let (user, password) = (fields.next()?, fields.next()?);
            (password.is_empty() && !user.is_empty()).then(|| {
                weakness(
                    "empty-password",
                    "etc/shadow",
                    &format!("`{user}` has no password"),
                    "high",
                    "lock the account: `passwd -l`",
                )
            })
        })
        .take(100)
        .collect()
}

/// A private host key in an image is the same on all machines that run it.
pub fn ssh_host_key(path: &str) -> Option<Weakness> {
    let name = path.strip_prefix("etc/ssh/")?;
    (name.starts_with("ssh_host_") && name.ends_with("_key")).then(|| {
        weakness(
            "ssh-host-key",
            path,
            "all containers of the image share this identity",
            "high",
            "delete it in the image and make it at first start",
        )
    })
}

fn weakness(id: &str, path: &str, evidence: &str, severity: &str, fix: &str) -> Weakness {
    Weakness {
        id: id.to_owned(),
        path: path.to_owned(),
        evidence: evidence.to_owned(),
        severity: severity.to_owned(),
        fix: fix.to_owned(),
        layer: None,
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration() {
        let facts = ImageFacts {
            user: "0:0".into(),
            exposed: vec!["22/tcp".into(), "80/tcp".into()],
            history: vec![
                "/bin/sh -c #(nop) ADD https://x/y /z".into(),
                "RUN curl https://x | bash".into(),
                "COPY a b".into(),
            ],
            ..ImageFacts::default()
        };
        let ids: Vec<String> = check_image(&facts).into_iter().map(|w| w.id).collect();
        assert_eq!(ids, ["add-from-url", "exposes-ssh", "no-healthcheck", "pipe-to-shell", "root-user"]);
        let good = ImageFacts { user: "app".into(), has_healthcheck: true, ..ImageFacts::default() };
        assert!(check_image(&good).is_empty());
    }

    #[test]
    fn modes() {
        assert_eq!(mark(0o4755, false), Some(Mark::Setuid));
        assert_eq!(mark(0o2755, false), Some(Mark::Setgid));
        assert_eq!(mark(0o666, false), Some(Mark::WritableFile));
        assert_eq!(mark(0o1777, true), None);
        assert_eq!(mark(0o777, true), Some(Mark::WritableDir));
        assert_eq!(mark(0o755, true), None);
        assert_eq!(file_weakness("usr/bin/su", Mark::Setuid).severity, "low");
        assert_eq!(file_weakness("opt/x", Mark::Setuid).severity, "medium");
    }

    #[test]
    fn accounts_and_keys() {
        assert_eq!(empty_passwords("root:*:1\nme::1\n:x\n").len(), 1);
        assert!(ssh_host_key("etc/ssh/ssh_host_rsa_key").is_some());
        assert!(ssh_host_key("etc/ssh/ssh_host_rsa_key.pub").is_none());
    }
}
