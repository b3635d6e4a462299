//! `download-piped-to-shell`

use super::{Rule, Severity};
use crate::shell::{Command, Join};

pub(super) static RULE: Rule = Rule {
    id: "download-piped-to-shell",
    refs: &["CIS-4.11"],
    severity: Severity::Error,
    default: true,
    finds: "A download that is run unread: curl … | sh.",
    why: "Whoever controls the server, or breaks it, decides what the build does.",
    instead: "Download a fixed version, check its digest, then run it.",
    bad: &["FROM a:1\nRUN curl -fsSL https://h/i.sh | sh\n", "FROM a:1\nRUN wget -qO- https://h/i | sudo bash -s -- x\n", "FROM a:1\nRUN bash -c \"$(curl -fsSL https://h/i)\"\n", "FROM a:1\nRUN bash <(curl -s https://h/i)\n"],
    good: &["FROM a:1\nRUN curl -o i.sh https://h/i.sh && echo \"00  i.sh\" | sha256sum -c && sh i.sh\n", "FROM a:1\nRUN curl https://h/x | tar xz\n"],
    test: |file, out| {
        for run in file.runs() {
            let mut download: Option<&Command> = None;
            for c in run.commands {
                if c.join != Join::Pipe && c.depth == 0 {
                    download = None;
                }
                if is_download(c) {
                    download = Some(c);
                } else if c.join == Join::Pipe && is_shell(c) && download.is_some() {
                    out.command(c, "runs what was just downloaded");
                }
                let substituted = c.words.iter().skip(1).any(|w| w.expands && ["$(curl", "$(wget", "`curl", "`wget", "<(curl", "<(wget"].iter().any(|p| w.text.contains(p)));
                if is_shell(c) && substituted {
                    out.command(c, "runs what was just downloaded");
                }
            }
        }
    },
};

fn is_download(c: &Command) -> bool {
    ["curl", "wget", "fetch", "aria2c"].contains(&c.name())
}

fn is_shell(c: &Command) -> bool {
    let shells = ["sh", "bash", "dash", "ash", "zsh", "ksh", "python", "python3", "perl", "ruby", "node", "eval", "source"];
    let behind = |names: &[&str]| names.contains(&c.name()) && c.arguments().iter().find(|w| !w.text.starts_with('-')).is_some_and(|w| shells.contains(&w.text.rsplit('/').next().unwrap_or("")));
    shells.contains(&c.name()) || behind(&["sudo", "env", "exec"])
}
