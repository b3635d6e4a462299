//! `signing-key-unverified`

use super::{Rule, Severity};
use crate::shell::Join;

pub(super) static RULE: Rule = Rule {
    id: "signing-key-unverified",
    refs: &["SD1002", "CIS-4.11"],
    severity: Severity::Warning,
    default: true,
    finds: "A package signing key that is downloaded and trusted unseen.",
    why: "Whoever controls the server can sign packages from then on.",
    instead: "Copy the key in with the context, or check its fingerprint or digest first.",
    bad: &["FROM a:1\nRUN curl -fsSL https://h/k.gpg | apt-key add -\n", "FROM a:1\nRUN curl https://h/k | gpg --dearmor -o /usr/share/keyrings/x.gpg\n", "FROM a:1\nRUN rpm --import https://h/k\n"],
    good: &["FROM a:1\nCOPY k.gpg /usr/share/keyrings/\n", "FROM a:1\nRUN curl -o k https://h/k && echo \"00  k\" | sha256sum -c - && gpg --dearmor -o x < k\n"],
    test: |file, out| {
        for run in file.runs() {
            let verified = run.commands.iter().any(|c| ["sha256sum", "sha512sum", "shasum"].contains(&c.name()) || c.has_flag(&["fingerprint", "verify"]));
            if verified {
                continue;
            }
            let mut downloaded = false;
            for c in run.commands {
                downloaded = ["curl", "wget"].contains(&c.name()) || downloaded && c.join == Join::Pipe;
                let piped = downloaded && c.join == Join::Pipe && (c.name() == "apt-key" || c.name() == "gpg" && c.has_flag(&["dearmor", "import"]));
                let imported = c.name() == "rpm" && c.has_flag(&["import"]) && c.arguments().iter().any(|w| w.text.starts_with("http"));
                if piped || imported {
                    out.command(c, "trusts a key that nobody has looked at");
                }
            }
        }
    },
};
