//! What the files of an image say; only for images whose layers can be read (see [`crate::content`]).

use serde_json::Value;

use super::EachCheck;
use crate::content::Content;
use crate::docker::facts::DockerFacts;
use crate::model::Degree::{Low, Medium};
use crate::model::{Degree, Verdict, meta_of};

meta_of!(ImageContent, (level: u8, risk: Degree), level: level, effort: Medium, risk: risk);

/// Programs that every distribution has with set-user-ID or set-group-ID bits. None is needed in a container with
/// no-new-privileges, so they fail as others do; the evidence counts them apart.
const USUAL_SETUID: [&str; 14] = [
    "su",
    "mount",
    "umount",
    "passwd",
    "chsh",
    "chfn",
    "newgrp",
    "gpasswd",
    "chage",
    "expiry",
    "unix_chkpwd",
    "ping",
    "wall",
    "ssh-agent",
];

/// All checks of this section.
#[rustfmt::skip]
pub(super) static CHECKS: &[EachCheck] = &[
    EachCheck { meta: meta("setuid-in-image", &["CIS-4.8"], 1, Medium, "No file has set-user-ID or set-group-ID bits",
        "A setuid program with a hole makes its caller root.", "Add RUN find / -xdev -perm /6000 -type f -exec chmod a-s {} +."),
        test: |i, d| content(i, d, |c| {
            let usual = c.setuid.iter().filter(|(p, _)| USUAL_SETUID.contains(&p.rsplit('/').next().unwrap_or(""))).count();
            let list: Vec<String> = c.setuid.iter().map(|(p, m)| format!("{p} ({m:04o})")).collect();
            verdict(c, &list, &format!("{} files, {usual} of them usual in a distribution", list.len()))
        }) },
    EachCheck { meta: meta("secret-files-in-image", &["CIS-4.10"], 1, Low, "No file holds a secret",
        "Whoever has the image has the secret, also from deleted layers.", "Take the file out of all layers; use build secrets: RUN --mount=type=secret."),
        test: |i, d| content(i, d, |c| {
            let list: Vec<String> = c.secrets.iter().map(|(p, why)| format!("{p} ({why})")).collect();
            verdict(c, &list, "files that hold secrets")
        }) },
    EachCheck { meta: meta("passwords-in-image", &["CIS-4.10"], 1, Low, "No account has a password",
        "The password is the same in every container, and its hash can be tried out at leisure.", "Lock the account: RUN passwd -l USER."),
        test: |i, d| content(i, d, |c| verdict(c, &c.passwords, "accounts in /etc/shadow")) },
    EachCheck { meta: meta("package-manager-in-image", &["CIS-4.3"], 2, Medium, "It holds no program that installs software",
        "An intruder gets the tools in a second.", "Build in stages and copy only what runs into the last one, or build with --minimize."),
        test: |i, d| content(i, d, |c| verdict(c, &c.managers, "programs")) },
    EachCheck { meta: meta("world-writable-in-image", &["CIS-4.8"], 1, Low, "Nothing may be changed by everybody",
        "Any user inside can change what others run or read.", "Give it an owner and take the write bit of others: chmod o-w."),
        test: |i, d| content(i, d, |c| verdict(c, &c.world_writable, "paths")) },
    EachCheck { meta: meta("devices-in-image", &["CIS-5.18"], 1, Low, "It holds no device nodes that anybody could use",
        "Where devices are allowed, a node is a disk or the memory.", "Delete them from the image."),
        test: |i, d| content(i, d, |c| verdict(c, &c.devices, "device nodes")) },
];

fn content(image: &Value, docker: &DockerFacts, test: impl FnOnce(&Content) -> Verdict) -> Verdict {
    let id = image.get("Id").and_then(Value::as_str).unwrap_or("");
    match docker.contents.get(id) {
        None => Verdict::unknown("the image's files were not read"),
        Some(Err(why)) => Verdict::unknown(why.clone()),
        Some(Ok(content)) => test(content),
    }
}

/// Fails on the first finding; passes only where everything could be read.
fn verdict(content: &Content, found: &[String], what: &str) -> Verdict {
    const SHOWN: usize = 12;
    if found.is_empty() {
        return match content.incomplete.first() {
            Some(why) => Verdict::unknown(format!("not everything could be read: {why}")),
            None => Verdict::pass(format!("{} files looked at, none such", content.files)),
        };
    }
    let more = found.len().saturating_sub(SHOWN);
    let shown: Vec<&str> = found.iter().take(SHOWN).map(String::as_str).collect();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    Verdict::fail(format!("{what}: {}{rest}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Answer;
    use serde_json::json;

    fn answer(id: &str, content: Content) -> Verdict {
        let mut facts = DockerFacts::default();
        facts.contents.insert("sha256:1".to_owned(), Ok(content));
        (CHECKS.iter().find(|c| c.meta.id == id).unwrap().test)(&json!({"Id": "sha256:1"}), &facts)
    }

    #[test]
    fn findings_fail_and_a_clean_image_passes() {
        let weak = Content { setuid: vec![("/bin/su".to_owned(), 0o4755)], ..Content::default() };
        assert_eq!(
            answer("setuid-in-image", weak).evidence,
            "1 files, 1 of them usual in a distribution: /bin/su (4755)"
        );
        for check in CHECKS {
            assert_eq!(answer(check.meta.id, Content { files: 3, ..Content::default() }).answer, Answer::Pass);
        }
    }

    #[test]
    fn a_walk_that_did_not_end_is_unknown() {
        let partial = Content { incomplete: vec!["x".to_owned()], ..Content::default() };
        assert_eq!(answer("secret-files-in-image", partial).answer, Answer::Unknown);
    }
}
